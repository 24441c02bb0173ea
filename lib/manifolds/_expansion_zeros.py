"""Enclosed expansions of the charts of level sets: interval Newton, then degree by degree (book:
``lem-chart``, ``lem-taylor``).

``x(t) = c + P t + W z(t)`` with ``F(x(t)) = 0``. Where Krawczyk's operator maps a box of ``z`` into
its interior, for all ``t`` of a box, there is exactly one zero in it for each of these ``t``. The
coefficients of degree ``j`` of ``F(x(t))`` are ``d_z F`` times those of ``z``, plus what the lower
ones make: a linear system.
"""

from functools import cache, partial
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
    product,
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
        return partial(_solved, system, charts[part])

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
    """The left sides of ``F(x) = 0``."""

    def __init__(self, equations):
        self.equations, self.symbols = _renamed(equations)

    def __call__(self, x):
        known = dict(zip(self.symbols, x))
        return [expand(e, known) for e in self.equations]

    def slopes(self, charts, x):
        """``F`` and its derivatives by ``t`` and ``z`` over boxes (D, P): balls (k, P) and (k, D,
        P).
        """
        moves = [
            np.concatenate([a, b], axis=1)
            for a, b in zip(
                (charts.tangent.mid, charts.tangent.rad), (charts.normal.mid, charts.normal.rad)
            )
        ]
        rows = [np.concatenate([a[:, None], m], axis=1) for a, m in zip((x.mid, x.rad), moves)]
        found = self([Taylor(c, len(x), 1) for c in Balls(*rows)])
        c = stack([f.coefficients for f in found])
        return c[:, 0], c[:, 1:]


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
    """Floats ``z`` (k, P) near the zeros, along the way to ``t`` (d, P)."""
    dim = len(t)
    z = np.zeros((charts.normal.shape[1], t.shape[1]))
    plain = Charts(charts.centre, Balls(charts.tangent.mid), Balls(charts.normal.mid))
    for share, steps in _NEWTON:
        for _ in range(steps):
            x = plain.place(Balls(share * t), Balls(z)).mid
            value, slope = system.slopes(plain, Balls(x))
            inverse = _inverse(slope.mid[:, dim:])
            with np.errstate(over="ignore", invalid="ignore"):
                z = z - total([inverse[:, j] * value.mid[j] for j in range(len(z))])
            z = np.where(np.isfinite(z), z, 0.0)
    return z


def _krawczyk(system, charts, box):
    """The ``x`` of a box of ``t``: balls (D, P), the float preconditioner (k, k, P), and whether
    existence and uniqueness are proved.
    """
    dim = len(box)
    middle = _newton(system, charts, box.mid)
    value, slope = system.slopes(charts, charts.place(Balls(box.mid), Balls(middle)))
    inverse = _inverse(slope.mid[:, dim:])
    start = Balls(middle) - product(inverse, value)
    move = Balls(np.zeros(box.shape), box.rad)

    def image(part, z):
        """Of Krawczyk's operator, for all ``t`` of the boxes: by the mean-value theorem."""
        own = charts[part]
        j = product(inverse[..., part], system.slopes(own, own.place(box[:, part], z))[1])
        rest = np.eye(len(z))[:, :, None] - j[:, dim:]
        off = z - middle[:, part]
        return start[:, part] - product(j[:, :dim], move[:, part]) + product(rest, off)

    found = Balls(middle.copy(), np.full(middle.shape, np.inf))
    lean = product(inverse, slope[:, :dim]).size
    radius = 2 * np.abs(start.mid - middle) + 2 * start.rad + 1e-15
    radius = radius + _INFLATION * total([lean[:, j] * box.rad[j] for j in range(dim)])
    left = np.arange(box.shape[1])
    for _ in range(_TRIES):
        z = Balls(middle[:, left], np.maximum(radius[:, left], radius[:, left].max(0) / 16))
        k = image(left, z)
        inside = ((k.lower > z.lower) & (k.upper < z.upper)).all(0)
        found[:, left[inside]] = k[:, inside]
        again = np.maximum(k.upper - middle[:, left], middle[:, left] - k.lower)
        radius[:, left] = _INFLATION * np.where(np.isfinite(again), again, 1.0)
        left = left[~inside & (np.isfinite(again) & (again < 1)).all(0)]
        if not len(left):
            break
    proved = np.isfinite(found.rad).all(0)
    sure = np.flatnonzero(proved)
    found[:, sure] = intersection(found[:, sure], image(sure, found[:, sure]))
    return charts.place(box, found), inverse, proved


def _solved(system, charts, box, order, before):
    """Coefficients (D, n, P) over boxes of ``t``, and whether they are proved."""
    if before is None:
        first, inverse, proved = _krawczyk(system, charts, box)
    else:
        first, proved = before[:, 0], np.isfinite(before.rad).all((0, 1))
        inverse = _inverse(system.slopes(charts, Balls(first.mid))[1].mid[:, len(box) :])
    dim = len(box)
    powers = exponents(dim, order)
    degree = powers.sum(1)
    mid, rad = np.zeros((2, len(first), len(powers), first.shape[1]))
    mid[:, 0], rad[:, 0] = first.mid, first.rad
    if order > 0:
        slope = system.slopes(charts, first)[1][:, dim:]
        rest = np.eye(len(slope))[:, :, None] - product(inverse, slope)
    for j in range(1, order + 1):
        rows = np.flatnonzero(degree == j)
        count = rows[-1] + 1
        if j == 1:
            mid[:, 1:count], rad[:, 1:count] = charts.tangent.mid, charts.tangent.rad
        values = system([Taylor(Balls(m[:count], r[:count]), dim, j) for m, r in zip(mid, rad)])
        right = -stack([f.coefficients[rows] for f in values])
        z = _linear(rest, product(inverse, right))
        found = product(charts.normal, z)
        if j == 1:
            found = charts.tangent + found
        if before is not None:
            found = intersection(before[:, rows], found)
        mid[:, rows], rad[:, rows] = found.mid, found.rad
    found = Balls(mid, rad)
    return found, proved & np.isfinite(found.rad).all((0, 1))


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
