"""The perfect B-spline: the largest bump whose derivative of order ``a`` is at most one (book:
``lem-bump``).
"""

from functools import cache
from typing import Any

import numpy as np
import sympy as sp
from jaxtyping import Float64

from lib.errors import integer, require

ORDERS = range(1, 5)


def _check(alpha):
    integer("alpha", alpha, ORDERS[0], ORDERS[-1])


@cache
def bump_knots(alpha: int) -> tuple:
    """The knots ``(1 - cos(i pi / (a + 1))) / 2``, ``i = 0, .., a + 1``, of ``psi_a``.

    Parameters
    ----------
    alpha : int
        ``a`` in 1..4.

    Returns
    -------
    tuple of sympy numbers, with square roots.
    """
    _check(alpha)
    return tuple(
        sp.radsimp(sp.expand_func((1 - sp.cos(sp.pi * i / (alpha + 1))) / 2))
        for i in range(alpha + 2)
    )


def bump(alpha: int, x: Any, derivative: int = 0) -> Float64[np.ndarray, "..."]:
    """``psi_a``: support ``[0, 1]``, derivative of order ``a`` equal to 1, -1, 1, .. between its
    knots.

    Parameters
    ----------
    alpha : int
        ``a`` in 1..4.
    x : array_like of float
    derivative : int
        From 0 to ``a``; the last one is taken from the right at knots.

    Returns
    -------
    float64 array of the shape of ``x``.

    Raises
    ------
    InputError
        For another ``alpha`` or derivative.

    Notes
    -----
    ``psi_a(x) = sum_i w_i (x - t_i)_+^a / a!`` with ``w = 1, -2, 2, .., +-2, -+1`` (``lem-bump``).
    """
    require(0 <= derivative <= alpha, "derivative", derivative, f"from 0 to alpha, {alpha}")
    knots = np.array([float(t) for t in bump_knots(alpha)])
    x = np.asarray(x, dtype=float)
    power = alpha - derivative
    inside = (x >= 0) & (x < 1)
    # psi is symmetric: the half with fewer truncated powers
    away = np.where(x < 0.5, x, 1 - x) if power else x
    distance = away[..., None] - knots
    terms = np.where(distance >= 0, distance**power, 0.0) / float(sp.factorial(power))
    flip = np.where((x >= 0.5) & (derivative % 2 == 1), -1.0, 1.0) if power else 1.0
    return np.where(inside, flip * (terms @ _jumps(alpha)), 0.0)


def _jumps(alpha):
    jumps = [2 * (-1) ** i for i in range(alpha + 2)]
    jumps[0], jumps[-1] = 1, (-1) ** (alpha + 1)
    return np.array(jumps, dtype=float)


@cache
def bump_norms(alpha: int) -> tuple:
    """The maxima of ``|psi_a|, |psi_a'|, .., |psi_a^(a)|``.

    Parameters
    ----------
    alpha : int
        ``a`` in 1..4.

    Returns
    -------
    tuple of a + 1 sympy numbers
        Found among the values at knots and at zeros of the next derivative, exactly (``lem-bump``).
    """
    x = sp.Symbol("x")
    knots = bump_knots(alpha)
    pieces = [
        sum(int(w) * (x - t) ** alpha for w, t in zip(_jumps(alpha), knots[: i + 1]))
        / sp.factorial(alpha)
        for i in range(alpha + 1)
    ]
    norms = []
    for order in range(alpha):
        values = []
        for a, b, piece in zip(knots, knots[1:], pieces):
            p = sp.Poly(sp.expand(sp.diff(piece, x, order)), x)
            inner = [r for r in _roots(p.diff()) if a < r < b]
            values += [sp.radsimp(sp.expand(p.eval(t))) for t in (a, b, *inner)]
        norms.append(
            sp.radsimp(
                sp.expand(
                    sp.sqrtdenest(max((sp.Abs(v) for v in values), key=lambda v: v.evalf(40)))
                )
            )
        )
    return (*norms, sp.Integer(1))


def _roots(p):
    """Real roots of a polynomial of degree at most two; of a cubic those that it has together with
    1/2, else none.

    Cubics are the pieces of ``psi_4'`` and are asked for zeros in ``(0, 1)`` only.  There
    ``psi_a^(k)`` has exactly ``k`` zeros (``lem-bump``, *Maxima*), so ``psi_4'`` has one, which is
    at 1/2 by symmetry, and the other pieces have none.
    """
    x = p.gen
    if p.degree() == 3:
        p, rest = sp.div(p, sp.Poly(x - sp.Rational(1, 2), x))
        if sp.simplify(rest.as_expr()) != 0:
            return []
        return [sp.Rational(1, 2)] + _roots(p)
    return [r for r in sp.solve(p.as_expr(), x) if r.is_real] if p.degree() > 0 else []
