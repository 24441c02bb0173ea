"""A target on a manifold, approximated in charts first and localised afterwards (book:
``thm-manifold``).
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float64, Int
from torch import Tensor

from lib.convresnet import Chart
from lib.domains import Localisation
from lib.errors import require
from lib.formulas import variables
from lib.intervals import MAXIMUM_EVALUATIONS, UNIT, Balls, Taylor, evaluations, expand, up
from lib.manifolds._cells import terms_over
from lib.manifolds._norms import (
    SAMPLES,
    Grid,
    enclosed_norms,
    estimated_norms,
    lines,
    smooth_along_lines,
)
from lib.norms import Norms, renamed
from lib.splines import Jackson, allowance, functional, jackson_bound
from lib.targets import Target

_CHUNK = 1 << 15  # nodes at once
_SUPREMA = 20_000  # points at which the size and the steepness of a target are looked at


def target_on(target: Target | Callable[[Tensor], Tensor], manifold: Any) -> Target:
    """A `lib.Target` on a manifold from a target or a torch map.

    Raises
    ------
    InputError
        For a target of another dimension, one with stated bounds of derivatives, or one whose
        gradients are not those of its values.
    """
    if not isinstance(target, Target):
        require(callable(target), "target", target, "a lib.Target or a torch map (P, D) -> (P,)")
        target = Target(target, dim=manifold.ambient_dim)
    require(
        target.dim == manifold.ambient_dim,
        "domain",
        manifold,
        f"in the dimension of the target, {target.dim}",
    )
    require(
        not target.stated,
        "derivative_bounds",
        target.stated,
        "left out on a manifold, where norms are those in the charts: lib.Target(function, dim=..)",
    )
    target.check_slopes(manifold)
    return target


class ManifoldProblem:
    """A target on a manifold: what Theorem B needs to know (see `lib.approximation.approximate`;
    book: ``thm-manifold``).

    Attributes
    ----------
    atlas : Atlas
    alpha : int or float
        The smoothness that is used: for a formula the largest of `Target.smoothness` whose
        derivatives, or seminorms, in the charts can be enclosed, otherwise the largest integer for
        which derivatives look bounded along lines in every chart (`smooth_along_lines`).
    enclosed : bool
        Whether derivatives are enclosed; otherwise they are *estimates*, and so is the bound.
    minimum_cells, maximum_cells : int or infinity
        ``N_0`` of the atlas; for estimates the grid of the samples: a finer mesh would see what
        they do not.
    slope_factor : float
        ``sqrt(d)``: from the largest partial derivative in a chart to the length of the gradient.

    Raises
    ------
    InputError
        For charts that are not injective, or too few cells.
    """

    maximum_cells: float

    def __init__(self, target: Target, atlas: Any, order: int, cells: int | None = None) -> None:
        self.atlas = atlas
        self.domain = domain = atlas.manifold
        self.target = target
        self.order = order
        require(self.atlas.distortion > 0, "atlas", self.atlas, "of injective charts")
        self.dim = self.atlas.dim
        self.reach = domain.reach
        self.minimum_cells = self.atlas.smallest_mesh(order)
        require(
            cells is None or cells >= self.minimum_cells,
            "cells",
            cells,
            f"at least N_0 = {self.minimum_cells}: with fewer, nodes lie where the charts of this"
            " atlas cannot be inverted",
        )
        self.slope_factor = self.dim**0.5
        self.enclosed = target.expression is not None
        self._norms: dict[tuple[int, int, float], dict] = {}
        self._errors: dict[int, Jackson] = {}
        self.alpha: float = order
        # larger ones than `alpha` may do away from singularities
        self._tried: list[float] = []
        if self.enclosed:
            self.maximum_cells = float("inf")
            self._enclose_smoothness(cells or self.minimum_cells)
        else:
            self._steps = max(SAMPLES.get(self.dim, 16), 2 * ((cells or 0) // 2 + 1))
            self.maximum_cells = self._steps
            self._estimate_smoothness()

    # ---- the smoothness of the target

    def _refuse_order(self):
        target = self.target
        require(
            self.alpha > 1,
            "target",
            target.formula or target.function,
            "a function on the manifold with bounded derivatives of order 2 at least, or a formula"
            " with first derivatives that are Hoelder continuous",
        )

    def _enclose_smoothness(self, cells):
        grid = self._grid(cells)
        for alpha in self.target.smoothness(self.order):
            self._tried.append(alpha)
            bounds, smooth = self._enclosed_norms(grid, alpha)
            self._norms[grid.boxes, grid.window, alpha] = bounds
            if smooth:
                self.alpha = alpha
                if alpha > 2 and alpha != int(alpha):
                    self._tried.append(int(alpha))  # better on coarse meshes
                return
        self.alpha = 1
        self._refuse_order()

    def _enclosed_norms(self, grid, alpha):
        living = self.atlas.living(grid.boxes)
        return enclosed_norms(self.atlas, self.target.expression, grid, alpha, living)

    def _estimate_smoothness(self):
        points, step = lines(self.dim)
        inside = (points**2).sum(2) < 1 / 4
        found = np.full((len(self.atlas), *inside.shape), np.nan)
        for i, values in enumerate(found):
            values[inside] = self.target.values(self.atlas.inverse(i, points[inside]))
        size = np.nanmax(np.abs(found))
        for values in found:
            while not smooth_along_lines(values, step, int(self.alpha), size):
                self.alpha -= 1
                self._refuse_order()
        self._tried = [self.alpha]

    def _chart_norms(self, grid, alpha):
        """Bounds (or estimates) of derivatives over the boxes of a grid: dict from multi-index to
        arrays (A, ...).
        """
        key = grid.boxes, grid.window, alpha
        if key not in self._norms:
            if self.enclosed:
                found, _ = self._enclosed_norms(grid, alpha)
            else:
                charts = range(len(self.atlas))
                found = estimated_norms(
                    self.atlas, self.target.values, grid, int(alpha), charts, self._steps
                )
            self._norms[key] = found
        return self._norms[key]

    @property
    def derivative_bounds(self) -> dict[tuple[float, ...], float]:
        """The largest bound of each derivative over all charts, in units of the ball's diameter."""
        norms = next((n for key, n in self._norms.items() if key[2] == self.alpha), None)
        if norms is None:
            norms = self._chart_norms(self._grid(self.minimum_cells), self.alpha)
        return {nu: float(array.max()) for nu, array in norms.items()}

    # ---- sizes

    def mesh_slope(self, cells: int) -> float:
        """Mesh units a unit of length: ``N / (2 r_1)``."""
        return cells / (2 * self.atlas.chart_radius)

    @property
    def localisation(self) -> Localisation:
        """What the partition costs (``lem-partition-net``, ``lem-partition-slope``)."""
        atlas = self.atlas
        dim = atlas.ambient_dim
        rows = 4 * (3 * dim + 8) + 3 * atlas.refinement + 12  # roundings a row, of numbers up to 4
        beta = 1 / (atlas.chart_radius**2 - atlas.inner)
        return Localisation(atlas.overlap, atlas.lipschitz, UNIT * beta * dim * rows)

    def mesh_rounding(self, charts: list[Chart], cells: int) -> float:
        """What the mesh coordinates may be off, in mesh units and units of roundoff.

        They are sums of ``D`` products, ``D`` biases that keep partial sums from being negative, of
        the size of the products, and two more numbers; doublings are exact.
        """
        largest = max(float((np.abs(c.matrix).sum(1) + np.abs(c.offset)).max()) for c in charts)
        return 3 * (2 * self.domain.ambient_dim + 6) * largest

    def count_terms(self, cells: int) -> int:
        """``T``: all charts together."""
        return sum(len(terms) for terms in self.indices(cells))

    def indices(self, cells: int) -> list[Int[np.ndarray, "_ d"]]:
        """The terms of each chart, in their order: int64 arrays (T_i, d)."""
        return [terms_over(mask, self.order) for mask in self.atlas.living(cells)]

    factors = renamed("factors", "breakdown")
    terms = renamed("terms", "count_terms")

    # ---- the bound of the splines

    def _grid(self, cells):
        """Boxes for a mesh: samples allow smaller ones than enclosures do."""
        return Grid.of(self.dim, self.order, cells, None if self.enclosed else self._steps // 2)

    def chart_errors(self, cells: int) -> Jackson:
        """``h^alpha J_0(g_i)`` and ``h^{alpha-1} J_1(g_i)``, the largest over all charts, in the
        coordinates of charts (``lem-local-jackson``); the slope is the Euclidean length of the
        partials.
        """
        if cells not in self._errors:
            grid = self._grid(cells)
            living = self.atlas.living(grid.boxes)
            value, partials = np.full(1, np.inf), np.full((self.dim, 1), np.inf)
            for alpha in self._tried:
                norms = self._chart_norms(grid, alpha).items()
                local = {nu: grid.nearby(array, living, nu) for nu, array in norms}
                known = np.logical_and.reduce([np.isfinite(array) for array in local.values()])
                where_known = {nu: np.where(known, array, 0.0) for nu, array in local.items()}
                found = jackson_bound(self.order, cells, alpha, where_known, interior=True)
                value = np.minimum(value, np.where(known, found.value, np.inf))
                here = [np.where(known, partial, np.inf) for partial in found.partials]
                partials = np.minimum(partials, np.stack(here))
            length = np.linalg.norm(partials, axis=0)
            largest = tuple(map(float, np.max(partials, axis=1)))
            self._errors[cells] = Jackson(float(np.max(value)), float(np.max(length)), largest)
        return self._errors[cells]

    def spline_error(self, cells: int) -> Norms:
        """``sum_i rho_i (g_i - Q g_i) o phi_i`` in value and tangential slope (``thm-manifold``):
        a maximum over the charts, and in the slope ``Lambda`` times the value beside it.
        """
        error = self.chart_errors(cells)
        slope = error.slope / (2 * self.atlas.chart_radius)
        return Norms(error.value, slope + self.atlas.lipschitz * error.value)

    def breakdown(self, cells: int) -> dict[str, float]:
        """The numbers of which the spline part is made, by name; their meaning is in the book,
        after ``thm-manifold``.
        """
        error = self.chart_errors(cells)
        size, steepness = self._seen
        return {
            "h": 1 / cells,
            "alpha": self.alpha,
            "charts": len(self.atlas),
            "chart scale b": 1 / (2 * self.atlas.chart_radius),
            "largest derivative": max(self.derivative_bounds.values()),
            "largest chart error": error.value,
            "largest chart slope": error.slope / (2 * self.atlas.chart_radius),
            "overlap A": self.atlas.overlap,
            "Lambda": self.atlas.lipschitz,
            "sup |f| seen": size,
            "sup |grad f| seen": steepness,
        }

    @property
    def _seen(self):
        """The largest value and slope of the target at sampled points."""
        if "_size" not in self.__dict__:
            x = self.domain.sample(_SUPREMA, 1)
            values, gradients = self.target.value_and_gradient(x)
            self._size = (float(values.abs().max()), float(self.domain.slope(x, gradients).max()))
        return self._size

    # ---- the network

    def _functionals(self, cells):
        """For each chart its terms, the nodes of their functionals in its coordinates, and how
        coefficients come from values at the nodes: indices (T_i, d), ``y`` (n_i, d), places (T_i,
        K) among them; and weights (K,).
        """
        order, dim = self.order, self.dim
        nodes, weights = functional(order, 4 * order, 0)
        unit = int(np.lcm.reduce([t.denominator for t in nodes]))
        steps = np.array([int(t * unit) for t in nodes])
        grids = np.meshgrid(*[steps] * dim, indexing="ij")
        offsets = np.stack(grids, axis=-1).reshape(-1, dim)
        weight = np.array(weights, float)
        product = weight
        for _ in range(dim - 1):
            product = np.multiply.outer(product, weight)
        # integers, in units of 1 / unit mesh cells; the smallest is made 0
        low = (1 - order) * unit + int(steps.min())
        shape = ((cells + 2 * order) * unit + 1,) * dim
        found = []
        for indices in self.indices(cells):
            place = indices[:, None] * unit + offsets - low
            flat = np.ravel_multi_index(tuple(np.moveaxis(place, -1, 0)), shape)
            distinct, where = np.unique(flat, return_inverse=True)
            nodes_at = np.stack(np.unravel_index(distinct, shape), axis=1) + low
            found.append((indices, nodes_at / (unit * cells) - 0.5, where.reshape(flat.shape)))
        return found, product.reshape(-1)

    def charts(self, cells: int) -> list[Chart]:
        """The charts with their coefficients ``lambda_j(g_i)``, ``g_i = f o phi_i^{-1}``."""
        functionals, weights = self._functionals(cells)
        atlas = self.atlas
        charts = []
        for i, (indices, y, where) in enumerate(functionals):
            values = np.concatenate(
                [
                    self.target.values(atlas.inverse(i, y[k : k + _CHUNK]))
                    for k in range(0, len(y), _CHUNK)
                ]
            )
            require(
                bool(np.isfinite(values).all()), "target", "values that are not finite", "finite"
            )
            matrix, offset = atlas.mesh(i, cells)
            coefficients = values[where] @ weights
            charts.append(
                Chart(matrix, offset, cells, indices, coefficients, atlas.partition_function(i))
            )
        return charts

    def coefficient_error(self, charts: list[Chart], cells: int) -> tuple[float, bool]:
        """``max_j |lambda_j(g_i) - c_j|`` and whether it is proved (``prop-rounding``): for a
        formula an enclosure, otherwise, and where that would take more than `MAXIMUM_EVALUATIONS`
        of a function, an allowance.
        """
        expression = self.target.expression
        functionals, weights = self._functionals(cells)
        count = sum(len(y) for _, y, _ in functionals)
        allowed = max(allowance(self.order, self.dim, c.coefficients) for c in charts)
        if expression is None or evaluations(expression, 1) * count > MAXIMUM_EVALUATIONS:
            return allowed, False
        values = self._values_near([y for _, y, _ in functionals])
        if not np.isfinite(values.rad).all():
            return allowed, False
        worst = 0.0
        operations = weights.size + 8
        ends = np.cumsum([len(y) for _, y, _ in functionals])[:-1]
        parts = zip(np.split(values.mid, ends), np.split(values.rad, ends))
        for (mid, rad), chart, (_, _, where) in zip(parts, charts, functionals):
            size = (np.abs(mid) + rad)[where] @ np.abs(weights)
            off = np.abs(mid[where] @ weights - chart.coefficients)
            radius = rad[where] @ np.abs(weights)
            error = up(off + radius + operations * UNIT * size, operations)
            worst = max(worst, float(error.max()))
        return worst, self.domain.reach_proved

    def _values_near(self, y: Sequence[Float64[np.ndarray, "P d"]]) -> Balls:
        """``f`` at the points with these coordinates in the charts, one after the other: balls."""
        atlas = self.atlas
        number = np.repeat(np.arange(len(atlas)), [len(part) for part in y])
        t = 2 * atlas.chart_radius * np.concatenate(y).T
        found = []
        for k in range(0, len(number), _CHUNK):
            part = slice(k, k + _CHUNK)
            mine = number[part]
            along = [
                Taylor(Balls(u[None], 8 * UNIT * np.abs(u[None])), self.dim, 0) for u in t[:, part]
            ]
            x = atlas.manifold.expansion(atlas.centres[mine], atlas.frames[mine], along)
            symbols = variables(atlas.ambient_dim)
            found.append(expand(self.target.expression, dict(zip(symbols, x))).coefficients[0])
        return Balls(np.concatenate([f.mid for f in found]), np.concatenate([f.rad for f in found]))
