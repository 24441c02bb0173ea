"""Functions of intervals: the rules of formulas over boxes (book: chapter 05).

Intervals are pairs of floats, possibly infinite, with ends that are rounded outwards only where
they are not floats; elementary functions are evaluated at the end points in the ball arithmetic of
FLINT (python-flint), so every enclosure is rigorous.
"""

import math

from flint import arb

from lib.formulas._balls import may_be_zero, rational

INF = math.inf
EVERYTHING = (-INF, INF)


class Undefined(Exception):
    """A logarithm or a root of what may be negative."""


def _sum(a, b, side):
    """``a + b`` rounded towards ``side``, an infinity; exact where the sum is a float (Knuth's
    two-sum).
    """
    total = a + b
    if not math.isfinite(total):
        return (
            side
            if math.isnan(total) or total == side or math.isinf(a) or math.isinf(b)
            else math.nextafter(total, side)
        )
    part = total - a
    error = (a - (total - part)) + (b - part)
    return (
        total
        if error == 0 or (error < 0) == (side > 0) and error == error
        else math.nextafter(total, side)
    )


def add(u, v):
    return _sum(u[0], v[0], -INF), _sum(u[1], v[1], INF)


def _digits(x):
    """The length of the significand without its zeros: 1 for powers of two."""
    n = abs(x.as_integer_ratio()[0])
    return (n // (n & -n)).bit_length()


def _product(a, b):
    """A product to nearest (zero times infinity is zero), and whether it is exact: whether few
    enough digits make it.
    """
    if a == 0 or b == 0:
        return 0.0, True
    p = a * b
    if math.isinf(p):
        return p, math.isinf(a) or math.isinf(b)
    digits = _digits(a), _digits(b)
    return p, (sum(digits) <= 53 or 1 in digits) and abs(p) > 2.0**-960


def multiply(u, v):
    products = [_product(a, b) for a in u for b in v]
    lo, hi = min(products)[0], max(products)[0]
    exact_lo, exact_hi = (all(exact for p, exact in products if p == end) for end in (lo, hi))
    return lo if exact_lo else math.nextafter(lo, -INF), hi if exact_hi else math.nextafter(hi, INF)


def _down(a):
    """The largest float that is not above an ``arb`` without radius, by half a unit at most."""
    value = float(a)
    return -INF if math.isnan(value) else value if arb(value) <= a else math.nextafter(value, -INF)


def _up(a):
    return -_down(-a)


def around(ball):
    """The interval of a ball."""
    return _down(ball.lower()), _up(ball.upper())


def modulus(u):
    return (0.0 if u[0] <= 0 <= u[1] else min(abs(u[0]), abs(u[1])), max(abs(u[0]), abs(u[1])))


# ---- powers


def _nonnegative_power(u, p):
    """``u^p`` for an interval ``u >= 0`` and a sympy rational ``p``."""
    exponent = rational(p)

    def end(x, rounded):
        if x == 0:
            return 0.0 if p > 0 else (1.0 if p == 0 else INF)
        if math.isinf(x):
            return INF if p > 0 else (1.0 if p == 0 else 0.0)
        return rounded(arb(x) ** exponent)

    lo, hi = u if p >= 0 else u[::-1]
    return max(end(lo, lambda v: _down(v.lower())), 0.0), end(hi, lambda v: _up(v.upper()))


def _odd_power(u, p):
    """``sign(u) |u|^p`` for ``p > 0``."""
    low, high = (_nonnegative_power((abs(x), abs(x)), p) for x in u)
    return -low[1] if u[0] < 0 else low[0], -high[0] if u[1] < 0 else high[1]


def power(u, p):
    """``u^p`` for a sympy rational ``p``."""
    if not p.is_Integer:
        if u[0] < 0:
            raise Undefined
        return _nonnegative_power(u, p)
    if p % 2 == 0:
        return _nonnegative_power(modulus(u), p)
    if p > 0:
        return _odd_power(u, p)
    if u[0] < 0 < u[1]:
        return EVERYTHING
    lo, hi = _nonnegative_power(modulus(u), p)
    return (lo, hi) if u[0] >= 0 else (-hi, -lo)


def absolute_power(u, p):
    """``|u|^p``."""
    return _nonnegative_power(modulus(u), p)


def signed_power(u, p):
    """``sign(u) |u|^p``."""
    size = absolute_power(u, p)
    if u[0] > 0:
        return size
    return (-size[1], -size[0]) if u[1] < 0 else (-size[1], size[1])


def jump(u):
    """0 where ``u`` is not; everything where it may be."""
    return (0.0, 0.0) if u[0] > 0 or u[1] < 0 else EVERYTHING


# ---- functions


def increasing(function, low=-INF, high=INF):
    """An increasing function, given as a method of ``arb``, and its limits at the infinities."""

    def rule(u):
        lo = low if u[0] == -INF else _down(function(arb(u[0])).lower())
        hi = high if u[1] == INF else _up(function(arb(u[1])).upper())
        return max(lo, low), min(hi, high)

    return rule


exp = increasing(arb.exp, 0.0)
sinh = increasing(arb.sinh)
tanh = increasing(arb.tanh, -1.0, 1.0)
atan = increasing(arb.atan, *(side * math.nextafter(math.pi / 2, INF) for side in (-1, 1)))


def log(u):
    if u[0] < 0:
        raise Undefined
    return -INF if u[0] == 0 else _down(arb(u[0]).log().lower()), INF if u[1] == INF else _up(
        arb(u[1]).log().upper()
    )


def cosh(u):
    return increasing(arb.cosh, 1.0)(modulus(u))


def _wave(u, shift):
    """``sin`` of ``u`` after the phase ``shift``: 0 for the sine, 1 for the cosine."""
    if not (abs(u[0]) < 1e6 and abs(u[1]) < 1e6):
        return -1.0, 1.0
    phase = shift * math.pi / 2
    values = [arb(x).cos() if shift else arb(x).sin() for x in u]
    lo = min(_down(v.lower()) for v in values)
    hi = max(_up(v.upper()) for v in values)

    def holds(extreme):  # may x + phase = extreme (mod 2 pi) for some x in u? generous by 1e-9
        start = math.ceil((u[0] + phase - extreme) / (2 * math.pi) - 1e-9)
        return start <= (u[1] + phase - extreme) / (2 * math.pi) + 1e-9

    return (-1.0 if holds(-math.pi / 2) else max(lo, -1.0)), (
        1.0 if holds(math.pi / 2) else min(hi, 1.0)
    )


def sin(u):
    return _wave(u, 0)


def cos(u):
    return _wave(u, 1)


def ball(u):
    """A ball around an interval."""
    return arb(u[0]).union(arb(u[1]))


def tan(u):
    """Increasing between its poles; everything where one may be inside."""
    return EVERYTHING if may_be_zero(ball(u).cos()) else increasing(arb.tan)(u)


def cot(u):
    """Decreasing between its poles; everything where one may be inside."""
    if may_be_zero(ball(u).sin()):
        return EVERYTHING
    return _down(arb(u[1]).cot().lower()), _up(arb(u[0]).cot().upper())
