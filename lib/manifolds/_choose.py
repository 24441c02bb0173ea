"""Choosing an atlas by the constants that result (book: chapter 06, "Which atlas?")."""

from functools import lru_cache

import numpy as np

from lib.errors import refuse, require
from lib.manifolds._atlas import Atlas, certificate_net, farthest_points, smallest_mesh
from lib.manifolds._geometry import Geometry
from lib.manifolds._norms import ball_grid, differences, samples

BUMPS = (0.4, 0.5, 0.6, 0.7, 0.8)  # r_1 / tau
COVERS = (0.5, 0.6, 0.7, 0.8)  # r_0 / r_1
MAXIMUM_TRIED = 1500
_CELLS = 16  # the mesh that is aimed at where none is given
_GRID = {1: 128, 2: 48, 3: 20}


def score(atlas: Atlas, alpha: int, charts: int = 3) -> float:
    """What the value bound of ``f = 1`` would be at one term: ``overlap A^{alpha/d} max |d^alpha
    rho_i|``.

    At a given number of terms, ``N`` is proportional to ``A^{-1/d}``, so this compares atlases
    fairly. The norms are estimates: sampled in a few charts, on a coarse grid.
    """
    which = np.unique(np.linspace(0, len(atlas) - 1, charts).astype(int))
    grid = _GRID.get(atlas.dim, 12)
    axis, inside = ball_grid(atlas.dim, grid, alpha)
    norm = max(
        d.max()
        for i in which
        for d in differences(samples(atlas, i, None, axis, inside), 1 / grid, alpha).values()
    )
    return atlas.overlap * len(atlas) ** (alpha / atlas.dim) * norm


@lru_cache(maxsize=64)
def choose_atlas(manifold: Geometry, order: int = 4, cells: int | None = None) -> Atlas:
    """The atlas with the best score among 40: five radii of bumps, four overlaps, two exponents.

    Parameters
    ----------
    manifold : Manifold
    order : int
        ``m``: the derivatives of this order count; exponents ``m + 1`` and ``m + 2`` are
        tried, with which those of the bumps are continuous.
    cells : int, optional
        The gates must hold from this many cells on; by default from 16 on, or 24, 32, .. if no
        atlas does.

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
    least = {b: smallest_mesh(tau, b * tau, d, order) for b in BUMPS}
    limit = cells if cells is not None else max(_CELLS, min(least.values()))
    require(
        min(least.values()) <= limit,
        "cells",
        cells,
        f"at least {min(least.values())}: with fewer, terms are alive where a gate is half open",
    )
    covers = sorted(
        {(b * c * tau, b * tau) for b in BUMPS if least[b] <= limit for c in COVERS}, reverse=True
    )
    # greedy centres are nested: one run serves every covering radius
    finest = max(covers[-1][0] - radius, radius)
    order_of_choice, radii = farthest_points(net, finest, MAXIMUM_TRIED)
    best = None
    for cover, bump in covers:
        enough = np.nonzero(radii <= cover - radius)[0]
        if len(enough) == 0:
            continue
        centres = net[order_of_choice[: enough[0] + 1]]
        for q in (order + 1, order + 2):
            atlas = Atlas(manifold, cover, bump, q, centres)
            value = score(atlas, order)
            if best is None or value < best[0]:
                best = (value, atlas)
    if best is None:
        refuse(
            "manifold", manifold.name, f"covered by at most {MAXIMUM_TRIED} charts (give an Atlas)"
        )
    return best[1]
