"""Taylor expansions of formulas and of inverse charts in balls of python-flint, one box at a time:
the checker's own (book: ``lem-taylor``, ``lem-chart-norms``).

On purpose this shares neither `lib.intervals` nor the expansions of `lib.manifolds` nor the table
of functions of `lib.formulas`, so that an error in a rule there is found here.
"""

from functools import cache
from itertools import product
from typing import Any

import sympy
from flint import arb, arb_mat, arb_series

from lib.errors import require
from lib.formulas import AbsPower, Jump, SignPower, variables
from lib.manifolds import FourierCurve, Union, parameter_of_curve


@cache
def indices(dim: int, order: int) -> list[tuple[int, ...]]:
    """Multi-indices ``|nu| <= order``, by degree."""
    return sorted((nu for nu in product(range(order + 1), repeat=dim) if sum(nu) <= order), key=sum)


@cache
def _pairs(dim, order):
    known = indices(dim, order)
    return [
        (a, b, tuple(i + j for i, j in zip(a, b)))
        for a in known
        for b in known
        if sum(a) + sum(b) <= order
    ]


class Jet:
    """``sum_nu c_nu s^nu``, ``|nu| <= order``: a dict from multi-indices to arb."""

    def __init__(self, dim: int, order: int, coefficients: dict) -> None:
        self.dim = dim
        self.order = order
        self.c = {nu: coefficients.get(nu, arb(0)) for nu in indices(dim, order)}

    @property
    def constant(self) -> arb:
        return self.c[(0,) * self.dim]

    def _like(self, coefficients):
        return Jet(self.dim, self.order, coefficients)

    def __add__(self, other: Any) -> "Jet":
        if isinstance(other, Jet):
            return self._like({nu: v + other.c[nu] for nu, v in self.c.items()})
        return self._like(self.c | {(0,) * self.dim: self.constant + other})

    def __mul__(self, other: Any) -> "Jet":
        if not isinstance(other, Jet):
            return self._like({nu: v * other for nu, v in self.c.items()})
        found: dict = {}
        for a, b, nu in _pairs(self.dim, self.order):
            found[nu] = found.get(nu, arb(0)) + self.c[a] * other.c[b]
        return self._like(found)

    def composed(self, series: list) -> "Jet":
        """``g`` of this, from the coefficients of ``g`` around its constant; from the first degree
        on where these are not known its own are not.
        """
        known = next((k for k, v in enumerate(series) if not v.is_finite()), len(series))
        series = [v if k < known else arb(0) for k, v in enumerate(series)]
        step = self._like(self.c | {(0,) * self.dim: arb(0)})
        result = self._like({(0,) * self.dim: series[self.order]})
        for k in range(self.order - 1, -1, -1):
            result = result * step + series[k]
        for nu in result.c:
            if sum(nu) >= known:
                result.c[nu] = arb("nan")
        return result


def expand(e: sympy.Expr, known: dict, done: dict | None = None) -> Any:
    """The expansion of a formula whose symbols are expansions; a number where it has none."""
    done = {} if done is None else done
    if e in known:
        return known[e]
    if e not in done:
        done[e] = _of_parts(e, known, done)
    return done[e]


def _of_parts(e, known, done):
    if e.is_Rational:
        return arb(int(e.p)) / int(e.q)
    if e in (sympy.pi, sympy.E):
        return arb.pi() if e == sympy.pi else arb(1).exp()
    parts = [expand(p, known, done) for p in e.args]
    if e.is_Add or e.is_Mul:
        parts.sort(key=lambda p: not isinstance(p, Jet))  # numbers last: Jet + number
        result = parts[0]
        for p in parts[1:]:
            result = result + p if e.is_Add else result * p
        return result
    if e.is_Pow and e.exp.is_Integer and e.exp > 0:
        result = parts[0]
        for _ in range(int(e.exp) - 1):
            result = result * parts[0]
        return result
    if e.is_Pow and e.base == sympy.E:
        return _applied(parts[1], lambda u: u.exp())
    if e.is_Pow:
        if e.exp.is_Integer:
            return _applied(parts[0], lambda u: (1 / u) ** int(-e.exp))
        return _applied(parts[0], lambda u: (u.log() * parts[1]).exp(), positive=True)
    if isinstance(e, (AbsPower, SignPower)):
        return _modulus(parts[0], parts[1], isinstance(e, SignPower))
    if isinstance(e, Jump):
        u = parts[0].constant if isinstance(parts[0], Jet) else parts[0]
        return arb(0) if u > 0 or u < 0 else arb("nan")
    name = e.func.__name__
    if name == "cot":
        return _applied(parts[0], lambda u: u.cos() / u.sin())
    if name in ("sinh", "cosh", "tanh"):
        return _applied(parts[0], lambda u: _hyperbolic(name, u))
    require(name in ("sin", "cos", "tan", "exp", "log", "atan"), "formula", name, "known here")
    return _applied(parts[0], lambda u: getattr(u, name)())


def _hyperbolic(name, u):
    up, down = u.exp(), (-1 * u).exp()
    if name == "tanh":
        return (up - down) / (up + down)
    return (up - down if name == "sinh" else up + down) / 2


def _applied(u, function, positive=False):
    """A function of an expansion or a number, by the power series of FLINT."""
    if not isinstance(u, Jet):
        return function(u) if not positive or u > 0 else arb("nan")
    if positive and not u.constant > 0:
        series = [arb("nan")] * (u.order + 1)
    else:
        found = function(arb_series([u.constant, 1], u.order + 1))
        series = [found[k] for k in range(u.order + 1)]
    return u.composed(series)


def _modulus(u, p, signed):
    """``|u|^p`` or ``sign(u) |u|^p``; where ``u`` may be 0, up to the degree that is bounded."""
    here = u.constant if isinstance(u, Jet) else u
    if here > 0:
        return _applied(u, lambda v: (v.log() * p).exp())
    if here < 0:
        found = _applied(u * -1, lambda v: (v.log() * p).exp())
        return found * -1 if signed else found
    series, binomial = [], arb(1)
    for k in range(u.order + 1 if isinstance(u, Jet) else 1):
        series.append(_at_a_zero(abs(here), p - k, binomial, (k + signed) % 2 == 1))
        binomial = binomial * (p - k) / (k + 1)
    return u.composed(series) if isinstance(u, Jet) else series[0]


def _at_a_zero(size, q, factor, odd):
    """``factor |u|^q``, with the sign of ``u`` if ``odd``, where ``u`` may be 0; unknown for
    ``q < 0``.
    """
    if not q >= 0:
        return arb("nan")
    top = (abs(factor) * (arb(size.upper()) ** q if q > 0 else arb(1))).upper()
    if odd:
        return arb(0, top)
    return arb(top / 2, top / 2) * (1 if factor >= 0 else -1)


def chart_jets(manifold: Any, centre: Any, frame: Any, t: list[Jet]) -> list[Jet]:
    """The points ``x`` near ``c`` with ``V^T (x - c) = t`` as expansions (``lem-chart-norms``).

    Parameters
    ----------
    manifold : lib.manifolds.Manifold
    centre, frame : float64 arrays, shapes (D,) and (D, d)
        ``c`` and ``V``.
    t : list of Jet
        Each a constant and multiples of variables: the ``d`` coordinates.
    """
    if isinstance(manifold, Union):
        part = manifold.parts[int(manifold.part(centre[None])[0])]
        # where there is another point of the union the smaller reach refuses
        manifold.chart_point(centre, frame, [u.constant for u in t])
        return chart_jets(part, centre, frame, t)
    if isinstance(manifold, FourierCurve):
        return _curve_jets(manifold, centre, frame, t[0])
    return _zero_jets(manifold, centre, frame, t)


def _zero_jets(manifold, centre, frame, t):
    """Degree by degree: ``J x_nu`` is minus what the equations have at ``nu`` from lower degrees,
    and ``t_nu``.
    """
    dim, order = len(t), t[0].order
    start = manifold.chart_point(centre, frame, [u.constant for u in t])
    symbols = variables(manifold.ambient_dim)
    equations, slopes = _differentiated(tuple(manifold.equations()), manifold.ambient_dim)
    point = dict(zip(symbols, start))
    rows = [[expand(e, point) for e in row] for row in slopes]
    rows += [[arb(float(v)) for v in column] for column in frame.T]
    try:
        inverse = arb_mat(rows).inv()
    except ZeroDivisionError:
        inverse = arb_mat([[arb("nan")] * len(rows)] * len(rows))
    x = [Jet(dim, order, {(0,) * dim: v}) for v in start]
    for degree in range(1, order + 1):
        known = dict(zip(symbols, x))
        found = [expand(e, known) for e in equations]
        for nu in indices(dim, order):
            if sum(nu) == degree:
                right = [-1 * f.c[nu] for f in found] + [u.c[nu] for u in t]
                solved = (inverse * arb_mat(len(right), 1, right)).entries()
                for jet, v in zip(x, solved):
                    jet.c[nu] = v
    return x


@cache
def _differentiated(equations, dim):
    return equations, [[sympy.diff(e, s) for s in variables(dim)] for e in equations]


def _curve_jets(curve, centre, frame, t):
    """The parameter by reversion of a power series, then the curve."""
    order = t.order
    s = parameter_of_curve(curve, centre, frame, [t.constant], curve.reach)
    cap = order + 1

    def along(column):  # of one coordinate in the plane, around s
        total = arb_series([0], cap)
        for k, (a, b) in enumerate(zip(curve.cosine[:, column], curve.sine[:, column]), 1):
            angle = arb_series([k * s, k], cap)
            total = total + angle.cos() * float(a) + angle.sin() * float(b)
        return total

    plane = [along(p) for p in range(curve.cosine.shape[1])]
    weights = [
        sum((arb(float(u)) * float(v) for u, v in zip(column, frame[:, 0])), arb(0))
        for column in curve.frame.T
    ]
    path = sum((w * y for w, y in zip(weights, plane)), arb_series([0], cap))
    path = arb_series([0, *(path[k] for k in range(1, cap))], cap)
    back = path.reversion() if order else arb_series([0], cap)
    moved = [y(back) if order else y for y in plane]
    first = (1,) + (0,) * (t.dim - 1)
    slope = t.c[first] if order else arb(0)
    powers = [slope**k for k in range(cap)]
    jets = []
    for row, m in zip(curve.frame, curve.middle):
        total = sum((y * float(f) for f, y in zip(row, moved)), arb_series([0], cap)) + float(m)
        jets.append(Jet(t.dim, order, {(k,): total[k] * powers[k] for k in range(cap)}))
    return jets
