"""Rigorous bounds of formulas over the cube: interval arithmetic with branch and bound."""

import heapq
import math
from collections.abc import Sequence
from functools import cache, lru_cache, reduce

import sympy
from flint import ctx

from lib.formulas import _intervals
from lib.formulas._fold import Algebra, fold
from lib.formulas._formula import parse, variables
from lib.formulas._numbers import evaluate
from lib.formulas._powers import AbsPower, gathered

_BITS = 128  # of FLINT's balls, so that their rounding does not show


@lru_cache(maxsize=4096)
def _constant(e):
    """The interval of a constant."""
    with ctx.workprec(_BITS):
        return _intervals.around(evaluate(e))


@cache
def _primitive(e):
    """An expression divided by a positive rational, so that its coefficients are integers if
    they are rational.
    """
    return e.as_content_primitive()[1]


class _Boxes(Algebra):
    """Values are intervals."""

    def __init__(self, known):
        super().__init__(known)
        self._least = {}  # of primitive bases of roots

    def number(self, e):
        return _constant(e)

    def add(self, *parts):
        return reduce(_intervals.add, parts)

    def multiply(self, *parts):
        return reduce(_intervals.multiply, parts)

    def power(self, u, p, base):
        if u[0] < 0 and not p.is_Integer and self._lower(_primitive(base)) >= 0:
            u = 0.0, u[1]
        return _intervals.power(u, p)

    def _lower(self, base):
        if base not in self._least:
            self._least[base] = fold(base, self)[0]
        return self._least[base]

    def absolute(self, u, p):
        return _intervals.absolute_power(u, p)

    def signed(self, u, p):
        return _intervals.signed_power(u, p)

    def jump(self, u):
        return _intervals.jump(u)

    def function(self, row, u):
        return row.interval(u)


def enclose(
    expression: sympy.Expr, box: Sequence[tuple[float, float]], symbols: Sequence[sympy.Symbol]
) -> tuple[float, float]:
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
    known = {s: tuple(map(float, b)) for s, b in zip(symbols, box)}
    with ctx.workprec(_BITS):
        try:
            return fold(expression, _Boxes(known))
        except _intervals.Undefined:
            return _intervals.EVERYTHING


def nonnegative_on_cube(expression: sympy.Expr, dim: int, boxes: int = 2000) -> bool:
    """Whether an expression is proved to be at least 0 on all of ``[0,1]^D``, by enclosures of
    so many boxes at most.
    """
    return _everywhere(expression, dim, boxes, lambda lo, hi: lo >= 0, lambda lo, hi: hi < 0)


def excludes_zero_on_cube(expression: sympy.Expr, dim: int, boxes: int = 200) -> bool:
    """Whether an expression is proved to have no zero on ``[0,1]^D``, as `nonnegative_on_cube`."""
    return _everywhere(expression, dim, boxes, lambda lo, hi: lo > 0 or hi < 0, lambda *_: False)


def _everywhere(expression, dim, boxes, holds, fails):
    """Whether the enclosures of boxes that cover the cube all hold; no more are looked at when one
    fails.
    """
    expression, symbols, left = _primitive(expression), variables(dim), [((0.0, 1.0),) * dim]
    for _ in range(boxes):
        if not left:
            return True
        box = left.pop()
        enclosure = enclose(expression, box, symbols)
        if fails(*enclosure):
            return False
        if not holds(*enclosure):
            left += _halves(box)
    return not left


def has_bounded_parts(expression: sympy.Expr, dim: int) -> bool:
    """Whether all parts of a formula are proved to be bounded on ``[0,1]^D``: then all are
    continuous, and formal derivatives, of which sympy may cancel parts, are derivatives.

    ``atan(tan(pi*x1))`` has a formal derivative that is constant, and a jump.
    """
    return all(
        math.isfinite(bound_on_cube(e, dim))
        for e in sympy.preorder_traversal(expression)
        if e.is_Pow and e.exp.is_negative or e.func in (sympy.tan, sympy.cot, sympy.log)
    )


def parse_on_cube(formula: str | sympy.Expr, dim: int) -> sympy.Expr:
    """A formula as `parse` returns it, for ``[0,1]^D``: moduli of what has one sign there are left
    out, ``|x1|`` is ``x1``, roots of products are products of roots, and powers are `gathered`.

    Parameters and errors as for `parse`.
    """

    def without_modulus(u, p):
        for signed in (u, -u):
            if nonnegative_on_cube(signed, dim):
                return signed**p
        return AbsPower(u, p)

    def of_factors(root):  # as sympy does itself for what it knows to be nonnegative
        if not all(nonnegative_on_cube(a, dim) for a in root.base.args):
            return root
        return sympy.Mul(*(a**root.exp for a in root.base.args))

    def is_root(e):
        return e.is_Pow and e.base.is_Mul and e.exp.is_Rational and not e.exp.is_Integer

    expression = parse(formula, dim).replace(AbsPower, without_modulus)
    return gathered(expression.replace(is_root, of_factors))


def _halves(box):
    """A box cut across its longest side."""
    widths = [b - a for a, b in box]
    axis = widths.index(max(widths))
    a, b = box[axis]
    return [box[:axis] + (part,) + box[axis + 1 :] for part in ((a, (a + b) / 2), ((a + b) / 2, b))]


def bound_on_cube(
    expression: sympy.Expr, dim: int, gap: float = 0.01, work: int = 200_000
) -> float:
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
            best = max(best, _intervals.modulus(inside)[0])
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
