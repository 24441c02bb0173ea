"""A sawtooth on top of any network, and how steep a function is."""

from collections.abc import Callable

import torch
from jaxtyping import Float64
from torch import Tensor

from lib.convresnet import COORDINATES, NEGATIVE, POSITIVE, Convolution, ConvResNet
from lib.errors import integer, positive, require
from lib.relu import layers


def steepened(network: ConvResNet, amplitude: float, levels: int) -> ConvResNet:
    """Add ``amplitude (g^{ok}(x_1) - 1/2)``, a sawtooth, in one more block (book: ``prop-steep``,
    ``prop-flip``).

    Parameters
    ----------
    network : ConvResNet
        With the stream of this library: coordinates, positive part, negative part.
    amplitude : float
        ``2 eps > 0``: the new network is nowhere farther than ``amplitude / 2`` from the old one.
    levels : int
        ``k``, from 1 to 50: the sawtooth has the slopes ``+-amplitude 2^k``.

    Returns
    -------
    ConvResNet
        With one block of ``k + 1`` layers of two channels more.

    Raises
    ------
    InputError
        For another stream, an amplitude that is not positive or levels out of range.
    """
    require(
        network.channels == 3,
        "network",
        f"{network.channels} channels in the stream",
        "a network of this library",
    )
    positive("amplitude", amplitude)
    levels = integer("levels", levels, 1, 50)
    tent = [layers.affine([[1.0], [1.0]], [0.0, -0.5])]
    tent += [layers.affine([[2.0, -4.0], [2.0, -4.0]], [0.0, -0.5])] * (levels - 1)
    rows = [[0.0, 0.0] for _ in range(3)]
    bias = [0.0, 0.0, 0.0]
    rows[POSITIVE], bias[NEGATIVE] = [2.0 * amplitude, -4.0 * amplitude], amplitude / 2
    return ConvResNet(
        [*network.numbers(), block([*tent, layers.affine(rows, bias)])],
        network.head.detach(),
        network.dim,
    )


def block(chain):
    """A residual block from a layer list that reads the first coordinate and writes the stream."""
    first, *rest = [Convolution.from_layer(layer) for layer in chain]
    weight = torch.zeros(len(first.bias), 3, 1, **layers.NUMBERS)
    weight[:, COORDINATES] = first.weight[:, 0]
    return [Convolution(weight, first.bias), *rest]


@torch.no_grad()
def steepest(
    function: Callable[[Tensor], Tensor],
    low: Float64[Tensor, " P"],
    high: Float64[Tensor, " P"],
    halvings: int = 60,
) -> Float64[Tensor, " P"]:
    """Steep places, found by halving: of two halves of an interval one has at least the slope of
    the chord.

    Parameters
    ----------
    function : callable
        From a float64 tensor (P, 1) to values (P,).
    low, high : float64 tensors, shape (P,)
        Ends of intervals.
    halvings : int
        Fewer where the ends are neighbouring floats, or where a chord has become so short that
        rounding shows.

    Returns
    -------
    slopes : float64 tensor, shape (P,)
        Moduli of difference quotients, each a lower bound of the Lipschitz constant, up to the
        rounding of values: two units in the last place of 1 are allowed for.
    """
    allowance = 2.0**-51
    ends = torch.stack([low, high])
    values = torch.stack([function(e[:, None]) for e in ends])
    best = torch.zeros_like(low)
    for _ in range(halvings):
        middle = ends.mean(0)
        value = function(middle[:, None])
        slopes = ((value - values).abs() - allowance).clamp(min=0) / (middle - ends).abs().clamp(
            min=2.0**-60
        )
        best = torch.maximum(best, slopes.amax(0))
        right = slopes[1] > slopes[0]  # keep the steeper half
        ends = torch.where(right, torch.stack([middle, ends[1]]), torch.stack([ends[0], middle]))
        values = torch.where(
            right, torch.stack([value, values[1]]), torch.stack([values[0], value])
        )
    return best
