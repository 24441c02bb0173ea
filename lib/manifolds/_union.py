"""Several manifolds of one dimension that do not meet, as one (book: chapter 06)."""

from typing import Any

import numpy as np
from jaxtyping import Float64, Int
from scipy.spatial import cKDTree
from torch import Tensor

from lib.errors import require
from lib.intervals import Balls, Taylor
from lib.manifolds._base import Manifold
from lib.manifolds._geometry import Seed


class Union(Manifold):
    """The union of manifolds of the same dimension in the same cube.

    Its reach is the smallest of theirs and of half the distances between two of them.

    Parameters
    ----------
    parts : list of Manifold
        Two at least.

    Attributes
    ----------
    parts : tuple of Manifold
    gap : float
        A lower bound of the distance between two parts, from nets.

    Raises
    ------
    InputError
        For parts of different dimensions, or so close that no positive lower bound of a distance is
        found.
    """

    def __init__(self, parts: Any) -> None:
        self.parts = tuple(parts)
        require(
            len(self.parts) >= 2 and all(isinstance(p, Manifold) for p in self.parts),
            "parts",
            parts,
            "two manifolds at least",
        )
        dims = {(p.dim, p.ambient_dim) for p in self.parts}
        require(len(dims) == 1, "parts", sorted(dims), "of one dimension, in one cube")
        (self.dim, self.ambient_dim), self.name = (
            dims.pop(),
            " and ".join(p.name for p in self.parts),
        )
        nets = [p.net(p.reach / 50) for p in self.parts]
        self._tree = cKDTree(np.concatenate([x for x, _ in nets]))
        self._owner = np.repeat(np.arange(len(nets)), [len(x) for x, _ in nets])
        self.gap = min(
            float(cKDTree(x).query(y)[0].min()) - r - s
            for i, (x, r) in enumerate(nets)
            for y, s in nets[:i]
        )
        least = min(p.reach for p in self.parts)
        require(
            self.gap > least / 50,
            "parts",
            f"distance at least {self.gap:.3g} only",
            "farther apart: they nearly meet",
        )
        self.reach = min(least, self.gap / 2)
        self.reach_source = (
            "the smallest of the parts" if self.reach == least else "half the distance of two parts"
        )
        self.reach_proved = all(p.reach_proved for p in self.parts)
        volumes = [p.volume for p in self.parts]
        self.volume = None if None in volumes else sum(volumes)

    def numbers(self) -> list:
        """What tells it from every other one of its kind."""
        return [len(self.parts), *(n for p in self.parts for n in p.numbers())]

    def part(self, x: Float64[np.ndarray | Tensor, "P D"]) -> Int[np.ndarray, " P"]:
        """The index of the part with the nearest point of a fine net: the nearest part, near the
        union; (P, D) to (P,).
        """
        return self._owner[self._tree.query(x)[1]]

    def _each(self, x, function, shape):
        x = np.asarray(x)
        result = np.empty((len(x), *shape))
        which = self.part(x)
        for i, p in enumerate(self.parts):
            if (which == i).any():
                result[which == i] = function(p, x[which == i])
        return result

    def project(self, x: Float64[np.ndarray | Tensor, "P D"]) -> Float64[np.ndarray, "P D"]:
        return self._each(x, lambda p, y: p.project(y), (self.ambient_dim,))

    def tangent_basis(self, x: Float64[np.ndarray | Tensor, "P D"]) -> Float64[np.ndarray, "P D d"]:
        return self._each(x, lambda p, y: p.tangent_basis(y), (self.ambient_dim, self.dim))

    def inverse_chart(
        self,
        centre: Float64[np.ndarray, " D"],
        frame: Float64[np.ndarray, "D d"],
        t: Float64[np.ndarray, "P d"],
    ) -> Float64[np.ndarray, "P D"]:
        return self.parts[int(self.part(centre[None])[0])].inverse_chart(centre, frame, t)

    def _expand(self, centres, frames, t, reach):
        """Part by part, where there is no other point of the union."""
        which = self.part(centres)
        shape = (self.ambient_dim, *t[0].coefficients.shape)
        mid, rad = np.zeros(shape), np.full(shape, np.inf)
        for i, p in enumerate(self.parts):
            own = which == i
            if own.any():
                found = p._expand(centres[own], frames[own], [u[own] for u in t], reach)
                mid[..., own] = [x.coefficients.mid for x in found]
                rad[..., own] = [x.coefficients.rad for x in found]
        return [Taylor(Balls(m, r), t[0].dim, t[0].order) for m, r in zip(mid, rad)]

    def _chart_point(self, centre, frame, t, reach):
        return self.parts[int(self.part(centre[None])[0])]._chart_point(centre, frame, t, reach)

    def draw(self, points: int, seed: Seed = 0) -> Float64[np.ndarray, "P D"]:
        """As many points on each part, up to one, in random order."""
        share = -(-points // len(self.parts))
        seeds = [(*np.atleast_1d(seed).tolist(), i) for i in range(len(self.parts))]
        found = np.concatenate([p.draw(share, s) for p, s in zip(self.parts, seeds)])
        return np.random.default_rng(seed).permutation(found)[:points]

    def net(self, radius: float) -> tuple[Float64[np.ndarray, "P D"], float]:
        nets = [p.net(radius) for p in self.parts]
        return np.concatenate([x for x, _ in nets]), max(r for _, r in nets)

    def geodesic(
        self, x: Float64[np.ndarray | Tensor, "P D"], y: Float64[np.ndarray | Tensor, "P D"]
    ) -> Float64[np.ndarray, " P"] | None:
        """Infinite between different parts; None if a part has no closed form."""
        x, y = np.asarray(x), np.asarray(y)
        here = self.part(x)
        there = self.part(y)
        result = np.full(len(x), np.inf)
        for i, p in enumerate(self.parts):
            both = (here == i) & (there == i)
            lengths = p.geodesic(x[both], y[both])
            if lengths is None:
                return None
            result[both] = lengths
        return result
