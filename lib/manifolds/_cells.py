"""Which mesh cells and terms of a chart matter (book: ``lem-federer``, ``lem-local-jackson``)."""

from math import ceil, floor
from typing import Any

import numpy as np
from jaxtyping import Bool, Int

from lib.errors import require
from lib.splines import check_order, functional

_MARGIN = 0.99  # nodes are looked for within this part of the ball over which a chart is inverted


def projected_radius(distance: Any, reach: float) -> Any:
    """``g(t) = t sqrt(1 - t^2 / (4 tau^2))``: at least so far apart are the projections
    (``lem-federer``).
    """
    return distance * np.sqrt(1 - distance**2 / (4 * reach**2))


def inset(order: int) -> float:
    """``delta_m``: how far the nodes of an interior functional lie inside its support, in mesh
    units.
    """
    nodes = functional(order, 4 * order, 0)[0]
    return float(min(nodes[0], order - nodes[-1]))


def _nearest(low, high, dim, cells):
    """The squared distances of boxes from the middle of a mesh of ``N`` cells a side, for the
    products of intervals ``[low, high]``, arrays (n,): array (n,) * d.
    """
    gap = np.maximum(np.maximum(low - cells / 2, cells / 2 - high), 0)
    return np.sum(np.meshgrid(*[gap**2] * dim, indexing="ij"), axis=0)


def ball_terms(dim: int, order: int, cells: int) -> Int[np.ndarray, "T d"]:
    """The terms of a chart with ``N`` cells across its ball whose support meets the open ball, of
    radius ``N / 2`` around the middle of the cells.

    Returns
    -------
    int64 array, shape (T, d)
        Multi-indices, from ``1 - m`` to ``N - 1``.
    """
    first = np.arange(1 - order, cells)
    square = _nearest(first, first + order, dim, cells)
    return np.stack(np.nonzero(square < cells**2 / 4), axis=1) - (order - 1)


def ball_cells(dim: int, cells: int) -> Int[np.ndarray, "C d"]:
    """The cells, by their lower corners in mesh units, that meet the open ball: int64 array
    (C, d).
    """
    first = np.arange(cells)
    return np.stack(np.nonzero(_nearest(first, first + 1, dim, cells) < cells**2 / 4), axis=1)


def terms_over(cells: Bool[np.ndarray, "*N"], order: int) -> Int[np.ndarray, "T d"]:
    """The terms whose support meets one of some cells, given as a mask: int64 array (T, d)."""
    for axis in range(cells.ndim):
        found = np.zeros([n + (order - 1) * (k == axis) for k, n in enumerate(cells.shape)], bool)
        for step in range(order):  # index j at place j + m - 1
            part = [slice(None)] * cells.ndim
            part[axis] = slice(step, step + cells.shape[axis])
            found[tuple(part)] |= cells
        cells = found
    return np.stack(np.nonzero(cells), axis=1) - (order - 1)


def smallest_mesh(reach: float, chart_radius: float, dim: int, order: int) -> int:
    """``N_0``: from there on the nodes of the functionals of all terms lie where charts can be
    inverted.

    ``r_1 (1 + 2 sqrt(d) (m - floor(delta_m)) / N) <= 0.99 tau`` (``lem-local-jackson``): with the
    whole part of ``delta_m``, so that also the cells in which nodes are lie there.

    Raises
    ------
    InputError
        If ``r_1`` is not below ``0.99 tau``, so that no mesh is fine enough.
    """
    order = check_order(order)
    require(
        chart_radius < _MARGIN * reach,
        "chart_radius",
        chart_radius,
        f"below {_MARGIN} of the reach, {reach:.6g}: with no mesh do all nodes lie in the charts",
    )
    spread = 2 * chart_radius * dim**0.5 * (order - floor(inset(order)))
    return max(order, ceil(spread / (_MARGIN * reach - chart_radius) * (1 + 1e-12)))
