"""The problem of Theorem A: one chart, the identity (book: ``thm-cube``)."""

from functools import partial
from math import ceil

import numpy as np
from jaxtyping import Int

from lib.convresnet import Chart, cube_chart
from lib.domains._bound import Bound
from lib.domains._domain import Domain, Localisation
from lib.domains._local import BOXES, LocalBounds
from lib.errors import require
from lib.intervals import MAXIMUM_EVALUATIONS, evaluations, values_near
from lib.norms import Norms, renamed
from lib.splines import Jackson, QuasiInterpolant, allowance, jackson_bound
from lib.targets import Target, evaluation_noise, refute_bounds, thinned

# points of a grid on which stated bounds are tested: before a mesh is known, and on it
_FIRST, _LATER = 1 << 14, 1 << 18


class CubeProblem:
    """A target on the cube: what Theorem A needs to know (see `lib.approximation.approximate`;
    book: ``thm-cube``).

    Attributes
    ----------
    alpha : int or float
        The smoothness that is used.
    derivative_bounds : dict
    slope_factor : float
        1: mesh axes are coordinate axes, and slopes are partial derivatives.

    Raises
    ------
    InputError
        For no `lib.Target`, or one of another dimension, or whose stated bounds its values refute.
    """

    slope_factor = 1.0
    reach: float | None = None
    localisation: Localisation | None = None
    maximum_cells = float("inf")

    def __init__(self, target: Target, domain: Domain, order: int) -> None:
        require(
            isinstance(target, Target), "target", target, "a lib.Target (see lib.Target.from_sympy)"
        )
        require(
            target.dim == domain.dim,
            "domain",
            domain,
            f"of the dimension of the target, {target.dim}",
        )
        self.target = target
        self.domain = domain
        self.dim = domain.dim
        self.order = order
        self.alpha, self.derivative_bounds = target.derivative_bounds(order)
        known = target.expression is not None and self.dim in BOXES
        self._local: dict[int, LocalBounds] | None = {} if known else None
        self._errors: dict[int, Jackson] = {}
        self.minimum_cells = order
        target.check_slopes(domain)
        axes = map(tuple, np.eye(self.dim, dtype=int).tolist())
        used = {(0,) * self.dim, *axes, *self.derivative_bounds}
        self._stated = {k: bound for k, bound in target.stated.items() if k in used}
        self._finest = 0
        if self._stated:
            self._noise = evaluation_noise(target, domain)
            first = int(_FIRST ** (1 / self.dim) + 1e-9) + 1
            if first > self.alpha:
                self._test_bounds(np.linspace(0, 1, first))

    def _test_bounds(self, axis):
        """Refuse stated bounds of derivatives that a grid refutes, if it is at least twice as
        fine as any before.
        """
        axis = thinned(axis, self.dim, _LATER, ceil(self.alpha) + 1)
        if self._stated and len(axis) - 1 >= 2 * (self._finest - 1):
            refute_bounds(self.target, axis, self._stated, *self._noise)
            self._finest = len(axis)

    def count_terms(self, cells: int) -> int:
        """``(N + m - 1)^D``."""
        return (cells + self.order - 1) ** self.dim

    def indices(self, cells: int) -> list[Int[np.ndarray, "_ d"]]:
        """The terms of the only chart, in their order: int64 array (T, D)."""
        return [cube_chart(np.zeros((cells + self.order - 1,) * self.dim), self.order).indices]

    def mesh_slope(self, cells: int) -> float:
        """Mesh units a unit of length: ``N``."""
        return cells

    def mesh_rounding(self, charts: list[Chart], cells: int) -> float:
        """What the mesh coordinates may be off, in mesh units and units of roundoff
        (``lem-rounding``).
        """
        return 2 * cells

    def coefficient_error(self, charts: list[Chart], cells: int) -> tuple[float, bool]:
        """``max_j |lambda_j(f) - c_j|`` for coefficients in float64 (``prop-rounding``), and
        whether it is proved.

        For a formula an enclosure; otherwise, and where that would take more than
        `MAXIMUM_EVALUATIONS` of a function of several coordinates, an allowance, for values that
        are within eight roundings of the exact ones.
        """
        coefficients = charts[0].coefficients.reshape((cells + self.order - 1,) * self.dim)
        quasi = QuasiInterpolant(self.order, cells)
        expression = self.target.expression
        if (
            expression is not None
            and evaluations(expression, len(quasi.nodes)) <= MAXIMUM_EVALUATIONS
        ):
            error = quasi.coefficient_error(partial(values_near, expression), coefficients)
            if error < float("inf"):
                return error, True
        return allowance(self.order, self.dim, coefficients), False

    def spline_error(self, cells: int) -> Jackson:
        """`lib.splines.Jackson` bounds of ``f - Q f``: of the smoothness that is used; for a
        formula in up to three variables the largest of all cells by themselves (`LocalBounds`),
        which may be smaller.
        """
        if cells not in self._errors:
            found = jackson_bound(self.order, cells, self.alpha, self.derivative_bounds)
            if self._local is not None and found.value > 0:
                boxes = LocalBounds.count(self.dim, cells)
                if boxes not in self._local:
                    expression = self.target.expression
                    self._local[boxes] = LocalBounds(expression, self.dim, self.order, boxes)
                found = self._local[boxes].bound(cells, found)
            self._errors[cells] = found
        return self._errors[cells]

    def zero(self) -> tuple[list[Chart], Bound]:
        """The network for budgets that no mesh fits, one term with the coefficient 0, and the bound
        of its error: the target itself, without rounding.
        """
        nothing = Norms(0.0, 0.0)
        size = self.target.size
        known = self.target.expression is not None
        cells = self.order
        index = np.zeros((1, self.dim), dtype=int)
        chart = Chart(np.eye(self.dim) * cells, np.zeros(self.dim), cells, index, np.zeros(1))
        seen = {"sup |f|": size.value, "largest slope": size.slope}
        return [chart], Bound.of(
            size, nothing, nothing, dim=self.dim, breakdown=seen, rigorous=known
        )

    def breakdown(self, cells: int) -> dict[str, float]:
        """The numbers whose product the spline part is, by name."""
        return {
            "h": 1 / cells,
            "alpha": self.alpha,
            "largest derivative": max(self.derivative_bounds.values()),
        }

    factors = renamed("factors", "breakdown")
    terms = renamed("terms", "count_terms")

    def charts(self, cells: int) -> list[Chart]:
        """The cube as a list of one chart, with the coefficients ``lambda_j(f)``.

        Raises
        ------
        InputError
            For stated bounds of derivatives that the values at the nodes refute (`refute_bounds`).
        """
        quasi = QuasiInterpolant(self.order, cells)
        self._test_bounds(quasi.nodes)
        return [cube_chart(quasi.coefficients(self.target.values, self.dim), self.order)]
