"""What `lib.approximate` asks of the place on which a function is approximated (book: chapters
05 and 07).

`lib.Cube` and every manifold of `lib.manifolds` answer; a new kind of domain is a class with these
methods.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float64, Int
from torch import Tensor

from lib.convresnet import Chart
from lib.norms import Norms


@dataclass(frozen=True)
class Localisation:
    """What the partition of unity in front of charts costs (book: ``lem-partition-net``,
    ``lem-partition-slope``).

    Attributes
    ----------
    overlap : int
        ``A``: at most so many of its functions are positive at a point.
    lipschitz : float
        ``Lambda``: at least ``sup sum_i |grad rho_i|``.
    rounding : float
        What float64 may miss of each ``w_k``.
    """

    overlap: int
    lipschitz: float
    rounding: float


@runtime_checkable
class Problem(Protocol):
    """A target on a domain, as the theorems see it: charts with coefficients, and what bounds the
    error.

    Attributes
    ----------
    target : lib.Target
    domain : Domain
    dim, order : int
        ``d``, the number of mesh coordinates, and ``m``.
    alpha : int or float
        The smoothness that is used.
    minimum_cells, maximum_cells : int or infinity
        The meshes that can be used.
    slope_factor : float
        From the largest partial derivative in mesh directions to the slope of the domain.
    reach : float or None
        Of the manifold; None on the cube.
    localisation : Localisation or None
        None on the cube, which is one chart.
    """

    target: Any
    domain: "Domain"
    dim: int
    order: int
    alpha: float
    minimum_cells: int
    maximum_cells: float
    slope_factor: float
    reach: float | None

    @property
    def derivative_bounds(self) -> dict:
        """``{multi-index: bound}`` of what enters the bound."""

    @property
    def localisation(self) -> Localisation | None:
        """What the partition of unity costs, None where there is none."""

    def count_terms(self, cells: int) -> int:
        """``T``, the number of terms."""

    def indices(self, cells: int) -> list[Int[np.ndarray, "_ d"]]:
        """The terms of each chart, in the order in which `coefficient_error` reads them."""

    def mesh_slope(self, cells: int) -> float:
        """Mesh units a unit of length."""

    def mesh_rounding(self, charts: list[Chart], cells: int) -> float:
        """What mesh coordinates may be off, in mesh units and units of roundoff."""

    def coefficient_error(self, charts: list[Chart], cells: int) -> tuple[float, bool]:
        """What coefficients may be off, and whether that is proved."""

    def spline_error(self, cells: int) -> Norms:
        """The spline against the target."""

    def breakdown(self, cells: int) -> dict[str, float]:
        """The numbers whose product the spline part is, by name."""

    def charts(self, cells: int) -> list[Chart]:
        """The charts with their coefficients."""


@runtime_checkable
class Setting(Protocol):
    """What can be asked for a problem: a domain, or an atlas of one.

    Attributes
    ----------
    ambient_dim : int
        ``D``.
    """

    @property
    def ambient_dim(self) -> int:
        """``D``."""

    def problem(self, target: Any, order: int, cells: int | None = None) -> Problem:
        """What the theorem needs to know of a target; ``cells`` where the mesh is known."""


@runtime_checkable
class Domain(Setting, Protocol):
    """The place on which a function is approximated; points are float64 tensors (P, D).

    Attributes
    ----------
    dim, ambient_dim : int
        ``d`` and ``D``.
    """

    dim: int

    def sample(self, points: int, seed: int = 0) -> Float64[Tensor, "P D"]:
        """So many points."""

    def batches(self, points: int, seed: int = 0) -> Iterator[Float64[Tensor, "P D"]]:
        """So many points, in parts that fit into memory."""

    def check(self, x: Float64[Tensor, "P D"]) -> None:
        """Raise `InputError` unless the rows are points of the domain."""

    def slope(
        self, x: Float64[Tensor, "P D"], gradient: Float64[Tensor, "P D"]
    ) -> Float64[Tensor, " P"]:
        """The norm in which slopes are measured, of gradients (P, D) at points; (P,)."""

    def along(
        self, x: Float64[Tensor, "P D"], gradient: Float64[Tensor, "P D"]
    ) -> Float64[Tensor, "P D"]:
        """The part of gradients that counts; (P, D)."""

    def towards(self, x: Float64[Tensor, "P D"]) -> Float64[Tensor, "P D"]:
        """A direction at each point into the domain, none of them special; (P, D)."""

    def patch(self, charts: list[Chart], cells: int) -> "Patch":
        """The image of a box over which errors are enclosed (`lib.certify`)."""


@runtime_checkable
class Patch(Protocol):
    """The domain of a certificate: the image of a box of ``p`` parameters ``s`` from 0 to
    ``roots``.

    Attributes
    ----------
    dim : int
        ``p``.
    roots : tuple of int
    """

    dim: int

    @property
    def roots(self) -> tuple[int, ...]:
        """Where boxes begin."""

    @property
    def localisation(self) -> Localisation | None:
        """What the partition of unity in front of charts costs; None where there is one chart."""

    def counts(self, boxes: Any) -> Bool[np.ndarray, " P"]:
        """Which boxes meet the domain: elsewhere there is no error."""

    def contains(self, s: Float64[np.ndarray, "P p"]) -> Bool[np.ndarray, " P"]:
        """Which parameters are those of points of the domain that count."""

    def boxes_of(self, chart: int, local: Any) -> Int[np.ndarray, " P"]:
        """Which boxes belong to a chart."""

    def describe(self) -> str:
        """For the reader."""

    def numbers(self) -> list:
        """What tells it from every other one of its kind."""

    def local(self, boxes: Any, order: int) -> Any:
        """Expansions of the coordinates over boxes (`lib.domains.Local`)."""

    def mesh(self, local: Any, chart: Any) -> tuple:
        """Expansions of the mesh coordinates of a chart, and the ends of their ranges."""

    def slope(self, local: Any, sizes: Float64[np.ndarray, "p P"]) -> Float64[np.ndarray, " P"]:
        """Upper bounds of the slope, from those of the derivatives along the parameters."""

    def points(self, s: Float64[np.ndarray, "P p"]) -> Float64[np.ndarray, "P D"]:
        """Points (P, D) for parameters (P, p), in float64."""

    def point(self, s: Float64[np.ndarray, " p"]) -> list:
        """The point for parameters (p,), in balls."""

    def neighbour(
        self, s: Float64[np.ndarray, " p"], x: list, direction: Float64[np.ndarray, " D"], step: Any
    ) -> tuple:
        """A point of the domain about a step from ``x``, and the length of a path to it."""
