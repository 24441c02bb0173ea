"""Choosing an atlas by the constants that result (book: chapter 06, "Which atlas?")."""

from functools import lru_cache
from typing import Any

import numpy as np

from lib.errors import refuse, require
from lib.manifolds._atlas import Atlas, certificate_net, farthest_points, ordered
from lib.manifolds._cells import smallest_mesh, terms_over
from lib.manifolds._geometry import Geometry
from lib.manifolds._norms import Grid, estimated_norms
from lib.splines import jackson_bound

RADII = (0.3, 0.35, 0.4, 0.45, 0.5, 0.6)  # r_1 / tau
COVERS = (0.5, 0.6, 0.7, 0.8)  # r_0 / r_1
MAXIMUM_TRIED = 2500
_CELLS = 16  # the mesh that is aimed at where none is given
_STEPS = {1: 128, 2: 48, 3: 12}  # of the samples across a ball


def score(atlas: Atlas, target: Any, order: int, cells: int, charts: int = 3) -> float:
    """The slope bound of the splines on this mesh times ``T^{(m-1)/d}``, ``T`` the number of terms.

    ``T`` grows like ``N^d`` and the bound falls like ``N^{-(m-1)}``, so this compares the bounds of
    atlases at the same number of terms.  Norms are estimates: sampled in a few charts, on a coarse
    grid.
    """
    which = np.unique(np.linspace(0, len(atlas) - 1, charts).astype(int)).tolist()
    grid = Grid.of(atlas.dim, order, cells)
    steps = _STEPS.get(atlas.dim, 8)
    norms = estimated_norms(atlas, target.values, grid, order, which, steps)
    local = {nu: grid.nearby(array) for nu, array in norms.items()}
    error = jackson_bound(order, cells, order, local, interior=True)
    slope = np.linalg.norm(np.stack(error.partials), axis=0).max() / (2 * atlas.chart_radius)
    value = float(np.max(error.value))
    terms = sum(len(terms_over(mask, order)) for mask in atlas.living(cells))
    return (slope + atlas.lipschitz * value) * terms ** ((order - 1) / atlas.dim)


@lru_cache(maxsize=64)
def choose_atlas(
    manifold: Geometry, target: Any, order: int = 4, cells: int | None = None
) -> Atlas:
    """The atlas with the best score among 24: six radii of charts, four of their covers.

    Parameters
    ----------
    manifold : Manifold
    target : lib.Target
        In the ambient dimension.
    order : int
        ``m``: the derivatives of this order count.
    cells : int, optional
        Nodes must lie in the charts from this many cells on; by default from 16 on, or from the
        least number that any atlas needs.

    Returns
    -------
    Atlas

    Raises
    ------
    InputError
        If no atlas works with so few cells; the message says how many would do.
    """
    tau, d = manifold.reach, manifold.dim
    net, radius = certificate_net(manifold)
    least = {r: smallest_mesh(tau, r * tau, d, order) for r in RADII}
    limit = cells if cells is not None else max(_CELLS, min(least.values()))
    require(
        min(least.values()) <= limit,
        "cells",
        cells,
        f"at least {min(least.values())}: with fewer, nodes lie where charts cannot be inverted",
    )
    covers = sorted(
        {(r * c * tau, r * tau) for r in RADII if least[r] <= limit for c in COVERS}, reverse=True
    )
    # greedy centres are nested: one run serves every covering radius
    finest = max(covers[-1][0] - radius, radius)
    order_of_choice, radii = farthest_points(net, finest, MAXIMUM_TRIED)
    best = None
    for cover, chart in covers:
        enough = np.nonzero(radii <= cover - radius)[0]
        if len(enough) == 0:
            continue
        centres = ordered(net[order_of_choice[: enough[0] + 1]], chart)
        atlas = Atlas(manifold, cover, chart, centres)
        value = score(atlas, target, order, limit)
        if best is None or value < best[0]:
            best = (value, atlas)
    if best is None:
        refuse(
            "manifold", manifold.name, f"covered by at most {MAXIMUM_TRIED} charts (give an Atlas)"
        )
    return best[1]
