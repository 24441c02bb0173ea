"""Estimating the reach of a manifold from its points (book: chapter 06, "Where the reach comes from")."""

import numpy as np


def federer_quotients(x, basis, y):
    """``|y - x|^2 / (2 dist(y - x, T_x M))``, at least the reach for points of a manifold (``lem-federer``).

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


def estimate_reach(project, tangent_basis, points, neighbour):
    """The smallest Federer quotient over pairs of points and over short steps from them: an upper estimate.

    Parameters
    ----------
    project, tangent_basis : callables
        As in `Manifold`.
    points : float64 array, shape (P, D)
    neighbour : float
        Length of the short steps, in random tangential directions (four a point); they see the
        curvature.

    Returns
    -------
    float
    """
    basis = tangent_basis(points)
    found = min(federer_quotients(points[i:i + 64], basis[i:i + 64], points).min() for i in range(0, len(points), 64))
    rng = np.random.default_rng(0)
    for _ in range(4):
        direction = rng.normal(size=(len(points), basis.shape[2]))
        direction /= np.linalg.norm(direction, axis=1, keepdims=True)
        step = project(points + neighbour * (basis @ direction[..., None])[..., 0])
        difference = step - points
        square, along = (difference**2).sum(1), ((difference[:, None] @ basis)[:, 0] ** 2).sum(1)
        found = min(found, (square / (2 * np.sqrt(np.maximum(square - along, 1e-300)))).min())
    return float(found)
