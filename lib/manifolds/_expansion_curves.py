"""Enclosed expansions of the charts of closed curves: one equation for the parameter (book:
``lem-chart``, ``lem-taylor``).

With ``G(s) = V^T (x(s) - c)``, ``s(t)`` is the inverse of ``G``, and ``x(s(t))`` is what is looked
for. Everything is done in the few coordinates of the frame of the curve; the ambient dimension
enters in the last step.
"""

from math import factorial
from typing import Any

import numpy as np
from flint import arb

from lib.intervals import UNIT, Balls, Taylor, precision, up
from lib.manifolds._expansion import each_chart, expansion, intersection, reciprocal, stack, total

_NEWTON = 12
_TRIES = 6
_MORE = 6  # orders beyond what is asked for, in which the series are known at points
_INFLATION = 1.25


def expansion_of_curve(
    curve: Any, centres: Any, frames: Any, t: list[Taylor], reach: float
) -> list[Taylor]:
    """`Geometry.expansion` of a `FourierCurve`; unique within this reach."""
    line = _Line(curve, centres, frames)

    def solver(part):
        return _Arcs(line, part)

    return expansion(solver, centres, frames, t, reach)


class _Line:
    """The curve, and what of its charts does not depend on ``t``.

    Attributes
    ----------
    weights : Balls, shape (p, P)
        ``U^T V``.
    offset : Balls, shape (P,)
        ``V^T (middle - c)``.
    start, forward : float64 arrays, shape (P,)
        The parameters of the centres, and the signs of ``G'`` there.
    """

    def __init__(self, curve, centres, frames):
        self.curve = curve
        centres, frames, place = each_chart(centres, frames)
        v = frames[:, :, 0].T
        rows = list(zip(curve.frame, curve.middle, v, centres.T))
        weights = total([Balls(u[:, None]) * w[None] for u, _, w, _ in rows])
        offset = total([(Balls(-c) + m) * w for _, m, w, c in rows])
        # one by one: products of matrices are rounded differently for every number of rows
        start = np.array([curve.parameter(c[None])[0] for c in centres])
        slopes = [curve.local(s, 1) @ w for s, w in zip(start, weights.mid.T)]
        self.weights, self.offset = weights[:, place], offset[place]
        self.start, self.forward = start[place], np.sign(slopes)[place]

    def parameters(self, part, t):
        """Floats near the parameters of ``t`` (P,), by Newton's method."""
        weights, offset = self.weights.mid[:, part], self.offset.mid[part]
        forward = self.forward[part]
        s = self.curve._further(self.start[part], forward * t)
        for _ in range(_NEWTON):
            y = _floats(self.curve, s)
            gap, slope = (total([w * u for w, u in zip(weights, rows)]) for rows in y)
            slope = slope * forward
            with np.errstate(divide="ignore", invalid="ignore"):
                s = s - np.where(slope > 0, forward * (gap + offset - t) / slope, 0.0)
        return s

    def series(self, s, count):
        """Taylor coefficients of the coordinates in the frame: at floats ``s`` (P,), balls (count,
        p, P); and bounds (p,) of the next ones everywhere.
        """
        c = self.curve
        with precision():
            values = [arb(x).sin_cos() for x in s.tolist()]
            sine, cosine = (Balls.from_flint([v[i] for v in values], s.shape) for i in range(2))
        waves = [(cosine, sine)]
        for _ in range(1, len(c.cosine)):  # cos kt and sin kt
            a, b = waves[-1]
            waves.append((a * cosine - b * sine, a * sine + b * cosine))
        a, b = (stack([w[i] for w in waves]) for i in range(2))
        turns = (a, b), (-b, a), (-a, -b), (b, -a)
        found = []
        for i in range(count):
            factor = np.array([k**i / factorial(i) for k in range(1, len(waves) + 1)])[:, None]
            u, v = (w * Balls(factor, 2 * UNIT * factor) for w in turns[i % 4])
            found.append(combined(c.cosine.T, u) + combined(c.sine.T, v))
        size = np.abs(c.cosine) + np.abs(c.sine)
        factor = np.array([k**count / factorial(count) for k in range(1, len(waves) + 1)])
        return stack(found), up(total(list(factor[:, None] * size)), 4 * len(waves))


def combined(weights: Any, b: Balls) -> Balls:
    """``weights b``, a float matrix (m, n) times balls (n, .., P), summed from left to right: the
    same for every number of boxes, as products of matrices are not.
    """
    count = weights.shape[1]
    mid, rad = np.zeros((2, len(weights), *b.shape[1:]))
    for i in range(count):
        f = weights[:, i].reshape(-1, *[1] * (b.mid.ndim - 1))
        # each term is rounded once, and passes through fewer than n + 1 sums with others
        mid += f * b.mid[i]
        with np.errstate(over="ignore", invalid="ignore"):
            rad += np.abs(f) * (b.rad[i] + (count + 3) * UNIT * np.abs(b.mid[i]))
    touched = total([(np.abs(w).max() > 0) * 1.0 for w in weights.T]) > 0
    return Balls(mid, up(rad, count) + 1e-300 * touched)


def _floats(curve, s):
    """The coordinates in the frame and their derivatives at floats: (p, P) each."""
    value = slope = 0.0
    for k, (p, q) in enumerate(zip(curve.cosine, curve.sine), 1):
        sine, cosine = np.sin(k * s), np.cos(k * s)
        value = value + (np.multiply.outer(p, cosine) + np.multiply.outer(q, sine))
        slope = slope + k * (np.multiply.outer(q, cosine) - np.multiply.outer(p, sine))
    return value, slope


def _around(series, most, radius):
    """Taylor coefficients at all points within a radius (P,) of where they are known, by the
    mean-value form from the highest down: balls (n, .., P) and a bound of the next one.
    """
    last = np.broadcast_to(most, series.shape[1:])
    found = []
    for i in range(len(series) - 1, -1, -1):
        with np.errstate(over="ignore", invalid="ignore"):
            change = up((i + 1) * up(radius * last))
        over = Balls(series.mid[i], up(series.rad[i] + np.where(last > 0, change, 0.0)))
        found.append(over)
        last = over.size
    return stack(found[::-1])


class _Arcs:
    """Parts of the curve over boxes of ``t``, one in each of ``P`` charts."""

    def __init__(self, line, part, middle=None):
        self.line = line
        self.part = part
        self.middle = middle  # parameters

    def __getitem__(self, part):
        """Some of the boxes."""
        return _Arcs(self.line, self.part[part], self.middle[part])

    def __call__(self, box, order, before):
        """Coefficients (D, n, P) over boxes of ``t``, and whether they are proved."""
        if before is not None:  # nothing was sharpened that is used here
            return before, np.isfinite(before.rad).all((0, 1))
        line, part, t = self.line, self.part, box[0]
        if self.middle is None:
            self.middle = line.parameters(part, t.mid)
        middle = self.middle
        series, most = line.series(middle, order + 1 + _MORE)
        weights = line.weights[:, part]
        along = total([w[None] * u for w, u in zip(weights, _by_coordinate(series))])
        steep = up(total([w.size * m for w, m in zip(weights, most)]), len(weights))
        gap = along[0] + line.offset[part] - t
        found, proved = _parameters(gap, along, steep, middle)
        away = (found - middle).size
        powers = _inverse_powers(_around(along, steep, away)[: order + 1], order)
        plane = _around(series, most[:, None], away)
        rows = [plane[0]]
        for j in range(1, order + 1):
            rows.append(total([plane[i] * powers[i][j] for i in range(1, j + 1)]))
        x = combined(
            line.curve.frame,
            Balls(*(np.swapaxes(a, 0, 1) for a in (stack(rows).mid, stack(rows).rad))),
        )
        x[:, 0] = x[:, 0] + line.curve.middle[:, None]
        return x, proved & np.isfinite(x.rad).all((0, 1))


def _parameters(gap, along, steep, middle):
    """Balls (P,) of parameters at which ``G = t``, by Krawczyk's operator, and whether that there
    is one and only one is proved: from ``G - t`` and the series of ``G`` at floats, and a bound of
    what comes after these.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        inverse = np.where(along.mid[1] != 0, 1 / along.mid[1], 1.0)
    start = Balls(middle) - gap * inverse

    def image(which, s):
        """Of Krawczyk's operator."""
        off = s - middle[which]
        slope = _around(along[:, which], steep[which], off.size)[1]
        return start[which] + (1.0 - slope * inverse[which]) * off

    found = Balls(middle.copy(), np.full(middle.shape, np.inf))
    radius = _INFLATION * (start - middle).size + 1e-15
    left = np.arange(len(middle))
    for _ in range(_TRIES):
        s = Balls(middle[left], radius[left])
        k = image(left, s)
        inside = (k.lower > s.lower) & (k.upper < s.upper)
        found[left[inside]] = k[inside]
        again = np.maximum(k.upper - middle[left], middle[left] - k.lower)
        radius[left] = _INFLATION * np.where(np.isfinite(again), again, 1.0)
        left = left[~inside & np.isfinite(again) & (again < 1)]
    proved = np.isfinite(found.rad)
    sure = np.flatnonzero(proved)
    found[sure] = intersection(found[sure], image(sure, found[sure]))
    return found, proved


def _by_coordinate(series):
    """Balls (n, p, P) by their second axis."""
    return [series[:, p] for p in range(series.shape[1])]


def _inverse_powers(g, order):
    """The powers 1 to ``order`` of ``s(t) - s``, as coefficients (order + 1, P) in ``t``: of the
    series that inverts the one with coefficients ``g``, degree by degree.
    """
    count = g.shape[1]
    if order == 0:
        return {}
    lead = reciprocal(g[1])
    mid, rad = np.zeros((2, order + 1, count))
    mid[1], rad[1] = lead.mid, lead.rad
    for j in range(2, order + 1):
        move = Taylor(Balls(mid[: j + 1].copy(), rad[: j + 1].copy()), 1, j)
        power, rest = move, None
        for i in range(2, j + 1):
            power = power * move
            part = power.coefficients[j] * g[i]
            rest = part if rest is None else rest + part
        found = -(rest * lead)
        mid[j], rad[j] = found.mid, found.rad
    move = Taylor(Balls(mid, rad), 1, order)
    powers = {1: move}
    for i in range(2, order + 1):
        powers[i] = powers[i - 1] * move
    return {i: u.coefficients for i, u in powers.items()}
