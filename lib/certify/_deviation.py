"""How far the terms of a network are from those of its spline over small boxes (book:
``lem-deviation``).

Everything here is an upper bound of a non-negative number, rounded up.
"""

from functools import reduce
from typing import NamedTuple

import numpy as np

from lib.certify._spline import horner, knot_terms, piece_table
from lib.intervals import UNIT, Balls, up
from lib.relu import fold_terms


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


def power_deviation(degree, refinement, z):
    """*Powers* of ``lem-deviation`` for ``z`` up to the given array: the ends of ``p_degree -
    z^degree``, and the modulus of its slope.
    """
    zero = np.zeros_like(z)
    if degree == 1:
        return zero, zero, zero
    eps, delta = 4.0 ** (-refinement - 1), 2.0**-refinement
    half = degree // 2
    if degree % 2:
        even = degree - 1
        low, high, slope = power_deviation(even, refinement, z)
        steep = np.minimum(even * z ** (even - 1) + slope, even)  # of p_even
        error = np.maximum(high, -low)
        slope = error + z * slope + delta * np.maximum(1, steep)
        return z * low - eps, z * high + eps, slope
    low, high, slope = power_deviation(half, refinement, z)
    power = z**half
    steep = np.minimum(2 * (power + high) + delta, 2)  # of sq_n at p_half
    error = np.maximum(high, -low)
    slope = steep * slope + (delta + 2 * error) * (half * z ** (half - 1))
    return 2 * power * low, high * (2 * power + high) + eps, slope


def factor_deviations(order, refinement, low, high, positions):
    """The factors at given positions (``lem-deviation``).

    Parameters
    ----------
    order, refinement : int
    low, high : float arrays (P,)
        The boxes, in mesh units from the left end of their cells.
    positions : sequence of int
        ``i`` for the term whose support begins ``i`` cells to the left of the cell.

    Returns
    -------
    Factors
    """
    place = np.asarray(positions)
    nearest = _distance(order, low, high, place)
    reached = _reached(order, low, high, place)
    value, slope, alive = _fold_deviation(order, refinement, nearest, reached)
    knots = knot_terms(order, low, high, positions)
    size, steep = (_piece_size(order, k, low, high, place) + knots[k] for k in (0, 1))
    return Factors(np.minimum(up(size), 1) * alive, up(steep) * alive, value, slope, alive)


def _distance(order, low, high, place):
    """A lower bound of ``|x - m/2|`` over the boxes, in the variable of each term: (P, q)."""
    first = np.nextafter(low[:, None] + place, -np.inf)
    last = np.nextafter(high[:, None] + place, np.inf)
    distance = np.maximum(first - order / 2, order / 2 - last)
    return np.maximum(np.nextafter(distance, -np.inf), 0)


def _reached(order, low, high, place):
    """Whether the box meets more of a support than its end at a knot of the cell: bool (P, q)."""
    within = (place >= 0) & (place < order)
    beyond_right = (place < 0) & (high > 1)[:, None]
    beyond_left = (place >= order) & (low < 0)[:, None]
    return within | beyond_right | beyond_left


def _fold_deviation(order, refinement, nearest, reached):
    """*Factors* of ``lem-deviation``: the network against ``N_m`` in value and slope, summed over
    the folds with ``z_r > 0``, and whether there are any.
    """
    least, most, slope = np.zeros((3, *nearest.shape))
    alive = np.zeros(nearest.shape, bool)
    for _, sign, a, width, scale in fold_terms(order):
        z = np.clip(up((width - nearest) / scale), 0, 1)
        e_low, e_high, e_slope = power_deviation(order - 1, refinement, z)
        here = (nearest < width) & reached
        alive |= here
        # the weight a_r is stored rounded: u a_r p_{m-1} with p <= 1, |p'| < m (`lem-power`);
        # once more as that is the a_r of the sums here
        rounded = 2 * UNIT * a if order > 3 else 0.0
        sides = (sign * a * e_low, sign * a * e_high)
        least += here * (np.minimum(*sides) - rounded)
        most += here * (np.maximum(*sides) + rounded)
        slope += here * (a * e_slope + (order - 1) * rounded) / scale
    return up(np.maximum(most, -least)), up(slope), alive


def _piece_size(order, derivative, low, high, place):
    """Sup over the boxes of the pieces (extended beyond their cells), (P, q); zero for positions
    outside 0..m-1.
    """
    t = Balls.between(low, high)
    table = piece_table(order, derivative)
    result = np.zeros((len(low), len(place)))
    for column, i in enumerate(place):
        if 0 <= i < order:
            result[:, column] = horner(table[i], t).size
    return result


class _Product(NamedTuple):
    """The numbers of ``lem-deviation``, *Products*, after ``k`` factors, for every combination of
    their positions: arrays (P, q^k).

    Attributes
    ----------
    size, value : ``U_k`` and ``E_k``
    slopes, steeps : lists of ``F_{k,i}`` and ``V_{k,i}``, ``i = 1, .., k``
    alive : bool
    """

    size: np.ndarray
    value: np.ndarray
    slopes: list
    steeps: list
    alive: np.ndarray


def _join(a, b):
    """Products for all pairs of positions: (P, n) and (P, q) to (P, n q)."""
    return (a[:, :, None] * b[:, None, :]).reshape(len(a), -1)


def _times(p, f, eps, delta):
    """*Products* of ``lem-deviation``: the numbers after one more factor."""
    alive = _join(p.alive, f.alive)
    reach = np.minimum(1, f.size + f.value + delta)  # of |d mu / d b|
    slopes = [_join(F, reach) + _join(V, delta + f.value) for F, V in zip(p.slopes, p.steeps)]
    steeps = [_join(V, f.size) for V in p.steeps]
    slopes.append(
        _join(np.minimum(1, p.size + p.value + delta), f.slope) + _join(delta + p.value, f.steep)
    )
    steeps.append(_join(p.size, f.steep))
    value = _join(np.minimum(1, p.size + p.value), f.value) + _join(p.value, f.size) + eps
    return _Product(
        alive * up(_join(p.size, f.size)),
        alive * up(value),
        [alive * up(F) for F in slopes],
        [alive * up(V) for V in steeps],
        alive,
    )


def term_deviations(order, refinement, axes):
    """``M~_j`` against ``M_j`` for every combination of positions (``lem-deviation``).

    Parameters
    ----------
    axes : list of Factors
        In the order in which the network multiplies.

    Returns
    -------
    value : float array (P, q^d)
        ``E_d``.
    slopes : float array (d, P, q^d)
        ``F_{d,i}``.
    """
    first, *others = axes
    found = _Product(first.size, first.value, [first.slope], [first.steep], first.alive)
    for f in others:
        found = _times(found, f, 4.0 ** (-refinement - 1), 2.0**-refinement)
    return found.value, np.stack(found.slopes)


def alive_terms(axes):
    """Which of them are anything but zero (``prop-sparse``): bool array (P, q^d)."""
    return reduce(_join, [f.alive for f in axes])
