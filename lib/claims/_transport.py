"""Functions for which Jackson bounds of a fractional order are nearly attained (for
``lem-peano-real``).

The error of the quasi-interpolant at ``x`` is a linear functional of ``u = f^(k)``, and its largest
value for ``|u(t) - u(r)| <= |t - r|^beta`` is what it costs to move its positive part to its
negative one if a distance ``d`` costs ``d^beta``.  On finitely many points that is a linear
programme; its solution, made piecewise linear and divided by its seminorm, is a function for which
the error is computed.
"""

from math import factorial

import numpy as np
from scipy.optimize import linprog
from scipy.sparse import coo_array

from lib import splines

_POINTS = 48  # of the linear programme
_FINE = 100  # parts between two of them, over which the extension is integrated


def _functional(m, N, k, s, x):
    """The error at ``x`` as point values (places, weights) and a kernel ``t -> (P,)`` on an
    interval: ``d^s (f - Q f)(x)`` in terms of ``u = f^(k)``, mesh width 1.
    """
    cell = min(int(x), N - 1)
    terms = [splines.functional(m, N, j) for j in range(cell - m + 1, cell + 1)]
    nodes, weights = [], []
    for j, (places, w) in zip(range(cell - m + 1, cell + 1), terms):
        spline = splines.bspline(m, np.array([x - j]), s)[0]
        nodes += map(float, places)
        weights += [float(v) * spline for v in w]
    nodes, place = np.unique(nodes, return_inverse=True)
    weights = np.bincount(place, weights)
    if k == 0:
        return np.append(nodes, x), np.append(-weights, 1.0), None, (0.0, 0.0)

    def truncated(u, power):
        return np.where(u > 0, np.maximum(u, 0.0) ** power / factorial(power), 0.0)

    def kernel(t):
        found = -(truncated(nodes[:, None] - t, k - 1) * weights[:, None]).sum(0)
        return found + truncated(x - t, k - 1 - s) if k > s else found

    ends = min(nodes.min(), x), max(nodes.max(), x)
    if k > s:
        return np.empty(0), np.empty(0), kernel, ends
    return np.array([x]), np.ones(1), kernel, ends


def attained(m: int, N: int, alpha: float, s: int, x: float) -> float:
    """``|d^s (f - Q f)(x)|`` on the mesh of width 1 for an ``f`` with ``|f^(k)|_beta <= 1`` that
    makes it large, ``alpha = k + beta``.
    """
    k = int(np.ceil(alpha)) - 1
    beta = alpha - k
    places, masses, kernel, (low, high) = _functional(m, N, k, s, x)
    middles = fine = values = np.empty(0)
    if kernel is not None:
        step = (high - low) / (_POINTS * _FINE)
        fine = low + step * (np.arange(_POINTS * _FINE) + 0.5)
        values = step * kernel(fine)
        middles = fine.reshape(_POINTS, _FINE).mean(1)
        masses = np.append(masses, values.reshape(_POINTS, _FINE).sum(1))
    points = np.append(places, middles)
    i, j = np.nonzero(~np.eye(len(points), dtype=bool))
    rows = np.arange(len(i))
    differences = coo_array(
        (np.repeat([1.0, -1.0], len(i)), (np.tile(rows, 2), np.append(i, j)))
    ).tocsr()
    found = linprog(
        -masses,
        A_ub=differences,
        b_ub=np.abs(points[i] - points[j]) ** beta,
        bounds=[(0, 0)] + [(None, None)] * (len(points) - 1),
    )

    order = np.argsort(points)

    def between(t):
        return np.interp(t, points[order], found.x[order])

    if kernel is None:
        return abs(float(masses @ found.x))
    t = np.sort(np.append(fine[:: _FINE // 8], points))  # where the seminorm is looked at
    apart = np.abs(t[:, None] - t) + np.eye(len(t))
    seminorm = (np.abs(between(t)[:, None] - between(t)) / apart**beta).max()
    total = values @ between(fine) + masses[: len(places)] @ between(places)
    return abs(float(total / seminorm))
