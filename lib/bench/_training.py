"""Networks trained for the same errors in value and slope, for comparison."""

import time

import numpy as np
import torch
from torch import nn

from lib.approximation import Cube, approximate

WIDTH, DEPTH, BATCH = 124, 3, 1024   # 31 497 parameters in dimension 2


def train(target, activation, seconds, seed=0):
    """Fit value and gradient of a target by Adam with a cosine schedule, for a given time.

    The loss is the mean squared error of the value plus that of the gradient, each over the mean square of
    what is fitted; new random points in every step, float32.

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
    generator, dim = torch.Generator().manual_seed(seed), target.dim
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        widths = [dim] + [WIDTH] * DEPTH
        layers = [part for a, b in zip(widths, widths[1:]) for part in (nn.Linear(a, b), activation())]
        network = nn.Sequential(*layers, nn.Linear(WIDTH, 1), nn.Flatten(0))
    size = [float((g**2).mean()) for g in target.value_and_gradient(torch.rand(4096, dim, generator=generator).double())]
    optimizer, start, rate = torch.optim.Adam(network.parameters()), time.perf_counter(), 2e-3
    while (spent := (time.perf_counter() - start) / seconds) < 1:
        for group in optimizer.param_groups:
            group["lr"] = rate * (1 + np.cos(np.pi * spent)) / 2
        x = torch.rand(BATCH, dim, generator=generator)
        f, df = (g.float() for g in target.value_and_gradient(x.double()))
        x.requires_grad_(True)
        value = network(x)
        (gradient,) = torch.autograd.grad(value.sum(), x, create_graph=True)
        loss = ((value - f) ** 2).mean() / size[0] + ((gradient - df) ** 2).mean() / size[1]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return network.double()


def errors(target, network, points=100_000, seed=1):
    """Largest sampled errors in value and in a partial derivative of any torch map."""
    worst = np.zeros(2)
    for x in map(torch.from_numpy, Cube(target.dim).batches(points, seed)):
        f, df = target.value_and_gradient(x)
        x = x.clone().requires_grad_(True)
        value = network(x)
        (gradient,) = torch.autograd.grad(value.sum(), x)
        worst = np.maximum(worst, [float((value - f).detach().abs().max()), float((gradient - df).abs().max())])
    return worst


def smallest(target, worst, order=4, points=100_000, seed=1):
    """Our smallest network whose sampled errors are at most these, and the seconds that building and measuring took."""
    cells = order
    while True:
        start = time.perf_counter()
        a = approximate(target, Cube(target.dim), order=order, cells=cells)
        measured = a.measure(points, seed, module_points=0)
        if measured.value <= worst[0] and measured.gradient <= worst[1]:
            return a, measured, time.perf_counter() - start
        cells += 1
