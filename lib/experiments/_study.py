"""The built network, the same architecture trained, and the built one trained further (book:
chapter 08).
"""

import copy
import time
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import nn

from lib.approximation import Approximation, approximate
from lib.domains import Cube
from lib.errors import integer, require
from lib.experiments._records import run
from lib.limits import fit
from lib.targets import Target

FORMULA = "sin(2*pi*x1)*exp(x2)"
ORDER = 3
CELLS = 6
BLOCKS = 2
STEPS = {"built": 2000, "passing": 2000, "he": 2000, "perceptron": 10_000}
# with slopes?
LOSSES = {
    "built": (False, True),
    "passing": (False, True),
    "he": (False,),
    "perceptron": (False, True),
}
RATES = {
    "built": (1e-6, 1e-5, 1e-4),
    **dict.fromkeys(("passing", "he", "perceptron"), (1e-3, 3e-3, 1e-2)),
}
SEEDS = (0, 1, 2, 3, 4)
TUNING_SEED = 100
POINTS = 1 << 17


@cache
def built() -> tuple[Target, Approximation]:
    """The target and our network for it (`Target`, `Approximation`)."""
    target = Target.from_sympy(FORMULA)
    return target, approximate(
        target, Cube(2), order=ORDER, cells=CELLS, kernel_size=2, blocks=BLOCKS
    )


def start(kind: str, seed: int) -> nn.Module:
    """A network to start from.

    Parameters
    ----------
    kind : str
        ``built``: ours.  ``he``: the same modules with normal weights of variance 2 over the number
        of inputs, biases zero. ``passing``: the same modules; in the first and the last layer of
        each block the moduli of such numbers, in between each channel passes on one channel of its
        group, with a tenth of such noise; biases zero, ``FC`` as built. ``perceptron``: a fully
        connected network of about as many parameters, four hidden layers of 101.
    seed : int

    Returns
    -------
    nn.Module, float64

    Raises
    ------
    InputError
        For another kind.
    """
    require(kind in STEPS, "kind", kind, f"one of {', '.join(STEPS)}")
    generator = torch.Generator().manual_seed(seed)

    def noise(shape, inputs):
        return torch.randn(shape, generator=generator, dtype=torch.float64) * (2 / inputs) ** 0.5

    if kind == "perceptron":
        widths = [2, 101, 101, 101, 101, 1]
        layers = [nn.Linear(a, b, dtype=torch.float64) for a, b in zip(widths, widths[1:])]
        for layer in layers:
            layer.weight.data = noise(layer.weight.shape, layer.weight.shape[1])
            layer.bias.data.zero_()
        return nn.Sequential(
            *(part for layer in layers[:-1] for part in (layer, nn.ReLU())),
            layers[-1],
            nn.Flatten(0),
        )
    network = copy.deepcopy(built()[1].network)
    if kind == "built":
        return network
    for block in network.blocks:
        for layer in block:
            out, width, kernel = layer.weight.shape
            weight = noise(layer.weight.shape, width * kernel)
            if kind == "passing" and layer in (block[0], block[-1]):
                weight = weight.abs()  # both coordinates are seen, and no channel is dead
            elif kind == "passing":
                rows = torch.arange(out)
                weight *= 0.1
                weight[rows, rows % (out // layer.groups) % width] += 1
            layer.weight.data = weight
            layer.bias.data.zero_()
    if kind == "he":
        network.head.data = noise(network.head.shape, len(network.head))
    return network


def study_errors(network: nn.Module) -> dict[str, float]:
    """Largest and root mean square errors of a network against the target, at Sobol points.

    Returns
    -------
    dict
        ``value``, ``slope`` (largest partial derivative), ``inner_slope`` (the same farther than
        1/100 from the boundary), ``mean_value``, ``mean_slope`` (root mean squares, of the length
        of the gradient).
    """
    target = built()[0]
    worst = np.zeros(2)
    inner = 0.0
    squares = np.zeros(2)
    count = 0
    for x in Cube(2).sample(POINTS, 1).split(1 << 12):
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
    return {
        "value": worst[0],
        "slope": worst[1],
        "inner_slope": inner,
        "mean_value": mean[0],
        "mean_slope": mean[1],
    }


def study_run(kind: str, slopes: bool, rate: float, seed: int, steps: int) -> dict:
    """One run: `start`, `lib.limits.fit` at the points of a seed, `study_errors`.

    Returns
    -------
    dict
        The errors, ``first`` and ``last`` loss (mean of the last 50 steps), ``parameters``,
        ``seconds``.
    """
    network = start(kind, seed)
    begin = time.perf_counter()
    losses = fit(network, built()[0], np.arange(steps) / steps, rate=rate, slopes=slopes, seed=seed)
    seconds = time.perf_counter() - begin
    return {
        **study_errors(network),
        "first": losses[0],
        "last": losses[-50:].mean(),
        "seconds": round(seconds, 1),
        "parameters": sum(p.numel() for p in network.parameters()),
    }


def study_tuning(steps: int | None = None) -> list[dict]:
    """The cells that choose the step sizes: every start, loss and rate, with a seed of their
    own.
    """
    count = STEPS if steps is None else dict.fromkeys(STEPS, integer("steps", steps, 1))
    return [
        {"kind": kind, "slopes": slopes, "rate": rate, "seed": TUNING_SEED, "steps": count[kind]}
        for kind in STEPS
        for slopes in LOSSES[kind]
        for rate in RATES[kind]
    ]


def study_comparison(tuned: list[dict]) -> list[dict]:
    """The cells of the comparison: every start and loss, five seeds, at the rate whose largest
    error was smallest: in value, or in slope where slopes were trained.
    """
    best: dict[tuple, tuple[float, dict]] = {}
    for row in tuned:
        cell = row["cell"]
        error = row["result"]["slope" if cell["slopes"] else "value"]
        key = cell["kind"], cell["slopes"]
        if key not in best or error < best[key][0]:
            best[key] = error, cell
    return [{**cell, "seed": seed} for _, cell in best.values() for seed in SEEDS]


def study_summary(records: list[dict]) -> dict:
    """Means and standard deviations over the seeds: ``{(kind, slopes): {error: (mean,
    deviation)}}``.
    """
    groups: dict[tuple, list[dict]] = {}
    for row in records:
        groups.setdefault((row["cell"]["kind"], row["cell"]["slopes"]), []).append(row["result"])
    return {
        key: {
            name: (
                float(np.mean([r[name] for r in rows])),
                float(np.std([r[name] for r in rows], ddof=1)),
            )
            for name in ("value", "slope", "inner_slope", "mean_value", "mean_slope", "seconds")
        }
        for key, rows in groups.items()
    }


def study(
    folder: str | Path,
    jobs: int = 1,
    progress: Callable[[Iterator, int], Iterable] = lambda items, total: items,
    steps: int | None = None,
) -> dict:
    """Tune, compare, and summarise; runs that have a record are not repeated (`run`).

    Parameters
    ----------
    folder : path
        Where the records are.
    jobs, progress
        As for `run`.
    steps : int, optional
        Steps of each run instead of those of the book.

    Returns
    -------
    dict
        See `study_summary`.
    """
    tuned = run(study_run, study_tuning(steps), folder, jobs, progress)
    return study_summary(run(study_run, study_comparison(tuned), folder, jobs, progress))
