"""Euler splines and Favard constants: the extremal functions of periodic spline spaces (book:
``lem-euler``).

The Euler spline ``eps_a`` is the function with period 2 whose derivative of order ``a`` is 1 on
``[0, 1)`` and -1 on ``[1, 2)``, and which changes its sign under ``x -> x + 1``.  On a circle of
length 1 with ``n`` cells, ``n`` even, it is ``n^-a eps_a(n x)``.
"""

from fractions import Fraction
from functools import cache
from typing import Any

import numpy as np
from jaxtyping import Float64

from lib.errors import integer, require
from lib.splines import local_values

DEGREES = range(0, 9)


def check_degree(degree, least=0):
    """``degree`` as an int; raises `InputError` unless it is an integer from ``least`` to 8."""
    return integer("degree", degree, least, DEGREES[-1])


def check_knots(knots):
    """``knots`` as an int; raises `InputError` unless it is an even positive integer."""
    require(integer("knots", knots, 1) % 2 == 0, "knots", knots, "an even positive integer")
    return int(knots)


@cache
def euler_piece(degree: int) -> tuple[Fraction, ...]:
    """The polynomial of ``eps_a`` on ``[0, 1]``, the Euler polynomial over ``a!``.

    Parameters
    ----------
    degree : int
        ``a`` in 0..8.

    Returns
    -------
    tuple of Fraction
        Coefficients of ``1, x, .., x^a``: antiderivatives of 1 with ``eps(0) + eps(1) = 0``
        (``lem-euler``).
    """
    check_degree(degree)
    if degree == 0:
        return (Fraction(1),)
    rest = [c / (k + 1) for k, c in enumerate(euler_piece(degree - 1))]
    return (-sum(rest, Fraction(0)) / 2, *rest)


@cache
def favard(degree: int) -> Fraction:
    """``phi_a = K_a / pi^a``, the maximum of ``|eps_a|``: 1, 1/2, 1/8, 1/24, 5/384, 1/240.

    Parameters
    ----------
    degree : int
        ``a`` in 0..8.

    Returns
    -------
    Fraction
        ``|eps_a(0)|`` for odd ``a``, ``|eps_a(1/2)|`` for even ``a``; ``K_a`` is the Favard
        constant (``lem-euler``).
    """
    place = Fraction(1, 2) if degree % 2 == 0 else Fraction(0)
    return abs(sum((c * place**k for k, c in enumerate(euler_piece(degree))), Fraction(0)))


def euler_spline(
    degree: int, knots: int, x: Any, derivative: int = 0
) -> Float64[np.ndarray, "..."]:
    """The Euler spline on the circle, ``n^-a eps_a(n x)``, or a derivative of it (book:
    ``lem-euler``).

    Parameters
    ----------
    degree : int
        ``a`` in 0..8.
    knots : int
        ``n``, even.
    x : array_like of float
    derivative : int
        From 0 to ``a``; the last one is taken from the right at knots.

    Returns
    -------
    float64 array
        Of the shape of ``x``; its maximum is ``favard(a - k) / n^(a - k)`` with ``k`` the order of
        the derivative.

    Raises
    ------
    InputError
        For another degree or derivative, or a number of knots that is odd.
    """
    check_degree(degree)
    check_knots(knots)
    require(0 <= derivative <= degree, "derivative", derivative, f"from 0 to the degree, {degree}")
    left = degree - derivative
    t = np.asarray(x, dtype=float) * knots
    cell = np.floor(t)
    piece = np.polynomial.polynomial.polyval(t - cell, [float(c) for c in euler_piece(left)])
    return np.where(cell % 2 == 0, 1.0, -1.0) * piece / float(knots) ** left


def periodic_matrix(
    degree: int, knots: int, x: Any, derivative: int = 0
) -> Float64[np.ndarray, "P n"]:
    """The periodic B-splines of the circle, or their derivatives, at points.

    Parameters
    ----------
    degree : int
        ``a`` in 1..8.
    knots : int
        ``n`` equidistant knots ``i / n``; as many B-splines.
    x : float64 array, shape (P,)
    derivative : int

    Returns
    -------
    float64 array, shape (P, n)
        Column ``j`` belongs to ``sum_l N_{a+1}(n x - j - l n)``.
    """
    check_degree(degree, 1)
    t = np.asarray(x, dtype=float) * knots
    cell = np.floor(t).astype(int)
    values = local_values(degree + 1, t - cell, derivative) * float(knots) ** derivative
    matrix = np.zeros((len(t), knots))
    rows = np.arange(len(t))
    for k in range(degree + 1):
        np.add.at(matrix, (rows, (cell - degree + k) % knots), values[:, k])
    return matrix
