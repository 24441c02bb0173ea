"""Manifolds for which everything has a closed form: the sphere and the rotation group."""

import numpy as np
import sympy
from jaxtyping import Float64
from scipy.spatial.transform import Rotation
from scipy.stats import uniform_direction
from torch import Tensor

from lib.errors import positive, require
from lib.formulas import variables
from lib.manifolds._base import Manifold
from lib.manifolds._geometry import Seed, check_cube


def _within(t, reach):
    require(
        t.size == 0 or np.linalg.norm(t, axis=-1).max() < reach,
        "t",
        float(np.linalg.norm(t, axis=-1).max(initial=0)),
        f"shorter than the reach, {reach:.6g}",
    )


class Sphere(Manifold):
    """The round sphere ``S^2`` in ``[0,1]^3``.

    Parameters
    ----------
    radius : float
        At most 1/2, the default; the centre is that of the cube.
    """

    dim, ambient_dim = 2, 3
    reach_source = "the radius"

    def __init__(self, radius: float = 0.5) -> None:
        self.radius = self.reach = positive("radius", radius)
        self.name = f"sphere of radius {radius:g}"
        self.volume = 4 * np.pi * self.radius**2
        self.middle = np.full(3, 0.5)
        check_cube(self.name, self.middle - self.radius, self.middle + self.radius)

    def numbers(self) -> list:
        """What tells it from every other one of its kind."""
        return ["sphere", self.radius, self.middle]

    def project(self, x: Float64[np.ndarray | Tensor, "P 3"]) -> Float64[np.ndarray, "P 3"]:
        y = np.asarray(x) - self.middle
        return self.middle + self.radius * y / np.linalg.norm(y, axis=1, keepdims=True)

    def tangent_basis(self, x: Float64[np.ndarray | Tensor, "P 3"]) -> Float64[np.ndarray, "P 3 2"]:
        normal = (np.asarray(x) - self.middle) / self.radius
        sign = np.where(normal[:, 2] >= 0, 1.0, -1.0)  # Duff et al. 2017: no branch near a pole
        a = -1 / (sign + normal[:, 2])
        b = -normal[:, 0] * normal[:, 1] / (sign + normal[:, 2])
        first = np.stack([1 + sign * normal[:, 0] ** 2 * a, sign * b, -sign * normal[:, 0]], axis=1)
        second = np.stack([b, sign + normal[:, 1] ** 2 * a, -normal[:, 1]], axis=1)
        return np.stack([first, second], axis=2)

    def inverse_chart(
        self,
        centre: Float64[np.ndarray, " 3"],
        frame: Float64[np.ndarray, "3 2"],
        t: Float64[np.ndarray, "P 2"],
    ) -> Float64[np.ndarray, "P 3"]:
        _within(t, self.reach)
        normal = (centre - self.middle) / self.radius
        height = np.sqrt(self.radius**2 - (t**2).sum(1))
        return self.middle + t @ frame.T + height[:, None] * normal

    def equations(self) -> list[sympy.Expr]:
        """``|x - 1/2|^2 = R^2``."""
        square = sum((x - sympy.Rational(1, 2)) ** 2 for x in variables(3))
        return [square - sympy.Rational(self.radius) ** 2]

    def draw(self, points: int, seed: Seed = 0) -> Float64[np.ndarray, "P 3"]:
        """Uniform on the sphere."""
        return self.middle + self.radius * uniform_direction(3).rvs(
            points, random_state=np.random.default_rng(seed)
        )

    def net(self, radius: float) -> tuple[Float64[np.ndarray, "P 3"], float]:
        """A grid of latitudes and longitudes; the radius is that of its cells along the sphere."""
        step = positive("radius", radius) / self.radius * np.sqrt(2)
        rows = int(np.ceil(np.pi / step))
        columns = 2 * rows
        latitude = (np.arange(rows) + 0.5) / rows * np.pi
        longitude = np.arange(columns) / columns * 2 * np.pi
        a, b = np.meshgrid(latitude, longitude, indexing="ij")
        points = np.stack(
            [np.sin(a) * np.cos(b), np.sin(a) * np.sin(b), np.cos(a)], axis=-1
        ).reshape(-1, 3)
        return self.middle + self.radius * points, self.radius * np.pi / rows / np.sqrt(2)

    def geodesic(
        self, x: Float64[np.ndarray | Tensor, "P 3"], y: Float64[np.ndarray | Tensor, "P 3"]
    ) -> Float64[np.ndarray, " P"]:
        return (
            2
            * self.radius
            * np.arcsin(
                np.clip(
                    np.linalg.norm(np.asarray(x) - np.asarray(y), axis=1) / (2 * self.radius), 0, 1
                )
            )
        )


# a basis of the skew matrices, of Frobenius norm sqrt(2) each
_SKEW = np.zeros((3, 3, 3))
for _k, (_i, _j) in enumerate([(2, 1), (0, 2), (1, 0)]):
    _SKEW[_k, _i, _j], _SKEW[_k, _j, _i] = 1.0, -1.0


class RotationGroup(Manifold):
    """``SO(3)`` as ``1/2 + s R`` in ``[0,1]^9``, ``d = 3``.

    The reach is ``sqrt(2) s``: the nearest symmetric matrix to the identity for which the nearest
    rotation is not unique is ``diag(0, 0, 1)`` (the polar factor is unique as long as the sum of
    the two smallest singular values, the last one signed, is positive), and SO(3) looks the same
    from each of its points.

    Parameters
    ----------
    scale : float
        ``s``, at most 1/2, the default.
    """

    dim, ambient_dim = 3, 9
    reach_source = "sqrt(2) s: uniqueness of the polar factor"

    def __init__(self, scale: float = 0.5) -> None:
        self.scale = positive("scale", scale)
        self.reach = np.sqrt(2) * self.scale
        self.name = f"SO(3) scaled by {scale:g}"
        # pi^2 R^3 with R = 2 reach: half a three-sphere
        self.volume = 8 * np.pi**2 * self.reach**3
        check_cube(self.name, np.full(9, 0.5 - self.scale), np.full(9, 0.5 + self.scale))

    def numbers(self) -> list:
        """What tells it from every other one of its kind."""
        return ["rotations", self.scale]

    def matrices(self, x: Float64[np.ndarray | Tensor, "... 9"]) -> Float64[np.ndarray, "P 3 3"]:
        """The 3 x 3 matrices of points (P, 9)."""
        return (np.asarray(x).reshape(-1, 3, 3) - 0.5) / self.scale

    def points(self, matrices: Float64[np.ndarray, "... 3 3"]) -> Float64[np.ndarray, "P 9"]:
        """The points (P, 9) of 3 x 3 matrices."""
        return 0.5 + self.scale * matrices.reshape(-1, 9)

    def project(self, x: Float64[np.ndarray | Tensor, "P 9"]) -> Float64[np.ndarray, "P 9"]:
        """The nearest rotation: the polar factor, with the sign of the last singular vector
        mended.
        """
        u, _, v = np.linalg.svd(self.matrices(x))
        sign = np.linalg.det(u @ v)
        return self.points(
            u * np.stack([np.ones_like(sign), np.ones_like(sign), sign], axis=1)[:, None, :] @ v
        )

    def tangent_basis(self, x: Float64[np.ndarray | Tensor, "P 9"]) -> Float64[np.ndarray, "P 9 3"]:
        basis = self.matrices(x)[:, None] @ _SKEW / np.sqrt(2)
        return np.swapaxes(basis.reshape(-1, 3, 9), 1, 2)

    def inverse_chart(
        self,
        centre: Float64[np.ndarray, " 9"],
        frame: Float64[np.ndarray, "9 3"],
        t: Float64[np.ndarray, "P 3"],
    ) -> Float64[np.ndarray, "P 9"]:
        """The skew part of ``R_0^T R`` is ``sin(angle)`` times the axis, so the angle is an arc
        sine.
        """
        _within(t, self.reach)
        start = self.matrices(centre)[0]
        # coordinates in the basis of `tangent_basis`, whatever frame was given
        own = t @ (frame.T @ self.tangent_basis(centre[None])[0]) / self.reach
        sine = np.linalg.norm(own, axis=1, keepdims=True)
        vector = own * np.where(
            sine > 0, np.arcsin(np.minimum(sine, 1)) / np.where(sine > 0, sine, 1), 1.0
        )
        return self.points(start @ Rotation.from_rotvec(vector).as_matrix())

    def equations(self) -> list[sympy.Expr]:
        """``R^T R = 1``; matrices with ``det R = -1`` are ``sqrt(2)`` times the reach away or
        farther, so that no chart meets them.
        """
        m = sympy.Matrix(3, 3, [x - sympy.Rational(1, 2) for x in variables(9)])
        gram = m.T * m - sympy.Rational(self.scale) ** 2 * sympy.eye(3)
        return [gram[i, j] for i in range(3) for j in range(i, 3)]

    def draw(self, points: int, seed: Seed = 0) -> Float64[np.ndarray, "P 9"]:
        """Uniform (Haar measure)."""
        return self.points(Rotation.random(points, rng=np.random.default_rng(seed)).as_matrix())

    def net(self, radius: float) -> tuple[Float64[np.ndarray, "P 9"], float]:
        """A grid of Euler angles ``(a, b, c)``: each turns at speed sqrt(2) s, the outer two at
        an angle ``b``.
        """
        step = positive("radius", radius) / self.reach * 2 / np.sqrt(5)
        b_count = int(np.ceil(np.pi / step))
        count = int(np.ceil(2 * np.pi / step))
        a = np.arange(count) / count * 2 * np.pi
        b = (np.arange(b_count) + 0.5) / b_count * np.pi
        angles = np.stack(np.meshgrid(a, b, a, indexing="ij"), axis=-1).reshape(-1, 3)
        points = self.points(Rotation.from_euler("ZYZ", angles).as_matrix())
        half_a, half_b = np.pi / count, np.pi / b_count / 2
        return points, self.reach * np.hypot(2 * half_a, half_b)

    def geodesic(
        self, x: Float64[np.ndarray | Tensor, "P 9"], y: Float64[np.ndarray | Tensor, "P 9"]
    ) -> Float64[np.ndarray, " P"]:
        # sin of half the angle
        chord = np.linalg.norm(np.asarray(x) - np.asarray(y), axis=1) / (2 * self.reach)
        return 2 * self.reach * np.arcsin(np.clip(chord, 0, 1))
