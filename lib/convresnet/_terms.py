"""Term blocks: sums of tensor-product B-splines as residual blocks (book: ``prop-realisation``)."""

from dataclasses import dataclass

import numpy as np
import torch

from lib.convresnet._gather import embed, gather, gather_depth
from lib.convresnet._module import Convolution, ConvResNet
from lib.convresnet._architecture import Architecture
from lib.errors import require
from lib.relu import fold_terms, layers


@dataclass(frozen=True)
class Stream:
    """Channels of the residual stream: ``x``, the ``d`` scaled coordinates, ``S+`` and ``S-``."""

    coordinates: int

    @property
    def positive(self):
        return self.coordinates + 1

    @property
    def negative(self):
        return self.coordinates + 2

    @property
    def width(self):
        return self.coordinates + 3

    def head(self):
        """``FC = S+ - S-``: the reason why ``kappa2 = 1``."""
        head = torch.zeros(self.width, dtype=torch.float64)
        head[self.positive], head[self.negative] = 1.0, -1.0
        return head


def doublings(cells):
    """``k = ceil(log2 N)``: the number of doubling layers (``lem-doubling``)."""
    return max(1, (cells - 1).bit_length())


def scaling_block(dim, cells, kernel_size):
    """The first block: ``u_i = (N / 2^k) x_i`` for every coordinate, in row 0 (``lem-gather``)."""
    stream = Stream(dim)
    matrix = np.eye(dim) * (cells / 2 ** doublings(cells))
    return embed(gather(matrix, np.zeros(dim), kernel_size), [0], list(range(1, dim + 1)), stream.width)


def term_block(indices, coefficients, order, cells, refinement):
    """One residual block: ``S+ += sum_{c>0} c M~_j`` and ``S- += sum_{c<0} |c| M~_j``.

    Parameters
    ----------
    indices : int64 array, shape (J, D)
        The multi-indices ``j`` of the terms.
    coefficients : float64 array, shape (J,)
    order, cells, refinement : int
        ``m``, ``N``, ``n``.

    Returns
    -------
    list of Convolution
        Filters of size one.  Terms that share a one-dimensional factor share its channels.
    """
    indices = np.asarray(indices)
    dim = indices.shape[1]
    stream, k = Stream(dim), doublings(cells)
    # the distinct factors (axis, index) and where each term finds its own
    factors, places = [], []
    for axis in range(dim):
        distinct, place = np.unique(indices[:, axis], return_inverse=True)
        places.append(len(factors) + place.reshape(-1))
        factors += [(axis, int(j)) for j in distinct]
    count = len(factors)

    first = torch.zeros(1, 2 * count, stream.width, dtype=torch.float64)
    bias = torch.zeros(1, 2 * count, dtype=torch.float64)
    for f, (axis, j) in enumerate(factors):
        centre = (j + order / 2) / 2**k
        first[0, 2 * f, 1 + axis], bias[0, 2 * f] = 1.0, -centre
        first[0, 2 * f + 1, 1 + axis], bias[0, 2 * f + 1] = -1.0, centre
    chain = [layers.Layer(first, bias)]
    chain += layers.repeat([layers.affine([[2.0, 2.0]])] + [layers.affine([[2.0]])] * (k - 1), count)
    chain += layers.repeat(layers.bspline_of_distance(order, refinement), count)
    if dim > 1:
        products = layers.tensor_product(dim, refinement)
        chain.append(layers.select(products[0], torch.from_numpy(np.stack(places, axis=1)), count))
        chain += layers.repeat(products[1:], len(indices))
        coefficients = torch.as_tensor(coefficients, dtype=torch.float64)
    else:
        per_factor = torch.zeros(count, dtype=torch.float64)
        coefficients = per_factor.index_add_(0, torch.from_numpy(places[0]),
                                             torch.as_tensor(coefficients, dtype=torch.float64))
    last = torch.zeros(1, stream.width, chain[-1].out_channels, dtype=torch.float64)
    last[0, stream.positive] = coefficients.clamp(min=0)
    last[0, stream.negative] = (-coefficients).clamp(min=0)
    chain.append(layers.Layer(last, torch.zeros(1, stream.width, dtype=torch.float64)))
    return [Convolution.from_layer(layer) for layer in chain]


def spline_network(coefficients, order, refinement, kernel_size, blocks):
    """The network for a tensor-product spline with ``N`` cells per axis (book: ``prop-realisation``).

    Parameters
    ----------
    coefficients : float64 array, shape (N + m - 1,) * D
    order, refinement : int
        ``m`` and ``n``.
    kernel_size : int
        ``K``.
    blocks : int
        Number of term blocks; the ``T`` terms are dealt out in lexicographic order, in runs whose
        lengths differ by at most one.

    Returns
    -------
    ConvResNet
        With ``blocks + 1`` residual blocks.
    """
    coefficients = np.asarray(coefficients, float)
    dim, cells = coefficients.ndim, coefficients.shape[0] - order + 1
    indices = np.stack(np.unravel_index(np.arange(coefficients.size), coefficients.shape), axis=1) - (order - 1)
    require(1 <= blocks <= coefficients.size, "blocks", blocks, f"from 1 to the number of terms, {coefficients.size}")
    parts = np.array_split(np.arange(coefficients.size), blocks)
    chain = [scaling_block(dim, cells, kernel_size)]
    chain += [term_block(indices[p], coefficients.reshape(-1)[p], order, cells, refinement) for p in parts]
    return ConvResNet(chain, Stream(dim).head(), dim)


def promised_architecture(dim, order, cells, refinement, kernel_size, blocks, largest_coefficient):
    """The sizes that ``prop-realisation`` promises, from its formulas (nothing is built).

    ``L = max(gather, k + 3 + pi_m + (D-1)(n+3))`` with ``pi_2, .., pi_5 = 0, n+2, 2n+4, 2n+3``;
    ``J = max(D + 3, J~ max(D w_m, D + 3 [D > 1]))`` with ``w_2, .., w_5 = 2, 6, 10, 9`` and ``J~`` the
    terms of a block; ``kappa1 = max(4, a_0 [m > 2], max |c_j|)``; ``kappa2 = 1``.
    """
    terms = -(-((cells + order - 1) ** dim) // blocks)
    n = refinement
    power_depth = {2: 0, 3: n + 2, 4: 2 * n + 4, 5: 2 * n + 3}[order]
    width = {2: 2, 3: 6, 4: 10, 5: 9}[order]
    depth = doublings(cells) + 3 + power_depth + (dim - 1) * (n + 3)
    return Architecture(
        M=blocks + 1,
        L=max(gather_depth(dim, kernel_size), depth),
        J=max(dim + 3, terms * max(dim * width, dim + 3 if dim > 1 else 0)),
        K=int(kernel_size),
        kappa1=max(4.0, max(a for _, _, a, _, _ in fold_terms(order)), float(largest_coefficient)),
        kappa2=1.0,
    )
