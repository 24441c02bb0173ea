"""Term blocks: sums of tensor-product B-splines as residual blocks (book: ``prop-realisation``)."""

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor

from lib.convresnet._chart import Chart
from lib.convresnet._gather import gather
from lib.convresnet._module import Convolution
from lib.relu import layers

COORDINATES, POSITIVE, NEGATIVE = range(3)  # the stream: x, S+ and S-
STREAM = 3


def doublings(cells: int) -> int:
    """``k = max(1, ceil(log2 N))``: the number of doubling layers (``lem-doubling``)."""
    return max(1, (cells - 1).bit_length())


def _reading_channel(convolution, channel, channels):
    """The layer for a single input channel, reading one channel of a wider input."""
    weight = torch.zeros(
        convolution.weight.shape[0], channels, convolution.weight.shape[2], **layers.NUMBERS
    )
    weight[:, channel] = convolution.weight[:, 0]
    return Convolution(weight, convolution.bias)


def linear_forms(
    charts: list[Chart],
) -> tuple[
    Float64[np.ndarray, "F C D"],
    Float64[np.ndarray, " F"],
    Float64[np.ndarray, "F D"],
    Float64[np.ndarray, " F"],
]:
    """What the gather layers of a block compute: ``u / 2^k`` of each chart and, if gated, ``omega``
    without its ReLU.

    Parameters
    ----------
    charts : list of Chart
        All of them gated with the same refinement, or none.

    Returns
    -------
    forms : float64 array, shape (F, C, D)
        ``F`` forms, ``d`` (gated: ``d + 1``) for each chart, of the ``C = 1`` channel ``x`` (gated:
        2, the squares ``sq_n(x)`` and ``x``).
    offset : float64 array, shape (F,)
    steps, start : float64 arrays, shapes (F, D) and (F,)
        The biases that keep partial sums from being cut by a ReLU: see `gather`.
    """
    scale = 2.0 ** -doublings(charts[0].cells)
    forms: list[np.ndarray] = []
    offsets: list[np.ndarray] = []
    steps: list[np.ndarray] = []
    starts: list[np.ndarray] = []
    for chart in charts:
        matrix, offset = chart.matrix * scale, chart.offset * scale
        gate = chart.gate
        if gate is None:
            forms.append(matrix[:, None])
            offsets.append(offset)
            steps.append(np.maximum(-matrix, 0))
            starts.append(np.zeros(chart.dim))
            continue
        distance = gate.gain * np.stack([np.ones(chart.ambient_dim), -2 * gate.centre])
        forms += [np.stack([np.zeros_like(matrix), matrix], axis=1), distance[None]]
        offsets += [offset, np.array([gate.gain * (gate.centre @ gate.centre - gate.inner)])]
        steps += [-matrix * gate.centre, gate.gain * gate.centre[None] ** 2]
        # |x - c| < R_2 wherever the gate is not closed, so no partial sum is below minus this
        starts += [np.linalg.norm(matrix, axis=1) * gate.outer**0.5, np.zeros(1)]
    return (
        np.concatenate(forms),
        np.concatenate(offsets),
        np.concatenate(steps),
        np.concatenate(starts),
    )


def gather_charts(charts: list[Chart], kernel_size: int) -> list[Convolution]:
    """The head of a block: row 0 receives the `linear_forms`, the stream being read.

    Returns
    -------
    list of Convolution
        From the stream to ``d`` (gated: ``d + 1``) channels for each chart.
    """
    forms, offset, steps, start = linear_forms(charts)
    chain = gather(forms, offset, kernel_size, steps, start)
    if charts[0].gate is not None:  # channels: the squares of the coordinates, the coordinates
        squares = layers.keep_input(layers.square(charts[0].gate.refinement))
        chain = [Convolution.from_layer(layer) for layer in squares] + chain
    return [_reading_channel(chain[0], COORDINATES, STREAM), *chain[1:]]


def term_block(
    charts: list[Chart], runs: list[slice], order: int, refinement: int, kernel_size: int
) -> list[Convolution]:
    """One residual block: ``S+ += sum_{c>0} c M~_j`` and ``S- += sum_{c<0} |c| M~_j``.

    Parameters
    ----------
    charts : list of Chart
    runs : list of slice
        Which terms of each of these charts belong to the block; none is empty.
    order, refinement, kernel_size : int
        ``m``, ``n``, ``K``.

    Returns
    -------
    list of Convolution
        The gather layers, then filters of size one.  Terms that share a one-dimensional factor
        share its channels.
    """
    dim = charts[0].dim
    gated = charts[0].gate is not None
    k = doublings(charts[0].cells)
    # the distinct factors, by their channel of u and their index, and where each term finds its own
    channels = []
    indices = []
    found_at = []
    count = 0
    for number, (chart, run) in enumerate(zip(charts, runs)):
        found = []
        for axis in range(dim):
            distinct, place = np.unique(chart.indices[run, axis], return_inverse=True)
            found.append(count + place.reshape(-1))
            channels.append(np.full(len(distinct), number * (dim + gated) + axis))
            indices.append(distinct)
            count += len(distinct)
        found_at.append(np.stack(found, axis=1))
    channel = np.concatenate(channels)
    index = np.concatenate(indices)
    places = torch.from_numpy(np.concatenate(found_at))
    coefficients = torch.from_numpy(
        np.concatenate([c.coefficients[run] for c, run in zip(charts, runs)])
    )

    first = np.zeros((count, 2, len(charts) * (dim + gated)))
    first[np.arange(count), :, channel] = 1.0, -1.0
    bias = (index + order / 2)[:, None] / 2**k * np.array([-1.0, 1.0])
    if gated:  # the gate is added to the distance in the first factor of a term
        start = np.flatnonzero(channel % (dim + 1) == 0)
        first[start, :, channel[start] + dim] = order / 2**k
    chain = [
        layers.Layer(
            torch.from_numpy(first.reshape(1, 2 * count, -1)), torch.from_numpy(bias.reshape(1, -1))
        )
    ]
    chain += layers.repeat(
        [layers.affine([[2.0, 2.0]])] + [layers.affine([[2.0]])] * (k - 1), count
    )
    chain += layers.repeat(layers.bspline_of_distance(order, refinement), count)
    if dim > 1:
        products = layers.tensor_product(dim, refinement)
        chain.append(layers.select(products[0], places, count))
        chain += layers.repeat(products[1:], len(places))
    else:
        per_factor = torch.zeros(count, **layers.NUMBERS)
        coefficients = per_factor.index_add_(0, places[:, 0], coefficients)
    last = torch.zeros(1, STREAM, chain[-1].out_channels, **layers.NUMBERS)
    last[0, POSITIVE] = coefficients.clamp(min=0)
    last[0, NEGATIVE] = (-coefficients).clamp(min=0)
    chain.append(layers.Layer(last, torch.zeros(1, STREAM, **layers.NUMBERS)))
    return gather_charts(charts, kernel_size) + [Convolution.from_layer(layer) for layer in chain]


def head_weights() -> Float64[Tensor, " 3"]:
    """``FC = S+ - S-``: the reason why ``kappa2 = 1``; float64 tensor (3,)."""
    head = torch.zeros(STREAM, **layers.NUMBERS)
    head[POSITIVE], head[NEGATIVE] = 1.0, -1.0
    return head
