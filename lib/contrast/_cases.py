"""The targets and sizes at which chapter 01 compares networks, and how they are measured
(``cor-contrast``).
"""

from collections.abc import Callable
from math import pi

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Tensor

from lib.contrast._steep import steepest
from lib.convresnet import Construction, ConvResNet, count_parameters, cube_chart
from lib.splines import QuasiInterpolant

SIZES = ((8, 4), (16, 4), (16, 8), (32, 8), (32, 16), (64, 16), (64, 32), (128, 32))  # cells, steps
CELLS = (8, 16, 32, 64, 128, 256)  # of splines


def pitches(x: Float[Tensor, "P 1"]) -> Float[Tensor, " P"]:
    """Zigzags of slopes +-1 on eight intervals, of periods 1/8 to 1/1024: as rough as a Lipschitz
    function can be, at eight scales.
    """
    x = x[:, 0]
    period = 2.0 ** -(torch.clamp(torch.floor(8 * x), 0, 7) + 3)
    z = torch.remainder(x, period)
    return torch.minimum(z, period - z)


def wave(x: Float[Tensor, "P D"]) -> Float[Tensor, " P"]:
    """``sin(2 pi x) / (2 pi)``."""
    return torch.sin(2 * pi * x[:, 0]) / (2 * pi)


TARGETS = {"pitches": pitches, "wave": wave, "negative": lambda x: -(x[:, 0] - 1 / 3).abs() - 2}


def _strips(cells, steps, count=16):
    """Short intervals that cover half a step in front of the end of each cell."""
    part = 1 / (2 * count * cells * steps)
    ends = torch.arange(1, cells, dtype=torch.float64)[:, None] / cells
    low = (ends + torch.arange(-count, 0) * part).ravel()
    return low, low + part


def _points(cells, steps):
    low, high = _strips(cells, steps)
    rng = np.random.default_rng(cells)
    x = np.concatenate([rng.random(4000), rng.uniform(low.numpy(), high.numpy())])
    return torch.from_numpy(x)[:, None]


@torch.no_grad()
def errors(
    network: Callable[[Tensor], Tensor], target: Callable[[Tensor], Tensor], cells: int, steps: int
) -> float:
    """Largest error in value at random points, many of them where cells change.

    Parameters
    ----------
    network, target : callable
        (P, 1) -> (P,), torch.
    cells, steps : int
        Of the network.
    """
    x = _points(cells, steps)
    return float((network(x) - target(x)).abs().max())


def steepness(network: ConvResNet, cells: int, steps: int) -> float:
    """The largest slope of a `ConvResNet` in one variable that is found where cells change."""
    return float(steepest(network, *_strips(cells, steps)).max())


def splines_of(name: str, order: int = 2) -> Float64[np.ndarray, "n 3"]:
    """For each of `CELLS` the number of nonzero parameters of our network and its errors in value
    and slope; with ``m log2 N + 4`` levels, so that the spline's error dominates.

    Parameters
    ----------
    name : str
        One of `TARGETS`.
    order : int
        ``m``.

    Returns
    -------
    float64 array, shape (6, 3)
    """
    found = []
    x = _points(2, 2)
    y = x.clone().requires_grad_(True)
    (slope,) = torch.autograd.grad(TARGETS[name](y).sum(), y)
    for N in CELLS:
        c = QuasiInterpolant(order, N).coefficients(
            lambda p: TARGETS[name](torch.from_numpy(p)).numpy(), 1
        )
        chart = cube_chart(c, order)
        n = order * int(np.log2(N)) + 4
        network = Construction([chart], order, n, 2, 1).network
        value, gradient = Construction([chart], order, n, 2).sparse.value_and_gradient(x)
        found.append(
            (
                count_parameters(network)[1],
                float((value - TARGETS[name](x)).abs().max()),
                float((gradient - slope).abs().max()),
            )
        )
    return np.array(found)


def classifier() -> ConvResNet:
    """A network for ``|x - (1/2, 1/2)|^2 - 1/8``, Lipschitz constant below 2."""
    c = QuasiInterpolant(3, 8).coefficients(lambda p: ((p - 0.5) ** 2).sum(-1) - 1 / 8, 2)
    return Construction([cube_chart(c, 3)], 3, 16, 2, 1).network
