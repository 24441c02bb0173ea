"""Charts: where the terms of a spline live in the ambient cube, and how much of them counts (book:
``prop-realisation``, ``lem-partition-net``).
"""

from dataclasses import dataclass, fields

import numpy as np
import torch
from jaxtyping import Float64, Int
from torch import Tensor

from lib import relu
from lib.errors import require


def _keep(owner, *names):
    """Replace arrays by copies that nobody else holds and nobody can write to."""
    for name in names:
        own = np.array(getattr(owner, name))
        own.setflags(write=False)
        object.__setattr__(owner, name, own.view())


def _anew(owner):
    """For pickles and copies: made anew, since numpy would let their arrays be written."""
    return type(owner), tuple(getattr(owner, field.name) for field in fields(owner))


@dataclass(frozen=True, eq=False)
class PartitionFunction:
    """One function of a partition of unity that is a ReLU network (``lem-partition-net``).

    ``rho_i = min(w_i, (1 - sum_{k<i} w_k)_+)`` with ``w_k = beta sigma(r_1^2 - d~_k^2)`` and
    ``beta = 1 / (r_1^2 - r_0'^2)``; ``d~_k^2 = sum_i sq_n(x_i) - 2 c_k.x + |c_k|^2`` is the squared
    distance to a centre as a network (``lem-distance-net``).  Where ``w_i`` is positive only the
    centres within ``2 r_1`` of ``c_i`` count.

    Attributes
    ----------
    centre : float64 array, shape (D,)
        ``c_i``, in the unit cube; a copy that can be read and not written, as ``earlier`` is.
    earlier : float64 array, shape (B, D)
        The centres ``c_k``, ``k < i``, within ``2 r_1`` of it.
    inner, outer : float
        ``r_0'^2 < r_1^2``: where some ``d~_k <= r_0'`` the functions add up to 1; ``rho_i = 0``
        where ``|x - c_i| >= r_1``.
    refinement : int
        ``n_d``, the level of the squares.
    """

    centre: Float64[np.ndarray, " D"]
    earlier: Float64[np.ndarray, "B D"]
    inner: float
    outer: float
    refinement: int

    def __post_init__(self):
        _keep(self, "centre", "earlier")
        for name in ("inner", "outer"):
            object.__setattr__(self, name, float(getattr(self, name)))
        require(
            self.centre.ndim == 1 and self.earlier.shape[1:] == self.centre.shape,
            "partition",
            (self.centre.shape, self.earlier.shape),
            "arrays (D,) and (B, D)",
        )
        require(0 < self.inner < self.outer, "inner", self.inner, f"between 0 and {self.outer:g}")

    def __reduce__(self):
        return _anew(self)

    @property
    def gain(self) -> float:
        """``beta = 1 / (r_1^2 - r_0'^2)``, by which squared distances are multiplied."""
        return 1 / (self.outer - self.inner)

    def squared_distances(self, x: Float64[Tensor, "P D"]) -> Float64[Tensor, "P B1"]:
        """``d~^2`` from the points ``x``, float64 tensor (P, D), to the earlier centres and, last,
        to its own: (P, B + 1).
        """
        centres = x.new_tensor(np.concatenate([self.earlier, self.centre[None]]))
        squares = relu.square(x, self.refinement)
        return (squares[:, None] - 2 * centres * x[:, None] + centres**2).sum(2)

    def __call__(self, x: Float64[Tensor, "P D"]) -> Float64[Tensor, " P"]:
        """``rho_i`` at the points ``x`` of the cube, float64 tensor (P, D); returns (P,)."""
        w = self.gain * (self.outer - self.squared_distances(x)).clamp(min=0)
        left = (1 - w[:, :-1].sum(1)).clamp(min=0)
        return torch.minimum(w[:, -1], left)


@dataclass(frozen=True, eq=False)
class Chart:
    """An affine map to mesh units, the terms that live behind it, and their share of the unity.

    Its arrays can be read and not written: a network built from them would not follow
    (`dataclasses.replace` makes another).

    Attributes
    ----------
    matrix, offset : float64 arrays, shapes (d, D) and (d,)
        ``u = matrix x + offset``; the mesh has knots at the integers.
    cells : int
        The terms have their supports where ``u <= cells + m``.
    indices : int64 array, shape (T, d)
        Term ``t`` is ``prod_i N~_m(u_i - indices[t, i])``.
    coefficients : float64 array, shape (T,)
    partition : PartitionFunction or None
        What the terms are multiplied by; None on the cube, which is its only chart.
    """

    matrix: Float64[np.ndarray, "d D"]
    offset: Float64[np.ndarray, " d"]
    cells: int
    indices: Int[np.ndarray, "T d"]
    coefficients: Float64[np.ndarray, " T"]
    partition: PartitionFunction | None = None

    def __post_init__(self):
        _keep(self, "matrix", "offset", "indices", "coefficients")
        ok = (
            self.matrix.ndim == 2
            and self.offset.shape == self.matrix.shape[:1]
            and self.coefficients.ndim == 1
            and self.indices.shape == (len(self.coefficients), len(self.matrix))
        )
        shapes = [getattr(self, name).shape for name in ("matrix", "offset", "indices")]
        require(
            ok, "chart", (*shapes, self.coefficients.shape), "arrays (d, D), (d,), (T, d) and (T,)"
        )

    def __reduce__(self):
        return _anew(self)

    @property
    def dim(self) -> int:
        """``d``: number of mesh coordinates."""
        return self.matrix.shape[0]

    @property
    def ambient_dim(self) -> int:
        """``D``."""
        return self.matrix.shape[1]


def cube_chart(coefficients: np.ndarray, order: int) -> Chart:
    """The cube as one chart: ``u = N x``, every term of the mesh.

    Parameters
    ----------
    coefficients : float64 array, shape (N + m - 1,) * D
    order : int
        ``m``.
    """
    coefficients = np.asarray(coefficients, float)
    dim = coefficients.ndim
    cells = coefficients.shape[0] - order + 1
    indices = np.stack(
        np.unravel_index(np.arange(coefficients.size), coefficients.shape), axis=1
    ) - (order - 1)
    return Chart(np.eye(dim) * cells, np.zeros(dim), cells, indices, coefficients.reshape(-1))
