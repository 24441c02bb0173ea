"""Upper over lower bound at equal numbers of parameters: how far our networks are from the best
(``cor-optimality``).
"""

from dataclasses import dataclass
from math import ceil, factorial

from lib import relu, splines
from lib.errors import integer, positive, require
from lib.limits._widths import width
from lib.splines import check_order

SHARE = 1 / 100  # the network may add this fraction of the spline's bound
# upper over lower bound at N cells: dimension, N, order, in value, in slope (rounded up)
RATIOS = (
    (1, 64, 2, 1.07, 1.07),
    (1, 64, 3, 1.42, 1.26),
    (1, 64, 4, 1.66, 1.50),
    (2, 32, 2, 2.79, 3.37),
    (2, 32, 3, 4.24, 3.60),
    (2, 32, 4, 6.39, 4.95),
    (3, 16, 2, 4.69, 5.33),
    (3, 16, 3, 8.77, 7.05),
    (3, 16, 4, 17.9, 12.4),
)


@dataclass(frozen=True)
class Ratio:
    """Bounds of the largest error over the unit ball of ``W^{m,inf}([0,1]^D)``.

    Attributes
    ----------
    parameters : int
        ``T = (N + m - 1)^D``: the coefficients, all that depends on the function.
    refinement : int
        ``n``, the least for which the network adds at most a hundredth to both bounds of the
        spline.
    upper, lower : float
        Of our networks (``thm-cube``); of every method with as many continuously chosen parameters
        (``thm-favard``,
        ``thm-trigonometric``).
    """

    parameters: int
    refinement: int
    upper: float
    lower: float

    @property
    def ratio(self) -> float:
        """``upper / lower``, at least 1."""
        return self.upper / self.lower


def largest_coefficient(order, cells, dim):
    """A bound of ``|c_j|`` over the unit ball of ``W^{m,inf}([0,1]^D)``.

    Parameters
    ----------
    order, cells, dim : int
        ``m``, ``N >= m``, ``D``.

    Returns
    -------
    float
        The smaller of ``Lambda^D`` and ``sum_{k<m} (D a h)^k / k! + Lambda^D (D b h)^m / m!``: the
        Taylor polynomial of ``f`` at the middle of the nodes of ``lambda_j`` has a blossom at knots
        that are at most ``a h`` away in each variable (``lem-marsden``), and its remainder is seen
        at nodes that are at most ``b h`` away.
    """
    norm = float(splines.weight_sum(order)) ** dim
    a = 0.0
    b = 0.0
    for j in range(1 - order, 1):  # the functionals at the right end are mirror images
        nodes = splines.functional(order, cells, j)[0]
        middle = (min(nodes) + max(nodes)) / 2
        a = max(a, *(abs(float(k - middle)) for k in range(j + 1, j + order)))
        b = max(b, float(max(nodes) - middle))
    taylor = sum((dim * a / cells) ** k / factorial(k) for k in range(order))
    return min(norm, taylor + norm * (dim * b / cells) ** order / factorial(order))


def ratio(order: int, cells: int, dim: int, s: int = 0) -> Ratio:
    """Our bound over the lower bound, for smoothness ``alpha = m`` and the same number of
    parameters.

    Book: ``cor-optimality``.

    Parameters
    ----------
    order : int
        ``m`` in 2..8, splines of order ``m`` for functions with ``m`` derivatives.
    cells : int
        ``N >= m``.
    dim : int
        ``D``.
    s : int
        0 for values, 1 for slopes.

    Returns
    -------
    Ratio

    Raises
    ------
    InputError
        For other arguments, or a mesh so fine that 40 levels do not suffice.
    """
    bounds = dict.fromkeys(splines.needed_derivatives(dim, order), 1.0)
    spline = splines.jackson_bound(order, cells, order, bounds)
    largest = largest_coefficient(order, cells, dim)
    refinement = relu.minimum_refinement(order)
    while True:
        network = relu.spline_error(order, dim, cells, refinement, largest)
        if network <= SHARE * spline:
            break
        refinement += 1  # refused beyond 40
    parameters = (cells + order - 1) ** dim
    upper = tuple(spline + network)[s]
    return Ratio(parameters, refinement, upper, width(parameters, order, dim, s))


def sufficient(error: float, order: int, dim: int, s: int = 0) -> int:
    """How many coefficients suffice for an error on the class (``cor-cost``).

    Parameters
    ----------
    error : float
        In the norm ``s``.
    order, dim, s : int
        ``m = alpha`` in 2..8, ``D``, norm 0 or 1.

    Returns
    -------
    int
        ``T = (N + m - 1)^D`` for the least ``N >= m`` for which 9/8 of the bound of the spline, an
        eighth for the network, is at most the error.

    Raises
    ------
    InputError
        For another order, dimension, norm, or an error that is not positive.
    """
    error = positive("error", error)
    require(s in (0, 1), "s", s, "0 or 1")
    order, dim = check_order(order), integer("dim", dim, 1, 16)
    bounds = dict.fromkeys(splines.needed_derivatives(dim, order), 1.0)

    def bound(cells):
        return 9 / 8 * tuple(splines.jackson_bound(order, cells, order, bounds))[s]

    for cells in range(order, 2 * order):
        if bound(cells) <= error:
            return (cells + order - 1) ** dim
    # from 2 m on the constants do not change
    constant = bound(2 * order) * (2 * order) ** (order - s)
    cells = max(2 * order, ceil((constant / error) ** (1 / (order - s)) * (1 - 1e-12)))
    while bound(cells) > error:  # the root was rounded
        cells += 1
    return (cells + order - 1) ** dim
