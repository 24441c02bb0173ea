"""Where boxes are: in which cell of the mesh of a piece (book: ``thm-certificate``)."""

from typing import NamedTuple

import numpy as np

from lib.intervals import Balls, span

# of a cell: boxes that reach further beyond it are refined; the window has one term more on each
# side, which is enough up to a whole cell
_OVERSHOOT = 0.5


class Placed(NamedTuple):
    """Boxes on which terms of a piece are alive, each in one cell of its mesh.

    Attributes
    ----------
    part : int array (P,)
        Their rows among all boxes.
    low, high : float arrays (P, d)
        Their ranges in mesh units from the left ends of the cells; more than half a cell beyond one
        of these they are not.
    window : Balls, shape (P, m + 2, .., m + 2)
        The coefficients of the terms at the positions -1..m: position ``i`` is for the term whose
        support begins ``i`` cells to the left of the cell.
    at, over : lists of Taylor
        The same coordinates as expansions.
    """

    part: np.ndarray
    low: np.ndarray
    high: np.ndarray
    window: Balls
    at: list
    over: list

    @property
    def inner(self):
        """The coefficients of the ``m^d`` terms that are alive in the cells: positions 0..m-1."""
        return self.window[(slice(None),) + (slice(1, -1),) * self.low.shape[1]]

    @property
    def beyond_knots(self):
        """Whether any box reaches beyond its cell."""
        return bool((self.low < 0).any() or (self.high > 1).any())

    def speeds(self, radius):
        """The derivatives of the mesh coordinates along the parameters, ``d_k (A_i X)`` of
        ``lem-knots``: a list over the parameters of lists over the axes, balls (P,).
        """
        inverse = 1 / radius[self.part]
        return [
            [
                Balls.between(*span(a.derivative(k), o.derivative(k))) * inverse
                for a, o in zip(self.at, self.over)
            ]
            for k in range(self.at[0].dim)
        ]


def place(piece, domain, local, order):
    """Put boxes in cells (``thm-certificate``; ``lem-knots`` where a box exceeds the cell of its
    middle by little).

    Parameters
    ----------
    piece : lib.certify._pieces.Piece
    domain : lib.domains.Patch
    local : lib.domains.Local
    order : int

    Returns
    -------
    placed : Placed or None
        The boxes on which terms of the piece are alive.
    undecided : int array
        Boxes that must be refined first: they count as infinite.
    """
    part = domain.boxes_of(piece.chart, local)
    if not len(part):
        return None, part
    at, over, low, high = domain.mesh(local[part], piece)
    cell = np.clip(np.floor((low + high) / 2), 0, piece.table.shape[0] - order - 2)
    window = _window(piece.table, cell, order)
    low_in, high_in = low - cell, high - cell  # exact: of numbers near to each other
    wide = ((low_in < -_OVERSHOOT) | (high_in > 1 + _OVERSHOOT)).any(1)
    alive = np.where(wide, _overlap(piece, low, high, order), _touched(window, low_in, high_in))
    undecided = part[alive & wide]
    keep = np.flatnonzero(alive & ~wide)
    if not len(keep):
        return None, undecided
    at, over = (
        [t[keep] + Balls(-cell[keep, a]) for a, t in enumerate(mesh)] for mesh in (at, over)
    )
    return Placed(part[keep], low_in[keep], high_in[keep], window[keep], at, over), undecided


def _along(row, axis, dim):
    """Rows (P, m + 2) for one axis, to be broadcast against windows."""
    return row.reshape(len(row), *[1] * axis, row.shape[1], *[1] * (dim - 1 - axis))


def _window(table, cell, order):
    """The coefficients at the positions -1..m around cells (P, d); the table is padded."""
    dim = cell.shape[1]
    rows = cell.astype(int)[:, :, None] - np.arange(-1, order + 1) + order
    return table[tuple(_along(rows[:, a], a, dim) for a in range(dim))]


def _touched(window, low, high):
    """Whether a term of the window is alive on the box: one next to the cell counts only where the
    box reaches over the knot.
    """
    points, dim = low.shape
    touched = window.size > 0
    for a in range(dim):
        reached = np.ones((points, window.shape[1]), bool)
        reached[:, 0], reached[:, -1] = high[:, a] > 1, low[:, a] < 0
        touched &= _along(reached, a, dim)
    return touched.reshape(points, -1).any(1)


def _overlap(piece, low, high, order):
    """Whether boxes that no window describes may meet the support of a term."""
    first, last = piece.extent
    return ((high > first - order) & (low < last)).all(1)
