"""Which cells of the charts of an atlas count: those in which a function of the partition may be
positive on the manifold (book: ``lem-living``).
"""

from itertools import product
from typing import Any

import numpy as np
from jaxtyping import Bool, Int

from lib.manifolds._cells import ball_cells

_STORED = 2.0**-40  # relative: more than all roundings here
# of the sum of the functions before: rounded, they still reach 1
_SURELY = 1 + 1e-9


def cells_around(
    atlas: Any, i: int, points: Int[np.ndarray, " n"], cells: int
) -> Int[np.ndarray, "n K"]:
    """The cells of the mesh of a chart, in one index, in which points of the manifold near those
    of its net may be: int64 array (n, K), with repetitions.

    Parameters
    ----------
    atlas : Atlas
    i : int
        The chart.
    points : int64 array, shape (n,)
        Numbers of points of `Atlas.fine_net`.
    cells : int
        ``N``.
    """
    net, radius = atlas.fine_net
    matrix, offset = atlas.mesh(i, cells)
    u = net[points] @ matrix.T + offset
    reach = radius * cells / (2 * atlas.chart_radius) * (1 + _STORED) + 1e-9
    first, last = np.floor(u - reach), np.floor(u + reach)
    found = []
    for steps in product(range(int(np.ceil(2 * reach)) + 1), repeat=atlas.dim):
        cell = np.clip(np.minimum(first + np.array(steps), last), 0, cells - 1).astype(int)
        found.append(np.ravel_multi_index(tuple(cell.T), (cells,) * atlas.dim))
    return np.stack(found, axis=1)


def living_cells(atlas: Any, cells: int) -> Bool[np.ndarray, "A ..."]:
    """The cells of each chart in which ``rho_i`` may be positive on the manifold (``lem-living``):
    bool array (A, N, .., N).

    Around a point of the net ``rho_i`` vanishes where the earlier ``w_k`` add up to 1 for sure.
    The cell of a centre always counts, so that no chart is empty.
    """
    net, radius = atlas.fine_net
    squares = atlas.ambient_dim * 4.0 ** (-atlas.refinement - 1)
    beta = 1 / (atlas.chart_radius**2 - atlas.inner)
    surely = np.zeros(len(net))
    found = np.zeros((len(atlas), cells**atlas.dim), bool)
    middle = np.ravel_multi_index((cells // 2,) * atlas.dim, (cells,) * atlas.dim)
    for i, row in enumerate(found):
        near, distance = atlas.near_net(i)
        alive = surely[near] < _SURELY
        row[cells_around(atlas, i, near[alive], cells)] = True
        row[middle] = True
        least = atlas.chart_radius**2 - (distance + radius) ** 2 - squares
        surely[near] += beta * np.maximum(least, 0)
    ball = np.zeros([cells] * atlas.dim, bool)
    ball[tuple(ball_cells(atlas.dim, cells).T)] = True
    return found.reshape(len(atlas), *ball.shape) & ball
