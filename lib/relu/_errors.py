"""Error bounds of the ReLU calculus in value and slope (book: chapter 03).

``n`` is the refinement level of the squaring network throughout; ``eps = 4**(-n-1)``.  Errors are
`lib.Norms`: bounds of ``sup |g~ - g|`` and of every partial derivative of ``g~ - g``, where it has
one.
"""

from math import comb, factorial, nextafter, sqrt

from lib.errors import integer, require
from lib.norms import Norms
from lib.splines import check_order

# below it the proof that N~_m is non-negative fails for m = 5 (prop-bspline-net)
MINIMUM_REFINEMENT = 4
MAXIMUM_REFINEMENT = 40


def check_refinement(n: int, least: int = 0) -> int:
    """``n`` as an int; raises `InputError` unless it is an integer from ``least`` to 40.

    Beyond 40 levels the sawtooth has more teeth than float64 can resolve.
    """
    return integer("refinement", n, least, MAXIMUM_REFINEMENT)


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


def bspline_error(order: int, n: int) -> Norms:
    """``eta_0, eta_1``: the network ``N~_m`` against ``N_m`` in value and slope
    (``prop-bspline-net``).
    """
    n = check_refinement(n, MINIMUM_REFINEMENT)
    if order == 2:
        return Norms(0.0, 0.0)
    value, slope = power_error(order - 1, n)
    terms = fold_terms(order)
    return Norms(
        sum(a * value for _, _, a, _, _ in terms),
        sum(a * slope / scale for _, _, a, _, scale in terms),
    )


def bspline_slope(order: int) -> float:
    """``B = max |N_m'|``, rounded upwards: 1, 1, 2/3, 5 (3 + sqrt 5) / 48 for ``m`` = 2, 3, 4, 5
    (``lem-bspline``).

    It is attained at the zero of ``N_m''`` nearest to the left end (``m > 3``): ``4/3`` and ``(5 +
    sqrt 5) / 4``.
    """
    order = check_order(order)
    return {2: 1.0, 3: 1.0, 4: nextafter(2 / 3, 1), 5: nextafter(5 * (3 + sqrt(5)) / 48, 1)}[order]


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
