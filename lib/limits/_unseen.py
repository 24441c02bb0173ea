"""Functions that are hard for our networks: splines that their functionals do not see, and Euler
splines (``thm-favard``, ``cor-optimality``).
"""

from functools import cache
from itertools import product

import numpy as np
import torch
from jaxtyping import Float64
from scipy.linalg import null_space

from lib.convresnet import Construction, cube_chart
from lib.limits._euler import euler_spline, periodic_matrix
from lib.splines import QuasiInterpolant


@cache
def _factors(alpha, n, points):
    """The matrices of the periodic splines and their derivatives at equidistant points, just
    right of knots.
    """
    x = np.arange(points) / points + 1e-9
    return [periodic_matrix(alpha, n, x, k) for k in range(alpha + 1)]


def _tensor(c, matrices):
    for axis, matrix in enumerate(matrices):
        c = np.moveaxis(np.tensordot(matrix, c, axes=(1, axis)), 0, axis)
    return c


def seminorm(c: Float64[np.ndarray, "..."], alpha: int, k: int, per_cell: int) -> float:
    """``max |d^nu g|`` over ``|nu| = k`` of a periodic tensor spline, on a grid.

    Parameters
    ----------
    c : float64 array (n, .., n)
        Coefficients (`periodic_matrix`).
    alpha : int
        Degree.
    k : int
        At most ``alpha``.
    per_cell : int
        Points a cell in each variable.
    """
    factors = _factors(alpha, len(c), per_cell * len(c))
    orders = [o for o in product(range(k + 1), repeat=c.ndim) if sum(o) == k]
    return max(np.abs(_tensor(c, [factors[i] for i in o])).max() for o in orders)


def unseen(m: int, N: int, D: int, n: int) -> Float64[np.ndarray, "5 ..."]:
    """Coefficients of five periodic splines of degree ``m`` on ``n`` cells an axis that our
    functionals do not see, and that vanish at a knot: at random in the kernel.

    Parameters
    ----------
    m, N, D : int
        Order, cells and dimension of our splines.
    n : int
        Even, so large that there is a kernel (`partitions`).

    Returns
    -------
    float64 array, shape (5, n, .., n)
    """
    quasi = QuasiInterpolant(m, N)
    seen = quasi.matrix @ periodic_matrix(m, n, quasi.nodes)
    value = periodic_matrix(m, n, np.zeros(1))
    matrix, row = np.ones((1, 1)), np.ones((1, 1))
    for _ in range(D):
        matrix, row = np.kron(matrix, seen), np.kron(row, value)
    kernel = null_space(np.vstack([matrix, row]))
    return (kernel @ np.random.default_rng(n).standard_normal((kernel.shape[1], 5))).T.reshape(
        (5,) + (n,) * D
    )


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
