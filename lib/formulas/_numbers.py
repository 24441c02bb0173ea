"""Formulas at numbers: every operation of the whitelist as a map of FLINT's balls, as tight over
wide balls as its range.
"""

from functools import cache
from typing import NamedTuple

import sympy
from flint import arb, ctx

from lib.errors import InputError
from lib.formulas._powers import AbsPower, SignPower

_UNKNOWN = arb("nan")
_BITS = 30  # balls known to fewer bits than these are mapped end by end


def no_rule(expression):
    """Refuse an operation that is not in a table; what sympy has besides the whitelist is never
    guessed at.
    """
    raise InputError(
        f"formula = {str(expression)[:60]!r}: {expression.func.__name__} has no rule; a formula"
        " must be made of numbers, variables, + - * /, powers with rational exponents and the"
        " functions lib.formulas.parse names"
    )


def _wide(u):
    return u.rel_accuracy_bits() < _BITS


def hull(a, b):
    """The smallest ball found around two."""
    return a.union(b)


def _increasing(function):
    def rule(u):
        return hull(function(u.lower()), function(u.upper())) if _wide(u) else function(u)

    return rule


def _cosh(u):
    return hull(u.abs_lower().cosh(), u.abs_upper().cosh()) if _wide(u) else u.cosh()


def _log(u):
    return _increasing(arb.log)(u) if u > 0 else _UNKNOWN


FUNCTIONS = {
    sympy.exp: _increasing(arb.exp),
    sympy.log: _log,
    sympy.sin: arb.sin,
    sympy.cos: arb.cos,
    sympy.cosh: _cosh,
    sympy.tanh: _increasing(arb.tanh),
    sympy.atan: _increasing(arb.atan),
    sympy.sinh: _increasing(arb.sinh),
}


def rational(p):
    """A sympy rational as a ball."""
    return arb(int(p.p)) / int(p.q) if p.q != 1 else arb(int(p.p))


class _Exponent(NamedTuple):
    ball: arb
    integer: bool
    even: bool
    negative: bool


@cache
def _exponent(p, bits):
    """What has to be known of a sympy rational, in balls of so many bits."""
    return _Exponent(rational(p), bool(p.is_Integer), p % 2 == 0, p < 0)


def power(u, p):
    """``u^p`` for a sympy rational ``p``; unknown where a negative one meets 0 or a fractional
    one something negative.
    """
    e = _exponent(p, ctx.prec)
    if u > 0:
        return hull(u.lower() ** e.ball, u.upper() ** e.ball) if _wide(u) else u**e.ball
    if e.integer and u < 0:
        return power(-u, p) if e.even else -power(-u, p)
    if e.negative or not e.integer and u.lower() < 0:
        return _UNKNOWN
    return signed_power(u, p) if e.integer and not e.even else absolute_power(u, p)


def absolute_power(u, p):
    """``|u|^p``, ``p >= 0``."""
    if u > 0 or u < 0:
        return power(u if u > 0 else -u, p)
    e = _exponent(p, ctx.prec).ball
    return hull(u.abs_lower() ** e, u.abs_upper() ** e)


def signed_power(u, p):
    """``sign(u) |u|^p``, ``p >= 0``."""
    if u > 0 or u < 0:
        return power(u, p) if u > 0 else -power(-u, p)
    e = _exponent(p, ctx.prec).ball
    return hull(-((-u.lower()) ** e), u.upper() ** e)


def evaluate(expression, values=None):
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
    e = expression
    if values and e in values:
        return values[e]
    if e.is_Rational:
        return rational(e)
    if e.is_Float:
        return rational(sympy.Rational(e))
    if e is sympy.pi or e is sympy.E:
        return arb.pi() if e is sympy.pi else arb(1).exp()
    if e.is_Add:
        return sum((evaluate(a, values) for a in e.args), arb(0))
    if e.is_Mul:
        product = arb(1)
        for a in e.args:
            product *= evaluate(a, values)
        return product
    if e.is_Pow and e.exp.is_Rational:
        return power(evaluate(e.base, values), e.exp)
    if e.func in (AbsPower, SignPower):
        return (absolute_power if e.func is AbsPower else signed_power)(
            evaluate(e.args[0], values), e.args[1]
        )
    if e.func not in FUNCTIONS:
        no_rule(e)
    return FUNCTIONS[e.func](evaluate(e.args[0], values))
