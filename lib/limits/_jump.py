"""Do the weights of a network depend continuously on the function (``prop-jump``)?"""

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from lib.convresnet import Construction, ConvResNet, cube_chart
from lib.splines import QuasiInterpolant


def weights(network: nn.Module) -> Float[Tensor, " count"]:
    """All weights and biases of a network in one row, tensor (count,)."""
    return torch.cat([p.detach().ravel() for p in network.parameters()])


def linear_splines(target: Callable[[Tensor], Tensor], cells: int, steps: int) -> ConvResNet:
    """Our network of order 2 with as many cells: its weights do not jump.

    Parameters
    ----------
    target : callable
        (P, 1) -> (P,), torch.
    cells : int
    steps : int
        Not used; the networks it is compared with, `lib.contrast.frozen_network`, have them.

    Returns
    -------
    ConvResNet
    """
    c = QuasiInterpolant(2, cells).coefficients(lambda x: target(torch.from_numpy(x)).numpy(), 1)
    return Construction([cube_chart(c, 2)], 2, 4, 2, 1).network


def path(t: float) -> Callable[[Tensor], Tensor]:
    """A function with Lipschitz constant 1 and values at most 1, on a line from a wave (``t = 0``)
    to a zigzag (``t = 1``).

    Returns
    -------
    callable
        (P, 1) -> (P,), torch.
    """

    def f(x):
        x = x[:, 0]
        zigzag = torch.abs(torch.remainder(8 * x, 2) - 1) / 8
        return (1 - t) * torch.sin(2 * np.pi * x) / (2 * np.pi) + t * zigzag

    return f


def largest_jump(
    make: Callable[..., nn.Module], cells: int, steps: int, width: float = 1e-9
) -> tuple[float, int]:
    """Bisect ``0 <= t <= 1`` for the half in which the weights move most, down to a width.

    Parameters
    ----------
    make : callable
        ``make(path(t), cells, steps)`` is a network: `lib.contrast.frozen_network`,
        `linear_splines`.
    cells, steps : int
    width : float

    Returns
    -------
    jump : float
        How far a weight moves there in the end.
    differ : int
        The number of weights that differ somewhere on the path.
    """
    low, high = 0.0, 1.0
    first, last = (weights(make(path(t), cells, steps)) for t in (low, high))
    differ = first != last
    while high - low > width:
        t = (low + high) / 2
        middle = weights(make(path(t), cells, steps))
        differ |= (middle != first) | (middle != last)
        if (middle - first).abs().max() >= (last - middle).abs().max():
            high, last = t, middle
        else:
            low, first = t, middle
    return float((last - first).abs().max()), int(differ.sum())
