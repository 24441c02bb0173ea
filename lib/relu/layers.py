"""The ReLU calculus as layer lists: weights and biases, a ReLU after *every* layer.

A `Layer` is block diagonal with equal blocks ("groups"), which is what a grouped convolution with
filters of size one realises.  A network is a list of layers.  Each function below returns the list
that computes the map of the same name in `lib.relu` (book: chapter 03).

Outside its support every network returns zero *bitwise*, for any order of summation inside a layer:
the product keeps one difference accumulator that lags the two sawtooths by one level, so that the
numbers that must cancel have been rounded to floats, equal ones, before they are subtracted.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from lib.errors import require
from lib.relu._errors import check_refinement, fold_terms

# of a construction, whatever torch's defaults are
NUMBERS: dict[str, Any] = {"dtype": torch.float64, "device": "cpu"}


@dataclass(frozen=True)
class Layer:
    """``z -> sigma(W z + b)`` with ``W`` block diagonal.

    Attributes
    ----------
    weight : float64 tensor, shape (groups, out, in)
    bias : float64 tensor, shape (groups, out)
    """

    weight: Float[Tensor, "g o i"]
    bias: Float[Tensor, "g o"]

    @property
    def in_channels(self) -> int:
        return self.weight.shape[0] * self.weight.shape[2]

    @property
    def out_channels(self) -> int:
        return self.weight.shape[0] * self.weight.shape[1]

    def __call__(self, z: Float[Tensor, "i P"]) -> Float[Tensor, "o P"]:
        """Apply to ``z`` of shape (in_channels, P); returns (out_channels, P)."""
        groups, _, width = self.weight.shape
        y = torch.baddbmm(self.bias[..., None], self.weight, z.reshape(groups, width, -1))
        return torch.relu(y.reshape(self.out_channels, -1))


def run(layers: Sequence[Layer], z: Float[Tensor, "i P"]) -> Float[Tensor, "o P"]:
    """Apply a layer list to ``z`` of shape (in_channels, P)."""
    for layer in layers:
        z = layer(z)
    return z


def affine(rows: Sequence[Sequence[float]], bias: Sequence[float] | None = None) -> Layer:
    """One layer with a single group from nested lists: ``sigma(rows z + bias)``."""
    weight = torch.tensor(rows, **NUMBERS)
    shift = torch.zeros(len(rows), **NUMBERS) if bias is None else torch.tensor(bias, **NUMBERS)
    return Layer(weight[None], shift[None])


def repeat(layers: Sequence[Layer], copies: int) -> list[Layer]:
    """The same network side by side ``copies`` times (channels ordered copy by copy)."""
    return [
        Layer(layer.weight.repeat(copies, 1, 1), layer.bias.repeat(copies, 1)) for layer in layers
    ]


def joined(layer: Layer) -> Layer:
    """The same layer with one group, zeros between what were groups."""
    return Layer(torch.block_diag(*layer.weight)[None], layer.bias.reshape(1, -1))


def carry(layers: Sequence[Layer], count: int) -> list[Layer]:
    """Pass ``count`` more non-negative channels of each group through unchanged, behind the
    others.
    """
    if count == 0:
        return list(layers)
    return [_extend(layer, count, count) for layer in layers]


def keep_input(layers: Sequence[Layer]) -> list[Layer]:
    """A one-input network that also returns its (non-negative) input, behind its output."""
    first = layers[0]
    weight = torch.cat([first.weight, torch.ones(1, 1, 1, **NUMBERS)], dim=1)
    bias = torch.cat([first.bias, torch.zeros(1, 1, **NUMBERS)], dim=1)
    return [Layer(weight, bias)] + carry(layers[1:], 1)


def _extend(layer, rows, columns):
    groups, out, width = layer.weight.shape
    weight = torch.zeros(groups, out + rows, width + columns, **NUMBERS)
    weight[:, :out, :width] = layer.weight
    weight[:, out:, width:] = torch.eye(rows, columns, **NUMBERS)
    bias = torch.cat([layer.bias, torch.zeros(groups, rows, **NUMBERS)], dim=1)
    return Layer(weight, bias)


def select(layer: Layer, index: Int64[Tensor, "T i"], channels: int) -> Layer:
    """Copies of a one-group layer that read their inputs from given channels of a wider input.

    Parameters
    ----------
    layer : Layer
        One group, ``in`` inputs.
    index : int64 tensor, shape (T, in)
        Copy ``t`` reads its ``k``-th input from channel ``index[t, k]``.
    channels : int
        Number of channels of the wider input.

    Returns
    -------
    Layer
        One group, ``T * out`` outputs ordered copy by copy, ``channels`` inputs.
    """
    out, width = layer.weight.shape[1:]
    copies = len(index)
    weight = torch.zeros(copies, out, channels, **NUMBERS)
    for k in range(width):
        position = index[:, k, None, None].expand(copies, out, 1)
        weight.scatter_add_(
            2, position, layer.weight[0, :, k][None, :, None].expand(copies, out, 1).contiguous()
        )
    return Layer(weight.reshape(1, copies * out, channels), layer.bias.repeat(1, copies))


def square(n: int) -> list[Layer]:
    """``sq_n``: one input in [0, 1], one output; ``n + 1`` layers of at most 3 channels
    (``lem-square``).
    """
    n = check_refinement(n, 1)
    layers = [affine([[1.0], [1.0], [1.0]], [0.0, -0.5, 0.0])]
    for k in range(1, n + 1):
        w = 4.0**-k
        rows = [[2.0, -4.0, 0.0], [2.0, -4.0, 0.0], [-2 * w, 4 * w, 1.0]]
        layers.append(affine(rows, [0.0, -0.5, 0.0]) if k < n else affine(rows[2:]))
    return layers


def product(n: int, ordered: bool = False) -> list[Layer]:
    """``mu_n``: inputs ``(a, b)`` in [0, 1], one output, at most 5 channels (``lem-product``).

    ``n + 3`` layers; with ``ordered=True``, for inputs known to satisfy ``a >= b``, the layer that
    forms ``|a - b|`` is left out: ``n + 2``.
    """
    n = check_refinement(n, 1)
    if ordered:
        p = [0.5, 0.5]
        q = [0.5, -0.5]
        least = [0.0, 1.0]
        layers = []
    else:
        layers = [affine([[0.5, 0.5], [0.5, -0.5], [-0.5, 0.5]])]
        p = [1.0, 0.0, 0.0]
        q = [0.0, 1.0, 1.0]
        least = [1.0, -1.0, -1.0]
    layers.append(affine([p, p, q, q, least], [0.0, -0.5, 0.0, -0.5, 0.0]))
    for k in range(1, n + 1):
        w = 4.0 ** (1 - k) if k > 1 else 0.0
        up, down = [2.0, -4.0, 0.0, 0.0, 0.0], [0.0, 0.0, 2.0, -4.0, 0.0]
        difference = [-w, 0.0, w, 0.0, 1.0]
        if k < n:
            layers.append(affine([up, up, down, down, difference], [0.0, -0.5, 0.0, -0.5, 0.0]))
        else:
            layers.append(affine([up, down, difference]))
    layers.append(affine([[-(4.0**-n), 4.0**-n, 1.0]]))
    return layers


def power(degree: int, n: int) -> list[Layer]:
    """``p_degree``: one input in [0, 1], one output (``lem-power``).

    No layer for degree 1; ``n + 1``, ``2n + 3``, ``2n + 2`` layers of 3, 5, 3 channels for 2, 3, 4.
    """
    require(degree >= 1, "degree", degree, "at least 1")
    if degree == 1:
        return []
    if degree % 2:
        return (
            keep_input(power(degree - 1, n))
            + [_swap(layer) for layer in product(n, ordered=True)[:1]]
            + product(n, ordered=True)[1:]
        )
    return power(degree // 2, n) + square(n)


def _swap(layer):
    return Layer(layer.weight.flip(2), layer.bias)


def bspline_of_distance(order: int, n: int) -> list[Layer]:
    """``N~_m`` from the single non-negative input ``|x - m/2|`` (``prop-bspline-net``).

    One layer for the folds, the powers of all folds side by side, one layer for their signed sum
    (order 2 needs neither of the last two).
    """
    terms = fold_terms(order)
    folds = affine(
        [[-1 / scale] for *_, scale in terms], [width / scale for _, _, _, width, scale in terms]
    )
    if order == 2:
        return [folds]
    return [
        folds,
        *repeat(power(order - 1, n), len(terms)),
        affine([[sign * a for _, sign, a, _, _ in terms]]),
    ]


def bspline(order: int, n: int) -> list[Layer]:
    """``N~_m`` of any real input ``x`` (``prop-bspline-net``)."""
    half = order / 2
    distance, *rest = bspline_of_distance(order, n)
    both = Layer(distance.weight.repeat(1, 1, 2), distance.bias)
    return [affine([[1.0], [-1.0]], [-half, half]), both, *rest]


def tensor_product(dim: int, n: int) -> list[Layer]:
    """``mu_n(v_D, .. mu_n(v_2, v_1))`` of ``D`` inputs in [0, 1]: ``(D - 1)(n + 3)`` layers
    (``prop-tensor-net``).
    """
    layers = []
    for waiting in range(dim - 2, -1, -1):
        layers += carry(product(n), waiting)
    return layers


def tensor_bspline(order: int, dim: int, n: int) -> list[Layer]:
    """``prod_i N_m(x_i)`` of ``D`` real inputs."""
    return repeat(bspline(order, n), dim) + tensor_product(dim, n)
