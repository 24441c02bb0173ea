"""What the geometry of a manifold is to this library: one small interface (book: chapter 06)."""

import numpy as np
import sympy
from flint import arb
from jaxtyping import Float64
from torch import Tensor

from lib.errors import require
from lib.intervals import Taylor
from lib.manifolds._expansion_points import point_of_zeros
from lib.manifolds._expansion_zeros import expansion_of_zeros

Seed = int | tuple[int, ...]  # of numpy's generators
OFF = 1e-8  # a point at most this far from a manifold counts as a point of it


class Geometry:
    """The geometry of a compact ``d``-dimensional manifold without boundary in ``[0,1]^D``.

    Computed in numpy: points are rows of float64 arrays (tensors are taken, too), results are
    arrays.  A subclass supplies `draw`, `project`, `tangent_basis`, `inverse_chart`, `net` and
    `equations`, and `geodesic` where a closed form is known.

    Attributes
    ----------
    name : str
    dim, ambient_dim : int
        ``d`` and ``D``.
    reach : float
        ``tau``: a lower bound of the reach.
    reach_source : str
        Where the reach comes from: a closed form, a bound computed here, or an estimate.
    reach_proved : bool
        Whether it is one: a closed form, or a bound with every constant enclosed; otherwise it is
        assumed.
    volume : float or None
        ``d``-dimensional volume where it is known.
    """

    name: str
    dim: int
    ambient_dim: int
    reach: float
    reach_source: str
    reach_proved: bool = True
    volume: float | None = None

    def __repr__(self):
        return (
            f"{self.name} (d={self.dim}, D={self.ambient_dim}, reach {self.reach:.4g},"
            f" {'proved' if self.reach_proved else 'assumed'}: {self.reach_source})"
        )

    def numbers(self) -> list:
        """Strings, numbers and arrays that tell the set from every other one of its kind."""
        raise NotImplementedError

    def project(self, x: Float64[np.ndarray | Tensor, "P D"]) -> Float64[np.ndarray, "P D"]:
        """A nearby point of the manifold for points close to it (the nearest one where that is
        cheap).

        Parameters
        ----------
        x : float64 array, shape (P, D)

        Returns
        -------
        float64 array, shape (P, D).
        """
        raise NotImplementedError

    def tangent_basis(self, x: Float64[np.ndarray | Tensor, "P D"]) -> Float64[np.ndarray, "P D d"]:
        """Orthonormal bases of the tangent spaces at points of the manifold: (P, D) to (P, D,
        d).
        """
        raise NotImplementedError

    def inverse_chart(
        self,
        centre: Float64[np.ndarray, " D"],
        frame: Float64[np.ndarray, "D d"],
        t: Float64[np.ndarray, "P d"],
    ) -> Float64[np.ndarray, "P D"]:
        """The points ``x`` near ``centre`` with ``V^T (x - c) = t`` (``lem-chart``).

        Parameters
        ----------
        centre : float64 array, shape (D,)
            A point ``c`` of the manifold.
        frame : float64 array, shape (D, d)
            An orthonormal basis ``V`` of the tangent space at ``c``.
        t : float64 array, shape (P, d)
            Shorter than the reach.

        Returns
        -------
        float64 array, shape (P, D).

        Raises
        ------
        InputError
            If there is no such point, or the iteration does not find it.
        """
        raise NotImplementedError

    def equations(self) -> list[sympy.Expr]:
        """Formulas ``F`` in ``x1 .. xD``, ``D - d`` of them, whose zeros near the manifold are its
        points and are regular.
        """
        raise NotImplementedError

    def expansion(
        self,
        centres: Float64[np.ndarray, "P D"],
        frames: Float64[np.ndarray, "P D d"],
        t: list[Taylor],
    ) -> list[Taylor]:
        """The points ``x`` near ``c`` with ``V^T (x - c) = t`` as enclosed expansions, exactly for
        these numbers ``c`` and ``V`` (``lem-chart``, ``lem-taylor``).

        Parameters
        ----------
        centres : float64 array, shape (P, D)
            Points of the manifold up to rounding, one for each box.
        frames : float64 array, shape (P, D, d)
            Orthonormal bases of the tangent spaces there times a number for each, up to rounding.
        t : list of Taylor
            The ``d`` coordinates in units of length, as expansions over ``P`` boxes.

        Returns
        -------
        list of Taylor
            The ``D`` coordinates of the points, of the dimension and order of ``t``; of infinite
            radius where it is not proved that there is one such point, and one only among those
            that are nearer to ``c`` than ``sqrt(2)`` times the reach.

        Raises
        ------
        InputError
            If the numbers of boxes differ, or dimensions are not those of the manifold.
        """
        centres, frames = np.asarray(centres, float), np.asarray(frames, float)
        boxes = t[0].coefficients.shape[1] if t else 0
        shapes = (boxes, self.ambient_dim), (boxes, self.ambient_dim, self.dim)
        require(len(t) == self.dim, "t", f"{len(t)} expansions", f"{self.dim} of them")
        require(centres.shape == shapes[0], "centres", centres.shape, f"of shape {shapes[0]}")
        require(frames.shape == shapes[1], "frames", frames.shape, f"of shape {shapes[1]}")
        return self._expand(centres, frames, t, self.reach)

    def _expand(self, centres, frames, t, reach):
        """`expansion`, unique within this reach; curves and unions have their own."""
        return expansion_of_zeros(self, centres, frames, t, reach)

    def _holds(self, x):
        """Whether zeros of the equations in balls (D, P) are points of the manifold."""
        return np.ones(x.shape[1], bool)

    def chart_point(
        self, centre: Float64[np.ndarray, " D"], frame: Float64[np.ndarray, "D d"], t: list[arb]
    ) -> list[arb]:
        """One point of `expansion` with as many digits as python-flint is set to, by other means:
        formulas of derivatives and interval Newton in its balls.

        Parameters
        ----------
        centre : float64 array, shape (D,)
        frame : float64 array, shape (D, d)
        t : list of arb
            The ``d`` coordinates, shorter than the reach; what is found holds for all numbers in
            them.

        Returns
        -------
        list of arb
            The ``D`` coordinates of the point.

        Raises
        ------
        InputError
            Where no point is found, or it is not proved that there is one and only one.
        """
        return self._chart_point(centre, frame, t, self.reach)

    def _chart_point(self, centre, frame, t, reach):
        """`chart_point`, unique within this reach."""
        return point_of_zeros(self, centre, frame, t, reach)

    def draw(self, points: int, seed: Seed = 0) -> Float64[np.ndarray, "P D"]:
        """Random points with a positive density (not uniform in general): float64 array (points,
        D).
        """
        raise NotImplementedError

    def net(self, radius: float) -> tuple[Float64[np.ndarray, "P D"], float]:
        """Points that leave no point of the manifold farther away than a certified radius.

        Parameters
        ----------
        radius : float
            What is aimed at.

        Returns
        -------
        points : float64 array, shape (P, D)
        radius : float
            Proved: the Euclidean distance from any point of the manifold to the nearest of them is
            at most this.
        """
        raise NotImplementedError

    def geodesic(
        self, x: Float64[np.ndarray | Tensor, "P D"], y: Float64[np.ndarray | Tensor, "P D"]
    ) -> Float64[np.ndarray, " P"] | None:
        """Lengths of shortest paths between rows of ``x`` and ``y`` (P, D): (P,), or None if no
        closed form is known.
        """
        return None

    def tangent_projector(
        self, x: Float64[np.ndarray | Tensor, "P D"]
    ) -> Float64[np.ndarray, "P D D"]:
        """Orthogonal projectors onto the tangent spaces: (P, D) to (P, D, D)."""
        basis = self.tangent_basis(x)
        return basis @ np.swapaxes(basis, 1, 2)

    def distance(self, x: Float64[np.ndarray | Tensor, "P D"]) -> Float64[np.ndarray, " P"]:
        """Upper bounds of the distances of points (P, D) from the manifold; (P,)."""
        x = np.asarray(x)
        return np.linalg.norm(x - self.project(x), axis=1)


def check_cube(name, low, high):
    """Raise `InputError` unless the box from ``low`` to ``high`` (arrays) lies in the unit cube."""
    inside = low.min() >= -1e-12 and high.max() <= 1 + 1e-12
    require(
        inside,
        "manifold",
        f"{name}, coordinates from {low.min():.6g} to {high.max():.6g}",
        "inside the unit cube [0,1]^D; scale or move it",
    )
