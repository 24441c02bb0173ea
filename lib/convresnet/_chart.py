"""Charts: where the terms of a spline live in the ambient cube (book: ``prop-realisation``,
``lem-gate``).
"""

from dataclasses import dataclass, fields

import numpy as np
from jaxtyping import Float64, Int
from torch import Tensor

from lib import relu
from lib.norms import renamed


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
class Gate:
    """Opens on a ball: ``omega = sigma((d~^2 - inner) / (outer - inner))`` (``lem-gate``).

    ``d~^2 = sum_i sq_n(x_i) - 2 c.x + |c|^2`` is the squared distance to the centre as a network
    (``lem-distance-net``); terms are untouched where ``omega = 0`` and vanish where ``omega >= 1``.

    Attributes
    ----------
    centre : float64 array, shape (D,)
        In the unit cube; a copy that can be read and not written.
    inner, outer : float
        ``R_1^2 < R_2^2``, squared distances.
    refinement : int
        ``n_d``, the level of the squares.
    """

    centre: Float64[np.ndarray, " D"]
    inner: float
    outer: float
    refinement: int

    def __post_init__(self):
        _keep(self, "centre")

    def __reduce__(self):
        return _anew(self)

    @property
    def gain(self) -> float:
        """``1 / (R_2^2 - R_1^2)``, by which squared distances are multiplied."""
        return 1 / (self.outer - self.inner)

    slope = renamed("slope", "gain")

    def squared_distance(self, x: Float64[Tensor, "P D"]) -> Float64[Tensor, " P"]:
        """``d~^2`` at the points ``x``, float64 tensor (P, D); returns (P,)."""
        centre = x.new_tensor(self.centre)
        return (relu.square(x, self.refinement) - 2 * centre * x + centre**2).sum(1)


@dataclass(frozen=True, eq=False)
class Chart:
    """An affine map to mesh units, the terms that live behind it, and the gate in front of it.

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
    gate : Gate or None
        None on the cube, which is its only chart.
    """

    matrix: Float64[np.ndarray, "d D"]
    offset: Float64[np.ndarray, " d"]
    cells: int
    indices: Int[np.ndarray, "T d"]
    coefficients: Float64[np.ndarray, " T"]
    gate: Gate | None = None

    def __post_init__(self):
        _keep(self, "matrix", "offset", "indices", "coefficients")

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
