"""Dual functionals: point-value functionals that make the spline quasi-interpolant reproduce
polynomials.

Everything here is exact (``fractions.Fraction``) and lives on the mesh with ``h = 1`` and domain
``[0, N]``; the quasi-interpolant rescales.  Book: ``lem-marsden`` and ``lem-functionals``.
"""

from fractions import Fraction
from functools import cache
from itertools import combinations
from math import comb, prod

from lib.errors import require
from lib.splines._bspline import check_order
from lib.splines._table import INTERIOR, LEFT

F = Fraction


def blossom_value(order: int, j: int, power: int) -> Fraction:
    """Value at the knots ``j+1..j+m-1`` of the blossom of ``x**power`` as a polynomial of degree
    m-1.

    Parameters
    ----------
    order, j, power : int
        ``0 <= power <= m - 1``.

    Returns
    -------
    Fraction
        ``e_power(j+1, .., j+m-1) / binom(m-1, power)`` with ``e`` the elementary symmetric
        polynomial (``lem-marsden``).
    """
    knots = range(j + 1, j + order)
    return F(sum(prod(c) for c in combinations(knots, power)), comb(order - 1, power))


def _complete(order, j, row):
    """Nodes, and weights that agree with the blossom on degree < m, the last ones given."""
    nodes, free = ([F(t) for t in text.split()] for text in row)
    solved = nodes[: len(nodes) - len(free)]
    given = nodes[len(nodes) - len(free) :]
    rows = [
        [t**p for t in solved]
        + [blossom_value(order, j, p) - sum(w * t**p for w, t in zip(free, given))]
        for p in range(order)
    ]
    weights = _solve(rows, len(solved))
    return tuple(nodes), tuple(weights) + tuple(free)


def _solve(rows, unknowns):
    """Exact Gauss-Jordan elimination; a consistent system may have more rows than unknowns."""
    rows = [list(r) for r in rows]
    for k in range(unknowns):
        pivot = next(i for i in range(k, len(rows)) if rows[i][k])
        rows[k], rows[pivot] = rows[pivot], rows[k]
        rows[k] = [v / rows[k][k] for v in rows[k]]
        for i, row in enumerate(rows):
            if i != k and row[k]:
                rows[i] = [a - row[k] * b for a, b in zip(row, rows[k])]
    assert all(not r[-1] for r in rows[unknowns:]), "the nodes cannot reproduce this degree"
    return [rows[k][-1] for k in range(unknowns)]


def weight_sum(order: int, interior: bool = False) -> Fraction:
    """``Lambda_m``: the largest ``sum_k |w_k|`` of a functional, the norm of ``lambda_j`` on sup
    norm.

    Parameters
    ----------
    order : int
        ``m`` in 2..8.
    interior : bool
        Only the interior functionals.

    Returns
    -------
    Fraction
        Exact (``lem-functionals``).
    """
    order = check_order(order)
    first = 0 if interior else 1 - order
    return max(sum((abs(w) for w in functional(order, order, j)[1]), F(0)) for j in range(first, 1))


@cache
def _interior(order):
    found = sorted(zip(*_complete(order, 0, INTERIOR[order])))
    return tuple(t for t, _ in found), tuple(w for _, w in found)


@cache
def functional(order: int, cells: int, j: int) -> tuple[tuple[Fraction, ...], tuple[Fraction, ...]]:
    """The dual functional ``lambda_j`` of the term ``N_m(. - j)`` on ``[0, N]`` (book:
    ``lem-functionals``).

    Parameters
    ----------
    order : int
        ``m`` in 2..8.
    cells : int
        ``N >= m``.
    j : int
        ``-(m-1) <= j <= N - 1``.

    Returns
    -------
    nodes, weights : tuples of Fraction
        ``lambda_j(g) = sum_k weights[k] * g(nodes[k])``; nodes in ``[0, N]`` and, for interior
        terms (``0 <= j <= N - m``), in the support ``[j, j + m]``.

    Raises
    ------
    InputError
        For an order outside 2..8, fewer than ``m`` cells, or an index without a term.
    """
    order = check_order(order)
    require(cells >= order, "cells", cells, f"at least the order, {order}")
    require(-order < j < cells, "j", j, f"from {1 - order} to {cells - 1}")
    if 0 <= j <= cells - order:
        nodes, weights = _interior(order)
        return tuple(j + t for t in nodes), weights
    if j < 0:
        return _complete(order, j, LEFT[order][j])
    nodes, weights = functional(order, cells, cells - order - j)
    return tuple(cells - t for t in reversed(nodes)), weights[::-1]
