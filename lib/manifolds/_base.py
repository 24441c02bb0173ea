"""A manifold as a domain of Theorem B: points for targets and networks, and its problem (book:
``thm-manifold``).
"""

from collections.abc import Callable, Iterator

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor

from lib.convresnet import Chart
from lib.errors import integer, require
from lib.manifolds._choose import choose_atlas
from lib.manifolds._geometry import OFF, Geometry, Seed
from lib.manifolds._patches import ChartsPatch
from lib.manifolds._problem import ManifoldProblem, target_on
from lib.targets import Target


class Manifold(Geometry):
    """A `lib.domains.Domain` with the geometry of a manifold; points are rows of float64 tensors.

    The slope of a function is the Euclidean length of its tangential gradient.
    """

    def sample(self, points: int, seed: Seed = 0) -> Float64[Tensor, "P D"]:
        """The points of `draw` as a float64 tensor (points, D)."""
        return torch.from_numpy(self.draw(integer("points", points, 0), seed))

    def batches(self, points: int, seed: int = 0) -> Iterator[Float64[Tensor, "P D"]]:
        """Samples in float64 tensors (P, D) that together hold ``points`` points; the first is
        ``sample(P, seed)``.
        """
        size = max(1 << 10, min(1 << 16, (1 << 20) // self.ambient_dim))
        for number, start in enumerate(range(0, points, size)):
            yield self.sample(min(size, points - start), (seed, number) if number else seed)

    def check(self, x: Float64[Tensor, "P D"]) -> None:
        """Raise `InputError` unless the rows of ``x``, float64 tensor (P, D), lie on the
        manifold (to 1e-8).
        """
        points = x.detach().numpy()
        require(np.isfinite(points).all(), "x", "values that are not finite", "finite")
        far = self.distance(points) if len(x) else np.zeros(0)
        worst = int(far.argmax()) if len(x) else 0
        require(
            len(x) == 0 or far[worst] <= OFF,
            "x",
            points[worst : worst + 1].tolist(),
            f"points of the manifold {self.name}; this one is {far.max(initial=0):.2g} away",
        )

    def towards(self, x: Float64[Tensor, "P D"]) -> Float64[Tensor, "P D"]:
        """A tangent direction at points (P, D), none of them special; float64 tensors both."""
        away = 1 + np.arange(1, self.ambient_dim + 1) * (5**0.5 - 1) / 2 % 1
        return torch.from_numpy(
            (self.tangent_projector(x.detach().numpy()) @ away[:, None])[..., 0]
        )

    def along(
        self, x: Float64[Tensor, "P D"], gradient: Float64[Tensor, "P D"]
    ) -> Float64[Tensor, "P D"]:
        """The tangential parts of ambient gradients, float64 tensors (P, D)."""
        basis = gradient.new_tensor(self.tangent_basis(x.detach().numpy()))
        return (basis @ (basis.transpose(1, 2) @ gradient[..., None]))[..., 0]

    def slope(
        self, x: Float64[Tensor, "P D"], gradient: Float64[Tensor, "P D"]
    ) -> Float64[Tensor, " P"]:
        """Euclidean length of the tangential part of ambient gradients, float64 tensors (P, D);
        (P,).
        """
        basis = gradient.new_tensor(self.tangent_basis(x.detach().numpy()))
        return (basis.transpose(1, 2) @ gradient[..., None])[..., 0].norm(dim=1)

    def problem(
        self, target: Target | Callable[[Tensor], Tensor], order: int, cells: int | None = None
    ) -> ManifoldProblem:
        """What Theorem B needs to know of a target, on the atlas with the best score
        (`lib.manifolds.choose_atlas`).

        Parameters
        ----------
        target : Target or callable
        order : int
            ``m``.
        cells : int, optional
            ``N``, if it is known: nodes must lie in the charts from so many cells on.

        Returns
        -------
        ManifoldProblem
        """
        target = target_on(target, self)
        return ManifoldProblem(target, choose_atlas(self, target, order, cells), order, cells)

    def patch(self, charts: list[Chart], cells: int) -> ChartsPatch:
        """The domain of a certificate: the balls of all charts, which must be those of an atlas.

        Parameters
        ----------
        charts : list of lib.convresnet.Chart
        cells : int
        """
        return ChartsPatch(self, charts, cells)
