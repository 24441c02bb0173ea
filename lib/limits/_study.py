"""The built network, the same architecture trained, and the built one trained further (book: chapter 08)."""

import copy
import time
from functools import cache

import numpy as np
import torch
from torch import nn

from lib.approximation import Cube, Target, approximate
from lib.errors import require
from lib.limits._training import fit

FORMULA, ORDER, CELLS, BLOCKS = "sin(2*pi*x1)*exp(x2)", 3, 6, 2
STEPS = {"built": 2000, "passing": 2000, "he": 2000, "perceptron": 10_000}
RATES = {"built": (1e-6, 1e-5, 1e-4), "passing": (1e-3, 3e-3, 1e-2), "he": (1e-3, 3e-3, 1e-2), "perceptron": (1e-3, 3e-3, 1e-2)}
SEEDS, TUNING_SEED, POINTS = (0, 1, 2, 3, 4), 100, 1 << 17


@cache
def built():
    """The target and our network for it (`Target`, `Approximation`)."""
    target = Target.from_sympy(FORMULA)
    return target, approximate(target, Cube(2), order=ORDER, cells=CELLS, kernel_size=2, blocks=BLOCKS)


def start(kind, seed):
    """A network to start from.

    Parameters
    ----------
    kind : str
        ``built``: ours.  ``he``: the same modules with normal weights of variance 2 over the number of inputs, biases zero.
        ``passing``: the same modules, each channel passing on one channel of its group, with a tenth of such
        noise.  ``perceptron``: a fully connected network of about as many parameters, four hidden layers of 101.
    seed : int

    Returns
    -------
    nn.Module, float64
    """
    require(kind in STEPS, "kind", kind, f"one of {', '.join(STEPS)}")
    generator = torch.Generator().manual_seed(seed)

    def noise(shape, inputs):
        return torch.randn(shape, generator=generator, dtype=torch.float64) * (2 / inputs) ** 0.5

    if kind == "perceptron":
        widths = [2, 101, 101, 101, 101, 1]
        layers = [nn.Linear(a, b, dtype=torch.float64) for a, b in zip(widths, widths[1:])]
        for layer in layers:
            layer.weight.data, layer.bias.data = noise(layer.weight.shape, layer.weight.shape[1]), torch.zeros_like(layer.bias)
        return nn.Sequential(*(part for layer in layers[:-1] for part in (layer, nn.ReLU())), layers[-1], nn.Flatten(0))
    network = copy.deepcopy(built()[1].network)
    if kind == "built":
        return network
    for block in network.blocks:
        for layer in block:
            out, width, kernel = layer.weight.shape
            weight = noise(layer.weight.shape, width * kernel)
            if kind == "passing" and layer is not block[-1]:
                weight *= 0.1
                rows = torch.arange(out)
                taken = rows % (out // layer.groups) % width
                weight[rows, taken, torch.randint(0, kernel, (out,), generator=generator)] += 1
            layer.weight.data, layer.bias.data = weight, torch.zeros_like(layer.bias)
    network.head.data = noise(network.head.shape, 2 * len(network.head))
    return network


def errors(network):
    """Largest and root mean square errors of a network against the target, at Sobol points.

    Returns
    -------
    dict
        ``value``, ``slope`` (largest partial derivative), ``inner_slope`` (the same farther than 1/100 from the boundary),
        ``mean_value``, ``mean_slope`` (root mean squares, of the length of the gradient).
    """
    target, worst, inner, squares, count = built()[0], np.zeros(2), 0.0, np.zeros(2), 0
    for x in map(torch.from_numpy, Cube(2).batches(POINTS, 1)):
        f, df = target.value_and_gradient(x)
        x.requires_grad_(True)
        value = network(x)
        (gradient,) = torch.autograd.grad(value.sum(), x)
        value, off = (value.detach() - f).abs(), (gradient - df).abs()
        worst = np.maximum(worst, [float(value.max()), float(off.max())])
        far = ((x - 0.5).abs() < 0.49).all(1)
        inner = max(inner, float(off[far].max()))
        squares += [float((value**2).sum()), float((off**2).sum())]
        count += len(x)
    mean = np.sqrt(squares / count)
    return {"value": worst[0], "slope": worst[1], "inner_slope": inner, "mean_value": mean[0], "mean_slope": mean[1]}


def train(kind, slopes, rate, seed, steps=None):
    """One run: `start`, `lib.limits.fit` at the points of a seed, `errors`.

    Returns
    -------
    dict
        The errors, ``first`` and ``last`` loss (mean of the last 50 steps), ``parameters``, ``seconds``.
    """
    network, steps = start(kind, seed), steps or STEPS[kind]
    begin = time.perf_counter()
    losses = fit(network, built()[0], np.arange(steps) / steps, rate=rate, slopes=slopes, seed=seed)
    seconds = time.perf_counter() - begin
    return {**errors(network), "first": losses[0], "last": losses[-50:].mean(), "seconds": round(seconds, 1),
            "parameters": sum(p.numel() for p in network.parameters())}


def tuning():
    """The cells that choose the step sizes: every start, loss and rate, with a seed of their own."""
    return [{"kind": kind, "slopes": slopes, "rate": rate, "seed": TUNING_SEED}
            for kind in STEPS for slopes in (False, True) for rate in RATES[kind]]


def chosen(records):
    """For each start and loss the rate whose largest error is smallest: in value, or in slope if slopes were trained."""
    best = {}
    for row in records:
        cell, result = row["cell"], row["result"]
        error = result["slope" if cell["slopes"] else "value"]
        key = cell["kind"], cell["slopes"]
        if key not in best or error < best[key][0]:
            best[key] = error, cell["rate"]
    return {key: rate for key, (_, rate) in best.items()}


def comparison(rates):
    """The cells of the comparison: every start and loss at its rate, five seeds."""
    return [{"kind": kind, "slopes": slopes, "rate": rate, "seed": seed} for (kind, slopes), rate in rates.items()
            for seed in SEEDS]


def summary(records):
    """Means and standard deviations over the seeds: ``{(kind, slopes): {error: (mean, deviation)}}``."""
    groups = {}
    for row in records:
        groups.setdefault((row["cell"]["kind"], row["cell"]["slopes"]), []).append(row["result"])
    return {key: {name: (float(np.mean([r[name] for r in rows])), float(np.std([r[name] for r in rows], ddof=1)))
                  for name in ("value", "slope", "inner_slope", "mean_value", "mean_slope", "seconds")}
            for key, rows in groups.items()}
