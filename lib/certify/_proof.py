"""Bounds over one box by other means than those of `lib.certify._error` (``thm-certificate``).

Numbers are balls of python-flint, one at a time; derivatives of the formula are symbolic; the
polynomial of a cell is expanded by the binomial theorem; and the bounds of ``lem-deviation`` and
``lem-rounding`` are written out once more.
"""

from fractions import Fraction
from functools import cached_property
from itertools import product
from math import comb, factorial

import sympy
from flint import arb

from lib.errors import require
from lib.formulas import AbsPower, Jump, SignPower, variables
from lib.relu import fold_terms
from lib.splines import pieces

# by FLINT's names: not the table of lib.formulas, see `_value`
_FUNCTIONS = ("sin", "cos", "tan", "cot", "exp", "log", "sinh", "cosh", "tanh", "atan")
_STEP = Fraction(1, 2**120)  # of a difference quotient at a single point


class Proof:
    """Bounds over one box, for an approximation on a cube."""

    def __init__(self, s):
        c = s.construction
        dim = s.domain.dim
        self.subject = s
        self.order = c.order
        self.cells = s.cells
        self.n = c.refinement
        self.dim = dim
        self.symbols = variables(dim)
        self.derivatives = {(0,) * dim: s.expression}
        terms = zip(c.charts[0].indices.tolist(), c.charts[0].coefficients.tolist())
        self.coefficients = {tuple(j): arb(c) for j, c in terms}
        self.polynomials = {}
        self.indices = sorted(
            (nu for nu in product(range(c.order + 1), repeat=dim) if sum(nu) <= c.order), key=sum
        )

    # ---- the formula

    def derivative(self, nu):
        if nu not in self.derivatives:
            axis = next(k for k, n in enumerate(nu) if n)
            lower = tuple(n - (k == axis) for k, n in enumerate(nu))
            self.derivatives[nu] = sympy.diff(self.derivative(lower), self.symbols[axis])
        return self.derivatives[nu]

    # ---- the spline

    def polynomial(self, cell):
        """Coefficients of the powers of the place in a cell: a dict from exponents to arb."""
        if cell not in self.polynomials:
            m = self.order
            found: dict = {}
            for k in product(range(m), repeat=self.dim):  # the term that began k cells to the left
                c = self.coefficients.get(tuple(i - p for i, p in zip(cell, k)), arb(0))
                for e in product(range(m), repeat=self.dim):
                    weight = Fraction(1)
                    for p, q in zip(k, e):
                        weight *= pieces(m)[p][q]
                    if weight:
                        found[e] = found.get(e, arb(0)) + c * weight.numerator / weight.denominator
            self.polynomials[cell] = found
        return self.polynomials[cell]

    def taylor(self, polynomial, place, nu):
        """The coefficient of a polynomial for ``nu`` around (over) a place: list of arb."""
        total = arb(0)
        for e, q in polynomial.items():
            if all(a >= b for a, b in zip(e, nu)):
                for a, b, t in zip(e, nu, place):
                    q = q * comb(a, b) * t ** (a - b)
                total += q
        return total

    # ---- one box

    def bounds(self, middle, radius):
        """Upper bounds of the error and of its slopes for ``|s - middle| <= radius``, in mesh
        units.
        """
        cell = tuple(int(s) for s in middle)
        place = [s - i for s, i in zip(middle, cell)]
        value_off, slope_off = self.deviation(cell, place, radius)
        polynomial = self.polynomial(cell)
        coefficients = {}
        for over in (False, True):
            r = as_arb(radius) if over else arb(0)
            t = [arb(as_arb(p).mid(), r) for p in place]
            x = {v: arb(as_arb(s).mid(), r) / self.cells for v, s in zip(self.symbols, middle)}
            values: dict = {}
            for nu in self.indices:
                f = _value(self.derivative(nu), x, values)
                for n in nu:
                    f = f / factorial(n)
                g = f / self.cells ** sum(nu) - self.taylor(polynomial, t, nu)
                coefficients[nu, over] = g * as_arb(radius) ** sum(nu)
        value = self.largest(coefficients, None) + value_off
        slopes = [
            (self.largest(coefficients, k) / as_arb(radius) + slope_off[k]) * self.cells
            for k in range(self.dim)
        ]
        return value, slopes

    def largest(self, coefficients, axis):
        """An upper bound of the function (of its derivative along an axis) by the best order of
        expansion.
        """
        best = arb("inf")
        for q in range(0 if axis is None else 1, self.order + 1):
            low = high = arb(0)
            for nu in self.indices:
                if sum(nu) > q or axis is not None and nu[axis] == 0:
                    continue
                c = coefficients[nu, sum(nu) == q]
                if axis is not None:
                    c, nu = c * nu[axis], tuple(n - (k == axis) for k, n in enumerate(nu))
                size = arb(abs(c).upper())
                if not any(nu):
                    low, high = low + c.lower(), high + c.upper()
                elif all(n % 2 == 0 for n in nu):  # s^nu is in [0, 1]
                    low, high = (
                        low + min(arb(c.lower()), arb(0)),
                        high + max(arb(c.upper()), arb(0)),
                    )
                else:
                    low, high = low - size, high + size
            found = max(arb((-low).upper()), arb(high.upper()))
            if found.is_finite() and found < best:
                best = found
        return best

    # ---- single points

    def error(self, x):
        """``f - f~`` at a rational point: the formula, minus the terms that are alive, in closed
        form.
        """
        place = [self.cells * t for t in x]
        cell = [min(int(s), self.cells - 1) for s in place]
        total = arb(0)
        known = {v: as_arb(t) for v, t in zip(self.symbols, x)}
        for k in product(range(self.order), repeat=self.dim):
            j = tuple(i - p for i, p in zip(cell, k))
            if j in self.coefficients:
                term = fold_sum(self.order, self.n, as_arb(place[0] - j[0]))
                for s, i in zip(place[1:], j[1:]):
                    term = network_product(
                        self.n, fold_sum(self.order, self.n, as_arb(s - i)), term
                    )
                total += self.coefficients[j] * term
        return _value(self.derivative((0,) * self.dim), known, {}) - total

    def quotients(self, x):
        """Moduli of the difference quotients of the error along the axes."""
        here = self.error(x)
        for axis in range(self.dim):
            step = _STEP if x[axis] < Fraction(1, 2) else -_STEP
            yield abs(
                self.error([t + step * (k == axis) for k, t in enumerate(x)]) - here
            ) / as_arb(_STEP)

    # ---- the network against the spline

    @cached_property
    def constants(self):
        return arb(4) ** (-self.n - 1), arb(2) ** -self.n, arb(2) ** -53

    def factor(self, k, place, radius):
        """The factor that began ``k`` cells to the left: its sup, that of its slope, and by what
        the network misses both.
        """
        m, (eps, delta, unit) = self.order, self.constants
        t = arb(as_arb(place).mid(), as_arb(radius))
        piece = pieces(m)[k]
        size = sum((t**e * c.numerator / c.denominator for e, c in enumerate(piece)), arb(0))
        steep = sum(
            (t ** (e - 1) * e * c.numerator / c.denominator for e, c in enumerate(piece) if e),
            arb(0),
        )
        distance = max(Fraction(0), abs(place + k - Fraction(m, 2)) - radius)
        low = high = slope = arb(0)
        for _, sign, a, width, scale in fold_terms(m):
            z = (Fraction(width) - distance) / Fraction(scale)
            if z <= 0:
                continue
            z, weight = min(as_arb(z), arb(1)), arb(a)
            *ends, e = _power_deviation(m - 1, z, eps, delta)
            ends = ends if sign > 0 else (-ends[1], -ends[0])
            stored = 2 * unit * weight if m > 3 else arb(0)
            low, high = low + weight * ends[0] - stored, high + weight * ends[1] + stored
            slope += (weight * e + (m - 1) * stored) / arb(scale)
        return min(arb(abs(size).upper()), arb(1)), arb(abs(steep).upper()), high.max(-low), slope

    def deviation(self, cell, place, radius):
        """``sum_j |c_j|`` times what the lemmas allow for a term, in value (with rounding) and
        along each axis.
        """
        m, (eps, delta, unit) = self.order, self.constants
        factors = [[self.factor(k, p, radius) for k in range(m)] for p in place]
        value = arb(0)
        slopes = [arb(0)] * self.dim
        for k in product(range(m), repeat=self.dim):
            c = abs(self.coefficients.get(tuple(i - p for i, p in zip(cell, k)), arb(0)))
            size, steep, error, slope = factors[0][k[0]]
            rows = [(slope, steep)]
            for axis in range(1, self.dim):
                u, du, e, de = factors[axis][k[axis]]
                rows = [(d * min(arb(1), u + e + delta) + s * (delta + e), s * u) for d, s in rows]
                rows.append(
                    (de * min(arb(1), size + error + delta) + du * (delta + error), du * size)
                )
                error = e * min(arb(1), size + error) + error * u + eps
                size = size * u
            value += c * (error + unit * self.rounding)
            slopes = [t + c * row[0] for t, row in zip(slopes, rows)]
        return value, slopes

    @cached_property
    def rounding(self):
        """``lem-rounding``: units of roundoff a term, its share of the final sums included."""
        m = self.order
        square = 3 * self.n + 12
        times = 3 * self.n + 40

        def power(degree):
            if degree == 1:
                return 0
            half, odd = divmod(degree, 2)
            even = 2 * power(half) + square
            return 2 * even + times if odd else even

        factor = sum(
            a * ((m - 1) * ((2 * self.cells + m) / scale + 1) + power(m - 1) + 6)
            for *_, a, _, scale in fold_terms(m)
        )
        # terms of second order; the float is above 1.01
        return arb(1.01) * (self.dim * factor + (self.dim - 1) * times + 2 * m**self.dim + 4)


def _power_deviation(degree, z, eps, delta):
    """*Powers* of ``lem-deviation``: the ends of ``p_degree - z^degree`` up to ``z``, and the
    modulus of its slope.

    The slope of an even power is split in another way than in the lemma: ``sq_n'(p) p'`` is ``e'(p)
    p' + 2 p p'``.
    """
    if degree == 1:
        return arb(0), arb(0), arb(0)
    k = degree // 2 if degree % 2 == 0 else degree - 1
    low, high, slope = _power_deviation(k, z, eps, delta)
    error = high.max(-low)
    exact = k * z ** (k - 1)
    steep = min(exact + slope, arb(k))  # of p_k
    if degree % 2:
        return z * low - eps, z * high + eps, error + z * slope + delta * steep.max(1)
    return (
        2 * z**k * low,
        high * (2 * z**k + high) + eps,
        delta * steep + 2 * (z**k + high) * slope + 2 * error * exact,
    )


def as_arb(x):
    return arb(x.numerator) / x.denominator


def _positive(t):
    """The positive part of a ball, as a ball."""
    if t > 0:
        return t
    return arb(0) if t <= 0 else arb(0).union(arb(t.upper()))


def network_square(n, z):
    """``sq_n(z)`` of a ball in [0, 1], level by level."""
    result, g = z, z
    for k in range(1, n + 1):
        g = 2 * _positive(g) - 4 * _positive(g - arb(0.5))
        result = result - g / 4**k
    return result


def network_product(n, a, b):
    """``mu_n(a, b)``."""
    return _positive(network_square(n, (a + b) / 2) - network_square(n, abs(a - b) / 2))


def network_power(n, z, degree):
    """``p_degree`` of a ball in [0, 1]."""
    if degree == 1:
        return z
    if degree % 2:
        return network_product(n, z, network_power(n, z, degree - 1))
    return network_square(n, network_power(n, z, degree // 2))


def fold_sum(order, n, x):
    """``N~_m`` at a ball, with the weights as they are stored."""
    total = arb(0)
    distance = abs(x - arb(order) / 2)
    for _, sign, a, width, scale in fold_terms(order):
        z = _positive(arb(width) - distance) / arb(scale)
        total += arb(sign * a) * network_power(n, z, order - 1)
    return _positive(total)


def _value(e, x, done):
    """A formula over balls, common parts once.

    On purpose this shares neither the walk nor the table of functions of `lib.formulas`, so that an
    error in a rule there is found here: every function is FLINT's own over the whole ball, which is
    unknown (nan) where a pole may be in it. A function is added to both.
    """
    if e in x:
        return x[e]
    if e not in done:
        if e.is_Rational:
            return arb(int(e.p)) / int(e.q)
        if e in (sympy.pi, sympy.E):
            return arb.pi() if e == sympy.pi else arb(1).exp()
        parts = [_value(p, x, done) for p in e.args]
        if e.is_Add or e.is_Mul:
            result = parts[0]
            for p in parts[1:]:
                result = result + p if e.is_Add else result * p
        elif e.is_Pow and e.exp.is_Integer:
            result = parts[0] ** int(e.exp)
        # of a base that is nowhere negative, as the formula has values everywhere
        elif e.is_Pow and e.base != sympy.E:
            result = arb("nan") if parts[0] < 0 else _of_modulus(False, *parts)
        elif e.is_Pow:
            result = parts[1].exp()
        elif isinstance(e, (AbsPower, SignPower)):
            result = _of_modulus(isinstance(e, SignPower), *parts)
        elif isinstance(e, Jump):
            result = arb(0) if parts[0] > 0 or parts[0] < 0 else arb("nan")
        else:
            require(
                e.func.__name__ in _FUNCTIONS,
                "formula",
                e.func.__name__,
                f"made of {', '.join(_FUNCTIONS)}",
            )
            result = getattr(parts[0], e.func.__name__)()
        done[e] = result
    return done[e]


def _of_modulus(signed, u, p):
    """``|u|^p`` or ``sign(u) |u|^p``; unknown for ``p < 0`` if ``u`` may be 0."""
    if u > 0 or u < 0:
        size = abs(u) ** p
        return -size if signed and u < 0 else size
    if not p >= 0:
        return arb("nan")
    top = arb(abs(u).upper()) ** p if p != 0 else arb(1)
    return arb(0, top.upper()) if signed else arb(top / 2).union(arb(0)).union(top)
