"""Upper over lower bound at equal numbers of parameters: how far our networks are from the best
(``cor-optimality``).
"""

from dataclasses import dataclass
from math import factorial

from lib import relu, splines
from lib.limits._widths import width

SHARE = 1 / 100  # the network may add this fraction of the spline's bound
# upper over lower bound at N cells: dimension, N, order, in value, in slope (rounded up)
RATIOS = (
    (1, 64, 2, 1.07, 1.07),
    (1, 64, 3, 1.42, 1.26),
    (1, 64, 4, 1.66, 1.50),
    (2, 32, 2, 4.52, 4.29),
    (2, 32, 3, 5.84, 4.90),
    (2, 32, 4, 8.06, 6.12),
    (3, 16, 2, 7.60, 6.79),
    (3, 16, 3, 14.0, 10.6),
    (3, 16, 4, 22.6, 15.3),
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
        (``thm-favard``).
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
        ``m`` in 2..5, splines of order ``m`` for functions with ``m`` derivatives.
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
