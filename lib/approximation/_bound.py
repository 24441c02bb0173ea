"""The a priori bound of Theorem A, factor by factor (book: ``thm-cube``)."""

from dataclasses import dataclass

from lib import relu
from lib.splines import interpolate, jackson_bound

SHARE = 1 / 8   # the network may add this fraction of the spline's error


@dataclass(frozen=True)
class Bound:
    """A guaranteed error: spline part (``thm-jackson``), network part (``prop-spline-net``), rounding.

    Attributes
    ----------
    spline_value, spline_gradient : float
        Bounds of ``sup |f - Q f|`` and ``max_k sup |d_k (f - Q f)|``.
    network_value, network_gradient : float
        The same for the network against ``Q f``.
    rounding_value, rounding_gradient : float
        Allowance for evaluating the network in float64 (`rounding_allowance`); negligible unless the
        other two parts are tiny, as for polynomial targets.
    dim : int
    """

    spline_value: float
    spline_gradient: float
    network_value: float
    network_gradient: float
    rounding_value: float
    rounding_gradient: float
    dim: int

    @property
    def value(self):
        """Bound of ``sup |f - f~|`` on the cube."""
        return self.spline_value + self.network_value + self.rounding_value

    @property
    def gradient(self):
        """Bound of ``max_k sup |d_k (f - f~)|`` on the cube."""
        return self.spline_gradient + self.network_gradient + self.rounding_gradient

    def at(self, s):
        """Bound of the ``W^{s,inf}`` norm of the error, ``0 <= s <= 1`` (``lem-interpolation``)."""
        return interpolate(self.value, self.gradient, self.dim, s)


def rounding_allowance(order, dim, cells, depth, largest_coefficient):
    """Allowance for float64: value and gradient.

    Every number inside a network is at most 4 and is made by at most two rounded operations, so a
    term that passes ``depth`` layers is off by at most about ``8 depth`` units ``u = 2^-53``; at most
    ``m^D`` terms are alive, weighted by ``max |c_j|``.  A slope is ``N`` times as large.  First order in
    ``u``, not an enclosure.
    """
    value = 2.0**-53 * 8 * depth * order**dim * largest_coefficient
    return value, cells * value


def bound(order, cells, refinement, alpha, derivative_bounds, largest_coefficient, depth):
    """The bound for given sizes; ``largest_coefficient`` is ``max |c_j|``, ``depth`` the layers of a block."""
    spline = jackson_bound(order, cells, alpha, derivative_bounds)
    network = relu.spline_error(order, spline.dim, cells, refinement, largest_coefficient)
    rounding = rounding_allowance(order, spline.dim, cells, depth, largest_coefficient)
    return Bound(spline.value, spline.gradient, network.value, network.slope, *rounding, spline.dim)


def choose_refinement(order, cells, jackson, largest_coefficient, value_room=None, gradient_room=None):
    """The least refinement whose network error fits the room that is left for it.

    By default the room is the share 1/8 of the spline's own bound, in value and in slope.  None if
    40 levels do not suffice.
    """
    value_room = SHARE * jackson.value if value_room is None else value_room
    gradient_room = SHARE * jackson.gradient if gradient_room is None else gradient_room
    for n in range(relu.MINIMUM_REFINEMENT, relu.MAXIMUM_REFINEMENT + 1):
        error = relu.spline_error(order, jackson.dim, cells, n, largest_coefficient)
        if error.value <= value_room and error.slope <= gradient_room:
            return n
    return None
