"""Error bounds of the ReLU calculus in value and slope (book: chapter 03).

``n`` is the refinement level of the squaring network throughout; ``eps = 4**(-n-1)``.  Errors are
`lib.Norms`: bounds of ``sup |g~ - g|`` and of every partial derivative of ``g~ - g``, where it has
one.
"""

from fractions import Fraction
from functools import cache
from math import comb, factorial, inf, nextafter

from lib.errors import integer, require
from lib.norms import Norms
from lib.splines import check_order, pieces

MAXIMUM_REFINEMENT = 40


def check_refinement(n: int, least: int = 0) -> int:
    """``n`` as an int; raises `InputError` unless it is an integer from ``least`` to 40.

    Beyond 40 levels the sawtooth has more teeth than float64 can resolve.
    """
    return integer("refinement", n, least, MAXIMUM_REFINEMENT)


@cache
def minimum_refinement(order: int) -> int:
    """The least ``n >= 4`` with ``eta_0 <= 1 / (m-1)!``: from it on ``N~_m`` is proved to be
    non-negative (``prop-bspline-net``).

    Returns
    -------
    int
        4, 4, 4, 4, 6, 8, 9 for ``m`` = 2, .., 8.
    """
    n = 4
    while _fold_error(order, n).value > 1 / factorial(order - 1):
        n += 1
    return n


def square_error(n: int) -> Norms:
    """``|sq_n - z^2| <= 4^(-n-1)`` and ``|sq_n' - 2z| <= 2^(-n)`` on ``[0,1]`` (``lem-square``)."""
    n = check_refinement(n)
    return Norms(4.0 ** (-n - 1), 2.0**-n)


def product_error(n: int) -> Norms:
    """``|mu_n - ab| <= 4^(-n-1)`` and ``2^(-n)`` for both partial derivatives (``lem-product``)."""
    return square_error(n)


def power_error(degree: int, n: int) -> Norms:
    """Bounds for the network ``p_degree`` of ``z^degree`` on ``[0,1]`` (``lem-power``).

    Parameters
    ----------
    degree : int
        At least 1; degree 1 is the identity, with error zero.
    n : int

    Returns
    -------
    Norms
        By the recursion ``p_{2k} = sq_n(p_k)``, ``p_{2k+1} = mu_n(z, p_{2k})``.

    Raises
    ------
    InputError
        For a degree below 1.
    """
    require(degree >= 1, "degree", degree, "at least 1")
    if degree == 1:
        return Norms(0.0, 0.0)
    eps, delta = square_error(n)
    if degree % 2:
        k = degree - 1
        value, slope = power_error(k, n)
        return Norms(value + eps, slope + value + (k + 1) * delta)
    k = degree // 2
    value, slope = power_error(k, n)
    return Norms(2 * value + eps, 2 * slope + k * (delta + 2 * value))


def power_size(degree: int, n: int) -> tuple[int, int]:
    """Layers and channels of the network ``p_degree`` (``lem-power``).

    Returns
    -------
    layers, channels : int
        ``p_{2k}`` has the ``n + 1`` layers of a square more than ``p_k``; ``p_{2k+1}`` has the ``n
        + 2`` of an ordered product more than ``p_{2k}``, beside which it carries ``z`` in one
        channel more.
    """
    if degree == 1:
        return 0, 1
    if degree % 2:
        depth, width = power_size(degree - 1, n)
        return depth + n + 2, max(width + 1, 5)
    depth, width = power_size(degree // 2, n)
    return depth + n + 1, max(width, 3)


def fold_terms(order: int) -> list[tuple[int, int, float, float, float]]:
    """The terms ``(r, sign, a_r, w_r, scale)`` of the folded B-spline (``prop-bspline-net``).

    ``N_m(x) = sum_{r < m/2} sign * a_r * z_r^{m-1}`` with ``z_r = sigma(w_r - |x - m/2|) / scale``,
    ``w_r = m/2 - r``, ``scale`` the least power of two that is at least ``w_r`` and
    ``a_r = binom(m, r) scale^{m-1} / (m-1)!``.
    """
    order = check_order(order)
    terms = []
    for r in range((order + 1) // 2):
        width = order / 2 - r
        scale = 0.5
        while scale < width:
            scale *= 2
        terms.append(
            (
                r,
                (-1) ** r,
                comb(order, r) * scale ** (order - 1) / factorial(order - 1),
                width,
                scale,
            )
        )
    return terms


def _fold_error(order, n):
    if order == 2:
        return Norms(0.0, 0.0)
    value, slope = power_error(order - 1, n)
    terms = fold_terms(order)
    return Norms(
        sum(a * value for _, _, a, _, _ in terms),
        sum(a * slope / scale for _, _, a, _, scale in terms),
    )


def bspline_error(order: int, n: int) -> Norms:
    """``eta_0, eta_1``: the network ``N~_m`` against ``N_m`` in value and slope
    (``prop-bspline-net``).

    Raises
    ------
    InputError
        For an ``n`` below `minimum_refinement`.
    """
    order = check_order(order)
    return _fold_error(order, check_refinement(n, minimum_refinement(order)))


@cache
def bspline_slope(order: int) -> float:
    """``B = max |N_m'|``, rounded upwards: 1, 1, 2/3, 5 (3 + sqrt 5) / 48 for ``m`` = 2, 3, 4, 5,
    and so on (``lem-bspline``).

    For ``m > 3`` it is attained at the only zero of ``N_m''`` in ``(0, m/2)``, which is bisected
    in rational arithmetic; on an interval of length ``w <= 1/8`` around it ``N_m'`` is at most its
    value at an end plus ``w``, as ``|N_m'''| <= 8`` and so ``|N_m''| <= 1`` there.
    """
    order = check_order(order)
    if order <= 3:
        return 1.0
    low, high = Fraction(0), Fraction(order, 2)
    while high - low > Fraction(1, 2**60):
        middle = (low + high) / 2
        low, high = (middle, high) if _exactly(order, 2, middle) > 0 else (low, middle)
    return nextafter(float(_exactly(order, 1, low) + (high - low)), inf)


def _exactly(order, times, x):
    """A derivative of ``N_m`` at a rational point of its support."""
    cell = int(x)
    piece = list(pieces(order)[cell])
    for _ in range(times):
        piece = [k * c for k, c in enumerate(piece)][1:]
    return sum((c * (x - cell) ** k for k, c in enumerate(piece)), Fraction(0))


def tensor_error(order: int, dim: int, n: int) -> Norms:
    """``E_0, E_1``: the network for ``prod_i N_m(x_i)`` in value and in each partial derivative.

    ``E_0 = D eta_0 + (D-1) eps`` and ``E_1 = eta_1 + B [(D-1)(2^-n + eta_0) + (D-2)_+ eps]`` with
    ``B = max |N_m'|`` (``prop-tensor-net``).

    Raises
    ------
    InputError
        For a dimension below 1.
    """
    require(dim >= 1, "dim", dim, "at least 1")
    eta = bspline_error(order, n)
    eps, delta = product_error(n)
    slope = bspline_slope(order)
    return Norms(
        dim * eta.value + (dim - 1) * eps,
        eta.slope + slope * ((dim - 1) * (delta + eta.value) + max(dim - 2, 0) * eps),
    )


def spline_error(order: int, dim: int, cells: float, n: int, largest_coefficient: float) -> Norms:
    """The network of a whole spline against the spline, in value and each partial derivative.

    At most ``m^D`` terms are alive at a point, and a slope in ``x`` is ``N`` times one in ``N x``:
    ``m^D max|c_j| E_0`` and ``N m^D max|c_j| E_1`` (``prop-spline-net``).
    """
    return (order**dim * largest_coefficient * tensor_error(order, dim, n)).steeper(cells)


def localised_error(
    order: int,
    dim: int,
    steepness: float,
    n: int,
    largest_coefficient: float,
    overlap: int,
    lipschitz: float,
) -> Norms:
    """Localised terms ``c_j mu_n(rho_i, M~_j)`` against ``c_j rho_i M_j``: their sums, in value and
    slope (``lem-localised-term``).

    Parameters
    ----------
    order, dim, n : int
        ``m``, ``d`` and ``n``.
    steepness : float
        The length of a gradient over its largest partial derivative in mesh units.
    largest_coefficient : float
    overlap : int
        ``A``: at most so many ``rho_i`` are positive at a point; they add up to 1.
    lipschitz : float
        ``Lambda >= sum_i |grad rho_i|``.
    """
    term = tensor_error(order, dim, n)
    eps, delta = product_error(n)
    steep = bspline_slope(order) + bspline_error(order, n).slope
    return (order**dim * largest_coefficient) * Norms(
        term.value + overlap * eps,
        (term.slope + overlap * delta * steep) * steepness + (delta + term.value) * lipschitz,
    )
