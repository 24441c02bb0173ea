"""Lower bounds for every method that chooses ``p`` numbers continuously (book: ``thm-bernstein``,
``thm-favard``).

The class is the unit ball of ``W^{a,inf}([0,1]^D)``; errors are ``max |g|`` for ``s = 0``,
 ``max_k max |d_k g|`` for ``s = 1``.
"""

from fractions import Fraction
from functools import cache
from itertools import combinations_with_replacement
from math import prod

from lib.errors import integer, require
from lib.limits._bump import bump_norms
from lib.limits._euler import check_degree, favard


def _check(alpha, dim, s):
    check_degree(alpha, 1)
    integer("dim", dim, 1, 16)
    require(s in (0, 1) and s < alpha, "s", s, "0 or 1, and below alpha")


def _root(count, dim):
    """The least integer whose ``dim``-th power is at least ``count``."""
    n = max(1, round(count ** (1 / dim)) - 1)
    while n**dim < count:
        n += 1
    return n


def partitions(parameters: int, dim: int, s: int = 0) -> int:
    """The least even ``n`` with ``n^D >= p + 1 + s``: a space of periodic splines too large for
    ``p`` numbers.

    Parameters
    ----------
    parameters : int
        ``p >= 1``.
    dim, s : int
        For ``s = 1`` one dimension more, that of the constants, is needed.
    """
    parameters = integer("parameters", parameters, 1)
    n = _root(int(parameters) + 1 + s, dim)
    return n + n % 2


@cache
def spline_constant(alpha: int, dim: int, s: int = 0) -> Fraction:
    """``c`` of ``c n^-(a-s)``, the lower bound by periodic splines with ``n`` cells an axis.

    Parameters
    ----------
    alpha, dim, s : int
        Smoothness 1..5, dimension, norm 0 or 1 (below ``alpha``).

    Returns
    -------
    Fraction
        ``phi_{a-s}`` for ``D = 1``; ``phi_a^2 / (phi_1 phi_{a-1})`` and ``phi_a / phi_1`` for ``D
        >= 2``, ``a >= 2``.  It is computed as the least value, over the derivatives of order ``a``,
        of what ``lem-spline-bernstein`` gives.
    """
    _check(alpha, dim, s)

    def growth(degree, times):  # |g^(times)| <= growth n^times |g| for splines of a degree
        return favard(degree - times) / favard(degree)

    largest = Fraction(0)
    for axes in combinations_with_replacement(range(dim), alpha):
        orders = [axes.count(i) for i in range(dim) if i in axes]
        if s == 0:
            found = prod(growth(alpha, k) for k in orders)
        else:  # one derivative is inside the norm; the best axis for it
            found = min(
                growth(alpha - 1, k - 1)
                * prod(growth(alpha, o) for j, o in enumerate(orders) if j != i)
                for i, k in enumerate(orders)
            )
        largest = max(largest, found)
    return 1 / largest


def width(parameters: int, alpha: int, dim: int, s: int = 0) -> float:
    """A lower bound of the error on the class, by periodic splines (``thm-favard``).

    Parameters
    ----------
    parameters : int
        ``p``.
    alpha, dim, s : int

    Returns
    -------
    float
        ``c n^-(a-s)`` with `spline_constant` and `partitions`.
    """
    return float(spline_constant(alpha, dim, s)) * float(partitions(parameters, dim, s)) ** (
        s - alpha
    )


@cache
def bump_constant(alpha: int, dim: int, s: int = 0) -> float:
    """``|psi|_s / |psi|_a`` of the product of perfect B-splines in ``D`` variables; float
    (``lem-bump``).
    """
    _check(alpha, dim, s)
    norms = [float(v) for v in bump_norms(alpha)]
    orders = [
        [axes.count(i) for i in range(dim)]
        for axes in combinations_with_replacement(range(dim), alpha)
    ]
    largest = max(prod(norms[k] for k in row) for row in orders)
    return norms[s] * norms[0] ** (dim - 1) / largest


def bump_width(parameters: int, alpha: int, dim: int, s: int = 0) -> float:
    """A lower bound of the error on the class, by bumps in the cells of a grid (``thm-bernstein``,
    ``prop-bits``).

    Parameters
    ----------
    parameters : int
        ``p`` continuously chosen numbers, or as many bits chosen in any way.
    alpha, dim, s : int
        ``alpha`` in 1..4.

    Returns
    -------
    float
        ``G^-(a-s) |psi|_s / |psi|_a``, ``G`` the least integer with ``G^D >= p + 1``.
    """
    parameters = integer("parameters", parameters, 1)
    return bump_constant(alpha, dim, s) * float(_root(int(parameters) + 1, dim)) ** (s - alpha)
