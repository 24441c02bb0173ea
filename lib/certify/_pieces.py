"""What a certificate takes a network for: sums of terms behind affine maps, and terms of another
making (book: chapter 10).
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from lib.certify._layers import stream, through
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
    chart : int
        The number of the chart; 0 on a cube.
    """

    matrix: Balls
    offset: Balls
    table: Balls
    chart: int = 0

    @cached_property
    def extent(self):
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


def padded_table(chart, order, indices, coefficients):
    """Coefficients (balls) of terms, padded."""
    shape = (chart.cells + order + 1,) * chart.dim
    mid, rad = np.zeros((2, *shape))
    place = tuple((np.asarray(indices) + order).T)
    np.add.at(mid, place, coefficients.mid)  # an index occurs once in a block
    np.add.at(rad, place, coefficients.rad)
    return Balls(mid, rad)
