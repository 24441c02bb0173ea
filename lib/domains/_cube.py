"""The domain of Theorem A (book: ``thm-cube``)."""

from collections.abc import Iterator

import torch
from jaxtyping import Float64
from scipy.stats import qmc
from torch import Tensor

from lib.convresnet import Chart
from lib.domains._cube_problem import CubeProblem
from lib.domains._patch import CubePatch
from lib.errors import integer, require
from lib.targets import Target

_BATCH = 1 << 16  # points held at once
_GOLDEN = (5**0.5 - 1) / 2  # its multiples modulo 1 are far apart


class Cube:
    """The domain ``[0,1]^D``.

    Parameters
    ----------
    dim : int
        ``D >= 1``.
    """

    def __init__(self, dim: int) -> None:
        self.dim = self.ambient_dim = integer("dim", dim, 1)

    def __repr__(self) -> str:
        return f"Cube({self.dim})"

    def batches(self, points: int, seed: int = 0) -> Iterator[Float64[Tensor, "P D"]]:
        """Scrambled Sobol points of 53 bits, in float64 tensors (P, D) that together hold
        ``points`` of them.

        Almost surely none is a kink of a network; with scipy's default of 30 bits all of them would
        be kinks of a network with 30 levels.
        """
        sobol = qmc.Sobol(self.dim, bits=53, seed=seed)
        for start in range(0, points, _BATCH):
            count = min(_BATCH, points - start)
            yield torch.from_numpy(sobol.random(2 ** (count - 1).bit_length())[:count])

    def sample(self, points: int, seed: int = 0) -> Float64[Tensor, "P D"]:
        """The points of `batches` in one float64 tensor (points, D)."""
        points = integer("points", points, 0)
        return (
            torch.cat([*self.batches(points, seed)])
            if points
            else torch.empty((0, self.dim), dtype=torch.float64)
        )

    def check(self, x: Float64[Tensor, "P D"]) -> None:
        """Raise `InputError` unless the rows of ``x``, float64 tensor (P, D), are points of the
        cube.
        """
        outside = x[~((x >= 0) & (x <= 1))]
        require(
            len(outside) == 0, "x", outside[:1].tolist(), f"points of the cube [0,1]^{self.dim}"
        )

    def towards(self, x: Float64[Tensor, "P D"]) -> Float64[Tensor, "P D"]:
        """A direction at points (P, D), float64 tensors: to larger coordinates, to smaller ones
        next to 1, in no special ratio.
        """
        away = 1 + torch.arange(1, self.dim + 1, dtype=torch.float64) * _GOLDEN % 1
        return torch.where(x <= 1 - 2.0**-40, away, -away)

    def along(
        self, x: Float64[Tensor, "P D"], gradient: Float64[Tensor, "P D"]
    ) -> Float64[Tensor, "P D"]:
        """The part of gradients, tensor (P, D), that counts: all of it."""
        return gradient

    def slope(
        self, x: Float64[Tensor, "P D"], gradient: Float64[Tensor, "P D"]
    ) -> Float64[Tensor, " P"]:
        """The norm in which slopes are measured: ``max_k |g_k|`` of gradients (P, D), tensor
        (P,).
        """
        return gradient.abs().amax(1)

    def problem(self, target: Target, order: int, cells: int | None = None) -> CubeProblem:
        """What Theorem A needs to know of a target; `CubeProblem`.

        Parameters
        ----------
        target : lib.Target
        order : int
            ``m``.
        cells : int, optional
            Not needed on a cube.
        """
        return CubeProblem(target, self, order)

    def patch(self, charts: list[Chart], cells: int) -> CubePatch:
        """The domain of a certificate (`lib.certify`); `CubePatch`.

        Parameters
        ----------
        charts : list of lib.convresnet.Chart
        cells : int
            ``N``: boxes are parts of mesh cells.
        """
        return CubePatch(self.dim, cells)
