"""Rigorous bounds of derivatives over the cube: interval arithmetic with branch and bound.

Intervals are pairs of floats with outward rounding; elementary functions are evaluated at the end
points in the ball arithmetic of FLINT (python-flint), so every enclosure is rigorous.
"""

import heapq
import math
from functools import cache, reduce

import sympy
from flint import arb, ctx

from lib.formulas._formula import parse, variables
from lib.formulas._numbers import evaluate, no_rule, rational
from lib.formulas._powers import AbsPower, Jump, SignPower

_BITS = 128  # of FLINT's balls, so that their rounding does not show
_INF = math.inf
_EVERYTHING = (-_INF, _INF)


class _Undefined(Exception):
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


def _add(u, v):
    return _sum(u[0], v[0], -_INF), _sum(u[1], v[1], _INF)


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


def _multiply(u, v):
    products = [_product(a, b) for a in u for b in v]
    lo, hi = min(products)[0], max(products)[0]
    exact_lo, exact_hi = (all(exact for p, exact in products if p == end) for end in (lo, hi))
    return lo if exact_lo else math.nextafter(lo, -_INF), hi if exact_hi else math.nextafter(
        hi, _INF
    )


def _down(a):
    """The largest float that is not above an ``arb`` without radius, by half a unit at most."""
    value = float(a)
    return (
        -_INF if math.isnan(value) else value if arb(value) <= a else math.nextafter(value, -_INF)
    )


def _up(a):
    return -_down(-a)


def _increasing(function, low=-_INF, high=_INF):
    """An increasing function, given as a method of ``arb``, and its limits at the infinities."""

    def rule(u):
        lo = low if u[0] == -_INF else _down(function(arb(u[0])).lower())
        hi = high if u[1] == _INF else _up(function(arb(u[1])).upper())
        return max(lo, low), min(hi, high)

    return rule


def _log(u):
    if u[0] < 0:
        raise _Undefined
    return -_INF if u[0] == 0 else _down(arb(u[0]).log().lower()), _INF if u[1] == _INF else _up(
        arb(u[1]).log().upper()
    )


def _cosh(u):
    lo, hi = _abs(u)
    return _increasing(arb.cosh, 1.0)((lo, hi))


def _abs(u):
    return (0.0 if u[0] <= 0 <= u[1] else min(abs(u[0]), abs(u[1])), max(abs(u[0]), abs(u[1])))


def _nonnegative_power(u, p):
    """``u^p`` for an interval ``u >= 0`` and a sympy rational ``p``."""
    exponent = rational(p)

    def end(x, rounded):
        if x == 0:
            return 0.0 if p > 0 else (1.0 if p == 0 else _INF)
        if math.isinf(x):
            return _INF if p > 0 else (1.0 if p == 0 else 0.0)
        return rounded(arb(x) ** exponent)

    lo, hi = u if p >= 0 else u[::-1]
    return max(end(lo, lambda v: _down(v.lower())), 0.0), end(hi, lambda v: _up(v.upper()))


def _signed_power(u, p):
    """``sign(u) |u|^p`` for ``p > 0``."""
    low, high = (_nonnegative_power((abs(x), abs(x)), p) for x in u)
    return -low[1] if u[0] < 0 else low[0], -high[0] if u[1] < 0 else high[1]


def _power(u, p):
    if not p.is_Integer:
        if u[0] < 0:
            raise _Undefined
        return _nonnegative_power(u, p)
    if p % 2 == 0:
        return _nonnegative_power(_abs(u), p)
    if p > 0:
        return _signed_power(u, p)
    if u[0] < 0 < u[1]:
        return _EVERYTHING
    lo, hi = _nonnegative_power(_abs(u), p)
    return (lo, hi) if u[0] >= 0 else (-hi, -lo)


def _sine(u, shift=0):
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


RULES = {
    sympy.exp: _increasing(arb.exp, 0.0),
    sympy.sinh: _increasing(arb.sinh),
    sympy.tanh: _increasing(arb.tanh, -1.0, 1.0),
    sympy.atan: _increasing(
        arb.atan, *(side * math.nextafter(math.pi / 2, _INF) for side in (-1, 1))
    ),
    sympy.cosh: _cosh,
    sympy.log: _log,
    sympy.sin: _sine,
    sympy.cos: lambda u: _sine(u, 1),
}


def _constant(e):
    value = evaluate(e)
    return _down(value.lower()), _up(value.upper())


@cache
def _primitive(e):
    """An expression divided by a positive rational, so that its coefficients are integers if
    they are rational.
    """
    return e.as_content_primitive()[1]


def _of_modulus(e, u):
    """`AbsPower` or `SignPower` of an interval."""
    p = e.args[1]
    size = _nonnegative_power(_abs(u), p)
    if e.func is AbsPower or u[0] > 0:
        return size
    return (-size[1], -size[0]) if u[1] < 0 else (-size[1], size[1])


def enclose(expression, box, symbols):
    """An interval that holds all values of an expression over a box.

    Parameters
    ----------
    expression : sympy.Expr
    box : sequence of pairs of float
    symbols : list of sympy.Symbol

    Returns
    -------
    (lo, hi) : floats, possibly infinite.
        Ends are rounded outwards only where they are not floats, so ``1 - x1**2`` on [0, 1] is not
        negative. Everything, where a root or a logarithm of what may be negative is in it.

    Raises
    ------
    InputError
        For a function without a rule, or a symbol that is not one of those given.
    """
    done = {s: tuple(map(float, b)) for s, b in zip(symbols, box)}

    def walk(e):
        if e in done:
            return done[e]
        if e.is_number:
            result = _constant(e)
        elif e.is_Add or e.is_Mul:
            parts = [walk(a) for a in e.args]
            result = reduce(_add if e.is_Add else _multiply, parts)
        elif e.is_Pow and e.exp.is_Rational:
            u = walk(e.base)
            if u[0] < 0 and not e.exp.is_Integer and walk(_primitive(e.base))[0] >= 0:
                u = 0.0, u[1]
            result = _power(u, e.exp)
        elif e.func in (AbsPower, SignPower):
            result = _of_modulus(e, walk(e.args[0]))
        elif e.func is Jump:
            u = walk(e.args[0])
            result = (0.0, 0.0) if u[0] > 0 or u[1] < 0 else _EVERYTHING
        elif e.func in RULES:
            result = RULES[e.func](walk(e.args[0]))
        else:
            no_rule(e)
        done[e] = result
        return result

    with ctx.workprec(_BITS):
        try:
            return walk(expression)
        except _Undefined:
            return _EVERYTHING


def nonnegative_on_cube(expression, dim, boxes=2000):
    """Whether an expression is proved to be at least 0 on all of ``[0,1]^D``, by enclosures of
    so many boxes at most.
    """
    expression, symbols, left = _primitive(expression), variables(dim), [((0.0, 1.0),) * dim]
    for _ in range(boxes):
        if not left:
            return True
        box = left.pop()
        lo, hi = enclose(expression, box, symbols)
        if hi < 0:
            return False
        if not lo >= 0:
            left += _halves(box)
    return not left


def parse_on_cube(formula, dim):
    """A formula as `parse` returns it, with moduli of what has one sign on ``[0,1]^D`` left out:
    ``|x1|`` is ``x1``.

    Parameters and errors as for `parse`.
    """

    def without_modulus(u, p):
        for signed in (u, -u):
            if nonnegative_on_cube(signed, dim):
                return signed**p
        return AbsPower(u, p)

    return parse(formula, dim).replace(AbsPower, without_modulus)


def _halves(box):
    """A box cut across its longest side."""
    widths = [b - a for a, b in box]
    axis = widths.index(max(widths))
    a, b = box[axis]
    return [box[:axis] + (part,) + box[axis + 1 :] for part in ((a, (a + b) / 2), ((a + b) / 2, b))]


def bound_on_cube(expression, dim, gap=0.01, work=200_000):
    """An upper bound of ``sup |expression|`` over ``[0,1]^D``.

    Parameters
    ----------
    expression : sympy.Expr in ``x1 .. xD``
    dim : int
    gap : float
        The search stops when the bound is within this relative distance of a value attained.
    work : int
        ... or when about this many operations have been spent (the bound is rigorous all the same).

    Returns
    -------
    float
        ``inf`` if no finite bound was found.
    """
    if expression.is_zero:
        return 0.0
    symbols = variables(dim)
    boxes = max(50, work // sum(1 for _ in sympy.preorder_traversal(expression)))
    best = 0.0

    def size(box):
        nonlocal best
        lo, hi = enclose(expression, box, symbols)
        inside = enclose(expression, [((a + b) / 2,) * 2 for a, b in box], symbols)
        if math.isfinite(inside[0]) and math.isfinite(inside[1]):
            best = max(best, _abs(inside)[0])
        return max(abs(lo), abs(hi))

    start = ((0.0, 1.0),) * dim
    heap = [(-size(start), start)]
    for _ in range(boxes):
        upper, box = -heap[0][0], heap[0][1]
        if upper <= best * (1 + gap) or upper == 0:
            return upper
        if max(b - a for a, b in box) < 2.0**-30:
            return upper
        heapq.heappop(heap)
        for half in _halves(box):
            heapq.heappush(heap, (-size(half), half))
    return -heap[0][0]
