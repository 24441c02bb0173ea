"""One residual block of the cube, some of whose numbers may be others than those of the
construction (book: ``thm-certificate``).
"""

import numpy as np

from lib.certify._layers import stream, through
from lib.certify._pieces import Damaged, Piece, padded_table
from lib.convresnet import COORDINATES, NEGATIVE, POSITIVE, Convolution, doublings, gather_depth
from lib.errors import require
from lib.intervals import Balls


def check_sums(name, last):
    """Raise `InputError` unless a last layer adds terms to S+ and S- and does nothing else."""
    adds = (
        (last.weight >= 0).all()
        and (last.bias == 0).all()
        and (last.weight[COORDINATES] == 0).all()
    )
    require(
        bool(adds),
        name,
        "another last layer",
        "one without negative weights and biases that does not write to the coordinates",
    )


def added_up(last, head):
    """By what a last layer and ``FC``, float array (3,), multiply its inputs: balls (T,)."""
    weight = last.weight[..., 0].numpy()
    return Balls(weight[POSITIVE]) * float(head[POSITIVE]) + Balls(weight[NEGATIVE]) * float(
        head[NEGATIVE]
    )


class Block:
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
        self.select = self.last - (self.dim - 1) * (refinement + 3)  # layers of a product
        # factors, numbered as in `term_block`, and which of them each term multiplies
        found = [np.unique(self.indices[:, axis], return_inverse=True) for axis in range(self.dim)]
        starts = np.cumsum([0] + [len(distinct) for distinct, _ in found])
        self.factors = int(starts[-1])
        self.places = np.stack(
            [starts[axis] + place.reshape(-1) for axis, (_, place) in enumerate(found)], axis=1
        )
        self._check_ends()

    def _check_ends(self):
        first = self.block[0].weight
        require(
            bool((first[:, [POSITIVE, NEGATIVE]] == 0).all()),
            self.name,
            "a first layer that reads S+ or S-",
            "one that takes only coordinates from the stream",
        )
        check_sums(self.name, self.block[-1])

    def coefficients(self, head):
        """The coefficients of the terms, as the last layer and ``FC`` have them: balls (T,)."""
        found = added_up(self.block[-1], head)
        return found[self.places[:, 0]] if self.dim == 1 else found

    def piece(self, order, changed, head):
        """The `Piece` of all terms of the block."""
        matrix = (
            self._matrix() if any(k < self.depth for k in changed) else Balls(self.chart.matrix)
        )
        return Piece(
            matrix,
            Balls(self.chart.offset),
            padded_table(self.chart, order, self.indices, self.coefficients(head)),
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
