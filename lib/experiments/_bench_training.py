"""Rows of the table of costs: networks trained for the same errors in value and slope (book:
"Speed").
"""

import time

import numpy as np
import torch
from torch import nn

from lib.approximation import approximate
from lib.convresnet import count_parameters
from lib.domains import Cube
from lib.experiments._bench import WAVE, row
from lib.limits import fit
from lib.targets import Target

WIDTH, DEPTH, BATCH = 124, 3, 1024  # 31 497 parameters in dimension 2


def train(target, activation, seconds, seed=0):
    """Fit value and gradient of a target for a given time by `lib.limits.fit`, in float32.

    Parameters
    ----------
    target : Target
    activation : type
        ``nn.Tanh`` or ``nn.ReLU``.
    seconds : float
    seed : int

    Returns
    -------
    nn.Module
        In float64, (P, D) -> (P,).
    """
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        widths = [target.dim] + [WIDTH] * DEPTH
        layers = [
            part for a, b in zip(widths, widths[1:]) for part in (nn.Linear(a, b), activation())
        ]
        network = nn.Sequential(*layers, nn.Linear(WIDTH, 1), nn.Flatten(0))
    start = time.perf_counter()
    spent = iter(lambda: min(1.0, (time.perf_counter() - start) / seconds), 1.0)
    fit(network, target, spent, rate=2e-3, slopes=True, batch=BATCH, seed=seed)
    return network.double()


def errors(target, network, points=100_000, seed=1):
    """Largest sampled errors in value and in a partial derivative of any torch map."""
    worst = np.zeros(2)
    for x in Cube(target.dim).batches(points, seed):
        f, df = target.value_and_gradient(x)
        x = x.clone().requires_grad_(True)
        value = network(x)
        (gradient,) = torch.autograd.grad(value.sum(), x)
        worst = np.maximum(
            worst, [float((value - f).detach().abs().max()), float((gradient - df).abs().max())]
        )
    return worst


def smallest(target, worst, order=4, points=100_000, seed=1):
    """Our smallest network whose sampled errors are at most these, and the seconds that building
    and measuring took.
    """
    cells = order
    while True:
        start = time.perf_counter()
        a = approximate(target, Cube(target.dim), order=order, cells=cells)
        measured = a.measure(points, seed, module_points=0)
        if measured.value <= worst[0] and measured.slope <= worst[1]:
            return a, measured, time.perf_counter() - start
        cells += 1


@row("trained")
def _against_training(seconds):
    """Training an MLP, over building and measuring (not searching) our smallest network with no
    larger errors.
    """
    target = Target.from_sympy(WAVE, 2)
    for activation in (nn.Tanh, nn.ReLU):
        trained = train(target, activation, seconds)
        worst = errors(target, trained)
        a, measured, ours = smallest(target, worst)
        parameters, (_, nonzero) = (
            sum(p.numel() for p in trained.parameters()),
            count_parameters(a.network),
        )
        name = activation.__name__
        yield (
            (
                f"{name}, {parameters} parameters: errors {worst[0]:.1e}, {worst[1]:.1e}; ours"
                f" N={a.cells}: {measured.value:.1e}, {measured.slope:.1e}"
            ),
            seconds / ours,
            ours,
            seconds,
            "s",
        )
        yield (
            f"{name}: its weights over our non-zero ones",
            parameters / nonzero,
            nonzero,
            parameters,
            "numbers",
        )
        terms = len(a.coefficients)
        yield (
            f"{name}: its weights over our coefficients",
            parameters / terms,
            terms,
            parameters,
            "numbers",
        )
