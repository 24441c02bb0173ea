"""Closed curves given by Fourier coefficients, in any dimension (book: chapter 06)."""

from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Float64
from scipy.spatial import cKDTree
from torch import Tensor

from lib.errors import integer, positive, require
from lib.manifolds._base import Manifold
from lib.manifolds._expansion_curves import expansion_of_curve
from lib.manifolds._expansion_points import point_of_curve
from lib.manifolds._geometry import Seed, check_cube

_NEWTON = 12
# a step after which Newton's method has arrived: the next would be about its square
_SMALL = 1e-10
_PAIRS = 3000  # parameters between which pairs are compared for the reach
_FINE = 1 << 14  # parameters at which the curvature is bounded


class FourierCurve(Manifold):
    """The curve ``x(t) = centre + U (sum_k a_k cos kt + b_k sin kt)``, ``0 <= t < 2 pi``.

    Parameters
    ----------
    cosine, sine : float64 arrays, shape (F, p)
        ``a_1 .. a_F`` and ``b_1 .. b_F``.
    centre : float64 array, shape (D,)
    frame : float64 array, shape (D, p)
        ``U``, with orthonormal columns: an isometry, so nothing but `project`, `sample` and the
        like sees ``D``.
    name : str
    reach : float, optional
        If it is known; by default a lower bound is computed (see `reach_enclosure`).
    reach_source : str
        Where a given reach comes from.

    Raises
    ------
    InputError
        If the columns of the frame are not orthonormal, the curve stops or leaves the unit cube.
    """

    dim = 1

    def __init__(
        self,
        cosine: Any,
        sine: Any,
        centre: Any,
        frame: Any,
        name: str = "Fourier curve",
        reach: float | None = None,
        reach_source: str = "given",
    ) -> None:
        self.cosine, self.sine = (_matrix(n, v) for n, v in (("cosine", cosine), ("sine", sine)))
        self.frame = _matrix("frame", frame)
        self.middle = np.ravel(np.asarray(centre, float))
        self.name = name
        require(
            self.sine.shape == self.cosine.shape,
            "sine",
            self.sine.shape,
            f"of the shape of cosine, {self.cosine.shape}",
        )
        require(
            self.frame.shape == (len(self.middle), self.cosine.shape[1]),
            "frame",
            self.frame.shape,
            f"a matrix ({len(self.middle)}, {self.cosine.shape[1]}): centre and coefficients fix"
            " its shape",
        )
        require(
            np.allclose(self.frame.T @ self.frame, np.eye(self.frame.shape[1]), atol=1e-12),
            "frame",
            self.frame,
            "a matrix with orthonormal columns",
        )
        self.ambient_dim = len(self.middle)
        self.wave = np.arange(1, len(self.cosine) + 1)
        size = np.hypot(np.linalg.norm(self.cosine, axis=1), np.linalg.norm(self.sine, axis=1))
        t = np.arange(_FINE) / _FINE * 2 * np.pi
        self._parameters = t
        self._step = 2 * np.pi / _FINE
        # bounds of |x^(k)|, k = 4, 3, 2, 1: a crude one, then the grid and the bound of the next
        # derivative
        self._sup = [float((size * self.wave**4.0).sum())]
        for k in (3, 2, 1):
            self._sup.insert(
                0, np.linalg.norm(self.local(t, k), axis=1).max() + self._sup[0] * self._step / 2
            )
        self._points = self.local(t)
        speed = np.linalg.norm(self.local(t, 1), axis=1)
        self._slowest = speed.min() - self._sup[1] * self._step / 2
        require(
            self._slowest > 0,
            "cosine",
            f"slowest speed found {speed.min():.3g}",
            "a curve that never stops",
        )
        self._arc = np.concatenate([[0], np.cumsum((speed + np.roll(speed, -1)) / 2 * self._step)])
        self.volume = float(self._arc[-1])  # the trapezoidal rule converges geometrically here
        bend = (
            np.abs(self.frame) @ np.hypot(self.cosine, self.sine).T @ self.wave.astype(float) ** 2
        )
        between = bend * self._step**2 / 8
        ambient = [
            self.middle + self._points[i : i + 1024] @ self.frame.T for i in range(0, _FINE, 1024)
        ]
        check_cube(
            name,
            np.min([a.min(0) for a in ambient], axis=0) - between,
            np.max([a.max(0) for a in ambient], axis=0) + between,
        )
        if reach is None:
            self.reach, self.reach_above = reach_enclosure(self)
            require(
                self.reach > 1e-3 * self.volume / _PAIRS,
                "cosine",
                f"reach {self.reach:.2g}",
                f"a curve without double points ({name} crosses or retraces itself, or nearly so)",
            )
            self.reach_source = "lower bound from pairs of points and the curvature"
        else:
            self.reach = positive("reach", reach)
            self.reach_source = reach_source
            self.reach_proved = reach_source != "given"

    def numbers(self) -> list:
        """What tells it from every other one of its kind."""
        return ["curve", self.cosine, self.sine, self.middle, self.frame]

    def local(self, t: Any, order: int = 0) -> Float64[np.ndarray, "... p"]:
        """``x^(order)(t)`` in the coordinates of the frame (without the centre): (P,) to (P, p)."""
        angle = np.multiply.outer(np.asarray(t), self.wave) + order * np.pi / 2
        factor = self.wave.astype(float) ** order
        return (np.cos(angle) * factor) @ self.cosine + (np.sin(angle) * factor) @ self.sine

    def points(self, t: Float64[np.ndarray, " P"]) -> Float64[np.ndarray, "P D"]:
        """Points of the curve for parameters (P,): (P, D)."""
        return self.middle + self.local(t) @ self.frame.T

    @cached_property
    def _tree(self):
        return cKDTree(self._points)

    def parameter(self, x: Float64[np.ndarray | Tensor, "P D"]) -> Float64[np.ndarray, " P"]:
        """The parameters of the points of the curve nearest to ``x`` (P, D): (P,)."""
        y = (np.asarray(x) - self.middle) @ self.frame
        t = self._parameters[self._tree.query(y)[1]]
        for _ in range(_NEWTON):
            gap = self.local(t) - y
            slope = self.local(t, 1)
            bend = self.local(t, 2)
            second = (slope * slope).sum(1) + (gap * bend).sum(1)
            step = (gap * slope).sum(1) / np.where(second > 0, second, (slope * slope).sum(1))
            t = t - np.clip(step, -self._step, self._step)
            if np.abs(step).max(initial=0) <= _SMALL:
                break
        return np.mod(t, 2 * np.pi)

    def project(self, x: Float64[np.ndarray | Tensor, "P D"]) -> Float64[np.ndarray, "P D"]:
        return self.points(self.parameter(x))

    def tangent_basis(self, x: Float64[np.ndarray | Tensor, "P D"]) -> Float64[np.ndarray, "P D 1"]:
        slope = self.local(self.parameter(x), 1)
        return (slope / np.linalg.norm(slope, axis=1, keepdims=True) @ self.frame.T)[:, :, None]

    def inverse_chart(
        self,
        centre: Float64[np.ndarray, " D"],
        frame: Float64[np.ndarray, "D 1"],
        t: Float64[np.ndarray, "P 1"],
    ) -> Float64[np.ndarray, "P D"]:
        """Newton's method for ``V^T (x(s) - c) = t``, from the point at arc length ``t``.

        Raises
        ------
        InputError
            Where Newton's method does not arrive: outside the chart.
        """
        start = self.parameter(centre[None])[0]
        direction = self.frame.T @ frame[:, 0]
        forward = np.sign(self.local(start, 1) @ direction)
        s = self._further(start, forward * t[:, 0])
        origin = self.local(start)
        for _ in range(_NEWTON):
            gap = (self.local(s) - origin) @ direction - t[:, 0]
            slope = self.local(s, 1) @ direction * forward
            step = forward * gap / np.where(slope > 0, slope, np.inf)
            s = s - step
            if np.abs(step).max(initial=0) <= _SMALL:
                break
        residual = np.abs((self.local(s) - origin) @ direction - t[:, 0]).max(initial=0)
        require(
            residual <= 1e-12,
            "t",
            float(np.abs(t).max(initial=0)),
            "inside the chart; Newton's method did not converge",
        )
        return self.points(s)

    def _further(self, start, length):
        """The parameters at these arc lengths (P,) after a parameter."""
        knots = np.append(self._parameters, 2 * np.pi)
        length = np.interp(start, knots, self._arc) + length
        turns = np.floor(length / self.volume)
        return np.interp(length - turns * self.volume, self._arc, knots) + 2 * np.pi * turns

    def _expand(self, centres, frames, t, reach):
        return expansion_of_curve(self, centres, frames, t, reach)

    def _chart_point(self, centre, frame, t, reach):
        return point_of_curve(self, centre, frame, t, reach)

    def draw(self, points: int, seed: Seed = 0) -> Float64[np.ndarray, "P D"]:
        """Uniform in the parameter."""
        return self.points(np.random.default_rng(seed).uniform(0, 2 * np.pi, points))

    def net(self, radius: float) -> tuple[Float64[np.ndarray, "P D"], float]:
        count = int(np.ceil(self._sup[0] * np.pi / positive("radius", radius)))
        return self.points(np.arange(count) / count * 2 * np.pi), self._sup[0] * np.pi / count

    def geodesic(
        self, x: Float64[np.ndarray | Tensor, "P D"], y: Float64[np.ndarray | Tensor, "P D"]
    ) -> Float64[np.ndarray, " P"]:
        """Arc length by the trapezoidal rule and linear interpolation, to about 1e-6 of the
        length.
        """
        knots = np.append(self._parameters, 2 * np.pi)
        along = np.abs(
            np.interp(self.parameter(x), knots, self._arc)
            - np.interp(self.parameter(y), knots, self._arc)
        )
        return np.minimum(along, self.volume - along)


def reach_enclosure(curve: FourierCurve) -> tuple[float, float]:
    """A lower bound of the reach of a `FourierCurve` and an upper one, from pairs of points.

    The reach is the infimum of ``|y - x|^2 / (2 dist(y - x, T_x))`` over pairs of points (Federer
    1959, Thm 4.18).  Pairs along an arc shorter than ``pi`` over the largest curvature have at
    least the smallest radius of curvature; for the others the quotient is bounded from below
    between the points of a grid through the speed and the curvature.  In float64, without outward
    rounding.
    """
    t = curve._parameters
    grid = 2 * np.pi / _PAIRS
    slope = curve.local(t, 1)
    bend = curve.local(t, 2)
    v0 = curve._slowest
    speed = np.linalg.norm(slope, axis=1, keepdims=True)
    normal = bend - (bend * slope).sum(1, keepdims=True) / speed**2 * slope
    curvature = np.linalg.norm(normal, axis=1) / speed[:, 0] ** 2
    b1, b2, b3 = curve._sup[:3]
    most = curvature.max() + (b3 / v0**2 + 4 * b2**2 / v0**3) * curve._step / 2
    s = np.arange(_PAIRS) * grid
    x, tangent = curve.local(s), curve.local(s, 1)
    tangent /= np.linalg.norm(tangent, axis=1, keepdims=True)
    arc = np.interp(s, np.append(t, 2 * np.pi), curve._arc)
    move = b1 * grid / 2  # how far a point can be from its grid point
    below = 1 / most
    above = 1 / curvature.max()
    norms = (x**2).sum(1)
    for i in range(0, _PAIRS, 500):
        gap = np.sqrt(
            np.maximum(norms[None] + norms[i : i + 500, None] - 2 * x[i : i + 500] @ x.T, 0)
        )
        forward = (x @ tangent[i : i + 500].T).T - (x[i : i + 500] * tangent[i : i + 500]).sum(1)[
            :, None
        ]
        off = np.sqrt(np.maximum(gap**2 - forward**2, 0))
        along = np.abs(arc[None] - arc[i : i + 500, None])
        along = np.minimum(along, curve.volume - along)
        far = along > np.pi / most - 2 * move
        quotient = np.maximum(gap - 2 * move, 0) ** 2 / (
            2 * (off + 2 * move + most * move * (gap + 2 * move))
        )
        below = min(below, quotient[far].min(initial=np.inf))
        above = min(above, (gap[far] ** 2 / (2 * np.maximum(off[far], 1e-300))).min(initial=np.inf))
    return float(below), float(above)


def _matrix(name, value):
    value = np.asarray(value, float)
    require(
        value.ndim == 2 and value.size > 0 and np.isfinite(value).all(),
        name,
        value.shape,
        "a finite matrix",
    )
    return value


def isometry(ambient_dim: int, dim: int, seed: int) -> Float64[np.ndarray, "D p"]:
    """A random ``D x p`` matrix with orthonormal columns (book: ``cor-ambient``)."""
    ambient_dim = integer("ambient_dim", ambient_dim, dim)
    return np.linalg.qr(np.random.default_rng(seed).normal(size=(ambient_dim, dim)))[0]


def circle(radius: float = 0.4, ambient_dim: int = 2, seed: int = 0) -> FourierCurve:
    """A circle in a random plane of ``R^D``, around the centre of the cube."""
    radius = positive("radius", radius)
    return ellipse(radius, radius, ambient_dim, seed, f"circle of radius {radius:g}")


def ellipse(
    a: float = 0.45, b: float = 0.3, ambient_dim: int = 2, seed: int = 0, name: str | None = None
) -> FourierCurve:
    """An ellipse with semi-axes ``a >= b`` in a random plane of ``R^D``; its reach is ``b^2 /
    a``.

    Raises
    ------
    InputError
        For ``a < b``, or an ellipse that leaves the cube.
    """
    a, b = positive("a", a), positive("b", b)
    require(a >= b, "a", a, f"at least b = {b:g}")
    frame = isometry(ambient_dim, 2, seed)
    return FourierCurve(
        [[a, 0.0]],
        [[0.0, b]],
        np.full(ambient_dim, 0.5),
        frame,
        name or f"ellipse with semi-axes {a:g} and {b:g}",
        b * b / a,
        "smallest radius of curvature, b^2/a",
    )


def trefoil(scale: float = 0.15, ambient_dim: int = 3, seed: int = 0) -> FourierCurve:
    """The trefoil knot ``scale (sin t + 2 sin 2t, cos t - 2 cos 2t, -sin 3t)`` in a random
    3-space of ``R^D``.
    """
    scale = positive("scale", scale)
    cosine = scale * np.array([[0, 1, 0], [0, -2, 0], [0, 0, 0]])
    sine = scale * np.array([[1, 0, 0], [2, 0, 0], [0, 0, -1]])
    frame = isometry(ambient_dim, 3, seed)
    return FourierCurve(
        cosine, sine, np.full(ambient_dim, 0.5), frame, f"trefoil scaled by {scale:g}"
    )
