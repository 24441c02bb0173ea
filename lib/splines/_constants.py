"""Stability and Peano constants of the quasi-interpolant, bounded from above.

All constants belong to the mesh ``h = 1`` on ``[0, N]`` (book: ``lem-stability``, ``lem-peano``).
They are suprema over the position ``x`` of integrals ``int |kappa(x, t)| dt`` of kernels that are
piecewise polynomial in ``t``.  Each integral is bounded from above through Bernstein coefficients;
the supremum over a cell is bounded by its values on a grid plus a Taylor remainder.  The result is
therefore an upper bound, about a part in ten thousand above the true constant.
"""

from functools import cache, partial
from math import ceil, factorial

import numpy as np

from lib.errors import require
from lib.splines._bspline import _piece_array, check_order
from lib.splines._functionals import functional

_SPLIT = 16  # parts into which each polynomial piece of a kernel is cut
_GRID = np.linspace(0, 1, 33)
_GAP = 1e-4  # relative width of the enclosure of a supremum
_ROUNDING = 1e-10  # > 1e4 operations x 1e-16 x 1e1, the size of the terms
_MORE = 1e-3  # from order 6 on, where terms are larger and a second way is coarser (`lem_peano`)


def _cell_data(order, cells, cell):
    """Nodes (K,) used in a cell and the table (m, K, m): piece coefficients times weights.

    ``sum_k table[.., k] t**k`` summed over terms is the function ``B_node`` of the book: the
    coefficient of the sample ``g(node)`` in ``Q g`` at ``cell + t``.
    """
    pieces = _piece_array(order, 0)
    terms = [functional(order, cells, j) for j in range(cell - order + 1, cell + 1)]
    nodes = sorted({t for points, _ in terms for t in points})
    table = np.zeros((len(nodes), order))
    for k, (points, weights) in enumerate(terms):
        for t, w in zip(points, weights):
            table[nodes.index(t)] += float(w) * pieces[order - 1 - k]
    return np.array([float(t) for t in nodes]), table


def _derive(table, times):
    """Coefficients (K, degree + 1) of the ``times``-th derivative of polynomials in ``t``."""
    for _ in range(times):
        table = table[:, 1:] * np.arange(1, table.shape[1]) if table.shape[1] > 1 else 0 * table
    return table


def _evaluate(table, t):
    """Polynomials ``table`` (K, n) at the points ``t`` (G,): array (G, K)."""
    return np.vander(t, table.shape[1], increasing=True) @ table.T


@cache
def _to_bernstein(degree):
    """The matrix that takes values at ``degree + 1`` equispaced points to Bernstein
    coefficients.
    """
    steps = np.linspace(0, 1, degree + 1)
    return np.linalg.inv(
        [
            [
                float(_binomial(degree, k)) * s**k * (1 - s) ** (degree - k)
                for k in range(degree + 1)
            ]
            for s in steps
        ]
    )


def _bernstein(values, length):
    """Upper bound of ``int |p|`` from the values of ``p`` at equispaced points, and whether it is
    more than the integral.

    ``values`` (..., d + 1): ``p`` of degree at most ``d`` at the ends and equal steps of pieces of
    the given length (...).  With Bernstein coefficients ``b``: ``int |p| <= |int p| + 2 int p^-``
    and ``int p^- <= length/(d+1) sum b^-`` (or the same with the positive parts).
    """
    degree = values.shape[-1] - 1
    b = values @ _to_bernstein(degree).T if degree else values
    positive = np.maximum(b, 0).sum(-1)
    negative = np.maximum(-b, 0).sum(-1)
    excess = np.minimum(positive, negative)
    return length / (degree + 1) * (np.abs(positive - negative) + 2 * excess), excess > 0


def _binomial(n, k):
    return factorial(n) // factorial(k) // factorial(n - k)


def _power(u, k):
    """``u^k / k!`` by products, several times faster than a power."""
    result = np.full_like(u, 1 / factorial(k))
    for _ in range(k):
        result *= u
    return result


def _kernel_norm(nodes, weights, degree, x=None, power=None):
    """Upper bounds of ``int |(x-t)_+^power / power! - sum_k weights_k (node_k - t)_+^degree /
    degree!| dt``.

    ``weights`` (G, K); ``x`` (G,) or None to leave the first term out.  Returns (G,).  Pieces on
    which the Bernstein coefficients have both signs are cut.
    """
    count = len(weights)
    breaks = np.broadcast_to(nodes, (count, len(nodes)))
    if x is not None:
        breaks = np.sort(np.concatenate([breaks, x[:, None]], axis=1), axis=1)
    steps = np.linspace(0, 1, degree + 1)

    def integrals(rows, start, length):  # of pieces (P,) of the kernels in these rows
        middle = start + length / 2
        t = start[:, None] + length[:, None] * steps
        values = np.zeros(t.shape)
        for k, node in enumerate(nodes):
            reached = np.where(middle < node, weights[rows, k], 0.0)
            values -= reached[:, None] * _power(node - t, degree)
        if x is not None:
            position = x[rows]
            reached = np.where(middle < position, 1.0, 0.0)
            values += reached[:, None] * _power(position[:, None] - t, power)
        return _bernstein(values, length)

    rows = np.repeat(np.arange(count), breaks.shape[1] - 1)
    start = breaks[:, :-1].reshape(-1)
    length = np.diff(breaks, axis=1).reshape(-1)
    sizes, mixed = integrals(rows, start, length)
    rows, start, length = (np.repeat(v[mixed], _SPLIT) for v in (rows, start, length))
    length = length / _SPLIT
    start = start + length * np.tile(np.arange(_SPLIT), len(start) // _SPLIT)
    cut, _ = integrals(rows, start, length)
    sizes[mixed] = cut.reshape(-1, _SPLIT).sum(1)
    return sizes.reshape(count, -1).sum(1)


def _control_points(table):
    """Bernstein coefficients on [0,1] of polynomials ``table`` (K, n): array (n, K)."""
    n = table.shape[1]
    return np.array(
        [
            sum(table[:, i] * _binomial(k, i) / _binomial(n - 1, i) for i in range(k + 1))
            for k in range(n)
        ]
    )


def _sup_over_cell(nodes, table, alpha, s, offset, found):
    """Enclose the larger of ``found`` and ``sup_x int |d_x^s K_alpha(x, t)| dt`` over one cell.

    ``offset`` is the left end of the cell.
    """
    degree = alpha - 1

    def norm(times, t, with_x):
        weights = _evaluate(_derive(table, times), t)
        x = offset + t if with_x else None
        return _kernel_norm(nodes, weights, degree, x, alpha - 1 - times if with_x else None)

    def spline_part(times):
        return _kernel_norm(nodes, _control_points(_derive(table, times)), degree).max()

    # bounded derivatives of x -> (I-Q)F(x), F^(alpha) bounded
    order = 2 if s + 2 <= alpha else 1
    if alpha <= 5:  # the truncated power that is left over, and the spline, by themselves
        span = max(nodes[-1], offset + 1) - min(nodes[0], offset)
        left = alpha - s - order
        remainder = spline_part(s + order) + (1.0 if left == 0 else span**left / factorial(left))
    else:  # from the highest derivative down: values on a grid, and how far they may rise between
        remainder = 1.0 + spline_part(alpha)
        for times in range(alpha - 1, s + order - 1, -1):
            remainder = norm(times, _GRID, True).max() + remainder * _GRID[1] / 2
    return _branch_and_bound(lambda t: norm(s, t, True), remainder, order, found)


def _branch_and_bound(function, remainder, order, found):
    """Enclose ``max(found, sup over [0,1] of function)``; return the lower and the upper end.

    ``function`` is a supremum of functions whose ``order``-th derivative (1 or 2) is at most
    ``remainder``; intervals are halved until none can hold a value above ``(1 + _GAP)`` times the
    largest value seen.
    """
    a = np.linspace(0, 1, 9)
    fa = function(a)
    a, b, fa, fb = a[:-1], a[1:], fa[:-1], fa[1:]
    upper = 0.0
    while len(a):
        found = max(found, fa.max(), fb.max())
        r = b - a
        if order == 2:
            bound = np.maximum(fa, fb) + remainder * r**2 / 8
        else:
            bound = (fa + fb + remainder * r) / 2
        keep = bound > found * (1 + _GAP)
        upper = max(upper, bound[~keep].max(initial=0.0))
        a, b, fa, fb = a[keep], b[keep], fa[keep], fb[keep]
        middle = (a + b) / 2
        fm = function(middle) if len(a) else fa
        a, b = np.concatenate([a, middle]), np.concatenate([middle, b])
        fa, fb = np.concatenate([fa, fm]), np.concatenate([fm, fb])
    return float(found), float(upper)


def _enclose(order, suprema):
    """Upper end of the maximum of several suprema, each a callable of the largest value found so
    far.
    """
    found = upper = 0.0
    for supremum in suprema:
        found, end = supremum(found)
        upper = max(upper, end)
    return max(found, upper) * (1 + _MORE * (order > 5)) + _ROUNDING


def _cells(order, cells):
    """The cells of the left half, the middle one included: functionals are mirror images."""
    return range(min(cells // 2 + 1, order))


@cache
def _peano(order, cells, alpha, s):
    data = ((i, _cell_data(order, cells, i)) for i in _cells(order, cells))
    return _enclose(
        order, (partial(_sup_over_cell, nodes, table, alpha, s, i) for i, (nodes, table) in data)
    )


def _between(alpha, s, peano, norm):
    """``k_{alpha,s}`` for a real ``alpha`` from those of the integers on either side
    (``lem-peano-real``).

    ``peano(k)`` is ``k_{k,s}`` for an integer ``k > s``, and ``norm(s)`` is ``q`` or ``q_1``.
    """
    k = ceil(alpha) - 1
    beta = alpha - k
    if beta == 1:
        return peano(k + 1)
    below = peano(k) if k > s else 1 + norm(s)
    return (1 + _ROUNDING) * 2 ** (beta - 1) * below ** (1 - beta) * peano(k + 1) ** beta


def peano_constant(order: int, cells: int, alpha: float, s: int) -> float:
    """``k_{alpha,s}``: bounds ``|d^s (f - Q f)| <= k_{alpha,s} h^{alpha-s} |f|_alpha`` in one
    dimension.

    Parameters
    ----------
    order, cells : int
        ``m`` in 2..8 and ``N >= m``.
    alpha : float
        ``0 < alpha <= m``.
    s : int
        0 or 1, ``s < alpha``.

    Returns
    -------
    float
        For an integer ``alpha``, where ``|f|_alpha`` is ``||f^(alpha)||``, an upper bound of
        ``sup_x int |d_x^s K_alpha(x, t)| dt`` over all cells, interior and boundary
        (``lem-peano``).  For ``alpha = k + beta``, ``0 < beta < 1``, where it is the Hoelder
        seminorm of ``f^(k)`` with exponent ``beta``, what ``lem-peano-real`` makes of the integers
        next to it.  It does not change with ``N`` once ``N >= 2m - 1``.

    Raises
    ------
    InputError
        For another order, mesh, ``alpha`` or ``s``.
    """
    _check(order, cells)
    _check_smoothness(order, alpha, s)
    cells = min(cells, 2 * order)
    norms = operator_norm, slope_norm
    return _between(
        alpha, s, lambda k: _peano(order, cells, k, s), lambda t: norms[t](order, cells)
    )


def _check_smoothness(order, alpha, s):
    require(s in (0, 1), "s", s, "0 or 1")
    require(s < alpha <= order, "alpha", alpha, f"above s = {s} and at most the order, {order}")


def _interior_cell(order):
    """The data of a cell all of whose functionals are interior."""
    return _cell_data(order, 4 * order, order - 1)


@cache
def _interior_peano(order, alpha, s):
    nodes, table = _interior_cell(order)
    return _enclose(order, [partial(_sup_over_cell, nodes, table, alpha, s, order - 1)])


def interior_peano_constant(order: int, alpha: float, s: int) -> float:
    """``k_{alpha,s}`` of a cell all of whose functionals are interior (arguments and errors as
    `peano_constant`).
    """
    order = check_order(order)
    _check_smoothness(order, alpha, s)
    norms = interior_operator_norm, interior_slope_norm
    return _between(alpha, s, lambda k: _interior_peano(order, k, s), lambda t: norms[t](order))


def _sup_lebesgue(nodes, table, found):
    """Enclose the supremum over a cell of the Lebesgue function ``sum_k |B_k|``."""
    bend = np.abs(_control_points(_derive(table, 2))).sum(1).max()
    return _branch_and_bound(lambda t: np.abs(_evaluate(table, t)).sum(1), bend, 2, found)


def _sup_slope(nodes, table, found):
    """Enclose the supremum over a cell of ``int |sum_k B_k'(x) [t < node_k]| dt``."""
    slope = _derive(table, 1)
    bend = _kernel_norm(nodes, _control_points(_derive(slope, 2)), 0).max()
    return _branch_and_bound(lambda t: _kernel_norm(nodes, _evaluate(slope, t), 0), bend, 2, found)


@cache
def _norm(supremum, order, cells):
    return _enclose(
        order, (partial(supremum, *_cell_data(order, cells, i)) for i in _cells(order, cells))
    )


def operator_norm(order: int, cells: int) -> float:
    """``q = ||Q||`` on the supremum norm, bounded from above (``lem-stability``); float."""
    _check(order, cells)
    return _norm(_sup_lebesgue, order, min(cells, 2 * order))


def slope_norm(order: int, cells: int) -> float:
    """``q_1``: the norm of ``g' -> (Q g)'`` on the supremum norm, bounded from above
    (``lem-stability``).
    """
    _check(order, cells)
    return _norm(_sup_slope, order, min(cells, 2 * order))


@cache
def interior_operator_norm(order: int) -> float:
    """``q`` of a cell all of whose functionals are interior: the norm of ``Q`` on functions of
    the whole line.
    """
    return _enclose(order, [partial(_sup_lebesgue, *_interior_cell(order))])


@cache
def interior_slope_norm(order: int) -> float:
    """``q_1`` of a cell all of whose functionals are interior."""
    return _enclose(order, [partial(_sup_slope, *_interior_cell(order))])


def _check(order, cells):
    order = check_order(order)
    require(cells >= order, "cells", cells, f"at least the order, {order}")
