"""The a priori bound of Theorems A and B, part by part (book: ``thm-cube``, ``thm-manifold``)."""

from dataclasses import dataclass, field
from math import pi

from lib import relu
from lib.splines import interpolate

SHARE = 1 / 8   # the network may add this fraction of the spline's error


@dataclass(frozen=True)
class Bound:
    """A guaranteed error: spline part (``thm-jackson``), network part (``prop-spline-net``), rounding.

    Attributes
    ----------
    spline_value, spline_gradient : float
        Bounds of the error of the spline in value and slope.
    network_value, network_gradient : float
        The same for the network against the spline.
    rounding_value, rounding_gradient : float
        Allowance for evaluating the network in float64 (`rounding_allowance`); negligible unless the
        other two parts are tiny, as for polynomial targets.
    dim : int
        ``d``: the number of mesh coordinates.
    reach : float or None
        ``tau`` of the manifold; None on the cube.
    factors : dict
        The numbers whose product the spline part is, by name.
    """

    spline_value: float
    spline_gradient: float
    network_value: float
    network_gradient: float
    rounding_value: float
    rounding_gradient: float
    dim: int
    reach: float | None = None
    factors: dict = field(default_factory=dict)

    @property
    def value(self):
        """Bound of ``sup |f - f~|``."""
        return self.spline_value + self.network_value + self.rounding_value

    @property
    def gradient(self):
        """Bound of ``max_k sup |d_k (f - f~)|`` on the cube, of ``sup |grad_M (f - f~)|`` on a manifold."""
        return self.spline_gradient + self.network_gradient + self.rounding_gradient

    def at(self, s):
        """Bound of the ``W^{s,inf}`` norm of the error, ``0 <= s <= 1`` (``lem-interpolation``).

        On a manifold distances are those of the ambient space; there ``Lip(g)`` is at most
        ``max((pi/2) sup |grad_M g|, sup |g| / tau)`` (``lem-geodesic``).
        """
        if self.reach is None or s in (0, 1):
            return interpolate(self.value, self.gradient, self.dim, s)
        return interpolate(self.value, max(pi / 2 * self.gradient, self.value / self.reach), 1, s)


def rounding_allowance(order, dim, slope, depth, largest_coefficient):
    """Allowance for float64: value and slope.

    Every number inside a network is at most 4 and is made by at most two rounded operations, so a
    term that passes ``depth`` layers is off by at most about ``8 depth`` units ``u = 2^-53``; at most
    ``m^d`` terms are alive, weighted by ``max |c_j|``.  A slope is as many times as large as the slope
    of the mesh coordinates, ``N`` on the cube.  First order in ``u``, not an enclosure.
    """
    value = 2.0**-53 * 8 * depth * order**dim * largest_coefficient
    return value, slope * value


def network_error(problem, cells, refinement, largest_coefficient):
    """The network against the spline of a `Problem`: value and slope (``prop-spline-net``)."""
    error = relu.spline_error(problem.order, problem.dim, problem.mesh_slope(cells), refinement, largest_coefficient)
    overlap = problem.overlap(cells)
    return overlap * error.value, overlap * problem.slope_factor * error.slope


def bound(problem, cells, refinement, largest_coefficient, depth):
    """The bound for given sizes; ``largest_coefficient`` is ``max |c_j|``, ``depth`` the layers of a block."""
    spline = problem.spline_error(cells)
    network = network_error(problem, cells, refinement, largest_coefficient)
    rounding = rounding_allowance(problem.order, problem.dim, problem.mesh_slope(cells), depth, largest_coefficient)
    rounding = (problem.overlap(cells) * rounding[0], problem.overlap(cells) * problem.slope_factor * rounding[1])
    return Bound(spline.value, spline.gradient, *network, *rounding, problem.dim, problem.reach, problem.factors(cells))


def choose_refinement(problem, cells, largest_coefficient, room=None):
    """The least refinement whose network error fits the room that is left for it, in value and slope.

    By default the room is the share 1/8 of the spline's own bound.  None if 40 levels do not suffice.
    """
    if room is None:
        spline = problem.spline_error(cells)
        room = SHARE * spline.value, SHARE * spline.gradient
    for n in range(relu.MINIMUM_REFINEMENT, relu.MAXIMUM_REFINEMENT + 1):
        error = network_error(problem, cells, n, largest_coefficient)
        if error[0] <= room[0] and error[1] <= room[1]:
            return n
    return None
