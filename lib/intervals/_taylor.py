"""Taylor expansions of formulas over many boxes at once, with enclosed coefficients (book:
``lem-taylor``).
"""

from functools import cache
from itertools import product
from math import factorial

import numpy as np
import sympy
from flint import arb

from lib.formulas import AbsPower, SignPower, evaluate, nonnegative_on_cube
from lib.formulas import variables as coordinates
from lib.formulas._numbers import FUNCTIONS, absolute_power, hull, no_rule, power, rational
from lib.intervals._balls import UNIT, Balls, precision, up

_PAIRS = 1 << 21  # numbers in the table of a product


@cache
def exponents(dim, order):
    """The multi-indices ``|nu| <= order``, by degree: int array (n, dim)."""
    found = [nu for nu in product(range(order + 1), repeat=dim) if sum(nu) <= order]
    return np.array(sorted(found, key=lambda nu: (sum(nu), nu[::-1]))).reshape(-1, dim)


@cache
def _products(dim, order):
    """Which pairs of coefficients make which coefficient of a product: left, right, first pair
    of each.
    """
    powers = exponents(dim, order)
    place = {tuple(nu): i for i, nu in enumerate(powers)}
    pairs = sorted(
        (place[tuple(a + b)], i, j)
        for i, a in enumerate(powers)
        for j, b in enumerate(powers)
        if a.sum() + b.sum() <= order
    )
    out, left, right = map(np.array, zip(*pairs))
    return left, right, np.flatnonzero(np.diff(out, prepend=-1)), np.bincount(out)[:, None]


@cache
def _shifts(dim, order, axis):
    """The derivative along an axis: which coefficients it reads and by what they are multiplied."""
    place = {tuple(nu): i for i, nu in enumerate(exponents(dim, order))}
    lower = exponents(dim, order - 1)
    step = np.eye(dim, dtype=int)[axis]
    return np.array([place[tuple(nu + step)] for nu in lower]), (lower[:, axis] + 1.0)[:, None]


class Taylor:
    """Coefficients of ``sum_nu c_nu s^nu``, ``|nu| <= order``, in ``dim`` variables, for many
    boxes.

    Attributes
    ----------
    coefficients : Balls, shape (n, P)
        In the order of `exponents`.
    """

    __array_ufunc__ = None

    def __init__(self, coefficients, dim, order):
        self.coefficients = coefficients
        self.dim = dim
        self.order = order

    @classmethod
    def variable(cls, value, slope, axis, dim, order):
        """``value + slope s_axis``: balls (P,) and a float array or balls (P,)."""
        slope = slope if isinstance(slope, Balls) else Balls(np.broadcast_to(slope, value.shape))
        mid, rad = np.zeros((2, len(exponents(dim, order)), *value.shape))
        mid[0], rad[0] = value.mid, value.rad
        row = int(np.flatnonzero((exponents(dim, order) == np.eye(dim, dtype=int)[axis]).all(1))[0])
        mid[row], rad[row] = slope.mid, slope.rad
        return cls(Balls(mid, rad), dim, order)

    def __getitem__(self, part):
        """Some of the boxes."""
        return self._like(self.coefficients[:, part])

    def _like(self, coefficients):
        return Taylor(coefficients, self.dim, self.order)

    def __neg__(self):
        return self._like(-self.coefficients)

    def __add__(self, other):
        if isinstance(other, Taylor):
            return self._like(self.coefficients + other.coefficients)
        c = self.coefficients
        first = c[0] + other
        return self._like(
            Balls(
                np.concatenate([first.mid[None], c.mid[1:]]),
                np.concatenate([first.rad[None], c.rad[1:]]),
            )
        )

    __radd__ = __add__

    def __sub__(self, other):
        return self + (-other)

    def __mul__(self, other):
        if not isinstance(other, Taylor):
            return self._like(self.coefficients * other)
        left, right, starts, counts = _products(self.dim, self.order)
        a, b = self.coefficients, other.coefficients
        size = max(1, _PAIRS // len(left))
        if a.shape[1] > size:
            return self._like(
                _joined(
                    [
                        (
                            self._like(a[:, i : i + size]) * self._like(b[:, i : i + size])
                        ).coefficients
                        for i in range(0, a.shape[1], size)
                    ]
                )
            )
        p = a[left] * b[right]
        with np.errstate(invalid="ignore"):
            mid = np.add.reduceat(p.mid, starts, axis=0)
            rad = np.add.reduceat(p.rad, starts, axis=0) + counts * UNIT * np.add.reduceat(
                np.abs(p.mid), starts, axis=0
            )
        return self._like(Balls(mid, up(rad, int(counts.max()))))

    __rmul__ = __mul__

    def square(self):
        """The product with itself, never negative."""
        c = (self * self).coefficients
        c[:1] = self.coefficients[:1].square()
        return self._like(c)

    def compose(self, series):
        """``g`` of this, for the coefficients ``g^(k) / k!`` at (or over) its constant term:
        balls (order + 1, P).
        """
        c = self.coefficients
        mid = c.mid.copy()
        rad = c.rad.copy()
        mid[0], rad[0] = 0.0, 0.0
        step = self._like(Balls(mid, rad))
        result = self._like(Balls(np.zeros_like(mid))) + series[self.order]
        for k in range(self.order - 1, -1, -1):
            result = result * step + series[k]
        return result

    def derivative(self, axis):
        """The derivative along an axis, one order less."""
        rows, factors = _shifts(self.dim, self.order, axis)
        return Taylor(self.coefficients[rows] * factors, self.dim, self.order - 1)

    def polynomial(self, coefficients):
        """A polynomial of this with coefficients given from the constant on, by Horner's rule."""
        result = self._like(Balls(np.zeros(self.coefficients.shape))) + coefficients[-1]
        for c in coefficients[-2::-1]:
            result = result * self + c
        return result


def _joined(parts):
    return Balls(
        np.concatenate([p.mid for p in parts], axis=1),
        np.concatenate([p.rad for p in parts], axis=1),
    )


def span(centre, over):
    """Enclose a function over the boxes ``|s_i| <= 1`` from two expansions of it (``lem-taylor``).

    Parameters
    ----------
    centre, over : Taylor
        The coefficients at the middle of each box, and those found with the whole box for the
        middle.

    Returns
    -------
    lower, upper : float arrays (P,)
        The best over all orders ``q``: coefficients of degree below ``q`` from the first, ``q``
        from the second.
    """
    powers = exponents(centre.dim, centre.order)
    degree = powers.sum(1)
    even = (powers % 2 == 0).all(1)[:, None]

    def ends(c):
        low, high, size = c.lower, c.upper, c.size
        return np.where(even, np.minimum(low, 0), -size), np.where(even, np.maximum(high, 0), size)

    low, high = ends(centre.coefficients)
    low[0], high[0] = centre.coefficients.lower[0], centre.coefficients.upper[0]
    last_low, last_high = ends(over.coefficients)
    best_low = over.coefficients.lower[0]
    best_high = over.coefficients.upper[0]
    for q in range(1, centre.order + 1):
        below, here = degree < q, degree == q
        count = int(below.sum() + here.sum())
        total_low = low[below].sum(0) + last_low[here].sum(0)
        total_high = high[below].sum(0) + last_high[here].sum(0)
        with np.errstate(invalid="ignore"):
            slack = (
                (count + 8)
                * 2
                * UNIT
                * (
                    np.abs(low[below]).sum(0)
                    + np.abs(last_low[here]).sum(0)
                    + np.abs(high[below]).sum(0)
                    + np.abs(last_high[here]).sum(0)
                )
            )
            best_low = np.fmax(best_low, total_low - slack)
            best_high = np.fmin(best_high, total_high + slack)
    return best_low, best_high


# ---- formulas


def _each(series, value, order):
    """Coefficients of an elementary function around (over) balls (P,): balls (order + 1, P).

    Equal balls, as functions of one coordinate have on a grid, are evaluated once.
    """
    distinct, place = np.unique(np.stack([value.mid, value.rad]), axis=1, return_inverse=True)
    columns = [series(a, order) for a in Balls(*distinct).flint()]
    return Balls.from_flint((c for row in zip(*columns) for c in row), (order + 1, len(columns)))[
        :, place.reshape(-1)
    ]


def _cycle(*functions):
    """The series of a function whose derivatives repeat: itself and the next ones."""

    def series(u, order):
        values = [f(u) for f in functions]
        return [values[k % len(values)] / factorial(k) for k in range(order + 1)]

    return series


def _log(u, order):
    return [FUNCTIONS[sympy.log](u)] + [
        power(u, sympy.Integer(-k)) / (k if k % 2 else -k) for k in range(1, order + 1)
    ]


def _atan(u, order):
    """``(-1)^(k-1) sin(k t) sin(t)^k / k`` with ``t = arccot u``, in ``(0, pi)``: the real form
    of partial fractions.
    """
    if u > 1 or u < -1:
        t = FUNCTIONS[sympy.atan](power(u, sympy.Integer(-1))) + (arb(0) if u > 0 else arb.pi())
    else:
        t = arb.pi() / 2 - FUNCTIONS[sympy.atan](u)
    sine = t.sin()
    return [FUNCTIONS[sympy.atan](u)] + [
        (k * t).sin() * power(sine, sympy.Integer(k)) / (k if k % 2 else -k)
        for k in range(1, order + 1)
    ]


def _slope_of_tanh(u):
    """``1 - tanh(u)^2`` without cancellation."""

    def at(x):
        e = (-2 * x).exp()
        return 4 * e / (1 + e) ** 2

    return hull(at(u.abs_lower()), at(u.abs_upper()))


def _tanh(u, order):
    """From ``t' = 1 - t^2``; over any ball the coefficients are at most 1 in modulus, by
    induction.
    """
    t = [FUNCTIONS[sympy.tanh](u), _slope_of_tanh(u)]
    for k in range(1, order):
        t.append(sum((t[i] * t[k - i] for i in range(k + 1)), arb(0)) / -(k + 1))
    return t[: order + 1]


SERIES = {
    sympy.exp: _cycle(FUNCTIONS[sympy.exp]),
    sympy.log: _log,
    sympy.tanh: _tanh,
    sympy.atan: _atan,
    sympy.sin: _cycle(arb.sin, arb.cos, lambda u: -u.sin(), lambda u: -u.cos()),
    sympy.cos: _cycle(arb.cos, lambda u: -u.sin(), lambda u: -u.cos(), arb.sin),
    sympy.sinh: _cycle(FUNCTIONS[sympy.sinh], FUNCTIONS[sympy.cosh]),
    sympy.cosh: _cycle(FUNCTIONS[sympy.cosh], FUNCTIONS[sympy.sinh]),
}


@cache
def _binomials(p, order):
    """``p (p-1) .. (p-k+1) / k!`` and ``p - k`` for a rational ``p`` and ``k = 0, .., order``."""
    found = []
    factor = sympy.Integer(1)
    for k in range(order + 1):
        found.append((factor, p - k))
        factor = factor * (p - k) / (k + 1)
    return found


def _power(p):
    """``u^p`` for a rational ``p``."""

    def series(u, order):
        return [
            rational(factor) * power(u, rest) if factor else arb(0)
            for factor, rest in _binomials(p, order)
        ]

    return series


def _power_at_zero(p, one_sided, other_sided):
    """``u^p``, ``p > 0``, where ``u`` may be 0: a bound for derivatives up to the order ``p``,
    beyond it nothing is known.

    For ``u >= 0`` they are not negative; a sign is needed where the function goes on to the left of
    0 otherwise, which ``other_sided`` says of derivatives of even and of odd order.
    """

    def series(u, order):
        top = u.abs_upper() if not one_sided else u.upper()
        result = []
        for k, (factor, rest) in enumerate(_binomials(p, order)):
            if rest < 0:
                result.append(arb("nan"))
                continue
            size = rational(factor) * absolute_power(top, rest)
            result.append(
                hull(-size if other_sided[k % 2] or rest == 0 and not one_sided else arb(0), size)
            )
        return result

    return series


def _nonnegative_power(p):
    """``u^p`` for a fractional ``p`` and ``u >= 0``, of which the ball may not know."""
    smooth = _power(p)
    edge = _power_at_zero(p, True, (False, False))
    return lambda u, order: (
        edge(u, order) if p > 0 and not u > 0 and u.upper() >= 0 else smooth(u, order)
    )


def _absolute_power(p, signed=False):
    """``|u|^p``, ``p > 0`` not an even integer, or ``sign(u) |u|^p``."""
    smooth = _power(p)
    edge = _power_at_zero(p, False, (signed, not signed))

    def series(u, order):
        if u > 0:
            return smooth(u, order)
        if u < 0:
            return [c if (k + signed) % 2 == 0 else -c for k, c in enumerate(smooth(-u, order))]
        return edge(u, order)

    return series


_is_nonnegative = cache(nonnegative_on_cube)
_BEYOND = 1e-9  # by which rounding may put a ball beyond the cube


def _function(e, on_cube):
    """The series of the outermost function of a formula."""
    if e.func in (AbsPower, SignPower):
        return _absolute_power(e.args[1], e.func is SignPower)
    if e.is_Pow and e.exp.is_Rational:
        roots = on_cube and not e.exp.is_Integer and _is_nonnegative(e.base, on_cube)
        return (_nonnegative_power if roots else _power)(e.exp)
    if e.func not in SERIES:
        no_rule(e)
    return SERIES[e.func]


def _cube(variables):
    """The dimension, if these are the coordinates of points of the cube, else 0."""
    first = [v.coefficients[0] for v in variables.values()]
    inside = all((c.lower >= -_BEYOND).all() and (c.upper <= 1 + _BEYOND).all() for c in first)
    return len(first) if inside and list(variables) == coordinates(len(first)) else 0


def expand(expression, variables):
    """The expansion of a formula.

    Parameters
    ----------
    expression : sympy.Expr
        As `lib.formulas.parse` returns them.
    variables : dict
        `Taylor` expansions of its symbols.

    Returns
    -------
    Taylor
        Enclosures of the coefficients; infinite where a function is not defined or not smooth
        enough.

    Raises
    ------
    InputError
        For a function without a rule.

    Notes
    -----
    The base of a fractional power that is proved to be non-negative on ``[0,1]^D`` is taken to be
    so over boxes of the cube where its ball, by rounding or overestimation, reaches below 0.
    """
    example = next(iter(variables.values()))
    on_cube = _cube(variables)
    done = dict(variables)

    def number(e):
        value = evaluate(e)
        return Balls.from_flint([value], ()) * np.ones(example.coefficients.shape[1])

    def walk(e):
        if e not in done:
            if e.is_number:
                done[e] = Taylor(
                    Balls(np.zeros(example.coefficients.shape)), example.dim, example.order
                ) + number(e)
            elif e.is_Add or e.is_Mul:
                numbers = [a for a in e.args if a.is_number]
                parts = [walk(a) for a in e.args if not a.is_number]
                result = parts[0]
                for part in parts[1:]:
                    result = result + part if e.is_Add else result * part
                for a in numbers:
                    result = result + number(a) if e.is_Add else result * number(a)
                done[e] = result
            else:
                series = _function(e, on_cube)
                u = walk(e.args[0])
                done[e] = (
                    u.square()
                    if e.is_Pow and e.exp == 2
                    else u.compose(_each(series, u.coefficients[0], u.order))
                )
        return done[e]

    with precision():
        return walk(expression)
