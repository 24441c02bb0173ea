"""How far the terms of a network are from those of its spline over small boxes (book:
``lem-deviation``).

Everything here is an upper bound of a non-negative number, rounded up.
"""

from functools import cache
from math import comb, factorial
from typing import NamedTuple

import numpy as np

from lib.intervals import UNIT, Balls, up
from lib.relu import fold_terms
from lib.splines import pieces


class Factors(NamedTuple):
    """One-dimensional factors over the boxes, arrays (P, q): ``q`` positions of a term around the
    cell of its box.

    Attributes
    ----------
    size, steep : sup of ``N_m`` and of ``|N_m'|``
    value, slope : the network ``N~_m`` against ``N_m``, in value and slope
    alive : bool
        Whether the factor is anything but zero.
    """

    size: np.ndarray
    steep: np.ndarray
    value: np.ndarray
    slope: np.ndarray
    alive: np.ndarray


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


def power_deviation(order, refinement, z):
    """``p_{m-1} - z^{m-1}`` for ``z`` up to the given array: lowest, highest; and its slope
    (``lem-deviation``).
    """
    eps, delta = 4.0 ** (-refinement - 1), 2.0**-refinement
    zero = np.zeros_like(z)
    if order == 2:
        return zero, zero, zero
    if order == 3:
        return zero, zero + eps, zero + delta
    slope = np.minimum(2 * z + delta, 2)  # of sq_n
    if order == 4:
        return zero - eps, eps * (1 + z), eps + delta * (z + np.maximum(1, slope))
    return zero, eps * (2 * z**2 + eps + 1), 4 * z * eps + delta * (2 * (z**2 + eps) + slope)


def factors(order, refinement, low, high, positions):
    """The factors at given positions.

    Parameters
    ----------
    order, refinement : int
    low, high : float arrays (P,)
        The boxes, in mesh units from the left end of their cells.
    positions : sequence of int
        ``i`` for the term whose support begins ``i`` cells to the left of the cell.
    """
    place = np.asarray(positions)
    y_low, y_high = (
        np.nextafter(t[:, None] + place, side) for t, side in ((low, -np.inf), (high, np.inf))
    )
    nearest = np.maximum(np.maximum(y_low - order / 2, order / 2 - y_high), 0)
    least, most, slope = np.zeros((3, *nearest.shape))
    alive = np.zeros(nearest.shape, bool)
    reached = (
        (place >= 0) & (place < order)
        | (place < 0) & (high > 1)[:, None]
        | (place >= order) & (low < 0)[:, None]
    )
    for _, sign, a, width, scale in fold_terms(order):
        z = np.clip(up((width - nearest) / scale), 0, 1)
        e_low, e_high, e_slope = power_deviation(order, refinement, z)
        here = (nearest < width) & reached
        alive |= here
        rounded = 2 * UNIT * a if order > 3 else 0.0  # the weight a_r is stored rounded
        sides = (sign * a * e_low, sign * a * e_high)
        least += here * (np.minimum(*sides) - rounded)
        most += here * (np.maximum(*sides) + rounded)
        slope += here * (a * e_slope + 4 * rounded) / scale
    knots = knot_terms(order, low, high, positions)
    size, steep = (_piece_size(order, k, low, high, place) + knots[k] for k in (0, 1))
    return Factors(
        np.minimum(up(size), 1) * alive,
        up(steep) * alive,
        up(np.maximum(most, -least)),
        up(slope),
        alive,
    )


def _piece_size(order, derivative, low, high, place):
    """Sup over the boxes of the pieces (extended beyond their cells), (P, q); zero for positions
    outside 0..m-1.
    """
    t = Balls.between(low, high)
    table = piece_table(order, derivative)
    result = np.zeros((len(low), len(place)))
    for column, i in enumerate(place):
        if 0 <= i < order:
            value = Balls(np.zeros(len(low)))
            for k in range(table.shape[1] - 1, -1, -1):
                value = value * t + table[i, k]
            result[:, column] = value.size
    return result


def knot_terms(order, low, high, positions):
    """How far ``N_m`` may be from its piece in the cell, extended over the box: value and slope,
    (P, q) each.

    Beyond a knot the two differ by ``binom(m, i) o^(m-1) / (m-1)!`` at most, ``o`` the overshoot,
    which must stay below one cell.
    """
    place = np.asarray(positions)
    right = np.maximum(high - 1, 0)[:, None]
    left = np.maximum(-low, 0)[:, None]
    coefficient = {
        i: comb(order, i) / factorial(order - 1) if 0 <= i <= order else 0.0
        for i in range(-2, order + 3)
    }
    after, before = (np.array([coefficient[i] for i in p]) for p in (place + 1, place))
    found = []
    for k in (0, 1):
        power = order - 1 - k
        scale = factorial(order - 1) / factorial(power)
        grow = [np.where(o > 0, o**power, 0.0) for o in (right, left)]
        found.append(up(scale * np.maximum(after * grow[0], before * grow[1])))
    return found


def spline_knots(order, low, high, size, steep, coefficients):
    """The spline minus the polynomial of the cell, extended over the box: balls (P,), and of the
    slopes (P, d).

    Beyond a knot they differ by the ``m``-th difference of the coefficients times ``o^(m-1) /
    (m-1)!``, ``o`` the overshoot.  In one dimension the sign is kept, in several it is not.

    Parameters
    ----------
    low, high : float arrays (P, d)
    size, steep : lists of float arrays (P, m + 2)
        Sup of ``N_m`` and ``|N_m'|`` at the positions -1..m, for each axis.
    coefficients : Balls, shape (P, m + 2, .., m + 2)
        At the positions -1..m.
    """
    (points, dim), coefficients, unsure = low.shape, coefficients.mid, coefficients.rad
    # beyond the right knot, beyond the left one
    over = [np.maximum(high - 1, 0), np.maximum(-low, 0)]
    rows = [
        np.array(
            [
                (-1.0) ** (i + 1) * comb(order, i + 1) if i < order else 0.0
                for i in range(-1, order + 1)
            ]
        ),
        np.array(
            [
                (-1.0) ** (order - i) * comb(order, i) if i >= 0 else 0.0
                for i in range(-1, order + 1)
            ]
        ),
    ]

    def growth(side, axis, derivative):
        power = order - 1 - derivative
        o = over[side][:, axis]
        return np.where(o > 0, o**power, 0.0) / factorial(power) * (1 + 8 * UNIT)

    if dim == 1:
        value, slope = Balls(np.zeros(points)), Balls(np.zeros(points))
        for side, row in enumerate(rows):
            jump = Balls(
                coefficients @ row,
                up((64 * UNIT * np.abs(coefficients) + unsure) @ np.abs(row), 16),
            )
            towards = 1.0 - 2.0 * side  # the overshoot grows to the right, or to the left
            for k in (0, 1):
                most = jump * (growth(side, 0, k) * (towards if k else 1.0))
                part = Balls.between(np.minimum(most.lower, 0), np.maximum(most.upper, 0))
                value, slope = (value + part, slope) if k == 0 else (value, slope + part)
        return value, Balls(slope.mid[:, None], slope.rad[:, None])
    value, slopes = np.zeros(points), np.zeros((points, dim))
    for which in np.ndindex(*[2] * dim):  # 1: the axis is beyond a knot
        for sides in np.ndindex(*[2 if w else 1 for w in which]) if any(which) else ():
            table = coefficients
            slack = 64 * UNIT * np.abs(coefficients) + unsure
            for axis in range(dim):
                if which[axis]:  # contract the axis with the difference
                    row = rows[sides[axis]]
                    table, slack = (
                        np.tensordot(table, row, (1, 0)),
                        np.tensordot(slack, np.abs(row), (1, 0)),
                    )
                else:
                    table, slack = np.moveaxis(table, 1, -1), np.moveaxis(slack, 1, -1)
            reach = np.abs(table) + slack
            for k in [None, *range(dim)]:  # the value, then the slope along each axis
                total = reach
                for axis in (a for a in range(dim) if not which[a]):
                    total = np.einsum("pi...,pi->p...", total, (steep if axis == k else size)[axis])
                for axis in (a for a in range(dim) if which[a]):
                    total = total * growth(sides[axis], axis, int(axis == k))
                if k is None:
                    value += total
                else:
                    slopes[:, k] += total
    return Balls(np.zeros(points), up(value, 64)), Balls(np.zeros((points, dim)), up(slopes, 64))


def terms(order, refinement, axes):
    """``M~_j`` against ``M_j`` for every combination of positions (``lem-deviation``).

    Parameters
    ----------
    axes : list of Factors
        In the order in which the network multiplies.

    Returns
    -------
    value : float array (P, q^d)
    slopes : float array (d, P, q^d)
    """
    eps, delta = 4.0 ** (-refinement - 1), 2.0**-refinement
    first = axes[0]
    size, error, alive = first.size, first.value, first.alive
    slopes = [(first.slope, first.steep)]
    for f in axes[1:]:

        def join(a, b):  # (P, n) and (P, q) to (P, n q)
            return (a[:, :, None] * b[:, None, :]).reshape(len(a), -1)

        ones, mine = np.ones_like(size), np.ones_like(f.size)
        joined = join(alive, f.alive)
        steps = []
        for slope, steep in slopes:
            kept = join(slope, np.minimum(1, f.size + f.value + delta)) + join(
                steep, delta + f.value
            )
            steps.append((joined * up(kept), joined * up(join(steep, f.size))))
        own = join(np.minimum(1, size + error + delta), f.slope) + join(delta + error, f.steep)
        steps.append((joined * up(own), joined * up(join(size, f.steep))))
        error = joined * up(
            join(np.minimum(1, size + error), f.value)
            + join(error, f.size)
            + eps * join(ones, mine)
        )
        size, alive, slopes = joined * up(join(size, f.size)), joined, steps
    return error, np.stack([s for s, _ in slopes])
