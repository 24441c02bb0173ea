"""Functions of FLINT's balls: the rules of formulas at numbers, as tight over wide balls as their
range (for ``lem-taylor``).
"""

from functools import cache
from typing import NamedTuple

from flint import arb, ctx

UNKNOWN = arb("nan")
_BITS = 30  # balls known to fewer bits than these are mapped end by end


def _wide(u):
    return u.rel_accuracy_bits() < _BITS


def hull(a, b):
    """The smallest ball found around two."""
    return a.union(b)


def may_be_zero(u):
    """Whether a ball holds 0, or nothing is known of it."""
    return not (u > 0 or u < 0)


def monotone(function):
    """An increasing or decreasing function, as a method of ``arb``, over balls of any width."""

    def rule(u):
        return hull(function(u.lower()), function(u.upper())) if _wide(u) else function(u)

    return rule


exp, sinh, tanh, atan = map(monotone, (arb.exp, arb.sinh, arb.tanh, arb.atan))


def cosh(u):
    return hull(u.abs_lower().cosh(), u.abs_upper().cosh()) if _wide(u) else u.cosh()


def log(u):
    return monotone(arb.log)(u) if u > 0 else UNKNOWN


def tan(u):
    """Increasing between its poles; unknown where one may be inside."""
    return UNKNOWN if may_be_zero(u.cos()) else monotone(arb.tan)(u)


def cot(u):
    """Decreasing between its poles; unknown where one may be inside."""
    return UNKNOWN if may_be_zero(u.sin()) else monotone(arb.cot)(u)


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
        return UNKNOWN
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


def jump(u):
    """0 where ``u`` is not; unknown where it may be."""
    return UNKNOWN if may_be_zero(u) else arb(0)
