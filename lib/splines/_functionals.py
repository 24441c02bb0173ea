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

F = Fraction

# Interior functionals: nodes relative to the index j, in the support [0, m], the last ones with
# given weights.  All are symmetric.  `scripts/search_functionals.py` finds them and the others.
_INTERIOR: dict[int, tuple[tuple[str, ...], tuple[str, ...]]] = {
    2: (("1",), ()),
    3: (("1/2", "3/2", "5/2"), ()),
    4: (("1", "2", "3", "4", "0"), ("7/240",)),
    5: (("3/2", "5/2", "7/2", "9/2", "5", "1/2", "0"), ("6229/36864", "-3/64")),
}

# Functionals j = -(m-1), .., -1 at the left end: absolute nodes in [0, m], then the free weights,
# those of the last nodes; the others are solved for exactly.
_LEFT: dict[int, dict[int, tuple[tuple[str, ...], tuple[str, ...]]]] = {
    2: {-1: (("0",), ())},
    3: {
        -2: (
            ("0", "1", "3", "1/4", "1/2", "3/4", "3/2", "5/2"),
            ("-383/2500", "-6127/5000", "-573/5000", "621/2500", "153/2500"),
        ),
        -1: (
            ("0", "1", "3", "1/2", "3/4", "3/2", "5/2"),
            ("726/625", "573/5000", "-621/2500", "393/5000"),
        ),
    },
    4: {
        -3: (
            ("0", "3/4", "3/2", "4", "1/4", "1/2", "1", "2", "3"),
            ("-45057/5000", "-1697/2500", "1791/500", "-577/5000", "-211/2500"),
        ),
        -2: (
            ("0", "1/2", "3/2", "4", "1/4", "3/4", "1", "2"),
            ("2033/1000", "1487/2500", "-5961/5000", "37/500"),
        ),
        -1: (
            ("0", "3/4", "3/2", "4", "1/4", "1/2", "1", "2", "3"),
            ("-297/1000", "-4/625", "6819/5000", "-451/2500", "-43/2500"),
        ),
    },
    5: {
        -4: (
            ("0", "1/4", "3/4", "5/2", "9/2", "1/8", "1/2", "1", "3/2", "7/2"),
            ("-44609/1250", "153/200", "10409/5000", "-889/625", "789/2500"),
        ),
        -3: (
            ("0", "1/4", "3/4", "5/2", "9/2", "1/8", "1/2", "3/2", "2", "7/2"),
            ("16759/5000", "-6569/5000", "392/625", "-897/5000", "-93/2500"),
        ),
        -2: (
            ("0", "1/4", "1", "5/2", "9/2", "1/8", "1/2", "3/4", "3/2", "2", "7/2"),
            ("-3201/5000", "13/10", "2773/2500", "-4251/5000", "911/5000", "4/625"),
        ),
        -1: (
            ("0", "1/4", "1", "5/2", "9/2", "1/8", "1/2", "3/4", "3/2", "2", "7/2"),
            ("529/5000", "-3061/5000", "-53/500", "1223/625", "-4/125", "69/625"),
        ),
    },
}


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


def _complete(order, j, nodes, free):
    """Weights that agree with the blossom on degree < m, the last ``len(free)`` of them given."""
    nodes, free = [F(t) for t in nodes], [F(w) for w in free]
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
        ``m`` in 2..5.
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
    found = sorted(zip(*_complete(order, 0, *_INTERIOR[order])))
    return tuple(t for t, _ in found), tuple(w for _, w in found)


@cache
def functional(order: int, cells: int, j: int) -> tuple[tuple[Fraction, ...], tuple[Fraction, ...]]:
    """The dual functional ``lambda_j`` of the term ``N_m(. - j)`` on ``[0, N]`` (book:
    ``lem-functionals``).

    Parameters
    ----------
    order : int
        ``m`` in 2..5.
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
        For an order outside 2..5, fewer than ``m`` cells, or an index without a term.
    """
    order = check_order(order)
    require(cells >= order, "cells", cells, f"at least the order, {order}")
    require(-order < j < cells, "j", j, f"from {1 - order} to {cells - 1}")
    if 0 <= j <= cells - order:
        nodes, weights = _interior(order)
        return tuple(j + t for t in nodes), weights
    if j < 0:
        return _complete(order, j, *_LEFT[order][j])
    nodes, weights = functional(order, cells, cells - order - j)
    return tuple(cells - t for t in reversed(nodes)), weights[::-1]
