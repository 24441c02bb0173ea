"""Atlases: charts that cover, with their bumps and gates (book: ``lem-atlas``,
``lem-partition``, ``prop-chart-local``).
"""

from collections.abc import Callable, Iterable
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Float64, Int
from scipy.spatial import cKDTree
from torch import Tensor

from lib.convresnet import Gate
from lib.errors import integer, positive, require
from lib.manifolds._cells import RAMP, inset, room, smallest_mesh
from lib.manifolds._geometry import OFF, Geometry
from lib.manifolds._problem import ManifoldProblem, target_on
from lib.targets import Target

MAXIMUM_CHARTS = 5000
_NET = 1 / 12  # radius of the certificate's net, in units of the reach
_LOOKED = 20_000  # points of the net, at random, at which the reach is checked
_CHECKED = 150  # points of a chart between which injectivity is checked
# points nearer to each other than this, in units of the reach, are not compared: rounding
_NEAR = 1 / 50
_SLACK = 1e-4  # ... which leaves relative errors below this
_CHUNK = 1 << 15


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
    """Charts ``y = V_i^T (x - c_i) / (2 r_1)``, in which the support of a bump is in the ball of
    radius 1/2.

    Book: ``lem-chart``, ``lem-atlas``, ``lem-partition``.

    Parameters
    ----------
    manifold : Manifold
    cover_radius : float
        ``r_0``: every point of the manifold is at most so far from a centre (certified).
    bump_radius : float
        ``r_1 > r_0``: the bump ``(1 - |x - c_i|^2 / r_1^2)_+^q`` vanishes from there on.
    exponent : int
        ``q >= 2``; the partition of unity is of class ``C^{q-1,1}``, so `lib.approximate` uses the
        smoothness ``q - 1`` at most: derivatives of that order are continuous, and their samples
        converge.
    centres : float64 array, shape (A, D), optional
        Points of the manifold to be used as centres; by default greedily chosen farthest points.

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
        If the radii are not ``r_0 < r_1 < tau sqrt(1 - theta^2)``, ``theta = 1/10``, or given
        centres do not cover.
    """

    def __init__(
        self,
        manifold: Geometry,
        cover_radius: float,
        bump_radius: float,
        exponent: int,
        centres: Float64[np.ndarray, "A D"] | None = None,
    ) -> None:
        require(isinstance(manifold, Geometry), "manifold", manifold, "a manifold of lib.manifolds")
        self.manifold = manifold
        self.bump_radius = positive("bump_radius", bump_radius)
        self.exponent = integer("exponent", exponent, 2)
        tau = manifold.reach
        require(
            self.bump_radius < room(tau),
            "bump_radius",
            bump_radius,
            f"below {room(tau):.6g}: beyond, charts need not be injective (the reach is {tau:.6g})",
        )
        require(
            positive("cover_radius", cover_radius) < bump_radius,
            "cover_radius",
            cover_radius,
            f"below the radius of the bumps, {bump_radius:.6g}",
        )
        self.net, self.net_radius = certificate_net(manifold)
        require(
            self.net_radius < cover_radius,
            "cover_radius",
            cover_radius,
            f"above the radius of the net, {self.net_radius:.3g}",
        )
        if centres is None:
            centres = self.net[farthest_points(self.net, cover_radius - self.net_radius)[0]]
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
        self._neighbours = self.tree.query_ball_point(self.centres, 2 * self.bump_radius)

    def __len__(self) -> int:
        return len(self.centres)

    def __repr__(self) -> str:
        return (
            f"Atlas of {self.manifold.name}: {len(self)} charts, r_0={self.cover_radius:.4g}, "
            f"r_1={self.bump_radius:.4g}, q={self.exponent}"
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
    def open_radius(self) -> float:
        """``R_1'``: the gate is open at least up to there."""
        return self.manifold.reach * (2 * (1 - RAMP)) ** 0.5

    @property
    def closed_radius(self) -> float:
        """``R_2``: the gate is closed from there on."""
        return self.manifold.reach * (2 * (1 + RAMP)) ** 0.5

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
            chart = np.nonzero(
                (square <= self.open_radius**2) & ((flat**2).sum(1) < room(tau) ** 2)
            )[0][:_CHECKED]
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
        """The points of the manifold with coordinates ``y`` (P, d), ``|y| < 1/2``, in chart
        ``i``; (P, D).
        """
        return self.manifold.inverse_chart(
            self.centres[i], self.frames[i], 2 * self.bump_radius * y
        )

    def mesh(
        self, i: int, order: int, cells: int
    ) -> tuple[Float64[np.ndarray, "d D"], Float64[np.ndarray, " d"], int]:
        """The map to mesh units: matrix (d, D), offset (d,) and the number of cells ``N + 2m``
        of the chart.
        """
        edge = cells + 2 * order
        matrix = cells / (2 * self.bump_radius) * self.frames[i].T
        return matrix, edge / 2 - matrix @ self.centres[i], edge

    def smallest_mesh(self, order: int) -> int:
        """``N_0`` of these charts, the function `smallest_mesh`."""
        return smallest_mesh(self.manifold.reach, self.bump_radius, self.dim, order)

    def living_radius(self, order: int, cells: int) -> float:
        """Only points of the manifold nearer than this to a centre can meet a term of its chart."""
        spread = self.bump_radius * (1 + 2 * self.dim**0.5 * (order - inset(order)) / cells)
        tau = self.manifold.reach
        return tau * (2 * (1 - (1 - min(spread / tau, 1) ** 2) ** 0.5)) ** 0.5

    def gate(self, i: int) -> Gate:
        """The `lib.convresnet.Gate` of chart ``i``."""
        tau, n = self.manifold.reach, 1
        while self.ambient_dim * 4.0 ** (-n - 1) > RAMP * tau**2 / 10:
            n += 1
        inner = self.open_radius**2 + self.ambient_dim * 4.0 ** (-n - 1)
        return Gate(self.centres[i], inner, self.closed_radius**2, n)

    # ---- partition of unity

    def bumps(self, x: Float64[np.ndarray, "P D"], charts: Any) -> Float64[np.ndarray, "P B"]:
        """``eta_k(x)`` for the charts with these indices (B,) at points (P, D): (P, B)."""
        # relative to one of the centres: far from the origin the expanded square would cancel
        middle = self.centres[charts[0]]
        x, c = x - middle, self.centres[charts] - middle
        square = (x**2).sum(1)[:, None] - 2 * x @ c.T + (c**2).sum(1)
        return np.maximum(1 - square / self.bump_radius**2, 0) ** self.exponent

    def partition(self, i: int, x: Float64[np.ndarray, "P D"]) -> Float64[np.ndarray, " P"]:
        """``rho_i = eta_i / sum_k eta_k`` at points (P, D) of the manifold: (P,)."""
        result = np.empty(len(x))
        near = self._neighbours[i]
        own = near.index(i)
        for start in range(0, len(x), _CHUNK):
            eta = self.bumps(x[start : start + _CHUNK], near)
            total = eta.sum(1)
            result[start : start + _CHUNK] = np.where(
                eta[:, own] > 0, eta[:, own] / np.where(total > 0, total, 1), 0
            )
        return result

    # ---- overlaps

    @cached_property
    def _net_tree(self):
        return cKDTree(self.net)

    def meeting(self, radius: float) -> Any:
        """For each centre the net points that certify where it matters: within ``radius`` plus
        the net's radius.
        """
        return self._net_tree.query_ball_point(self.centres, radius + self.net_radius)

    def largest_sum(self, weights: Iterable[float], radius: float) -> float:
        """Upper bound of ``sup_x sum_{|x - c_i| < radius} weights_i`` over the manifold."""
        total = np.zeros(len(self.net))
        for weight, points in zip(weights, self.meeting(radius)):
            total[points] += weight
        return float(total.max())

    @cached_property
    def overlap(self) -> int:
        """The largest number of bumps over a point, bounded from above on the net."""
        return int(self.largest_sum(np.ones(len(self)), self.bump_radius))


def certificate_net(manifold: Geometry) -> tuple[Float64[np.ndarray, "P D"], float]:
    """The net on which coverings are certified (made once for a manifold)."""
    if "_certificate" not in manifold.__dict__:
        manifold.__dict__["_certificate"] = manifold.net(_NET * manifold.reach)
    return manifold.__dict__["_certificate"]
