"""Domains of certificates on manifolds: a closed curve, a face of a sphere (book:
``cor-certified-curve``).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import sympy
from flint import arb
from jaxtyping import Float64

from lib.domains import Boxes, Local, box_variables, mesh_of_chart
from lib.errors import integer, require
from lib.intervals import UNIT, Balls, expand, precision, span, up
from lib.manifolds._closed_forms import Sphere

_SLOW = 1e-150  # speeds below it, whose squares may underflow, count as none


class CurvePatch:
    """A closed curve by ``t = 2 pi s / roots`` (book: ``cor-certified-curve``)."""

    dim = 1

    def __init__(self, curve: Any, roots: int) -> None:
        self.curve = curve
        self.roots = (roots,)

    def describe(self) -> str:
        return f"{self.curve.name} in dimension {self.curve.ambient_dim}, {self.roots[0]} roots"

    def numbers(self) -> list:
        """What tells it from every other domain of its kind (`lib.certify._digest.digest`)."""
        c = self.curve
        return [self.roots[0], c.cosine, c.sine, c.middle, c.frame]

    def _points(self, sine, cosine):
        """The coordinates, from functions of ``k t``; sums of floats times whatever they return."""
        c, plane = self.curve, []
        for p in range(c.cosine.shape[1]):
            parts = [
                f(k) * float(a)
                for k in range(1, len(c.cosine) + 1)
                for f, a in ((cosine, c.cosine[k - 1, p]), (sine, c.sine[k - 1, p]))
                if a
            ]
            plane.append(sum(parts[1:], parts[0]) if parts else cosine(1) * 0.0)
        return [
            sum((y * float(f) for y, f in zip(plane[1:], row[1:])), plane[0] * float(row[0]))
            + float(m)
            for row, m in zip(c.frame, c.middle)
        ]

    def local(self, boxes: Boxes, order: int) -> Local:
        t = sympy.Symbol("t", real=True)
        with precision():
            scale = Balls.from_flint([2 * arb.pi() / self.roots[0]], ())

        def points(over):
            s = box_variables(boxes, order, over)[0] * scale
            return self._points(
                lambda k: expand(sympy.sin(k * t), {t: s}),
                lambda k: expand(sympy.cos(k * t), {t: s}),
            )

        return Local(boxes, points(False), points(True))

    def mesh(self, local: Local, chart: Any) -> tuple:
        return mesh_of_chart(local, chart)

    def slope(self, local: Local, sizes: Float64[np.ndarray, "p P"]) -> Float64[np.ndarray, " P"]:
        """Upper bounds of the tangential derivative: that in ``s`` over the speed."""
        square = 0.0
        for at, over in zip(local.at, local.over):
            low, high = span(at.derivative(0), over.derivative(0))
            least = np.maximum(np.maximum(low, -high), 0) / local.boxes.radius
            square = square + least**2
        # D squares, their sum, the root and this product: fewer than D + 4 roundings, downwards;
        # radii are powers of two
        speed = np.sqrt(square) * (1 - (len(local.at) + 4) * UNIT)
        speed = np.where(speed > _SLOW, speed, 0)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(speed > 0, up(sizes[0] / speed), np.where(sizes[0] > 0, np.inf, 0))

    def _parameter(self, s):
        return arb(float(s[0])) * 2 * arb.pi() / self.roots[0]

    def points(self, s: Float64[np.ndarray, "P p"]) -> Float64[np.ndarray, "P D"]:
        return self.curve.points(s[:, 0] * (2 * np.pi / self.roots[0]))

    def point(self, s: np.ndarray) -> list[arb]:
        t = self._parameter(s)
        return self._points(lambda k: (k * t).sin(), lambda k: (k * t).cos())

    def neighbour(
        self, s: np.ndarray, x: list[arb], direction: np.ndarray, step: arb
    ) -> tuple[list[arb], arb]:
        """A point further along the curve, and an upper bound of the length of the arc."""
        t = self._parameter(s)
        c = self.curve
        tangent = self._points(lambda k: k * (k * t).cos(), lambda k: -k * (k * t).sin())
        speed = sum(((v - float(m)) ** 2 for v, m in zip(tangent, c.middle)), arb(0)).sqrt()
        moduli = np.abs(c.frame) @ (np.abs(c.cosine) + np.abs(c.sine)).T
        # a sum of products of numbers that are not negative
        bend = float(up((moduli @ c.wave.astype(float) ** 2).sum(), c.cosine.size + c.frame.size))
        t = t + step
        return self._points(lambda k: (k * t).sin(), lambda k: (k * t).cos()), step * (
            speed + step * bend
        )


class SphereFace:
    """A part of a sphere: the points in direction ``(y_1, y_2, sign)`` from its middle, in one of
    six faces.

    Book: ``cor-certified-curve``.

    Parameters
    ----------
    sphere : lib.manifolds.Sphere
    axis, sign : int
        The face: coordinate axis 0, 1 or 2, and side -1 or 1; the other two coordinates are ``y``.
    low, high : pairs of float
        ``low <= y <= high``, within [-1, 1]; the whole face by default.
    roots : int
        Boxes a side to begin with.

    Raises
    ------
    InputError
        For no sphere, no face of a cube, or no rectangle within it.
    """

    dim = 2

    def __init__(
        self,
        sphere: Sphere,
        axis: int = 2,
        sign: int = 1,
        low: Sequence[float] = (-1.0, -1.0),
        high: Sequence[float] = (1.0, 1.0),
        roots: int = 16,
    ) -> None:
        require(isinstance(sphere, Sphere), "sphere", sphere, "a lib.manifolds.Sphere")
        require(
            axis in (0, 1, 2) and sign in (-1, 1),
            "axis, sign",
            (axis, sign),
            "one of the six faces",
        )
        require(
            all(-1 <= a < b <= 1 for a, b in zip(low, high)),
            "low, high",
            (low, high),
            "a rectangle within [-1, 1]^2",
        )
        self.sphere, self.axis, self.sign = sphere, axis, sign
        self.low = tuple(map(float, low))
        self.high = tuple(map(float, high))
        self.roots = (integer("roots", roots, 1),) * 2

    def describe(self) -> str:
        return (
            f"face {self.sign:+d}{self.axis} of {self.sphere!r}, {self.low} to {self.high},"
            f" {self.roots[0]} roots"
        )

    def numbers(self) -> list:
        """What tells it from every other domain of its kind (`lib.certify._digest.digest`)."""
        return [
            self.sphere.radius,
            self.sphere.middle,
            self.axis,
            self.sign,
            self.low,
            self.high,
            self.roots,
        ]

    def _place(self, y, inverse):
        """The coordinates, from ``y`` and ``1 / |(y, 1)|``."""
        radius = float(self.sphere.radius)
        middle = self.sphere.middle
        flat = [t * inverse * radius for t in y]
        flat.insert(self.axis, inverse * (radius * self.sign))
        return [t + float(m) for t, m in zip(flat, middle)]

    def local(self, boxes: Boxes, order: int) -> Local:
        square = sympy.Symbol("q")
        found, plane = [], []
        for over in (False, True):
            y = [
                # b - a <= 2 and a quotient at most as large: roundings of at most 2 UNIT each
                x * Balls(np.array((b - a) / self.roots[0]), 4 * UNIT) + a
                for x, a, b in zip(box_variables(boxes, order, over), self.low, self.high)
            ]
            inverse = expand(
                square ** sympy.Rational(-1, 2), {square: y[0] * y[0] + y[1] * y[1] + 1.0}
            )
            found.append(self._place(y, inverse))
            plane.append(y)
        at, over_boxes = found
        return Local(boxes, at, over_boxes, tuple(plane))

    def mesh(self, local: Local, chart: Any) -> tuple:
        return mesh_of_chart(local, chart)

    def slope(self, local: Local, sizes: Float64[np.ndarray, "p P"]) -> Float64[np.ndarray, " P"]:
        """Upper bounds of the tangential gradient: its square is ``r^2 (|g|^2 + (y.g)^2) /
        R^2``, ``r^2 = 1 + |y|^2``.
        """
        # a difference, a quotient and this product: three roundings
        scale = [self.roots[0] / (b - a) * (1 + 4 * UNIT) for a, b in zip(self.low, self.high)]
        g = [s * c for s, c in zip(sizes, scale)]
        y = [t.coefficients[0].size for t in local.own[1]]
        along = y[0] * g[0] + y[1] * g[1]
        square = (1 + y[0] ** 2 + y[1] ** 2) * (g[0] ** 2 + g[1] ** 2 + along**2)
        # at most 13 roundings in the square; a quotient and a product after the root
        return up(np.sqrt(up(square, 13))) / self.sphere.radius * (1 + 4 * UNIT)

    def points(self, s: Float64[np.ndarray, "P p"]) -> Float64[np.ndarray, "P D"]:
        y = s * (np.array(self.high) - self.low) / self.roots[0] + self.low
        return np.stack(self._place(list(y.T), 1 / np.sqrt(1 + (y**2).sum(1))), axis=1)

    def point(self, s: np.ndarray) -> list[arb]:
        y = [
            arb(float(t)) * (arb(b) - arb(a)) / self.roots[0] + a
            for t, a, b in zip(s, self.low, self.high)
        ]
        return self._place(y, 1 / (y[0] * y[0] + y[1] * y[1] + 1).sqrt())

    def neighbour(
        self, s: np.ndarray, x: list[arb], direction: np.ndarray, step: arb
    ) -> tuple[list[arb], arb]:
        """A point in that direction along the sphere, and its distance along a great circle."""
        radius = arb(float(self.sphere.radius))
        middle = [arb(float(m)) for m in self.sphere.middle]
        normal = [(v - m) / radius for v, m in zip(x, middle)]
        out = sum((n * float(d) for n, d in zip(normal, direction)), arb(0))
        moved = [n + step * (float(d) - out * n) for n, d in zip(normal, direction)]
        size = sum((v * v for v in moved), arb(0)).sqrt()
        y = [m + radius * v / size for m, v in zip(middle, moved)]
        chord = sum(((a - b) ** 2 for a, b in zip(x, y)), arb(0)).sqrt()
        return y, 2 * radius * (chord / (2 * radius)).asin()
