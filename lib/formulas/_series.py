"""Taylor coefficients of functions around, or over, FLINT's balls (book: ``lem-taylor``).

A series maps a ball and an order to the list of ``g^(k) / k!``, ``k = 0, .., order``, over the
ball; unknown (nan) where a function is not defined or not smooth enough.
"""

from collections.abc import Callable
from functools import cache
from math import factorial

import sympy
from flint import arb

from lib.formulas import _balls
from lib.formulas._balls import UNKNOWN, absolute_power, hull, power, rational

_TWO = sympy.Integer(2)


def cycle(*functions):
    """The series of a function whose derivatives repeat: itself and the next ones."""

    def series(u, order):
        values = [f(u) for f in functions]
        return [values[k % len(values)] / factorial(k) for k in range(order + 1)]

    return series


exp = cycle(_balls.exp)
sin = cycle(arb.sin, arb.cos, lambda u: -u.sin(), lambda u: -u.cos())
cos = cycle(arb.cos, lambda u: -u.sin(), lambda u: -u.cos(), arb.sin)
sinh = cycle(_balls.sinh, _balls.cosh)
cosh = cycle(_balls.cosh, _balls.sinh)


def log(u, order):
    return [_balls.log(u)] + [
        power(u, sympy.Integer(-k)) / (k if k % 2 else -k) for k in range(1, order + 1)
    ]


def atan(u, order):
    """``(-1)^(k-1) sin(k t) sin(t)^k / k`` with ``t = arccot u``, in ``(0, pi)``: the real form
    of partial fractions.
    """
    if u > 1 or u < -1:
        t = _balls.atan(power(u, sympy.Integer(-1))) + (arb(0) if u > 0 else arb.pi())
    else:
        t = arb.pi() / 2 - _balls.atan(u)
    sine = t.sin()
    return [_balls.atan(u)] + [
        (k * t).sin() * power(sine, sympy.Integer(k)) / (k if k % 2 else -k)
        for k in range(1, order + 1)
    ]


def _of_own_square(value, slope, sign, order):
    """From ``t' = c + sign t^2``, of which the slope is given: each coefficient from those before
    it.
    """
    t = [value, slope]
    for k in range(1, order):
        t.append(sum((t[i] * t[k - i] for i in range(k + 1)), arb(0)) / (sign * (k + 1)))
    return t[: order + 1]


def _slope_of_tanh(u):
    """``1 - tanh(u)^2`` without cancellation."""

    def at(x):
        e = (-2 * x).exp()
        return 4 * e / (1 + e) ** 2

    return hull(at(u.abs_lower()), at(u.abs_upper()))


def tanh(u, order):
    """From ``t' = 1 - t^2``; over any ball the coefficients are at most 1 in modulus, by
    induction.
    """
    return _of_own_square(_balls.tanh(u), _slope_of_tanh(u), -1, order)


def tan(u, order):
    """From ``t' = 1 + t^2``."""
    t = _balls.tan(u)
    return _of_own_square(t, 1 + power(t, _TWO), 1, order)


def cot(u, order):
    """From ``c' = -(1 + c^2)``."""
    c = _balls.cot(u)
    return _of_own_square(c, -1 - power(c, _TWO), -1, order)


# ---- powers


@cache
def _binomials(p, order):
    """``p (p-1) .. (p-k+1) / k!`` and ``p - k`` for a rational ``p`` and ``k = 0, .., order``."""
    found = []
    factor = sympy.Integer(1)
    for k in range(order + 1):
        found.append((factor, p - k))
        factor = factor * (p - k) / (k + 1)
    return found


def power_series(p: sympy.Rational) -> Callable[[arb, int], list[arb]]:
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
                result.append(UNKNOWN)
                continue
            size = rational(factor) * absolute_power(top, rest)
            result.append(
                hull(-size if other_sided[k % 2] or rest == 0 and not one_sided else arb(0), size)
            )
        return result

    return series


def nonnegative_power_series(p: sympy.Rational) -> Callable[[arb, int], list[arb]]:
    """``u^p`` for a fractional ``p`` and ``u >= 0``, of which the ball may not know."""
    smooth = power_series(p)
    edge = _power_at_zero(p, True, (False, False))
    return lambda u, order: (
        edge(u, order) if p > 0 and not u > 0 and u.upper() >= 0 else smooth(u, order)
    )


def modulus_series(p: sympy.Rational, signed: bool = False) -> Callable[[arb, int], list[arb]]:
    """``|u|^p``, ``p > 0`` not an even integer, or ``sign(u) |u|^p``."""
    smooth = power_series(p)
    edge = _power_at_zero(p, False, (signed, not signed))

    def series(u, order):
        if u > 0:
            return smooth(u, order)
        if u < 0:
            return [c if (k + signed) % 2 == 0 else -c for k, c in enumerate(smooth(-u, order))]
        return edge(u, order)

    return series


def jump_series(u: arb, order: int) -> list[arb]:
    """0 where ``u`` is not; unknown where it may be."""
    return [_balls.jump(u)] * (order + 1)
