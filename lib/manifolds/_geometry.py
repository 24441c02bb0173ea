"""What the geometry of a manifold is to this library: one small interface (book: chapter 06)."""

import numpy as np
from jaxtyping import Float64
from torch import Tensor

from lib.errors import require

Seed = int | tuple[int, ...]  # of numpy's generators
OFF = 1e-8  # a point at most this far from a manifold counts as a point of it


class Geometry:
    """The geometry of a compact ``d``-dimensional manifold without boundary in ``[0,1]^D``.

    Computed in numpy: points are rows of float64 arrays (tensors are taken, too), results are
    arrays.  A subclass supplies `draw`, `project`, `tangent_basis`, `inverse_chart` and `net`, and
    `geodesic` where a closed form is known.

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
            f"{self.name} (d={self.dim}, D={self.ambient_dim}, reach {self.reach:.4g}:"
            f" {self.reach_source})"
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
