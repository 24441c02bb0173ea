"""Rigorous bounds of derivatives over the cube: interval arithmetic with branch and bound.

Intervals are pairs of floats with outward rounding; elementary functions are evaluated at the end
points in the ball arithmetic of FLINT (python-flint), so every enclosure is rigorous.
"""

import heapq
import math

import sympy
from flint import arb

from lib.formulas._formula import AbsPower, Jump, SignPower, variables

_INF = math.inf
_EVERYTHING = (-_INF, _INF)


def _out(lo, hi):
    if math.isnan(lo) or math.isnan(hi):
        return _EVERYTHING
    return math.nextafter(lo, -_INF), math.nextafter(hi, _INF)


def _monotone(function, u):
    """Enclose an increasing function, given as a method of ``arb``, over ``u``."""
    def end(x, side):
        if math.isinf(x):
            return x
        value = float(getattr(getattr(arb(x), function)(), side)())
        return value

    return _out(end(u[0], "lower"), end(u[1], "upper"))


def _add(u, v):
    return _out(u[0] + v[0], u[1] + v[1])


def _times(a, b):
    return 0.0 if a == 0 or b == 0 else a * b


def _multiply(u, v):
    products = [_times(a, b) for a in u for b in v]
    return _out(min(products), max(products))


def _abs(u):
    return (0.0 if u[0] <= 0 <= u[1] else min(abs(u[0]), abs(u[1])), max(abs(u[0]), abs(u[1])))


def _nonnegative_power(u, p):
    """``u^p`` for an interval ``u >= 0`` and a real constant ``p`` (an arb)."""
    def end(x, side):
        if x == 0:
            return 0.0 if p > 0 else (1.0 if p == 0 else _INF)
        if math.isinf(x):
            return _INF if p > 0 else 0.0
        return float(getattr(arb(x) ** p, side)())

    lo, hi = (u if p >= 0 else u[::-1])
    lo, hi = _out(end(lo, "lower"), end(hi, "upper"))
    return max(lo, 0.0), hi


def _integer_power(u, n):
    if n < 0:
        v = _integer_power(u, -n)
        if v[0] <= 0 <= v[1]:
            return (0.0, _INF) if v[0] >= 0 else _EVERYTHING
        return _out(1 / v[1], 1 / v[0])
    if n % 2 == 0:
        return _nonnegative_power(_abs(u), arb(n))
    low = _nonnegative_power(_abs((u[0], u[0])), arb(n))
    high = _nonnegative_power(_abs((u[1], u[1])), arb(n))
    return (-low[1] if u[0] < 0 else low[0]), (-high[0] if u[1] < 0 else high[1])


def _sine(u, shift):
    """``sin`` of ``u`` after the phase ``shift``: 0 for the sine, 1 for the cosine."""
    if not (abs(u[0]) < 1e6 and abs(u[1]) < 1e6):
        return -1.0, 1.0
    phase = shift * math.pi / 2
    values = [arb(x).cos() if shift else arb(x).sin() for x in u]
    lo = min(float(v.lower()) for v in values)
    hi = max(float(v.upper()) for v in values)

    def holds(extreme):   # may x + phase = extreme (mod 2 pi) for some x in u? generous by 1e-9
        start = math.ceil((u[0] + phase - extreme) / (2 * math.pi) - 1e-9)
        return start <= (u[1] + phase - extreme) / (2 * math.pi) + 1e-9

    lo, hi = _out(lo, hi)
    return (-1.0 if holds(-math.pi / 2) else lo), (1.0 if holds(math.pi / 2) else hi)


def _constant(e):
    value = e.evalf(30)
    return _out(*sorted([math.nextafter(float(value), -_INF), math.nextafter(float(value), _INF)]))


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
    """
    done = {s: tuple(b) for s, b in zip(symbols, box)}

    def walk(e):
        if e in done:
            return done[e]
        if e.is_number:
            result = _constant(e)
        elif e.is_Add:
            result = (0.0, 0.0)
            for a in e.args:
                result = _add(result, walk(a))
        elif e.is_Mul:
            result = (1.0, 1.0)
            for a in e.args:
                result = _multiply(result, walk(a))
        elif e.is_Pow and e.exp.is_Integer:
            result = _integer_power(walk(e.base), int(e.exp))
        elif e.is_Pow and e.base == sympy.E:
            result = _monotone("exp", walk(e.exp))
        elif e.is_Pow:
            u = walk(e.base)
            result = _EVERYTHING if u[0] < 0 else _nonnegative_power(u, arb(e.exp.p) / arb(e.exp.q))
        elif isinstance(e, AbsPower):
            u, p = walk(e.args[0]), e.args[1]
            result = _nonnegative_power(_abs(u), arb(p.p) / arb(p.q))
        elif isinstance(e, SignPower):
            u, p = walk(e.args[0]), e.args[1]
            size = _nonnegative_power(_abs(u), arb(p.p) / arb(p.q))
            result = size if u[0] > 0 else (-size[1], -size[0]) if u[1] < 0 else (-size[1], size[1])
        elif isinstance(e, Jump):
            u = walk(e.args[0])
            result = (0.0, 0.0) if u[0] > 0 or u[1] < 0 else _EVERYTHING
        elif e.func is sympy.log:
            u = walk(e.args[0])
            result = _EVERYTHING if u[0] <= 0 else _monotone("log", u)
        elif e.func in (sympy.sin, sympy.cos):
            result = _sine(walk(e.args[0]), 1 if e.func is sympy.cos else 0)
        elif e.func is sympy.cosh:
            result = _monotone("cosh", _abs(walk(e.args[0])))
        else:
            result = _monotone(e.func.__name__, walk(e.args[0]))
        done[e] = result
        return result

    return walk(expression)


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
        widths = [b - a for a, b in box]
        if max(widths) < 2.0**-30:
            return upper
        heapq.heappop(heap)
        axis = widths.index(max(widths))
        a, b = box[axis]
        for part in ((a, (a + b) / 2), ((a + b) / 2, b)):
            half = box[:axis] + (part,) + box[axis + 1:]
            heapq.heappush(heap, (-size(half), half))
    return -heap[0][0]
