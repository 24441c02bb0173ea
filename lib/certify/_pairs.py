"""Two numbers of a layer that are the same linear form but for the bias (book:
``lem-interval-layer``).

What the next layer makes of ``sigma(t)`` and ``sigma(t - gamma)`` is a piecewise linear function of
``t`` alone, whose range and slopes over an interval are exact.  So a tent doubles a slope and does
not multiply it by six.
"""

from typing import NamedTuple

import numpy as np

from lib.intervals import UNIT, Balls, up

_LEAST = 2.0**-1074  # the smallest float: what a product that underflows may lose


class Pairs(NamedTuple):
    """Pairs of channels of a group that are ``t`` and ``t - gamma`` in every group.

    Attributes
    ----------
    first, second : int arrays (n,)
        Of ``t`` and of ``t - gamma``.
    gaps : float array, shape (groups, n, 1)
        ``gamma > 0``, a difference of two biases, rounded.
    """

    first: np.ndarray
    second: np.ndarray
    gaps: np.ndarray

    def without(self, weight):
        """The weights of all other channels."""
        if not len(self.first):
            return weight
        single = weight.copy()
        single[:, :, self.first] = 0
        single[:, :, self.second] = 0
        return single


NO_PAIRS = Pairs(np.zeros(0, int), np.zeros(0, int), np.zeros((0, 0, 1)))


def find_pairs(weight, bias):
    """The `Pairs` among the outputs of a layer: rows that agree in every group, and biases that
    are ordered in the same way in all of them.

    Parameters
    ----------
    weight, bias : float arrays, shapes (groups, out, in) and (groups, out)
    """
    free = list(range(weight.shape[1]))
    pairs, gaps = [], []
    while free:
        i = free.pop(0)
        for j in free:
            gap = bias[:, i] - bias[:, j]
            ordered = (gap > 0).all() or (gap < 0).all()
            if ordered and weight[:, i].any() and np.array_equal(weight[:, i], weight[:, j]):
                pairs.append((i, j) if gap[0] > 0 else (j, i))
                gaps.append(np.abs(gap))
                free.remove(j)
                break
    if not pairs:
        return NO_PAIRS
    upper, lower = np.array(pairs).T
    return Pairs(upper, lower, np.array(gaps).T[..., None])


class Tents(NamedTuple):
    """What a layer makes of pairs, ``phi(a) = v a + w sigma(a - gamma)`` of ``lem-interval-layer``
    with ``low <= a = sigma(t) <= high``; arrays that broadcast to (groups, out, n, rows P).

    Attributes
    ----------
    v, w : the weights of the two channels
    gap : ``gamma``, rounded
    low, high : what is known of ``a``
    """

    v: np.ndarray
    w: np.ndarray
    gap: np.ndarray
    low: np.ndarray
    high: np.ndarray

    @classmethod
    def of(cls, weight, value, pairs):
        """For weights (groups, out, in) and the balls (groups, in, rows P) that they multiply."""
        a = value[:, pairs.first]
        return cls(
            weight[:, :, pairs.first, None],
            weight[:, :, pairs.second, None],
            pairs.gaps[:, None],
            np.maximum(a.lower, 0)[:, None],
            a.upper[:, None],
        )

    def ranges(self, off, inputs):
        """``phi`` over the intervals: its extremes are at the ends and at ``gamma``.

        Parameters
        ----------
        off : float array, shape (groups, n, rows P)
            By how much ``gamma`` may be missed by the difference of the two numbers in float64.
        inputs : int
            ``q``, the numbers of which the layer makes a sum.

        Returns
        -------
        values : Balls, shape (groups, out, n, rows P)
            Hold the share of the two numbers in what float64 makes of the sum, in any order, too.
        rounding : float array of this shape
            What was allowed for that.
        """
        v, w, gap, low, high = self
        places = (low, high, np.clip(gap, low, high))
        ends = [v * a + w * np.maximum(a - gap, 0) for a in places]
        found = Balls.between(np.minimum.reduce(ends), np.maximum.reduce(ends))
        off = off[:, None]
        both = up(high + off) > gap * (1 - 2 * UNIT)  # where the second may be positive
        moved = np.abs(w) * both * (off + UNIT * gap)  # gamma by the noise, and as it is rounded
        share = np.abs(v) * high + np.abs(w) * both * (high + off)
        # (q + 2) u for three roundings here, (q + 2) u for whoever evaluates the sum
        rounding = up(moved + 2 * (inputs + 2) * (UNIT * share + _LEAST * (share > 0)))
        return Balls(found.mid, up(found.rad + rounding)), rounding

    def slopes(self):
        """The slope of ``phi`` in ``t``: one of ``0``, ``v`` and ``v + w``, by where ``t`` may be.

        Returns
        -------
        Balls, shape (groups, out, n, rows P)
        """
        v, w, gap, low, high = self
        near, far = gap * (1 - 2 * UNIT), gap * (1 + 2 * UNIT)  # of gamma, with this rounding
        pieces = ((low <= 0, np.zeros_like(v)), ((low < far) & (high > 0), v), (high > near, v + w))
        options = [np.where(here, slope, np.nan) for here, slope in pieces]
        slack = 2 * UNIT * (np.abs(v) + np.abs(w))  # for v + w, and for the ends with it
        return Balls.between(np.fmin.reduce(options) - slack, np.fmax.reduce(options) + slack)
