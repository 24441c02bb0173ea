"""Formulas at numbers, in FLINT's balls (book: chapter 10)."""

from functools import lru_cache

import sympy
from flint import arb, ctx

from lib.formulas import _balls
from lib.formulas._fold import Algebra, apply, fold, operation


class _Numbers(Algebra):
    """Values are ``arb``."""

    def number(self, e):
        return _constant(e, ctx.prec)

    def add(self, *parts):
        return sum(parts, arb(0))

    def multiply(self, *parts):
        product = arb(1)
        for u in parts:
            product *= u
        return product

    def power(self, u, p, base):
        return _balls.power(u, p)

    def absolute(self, u, p):
        return _balls.absolute_power(u, p)

    def signed(self, u, p):
        return _balls.signed_power(u, p)

    def jump(self, u):
        return _balls.jump(u)

    def function(self, row, u):
        return row.ball(u)


@lru_cache(maxsize=4096)
def _constant(e, bits):
    """A constant in balls of so many bits, those of the context."""
    if e.is_Rational:
        return _balls.rational(e)
    if e.is_Float:
        return _balls.rational(sympy.Rational(e))
    if e is sympy.pi or e is sympy.E:
        return arb.pi() if e is sympy.pi else arb(1).exp()
    step = operation(e)
    return apply(_Numbers({}), step, [_constant(a, bits) for a in step.parts])


def evaluate(expression: sympy.Expr, values: dict | None = None) -> arb:
    """A formula as an ``arb``.

    Parameters
    ----------
    expression : sympy.Expr
        As `lib.formulas.parse` returns them.
    values : dict, optional
        Balls for its symbols.

    Returns
    -------
    arb
        Holds all values; nan where the formula may be undefined or unbounded.

    Raises
    ------
    InputError
        For a function outside the whitelist or a symbol without a value.
    """
    return fold(expression, _Numbers(values or {}))
