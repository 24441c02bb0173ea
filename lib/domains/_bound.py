"""The a priori bound of Theorems A and B, part by part (book: ``thm-cube``, ``thm-manifold``)."""

from dataclasses import dataclass, field
from math import pi
from typing import Any

import numpy as np

from lib import relu
from lib.convresnet import Chart, rounding, stored_folds
from lib.domains._domain import Problem
from lib.norms import Norms, renamed

_ARITHMETIC = 2.0**-40
SHARE = 1 / 8  # the network may add this fraction of the spline's error


@dataclass(frozen=True)
class Bound(Norms):
    """A guaranteed error: spline part (``thm-jackson``), network part (``prop-spline-net``),
    rounding.

    Attributes
    ----------
    value, slope : float
        Bounds of ``sup |f - f~|`` and of ``max_k sup |d_k (f - f~)|`` on the cube, of ``sup |grad_M
        (f - f~)|`` on a manifold: the sums of the three parts.
    spline, network, rounding : Norms
        Of the spline against the target; of the network against the spline; for computing
        coefficients, storing weights and evaluating the network in float64 (`rounding_error`),
        negligible unless the other two are tiny, as for polynomial targets.
    dim : int
        ``d``: the number of mesh coordinates.
    reach : float or None
        ``tau`` of the manifold; None on the cube.
    breakdown : dict
        The numbers whose product the spline part is, by name.
    rigorous : bool
        Whether every part is proved: for a formula and a mesh that is not huge, on a manifold whose
        reach is proved.  Otherwise it is as good as the derivative bounds that were stated, as the
        reach that is assumed, or, on a manifold and without a formula, an *estimate* with sampled
        derivatives.
    """

    spline: Norms
    network: Norms
    rounding: Norms
    dim: int
    reach: float | None = None
    breakdown: dict = field(default_factory=dict)
    rigorous: bool = False

    factors = renamed("factors", "breakdown")
    spline_value = renamed("spline_value", "spline.value")
    spline_gradient = renamed("spline_gradient", "spline.slope")
    network_value = renamed("network_value", "network.value")
    network_gradient = renamed("network_gradient", "network.slope")
    rounding_value = renamed("rounding_value", "rounding.value")
    rounding_gradient = renamed("rounding_gradient", "rounding.slope")

    @classmethod
    def of(cls, spline: Norms, network: Norms, rounding: Norms, **others: Any) -> "Bound":
        """The bound with these parts."""
        total = spline + network + rounding
        return cls(float(total.value), float(total.slope), spline, network, rounding, **others)

    def at(self, s: float, dim: int | None = None) -> float:
        """Bound of the ``W^{s,inf}`` norm of the error, ``0 <= s <= 1`` (``lem-interpolation``).

        On a manifold distances are those of the ambient space; there ``Lip(g)`` is at most
        ``max((pi/2) sup |grad_M g|, sup |g| / tau)`` (``lem-geodesic``).
        """
        if self.reach is None or s in (0, 1):
            return super().at(s, self.dim if dim is None else dim)
        return Norms(self.value, max(pi / 2 * self.slope, self.value / self.reach)).at(s, 1)


def rounding_error(
    problem: Problem, charts: list[Chart], cells: int, refinement: int, error: float
) -> Norms:
    """What rounding adds to the bound, `lib.Norms` (``prop-rounding``).

    Three parts: coefficients are computed in float64, the weights ``a_r`` of the folds are stored
    in float64, and (value only) the network is evaluated in float64.  ``error`` is what
    coefficients may be off.  Behind a partition of unity errors of splines are averaged, those of
    the evaluation are not, and what its functions are off counts for each of them.
    """
    largest = largest_coefficient(charts)
    order = problem.order
    dim = problem.dim
    alive = problem.order**problem.dim
    steep = relu.bspline_slope(order)
    fold = stored_folds(order)
    local = problem.localisation
    factors = dim + (local is not None)
    evaluation = sum(rounding(order, refinement, factors, problem.mesh_rounding(charts, cells)))
    spline = error + largest * alive * dim * fold.value
    slope = alive * (steep * error + largest * (fold.slope + (dim - 1) * steep * fold.value))
    slope *= problem.slope_factor * problem.mesh_slope(cells)
    if local is None:
        return Norms(spline + largest * alive * evaluation, slope)
    # each function of the partition is off by what its w_k are, of which at most A count
    shares = local.overlap**2 * local.rounding * largest
    return Norms(
        spline + local.overlap * largest * alive * evaluation + shares,
        slope + local.lipschitz * spline,
    )


def largest_coefficient(charts: list[Chart]) -> float:
    """``max |c_j|``."""
    return max(float(np.abs(c.coefficients).max()) for c in charts)


def network_error(
    problem: Problem, cells: int, refinement: int, largest_coefficient: float
) -> Norms:
    """The network against the spline of a `Problem`, `lib.Norms` (``prop-spline-net``, on manifolds
    ``lem-localised-term``).
    """
    local = problem.localisation
    sizes = problem.order, problem.dim
    steepness = problem.slope_factor * problem.mesh_slope(cells)
    if local is None:
        return relu.spline_error(*sizes, steepness, refinement, largest_coefficient)
    return relu.localised_error(
        *sizes, steepness, refinement, largest_coefficient, local.overlap, local.lipschitz
    )


def bound(problem: Problem, charts: list[Chart], cells: int, refinement: int) -> Bound:
    """The `Bound` for given sizes; ``charts`` as `problem` makes them for ``cells``."""
    jackson = problem.spline_error(cells)
    spline = Norms(jackson.value, jackson.slope)
    network = network_error(problem, cells, refinement, largest_coefficient(charts))
    coefficients, rigorous = problem.coefficient_error(charts, cells)
    rounded = rounding_error(problem, charts, cells, refinement, coefficients)
    # this arithmetic: fewer than 2^12 operations on numbers that are not negative
    rounded += _ARITHMETIC * (spline + network + rounded)
    return Bound.of(
        spline,
        network,
        rounded,
        dim=problem.dim,
        reach=problem.reach,
        breakdown=problem.breakdown(cells),
        rigorous=rigorous,
    )


def choose_refinement(
    problem: Problem, cells: int, largest_coefficient: float, room: Norms | None = None
) -> int | None:
    """The least refinement whose network error fits the room that is left for it, `lib.Norms`.

    By default the room is the share 1/8 of the spline's own bound.  None if 40 levels do not
    suffice.
    """
    if room is None:
        room = SHARE * problem.spline_error(cells)
    for n in range(relu.minimum_refinement(problem.order), relu.MAXIMUM_REFINEMENT + 1):
        if network_error(problem, cells, n, largest_coefficient) <= room:
            return n
    return None
