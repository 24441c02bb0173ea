"""The domain of a certificate on a whole manifold: the balls of all its charts (book:
``cor-certified-manifold``).
"""

from functools import cached_property
from typing import Any

import numpy as np
from flint import arb
from jaxtyping import Bool, Float64, Int

from lib.convresnet import Chart
from lib.domains import Boxes, Local, Localisation, box_variables
from lib.errors import require
from lib.intervals import Balls, Taylor, up
from lib.manifolds._atlas import Atlas
from lib.manifolds._together import Together

# relative: of the mesh coordinates that biases add up to, of the radii and slopes of a partition
# whose weights are rounded; far more than the roundings, far less than what is claimed
_STORED = 2.0**-40
_EXACT = 2.0**-18  # of a box of so large a radius the distance from the middle, squared, is exact


class ChartsPatch:
    """A manifold by the mesh coordinates ``u`` in its charts, one chart after the other.

    Book: ``cor-certified-manifold``.  The first parameter is ``i N + u_1``, ``i`` the number of the
    chart, the others are ``u_2, .., u_d``; boxes count where they meet the ball of the chart, ``|u
    - N/2| < N/2``, in a cell in which its function of the partition may be positive.

    Parameters
    ----------
    manifold : Manifold
    charts : list of lib.convresnet.Chart
        Those of an atlas, in its order.
    cells : int
        ``N``.

    Raises
    ------
    InputError
        If the charts are not those of the atlas with their centres, or do not cover.
    """

    def __init__(self, manifold: Any, charts: list[Chart], cells: int) -> None:
        self.manifold = manifold
        self.cells = cells
        self.dim = manifold.dim
        self.atlas = _atlas_of(manifold, charts, cells)
        self.roots = (len(charts) * cells, *[cells] * (self.dim - 1))
        self.localisation: Localisation | None = Localisation(
            self.atlas.overlap, self.atlas.lipschitz, 0.0
        )
        # mesh units a unit of length, from the largest partial derivative to a gradient
        self.steepness = self.dim**0.5 * cells / (2 * self.atlas.chart_radius)

    def describe(self) -> str:
        return (
            f"{self.manifold.name} in dimension {self.manifold.ambient_dim}, {len(self.atlas)}"
            f" charts of {self.cells} cells"
        )

    def numbers(self) -> list:
        """What tells it from every other domain of its kind (`lib.certify._digest.digest`)."""
        return [self.cells, len(self.atlas), self.manifold.reach, *self.manifold.numbers()]

    def _number(self, boxes):
        return np.floor(boxes.middle[:, 0] / self.cells).astype(int)

    def _centred(self, s, number):
        """``u - N/2`` for parameters (P, d): exact."""
        u = np.array(s, float)
        u[:, 0] -= number * self.cells
        return u - self.cells / 2

    @cached_property
    def together(self) -> Together:
        """How bounds in the charts make bounds on the manifold."""
        return Together(self.atlas, self.cells)

    def in_cells(
        self, level: Int[np.ndarray, " B"], index: Int[np.ndarray, "B p"], bounds: Any
    ) -> Float64[np.ndarray, "A C"]:
        """The largest bound (B,) of the boxes of each cell of each chart: (A, N^d)."""
        found = np.zeros((len(self.atlas), self.cells**self.dim))
        np.maximum.at(found, self.cells_of(level, index), bounds)
        return found

    def cells_of(
        self, level: Int[np.ndarray, " B"], index: Int[np.ndarray, "B p"]
    ) -> tuple[Int[np.ndarray, " B"], Int[np.ndarray, " B"]]:
        """The chart and the cell, in one index, of each box."""
        cell = index >> level[:, None]
        number = cell[:, 0] // self.cells
        cell[:, 0] -= number * self.cells
        return number, np.ravel_multi_index(tuple(cell.T), (self.cells,) * self.dim)

    def counts(self, boxes: Boxes) -> Bool[np.ndarray, " P"]:
        """Which boxes meet the ball of their chart, in a living cell."""
        number = self._number(boxes)
        middle = self._centred(boxes.middle, number) + self.cells / 2
        cell = np.clip(np.floor(middle), 0, self.cells - 1).astype(int)
        living = self.atlas.living(self.cells)[(number, *cell.T)]
        gap = np.abs(self._centred(boxes.middle, number)) - boxes.radius[:, None]
        # squares of so few bits are exact; a cell that only touches the ball has not all its terms
        slack = np.where(boxes.radius < _EXACT, _STORED, 0.0)
        return living & ((np.maximum(gap, 0) ** 2).sum(1) < self.cells**2 / 4 * (1 + slack))

    def contains(self, s: Float64[np.ndarray, "P p"]) -> Bool[np.ndarray, " P"]:
        """Which parameters lie in the ball of their chart."""
        number = np.clip(np.floor(s[:, 0] / self.cells), 0, len(self.atlas) - 1).astype(int)
        return (self._centred(s, number) ** 2).sum(1) <= self.cells**2 / 4

    def boxes_of(self, chart: int, local: Local) -> Int[np.ndarray, " P"]:
        """The boxes that belong to a chart: their rows."""
        return np.flatnonzero(self._number(local.boxes) == chart)

    def local(self, boxes: Boxes, order: int) -> Local:
        number = self._number(boxes)
        shift = number * float(self.cells)
        moved = Boxes(
            boxes.middle - np.pad(shift[:, None], [(0, 0), (0, self.dim - 1)]), boxes.radius
        )
        found, own = [], []
        for over in (False, True):
            u = box_variables(moved, order, over)
            own.append(u)
            found.append(self.expansion(number, u))
        at, over_boxes = found
        return Local(boxes, at, over_boxes, tuple(own))

    def expansion(self, number: Int[np.ndarray, " P"], u: list[Taylor]) -> list[Taylor]:
        """The points with mesh coordinates ``u`` in charts with these numbers: D expansions.

        The map of a chart is that of the stored weights, ``matrix x + offset`` up to what its
        biases add up to.
        """
        unit, columns, middles, slack = self.maps()
        t = [(v + Balls(-middles[number, k], slack[number, k])) * unit for k, v in enumerate(u)]
        return self.manifold.expansion(self.atlas.centres[number], columns[number], t)

    def maps(
        self,
    ) -> tuple[
        float, Float64[np.ndarray, "A D d"], Float64[np.ndarray, "A d"], Float64[np.ndarray, "A d"]
    ]:
        """A power of two ``s``, the matrices ``s matrix^T`` (A, D, d), and the mesh coordinates of
        the centres with what they may be off, (A, d) each.
        """
        if "_known_maps" not in self.__dict__:
            unit = 2.0 ** -round(np.log2(self.cells / (2 * self.atlas.chart_radius)))
            maps = [self.atlas.mesh(i, self.cells) for i in range(len(self.atlas))]
            columns = np.stack([unit * matrix.T for matrix, _ in maps])
            middles = np.stack(
                [matrix @ c + offset for (matrix, offset), c in zip(maps, self.atlas.centres)]
            )
            slack = np.stack(
                [
                    _STORED * (np.abs(matrix) @ np.abs(c) + np.abs(offset))
                    for (matrix, offset), c in zip(maps, self.atlas.centres)
                ]
            )
            self._known_maps = unit, columns, middles, slack
        return self._known_maps

    def mesh(self, local: Local, chart: Any) -> tuple:
        """The mesh coordinates of the chart of a box: expansions, and the ends (P, d) of their
        ranges, exact.
        """
        at, over = local.own
        middle = self._centred(local.boxes.middle, self._number(local.boxes)) + self.cells / 2
        radius = local.boxes.radius[:, None]
        return at, over, middle - radius, middle + radius

    def slope(self, local: Local, sizes: Float64[np.ndarray, "p P"]) -> Float64[np.ndarray, " P"]:
        """Upper bounds of the tangential gradient of what one chart contributes, from the
        derivatives along its mesh coordinates.
        """
        length = np.sqrt(up((sizes**2).sum(0), self.dim))
        return up(length * (self.cells / (2 * self.atlas.chart_radius)) * (1 + _STORED))

    def points(self, s: Float64[np.ndarray, "P p"]) -> Float64[np.ndarray, "P D"]:
        """Points for parameters (P, d), in float64: (P, D)."""
        number = np.clip(np.floor(s[:, 0] / self.cells), 0, len(self.atlas) - 1).astype(int)
        y = self._centred(s, number) / self.cells
        farthest = 0.99 * self.manifold.reach / (2 * self.atlas.chart_radius)
        found = np.empty((len(s), self.manifold.ambient_dim))
        for i in np.unique(number):
            mine = number == i
            # corners of wide boxes at the rim may lie where the chart cannot be inverted
            length = np.maximum(np.linalg.norm(y[mine], axis=1, keepdims=True), 1e-300)
            found[mine] = self.atlas.inverse(i, y[mine] * np.minimum(1, farthest / length))
        return found

    def point(self, s: Float64[np.ndarray, " p"]) -> list[arb]:
        """The point for parameters (d,), in balls."""
        number = int(np.clip(np.floor(s[0] / self.cells), 0, len(self.atlas) - 1))
        return self._place(number, [arb(float(v)) for v in self._centred(s[None], number)[0]])

    def _place(self, number, centred):
        unit, columns, *_ = self.maps()
        t = [arb(unit) * v for v in centred]
        return self.manifold.chart_point(self.atlas.centres[number], columns[number], t)

    def neighbour(
        self,
        s: Float64[np.ndarray, " p"],
        x: list[arb],
        direction: Float64[np.ndarray, " D"],
        step: arb,
    ) -> tuple[list[arb], arb]:
        """A point of the manifold in a direction, and an upper bound of the length of a path to it
        (``lem-geodesic``).
        """
        number = int(np.clip(np.floor(s[0] / self.cells), 0, len(self.atlas) - 1))
        along = self.maps()[1][number].T @ direction
        along = along / max(np.abs(along).max(), 1e-300)
        centred = self._centred(s[None], number)[0]
        y = self._place(number, [arb(float(v)) + step * float(a) for v, a in zip(centred, along)])
        chord = sum(((a - b) ** 2 for a, b in zip(x, y)), arb(0)).sqrt()
        twice = 2 * arb(float(self.manifold.reach))
        return y, twice * (chord / twice).asin()


def _atlas_of(manifold, charts, cells):
    """The atlas whose charts these are, bit by bit."""
    first = charts[0].partition
    known = all(c.partition is not None for c in charts)
    require(known, "charts", "one without", "with a partition of unity")
    centres = np.stack([c.partition.centre for c in charts])
    atlas = Atlas(manifold, first.inner**0.5, first.outer**0.5, centres)
    squares = manifold.ambient_dim * 4.0 ** (-first.refinement - 1)
    require(
        atlas.cover_radius**2 + squares < first.inner * (1 - _STORED),
        "charts",
        f"cover radius {atlas.cover_radius:.6g}",
        f"nearer to all points of the manifold than {(first.inner - squares) ** 0.5:.6g}",
    )
    atlas.inner, atlas.refinement = first.inner, first.refinement
    for i, chart in enumerate(charts):
        p = chart.partition
        matrix, offset = atlas.mesh(i, cells)
        same = (
            chart.cells == cells
            and np.array_equal(chart.matrix, matrix)
            and np.array_equal(chart.offset, offset)
            and np.array_equal(p.earlier, centres[atlas.earlier[i]])
            and (p.inner, p.outer, p.refinement) == (first.inner, first.outer, first.refinement)
        )
        require(same, "charts", f"number {i}", "those of the atlas with these centres and radii")
    return atlas
