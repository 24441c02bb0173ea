"""Which mesh cells and terms of a chart matter (book: ``lem-federer``, ``prop-chart-local``)."""

from math import ceil
from typing import Any

import numpy as np
from jaxtyping import Int

from lib.splines import check_order, functional

RAMP = 0.1  # theta: the gates open between 2 tau^2 (1 - theta) and 2 tau^2 (1 + theta)


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


def living_terms(dim: int, order: int, cells: int) -> Int[np.ndarray, "T d"]:
    """The terms of a chart with ``N`` cells across its ball whose coefficient can differ from zero.

    Those whose dual functional has a node in the open ball of radius ``N / 2`` around the middle of
    the ``N + 2m`` cells.

    Returns
    -------
    int64 array, shape (T, d)
        Multi-indices.
    """
    edge = cells + 2 * order
    nearest = np.array(
        [
            min(abs(float(t) - edge / 2) for t in functional(order, edge, j)[0])
            for j in range(1 - order, edge)
        ]
    )
    square = np.sum(np.meshgrid(*[nearest**2] * dim, indexing="ij"), axis=0)
    return np.stack(np.nonzero(square < cells**2 / 4), axis=1) - (order - 1)


def smallest_mesh(reach: float, bump_radius: float, dim: int, order: int) -> int:
    """``N_0``: from there on no term is alive on the manifold where a gate is neither open nor
    closed.

    ``r_1 (1 + 2 sqrt(d) (m - delta_m) / N) <= tau sqrt(1 - theta^2)`` (``prop-chart-local``).
    """
    order = check_order(order)
    spread = 2 * bump_radius * dim**0.5 * (order - inset(order))
    return max(order, ceil(spread / (room(reach) - bump_radius) * (1 + 1e-12)))


def room(reach: float) -> float:
    """``g(R_1') = g(R_2) = tau sqrt(1 - theta^2)``: the radius that charts and gates share."""
    return reach * (1 - RAMP**2) ** 0.5
