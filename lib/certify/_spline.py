"""The spline of a piece over boxes: the polynomial of a cell, and what passing a knot adds to it
(book: ``lem-taylor``, ``lem-knots``).
"""

from functools import cache, reduce
from itertools import product
from math import comb, factorial

import numpy as np

from lib.intervals import UNIT, Balls, up
from lib.splines import pieces


@cache
def piece_table(order, derivative=0):
    """The pieces of ``N_m`` or of a derivative in float64 balls of radius one rounding: (m,
    degree + 1).
    """
    rows = [list(p) for p in pieces(order)]
    for _ in range(derivative):
        rows = [[k * c for k, c in enumerate(row)][1:] for row in rows]
    mid = np.array([[float(c) for c in row] for row in rows])
    return Balls(mid, UNIT * np.abs(mid))


def horner(rows, t):
    """Polynomials with coefficients ``rows[.., k]`` of ``t^k``, balls, at balls ``t``."""
    value = Balls(np.zeros(np.broadcast_shapes(rows.shape[:-1], t.shape)))
    for k in range(rows.shape[-1] - 1, -1, -1):
        value = value * t + rows[..., k]
    return value


# ---- the polynomial of a cell


def cell_polynomial(inner, order):
    """The polynomial that the spline is on a cell (``lem-taylor`` is applied to it).

    Parameters
    ----------
    inner : Balls, shape (P, m, .., m)
        The coefficients of the ``m^d`` terms, at the positions 0..m-1.
    order : int

    Returns
    -------
    Balls, shape (P, m, .., m)
        Coefficients of the powers of the place in the cell.
    """
    dim = len(inner.shape) - 1
    table = piece_table(order)
    mid, size, rad = inner.mid, np.abs(inner.mid), inner.rad
    for _ in range(dim):  # contract the first axis after the points, append the powers at the end
        mid = np.tensordot(mid, table.mid, (1, 0))
        rad = np.tensordot(rad, table.size, (1, 0))
        size = np.tensordot(size, np.abs(table.mid), (1, 0))
    # an axis brings the rounding of the table and a sum of m products, (m + 1) u; one more for
    # terms of second order
    rounded = dim * (order + 2) * UNIT * size
    return Balls(mid, up(rad + rounded, dim * (order + 1)))


def composed(coefficients, mesh):
    """A polynomial of several expansions, by Horner's rule in one after the other (``lem-taylor``).

    Parameters
    ----------
    coefficients : Balls, shape (P, m, .., m)
    mesh : list of Taylor
        The place in the cell, one for each axis.

    Returns
    -------
    Taylor
    """
    if len(mesh) == 1:
        return mesh[0].polynomial([coefficients[:, k] for k in range(coefficients.shape[1])])
    result = composed(coefficients[:, -1], mesh[1:])
    for k in range(coefficients.shape[1] - 2, -1, -1):
        result = result * mesh[0] + composed(coefficients[:, k], mesh[1:])
    return result


# ---- beyond the knots


def overshoots(low, high):
    """How far boxes reach beyond the right and the left knot of their cells, in mesh units."""
    return np.maximum(high - 1, 0), np.maximum(-low, 0)


def knot_terms(order, low, high, positions):
    """How far ``N_m`` may be from its piece in the cell, extended over the box: value and slope,
    (P, q) each (``lem-knots``, for one coefficient).

    Beyond a knot the two differ by ``binom(m, i) o^(m-1) / (m-1)!`` at most, ``o`` the overshoot,
    which must stay below one cell.
    """
    place = np.asarray(positions)
    over = [o[:, None] for o in overshoots(low, high)]
    jumps = [
        np.array([comb(order, i) if i >= 0 else 0 for i in p.tolist()]) for p in (place + 1, place)
    ]
    return [
        up(np.maximum(*(jump * _growth(order, o, k) for jump, o in zip(jumps, over))))
        for k in (0, 1)
    ]


def _differences(order):
    """The ``m``-th differences of the coefficients at the positions -1..m that are the jumps at the
    right and at the left knot of a cell: two float arrays (m + 2,).
    """
    right = [(-1.0) ** (i + 1) * comb(order, i + 1) for i in range(-1, order)] + [0.0]
    left = [0.0] + [(-1.0) ** (order - i) * comb(order, i) for i in range(order + 1)]
    return np.array(right), np.array(left)


def _growth(order, overshoot, derivative):
    """``o^(m-1) / (m-1)!`` or its derivative, rounded up (``lem-knots``)."""
    power = order - 1 - derivative
    grown = reduce(np.multiply, [overshoot] * power, (overshoot > 0).astype(float))
    return up(grown / factorial(power))


def spline_knots(order, low, high, size, steep, coefficients):
    """The spline minus the polynomial of the cell, extended over the box (``lem-knots``).

    Beyond a knot they differ by the ``m``-th difference of the coefficients times ``o^(m-1) /
    (m-1)!``, ``o`` the overshoot.  In one dimension the sign is kept, in several it is not.

    Parameters
    ----------
    low, high : float arrays (P, d)
        The boxes, in mesh units from the left ends of their cells.
    size, steep : lists of float arrays (P, m + 2)
        Sup of ``N_m`` and ``|N_m'|`` at the positions -1..m, for each axis.
    coefficients : Balls, shape (P, m + 2, .., m + 2)
        At the positions -1..m.

    Returns
    -------
    value, slopes : Balls, shapes (P,) and (P, d)
    """
    over = overshoots(low, high)
    if low.shape[1] == 1:
        return _signed_knots(order, [o[:, 0] for o in over], coefficients)
    return _unsigned_knots(order, over, size, steep, coefficients)


def _signed_knots(order, over, coefficients):
    """One variable: the jump of the ``(m-1)``-st derivative at either knot, times what grows from 0
    to its value at the overshoot.
    """
    value, slope = Balls(np.zeros(len(over[0]))), Balls(np.zeros(len(over[0])))
    # the overshoot grows to the right, or to the left
    for o, towards, row in zip(over, (1.0, -1.0), _differences(order)):
        slack = _slack(order, coefficients)
        jump = Balls(coefficients.mid @ row, up(slack @ np.abs(row), len(row)))
        value = value + _from_zero(jump * _growth(order, o, 0))
        slope = slope + _from_zero(jump * (_growth(order, o, 1) * towards))
    return value, Balls(slope.mid[:, None], slope.rad[:, None])


def _slack(order, coefficients, axes=1):
    """What coefficients may be off, with the rounding of differences along axes: sums of ``m + 2``
    products with integers, and one unit more for terms of second order.
    """
    return axes * (order + 3) * UNIT * np.abs(coefficients.mid) + coefficients.rad


def _from_zero(most):
    """Hulls of balls with 0."""
    return Balls.between(np.minimum(most.lower, 0), np.maximum(most.upper, 0))


def _unsigned_knots(order, over, size, steep, coefficients):
    """Several variables: for every set of axes that are beyond a knot, the jumps along these, the
    factors along the others; one axis after the other, as in the proof.
    """
    points, dim = over[0].shape
    value, slopes = np.zeros(points), np.zeros((points, dim))
    choices = product((None, 0, 1), repeat=dim)  # within, beyond the right, beyond the left knot
    for sides in list(choices)[1:]:  # not all within
        reach = _jumps(order, sides, coefficients)
        for derivative in (None, *range(dim)):  # the value, then the slope along each axis
            total = _grown(order, sides, over, (size, steep), reach, derivative)
            if derivative is None:
                value += total
            else:
                slopes[:, derivative] += total
    # an axis brings a sum of m + 2 products, or that of the slack and a growth; then the sum
    count = dim * (order + 4) + 3**dim
    return (
        Balls(np.zeros(points), up(value, count)),
        Balls(np.zeros((points, dim)), up(slopes, count)),
    )


def _jumps(order, sides, coefficients):
    """Moduli of the differences along the axes that are beyond a knot; the other axes last."""
    table = coefficients.mid
    slack = _slack(order, coefficients, len(sides))
    for side in sides:
        if side is None:
            table, slack = np.moveaxis(table, 1, -1), np.moveaxis(slack, 1, -1)
        else:
            row = _differences(order)[side]
            table = np.tensordot(table, row, (1, 0))
            slack = np.tensordot(slack, np.abs(row), (1, 0))
    return np.abs(table) + slack


def _grown(order, sides, over, sizes, total, derivative):
    """Jumps times the factors along the axes within their cells, and the growth along the others;
    ``derivative`` is the axis of a slope, or None.
    """
    for axis, side in enumerate(sides):
        if side is None:
            factor = sizes[axis == derivative][axis]
            total = np.einsum("pi...,pi->p...", total, factor)
    for axis, side in enumerate(sides):
        if side is not None:
            total = total * _growth(order, over[side][:, axis], int(axis == derivative))
    return total
