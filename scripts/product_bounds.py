"""How small the bound of `lib.splines.jackson_bound` can be made by other functionals (book:
``cor-optimality``).

The bound for ``D`` axes is a polynomial with non-negative coefficients in the constants ``q``,
``q_1``, ``k_{m,s}`` and ``k_{m-1,0}`` of the functionals.  It is minimised over symmetric interior
functionals on all quarters of their support: cutting planes find the functional whose largest
constant over its goal is smallest, and the simplex method of Nelder and Mead moves the goals.
Boundary functionals, which have to do without one side, are left out: with them it cannot be less.

Usage::

    python scripts/product_bounds.py
"""

from fractions import Fraction

import numpy as np
from scipy.linalg import null_space
from scipy.optimize import minimize
from search_functionals import _moments, cutting_planes, kernels, sizes

from lib.limits import ratio
from lib.splines import functional, jackson_bound, needed_derivatives

CASES = ((2, 32), (3, 16))  # D and N of the table in chapter 8


def product_bound(order, dim, s, found):
    """The bound for all derivatives one and mesh width one, from a dict of constants."""
    q, q1 = found["q"], found["q1"]
    if s == 0:
        return found[order, 0] * sum(q**i for i in range(dim))
    return min(
        q**place * found[order, 1]
        + found[order - 1, 0]
        * (sum(q**i for i in range(place)) + sum(q1 * q ** (i - 1) for i in range(place + 1, dim)))
        for place in range(dim)
    )


def least(order, dim, s):
    """The smallest product bound found, and the constants that have it."""
    nodes = [Fraction(k, 4) for k in range(4 * order + 1)]
    matrix, right = _moments(order, 0, nodes)
    eye = np.eye(len(nodes))
    matrix = np.vstack([matrix, eye - eye[::-1]])
    right = np.append(right, np.zeros(len(nodes)))
    particular = np.linalg.lstsq(matrix, right, rcond=None)[0]
    null = null_space(matrix, rcond=1e-10)
    terms = [(j, j + t, k) for j in range(1 - order, 1) for k, t in enumerate(nodes)]
    names = ["q", (order, 0)] if s == 0 else ["q", "q1", (order, 1), (order - 1, 0)]
    grids = kernels(order, terms, len(nodes), [0], names)
    best = [np.inf, {}]

    def bound(logarithms):
        goals = dict(zip(names, np.exp(np.append(0.0, logarithms))))
        weights = cutting_planes(grids, particular, null, goals)[0]
        found = {"q1": 1.0, **sizes(grids, weights)}
        size = product_bound(order, dim, s, found)
        if size < best[0]:
            best[:] = size, found
        return size

    table, weights = functional(order, 4 * order, 0)
    own = np.zeros(len(nodes))
    own[[nodes.index(t) for t in table]] = np.array(weights, float)
    equal = cutting_planes(grids, particular, null, dict.fromkeys(names, 1.0))[0]
    for start in (sizes(grids, own), sizes(grids, equal)):
        goals = np.log([start[name] / start["q"] for name in names[1:]])
        for _ in range(2):  # a simplex that has collapsed starts afresh
            options = {"xatol": 1e-3, "fatol": 1e-5}
            goals = minimize(bound, goals, method="Nelder-Mead", options=options).x
    return best


def main():
    """Print, for each row of the table, the ratio and what it could be at least."""
    for dim, cells in CASES:
        for order in (3, 4):
            bounds = dict.fromkeys(needed_derivatives(dim, order), 1.0)
            for s in (0, 1):
                ours = ratio(order, cells, dim, s)
                spline = jackson_bound(order, cells, order, bounds)
                mine = tuple(spline)[s] * cells ** (order - s)
                size, found = least(order, dim, s)
                print(
                    f"D={dim} N={cells} m={order} s={s}: r = {ours.ratio:.3f}, product bound"
                    f" {mine:.5f}; least {size:.5f}, r = {ours.ratio * size / mine:.3f};"
                    f" { {str(k): round(float(v), 4) for k, v in found.items()} }",
                    flush=True,
                )


if __name__ == "__main__":
    main()
