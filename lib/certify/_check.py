"""A second, slower proof of a certificate on the cube that takes nothing from it but its boxes and its two claims.

Shared with `lib.certify.certify` are the construction of the network and the tables of the B-spline and its folds.
Numbers are balls of python-flint, one at a time; derivatives of the formula are symbolic; the polynomial of a cell is
expanded by the binomial theorem; and the bounds of ``lem-deviation`` and ``lem-rounding`` are written out once more.
"""

from fractions import Fraction
from functools import cached_property
from itertools import product
from math import comb, factorial

import sympy
from flint import arb, ctx

from lib.approximation import Cube
from lib.convresnet import spline_network
from lib.errors import require
from lib.formulas import AbsPower, Jump, SignPower, variables
from lib.relu import fold_terms
from lib.splines import pieces

_BITS, _DEEPER = 80, 6   # of the balls; halvings of a box where the claim does not follow at once


def check(certificate, approximation):
    """Prove once more what a certificate claims.

    Parameters
    ----------
    certificate : Certificate
    approximation : lib.Approximation
        On a cube, with an unchanged network and a formula.

    Returns
    -------
    int
        How many boxes were needed.

    Raises
    ------
    InputError
        If the boxes do not cover the cube, the network is not the construction, or a bound does not follow.
    """
    a = approximation
    require(isinstance(a.domain, Cube), "approximation", a.domain, "on a cube")
    ideal = spline_network(a.charts, a.order, a.refinement, a.kernel_size, a.blocks).state_dict()
    mine = a.network.state_dict()
    require(mine.keys() == ideal.keys() and all(v.shape == mine[k].shape and bool((v == mine[k]).all())
                                                for k, v in ideal.items()),
            "approximation", "changed weights", "the construction itself")
    roots = tuple(certificate.roots)
    require(roots == (a.cells,) * a.dim, "certificate", roots, f"of boxes of {a.cells} cells a side")
    boxes = [(int(level), tuple(map(int, index))) for level, index in zip(certificate.level, certificate.index)]
    require(_cover(boxes, roots), "certificate", f"{len(boxes)} boxes", "boxes that cover the cube without overlap")
    before, ctx.prec = ctx.prec, _BITS
    try:
        proof, todo, count = _Proof(a), [(box, 0) for box in boxes], 0
        while todo:
            (level, index), depth = todo.pop()
            count += 1
            value, slope = proof.bounds([Fraction(2 * i + 1, 2 ** (level + 1)) for i in index], Fraction(1, 2 ** (level + 1)))
            if value <= certificate.value.upper and slope <= certificate.gradient.upper:
                continue
            require(depth < _DEEPER, "certificate", (level, index),
                    f"a box with errors below {certificate.value.upper:.6g} and {certificate.gradient.upper:.6g}; "
                    f"found are {float(value):.6g} and {float(slope):.6g}")
            todo += [((level + 1, tuple(2 * i + c for i, c in zip(index, corner))), depth + 1)
                     for corner in product((0, 1), repeat=len(index))]
        return count
    finally:
        ctx.prec = before


def _cover(boxes, roots):
    """Whether dyadic boxes fill ``[0, roots]`` and no two overlap."""
    seen, volume = set(boxes), Fraction(0)
    for level, index in boxes:
        if level < 0 or not all(0 <= i < r * 2**level for i, r in zip(index, roots)):
            return False
        if any((level - up, tuple(i >> up for i in index)) in seen for up in range(1, level + 1)):
            return False
        volume += Fraction(1, 2 ** (level * len(roots)))
    total = 1
    for r in roots:
        total *= r
    return len(seen) == len(boxes) and volume == total


class _Proof:
    """Bounds over one box, for an approximation on a cube."""

    def __init__(self, a):
        self.order, self.cells, self.n, self.dim = a.order, a.cells, a.refinement, a.dim
        self.symbols, self.derivatives = variables(a.dim), {(0,) * a.dim: a.target.expression}
        terms = zip(a.charts[0].indices.tolist(), a.charts[0].coefficients.tolist())
        self.coefficients = {tuple(j): arb(c) for j, c in terms}
        self.polynomials = {}
        self.indices = sorted((nu for nu in product(range(a.order + 1), repeat=a.dim) if sum(nu) <= a.order), key=sum)

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
            m, found = self.order, {}
            for k in product(range(m), repeat=self.dim):   # the term that began k cells to the left
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
        """Upper bounds of both errors for ``|s - middle| <= radius``, in mesh units."""
        cell = tuple(int(s) for s in middle)
        place = [s - i for s, i in zip(middle, cell)]
        value_off, slope_off = self.deviation(cell, place, radius)
        polynomial, coefficients = self.polynomial(cell), {}
        for over in (False, True):
            r = _arb(radius) if over else arb(0)
            t = [arb(_arb(p).mid(), r) for p in place]
            x = {v: arb(_arb(s).mid(), r) / self.cells for v, s in zip(self.symbols, middle)}
            values = {}
            for nu in self.indices:
                f = _value(self.derivative(nu), x, values)
                for n in nu:
                    f = f / factorial(n)
                g = f / self.cells ** sum(nu) - self.taylor(polynomial, t, nu)
                coefficients[nu, over] = g * _arb(radius) ** sum(nu)
        value = self.largest(coefficients, None) + value_off
        slopes = [(self.largest(coefficients, k) / _arb(radius) + slope_off[k]) * self.cells for k in range(self.dim)]
        return value, max(slopes, key=lambda s: s.upper())

    def largest(self, coefficients, axis):
        """An upper bound of the function (of its derivative along an axis) by the best order of expansion."""
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
                elif all(n % 2 == 0 for n in nu):   # s^nu is in [0, 1]
                    low, high = low + min(arb(c.lower()), arb(0)), high + max(arb(c.upper()), arb(0))
                else:
                    low, high = low - size, high + size
            found = max(arb((-low).upper()), arb(high.upper()))
            if found.is_finite() and found < best:
                best = found
        return best

    # ---- the network against the spline

    @cached_property
    def constants(self):
        return arb(4) ** (-self.n - 1), arb(2) ** -self.n, arb(2) ** -53

    def factor(self, k, place, radius):
        """The factor that began ``k`` cells to the left: its sup, that of its slope, and by what the network misses both."""
        m, (eps, delta, unit) = self.order, self.constants
        t = arb(_arb(place).mid(), _arb(radius))
        piece = pieces(m)[k]
        size = sum((t**e * c.numerator / c.denominator for e, c in enumerate(piece)), arb(0))
        steep = sum((t ** (e - 1) * e * c.numerator / c.denominator for e, c in enumerate(piece) if e), arb(0))
        distance = max(Fraction(0), abs(place + k - Fraction(m, 2)) - radius)
        low = high = slope = arb(0)
        for _, sign, a, width, scale in fold_terms(m):
            z = (Fraction(width) - distance) / Fraction(scale)
            if z <= 0:
                continue
            z, a = min(_arb(z), arb(1)), arb(a)
            s = min(2 * z + delta, arb(2))
            ends, e = {2: ((arb(0), arb(0)), arb(0)), 3: ((arb(0), eps), delta),
                       4: ((-eps, eps * (1 + z)), eps + delta * (z + max(arb(1), s))),
                       5: ((arb(0), eps * (2 * z * z + eps + 1)), 4 * z * eps + delta * (2 * (z * z + eps) + s))}[m]
            ends = ends if sign > 0 else (-ends[1], -ends[0])
            stored = 2 * unit * a if m > 3 else arb(0)
            low, high = low + a * ends[0] - stored, high + a * ends[1] + stored
            slope += (a * e + 4 * stored) / arb(scale)
        return min(arb(abs(size).upper()), arb(1)), arb(abs(steep).upper()), max(high, -low), slope

    def deviation(self, cell, place, radius):
        """``sum_j |c_j|`` times what the lemmas allow for a term, in value (with rounding) and along each axis."""
        m, (eps, delta, unit) = self.order, self.constants
        factors = [[self.factor(k, p, radius) for k in range(m)] for p in place]
        value, slopes = arb(0), [arb(0)] * self.dim
        for k in product(range(m), repeat=self.dim):
            c = abs(self.coefficients.get(tuple(i - p for i, p in zip(cell, k)), arb(0)))
            size, steep, error, slope = factors[0][k[0]]
            rows = [(slope, steep)]
            for axis in range(1, self.dim):
                u, du, e, de = factors[axis][k[axis]]
                rows = [(d * min(arb(1), u + e + delta) + s * (delta + e), s * u) for d, s in rows]
                rows.append((de * min(arb(1), size + error + delta) + du * (delta + error), du * size))
                error = e * min(arb(1), size + error) + error * u + eps
                size = size * u
            value += c * (error + unit * self.rounding)
            slopes = [t + c * row[0] for t, row in zip(slopes, rows)]
        return value, slopes

    @cached_property
    def rounding(self):
        """``lem-rounding``: units of roundoff a term, its share of the final sums included."""
        m, square, times = self.order, 3 * self.n + 12, 3 * self.n + 40
        power, lipschitz = {2: (0, 1), 3: (square, 2), 4: (2 * square + times, 3), 5: (3 * square, 4)}[m]
        factor = sum(a * (lipschitz * ((2 * self.cells + m) / scale + 1) + power + 6) for *_, a, _, scale in fold_terms(m))
        return arb(1.01) * (self.dim * factor + (self.dim - 1) * times + 2 * m**self.dim + 4)


def _arb(x):
    return arb(x.numerator) / x.denominator


def _value(e, x, done):
    """A formula over balls, common parts once."""
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
        elif e.is_Pow:
            result = parts[0] ** int(e.exp) if e.exp.is_Integer else parts[0] ** parts[1]
        elif isinstance(e, (AbsPower, SignPower)):
            result = _of_modulus(isinstance(e, SignPower), *parts)
        elif isinstance(e, Jump):
            result = arb(0) if parts[0] > 0 or parts[0] < 0 else arb("nan")
        else:
            result = getattr(parts[0], e.func.__name__)()
        done[e] = result
    return done[e]


def _of_modulus(signed, u, p):
    """``|u|^p`` or ``sign(u) |u|^p``."""
    if u > 0 or u < 0:
        size = abs(u) ** p
        return -size if signed and u < 0 else size
    top = arb(abs(u).upper()) ** p if p != 0 else arb(1)
    return arb(0, top.upper()) if signed else arb(top / 2).union(arb(0)).union(top)
