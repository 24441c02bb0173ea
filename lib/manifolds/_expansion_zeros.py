"""Enclosed expansions of the charts of level sets: interval Newton, then degree by degree (book:
``lem-chart``, ``lem-taylor``).

Around a point ``x_m`` next to the middle of a box of ``t``, a point of the manifold is ``x_m + T
(t - t_m) + W z`` with ``T = P + W S``: a matrix ``S`` of floats makes it tangential at ``x_m`` up
to rounding, so that ``z`` is of second order.  Where Krawczyk's operator maps a box of ``z`` into
its interior, for all ``t`` of the box, there is exactly one zero of ``F`` in it for each of these.
Then ``F`` is expanded in ``t`` and ``z``, and these in ``t``: the coefficients of degree ``j`` of
``F(x(t))`` are ``d_z F`` times those of ``z``, plus what the lower ones make, a linear system.
"""

from functools import cache
from typing import Any

import numpy as np
import sympy

from lib.formulas import variables
from lib.intervals import Balls, Taylor, expand, exponents, up
from lib.manifolds._expansion import (
    Charts,
    charts_of,
    expansion,
    intersection,
    joined,
    product,
    sharpened,
    stack,
    total,
)

_NEWTON = ((0.5, 3), (1.0, 7))  # shares of the way to ``t``, and steps there
_TRIES = 6
_INFLATION = 1.25


def expansion_of_zeros(
    manifold: Any, centres: Any, frames: Any, t: list[Taylor], reach: float
) -> list[Taylor]:
    """`Geometry.expansion` of a manifold that has ``equations``; unique within this reach."""
    system = _System(tuple(manifold.equations()))
    charts = charts_of(centres, frames)

    def solver(part):
        return _Patches(system, charts[part])

    return expansion(solver, centres, frames, t, reach, manifold._holds)


@cache
def _renamed(equations):
    """The formulas in other symbols: of those of the cube `expand` would take for granted that
    roots are of numbers that are not negative, as they are at points of the cube only.
    """
    dim = 1 + max(int(s.name[1:]) for e in equations for s in e.free_symbols)
    old = variables(dim - 1)
    new = [sympy.Symbol(f"w{i}", real=True) for i in range(1, dim)]
    return tuple(e.xreplace(dict(zip(old, new))) for e in equations), tuple(new)


class _System:
    """The left sides of ``F(x) = 0``; of which degree they are, if they are polynomials."""

    def __init__(self, equations):
        self.equations, self.symbols = _renamed(equations)
        self.degree = max(
            sympy.Poly(e, *self.symbols).total_degree()
            if e.is_polynomial(*self.symbols)
            else np.inf
            for e in self.equations
        )

    def series(self, x, moves, order):
        """Taylor coefficients of ``F(x + moves y)`` in ``y`` over boxes: balls (D, P) and (D, D, P)
        to (k, n, P).
        """
        mid, rad = np.zeros((2, len(x), len(exponents(len(x), order)), x.shape[1]))
        mid[:, 0], rad[:, 0] = x.mid, x.rad
        mid[:, 1 : 1 + len(x)], rad[:, 1 : 1 + len(x)] = moves.mid, moves.rad
        point = [Taylor(Balls(m, r), len(x), order) for m, r in zip(mid, rad)]
        known = dict(zip(self.symbols, point))
        return stack([expand(e, known).coefficients for e in self.equations])


def _inverse(matrices):
    """Of float matrices (k, k, P), about; of singular ones anything."""
    if len(matrices) == 1:
        with np.errstate(divide="ignore"):
            return np.where(matrices == 0, 1.0, 1 / matrices)
    square = np.moveaxis(matrices, -1, 0).copy()
    bad = ~np.isfinite(square).all((1, 2))
    square[bad] = np.eye(len(matrices))
    square[np.abs(np.linalg.det(square)) < 1e-200] = np.eye(len(matrices))
    return np.moveaxis(np.linalg.inv(square), 0, -1)


def _newton(system, charts, t):
    """Floats near the zeros, along the way to ``t`` (d, P): ``z`` (k, P), the inverse of ``d_z F``
    (k, k, P), and ``d z / d t`` (k, d, P).
    """
    dim = len(t)
    z = np.zeros((charts.normal.shape[1], t.shape[1]))
    plain = Charts(charts.centre, Balls(charts.tangent.mid), Balls(charts.normal.mid))
    moves = joined(plain.tangent, plain.normal, 1)
    for share, steps in _NEWTON:
        for _ in range(steps):
            x = plain.place(Balls(share * t), Balls(z)).mid
            found = system.series(Balls(x), moves, 1).mid
            inverse = _inverse(found[:, 1 + dim :])
            with np.errstate(over="ignore", invalid="ignore"):
                z = z - total([inverse[:, j] * found[j, 0] for j in range(len(z))])
            z = np.where(np.isfinite(z), z, 0.0)
    slope = -product(inverse, Balls(found[:, 1 : 1 + dim])).mid
    return z, inverse, slope


class _Patches:
    """Parts of the manifold over boxes of ``t``, one in each of ``P`` charts."""

    def __init__(self, system, charts, start=None):
        self.system = system
        self.charts = charts
        self.start = start  # floats at the middles

    def __getitem__(self, part):
        """Some of the boxes, with the same coordinates."""
        return _Patches(self.system, self.charts[part], [a[..., part] for a in self.start])

    def __call__(self, box, order, before):
        """Coefficients (D + k, n, P) of ``x`` and ``z`` over boxes of ``t``, and whether they are
        proved.
        """
        if before is None:
            proved = self._locate(box)
            self._expand(box, order)
            return self._solve(len(box), order, None, proved)
        return self._solve(len(box), order, before, np.isfinite(before.rad).all((0, 1)))

    def _locate(self, box):
        """Order zero: whether existence and uniqueness are proved."""
        charts, system, dim = self.charts, self.system, len(box)
        if self.start is None:
            self.start = _newton(system, charts, box.mid)
        z, inverse, slope = self.start
        self.middle = middle = charts.place(Balls(box.mid), Balls(z))
        tangent = charts.tangent + product(charts.normal, Balls(slope))
        self.moves = moves = joined(tangent, charts.normal, 1)
        self.inverse = inverse
        move = Balls(np.zeros(box.shape), box.rad)
        second = system.series(middle, moves, 2)
        start = -product(inverse, second[:, 0])

        def image(part, z):
            """Of Krawczyk's operator, for all ``t`` of the boxes: by the mean-value theorem, of
            ``F`` and of its derivatives, on boxes that reach from 0 to ``z``.
            """
            steps = joined(move[:, part], _from_zero(z))
            x = middle[:, part] + product(moves[..., part], steps)
            over = system.series(x, moves[..., part], 2)
            over = sharpened(over, second[..., part], steps.size, len(steps), 2)
            j = product(inverse[..., part], over[:, 1 : 1 + len(steps)])
            rest = np.eye(len(z))[:, :, None] - j[:, dim:]
            return start[:, part] - product(j[:, :dim], move[:, part]) + product(rest, z)

        found = Balls(np.zeros(start.shape), np.full(start.shape, np.inf))
        radius = 2 * start.size + 1e-15
        left = np.arange(box.shape[1])
        for _ in range(_TRIES):
            r = np.maximum(radius[:, left], radius[:, left].max(0) / 16)
            k = image(left, Balls(np.zeros(r.shape), r))
            inside = (k.size < r).all(0)
            found[:, left[inside]] = k[:, inside]
            with np.errstate(invalid="ignore"):
                radius[:, left] = _INFLATION * np.where(np.isfinite(k.size), k.size, 1.0)
            left = left[~inside & (k.size < 1).all(0)]
            if not len(left):
                break
        proved = np.isfinite(found.rad).all(0)
        sure = np.flatnonzero(proved)
        found[:, sure] = intersection(found[:, sure], image(sure, found[:, sure]))
        self.found = found
        self.first = middle + product(moves, joined(move, found))
        self.steps = joined(move, _from_zero(found))
        return proved

    def _expand(self, box, order):
        """``F`` over boxes of ``t`` and ``z`` that reach to ``x_m``, by the mean-value form from
        there.
        """
        self.degree = int(max(min(order, self.system.degree), 1))
        reached = self.middle + product(self.moves, self.steps)
        at, over = (self.system.series(x, self.moves, self.degree) for x in (self.middle, reached))
        half = self.steps.size
        self.series = sharpened(over, at, half, len(half), self.degree)

    def _solve(self, dim, order, before, proved):
        """Degree by degree."""
        powers = exponents(dim, order)
        degree = powers.sum(1)
        ambient, count = self.first.shape
        size = len(self.found)
        first = joined(self.first, self.found) if before is None else before[:, 0]
        mid, rad = np.zeros((2, ambient + size, len(powers), count))
        mid[:, 0], rad[:, 0] = first.mid, first.rad
        linear = self.series[:, 1 + dim : 1 + dim + size]
        rest = np.eye(size)[:, :, None] - product(self.inverse, linear)
        for j in range(1, order + 1):
            rows = np.flatnonzero(degree == j)
            known = Balls(mid[ambient:, : rows[0]], rad[ambient:, : rows[0]])
            right = self._nonlinear(known, dim, j) if j > 1 else self.series[:, 1 : 1 + dim]
            z = _linear(rest, -product(self.inverse, right))
            x = product(self.moves[:, dim:], z)
            found = joined(x + self.moves[:, :dim] if j == 1 else x, z)
            if before is not None:
                found = intersection(before[:, rows], found)
            mid[:, rows], rad[:, rows] = found.mid, found.rad
        found = Balls(mid, rad)
        return found, proved & np.isfinite(found.rad).all((0, 1))

    def _nonlinear(self, z, dim, j):
        """The coefficients of degree ``j`` that the lower ones of ``z`` (k, n, P) make in ``F``:
        those of ``t^a z^b``, ``|a| + |b| >= 2``, times the coefficients of ``F``: (k, m, P).
        """
        powers = exponents(dim, j)
        place = {tuple(nu): i for i, nu in enumerate(powers)}
        degree = powers.sum(1)
        new = np.flatnonzero(degree == j)
        moves = [_grown(row, len(powers)) for row in z]
        for u in moves:
            u.mid[0], u.rad[0] = 0.0, 0.0
        moves = [Taylor(u, dim, j) for u in moves]
        made = {}  # powers of z

        def power(b):
            if b not in made:
                k = next(i for i, n in enumerate(b) if n)
                less = (*b[:k], b[k] - 1, *b[k + 1 :])
                made[b] = moves[k] * power(less) if any(less) else moves[k]
            return made[b]

        sums = [None] * len(new)
        for i, alpha in enumerate(exponents(len(self.steps), self.degree)):
            a, b, factor = alpha[:dim], tuple(alpha[dim:].tolist()), self.series[:, i]
            if not 2 <= alpha.sum() <= j or not (factor.mid.any() or factor.rad.any()):
                continue
            for row, nu in enumerate(powers[new] - a):
                if (nu < 0).any() or nu.sum() < sum(b) or any(b) != nu.any():
                    continue
                part = factor * power(b).coefficients[place[tuple(nu)]][None] if any(b) else factor
                sums[row] = part if sums[row] is None else sums[row] + part
        nothing = Balls(np.zeros((len(self.series), z.shape[2])))
        found = stack([nothing if u is None else u for u in sums])
        return Balls(np.swapaxes(found.mid, 0, 1), np.swapaxes(found.rad, 0, 1))


def _from_zero(z):
    """The smallest boxes around boxes and 0."""
    return Balls.between(np.minimum(z.lower, 0.0), np.maximum(z.upper, 0.0))


def _grown(b, count):
    """Balls (n, P) with zeros for further rows."""
    mid, rad = np.zeros((2, count, b.shape[1]))
    mid[: len(b)], rad[: len(b)] = b.mid, b.rad
    return Balls(mid, rad)


def _linear(rest, right):
    """The solutions of ``(1 - rest) z = right``, balls (k, k, P) and (k, n, P): ``|z| <= |right| /
    (1 - |rest|)`` for the largest moduli, and twice ``z = right + rest z``.
    """
    norm = up(total(list(np.swapaxes(rest.size, 0, 1))).max(0), len(rest))
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        most = up(right.size.max(0) / (1 - norm) * (1 + 1e-15))
    most = np.where((norm < 1) & ~np.isnan(most), most, np.inf)
    z = Balls(np.zeros(right.shape), np.broadcast_to(most, right.shape))
    for _ in range(2):
        z = right + product(rest, z)
    return z
