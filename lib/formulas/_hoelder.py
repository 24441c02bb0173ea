"""Hoelder seminorms of formulas along an axis of the cube, from above (book: ``lem-hoelder``).

Over a box three things are known of every part of a formula: an interval of its values, one of its
derivative along the axis, and a bound of its seminorm along the axis.  They follow from those of
its own parts.  The search of `hoelder_on_cube` is over boxes of pairs of points.
"""

import heapq
import math
from collections.abc import Iterator
from functools import reduce
from typing import NamedTuple

import sympy
from flint import ctx

from lib.formulas import _intervals
from lib.formulas._balls import UNKNOWN
from lib.formulas._enclosure import _BITS, _Boxes, excludes_zero_on_cube
from lib.formulas._fold import Algebra, fold
from lib.formulas._formula import variables
from lib.formulas._intervals import EVERYTHING, INF
from lib.formulas._powers import AbsPower, SignPower

_UP = 1 + 2.0**-44  # more than rounding takes from a product or a power, exponents included


def _times(*factors):
    """A product of bounds, rounded up; zero times infinity is zero."""
    return 0.0 if 0 in factors else math.prod(factors) * _UP ** len(factors)


def _size(u):
    return max(abs(u[0]), abs(u[1]))


def _one_sided(u):
    return u[0] >= 0 or u[1] <= 0


class _Part(NamedTuple):
    """What is known of a part of a formula over a box: intervals, and an upper bound."""

    values: tuple
    slopes: tuple
    seminorm: float


class _Along(Algebra):
    """Values are `_Part`, over a box of a certain length along one axis."""

    def __init__(self, box, axis, beta, symbols):
        super().__init__(dict(zip(symbols, box)))
        self._ranges = _Boxes(self._known)
        self._axis = symbols[axis]
        self._beta = float(beta)
        self._exact = beta
        self._length = box[axis][1] - box[axis][0]

    def _part(self, values, slopes, seminorm):
        """With the seminorms that follow from the steepest slope ``L``, the length ``l`` and the
        oscillation ``o``: ``L l^(1-beta)`` and ``L^beta o^(1-beta)``.
        """
        steep = _size(slopes)
        rest = 1 - self._beta
        swing = (values[1] - values[0]) * _UP
        return _Part(
            values,
            slopes,
            min(
                INF if math.isnan(seminorm) else seminorm,
                _times(steep, self._length**rest),
                _times(steep**self._beta, swing**rest) if steep < INF else INF,
            ),
        )

    def number(self, e):
        return _Part(self._ranges.number(e), (0.0, 0.0), 0.0)

    def symbol(self, e):
        slope = float(e == self._axis)
        return self._part(self._ranges.symbol(e), (slope, slope), INF)

    def add(self, *parts):
        values, slopes = (reduce(_intervals.add, column) for column in list(zip(*parts))[:2])
        return self._part(values, slopes, sum(p.seminorm for p in parts) * _UP ** len(parts))

    def multiply(self, *parts):
        return reduce(self._product, parts)

    def _product(self, u, v):
        slopes = _intervals.add(
            _intervals.multiply(u.slopes, v.values), _intervals.multiply(u.values, v.slopes)
        )
        seminorm = _times(u.seminorm, _size(v.values)) + _times(_size(u.values), v.seminorm)
        return self._part(_intervals.multiply(u.values, v.values), slopes, seminorm * _UP)

    def _chain(self, u, values, outer, seminorm=INF):
        """A function of ``u`` with derivatives in the interval ``outer``, or otherwise with this
        seminorm.
        """
        return self._part(
            values,
            _intervals.multiply(outer, u.slopes),
            min(_times(_size(outer), u.seminorm), seminorm),
        )

    def _root(self, u, p, constant):
        """The seminorm of ``g(u)`` where ``|g(a) - g(b)| <= constant |a - b|^p``, ``0 < p < 1``."""
        if not 0 < p < 1 or p < self._exact:
            return INF
        steep = _size(u.slopes)
        rest = float(p) - self._beta
        swing = (u.values[1] - u.values[0]) * _UP
        if not steep < INF:
            return INF
        return constant * min(
            _times(steep**self._beta, swing**rest), _times(steep ** float(p), self._length**rest)
        )

    def power(self, u, p, base):
        values = self._ranges.power(u.values, p, base)
        if p == 0:
            return self.number(sympy.Integer(1))
        if u.values[0] < 0 and not p.is_Integer:  # values() has raised, or the base is not negative
            u = u._replace(values=(0.0, u.values[1]))
        outer = _intervals.multiply(self._ranges.number(p), _intervals.power(u.values, p - 1))
        return self._chain(u, values, outer, self._root(u, p, 1.0))

    def absolute(self, u, p):
        if p == 0:
            return self.number(sympy.Integer(1))
        outer = (
            _intervals.signed_power(u.values, p - 1)
            if p >= 1 or u.values[0] > 0 or u.values[1] < 0
            else EVERYTHING
        )
        outer = _intervals.multiply(self._ranges.number(p), outer)
        return self._chain(u, self._ranges.absolute(u.values, p), outer, self._root(u, p, 1.0))

    def signed(self, u, p):
        values = self._ranges.signed(u.values, p)
        if p == 0:
            known = u.values[0] > 0 or u.values[1] < 0
            return self._part(values, (0.0, 0.0) if known else EVERYTHING, INF)
        outer = _intervals.multiply(
            self._ranges.number(p), _intervals.absolute_power(u.values, p - 1)
        )
        constant = 1.0 if _one_sided(u.values) else 2.0 ** (1 - float(p)) * _UP
        return self._chain(u, values, outer, self._root(u, p, constant))

    def jump(self, u):
        found = self._ranges.jump(u.values)
        return self._part(found, found, INF)

    def function(self, row, u):
        outer = UNKNOWN
        if _size(u.values) < INF:
            outer = row.series(_intervals.ball(u.values), 1)[1]
        slopes = _intervals.around(outer) if outer.is_finite() else EVERYTHING
        return self._chain(u, row.interval(u.values), slopes)


class _Pairs(NamedTuple):
    """A box, and the two intervals along the axis in which a pair of points lies: the same one, or
    the first to the left of the second.
    """

    box: tuple  # that of the other coordinates; along the axis it is not looked at
    first: tuple
    second: tuple

    def hull(self, axis):
        """The smallest box that holds both points."""
        return self._with(axis, (self.first[0], self.second[1]))

    def _with(self, axis, side):
        return self.box[:axis] + (side,) + self.box[axis + 1 :]

    def sides(self, axis):
        """The boxes of the first and of the second point."""
        return self._with(axis, self.first), self._with(axis, self.second)

    def halves(self, axis) -> Iterator["_Pairs"]:
        """The parts into which it is cut, across its longest side."""
        lengths = [b - a for a, b in self.box]
        lengths[axis] = max(self.first[1] - self.first[0], self.second[1] - self.second[0])
        longest = lengths.index(max(lengths))
        if longest != axis:
            for part in _cut(self.box[longest]):
                yield self._replace(box=self.box[:longest] + (part,) + self.box[longest + 1 :])
        elif self.first == self.second:
            low, high = _cut(self.first)
            for first, second in ((low, low), (high, high), (low, high)):
                yield self._replace(first=first, second=second)
        else:
            wide = self.first[1] - self.first[0] >= self.second[1] - self.second[0]
            for part in _cut(self.first if wide else self.second):
                yield self._replace(first=part) if wide else self._replace(second=part)


def _cut(side):
    middle = (side[0] + side[1]) / 2
    return (side[0], middle), (middle, side[1])


def hoelder_on_cube(
    expression: sympy.Expr,
    dim: int,
    axis: int,
    beta: sympy.Rational,
    gap: float = 0.02,
    work: int = 30_000,
) -> float:
    """An upper bound of the Hoelder seminorm of a formula along an axis of ``[0,1]^D``.

    Parameters
    ----------
    expression : sympy.Expr in ``x1 .. xD``
    dim, axis : int
    beta : sympy.Rational
        The exponent, ``0 < beta < 1``.
    gap : float
        The search stops when the bound is within this relative distance of a quotient attained.
    work : int
        ... or when about this many operations have been spent (the bound is rigorous all the same).

    Returns
    -------
    float
        At least ``|f(x) - f(y)| / |x - y|^beta`` for all ``x`` and ``y`` of the cube that differ in
        this coordinate only (``lem-hoelder``); ``inf`` if no finite bound was found.
    """
    symbols = variables(dim)
    if symbols[axis] not in expression.free_symbols:
        return 0.0
    pairs = max(20, work // sum(1 for _ in sympy.preorder_traversal(expression)))
    exponent = float(beta)
    best = 0.0
    hulls: dict = {}

    def along(box):
        if box not in hulls:
            try:
                hulls[box] = fold(expression, _Along(box, axis, beta, symbols)).seminorm
            except _intervals.Undefined:
                hulls[box] = INF
        return hulls[box]

    def values(box):
        try:
            return fold(expression, _Boxes(dict(zip(symbols, box))))
        except _intervals.Undefined:
            return EVERYTHING

    def quotient(p):
        """One that is attained, at the outer ends; and the largest there can be."""
        nonlocal best
        hull = p.hull(axis)
        middle = [((a + b) / 2,) * 2 for a, b in hull]
        ends = [values([*middle[:axis], (end,) * 2, *middle[axis + 1 :]]) for end in hull[axis]]
        apart = max(ends[0][0] - ends[1][1], ends[1][0] - ends[0][1])
        if apart > 0 and math.isfinite(apart):
            best = max(best, apart / (hull[axis][1] - hull[axis][0]) ** exponent / _UP)
        distance = p.second[0] - p.first[1]
        bound = along(hull)
        if distance > 0:
            u, v = (values(box) for box in p.sides(axis))
            bound = min(bound, max(u[1] - v[0], v[1] - u[0]) / distance**exponent * _UP**3)
        return bound

    with ctx.workprec(_BITS):
        start = _Pairs(((0.0, 1.0),) * dim, (0.0, 1.0), (0.0, 1.0))
        heap = [(-quotient(start), start)]
        for _ in range(pairs):
            upper, p = -heap[0][0], heap[0][1]
            if upper <= best * (1 + gap) or p.second[1] - p.first[0] < 2.0**-30:
                break
            heapq.heappop(heap)
            for half in p.halves(axis):
                heapq.heappush(heap, (-min(quotient(half), upper), half))
        return -heap[0][0]


def fractional_smoothness(expression: sympy.Expr, dim: int) -> list[sympy.Rational]:
    """Which smoothness, no integer and above 1, a formula may have on ``[0,1]^D`` because of its
    powers: the largest first.

    For ``abs(x1-1/3)**2.5 + x2**1.7`` it is 5/2 and 17/10.  Which is the true one only bounds of
    derivatives and of seminorms can tell.
    """

    def powers(e):
        found = {q for a in e.args for q in powers(a)}
        if e.is_Pow or e.func in (AbsPower, SignPower):
            base, p = e.args
            if p.is_Rational and not p.is_Integer and not excludes_zero_on_cube(base, dim):
                found |= {p} | {p * q for q in found if q < 1}
        return found

    return sorted((p for p in powers(expression) if p > 1 and not p.is_Integer), reverse=True)
