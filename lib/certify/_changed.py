"""Terms whose layers are not those of the construction: propagated as they are, against their
B-splines (book: ``thm-certificate``, ``lem-interval-layer``).
"""

import numpy as np
from flint import arb

from lib.certify._spline import horner, piece_table
from lib.intervals import UNIT, Balls, precision, up


def changed_terms(changed, boxes, cells, order):
    """``sum_j |c_j| |M_j - M^_j|`` over boxes and the same of the slopes, ``M^_j`` the terms as
    their stored layers make them (``thm-certificate``).

    Values are compared at the middles; over a box they differ by the slopes times the radius more.

    Parameters
    ----------
    changed : lib.certify._pieces.Damaged
    boxes : lib.domains.Boxes
        In mesh units of the cube.
    cells, order : int

    Returns
    -------
    value, slopes : float arrays, shapes (P,) and (D, P)
        Upper bounds; slopes in mesh units.
    """
    size = changed.coefficients.size[:, None]
    middles, slopes = _network_terms(changed, boxes, cells)
    spline_middles, spline_slopes = _spline_terms(changed.indices, boxes, order)

    def weighted(gap):
        return up((gap.size * size).sum(0), len(size))

    steep = [weighted(network - spline) for network, spline in zip(slopes, spline_slopes)]
    total = weighted(middles - spline_middles)
    for s in steep:
        total = total + s * boxes.radius
    return up(total), np.stack(steep)


def _network_terms(changed, boxes, cells):
    """The terms of the stored layers at the middles, and over the boxes their slopes in mesh units
    (``lem-interval-layer``): balls (T, P) and a list over the axes of balls (T, P).
    """
    x = boxes.middle / cells
    rounded = np.abs(boxes.middle) * UNIT / cells  # the division
    values, _ = changed.values_and_slopes(Balls(x, up(rounded)))
    wide = Balls(x, up(boxes.radius[:, None] / cells + rounded))
    _, slopes = changed.values_and_slopes(wide)
    with precision():
        unit = Balls.from_flint([arb(1) / cells], ())  # 1 / N
    axes = range(boxes.middle.shape[1])
    return values, [Balls(slopes.mid[:, k], slopes.rad[:, k]) * unit for k in axes]


def _spline_terms(indices, boxes, order):
    """The same of the tensor product B-splines."""
    factors = [_factor(column, boxes, axis, order) for axis, column in enumerate(indices.T)]
    middles = _product([at for at, _, _ in factors])
    slopes = [
        _product([slope if a == k else over for a, (_, over, slope) in enumerate(factors)])
        for k in range(len(factors))
    ]
    return middles, slopes


def _product(factors):
    result = factors[0]
    for f in factors[1:]:
        result = result * f
    return result


def _factor(indices, boxes, axis, order):
    """``N_m(s - j)`` at the middles, over the boxes, and its slope over them: balls (T, P)."""
    cell = np.floor(boxes.middle[:, axis])
    t = boxes.middle[:, axis] - cell
    place = cell.astype(int) - indices[:, None]
    inside = (place >= 0) & (place < order)
    row = np.where(inside, place, 0)
    return [
        horner(piece_table(order, derivative)[row], Balls(t, radius)) * inside.astype(float)
        for radius, derivative in ((0.0, 0), (boxes.radius, 0), (boxes.radius, 1))
    ]
