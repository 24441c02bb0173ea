"""The a priori bound of Theorems A and B, part by part (book: ``thm-cube``, ``thm-manifold``)."""

from dataclasses import dataclass, field
from math import pi

import numpy as np

from lib import relu
from lib.convresnet import rounding, stored_folds
from lib.splines import interpolate

_ARITHMETIC = 2.0**-40
SHARE = 1 / 8  # the network may add this fraction of the spline's error


@dataclass(frozen=True)
class Bound:
    """A guaranteed error: spline part (``thm-jackson``), network part (``prop-spline-net``),
    rounding.

    Attributes
    ----------
    spline_value, spline_gradient : float
        Bounds of the error of the spline in value and slope.
    network_value, network_gradient : float
        The same for the network against the spline.
    rounding_value, rounding_gradient : float
        For computing coefficients, storing weights and evaluating the network in float64
        (`rounding_error`); negligible unless the other two parts are tiny, as for polynomial
        targets.
    dim : int
        ``d``: the number of mesh coordinates.
    reach : float or None
        ``tau`` of the manifold; None on the cube.
    factors : dict
        The numbers whose product the spline part is, by name.
    rigorous : bool
        Whether every part is proved: on the cube, for a formula and a mesh that is not huge.
        Otherwise it is as good as the derivative bounds that were stated, or on a manifold an
        *estimate*, with sampled derivatives.
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
    rigorous: bool = False

    @property
    def value(self):
        """Bound of ``sup |f - f~|``."""
        return self.spline_value + self.network_value + self.rounding_value

    @property
    def gradient(self):
        """Bound of ``max_k sup |d_k (f - f~)|`` on the cube, of ``sup |grad_M (f - f~)|`` on a
        manifold.
        """
        return self.spline_gradient + self.network_gradient + self.rounding_gradient

    def at(self, s):
        """Bound of the ``W^{s,inf}`` norm of the error, ``0 <= s <= 1`` (``lem-interpolation``).

        On a manifold distances are those of the ambient space; there ``Lip(g)`` is at most
        ``max((pi/2) sup |grad_M g|, sup |g| / tau)`` (``lem-geodesic``).
        """
        if self.reach is None or s in (0, 1):
            return interpolate(self.value, self.gradient, self.dim, s)
        return interpolate(self.value, max(pi / 2 * self.gradient, self.value / self.reach), 1, s)


def rounding_error(problem, charts, cells, refinement, error):
    """What rounding adds to the bound: value and slope (``prop-rounding``).

    Three parts: coefficients are computed in float64, the weights ``a_r`` of the folds are stored
    in float64, and (value only) the network is evaluated in float64.  ``error`` is what
    coefficients may be off.
    """
    largest = largest_coefficient(charts)
    order = problem.order
    dim = problem.dim
    alive = problem.order**problem.dim
    steep = relu.bspline_slope(order)
    fold_value, fold_slope = stored_folds(order)
    evaluation = sum(rounding(order, refinement, dim, problem.mesh_rounding(charts, cells)))
    value = error + largest * alive * (dim * fold_value + evaluation)
    slope = alive * (steep * error + largest * (fold_slope + (dim - 1) * steep * fold_value))
    return problem.overlap(cells) * value, problem.overlap(
        cells
    ) * problem.slope_factor * problem.mesh_slope(cells) * slope


def largest_coefficient(charts):
    """``max |c_j|``."""
    return max(float(np.abs(c.coefficients).max()) for c in charts)


def network_error(problem, cells, refinement, largest_coefficient):
    """The network against the spline of a `Problem`: value and slope (``prop-spline-net``)."""
    error = relu.spline_error(
        problem.order, problem.dim, problem.mesh_slope(cells), refinement, largest_coefficient
    )
    overlap = problem.overlap(cells)
    return overlap * error.value, overlap * problem.slope_factor * error.slope


def bound(problem, charts, cells, refinement):
    """The bound for given sizes; ``charts`` as `problem` makes them for ``cells``."""
    spline = problem.spline_error(cells)
    network = network_error(problem, cells, refinement, largest_coefficient(charts))
    coefficients, rigorous = problem.coefficient_error(charts, cells)
    rounded = rounding_error(problem, charts, cells, refinement, coefficients)
    # this arithmetic: fewer than 2^12 operations on numbers that are not negative
    value, slope = (
        r + _ARITHMETIC * (s + n + r)
        for r, s, n in zip(rounded, (spline.value, spline.gradient), network)
    )
    return Bound(
        spline.value,
        spline.gradient,
        *network,
        value,
        slope,
        problem.dim,
        problem.reach,
        problem.factors(cells),
        rigorous,
    )


def choose_refinement(problem, cells, largest_coefficient, room=None):
    """The least refinement whose network error fits the room that is left for it, in value and
    slope.

    By default the room is the share 1/8 of the spline's own bound.  None if 40 levels do not
    suffice.
    """
    if room is None:
        spline = problem.spline_error(cells)
        room = SHARE * spline.value, SHARE * spline.gradient
    for n in range(relu.MINIMUM_REFINEMENT, relu.MAXIMUM_REFINEMENT + 1):
        error = network_error(problem, cells, n, largest_coefficient)
        if error[0] <= room[0] and error[1] <= room[1]:
            return n
    return None
