"""Atlases: charts that cover, and the partition of unity that is a network (book: ``lem-atlas``,
``lem-partition-net``).
"""

from collections.abc import Callable
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Bool, Float64, Int
from scipy.spatial import cKDTree
from torch import Tensor

from lib.convresnet import PartitionFunction
from lib.errors import positive, require
from lib.manifolds._cells import smallest_mesh
from lib.manifolds._geometry import OFF, Geometry
from lib.manifolds._living import living_cells
from lib.manifolds._problem import ManifoldProblem, target_on
from lib.targets import Target

MAXIMUM_CHARTS = 5000
_NET = 1 / 12  # radius of the certificate's net, in units of the reach
# ... and of the one on which the partition is looked at
_FINE = {1: 1 / 96, 2: 1 / 64, 3: 1 / 24}
_LOOKED = 20_000  # points of the net, at random, at which the reach is checked
_CHECKED = 150  # points of a chart between which injectivity is checked
# of the smallest slack of squared distances: what the network's squares may add to a distance
_SQUARES = 1 / 10
# relative, of r_0'^2: more than rounding, so that the functions add up to 1 in float64 too
_ROUNDING = 1e-9
# points nearer to each other than this, in units of the reach, are not compared: rounding
_NEAR = 1 / 50
_SLACK = 1e-4  # ... which leaves relative errors below this
_STEEP = 0.995  # of the reach: where projections of two points are compared


def _first_largest(values):
    """The first index of the largest value, or of one that is as large up to rounding: the same
    on every machine.
    """
    return int((values >= values.max() * (1 - 1e-9)).argmax())


def farthest_points(
    points: Float64[np.ndarray, "P D"], radius: float, limit: int = MAXIMUM_CHARTS
) -> tuple[Int[np.ndarray, " A"], Float64[np.ndarray, " A"]]:
    """Greedy centres among ``points`` (P, D) until all are within ``radius`` of one, or there are
    ``limit``.

    Returns
    -------
    indices : int64 array
    radii : float64 array
        ``radii[k]``: the largest distance of a point from the first ``k + 1`` centres.
    """
    norms = (points**2).sum(1)
    chosen = [_first_largest(((points - points.mean(0)) ** 2).sum(1))]
    radii = []
    distance = np.full(len(points), np.inf)
    while True:
        c = points[chosen[-1]]
        np.minimum(distance, norms - 2 * points @ c + c @ c, out=distance)
        farthest = _first_largest(distance)
        radii.append(float(np.linalg.norm(points[farthest] - points[chosen], axis=1).min()))
        if radii[-1] <= radius or len(chosen) == limit:
            return np.array(chosen), np.array(radii)
        chosen.append(farthest)


class Atlas:
    """Charts ``phi_i(x) = V_i^T (x - c_i) / (2 r_1)`` and the partition of unity ``rho_i`` in front
    of them.

    Book: ``lem-chart``, ``lem-atlas``, ``lem-partition-net``.  What is within ``r_1`` of a centre
    is in the ball of radius 1/2 of its chart.

    Parameters
    ----------
    manifold : Manifold
    cover_radius : float
        ``r_0``: every point of the manifold is at most so far from a centre (certified).
    chart_radius : float
        ``r_1 > r_0``: ``rho_i`` vanishes where ``|x - c_i| >= r_1``.
    centres : float64 array, shape (A, D), optional
        Points of the manifold to be used as centres, in this order; by default greedily chosen
        farthest points, ordered so that few earlier centres are near.

    Attributes
    ----------
    centres, frames : float64 arrays, shapes (A, D) and (A, D, d)
    cover_radius : float
        The certified one, at most what was asked for.
    net, net_radius : float64 array (P, D) and float
        What the certificate rests on: no point of the manifold is farther than the radius from the
        net.

    Raises
    ------
    InputError
        If the radii are not ``r_0 < r_1 < tau``, or given centres do not cover.
    """

    def __init__(
        self,
        manifold: Geometry,
        cover_radius: float,
        chart_radius: float,
        centres: Float64[np.ndarray, "A D"] | None = None,
    ) -> None:
        require(isinstance(manifold, Geometry), "manifold", manifold, "a manifold of lib.manifolds")
        self.manifold = manifold
        self.chart_radius = positive("chart_radius", chart_radius)
        tau = manifold.reach
        require(
            self.chart_radius < tau,
            "chart_radius",
            chart_radius,
            f"below the reach, {tau:.6g}: beyond, charts need not be injective",
        )
        require(
            positive("cover_radius", cover_radius) < chart_radius,
            "cover_radius",
            cover_radius,
            f"below the radius of the charts, {chart_radius:.6g}",
        )
        self.net, self.net_radius = certificate_net(manifold)
        require(
            self.net_radius < cover_radius,
            "cover_radius",
            cover_radius,
            f"above the radius of the net, {self.net_radius:.3g}",
        )
        if centres is None:
            chosen = farthest_points(self.net, cover_radius - self.net_radius)[0]
            centres = ordered(self.net[chosen], self.chart_radius)
        self.centres = np.asarray(centres, float)
        require(
            self.centres.ndim == 2
            and len(self.centres)
            and self.centres.shape[1] == manifold.ambient_dim,
            "centres",
            self.centres.shape,
            f"an array (A, {manifold.ambient_dim}), A at least 1",
        )
        require(
            manifold.distance(self.centres).max() <= OFF,
            "centres",
            f"{manifold.distance(self.centres).max():.2g} off",
            "points of the manifold",
        )
        self.tree = cKDTree(self.centres)
        self.cover_radius = float(self.tree.query(self.net)[0].max()) + self.net_radius
        require(
            self.cover_radius <= cover_radius * (1 + 1e-12),
            "centres",
            f"{len(self.centres)} points",
            f"a cover of radius {cover_radius:.6g}; certified is {self.cover_radius:.6g}",
        )
        self.frames = manifold.tangent_basis(self.centres)
        self._living: dict[int, np.ndarray] = {}

    def __len__(self) -> int:
        return len(self.centres)

    def __repr__(self) -> str:
        return (
            f"Atlas of {self.manifold.name}: {len(self)} charts, r_0={self.cover_radius:.4g}, "
            f"r_1={self.chart_radius:.4g}"
        )

    @property
    def dim(self) -> int:
        """``d``."""
        return self.manifold.dim

    @property
    def ambient_dim(self) -> int:
        """``D``."""
        return self.manifold.ambient_dim

    def problem(
        self, target: Target | Callable[[Tensor], Tensor], order: int, cells: int | None = None
    ) -> ManifoldProblem:
        """What Theorem B needs to know of a target on these charts; `ManifoldProblem`.

        Parameters
        ----------
        target : Target or callable
        order : int
            ``m``.
        cells : int, optional
            ``N``, if it is known.
        """
        return ManifoldProblem(target_on(target, self.manifold), self, order, cells)

    @property
    def separation(self) -> float:
        """The smallest distance between two centres."""
        return float(self.tree.query(self.centres, 2)[0][:, 1].min()) if len(self) > 1 else np.inf

    @cached_property
    def distortion(self) -> float:
        """The smallest ``|V_i^T (x - y)| / |x - y|`` found over pairs of net points of a chart (at
        most 150 points each).

        By ``lem-chart`` it is at least ``sqrt(1 - t^2 / tau^2)`` if both projections are at most
        ``t`` long, and the largest is ``tau sqrt(1 - theta^2)``: at least ``theta = 1/10``.  These
        bounds are compared pair by pair, and Federer's inequality (``lem-federer``) between each
        centre and up to 20 000 points of the net.  A violation shows that the reach which the
        manifold claims is too large.  What is checked are consequences at points, so a claim a few
        percent too large may pass; one that is 1.1 times too large or more is noticed, where
        curvature or the distance of two sheets sets the reach (tests: ellipse, ellipsoid, torus,
        two circles).

        Raises
        ------
        InputError
            At a violation.
        """
        tau, smallest = self.manifold.reach, np.inf
        net = np.random.default_rng(0).permutation(self.net)[:_LOOKED]
        for i, (centre, frame) in enumerate(zip(self.centres, self.frames)):
            flat = (net - centre) @ frame
            square = ((net - centre) ** 2).sum(1)
            self._obey_federer(flat, square)
            chart = np.nonzero((square < 2 * tau**2) & ((flat**2).sum(1) < (_STEEP * tau) ** 2))[0][
                :_CHECKED
            ]
            x, flat = net[chart], flat[chart]
            apart = np.linalg.norm(x[:, None] - x[None], axis=2)
            length = np.linalg.norm(flat, axis=1)
            pairs = apart > _NEAR * tau
            allowed = np.sqrt(1 - np.maximum(length[:, None], length[None])[pairs] ** 2 / tau**2)
            ratio = np.linalg.norm(flat[:, None] - flat[None], axis=2)[pairs] / apart[pairs]
            smallest, worst = (
                min(smallest, ratio.min(initial=np.inf)),
                (ratio / allowed).min(initial=np.inf),
            )
            require(
                worst >= 1 - _SLACK,
                "reach",
                tau,
                f"smaller: chart {i} of {self.manifold.name} folds or is too steep (the projections"
                f" of two of its points are {worst:.2g} times as far apart as that reach says at"
                " least)",
            )
        return float(smallest)

    def _obey_federer(self, flat, square):
        """Raise `InputError` if a point is farther off a tangent plane than the reach says.

        Parameters
        ----------
        flat, square : float64 arrays, shapes (P, d) and (P,)
            The projections of points, and the squares of their distances from the centre.
        """
        tau = self.manifold.reach
        far = square > (_NEAR * tau) ** 2
        off = np.sqrt(np.maximum(square - (flat**2).sum(1), 0))[far]
        quotient = (square[far] / (2 * np.maximum(off, 1e-300))).min(initial=np.inf)
        require(
            quotient >= tau * (1 - _SLACK),
            "reach",
            tau,
            f"at most {quotient:.6g}: that is Federer's quotient for a centre and a point of"
            f" {self.manifold.name}",
        )

    # ---- charts

    def inverse(self, i: int, y: Float64[np.ndarray, "P d"]) -> Float64[np.ndarray, "P D"]:
        """The points of the manifold with coordinates ``y`` (P, d), ``2 r_1 |y| < tau``, in chart
        ``i``; (P, D).
        """
        return self.manifold.inverse_chart(
            self.centres[i], self.frames[i], 2 * self.chart_radius * y
        )

    def mesh(
        self, i: int, cells: int
    ) -> tuple[Float64[np.ndarray, "d D"], Float64[np.ndarray, " d"]]:
        """The map to mesh units, ``u = N (phi_i + 1/2)``: matrix (d, D) and offset (d,)."""
        matrix = cells / (2 * self.chart_radius) * self.frames[i].T
        return matrix, cells / 2 - matrix @ self.centres[i]

    def smallest_mesh(self, order: int) -> int:
        """``N_0`` of these charts, the function `smallest_mesh`."""
        return smallest_mesh(self.manifold.reach, self.chart_radius, self.dim, order)

    # ---- partition of unity

    @cached_property
    def refinement(self) -> int:
        """``n_d``, the least for which ``D 4^{-n_d-1} <= (r_1^2 - r_0^2) / 10``."""
        n = 1
        while self.ambient_dim * 4.0 ** (-n - 1) > _SQUARES * self._slack:
            n += 1
        return n

    @property
    def _slack(self):
        return self.chart_radius**2 - self.cover_radius**2

    @cached_property
    def inner(self) -> float:
        """``r_0'^2 = r_0^2 + D 4^{-n_d-1}`` and a little for rounding (``lem-partition-net``)."""
        squares = self.ambient_dim * 4.0 ** (-self.refinement - 1)
        return self.cover_radius**2 + squares + _ROUNDING * self._slack

    @cached_property
    def earlier(self) -> list[Int[np.ndarray, " B"]]:
        """For each chart the earlier ones whose centres are within ``2 r_1`` of its own."""
        near = self.tree.query_ball_point(self.centres, 2 * self.chart_radius)
        return [np.array(sorted(k for k in n if k < i), int) for i, n in enumerate(near)]

    def partition_function(self, i: int) -> PartitionFunction:
        """``rho_i``, as the network has it (``lem-partition-net``)."""
        return PartitionFunction(
            self.centres[i],
            self.centres[self.earlier[i]],
            self.inner,
            self.chart_radius**2,
            self.refinement,
        )

    def partition(self, x: Float64[np.ndarray, "P D"]) -> Float64[np.ndarray, "P A"]:
        """All functions of the partition at points (P, D): (P, A)."""
        points = torch.from_numpy(np.asarray(x, float))
        return np.stack(
            [self.partition_function(i)(points).numpy() for i in range(len(self))], axis=1
        )

    # ---- what the partition costs, bounded on a finer net

    @property
    def _fine(self):
        """A net, its radius, and the tree of its points (made once for a manifold)."""
        known = self.manifold.__dict__
        if "_fine" not in known:
            points, radius = self.manifold.net(self.manifold.reach * _FINE.get(self.dim, _NET))
            known["_fine"] = points, radius, cKDTree(points)
        return known["_fine"]

    @property
    def fine_net(self) -> tuple[Float64[np.ndarray, "P D"], float]:
        """A finer net (P, D) and its radius: bounds that hold near each of its points hold on the
        manifold.
        """
        return self._fine[:2]

    def near_net(self, i: int) -> tuple[Int[np.ndarray, " n"], Float64[np.ndarray, " n"]]:
        """The points of `fine_net` within ``r_1`` and its radius of a centre, and how far from it
        they are.
        """
        points, radius, tree = self._fine
        near = np.array(tree.query_ball_point(self.centres[i], self.chart_radius + radius), int)
        return near, np.linalg.norm(points[near] - self.centres[i], axis=1)

    def living(self, cells: int) -> Bool[np.ndarray, "A ..."]:
        """The cells of each chart in which ``rho_i`` may be positive, of ``N`` across its ball
        (``lem-living``): bool array (A, N, .., N).
        """
        if cells not in self._living:
            self._living[cells] = living_cells(self, cells)
        return self._living[cells]

    @cached_property
    def overlap(self) -> int:
        """``A``: at most so many functions of the partition are positive at a point."""
        count = np.zeros(len(self._fine[0]), int)
        for i in range(len(self)):
            count[self.near_net(i)[0]] += 1
        return int(count.max())

    @cached_property
    def lipschitz(self) -> float:
        """``Lambda``: an upper bound of ``sum_i |grad rho_i|`` on the manifold
        (``lem-partition-slope``).

        At a point of the net, with its radius added to or taken from distances: charts count up to
        the one at which ``sum w_k`` surely reaches 1.  The functions before it have the slopes of
        their ``w_k``, and the one that reaches 1 that of their sum, in which ``x - c_k`` are added
        as vectors where it is sure that ``w_k > 0``.
        """
        points, radius, _ = self._fine
        beta = 1 / (self.chart_radius**2 - self.inner)
        squares = self.ambient_dim * 4.0 ** (-self.refinement - 1)
        rough = beta * self.ambient_dim**0.5 * 2.0**-self.refinement
        surely, before, others, largest = np.zeros((4, len(points)))
        sums = np.zeros(points.shape)
        for i in range(len(self)):
            near, distance = self.near_net(i)
            near, distance = (a[surely[near] < 1] for a in (near, distance))
            far = distance + radius
            slope = 2 * beta * np.minimum(far, self.chart_radius) + rough
            together = 2 * beta * np.linalg.norm(sums[near], axis=1) + others[near]
            here = before[near] + np.maximum(slope, np.minimum(before[near], together))
            largest[near] = np.maximum(largest[near], here)
            before[near] += slope
            sure = far < self.chart_radius
            sums[near[sure]] += points[near[sure]] - self.centres[i]
            others[near] += np.where(sure, 2 * beta * radius + rough, slope)
            surely[near] += beta * np.maximum(self.chart_radius**2 - far**2 - squares, 0)
        return float(largest.max()) * (1 + _ROUNDING)


def ordered(centres: Float64[np.ndarray, "A D"], chart_radius: float) -> Float64[np.ndarray, "A D"]:
    """Centres in an order in which few of the earlier ones are within ``2 r_1`` of any.

    From the back, always the point with the fewest such neighbours left (Matula and Beck's
    smallest-last order: the largest number of earlier neighbours is then the least possible).
    """
    near = cKDTree(centres).query_ball_point(centres, 2 * chart_radius)
    degree = np.array([len(n) for n in near])
    order = np.empty(len(centres), int)
    for place in range(len(centres) - 1, -1, -1):
        order[place] = chosen = int(degree.argmin())
        degree[near[chosen]] -= 1
        degree[chosen] = 2 * len(centres)
    return centres[order]


def certificate_net(manifold: Geometry) -> tuple[Float64[np.ndarray, "P D"], float]:
    """The net on which coverings are certified (made once for a manifold)."""
    if "_certificate" not in manifold.__dict__:
        manifold.__dict__["_certificate"] = manifold.net(_NET * manifold.reach)
    return manifold.__dict__["_certificate"]
