"""What the stored weights of a network say: its charts and coefficients, and which terms are of
another making.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from lib.certify._layers import stream, through
from lib.convresnet import (
    COORDINATES,
    NEGATIVE,
    POSITIVE,
    Convolution,
    changed_layers,
    computes_its_weights,
    doublings,
    gather_charts,
    gather_depth,
    head_weights,
    linear_forms,
    same_form,
)
from lib.errors import require
from lib.intervals import Balls


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
        return np.array([a.min(initial=top) for a in used]), np.array(
            [a.max(initial=-1) for a in used]
        )


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
    np.add.at(mid, place, coefficients.mid)  # an index occurs once in a block
    np.add.at(rad, place, coefficients.rad)
    return Balls(mid, rad)


def check_terms(charts, order, cells):
    """Raise `InputError` unless charts are what a certificate takes them for.

    Either all have gates, or there is a single one, the cube's: ``u = N x`` without an offset.
    Terms are distinct, within the mesh, and have finite coefficients.
    """
    gated = [c.gate is not None for c in charts]
    require(
        all(gated) or len(charts) == 1,
        "charts",
        f"{len(charts)}, of which {sum(gated)} have gates",
        "one without a gate, or all with gates",
    )
    chart = charts[0]
    require(
        all(gated)
        or chart.cells == cells
        and np.array_equal(chart.matrix, cells * np.eye(chart.ambient_dim))
        and not np.any(chart.offset),
        "charts",
        "another affine map",
        f"the mesh of the cube, u = {cells} x",
    )
    for c in charts:
        indices = np.asarray(c.indices)
        require(
            indices.dtype.kind == "i" and indices.shape == (len(c.coefficients), c.dim),
            "indices",
            (indices.dtype, indices.shape),
            f"integers, {c.dim} for each coefficient",
        )
        require(
            indices.size > 0 and indices.min() > -order and indices.max() < c.cells,
            "indices",
            "outside the mesh",
            f"from {1 - order} to {c.cells - 1}",
        )
        flat = np.ravel_multi_index(tuple((indices + order - 1).T), (c.cells + order - 1,) * c.dim)
        require(
            len(np.unique(flat)) == len(flat), "indices", "a term that occurs twice", "distinct"
        )
        require(
            bool(np.isfinite(c.coefficients).all()),
            "coefficients",
            "numbers that are not finite",
            "finite",
        )


def read(construction, network):
    """Compare a module with the construction, weight by weight; what cannot be read is refused.

    A block can be read if it takes nothing but the coordinates from the stream and leaves them as
    they are, if its gather layers are a matrix (no bias, no negative weight), and if its last layer
    adds up terms (no bias, no negative weight). Whatever lies between is read as a term with other
    layers.

    Parameters
    ----------
    construction : lib.convresnet.Construction
        Its charts have passed `check_terms`.
    network : lib.convresnet.ConvResNet
        The module to be certified.

    Returns
    -------
    pieces : list of Piece
    damaged : list of Damaged
    unchanged : bool
        Whether every number is that of the construction.

    Raises
    ------
    InputError
        If the module is not the construction with some weights changed in a way that can be read.
    """
    require(
        computes_its_weights(network),
        "network",
        type(network).__name__,
        "a ConvResNet of finite float64 weights, without hooks, parametrizations or other layers",
    )
    mine = network.numbers()
    charts = construction.charts
    order = construction.order
    refinement = construction.refinement
    kernel_size = construction.kernel_size
    blocks = construction.blocks
    ours = list(construction.layers())
    head = network.head.detach()
    same = (
        network.dim == charts[0].ambient_dim
        and head.shape == head_weights().shape
        and len(mine) == len(ours)
        and all(map(same_form, mine, ours))
    )
    require(
        same,
        "network",
        "another architecture",
        "the construction of these charts, up to changed weights",
    )
    changed = [changed_layers(*pair) for pair in zip(mine, ours)]
    if not any(changed) and bool((head == head_weights()).all()):
        exact = _exact_offsets(charts, mine, kernel_size)
        return (
            [
                Piece(
                    Balls(c.matrix),
                    offset,
                    _table(c, order, c.indices, Balls(c.coefficients)),
                    c.gate,
                )
                for c, offset in zip(charts, exact)
            ],
            [],
            True,
        )
    require(
        charts[0].gate is None,
        "network",
        "changed weights",
        "the construction itself, behind gates",
    )
    head = head.numpy()
    require(
        head[COORDINATES] == 0,
        "network.head",
        head.tolist(),
        "without a weight for the coordinates",
    )
    pieces, damaged, first = [], [], 0
    for number, (block, layers, size) in enumerate(
        zip(mine, changed, _runs(len(charts[0].indices), blocks))
    ):
        run = slice(first, first + size)
        name = f"network.blocks[{number}]"
        if not size:
            require(not layers, name, "a block without terms that is not zero", "zero")
            continue
        reader = _Block(charts[0], run, refinement, kernel_size, name, block)
        pieces.append(reader.piece(order, layers, head))
        damaged += reader.damaged(layers, ours[number], head)
        first += size
    return pieces, damaged, False


def _runs(terms, blocks):
    return [len(part) for part in np.array_split(np.arange(terms), blocks)]


def _exact_offsets(charts, blocks, kernel_size):
    """The offsets of the charts as the biases of the gather layers add up to them, in mesh
    units.
    """
    if charts[0].gate is None:
        return [Balls(c.offset) for c in charts]  # zero
    scale = 2.0 ** doublings(charts[0].cells)
    found = []
    for c in charts:
        offset = linear_forms([c])[1]
        layers = gather_charts([c], kernel_size)[c.gate.refinement + 1 :]
        total = Balls(np.zeros(len(offset)))
        for layer in layers:
            total = total + Balls(layer.bias.numpy()[-len(offset) :])
        found.append(total[:-1] * scale)
    return found


class _Block:
    """One residual block of the cube's chart, some of whose numbers may be others than those of the
    construction.

    Its layers, in this order: `depth` that gather, those of the factors, those of the products from
    `select` on (if ``D > 1``), and one that adds up.
    """

    def __init__(self, chart, run, refinement, kernel_size, name, block):
        self.chart = chart
        self.indices = chart.indices[run]
        self.name = name
        self.block = block
        self.dim = chart.dim
        self.last = len(block) - 1
        self.depth = gather_depth(chart.ambient_dim, kernel_size)
        self.select = self.last - (self.dim - 1) * (refinement + 3)
        # factors, numbered as in `term_block`, and which of them each term multiplies
        found = [np.unique(self.indices[:, axis], return_inverse=True) for axis in range(self.dim)]
        starts = np.cumsum([0] + [len(distinct) for distinct, _ in found])
        self.factors = int(starts[-1])
        self.places = np.stack(
            [starts[axis] + place.reshape(-1) for axis, (_, place) in enumerate(found)], axis=1
        )
        self._check_ends()

    def _check_ends(self):
        first, last = self.block[0].weight, self.block[-1]
        require(
            bool((first[:, [POSITIVE, NEGATIVE]] == 0).all()),
            self.name,
            "a first layer that reads S+ or S-",
            "one that takes only coordinates from the stream",
        )
        adds = (
            (last.weight >= 0).all()
            and (last.bias == 0).all()
            and (last.weight[COORDINATES] == 0).all()
        )
        require(
            bool(adds),
            self.name,
            "another last layer",
            "one without negative weights and biases that does not write to the coordinates",
        )

    def coefficients(self, head):
        """The coefficients of the terms, as the last layer and ``FC`` have them: balls (T,)."""
        weight = self.block[-1].weight[..., 0].numpy()
        found = Balls(weight[POSITIVE]) * float(head[POSITIVE]) + Balls(weight[NEGATIVE]) * float(
            head[NEGATIVE]
        )
        return found[self.places[:, 0]] if self.dim == 1 else found

    def piece(self, order, changed, head):
        """The `Piece` of all terms of the block."""
        matrix = (
            self._matrix() if any(k < self.depth for k in changed) else Balls(self.chart.matrix)
        )
        return Piece(
            matrix,
            Balls(self.chart.offset),
            _table(self.chart, order, self.indices, self.coefficients(head)),
        )

    def _matrix(self):
        """The matrix that the gather layers realise, in mesh units."""
        layers = self.block[: self.depth]
        require(
            all(bool((c.weight >= 0).all() and (c.bias == 0).all()) for c in layers),
            self.name,
            "gather layers with biases or negative weights",
            "without: partial sums might be cut",
        )
        z, _ = stream(
            Balls(np.eye(self.chart.ambient_dim)), layers[0].weight.shape[1], gradient=False
        )
        y, _ = through(layers, self._rows(layers), z, None)
        return y[:, 0] * 2.0 ** doublings(self.chart.cells)

    def _rows(self, layers):
        """How many leading rows are needed before a chain of layers and after each, so that its
        row 0 is right.
        """
        counts = [1]
        for c in reversed(layers):
            counts.append(min(self.chart.ambient_dim, counts[-1] + c.weight.shape[2] - 1))
        return counts[::-1]

    def damaged(self, changed, original, head):
        """`Damaged`, in a list, if layers behind the gather layers have changed; an empty list
        otherwise.
        """
        terms = np.flatnonzero(self._touched(changed, original))
        if not len(terms):
            return []
        require(
            not any(k < self.depth for k in changed),
            self.name,
            "changed weights in gather layers and behind them",
            "changed in one or the other in each block",
        )
        chain = self._restricted(terms)
        return [
            Damaged(chain, self._rows(chain), self.coefficients(head)[terms], self.indices[terms])
        ]

    def _touched(self, changed, original):
        """Which terms have a changed number in a layer of their own or of a factor: bool (T,)."""
        found = np.zeros(len(self.indices), bool)
        for k in changed:
            if self.depth <= k < self.last:
                p, q = self.block[k], original[k]
                rows = ((p.weight != q.weight).flatten(1).any(1) | (p.bias != q.bias)).numpy()
                if k < self.select:
                    factor = np.flatnonzero(rows) // (len(rows) // self.factors)
                    found |= np.isin(self.places, factor).any(1)
                else:
                    found[np.flatnonzero(rows) // (len(rows) // len(self.indices))] = True
        return found

    def _restricted(self, terms):
        """The layers of the block that some terms need, following the edges that are stored."""
        if self.dim > 1:
            used = (
                self._rows_of(self.select, len(self.indices), terms)
                .weight.ne(0)
                .any(2)
                .any(0)
                .nonzero()[:, 0]
                .numpy()
            )
            # a term that reads no factor: any will do
            used = used if len(used) else np.zeros(1, int)
        else:
            used = np.unique(self.places[terms])
        chain = self.block[: self.depth]
        for k in range(self.depth, self.last):
            units, kept = (self.factors, used) if k < self.select else (len(self.indices), terms)
            layer = self._rows_of(k, units, kept)
            if k == self.select and self.dim > 1:  # one group: reads the outputs of all factors
                layer = Convolution(layer.weight[:, used], layer.bias, 1)
            chain.append(layer)
        if self.dim == 1:  # a term is its factor
            place = np.eye(len(used))[np.searchsorted(used, self.places[terms, 0])][..., None]
            chain.append(
                Convolution(
                    chain[-1].weight.new_tensor(place), chain[-1].bias.new_zeros(len(terms)), 1
                )
            )
        return chain

    def _rows_of(self, k, units, kept):
        """Layer ``k`` with the outputs of some of its units, and their groups if it has one for
        each.
        """
        c = self.block[k]
        each = len(c.weight) // units
        rows = (kept[:, None] * each + np.arange(each)).reshape(-1)
        return Convolution(
            c.weight[rows], c.bias[rows], 1 if c.groups == 1 else c.groups * len(kept) // units
        )
