"""Lower bounds for every method that chooses ``p`` numbers continuously (book: ``thm-bernstein``,
``thm-favard``, ``thm-trigonometric``).

The class is the unit ball of ``W^{a,inf}([0,1]^D)``; errors are ``max |g|`` for ``s = 0``,
``max_k max |d_k g|`` for ``s = 1``.
"""

from functools import cache
from itertools import combinations_with_replacement
from math import pi, prod

from lib.errors import integer, positive, require
from lib.limits._bump import bump_norms
from lib.limits._euler import check_degree, favard


def _check(alpha, dim, s):
    check_degree(alpha, 1)
    integer("dim", dim, 1, 16)
    require(s in (0, 1) and s < alpha, "s", s, "0 or 1, and below alpha")


def _check_waves(alpha, dim, s):
    _check(alpha, dim, s)
    require(dim == 1 or alpha >= 2, "alpha", alpha, "at least 2 in several variables")


def _root(count, dim):
    """The least integer whose ``dim``-th power is at least ``count``."""
    n = max(1, round(count ** (1 / dim)) - 1)
    while n**dim < count:
        n += 1
    return n


def partitions(parameters: int, s: int = 0) -> int:
    """The least even ``P >= p + 1 + s``: the knots of a space of periodic splines in one variable
    too large for ``p`` numbers (``thm-favard``).

    Parameters
    ----------
    parameters : int
        ``p >= 1``.
    s : int
        For ``s = 1`` one dimension more, that of the constants, is needed.
    """
    found = integer("parameters", parameters, 1) + 1 + s
    return found + found % 2


def frequencies(parameters: int, dim: int, s: int = 0) -> int:
    """The least ``n >= 1`` with ``(2 n + 1)^D >= p + 1 + s``: the degree of a space of
    trigonometric polynomials too large for ``p`` numbers (``thm-trigonometric``).

    Parameters
    ----------
    parameters : int
        ``p >= 1``.
    dim, s : int
        As in `partitions`.
    """
    count = integer("parameters", parameters, 1) + 1 + s
    return max(1, _root(count, dim) // 2)


def _bound(size, alpha, dim, s):
    """`width` by ``2 size`` knots in one variable and by the degree ``size`` in several."""
    if dim == 1:
        return float(favard(alpha - s)) * float(2 * size) ** (s - alpha)
    return (2 * pi * size) ** (s - alpha)


def width(parameters: int, alpha: int, dim: int, s: int = 0) -> float:
    """A lower bound of the error on the class, by periodic splines in one variable and by
    trigonometric polynomials in several (``thm-favard``, ``thm-trigonometric``).

    Parameters
    ----------
    parameters : int
        ``p``.
    alpha, dim, s : int
        ``alpha`` in 1..8, at least 2 in several variables.

    Returns
    -------
    float
        ``phi_(a-s) P^-(a-s)`` with `partitions`, ``(2 pi n)^-(a-s)`` with `frequencies`.
    """
    _check_waves(alpha, dim, s)
    size = partitions(parameters, s) // 2 if dim == 1 else frequencies(parameters, dim, s)
    return _bound(size, alpha, dim, s)


def width_constant(alpha: int, dim: int, s: int = 0) -> float:
    """``c``: `width` is ``c p^(-(a-s)/D)`` for many parameters ``p``, up to lower orders.

    Returns
    -------
    float
        ``phi_(a-s)`` for ``D = 1``, ``pi^-(a-s)`` for ``D >= 2``.
    """
    _check_waves(alpha, dim, s)
    return float(favard(alpha - s)) if dim == 1 else pi ** (s - alpha)


def needed(error: float, alpha: int, dim: int, s: int = 0) -> int:
    """How many parameters a continuous method needs at least for an error on the class
    (``cor-cost``).

    Parameters
    ----------
    error : float
        In the norm ``s``.
    alpha, dim, s : int
        As in `width`.

    Returns
    -------
    int
        The least ``p >= 1`` for which `width` is at most the error.
    """
    _check_waves(alpha, dim, s)
    error = positive("error", error)
    root = (_bound(1, alpha, dim, s) / error) ** (1 / (alpha - s))
    size = max(1, int(root) - 1)  # the root was rounded
    while _bound(size, alpha, dim, s) > error:
        size += 1
    # the least number that takes so many knots, or this degree
    return max(1, (2 * size - 2 if dim == 1 else (2 * size - 1) ** dim) - s)


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
