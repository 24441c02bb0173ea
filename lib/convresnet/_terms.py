"""Term blocks: sums of tensor-product B-splines as residual blocks (book: ``prop-realisation``)."""

import numpy as np
import torch

from lib.convresnet._architecture import Architecture
from lib.convresnet._gather import gather, gather_depth
from lib.convresnet._module import Convolution, ConvResNet
from lib.errors import integer
from lib.relu import fold_terms, layers

COORDINATES, POSITIVE, NEGATIVE = range(3)  # the stream: x, S+ and S-
STREAM = 3


def doublings(cells):
    """``k = max(1, ceil(log2 N))``: the number of doubling layers (``lem-doubling``)."""
    return max(1, (cells - 1).bit_length())


def _reading_channel(convolution, channel, channels):
    """The layer for a single input channel, reading one channel of a wider input."""
    weight = torch.zeros(
        convolution.weight.shape[0], channels, convolution.weight.shape[2], **layers.NUMBERS
    )
    weight[:, channel] = convolution.weight[:, 0]
    return Convolution(weight, convolution.bias)


def linear_forms(charts):
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
    gated = charts[0].gate is not None
    forms = []
    offsets = []
    steps = []
    starts = []
    for chart in charts:
        matrix, offset = chart.matrix * scale, chart.offset * scale
        if not gated:
            forms.append(matrix[:, None])
            offsets.append(offset)
            steps.append(np.maximum(-matrix, 0))
            starts.append(np.zeros(chart.dim))
            continue
        gate = chart.gate
        distance = gate.slope * np.stack([np.ones(chart.ambient_dim), -2 * gate.centre])
        forms += [np.stack([np.zeros_like(matrix), matrix], axis=1), distance[None]]
        offsets += [offset, [gate.slope * (gate.centre @ gate.centre - gate.inner)]]
        steps += [-matrix * gate.centre, gate.slope * gate.centre[None] ** 2]
        # |x - c| < R_2 wherever the gate is not closed, so no partial sum is below minus this
        starts += [np.linalg.norm(matrix, axis=1) * gate.outer**0.5, [0.0]]
    return tuple(map(np.concatenate, (forms, offsets, steps, starts)))


def gather_charts(charts, kernel_size):
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


def term_block(charts, runs, order, refinement, kernel_size):
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
    channel = []
    index = []
    places = []
    count = 0
    for number, (chart, run) in enumerate(zip(charts, runs)):
        found = []
        for axis in range(dim):
            distinct, place = np.unique(chart.indices[run, axis], return_inverse=True)
            found.append(count + place.reshape(-1))
            channel.append(np.full(len(distinct), number * (dim + gated) + axis))
            index.append(distinct)
            count += len(distinct)
        places.append(np.stack(found, axis=1))
    channel, index, places = (np.concatenate(part) for part in (channel, index, places))
    places = torch.from_numpy(places)
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


def spline_blocks(charts, order, refinement, kernel_size, blocks):
    """The residual blocks of `spline_network`, one after the other: lists of Convolution.

    Where there are more blocks than terms the last ones are zero: layers of the stream alone, as
    many as in the others.
    """
    ends, blocks = np.cumsum([len(c.indices) for c in charts]), integer("blocks", blocks, 1)
    chain = []
    for part in np.array_split(np.arange(ends[-1]), blocks):
        if not len(part):
            yield [
                Convolution(
                    torch.zeros(STREAM, STREAM, 1, **layers.NUMBERS),
                    torch.zeros(STREAM, **layers.NUMBERS),
                )
                for _ in chain
            ]
            continue
        low = part[0]
        high = part[-1] + 1
        mine = [
            i for i, end in enumerate(ends) if end > low and end - len(charts[i].indices) < high
        ]
        starts = [ends[i] - len(charts[i].indices) for i in mine]
        runs = [slice(max(low - s, 0), min(high, ends[i]) - s) for i, s in zip(mine, starts)]
        chain = term_block([charts[i] for i in mine], runs, order, refinement, kernel_size)
        yield chain


def spline_network(charts, order, refinement, kernel_size, blocks):
    """The network for a sum of splines behind charts (book: ``prop-realisation``, ``lem-skip``,
    ``lem-grouped``).

    Parameters
    ----------
    charts : list of Chart
        With the same ``d``, ``D`` and ``cells``; a single one for the cube (`cube_chart`).
    order, refinement : int
        ``m`` and ``n``.
    kernel_size : int
        ``K``.
    blocks : int
        The terms are dealt out in the order of the charts, in runs whose lengths differ by at most
        one; with more blocks than terms the last ones are zero.

    Returns
    -------
    ConvResNet
        With ``blocks`` residual blocks.
    """
    chain = list(spline_blocks(charts, order, refinement, kernel_size, blocks))
    return ConvResNet(chain, head_weights(), charts[0].ambient_dim)


def head_weights():
    """``FC = S+ - S-``: the reason why ``kappa2 = 1``; float64 tensor (3,)."""
    head = torch.zeros(STREAM, **layers.NUMBERS)
    head[POSITIVE], head[NEGATIVE] = 1.0, -1.0
    return head


def promised_architecture(charts, order, refinement, kernel_size, blocks):
    """The sizes that ``prop-realisation`` promises, from its formulas (nothing is built).

    ``L = [n_d + 1] + G + k + 3 + pi_m + (d-1)(n+3)`` with ``pi_2, .., pi_5 = 0, n+2, 2n+4, 2n+3``,
    the bracket only with gates; ``J = max(3, [4], C + a F, J~ max(d w_m, (d + 3) [d > 1]))`` with
    ``w_2, .., w_5 = 2, 6, 10, 9``, ``J~`` the terms of a block, ``a`` the charts that a block may
    meet, and ``C = 1, F = d`` without gates, ``C = 2, F = d + 1`` with them; ``kappa2 = 1``;
    ``kappa1 = max(4, a_0 [m > 2], max |c_j|)`` and, with gates, ``sqrt(K) b + beta`` and ``max(2, K
    - 1, R_1^2 + K) / (R_2^2 - R_1^2)``, ``b`` the slope of the charts over ``2^k`` and ``beta``
    that slope times ``R_2`` plus the mesh coordinate of the centre over ``2^k``.
    """
    sizes = [len(c.indices) for c in charts]
    terms = -(-sum(sizes) // blocks)
    n = refinement
    chart = charts[0]
    dim = chart.dim
    gated = chart.gate is not None
    power_depth = {2: 0, 3: n + 2, 4: 2 * n + 4, 5: 2 * n + 3}[order]
    width = {2: 2, 3: 6, 4: 10, 5: 9}[order]
    depth = (
        doublings(chart.cells)
        + 3
        + power_depth
        + (dim - 1) * (n + 3)
        + gather_depth(chart.ambient_dim, kernel_size)
    )
    met = min(len(charts), -(-(terms - 1) // min(sizes)) + 1)
    kappa1 = [
        4.0,
        max(a for _, _, a, _, _ in fold_terms(order)),
        max(float(np.abs(c.coefficients).max()) for c in charts),
    ]
    if gated:
        depth += chart.gate.refinement + 1
        scale = 2.0 ** -doublings(chart.cells)
        for c in charts:
            slope = np.linalg.norm(c.matrix, axis=1).max() * scale
            centred = np.abs(c.matrix @ c.gate.centre + c.offset).max() * scale
            kappa1 += [
                slope * (kernel_size**0.5 + c.gate.outer**0.5) + centred,
                max(2, kernel_size - 1) * c.gate.slope,
                c.gate.slope * (c.gate.inner + kernel_size),
            ]
    return Architecture(
        M=blocks,
        L=depth,
        J=max(
            4 if gated else STREAM,
            1 + gated + met * (dim + gated),
            terms * max(dim * width, dim + 3 if dim > 1 else 0),
        ),
        K=int(kernel_size),
        kappa1=max(kappa1),
        kappa2=1.0,
    )
