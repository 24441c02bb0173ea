"""Cardinal B-splines and tensor-product splines, evaluated in float64.

The order ``m`` is the degree plus one.  ``N_m`` has the integers as knots and the
interval ``[0, m]`` as support (book: ``lem-bspline``; de Boor, *A Practical Guide to
Splines*, chapter IX).
"""

from collections.abc import Sequence
from fractions import Fraction
from functools import cache
from typing import Any

import numpy as np
from jaxtyping import Float64

from lib.errors import integer, require

ORDERS = range(2, 9)


def check_order(order: int) -> int:
    """``order`` as an int; raises `InputError` unless it is one of the orders 2 to 8."""
    return integer("order", order, ORDERS[0], ORDERS[-1])


@cache
def pieces(order: int) -> tuple[tuple[Fraction, ...], ...]:
    """The polynomial pieces of ``N_m`` in exact rational arithmetic.

    Parameters
    ----------
    order : int
        ``m >= 1``.

    Returns
    -------
    tuple of tuples of Fraction
        ``pieces(m)[i][k]`` is the coefficient of ``t**k`` in ``N_m(i + t)``, ``0 <= t < 1``,
        for ``i = 0..m-1``.  Built from ``N_m' = N_{m-1} - N_{m-1}(. - 1)`` (``lem-bspline``).
    """
    if order == 1:
        return ((Fraction(1),),)
    lower = pieces(order - 1)
    zero = (Fraction(0),) * (order - 1)
    start = Fraction(0)
    result = []
    for i in range(order):
        left = lower[i] if i < order - 1 else zero
        right = lower[i - 1] if i > 0 else zero
        piece = (start, *((a - b) / (k + 1) for k, (a, b) in enumerate(zip(left, right))))
        result.append(piece)
        start = sum(piece, Fraction(0))
    return tuple(result)


@cache
def _piece_array(order, derivative):
    """Float coefficients of the pieces of the ``derivative``-th derivative, shape (m, degree +
    1).
    """
    rows = [list(p) for p in pieces(order)]
    for _ in range(derivative):
        rows = [[k * c for k, c in enumerate(row)][1:] or [Fraction(0)] for row in rows]
    return np.array([[float(c) for c in row] for row in rows])


def local_values(order: int, t: Any, derivative: int = 0) -> Float64[np.ndarray, "... m"]:
    """The ``m`` B-splines that are alive in a cell.

    Parameters
    ----------
    order : int
        ``m``.
    t : array of float64, shape (...)
        Position within the cell, ``0 <= t <= 1`` (unit cells).
    derivative : int

    Returns
    -------
    array, shape (..., m)
        Entry ``k`` is the derivative of ``N_m(. - (i - m + 1 + k))`` at ``i + t``: the terms
        ``j = i - m + 1 .. i`` of cell ``i``, in ascending order.
    """
    table = _piece_array(order, derivative)[::-1]
    t = np.asarray(t, dtype=float)[..., None]
    result = np.broadcast_to(table[:, -1], t.shape[:-1] + (order,)).copy()
    for k in range(table.shape[1] - 2, -1, -1):
        result *= t
        result += table[:, k]
    return result


def bspline(order: int, x: Any, derivative: int = 0) -> Float64[np.ndarray, "..."]:
    """The cardinal B-spline ``N_m`` or one of its derivatives.

    Parameters
    ----------
    order : int
        ``m >= 1``; any positive order is accepted here.
    x : array_like of float
        Points on the line; no domain.
    derivative : int
        ``0 <= derivative``; at knots the right-hand value is returned.

    Returns
    -------
    float64 array of the shape of ``x``.

    Raises
    ------
    InputError
        For an order below 1 or a negative derivative.

    Notes
    -----
    ``N_m(x) = sum_j (-1)^j binom(m, j) (x - j)_+^{m-1} / (m-1)!``  (``lem-bspline``); the
    evaluation uses the polynomial pieces instead, which do not cancel.
    """
    require(order >= 1, "order", order, "at least 1")
    require(derivative >= 0, "derivative", derivative, "at least 0")
    x = np.asarray(x, dtype=float)
    table = _piece_array(order, derivative)
    cell = np.floor(x)
    inside = (cell >= 0) & (cell < order)
    index = np.where(inside, cell, 0).astype(int)
    t = x - cell
    result = table[index, -1]
    for k in range(table.shape[1] - 2, -1, -1):
        result = result * t + table[index, k]
    return np.where(inside, result, 0.0)


def evaluate(
    coefficients: Float64[np.ndarray, "..."],
    order: int,
    x: Float64[np.ndarray, "P D"],
    derivative: Sequence[int] | np.ndarray | None = None,
) -> Float64[np.ndarray, " P"]:
    """A tensor-product spline ``sum_j c_j M_j`` on ``[0,1]^D``, or a partial derivative of it.

    Parameters
    ----------
    coefficients : float64 array, shape (N + m - 1,) * D
        Entry ``(k_1, .., k_D)`` belongs to the index ``j = k - (m - 1)``.
    order : int
        ``m``.
    x : float64 array, shape (P, D)
        Points of the cube.
    derivative : sequence of D int, optional
        Multi-index of the derivative; zero by default.

    Returns
    -------
    float64 array, shape (P,).

    Raises
    ------
    InputError
        For points of another dimension or outside the cube.
    """
    order = check_order(order)
    coefficients, x = np.asarray(coefficients, float), np.asarray(x, float)
    dim = coefficients.ndim
    require(x.ndim == 2 and x.shape[1] == dim, "x", x.shape, f"an array of shape (P, {dim})")
    outside = x[~((x >= 0) & (x <= 1))]
    require(len(outside) == 0, "x", outside[:1].tolist(), f"points of the cube [0,1]^{dim}")
    cells = coefficients.shape[0] - order + 1
    derivative = (0,) * dim if derivative is None else tuple(derivative)
    cell = np.clip(np.floor(x * cells).astype(int), 0, cells - 1)
    window = np.lib.stride_tricks.sliding_window_view(coefficients, (order,) * dim)
    result = window[tuple(cell.T)]
    for i in reversed(range(dim)):
        values = local_values(order, x[:, i] * cells - cell[:, i], derivative[i])
        result = np.einsum("p...k,pk->p...", result, values) * float(cells) ** derivative[i]
    return result
