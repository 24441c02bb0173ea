"""Search for dual functionals (book: ``lem-functionals``), the source of `lib.splines`' table.

A functional is a list of nodes and weights that agrees with the blossom on polynomials of degree
below ``m`` (``lem-marsden``); with more than ``m`` nodes some weights are free.  All that the
theorems see of them are suprema over ``x`` of integrals ``int |kappa(x, t)| dt``, the constants
``q``, ``q_1`` and ``k_{alpha,s}`` (``lem-stability``, ``lem-peano``), whose kernels are affine in
the weights: convex functions of the free weights, minimised here by cutting planes.  At weights
``w`` the integral is at least ``int sign(kappa_0) kappa_w dt`` for any other kernel ``kappa_0``;
each round adds these half spaces for the worst ``x`` and solves a linear programme.

*Interior*: symmetric weights on given nodes in ``[0, m]``; the largest of the constants, each over
its goal, is minimised: ``k_{m,0}`` and ``k_{m,1}`` over the exact constants of the classes (Favard)
and ``q``, ``q_1`` over a goal of their own, whose size trades one against the other.
*Boundary*: all ``m - 1`` functionals of the left end together, on common nodes, so that no constant
of a boundary cell exceeds that of an interior cell by a larger factor than it must; then, within a
slightly larger factor, the sum of the moduli of weights, which brings most of them to zero.

Integrals are midpoint sums and ``x`` is on a grid here; the constants that the library states are
enclosures made afterwards (`lib.splines.peano_constant`) from the rational weights.

Usage::

    python scripts/search_functionals.py [ORDER ...]
"""

import sys
from fractions import Fraction

import numpy as np
from scipy.linalg import null_space
from scipy.optimize import linprog

from lib.limits import favard
from lib.splines import blossom_value, bspline, functional

F = Fraction
POINTS, STEPS = 33, 48  # points x in a cell, midpoints t in a unit
UNIT = 5000  # the weights found are rounded to multiples of one over this
LARGEST = 60.0  # of the modulus of a free parameter

# nodes of the left end, in [0, m]: the smallest sets found
NODES = {
    3: [F(k) for k in ("0", "1/4", "1/2", "3/4", "1", "3/2", "2", "5/2", "3")],
    4: [F(k) for k in ("0", "1/4", "1/2", "3/4", "1", "3/2", "2", "3", "4")],
    5: [F(k) for k in ("0", "1/8", "1/4", "1/2", "3/4", "1", "3/2", "2", "5/2", "7/2", "9/2")],
}
SLACK = 1.0005  # of the factor reached, for the sake of fewer weights


def constants(order):
    """The names of the constants: ``q``, ``q_1`` and ``(alpha, s)``."""
    return ["q", "q1", *((a, s) for a in range(2, order + 1) for s in (0, 1))]


def kernels(order, terms, unknowns, cells, names):
    """The kernels on a grid, affine in the weights.

    Parameters
    ----------
    terms : list of (j, node, unknown)
        ``lambda_j`` reads its argument at ``node`` with the weight of that number.
    cells : iterable of int

    Returns
    -------
    dict from name to ``(base, linear)``, arrays (X, T) and (X, T, unknowns), times the step in
    ``t``.
    """
    inner = np.linspace(0, 1, POINTS)
    inner[[0, -1]] = 1e-9, 1 - 1e-9
    x = np.concatenate([cell + inner for cell in cells])
    nodes = sorted({t for _, t, _ in terms})
    low, high = min(nodes[0], min(cells)), max(nodes[-1], max(cells) + 1)
    t = np.arange(float(low), float(high), 1 / STEPS) + 0.5 / STEPS
    found = {}
    for name in names:
        if name == "q":
            linear = np.zeros((len(x), len(nodes), unknowns))
            for j, node, k in terms:
                linear[:, nodes.index(node), k] += bspline(order, x - j)
            found[name] = np.zeros(linear.shape[:2]), linear
            continue
        alpha, s = (1, 1) if name == "q1" else name
        linear = np.zeros((len(x), len(t), unknowns))
        for j, node, k in terms:
            reached = _power(float(node) - t, alpha - 1) / STEPS
            linear[:, :, k] -= bspline(order, x - j, s)[:, None] * reached
        base = np.zeros(linear.shape[:2])
        if name != "q1":
            base = _power(x[:, None] - t, alpha - 1 - s) / STEPS
        found[name] = base, linear
    return found


def _power(u, k):
    return np.where(u > 0, np.maximum(u, 0) ** k, 0) / np.prod(np.arange(1, k + 1))


def sizes(grids, weights):
    """The constants of given weights, on the grid."""
    return {c: np.abs(base + lin @ weights).sum(1).max() for c, (base, lin) in grids.items()}


def cutting_planes(grids, particular, null, goals, bound=None, rounds=200):
    """Minimise the largest constant over its goal; or, under a bound of it, ``sum |w|``.

    The weights are ``particular + null @ z``.  Returns the weights, the largest quotient and a
    lower bound of it.
    """
    free = null.shape[1]
    count = len(particular)
    moved = {c: (base + lin @ particular, lin @ null) for c, (base, lin) in grids.items()}
    rows, limits = [], []
    z = np.zeros(free)
    best = np.inf, particular, 0.0
    for _ in range(rounds):
        worst = 0.0
        for name, (base, lin) in moved.items():
            kernel = base + lin @ z
            integral = np.abs(kernel).sum(1)
            worst = max(worst, integral.max() / goals[name])
            for i in np.flatnonzero(integral >= 0.9 * integral.max()):
                sign = np.sign(kernel[i])
                rows.append(np.append(sign @ lin[i], -goals[name]))
                limits.append(-sign @ base[i])
        if bound is None and worst < best[0]:
            best = worst, particular + null @ z, best[2]
        elif bound is not None and worst <= bound * (1 + 1e-5):
            return particular + null @ z, worst, 0.0
        cuts, right = np.array(rows), np.array(limits)
        if bound is None:
            answer = linprog(
                np.append(np.zeros(free), 1),
                cuts,
                right,
                bounds=[(-LARGEST, LARGEST)] * free + [(0, None)],
            )
            best = *best[:2], answer.fun
            if best[0] - answer.fun < 2e-4 * best[0]:
                break
        else:  # |w| <= a entry by entry; sum a is minimised
            right = right - cuts[:, -1] * bound
            eye = np.eye(count)
            matrix = np.block(
                [[cuts[:, :-1], np.zeros((len(cuts), count))], [null, -eye], [-null, -eye]]
            )
            answer = linprog(
                np.append(np.zeros(free), np.ones(count)),
                matrix,
                np.concatenate([right, -particular, particular]),
                bounds=[(-LARGEST, LARGEST)] * free + [(0, None)] * count,
            )
        z = answer.x[:free]
    return best[1], best[0], best[2]


def _moments(order, j, nodes):
    """The conditions on the weights of ``lambda_j``: matrix and right side."""
    rows = [[float(t) ** p for t in nodes] for p in range(order)]
    return np.array(rows), np.array([float(blossom_value(order, j, p)) for p in range(order)])


def interior(order, nodes, goal):
    """Symmetric weights on ``nodes``, in ``[0, m]``, with ``q`` and ``q_1`` wanted near ``goal``.

    Returns weights and constants, or None where the nodes cannot reproduce.
    """
    matrix, right = _moments(order, 0, nodes)
    eye = np.eye(len(nodes))
    matrix = np.vstack([matrix, eye - eye[::-1]])
    right = np.append(right, np.zeros(len(nodes)))
    particular = np.linalg.lstsq(matrix, right, rcond=None)[0]
    if np.abs(matrix @ particular - right).max() > 1e-9:
        return None
    terms = [(j, j + t, k) for j in range(1 - order, 1) for k, t in enumerate(nodes)]
    names = ["q", "q1", (order, 0), (order, 1)]
    grids = kernels(order, terms, len(nodes), [0], names)
    goals = {
        "q": goal,
        "q1": goal,
        (order, 0): float(favard(order)),
        (order, 1): float(favard(order - 1)),
    }
    null = null_space(matrix, rcond=1e-10)
    if null.shape[1]:
        particular = cutting_planes(grids, particular, null, goals)[0]
    return particular, sizes(grids, particular)


def boundary(order):
    """The functionals of the left end beside the library's interior one.

    Returns
    -------
    list of (j, nodes, weights), the factor reached, its lower bound
    """
    nodes = NODES[order]
    count = len(nodes)
    terms, rows, right, start = [], [], [], 0
    for j in range(1 - order, 0):
        matrix, wanted = _moments(order, j, nodes)
        rows.append(np.pad(matrix, [(0, 0), (start, (order - 1) * count - start - count)]))
        right.append(wanted)
        terms += [(j, t, start + k) for k, t in enumerate(nodes)]
        start += count
    points, weights = functional(order, 4 * order, 0)
    inside = [(j, j + t, k) for j in range(1 - order, 1) for k, t in enumerate(points)]
    names = constants(order)
    goals = sizes(kernels(order, inside, len(points), [0], names), np.array(weights, float))
    fixed = [(j, j + t, float(w)) for j in range(order - 1) for t, w in zip(points, weights)]
    terms += [(j, t, start + k) for k, (j, t, _) in enumerate(fixed)]
    unknowns = start + len(fixed)
    matrix = np.zeros((len(rows) * order + len(fixed), unknowns))
    matrix[: len(rows) * order, :start] = np.concatenate(rows)
    matrix[len(rows) * order :, start:] = np.eye(len(fixed))
    right = np.concatenate([*right, [w for *_, w in fixed]])
    grids = kernels(order, terms, unknowns, range(order - 1), names)
    particular = np.linalg.lstsq(matrix, right, rcond=None)[0]
    null = null_space(matrix, rcond=1e-11)
    _, reached, least = cutting_planes(grids, particular, null, goals)
    sparse, _, _ = cutting_planes(grids, particular, null, goals, SLACK * reached)
    found = []
    for number, j in enumerate(range(1 - order, 0)):
        mine = sparse[number * count : (number + 1) * count]
        kept = np.flatnonzero(np.abs(mine) > 1 / UNIT)
        found.append((j, [nodes[k] for k in kept], mine[kept]))
    return found, reached, least


def row(order, j, nodes, weights):
    """A row of the library's table: ``m`` nodes whose weights are solved for, the free ones, and
    their weights.
    """
    solved = np.linspace(0, len(nodes) - 1, order).round().astype(int)
    free = [k for k in range(len(nodes)) if k not in solved]
    names = tuple(str(nodes[k]) for k in (*solved, *free))
    return f"{j}: ({names}, {tuple(str(F(round(weights[k] * UNIT), UNIT)) for k in free)})"


def main(orders):
    """Print the rows of these orders and how far the boundary exceeds the interior."""
    for order in orders:
        found, reached, least = boundary(order)
        print(f"order {order}: boundary over interior {reached:.4f}, at least {least:.4f}")
        for j, nodes, weights in found:
            print("   ", row(order, j, nodes, weights))


if __name__ == "__main__":
    main([int(a) for a in sys.argv[1:]] or sorted(NODES))
