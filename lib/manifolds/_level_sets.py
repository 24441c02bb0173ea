"""Manifolds given by equations ``F(x) = 0``: Newton's method, and nets by subdivision of the
cube (book: chapter 06).
"""

from collections.abc import Sequence
from functools import cached_property
from itertools import combinations_with_replacement, permutations, product
from typing import Any

import numpy as np
import sympy
import torch
from jaxtyping import Bool, Float64
from torch import Tensor

from lib.errors import InputError, integer, positive, require
from lib.formulas import bound_on_cube, parse, torch_function, variables
from lib.manifolds._base import Manifold
from lib.manifolds._geometry import Seed, check_cube
from lib.manifolds._reach import SMALLEST, reach_of_zeros
from lib.manifolds._regular import require_regular

_NEWTON = 10
# a step after which Newton's method has arrived: the next would be about its square over the reach
_SMALL = 1e-10
_STEPS = 2  # of the continuation along which a chart is inverted
_MAXIMUM_BOXES = 2_000_000
_WORK, _CLOSE = 50_000, 0.02  # spent on the bound of a derivative; how tight it is to be


def _determinant(matrices):
    """Of matrices (P, c, c): (P,)."""
    return matrices[:, 0, 0] if matrices.shape[1] == 1 else np.linalg.det(matrices)


class LevelSet(Manifold):
    """The zeros of formulas in the open cube, where their gradients are linearly independent.

    Parameters
    ----------
    formulas : str or list of str
        One for each dimension less than ``D`` (see `lib.formulas.parse`); twice differentiable.
    ambient_dim : int
        ``D``, at most 4 (nets subdivide the cube).
    name : str
    reach : float, optional
        If it is known.  By default a lower bound is computed in float64, without outward rounding
        (`lib.manifolds.reach_of_zeros`), which is no proof: ``reach_proved`` is false.
    reach_source : str
        Where a given reach comes from; without this it is assumed, too.
    volume : float, optional

    Attributes
    ----------
    reach_above : float
        An upper bound of the reach, from pairs of points, where a lower bound is computed.
    low, high : float64 arrays, shape (D,)
        A box that holds the manifold.
    second, third : float64 arrays, shape (D - d, D, D)
        Rigorous bounds over that box: of the moduli of the second derivatives, and of the sums over
        the last index of those of the third (infinite where none is found).

    Raises
    ------
    InputError
        If there is no zero, gradients are linearly dependent at one, the manifold leaves the open
        cube, or its reach is below 1e-4 or too small to be bounded from below.

    Notes
    -----
    ``net`` keeps the boxes of a subdivided cube that may hold a zero: by Taylor's theorem, with
    rigorous bounds of the second derivatives over the cube, ``|F(c)| <= |grad F(c)| . r + r' B r /
    2`` for the half widths ``r``.
    """

    second: np.ndarray
    third: np.ndarray

    def __init__(
        self,
        formulas: Any,
        ambient_dim: int,
        name: str = "level set",
        reach: float | None = None,
        reach_source: str = "given",
        volume: float | None = None,
    ) -> None:
        formulas = list(formulas) if isinstance(formulas, (list, tuple)) else [formulas]
        require(
            all(isinstance(f, (str, sympy.Expr)) for f in formulas),
            "formulas",
            formulas,
            "a formula or a list of formulas",
        )
        ambient_dim = integer("ambient_dim", ambient_dim, 2, 4)
        require(
            1 <= len(formulas) < ambient_dim,
            "formulas",
            formulas,
            f"from 1 to {ambient_dim - 1} formulas",
        )
        self.ambient_dim = ambient_dim
        self.dim = ambient_dim - len(formulas)
        self.name = name
        self.volume = volume
        self.codim = len(formulas)
        self._expressions = expressions = [parse(f, ambient_dim) for f in formulas]
        self.low = np.zeros(ambient_dim)
        self.high = np.ones(ambient_dim)
        self._differentiate(expressions)
        require(
            np.isfinite(self.second).all(),
            "formulas",
            formulas,
            "twice differentiable with bounded derivatives",
        )
        self.scale = 1 + self.second.sum()
        centres, half = self.boxes(1 / 64)
        require(len(centres) > 0, "formulas", formulas, "with a zero in the cube")
        self.low, self.high = centres.min(0) - half, centres.max(0) + half
        self.second = self._bounds(expressions, 2)
        self.third = self._bounds(expressions, 3).sum(-1)
        require_regular(self, formulas)
        while half > 1 / 8192:  # look at the boxes at the faces more closely
            centres = centres[np.minimum(centres - half, 1 - centres - half).min(1) < 1e-9]
            if len(centres) == 0:
                break
            centres, half = self.boxes(half, centres, half)
        require(
            len(centres) == 0,
            "manifold",
            name,
            "in the open unit cube, at least 1/4096 off its faces; scale or move it",
        )
        if reach is not None:
            self.reach = positive("reach", reach)
            self.reach_source = reach_source
            self.reach_proved = reach_source != "given"
            return
        self.reach_proved = False  # in float64, without outward rounding
        self.reach, self.reach_above = reach_of_zeros(self)
        require(
            self.reach_above >= SMALLEST,
            "formulas",
            formulas,
            f"with zeros whose reach is at least {SMALLEST:g}; pairs of points show that it is at"
            f" most {self.reach_above:.2g}",
        )
        require(
            self.reach > 0.1 * self.reach_above,
            "formulas",
            formulas,
            "with zeros whose reach can be bounded from below with fewer boxes; it is at most"
            f" {self.reach_above:.2g}",
        )
        self.reach_source = "lower bound in float64 from curvature and bottlenecks over boxes"

    def numbers(self) -> list:
        """What tells it from every other one of its kind."""
        return ["zeros", *map(sympy.srepr, self._expressions)]

    def _differentiate(self, expressions):
        """The formulas and their derivatives as functions, and the bounds of second and third
        derivatives.
        """
        dim = self.ambient_dim
        symbols = variables(self.ambient_dim)
        self._functions = [torch_function(e, dim) for e in expressions]
        self._gradients = [
            [torch_function(sympy.diff(e, s), dim) for s in symbols] for e in expressions
        ]
        self._hessians = [
            {
                (i, j): torch_function(sympy.diff(e, symbols[i], symbols[j]), dim)
                for i, j in combinations_with_replacement(range(dim), 2)
            }
            for e in expressions
        ]
        self.second = self._bounds(expressions, 2)

    def _bounds(self, expressions, order):
        """Bounds of the moduli of all derivatives of this order in the box from ``low`` to
        ``high``: (D - d, D, .., D).
        """
        dim = self.ambient_dim
        symbols = variables(self.ambient_dim)
        place = {
            x: sympy.Rational(a) + sympy.Rational(b - a) * x
            for x, a, b in zip(symbols, self.low, self.high)
        }
        result = np.zeros((len(expressions), *[dim] * order))
        for k, e in enumerate(expressions):
            for index in combinations_with_replacement(range(dim), order):
                derivative = sympy.diff(e, *(symbols[i] for i in index)).subs(
                    place, simultaneous=True
                )
                bound = bound_on_cube(derivative, dim, _CLOSE, _WORK)
                for other in permutations(index):
                    result[k, *other] = bound
        return result

    def equations(self) -> list[sympy.Expr]:
        """The formulas."""
        return self._expressions

    def _holds(self, x):
        """The manifold are the zeros in the open cube. What is connected with one of them by zeros
        is in the cube, too, as none is near its faces.
        """
        return ((x.lower > 0) & (x.upper < 1)).all(0)

    def values(self, x: Float64[np.ndarray | Tensor, "P D"]) -> Float64[np.ndarray, "P codim"]:
        """``F`` at points (P, D): (P, D - d)."""
        points = torch.from_numpy(np.ascontiguousarray(x))
        return torch.stack([f(points) for f in self._functions], dim=1).numpy()

    def jacobian(self, x: Float64[np.ndarray | Tensor, "P D"]) -> Float64[np.ndarray, "P codim D"]:
        """The gradients of ``F`` at points (P, D): (P, D - d, D)."""
        points = torch.from_numpy(np.ascontiguousarray(x))
        return torch.stack(
            [torch.stack([g(points) for g in row], dim=1) for row in self._gradients], dim=1
        ).numpy()

    def hessian(self, x: Float64[np.ndarray | Tensor, "P D"]) -> Float64[np.ndarray, "P codim D D"]:
        """The second derivatives of ``F`` at points (P, D): (P, D - d, D, D)."""
        y = torch.from_numpy(np.ascontiguousarray(x))
        result = np.empty((len(x), *self.second.shape))
        for k, row in enumerate(self._hessians):
            for (i, j), function in row.items():
                result[:, k, i, j] = result[:, k, j, i] = function(y).numpy()
        return result

    def may_vanish(
        self, centres: Float64[np.ndarray, "P D"], half: float
    ) -> Bool[np.ndarray, " P"]:
        """Whether boxes with centres (P, D) and this half width may hold a zero: bool array
        (P,).
        """
        allowed = half * np.abs(self.jacobian(centres)).sum(2) + half**2 / 2 * self.second.sum(
            (1, 2)
        )
        return (np.abs(self.values(centres)) <= allowed).all(1)

    def boxes(
        self, width: float, centres: Float64[np.ndarray, "_ D"] | None = None, half: float = 0.5
    ) -> tuple[Float64[np.ndarray, "P D"], float]:
        """Centres (P, D) and half width of boxes, at most this wide, that cover the zeros in the
        cube or in given boxes.

        Raises
        ------
        InputError
            If too many boxes would be needed.
        """
        centres = np.full((1, self.ambient_dim), 0.5) if centres is None else centres
        corners = np.array(list(product((-1, 1), repeat=self.ambient_dim)))
        while 2 * half > width and len(centres):
            half /= 2
            centres = (centres[:, None] + half * corners).reshape(-1, self.ambient_dim)
            require(
                len(centres) <= _MAXIMUM_BOXES * 2**self.ambient_dim,
                "radius",
                2 * half,
                "larger: the net is too fine",
            )
            centres = centres[self.may_vanish(centres, half)]
        return centres, half

    def _newton(self, x):
        """Gauss-Newton steps towards the zeros; returns points and the residual."""
        for _ in range(_NEWTON):
            jacobian = self.jacobian(x)
            gram = jacobian @ np.swapaxes(jacobian, 1, 2)
            if _determinant(gram).min(initial=1) <= 0:
                raise InputError(
                    f"formulas = {self.name}: must have linearly independent gradients near the"
                    " zeros"
                )
            step = (np.swapaxes(jacobian, 1, 2) @ np.linalg.solve(gram, self.values(x)[..., None]))[
                ..., 0
            ]
            x = x - step
            if np.abs(step).max(initial=0) <= _SMALL:
                break
        return x

    def project(self, x: Float64[np.ndarray | Tensor, "P D"]) -> Float64[np.ndarray, "P D"]:
        return self._newton(np.asarray(x, float))

    def tangent_basis(self, x: Float64[np.ndarray | Tensor, "P D"]) -> Float64[np.ndarray, "P D d"]:
        """From the complete QR factorisation of the gradients."""
        q = np.linalg.qr(np.swapaxes(self.jacobian(x), 1, 2), mode="complete")[0]
        return q[:, :, self.ambient_dim - self.dim :]

    def inverse_chart(
        self,
        centre: Float64[np.ndarray, " D"],
        frame: Float64[np.ndarray, "D d"],
        t: Float64[np.ndarray, "P d"],
    ) -> Float64[np.ndarray, "P D"]:
        """Newton's method in the normal space, along the segment from 0 to ``t`` in two steps.

        Raises
        ------
        InputError
            Where Newton's method does not arrive: outside the chart.
        """
        normal = np.linalg.qr(frame, mode="complete")[0][:, self.dim :]
        flat = t @ frame.T
        height = np.zeros((len(t), normal.shape[1]))
        for k in range(1, _STEPS + 1):
            for _ in range(_NEWTON):
                x = centre + k / _STEPS * flat + height @ normal.T
                slope = self.jacobian(x) @ normal
                singular = np.abs(_determinant(slope)) < 1e-12
                slope[singular] = np.eye(normal.shape[1])
                step = (
                    self.values(x) / slope[:, 0]
                    if normal.shape[1] == 1
                    else np.linalg.solve(slope, self.values(x)[..., None])[..., 0]
                )
                height = height - step
                if np.abs(step).max(initial=0) <= (_SMALL if k == _STEPS else 1e-3 * self.reach):
                    break
        x = centre + flat + height @ normal.T
        good = np.isfinite(x).all() and np.abs(self.values(x)).max(initial=0) <= 1e-11 * self.scale
        good = good and np.linalg.norm(x - centre, axis=1).max(initial=0) <= np.sqrt(
            2
        ) * self.reach * (1 + 1e-9)
        require(
            good,
            "t",
            float(np.linalg.norm(t, axis=1).max(initial=0)),
            f"the tangential part of a point of the chart (reach {self.reach:.4g})",
        )
        return x

    @cached_property
    def _leaves(self):
        return self.boxes(1 / 128)

    def draw(self, points: int, seed: Seed = 0) -> Float64[np.ndarray, "P D"]:
        """Projections of uniform random points of boxes that meet the manifold."""
        centres, half = self._leaves
        rng = np.random.default_rng(seed)
        start = centres[rng.integers(len(centres), size=points)] + rng.uniform(
            -half, half, (points, self.ambient_dim)
        )
        return self.project(start)

    def net(self, radius: float) -> tuple[Float64[np.ndarray, "P D"], float]:
        width = positive("radius", radius) / np.sqrt(self.ambient_dim) / 0.9
        while True:
            centres, half = self.boxes(width)
            points = self.project(centres)
            found = np.linalg.norm(points - centres, axis=1).max() + half * np.sqrt(
                self.ambient_dim
            )
            if found <= radius:
                return points, float(found)
            width /= 2


def ellipsoid(semi_axes: Sequence[float] = (0.45, 0.4, 0.33)) -> LevelSet:
    """An ellipsoid around the centre of the cube; its reach is the smallest radius of curvature,
    ``min^2 / max``.

    (A ball of that radius rolls freely inside a convex body: Blaschke's rolling theorem.)

    Raises
    ------
    InputError
        For other than three axes, or a body that leaves the cube.
    """
    axes = [positive("semi_axes", a) for a in semi_axes]
    require(len(axes) == 3, "semi_axes", semi_axes, "three numbers")
    check_cube("ellipsoid", 0.5 - np.array(axes), 0.5 + np.array(axes))
    formula = " + ".join(f"((x{i + 1} - 1/2)/{a!r})**2" for i, a in enumerate(axes)) + " - 1"
    return LevelSet(
        formula,
        3,
        f"ellipsoid with semi-axes {axes}",
        min(axes) ** 2 / max(axes),
        "smallest radius of curvature, min^2/max (Blaschke)",
    )


def torus(large: float = 0.3, small: float = 0.15) -> LevelSet:
    """The torus of circles of radius ``small`` around a circle of radius ``large``; reach
    ``min(small, large - small)``.

    Raises
    ------
    InputError
        For ``large <= small``.
    """
    large, small = positive("large", large), positive("small", small)
    require(large > small, "large", large, f"larger than small = {small:g}")
    check_cube("torus", np.full(3, 0.5 - large - small), np.full(3, 0.5 + large + small))
    square = (
        "((x1 - 1/2)**2 + (x2 - 1/2)**2 + (x3 - 1/2)**2 + {} - {})**2 - 4*{}*((x1 - 1/2)**2 + (x2 -"
        " 1/2)**2)"
    )
    return LevelSet(
        square.format(repr(large**2), repr(small**2), repr(large**2)),
        3,
        f"torus with radii {large:g} and {small:g}",
        min(small, large - small),
        "min(r, R - r): the tube and the hole",
        4 * np.pi**2 * large * small,
    )


def peanut(a: float = 0.25, b: float = 0.29) -> LevelSet:
    """A surface of Cassini ovals, ``|x - p| |x - q| = b^2`` with foci ``2a`` apart: not convex
    for ``a < b < sqrt(2) a``.

    Raises
    ------
    InputError
        For ``a >= b``, where there are two pieces or a singular point.
    """
    a, b = positive("a", a), positive("b", b)
    require(a < b, "b", b, f"larger than a = {a:g} (one piece)")
    radius = "((x1 - 1/2)**2 + (x2 - 1/2)**2 + (x3 - 1/2)**2 + {0})**2 - 4*{0}*(x1 - 1/2)**2 - {1}"
    return LevelSet(
        radius.format(repr(a * a), repr(b**4)), 3, f"Cassini surface with a={a:g}, b={b:g}"
    )
