"""From bounds in charts to bounds on a manifold, near every point of a net (book:
``cor-certified-manifold``).
"""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float64, Int

from lib.manifolds._living import cells_around

_STORED = 2.0**-40  # relative: more than all roundings here


class Near(NamedTuple):
    """What one chart has to do with a net.

    Attributes
    ----------
    points : int array (n,)
        The points of the net near which its partition function may be positive.
    largest : float array (n,)
        Upper bounds of ``w_i`` there.
    least : float array (n,)
        Lower bounds of ``w_i``.
    slope : float array (n,)
        Upper bounds of ``|grad w_i|``.
    sure : bool array (n,)
        Where ``w_i > 0`` for sure.
    cells : int array (n, K)
        The cells of its mesh, in one index, that points near those of the net may be in.
    """

    points: Int[np.ndarray, " n"]
    largest: Float64[np.ndarray, " n"]
    least: Float64[np.ndarray, " n"]
    slope: Float64[np.ndarray, " n"]
    sure: Bool[np.ndarray, " n"]
    cells: Int[np.ndarray, "n K"]


class Together:
    """The bounds of all charts, put together.

    Parameters
    ----------
    atlas : Atlas
    cells : int
        ``N``.
    """

    def __init__(self, atlas: Any, cells: int) -> None:
        self.atlas = atlas
        self.cells = cells
        self.net, self.radius = atlas.fine_net
        self.beta = 1 / (atlas.chart_radius**2 - atlas.inner)
        self.rough = self.beta * atlas.ambient_dim**0.5 * 2.0**-atlas.refinement
        self.charts = [self._near(i) for i in range(len(atlas))]

    def _near(self, i):
        atlas, radius = self.atlas, self.radius
        points, distance = atlas.near_net(i)
        far = distance + radius
        squares = atlas.ambient_dim * 4.0 ** (-atlas.refinement - 1)
        outer = atlas.chart_radius**2
        return Near(
            points,
            np.minimum(self.beta * np.maximum(outer - np.maximum(distance - radius, 0) ** 2, 0), 1),
            self.beta * np.maximum(outer - far**2 - squares, 0),
            2 * self.beta * np.minimum(far, atlas.chart_radius) + self.rough,
            far < atlas.chart_radius,
            cells_around(atlas, i, points, self.cells),
        )

    def bounds(
        self, value: Float64[np.ndarray, "A C"], slope: Float64[np.ndarray, "A C"]
    ) -> tuple[Float64[np.ndarray, " P"], Float64[np.ndarray, " P"]]:
        """Upper bounds of ``|sum_i rho_i e_i|`` and of its tangential gradient near each point of
        the net.

        Parameters
        ----------
        value, slope : float arrays, shape (A, N^d)
            Bounds of ``|e_i|`` and of the length of its gradient over the cells of each chart.

        Returns
        -------
        value, slope : float arrays (P,)
            The ``rho_i`` add up to 1, and none exceeds what ``w_i`` may be; and ``sum_i |grad
            rho_i| |e_i|`` is bounded as `Atlas.lipschitz` is, with the ``|e_i|`` as weights.
        """
        count = len(self.net)
        surely, before, others, weighted, steepest = np.zeros((5, count))
        sums = np.zeros(self.net.shape)
        rows: list[tuple] = []
        for chart, c, v, s in zip(range(len(self.charts)), self.charts, value, slope):
            keep = surely[c.points] < 1
            p = c.points[keep]
            here = v[c.cells[keep]].max(1)
            rows.append((p, c.largest[keep], here, s[c.cells[keep]].max(1)))
            steep = c.slope[keep]
            together = 2 * self.beta * np.linalg.norm(sums[p], axis=1) + others[p]
            mine = np.maximum(steep, np.minimum(before[p], together))
            steepest[p] = np.maximum(steepest[p], weighted[p] + mine * here)
            weighted[p] += steep * here
            before[p] += steep
            sure = c.sure[keep]
            sums[p[sure]] += self.net[p[sure]] - self.atlas.centres[chart]
            others[p] += np.where(sure, 2 * self.beta * self.radius + self.rough, steep)
            surely[p] += c.least[keep]
        shares = [self._averaged(rows, k) for k in (2, 3)]
        return shares[0] * (1 + _STORED), (shares[1] + steepest) * (1 + _STORED)

    def _averaged(self, rows, column):
        """The largest ``sum_i rho_i b_i`` for ``0 <= rho_i <= largest_i`` that add up to 1."""
        points = np.concatenate([r[0] for r in rows])
        caps = np.concatenate([r[1] for r in rows])
        bounds = np.concatenate([r[column] for r in rows])
        order = np.lexsort((-bounds, points))
        points, caps, bounds = points[order], caps[order], bounds[order]
        starts = np.flatnonzero(np.diff(points, prepend=-1))
        place = np.arange(len(points)) - np.repeat(starts, np.diff(np.append(starts, len(points))))
        shape = (len(self.net), int(place.max()) + 1)
        cap, bound = np.zeros(shape), np.zeros(shape)
        cap[points, place], bound[points, place] = caps, bounds
        left = np.maximum(1 - np.cumsum(cap, axis=1) + cap, 0)
        take = np.minimum(cap, left)
        with np.errstate(invalid="ignore"):
            return np.where(take > 0, take * bound, 0).sum(1)

    def cells_near(self, points: Bool[np.ndarray, " P"]) -> Bool[np.ndarray, "A C"]:
        """The cells of all charts that count near some points of the net."""
        found = np.zeros((len(self.charts), self.cells**self.atlas.dim), bool)
        for row, c in zip(found, self.charts):
            row[c.cells[points[c.points]].reshape(-1)] = True
        return found
