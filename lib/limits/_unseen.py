"""Functions that are hard for our networks: those that their functionals do not see, and Euler
splines (``thm-favard``, ``thm-trigonometric``, ``cor-optimality``).

A tensor product space is given by its basis in one variable, a map ``basis(x, derivative)`` from
points (P,) to an array (P, n): `periodic_matrix` and `trigonometric_matrix` with their first
arguments filled in.
"""

from collections.abc import Callable
from itertools import product

import numpy as np
import torch
from jaxtyping import Float64
from scipy.linalg import null_space

from lib.convresnet import Construction, cube_chart
from lib.limits._euler import euler_spline
from lib.splines import QuasiInterpolant

Basis = Callable[..., np.ndarray]


def _tensor(c, matrices):
    for axis, matrix in enumerate(matrices):
        c = np.moveaxis(np.tensordot(matrix, c, axes=(1, axis)), 0, axis)
    return c


def seminorm(c: Float64[np.ndarray, "..."], basis: Basis, k: int, points: int) -> float:
    """``max |d^nu g|`` over ``|nu| = k`` of a function on the torus, on a grid just right of the
    multiples of one over its number of points.

    Parameters
    ----------
    c : float64 array (n, .., n)
        Coefficients.
    basis : callable
        See the module.
    k : int
    points : int
        In each variable.
    """
    x = np.arange(points) / points + 1e-9
    factors = [basis(x, i) for i in range(k + 1)]
    orders = [o for o in product(range(k + 1), repeat=c.ndim) if sum(o) == k]
    return max(np.abs(_tensor(c, [factors[i] for i in o])).max() for o in orders)


def unseen(
    m: int, N: int, D: int, basis: Basis, also: Float64[np.ndarray, " n"] | None = None
) -> Float64[np.ndarray, "5 ..."]:
    """Coefficients of five functions that our functionals do not see: at random in the kernel.

    Parameters
    ----------
    m, N, D : int
        Order, cells and dimension of our splines.
    basis : callable
        Of a space so large that there is a kernel.
    also : float64 array, shape (n,), optional
        One more functional that vanishes: the product of this one, in each variable.

    Returns
    -------
    float64 array, shape (5, n, .., n)
    """
    quasi = QuasiInterpolant(m, N)
    seen = quasi.matrix @ basis(quasi.nodes, 0)
    matrix = np.ones((1, 1))
    row = np.ones(1)
    for _ in range(D):
        matrix = np.kron(matrix, seen)
        row = row if also is None else np.kron(row, also)
    if also is not None:
        matrix = np.vstack([matrix, row])
    kernel = null_space(matrix)
    mixed = kernel @ np.random.default_rng(seen.shape[1]).standard_normal((kernel.shape[1], 5))
    return mixed.T.reshape((5,) + (seen.shape[1],) * D)


def euler_errors(m: int, N: int, D: int, n: int, refinement: int) -> tuple[float, float]:
    """The errors of our network in value and slope on the Euler spline of degree ``m`` in ``x_1``
    with ``n`` cells, at 4096 random points.

    Parameters
    ----------
    m, N, D : int
        Order, cells and dimension of our splines.
    n : int
        Even.
    refinement : int

    Returns
    -------
    value, slope : float
        Largest; of the slope, in any partial derivative.
    """
    c = QuasiInterpolant(m, N).coefficients(lambda x: euler_spline(m, n, x[:, 0]), D)
    x = np.random.default_rng(n).random((4096, D))
    value, gradient = Construction(
        [cube_chart(c, m)], m, refinement, max(D, 1)
    ).sparse.value_and_gradient(torch.from_numpy(x))
    gradient[:, 0] -= torch.from_numpy(euler_spline(m, n, x[:, 0], 1))
    return float(np.abs(value.numpy() - euler_spline(m, n, x[:, 0])).max()), float(
        gradient.abs().max()
    )
