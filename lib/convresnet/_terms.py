"""Term blocks: sums of tensor-product B-splines, localised or not, as residual blocks (book:
``prop-realisation``, ``lem-partition-net``).
"""

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


_PARTITION_LAYERS = 3  # of doublings, beside which the partition is computed


def doublings(cells: int, localised: bool = False) -> int:
    """``k = max(1, ceil(log2 N))``: the number of doubling layers (``lem-doubling``).

    Behind a partition at least 3, the layers that it needs beside them (``lem-partition-net``).
    """
    return max(_PARTITION_LAYERS if localised else 1, (cells - 1).bit_length())


def _reading_channel(convolution, channel, channels):
    """The layer for a single input channel, reading one channel of a wider input."""
    weight = torch.zeros(
        convolution.weight.shape[0], channels, convolution.weight.shape[2], **layers.NUMBERS
    )
    weight[:, channel] = convolution.weight[:, 0]
    return Convolution(weight, convolution.bias)


def distinct_centres(charts: list[Chart]) -> tuple[Float64[np.ndarray, "S D"], list]:
    """The centres to which charts with partition functions need the distances.

    Returns
    -------
    centres : float64 array, shape (S, D)
        Without repetition.
    rows : list of int arrays
        For each chart the rows of its earlier centres and, last, of its own.
    """
    functions = [c.partition for c in charts if c.partition is not None]
    mine = [np.concatenate([p.earlier, p.centre[None]]) for p in functions]
    centres, place = np.unique(np.concatenate(mine), axis=0, return_inverse=True)
    ends = np.cumsum([len(m) for m in mine])
    return centres, np.split(place.reshape(-1), ends[:-1])


def linear_forms(
    charts: list[Chart],
) -> tuple[
    Float64[np.ndarray, "F C D"],
    Float64[np.ndarray, " F"],
    Float64[np.ndarray, "F D"],
    Float64[np.ndarray, " F"],
]:
    """What the gather layers of a block compute: ``u / 2^k`` of each chart and, if there is a
    partition, ``beta d~^2`` for each of the `distinct_centres`.

    Parameters
    ----------
    charts : list of Chart
        All of them with partition functions of the same radii and refinement, or none.

    Returns
    -------
    forms : float64 array, shape (F, C, D)
        ``d`` forms for each chart, then one for each centre, of the ``C = 1`` channel ``x`` (with a
        partition 2, the squares ``sq_n(x)`` and ``x``).
    offset : float64 array, shape (F,)
    steps, start : float64 arrays, shapes (F, D) and (F,)
        The biases that keep partial sums from being cut by a ReLU: see `gather`.
    """
    first = charts[0].partition
    scale = 2.0 ** -doublings(charts[0].cells, first is not None)
    matrix = scale * np.stack([c.matrix for c in charts])
    offset = scale * np.stack([c.offset for c in charts])
    if first is None:
        steps = np.maximum(-matrix, 0)
        start = np.zeros(offset.shape)
        parts: list[tuple] = [(matrix[:, :, None], offset, steps, start)]
    else:
        own = np.stack([c.partition.centre for c in charts if c.partition is not None])
        steps = -matrix * own[:, None]
        # |x - c| < r_1 wherever rho is not zero, so no partial sum is below minus this there
        start = np.linalg.norm(matrix, axis=2) * first.outer**0.5
        parts = [(np.stack([np.zeros_like(matrix), matrix], axis=2), offset, steps, start)]
        centres = distinct_centres(charts)[0]
        squares = first.gain * centres**2
        distances = first.gain * np.stack([np.ones_like(centres), -2 * centres], axis=1)
        parts.append((distances[:, None], squares.sum(1), squares, np.zeros(len(centres))))
    dim = charts[0].ambient_dim
    return (
        np.concatenate([f.reshape(-1, *f.shape[-2:]) for f, *_ in parts]),
        np.concatenate([o.reshape(-1) for _, o, *_ in parts]),
        np.concatenate([s.reshape(-1, dim) for *_, s, _ in parts]),
        np.concatenate([s.reshape(-1) for *_, s in parts]),
    )


def gather_charts(charts: list[Chart], kernel_size: int) -> list[Convolution]:
    """The head of a block: row 0 receives the `linear_forms`, the stream being read.

    Returns
    -------
    list of Convolution
        From the stream to one channel for each form.
    """
    forms, offset, steps, start = linear_forms(charts)
    chain = gather(forms, offset, kernel_size, steps, start)
    partition = charts[0].partition
    if partition is not None:  # channels: the squares of the coordinates, the coordinates
        squares = layers.keep_input(layers.square(partition.refinement))
        chain = [Convolution.from_layer(layer) for layer in squares] + chain
    return [_reading_channel(chain[0], COORDINATES, STREAM), *chain[1:]]


def _factors(charts, runs):
    """The distinct one-dimensional factors of a block.

    Returns
    -------
    form, index, chart : int arrays (F,)
        Of each factor: which linear form it reads, its index and the number of its chart.
    places : int array (T, d)
        Which factors each term multiplies.
    """
    dim = charts[0].dim
    form, index, number, places = [], [], [], []
    count = 0
    for i, (chart, run) in enumerate(zip(charts, runs)):
        found = []
        for axis in range(dim):
            distinct, place = np.unique(chart.indices[run, axis], return_inverse=True)
            found.append(count + place.reshape(-1))
            form.append(np.full(len(distinct), i * dim + axis))
            number.append(np.full(len(distinct), i))
            index.append(distinct)
            count += len(distinct)
        places.append(np.stack(found, axis=1))
    return tuple(map(np.concatenate, (form, index, number, places)))


def _dense(weight, bias):
    """A layer with one group from numpy arrays (out, in) and (out,)."""
    return layers.Layer(torch.from_numpy(weight)[None], torch.from_numpy(bias)[None])


def _distances(order, k, form, index, forms):
    """The distances of the mesh coordinates from the centres of factors: plus and minus, then
    doublings of their sum.
    """
    count = len(form)
    first = np.zeros((count, 2, forms))
    first[np.arange(count), :, form] = 1.0, -1.0
    bias = (index + order / 2)[:, None] / 2**k * np.array([-1.0, 1.0])
    return [
        _dense(first.reshape(2 * count, forms), bias.reshape(-1)),
        *layers.repeat([layers.affine([[2.0, 2.0]])] + [layers.affine([[2.0]])] * (k - 1), count),
    ]


def _beside_partition(chain, charts, number):
    """The chain of `_distances` with the partition computed beside it; from its fourth layer on
    each factor is followed by ``rho`` of its chart, ``number`` (F,) (``lem-partition-net``).
    """
    partition = charts[0].partition
    centres, rows = distinct_centres(charts)
    own = np.array([r[-1] for r in rows])
    earlier = np.zeros((len(charts), len(centres)))
    for i, r in enumerate(rows):
        earlier[i, r[:-1]] = 1.0
    eye, zero = np.eye(len(charts)), np.zeros(len(charts))
    first, second, third, fourth = chain[: _PARTITION_LAYERS + 1]

    # w = sigma(beta r_1^2 - v), v the last of the forms
    within = np.zeros((len(centres), first.in_channels))
    within[:, -len(centres) :] = -np.eye(len(centres))
    height = np.full(len(centres), partition.gain * partition.outer)
    found = [
        _dense(
            np.concatenate([first.weight[0].numpy(), within]),
            np.concatenate([first.bias[0].numpy(), height]),
        )
    ]
    # q_i = sigma(1 - sum of the earlier w) and w_i
    both = np.concatenate([-earlier, np.eye(len(centres))[own]])
    found.append(_beside(second, both, np.concatenate([zero + 1, zero])))
    # z_i = sigma(w_i - q_i) and w_i
    cut = np.block([[-eye, eye], [0 * eye, eye]])
    found.append(_beside(third, cut, np.concatenate([zero, zero])))
    # rho_i = sigma(w_i - z_i), behind each of its factors
    last = _beside(fourth, np.concatenate([-eye, eye], axis=1)[number], zero[number])
    order = np.arange(2 * len(number)).reshape(2, -1).T.reshape(-1)
    found.append(layers.Layer(last.weight[:, order], last.bias[:, order]))
    return found + layers.carry(chain[_PARTITION_LAYERS + 1 :], 1)


def _beside(layer, weight, bias):
    """A layer and another one, numpy arrays (out, in) and (out,), side by side in one group."""
    mine = layers.joined(layer)
    return _dense(
        torch.block_diag(mine.weight[0], torch.from_numpy(weight)).numpy(),
        np.concatenate([mine.bias[0].numpy(), bias]),
    )


def term_block(
    charts: list[Chart], runs: list[slice], order: int, refinement: int, kernel_size: int
) -> list[Convolution]:
    """One residual block: ``S+ += sum_{c>0} c M~_j`` and ``S- += sum_{c<0} |c| M~_j``.

    With a partition the terms are ``mu_n(rho_i, M~_j)``: its function is their last factor.

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
    localised = charts[0].partition is not None
    k = doublings(charts[0].cells, localised)
    form, index, number, places = _factors(charts, runs)
    coefficients = torch.from_numpy(
        np.concatenate([c.coefficients[run] for c, run in zip(charts, runs)])
    )
    head = gather_charts(charts, kernel_size)
    count = len(form)
    chain = _distances(order, k, form, index, len(head[-1].bias))
    factor = layers.bspline_of_distance(order, refinement)
    if localised:
        chain = _beside_partition(chain, charts, number)
        factor = layers.carry([layers.joined(layer) for layer in factor], 1)
        # behind each factor its rho: any of them will do for the terms of a chart
        places = np.concatenate([2 * places, 2 * places[:, :1] + 1], axis=1)
    chain += layers.repeat(factor, count)
    if dim + localised > 1:
        products = layers.tensor_product(dim + localised, refinement)
        channels = count * (1 + localised)
        chain.append(layers.select(products[0], torch.from_numpy(places), channels))
        chain += layers.repeat(products[1:], len(places))
    else:
        per_factor = torch.zeros(count, **layers.NUMBERS)
        coefficients = per_factor.index_add_(0, torch.from_numpy(places[:, 0]), coefficients)
    last = torch.zeros(1, STREAM, chain[-1].out_channels, **layers.NUMBERS)
    last[0, POSITIVE] = coefficients.clamp(min=0)
    last[0, NEGATIVE] = (-coefficients).clamp(min=0)
    chain.append(layers.Layer(last, torch.zeros(1, STREAM, **layers.NUMBERS)))
    return head + [Convolution.from_layer(layer) for layer in chain]


def head_weights() -> Float64[Tensor, " 3"]:
    """``FC = S+ - S-``: the reason why ``kappa2 = 1``; float64 tensor (3,)."""
    head = torch.zeros(STREAM, **layers.NUMBERS)
    head[POSITIVE], head[NEGATIVE] = 1.0, -1.0
    return head
