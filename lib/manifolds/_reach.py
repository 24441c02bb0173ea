"""The reach of a manifold: Federer's quotients, and bounds for zeros of formulas (book: "Where the
reach comes from").

The reach of a compact manifold of class ``C^2`` is the smaller of its smallest radius of curvature
and half its shortest bottleneck.  Both are bounded from below over boxes that cover the zeros
(`lib.manifolds._zeros`).
"""

from typing import Any

import numpy as np
from jaxtyping import Float64
from scipy.spatial import cKDTree

from lib.manifolds._zeros import FINEST, boxes_of, largest_bend

# by dimension: the bounds from below and above are to differ by so much, relatively
GAP = {1: 0.1, 2: 0.15, 3: 0.2}
SMALLEST = 1e-4  # a reach below this is refused: nets are too fine
_POINTS = 400  # between which quotients are taken to begin with
_LOOKED = 4000  # boxes, or pieces of normals, in which the upper bound is improved at a time
_MAXIMUM = 300_000  # boxes, or ten times as many pairs of boxes, that may be undecided at a time
_CHUNK = 1 << 14


def federer_quotients(
    x: Float64[np.ndarray, "P D"],
    basis: Float64[np.ndarray, "P D d"],
    y: Float64[np.ndarray, "Q D"],
) -> Float64[np.ndarray, "P Q"]:
    """``|y - x|^2 / (2 dist(y - x, T_x M))``, at least the reach for points of a manifold
    (``lem-federer``).

    Parameters
    ----------
    x, y : float64 arrays, shapes (P, D) and (R, D)
    basis : float64 array, shape (P, D, d)
        Orthonormal bases of the tangent spaces at ``x``.

    Returns
    -------
    float64 array, shape (P, R); infinite where ``y - x`` is tangential.
    """
    difference = y[None] - x[:, None]
    square = (difference**2).sum(-1)
    along = ((difference @ basis) ** 2).sum(-1)
    off = np.sqrt(np.maximum(square - along, 0))
    # off has a rounding of about 1e-16: nearer points say nothing
    return np.where(off > 1e-7, square / (2 * np.maximum(off, 1e-300)), np.inf)


def _attained(surface, points):
    """The smallest radius of curvature at points (P, D) of the manifold."""
    jacobian = surface.jacobian(points)
    basis = surface.tangent_basis(points)
    flat = np.einsum("pik,paij,pjl->pakl", basis, surface.hessian(points), basis)
    # the curvature vector w solves J w = -(a' H a)
    gram = np.linalg.cholesky(jacobian @ np.swapaxes(jacobian, 1, 2))
    bend = np.linalg.solve(gram, flat.reshape(*flat.shape[:2], surface.dim**2)).reshape(flat.shape)
    return float(1 / max(largest_bend(bend)[0].max(initial=0), 1e-300))


def _arrived(surface, points):
    """Which points lie on the manifold: in the open cube, and the next Newton step would be
    tiny.
    """
    good = np.isfinite(points).all(1) & (points > 0).all(1) & (points < 1).all(1)
    slope = np.linalg.norm(surface.jacobian(points[good]), axis=2)
    good[good] = (np.abs(surface.values(points[good])) <= 1e-11 * slope).all(1)
    return good


def _on(surface, boxes):
    """The projections of those centres that arrive on the manifold, and which do; none from
    irregular boxes.
    """
    good = boxes.regular > 0.5
    points = surface.project(boxes.centres[good])
    good[good] = arrived = _arrived(surface, points)
    return points[arrived], good


def _pairs(surface, points, others):
    """The smallest quotient of ``points[i]`` and ``others[i]``, both ways."""
    found = np.inf
    for x, y in ((points, others), (others, points)):
        basis = surface.tangent_basis(x)
        step = y - x
        square = (step**2).sum(1)
        off = np.sqrt(np.maximum(square - (np.einsum("pi,pij->pj", step, basis) ** 2).sum(1), 0))
        found = min(found, (square[off > 1e-7] / (2 * off[off > 1e-7])).min(initial=np.inf))
    return float(found)


def reach_of_zeros(surface: Any) -> tuple[float, float]:
    """A lower and an upper bound of the reach of the zeros of formulas, by subdivision.

    From below, every box that may hold a zero is bounded in curvature and shown to hold no end of a
    bottleneck shorter than twice the bound; what is undecided is subdivided.  From above: radii of
    curvature and Federer's quotients at points. In float64, without outward rounding.

    Parameters
    ----------
    surface : LevelSet
        Without singular points.

    Returns
    -------
    below, above : float
        In a ratio of 0.9 (0.8 in dimension three) unless too many boxes would be needed; ``below``
        is 0 if nothing was shown.
    """
    points = surface.draw(_POINTS, 1)
    points = points[_arrived(surface, points)]
    if len(points) == 0:
        return 0.0, 0.0
    above = min(
        _attained(surface, points),
        federer_quotients(points, surface.tangent_basis(points), points).min(),
    )
    share = 1 - GAP[surface.dim]
    curved, above = _curvature(surface, above, share)
    apart, above = (_rays if surface.codim == 1 else _bottlenecks)(surface, above, share)
    return float(min(curved, apart, share * above)), float(above)


def _curvature(surface, above, share):
    """A lower bound of the radii of curvature (infinite if all are above the goal), and the
    upper bound improved.
    """
    boxes = boxes_of(surface, 1 / 16)
    while True:
        points = _on(surface, boxes.take(np.argsort(boxes.radius, kind="stable")[:_LOOKED]))[0]
        above = min(above, _attained(surface, points))
        boxes = boxes.take(boxes.radius < share * above)
        if len(boxes.centres) == 0:
            return np.inf, above
        if len(boxes.centres) > _MAXIMUM or boxes.half < FINEST or above < SMALLEST:
            return float(boxes.radius.min()), above
        boxes = boxes.split()[0]


def _coarse(surface, above):
    """Boxes about as wide as the reach."""
    return boxes_of(surface, min(max(2.0 ** np.floor(np.log2(above)), 1 / 64), 1 / 4))


def _rays(surface, above, share):
    """A lower bound of half the distances to the next zero along normals, for one equation; the
    upper bound improved.

    Half such a distance is a Federer quotient, and a bottleneck is one.
    """
    boxes = _coarse(surface, above)
    while True:
        size = max(1, int(4 * _CHUNK * boxes.diagonal / above))
        found = [
            boxes.rays_left(slice(i, i + size), share * above)
            for i in range(0, len(boxes.centres), size)
        ]
        box, place = (
            (np.concatenate(f) for f in zip(*found)) if found else (np.zeros(0, int), np.zeros(0))
        )
        if len(box) == 0:
            return np.inf, above
        some = np.unique(np.linspace(0, len(box) - 1, _LOOKED).astype(int))
        ends = [
            surface.project(x)
            for x in (
                boxes.centres[box[some]],
                boxes.centres[box[some]] + place[some, None] * boxes.normal[box[some]],
            )
        ]
        good = _arrived(surface, ends[0]) & _arrived(surface, ends[1])
        above = min(above, _pairs(surface, ends[0][good], ends[1][good]))
        used = np.unique(box)
        if len(used) > _MAXIMUM or boxes.half < FINEST or above < SMALLEST:
            return float(np.maximum(np.abs(place) - boxes.diagonal / 2, 0).min() / 2), above
        boxes = boxes.take(used).split()[0]


def _bottlenecks(surface, above, share):
    """A lower bound of half the length of bottlenecks, from pairs of boxes, and the upper bound
    improved.
    """
    boxes = _coarse(surface, above)
    first, second = (
        cKDTree(boxes.centres).query_pairs(2 * above + 2 * boxes.diagonal, output_type="ndarray").T
    )
    own = np.arange(len(boxes.centres))
    first, second = np.append(first, own), np.append(second, own)
    while len(first):
        keep = np.concatenate(
            [
                boxes.pairs_left(first[i : i + _CHUNK], second[i : i + _CHUNK], share * above)
                for i in range(0, len(first), _CHUNK)
            ]
        )
        first, second = first[keep], second[keep]
        used, place = np.unique(np.append(first, second), return_inverse=True)
        boxes, (first, second) = boxes.take(used), place.reshape(2, -1)
        points, good = _on(surface, boxes)
        number = np.cumsum(good) - 1
        both = good[first] & good[second] & (first != second)
        above = min(
            above, _pairs(surface, points[number[first[both]]], points[number[second[both]]])
        )
        if len(first) > 10 * _MAXIMUM or boxes.half < FINEST or above < SMALLEST:
            shortest = np.maximum(
                np.abs(boxes.centres[first] - boxes.centres[second]) - 2 * boxes.half, 0
            )
            return float(np.linalg.norm(shortest, axis=1).min() / 2), above
        boxes, table = boxes.split()
        first, second = _children(first, second, table)
    return np.inf, above


def _children(first, second, table):
    """All pairs of halves of pairs of boxes, each once."""
    a, b = np.broadcast_arrays(table[first][:, :, None], table[second][:, None])
    once = (a >= 0) & (b >= 0) & ((first != second)[:, None, None] | (a <= b))
    return a[once], b[once]
