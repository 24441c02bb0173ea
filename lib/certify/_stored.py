"""What the stored weights of a network say: its charts and coefficients, and which terms are of another making."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from lib.certify._balls import Balls
from lib.certify._layers import stream, through
from lib.convresnet import (
    COORDINATES, NEGATIVE, POSITIVE, Convolution, doublings, gather_charts, linear_forms, spline_network,
)
from lib.errors import require


@dataclass(frozen=True, eq=False)
class Piece:
    """A sum of terms behind one affine map, as the weights have it.

    Attributes
    ----------
    matrix, offset : Balls, shapes (d, D) and (d,)
        Mesh coordinates ``u = matrix x + offset``.
    table : Balls, shape (N + m + 1,) * d
        Coefficient of the term ``j`` at ``j + m``: one more on each side than there can be terms.
    gate : lib.convresnet.Gate or None
    """

    matrix: Balls
    offset: Balls
    table: Balls
    gate: object = None

    @cached_property
    def reach(self):
        """Where in the table the first and the last term stand, int arrays (d,)."""
        used = np.nonzero((self.table.mid != 0) | (self.table.rad > 0))
        top = self.table.shape[0]
        return np.array([a.min(initial=top) for a in used]), np.array([a.max(initial=-1) for a in used])


@dataclass(frozen=True, eq=False)
class Damaged:
    """Terms of a block whose layers differ from the construction: they are propagated as they are.

    Attributes
    ----------
    chain : list of Convolution
        The layers of the block, restricted to these terms.
    counts : list of int
        Leading rows before and after each layer.
    coefficients : Balls, shape (T,)
    indices : int array, shape (T, d)
    """

    chain: list
    counts: list
    coefficients: Balls
    indices: np.ndarray

    def values_and_slopes(self, x):
        """The terms over boxes, ``x`` balls (P, D): balls (T, P) and (T, D, P)."""
        z, slopes = stream(Balls(x.mid.T, x.rad.T), self.chain[0].weight.shape[1])
        y, dy = through(self.chain, self.counts, z, slopes)
        return y[:, 0], dy[:, 0]


def _table(chart, order, indices, coefficients):
    """Coefficients (balls) of terms, padded."""
    shape = (chart.cells + order + 1,) * chart.dim
    mid, rad = np.zeros((2, *shape))
    place = tuple((np.asarray(indices) + order).T)
    np.add.at(mid, place, coefficients.mid)   # an index occurs once in a block
    np.add.at(rad, place, coefficients.rad)
    return Balls(mid, rad)


def read(charts, order, refinement, kernel_size, blocks, network):
    """Compare a module with the construction, weight by weight.

    Parameters
    ----------
    charts, order, refinement, kernel_size, blocks
        What `lib.convresnet.spline_network` takes.
    network : lib.convresnet.ConvResNet
        The module to be certified.

    Returns
    -------
    pieces : list of Piece
    damaged : list of Damaged

    Raises
    ------
    InputError
        If the module is not the construction with some weights changed in a way that can be read: another
        shape, a term added with a negative weight, coordinates overwritten, a gather layer that may cut.
    """
    ideal = spline_network(charts, order, refinement, kernel_size, blocks)
    mine, ours = network.numbers(), ideal.numbers()
    same = (network.dim == ideal.dim and network.channels == ideal.channels and len(mine) == len(ours) and all(
        len(a) == len(b) and all(p.weight.shape == q.weight.shape and p.groups == q.groups for p, q in zip(a, b))
        for a, b in zip(mine, ours)))
    require(same, "network", "another architecture", "the construction of these charts, up to changed weights")
    head = network.head.detach().numpy()
    changed = [[k for k, (p, q) in enumerate(zip(a, b)) if not ((p.weight == q.weight).all() and (p.bias == q.bias).all())]
               for a, b in zip(mine, ours)]
    if not any(changed) and (head == ideal.head.detach().numpy()).all():
        exact = _exact_offsets(charts, mine, kernel_size)
        return [Piece(Balls(c.matrix), offset, _table(c, order, c.indices, Balls(c.coefficients)), c.gate)
                for c, offset in zip(charts, exact)], []
    require(charts[0].gate is None, "network", "changed weights", "the construction itself, behind gates")
    require(head[COORDINATES] == 0, "network.head", head.tolist(), "without a weight for the coordinates")
    pieces, damaged = [], []
    chart, first = charts[0], 0
    depth = len(gather_charts([chart], kernel_size))
    for block, original, layers, size in zip(mine, ours, changed, _runs(len(chart.indices), blocks)):
        indices = chart.indices[first:first + size]
        first += size
        piece, broken = _read_block(chart, order, refinement, indices, block, original, layers, depth, head, network)
        pieces.append(piece)
        damaged += broken
    return pieces, damaged


def _runs(terms, blocks):
    return [len(part) for part in np.array_split(np.arange(terms), blocks)]


def _exact_offsets(charts, blocks, kernel_size):
    """The offsets of the charts as the biases of the gather layers add up to them, in mesh units."""
    if charts[0].gate is None:
        return [Balls(c.offset) for c in charts]
    scale = 2.0 ** doublings(charts[0].cells)
    found = []
    for c in charts:
        offset = linear_forms([c])[1]
        layers = gather_charts([c], kernel_size)[c.gate.refinement + 1:]
        total = Balls(np.zeros(len(offset)))
        for layer in layers:
            total = total + Balls(layer.bias.numpy()[-len(offset):])
        found.append(total[:-1] * scale)
    return found


def _read_block(chart, order, refinement, indices, block, original, layers, depth, head, network):
    dim = chart.dim
    last = block[-1]
    weight = last.weight[..., 0].numpy()
    require((weight >= 0).all() and (last.bias == 0).all() and (weight[COORDINATES] == 0).all(), "network",
            "the last layer of a block", "non-negative, without biases, and not writing to the coordinates")
    per_column = Balls(weight[POSITIVE]) * float(head[POSITIVE]) + Balls(weight[NEGATIVE]) * float(head[NEGATIVE])
    # factors and terms, numbered as in `term_block`
    factors = [np.unique(indices[:, axis], return_inverse=True) for axis in range(dim)]
    starts = np.cumsum([0] + [len(f) for f, _ in factors])
    places = np.stack([starts[axis] + inverse.reshape(-1) for axis, (_, inverse) in enumerate(factors)], axis=1)
    coefficients = per_column[places[:, 0]] if dim == 1 else per_column
    matrix = Balls(chart.matrix)
    if any(k < depth for k in layers):
        matrix = _read_gather(chart, block[:depth], network)
    broken = np.zeros(len(indices), bool)
    select = len(block) - 1 - (dim - 1) * (refinement + 3) if dim > 1 else len(block) - 1
    for k in layers:
        if depth <= k < len(block) - 1:
            p, q = block[k], original[k]
            rows = ((p.weight != q.weight).flatten(1).any(1) | (p.bias != q.bias)).numpy()
            units = starts[-1] if k < select else len(indices)
            unit = np.flatnonzero(rows) // (len(rows) // units)
            broken |= np.isin(places, unit).any(1) if k < select else np.isin(np.arange(len(indices)), unit)
    terms = np.flatnonzero(broken)
    require(not (len(terms) and any(k < depth for k in layers)), "network",
            "changed weights in gather layers and behind them", "changed in one or the other in each block")
    damaged = []
    if len(terms):
        chain = _restrict(block, depth, select, places, terms, starts[-1], dim, len(indices))
        counts = [1]
        for c in reversed(chain):
            counts.append(min(network.dim, counts[-1] + c.weight.shape[2] - 1))
        damaged = [Damaged(chain, counts[::-1], coefficients[terms], indices[terms])]
    return Piece(matrix, Balls(chart.offset), _table(chart, order, indices, coefficients)), damaged


def _read_gather(chart, layers, network):
    """The matrix that gather layers without biases and with weights that are not negative realise, in mesh units."""
    require(all((c.weight >= 0).all() and (c.bias == 0).all() for c in layers), "network", "the gather layers",
            "without biases and negative weights: partial sums might be cut")
    counts = [1]
    for c in reversed(layers):
        counts.append(min(network.dim, counts[-1] + c.weight.shape[2] - 1))
    z, _ = stream(Balls(np.eye(network.dim)), network.channels, gradient=False)
    y, _ = through(layers, counts[::-1], z, None)
    return y[:, 0] * 2.0 ** doublings(chart.cells)


def _restrict(block, depth, select, places, terms, factors, dim, count):
    """The layers of a block that some terms need."""
    used = np.unique(places[terms])
    chain = list(block[:depth])
    for k in range(depth, len(block) - 1):
        c = block[k]
        units, kept = (factors, used) if k < select else (count, terms)
        rows = (kept[:, None] * (len(c.weight) // units) + np.arange(len(c.weight) // units)).reshape(-1)
        weight = c.weight[rows]
        if c.groups == 1 and k == select and dim > 1:   # reads the outputs of all factors
            weight = weight[:, used]
        groups = 1 if c.groups == 1 else c.groups * len(kept) // units
        chain.append(Convolution(weight, c.bias[rows], groups))
    if dim == 1:   # a term is its factor
        order = np.searchsorted(used, places[terms, 0])
        chain.append(Convolution(chain[-1].weight.new_tensor(np.eye(len(used))[order][..., None]),
                                 chain[-1].bias.new_zeros(len(terms)), 1))
    return chain
