"""A target on a manifold as a sum of targets in charts (book: ``thm-manifold``)."""

from collections.abc import Callable
from typing import Any

import numpy as np
from torch import Tensor

from lib.convresnet import Chart
from lib.errors import require
from lib.manifolds._cells import inset, living_terms
from lib.manifolds._norms import (
    GRID,
    ball_grid,
    derivative_norms,
    differences,
    largest_nearby,
    lines,
    samples,
    smooth_along_lines,
)
from lib.norms import Norms, renamed
from lib.splines import QuasiInterpolant, allowance, jackson_bound
from lib.targets import Target

_LAYERS = 200  # more than those in which a mesh coordinate is gathered and doubled


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
        "left out on a manifold, where norms are sampled in the charts: lib.Target(function,"
        " dim=..)",
    )
    target.check_slopes(manifold)
    return target


class ManifoldProblem:
    """A target on a manifold: what Theorem B needs to know (see `lib.approximation.approximate`;
    book: ``thm-manifold``).

    Attributes
    ----------
    atlas : Atlas
    alpha : int
        The smoothness that is used: the largest order below the exponent of the bumps, whose
        derivatives of that order are then continuous, for which those of ``f`` look bounded along
        lines in every chart (`smooth_along_lines`).
    norms : list of dict
        For each chart *estimates* of the suprema of derivatives of ``f_i = f rho_i`` in its
        coordinates: the largest divided difference over one step, plus its distance from the
        largest one over two. They may lie below, so what rests on them, the a priori bound too, is
        an estimate.
    maximum_cells : int
        The grid of the samples: a finer mesh would see what they do not.
    slope_factor : float
        ``sqrt(d)``: from the largest partial derivative in a chart to the length of the gradient.

    Raises
    ------
    InputError
        For charts that are not injective, bumps of an exponent below 3, or too few cells.
    """

    reach: float | None
    maximum_cells: float

    def __init__(self, target: Target, atlas: Any, order: int, cells: int | None = None) -> None:
        domain = atlas.manifold
        self.atlas = atlas
        self.domain = domain
        self.target = target
        self.order = order
        require(self.atlas.distortion > 0, "atlas", self.atlas, "of injective charts")
        self.dim, self.reach = self.atlas.dim, self.domain.reach
        self.minimum_cells = self.atlas.smallest_mesh(order)
        require(
            cells is None or cells >= self.minimum_cells,
            "cells",
            cells,
            f"at least N_0 = {self.minimum_cells}: with fewer, terms are alive where a gate is half"
            " open",
        )
        self.slope_factor = self.dim**0.5
        self.grid = self.maximum_cells = max(GRID.get(self.dim, 16), 2 * ((cells or 0) // 2 + 1))
        self._pad = 2 * ((order + 1) // 2)
        axis, inside = ball_grid(self.dim, self.grid, self._pad)
        self._values = [
            samples(self.atlas, i, target.values, axis, inside) for i in range(len(self.atlas))
        ]
        require(
            self.atlas.exponent >= 3,
            "atlas",
            self.atlas,
            "with bumps of an exponent of 3 at least: one more than alpha",
        )
        self.alpha = self._smoothness(min(order, self.atlas.exponent - 1))
        norms = [derivative_norms(v, self.grid, self.alpha) for v in self._values]
        self.norms = [
            {k: fine + abs(fine - coarse) for k, (fine, coarse) in n.items()} for n in norms
        ]
        self.derivative_bounds = {k: max(n[k] for n in self.norms) for k in self.norms[0]}
        self._errors: dict[int, Norms] = {}

    def _smoothness(self, alpha):
        points, step = lines(self.dim)
        inside = (points**2).sum(2) < 1 / 4
        found = np.full((len(self.atlas), *inside.shape), np.nan)
        for i, values in enumerate(found):
            values[inside] = self.target.values(self.atlas.inverse(i, points[inside]))
        size = np.nanmax(np.abs(found))
        for values in found:
            while not smooth_along_lines(values, step, alpha, size):
                alpha -= 1
                require(
                    alpha >= 2,
                    "target",
                    self.target.formula or self.target.function,
                    "a function on the manifold with bounded derivatives of order 2 at least;"
                    " divided differences grow",
                )
        return alpha

    def mesh_slope(self, cells: int) -> float:
        """Mesh units a unit of length: ``N / (2 r_1)``."""
        return cells / (2 * self.atlas.bump_radius)

    def overlap(self, cells: int) -> int:
        """``A``: the largest number of charts whose terms are alive at a point, bounded from
        above.
        """
        return int(
            self.atlas.largest_sum(
                np.ones(len(self.atlas)), self.atlas.living_radius(self.order, cells)
            )
        )

    def mesh_rounding(self, charts: list[Chart], cells: int) -> float:
        """What the mesh coordinates may be off, in mesh units and units of roundoff
        (``cor-certified-curve``).
        """
        largest = max(float((np.abs(c.matrix).sum(1) + np.abs(c.offset)).max()) for c in charts)
        return 4 * (self.domain.ambient_dim + _LAYERS) * largest

    def coefficient_error(self, charts: list[Chart], cells: int) -> tuple[float, bool]:
        """``max_j |lambda_j(f_i) - c_j|``, an allowance, and that nothing is proved: norms are
        sampled.
        """
        return max(allowance(self.order, self.dim, c.coefficients) for c in charts), False

    def spline_error(self, cells: int) -> Norms:
        """Estimates of the error of the splines: value and length of the tangential gradient.

        The error of chart ``i`` at a point depends on the derivatives of ``f_i`` within ``m -
        delta`` cells; bounds with their estimates are summed over the charts at each point of the
        atlas' net, whose radius is added to the neighbourhoods.
        """
        if cells not in self._errors:
            atlas = self.atlas
            total = np.zeros((2, len(self.atlas.net)))
            width = self.grid * (
                (self.order - inset(self.order)) / cells
                + atlas.net_radius / (2 * atlas.bump_radius)
            )
            for i, points in enumerate(atlas.meeting(atlas.living_radius(self.order, cells))):
                y = (
                    (atlas.net[points] - atlas.centres[i])
                    @ atlas.frames[i]
                    / (2 * atlas.bump_radius)
                )
                places = self.grid * (y + 1 / 2) + self._pad
                found = differences(self._values[i], 1 / self.grid, self.alpha)
                local = {}
                for k, array in found.items():
                    nearby = largest_nearby(array, places - np.array(k) / 2, width + self.alpha / 2)
                    local[k] = nearby * (self.norms[i][k] / array.max() if array.max() > 0 else 1)
                error = jackson_bound(self.order, cells, self.alpha, local, interior=True)
                total[0, points] += error.value
                total[1, points] += np.linalg.norm(np.stack(error.partials), axis=0)
            self._errors[cells] = Norms(
                float(total[0].max()), float(total[1].max()) / (2 * atlas.bump_radius)
            )
        return self._errors[cells]

    def breakdown(self, cells: int) -> dict[str, float]:
        """The numbers of which the spline part is made, by name; their meaning is in the book,
        after ``thm-manifold``.

        ``overlap A`` times ``largest chart error`` times ``locality`` is the spline part of the
        value.
        """
        worst = max(
            jackson_bound(self.order, cells, self.alpha, n, interior=True).value for n in self.norms
        )
        overlap = self.overlap(cells)
        return {
            "h": 1 / cells,
            "alpha": self.alpha,
            "charts": len(self.atlas),
            "chart scale b": 1 / (2 * self.atlas.bump_radius),
            "largest derivative": max(self.derivative_bounds.values()),
            "largest chart error": worst,
            "overlap A": overlap,
            "locality": self.spline_error(cells).value / (overlap * worst) if worst else 1.0,
        }

    def count_terms(self, cells: int) -> int:
        """``T``: all charts together."""
        return len(self.atlas) * len(living_terms(self.dim, self.order, cells))

    factors = renamed("factors", "breakdown")
    terms = renamed("terms", "count_terms")

    def charts(self, cells: int) -> list[Chart]:
        """The charts with their coefficients ``lambda_j(f_i)``."""
        quasi = QuasiInterpolant(self.order, cells + 2 * self.order)
        axis = (quasi.nodes * quasi.cells - quasi.cells / 2) / cells
        inside = np.sum(np.meshgrid(*[axis**2] * self.dim, indexing="ij"), axis=0) < 1 / 4
        indices = living_terms(self.dim, self.order, cells)
        place = tuple(indices.T + self.order - 1)
        charts = []
        for i in range(len(self.atlas)):
            coefficients = quasi.coefficients_from_samples(
                samples(self.atlas, i, self.target.values, axis, inside)
            )
            matrix, offset, edge = self.atlas.mesh(i, self.order, cells)
            charts.append(
                Chart(matrix, offset, edge, indices, coefficients[place], self.atlas.gate(i))
            )
        return charts
