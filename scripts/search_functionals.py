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
UNIT = {m: 5000 for m in range(3, 7)} | {7: 10**6, 8: 10**8}  # weights are multiples of 1 over it
LARGEST = 20_000.0  # of the modulus of a free parameter
ROUNDS = 400

# interior, orders 6 to 8: the goal of q and q_1 for nodes at all halves of the support
GOALS = {6: 1.7, 7: 2.8, 8: 5.4}
# nodes of the left end, in [0, m]: the smallest sets found
NODES = {
    3: [F(k) for k in ("0", "1/4", "1/2", "3/4", "1", "3/2", "2", "5/2", "3")],
    4: [F(k) for k in ("0", "1/4", "1/2", "3/4", "1", "3/2", "2", "3", "4")],
    5: [F(k) for k in ("0", "1/8", "1/4", "1/2", "3/4", "1", "3/2", "2", "5/2", "7/2", "9/2")],
}
for m in (6, 7, 8):  # 1/8, quarters to 1, halves to 9/2, then one in each cell
    NODES[m] = sorted(
        {F(k, 8) for k in (0, 1, 2, 4, 6)}
        | {F(k, 2) for k in range(2, 10)}
        | {F(2 * k + 1, 2) for k in range(5, m)}
    )
SLACK = 1.0005  # of the factor reached, for the sake of fewer weights
ENOUGH = {6: 1.045, 7: 1.045, 8: 1.035}  # nodes that could do better are not asked to


def constants(order):
    """The names of the constants: ``q``, ``q_1`` and ``(alpha, s)``."""
    return ["q", "q1", *((a, s) for a in range(2, order + 1) for s in (0, 1))]


def kernels(order, terms, unknowns, cells, names, fixed=()):
    """The kernels on a grid, affine in the weights.

    Parameters
    ----------
    terms : list of (j, node, unknown)
        ``lambda_j`` reads its argument at ``node`` with the weight of that number.
    cells : iterable of int
    fixed : list of (j, node, weight)

    Returns
    -------
    dict from name to ``(base, linear)``, arrays (X, T) and (X, T, unknowns), times the step in
    ``t``.
    """
    inner = np.linspace(0, 1, POINTS)
    inner[[0, -1]] = 1e-9, 1 - 1e-9
    x = np.concatenate([cell + inner for cell in cells])
    nodes = sorted({t for _, t, _ in (*terms, *fixed)})
    low, high = min(nodes[0], min(cells)), max(nodes[-1], max(cells) + 1)
    t = np.arange(float(low), float(high), 1 / STEPS) + 0.5 / STEPS
    found = {}
    for name in names:
        if name == "q":
            linear = np.zeros((len(x), len(nodes), unknowns))
            for j, node, k in terms:
                linear[:, nodes.index(node), k] += bspline(order, x - j)
            base = np.zeros(linear.shape[:2])
            for j, node, weight in fixed:
                base[:, nodes.index(node)] += weight * bspline(order, x - j)
            found[name] = base, linear
            continue
        alpha, s = (1, 1) if name == "q1" else name
        linear = np.zeros((len(x), len(t), unknowns))
        for j, node, k in terms:
            reached = _power(float(node) - t, alpha - 1) / STEPS
            linear[:, :, k] -= bspline(order, x - j, s)[:, None] * reached
        base = np.zeros(linear.shape[:2])
        if name != "q1":
            base = _power(x[:, None] - t, alpha - 1 - s) / STEPS
        for j, node, weight in fixed:
            reached = _power(float(node) - t, alpha - 1) / STEPS
            base -= weight * bspline(order, x - j, s)[:, None] * reached
        found[name] = base, linear
    return found


def _power(u, k):
    return np.where(u > 0, np.maximum(u, 0) ** k, 0) / np.prod(np.arange(1, k + 1))


def sizes(grids, weights):
    """The constants of given weights, on the grid."""
    return {c: np.abs(base + lin @ weights).sum(1).max() for c, (base, lin) in grids.items()}


def _cuts(moved, goals, z):
    """The largest constant over its goal at ``z``, and half spaces ``sign @ kernel <= goal r``.

    One for each constant and each cell that is near its largest; ``r`` is the last unknown.
    """
    worst, rows, limits = 0.0, [], []
    for name, (base, lin) in moved.items():
        kernel = base + lin @ z
        integral = np.abs(kernel).sum(1) / goals[name]
        worst = max(worst, integral.max())
        for cell in np.split(np.arange(len(integral)), len(integral) // POINTS):
            i = cell[integral[cell].argmax()]
            if integral[i] >= 0.8 * integral.max():
                sign = np.sign(kernel[i]) / goals[name]
                rows.append(np.append(sign @ lin[i], -1))
                limits.append(-sign @ base[i])
    return worst, rows, limits


def cutting_planes(grids, particular, null, goals, enough=0.0):
    """Minimise the largest constant over its goal by cutting planes.

    The weights are ``particular + null @ z``.  The next cut is made between the best point so far
    and the solution of the linear programme, which converges much faster than cuts at the latter.
    Stops when the quotient is known to two parts in a hundred thousand or at most ``enough``.
    Returns the weights, the largest quotient and a lower bound of it.
    """
    moved = {c: (base + lin @ particular, lin @ null) for c, (base, lin) in grids.items()}
    free = null.shape[1]
    cuts, right, least = [], [], 0.0
    z = np.zeros(free)
    best, inner = np.inf, z
    for _ in range(ROUNDS):
        worst, rows, limits = _cuts(moved, goals, z)
        cuts += rows
        right += limits
        if worst < best:
            best, inner = worst, z
        if best <= enough:
            break
        bounds = [(-LARGEST, LARGEST)] * free + [(0, None)]
        answer = linprog(np.append(np.zeros(free), 1), np.array(cuts), right, bounds=bounds)
        least = answer.fun
        if best - least < 2e-5 * best:
            break
        z = 0.6 * answer.x[:free] + 0.4 * inner
    return particular + null @ inner, best, least


def fewest(grids, particular, null, goals, weights, bound):
    """Minimise ``sum |w|`` under a bound of the largest quotient, which ``weights`` satisfy.

    Returns weights that exceed the bound by a hundred-thousandth at most: a vertex of the
    linear programme, so that most of them are zero.
    """
    moved = {c: (base + lin @ particular, lin @ null) for c, (base, lin) in grids.items()}
    count, free = null.shape
    eye = np.eye(count)
    cuts, right = [], []
    inner = null.T @ (weights - particular)
    outer = inner
    for k in range(ROUNDS):
        for z in (0.5 * (inner + outer), outer):
            worst, rows, limits = _cuts(moved, goals, z)
            cuts += [row[:-1] for row in rows]
            right += [limit + bound for limit in limits]
            if worst <= bound:
                inner = z
        if k > 0 and worst <= bound * (1 + 1e-5):
            break
        matrix = np.block(
            [[np.array(cuts), np.zeros((len(cuts), count))], [null, -eye], [-null, -eye]]
        )
        outer = linprog(
            np.append(np.zeros(free), np.ones(count)),
            matrix,
            np.concatenate([right, -particular, particular]),
            bounds=[(-LARGEST, LARGEST)] * free + [(0, None)] * count,
        ).x[:free]
    return particular + null @ outer


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
    matrix = np.concatenate(rows)
    right = np.concatenate(right)
    grids = kernels(order, terms, start, range(order - 1), names, fixed)
    particular = np.linalg.lstsq(matrix, right, rcond=None)[0]
    null = null_space(matrix, rcond=1e-11)
    weights, reached, least = cutting_planes(grids, particular, null, goals, ENOUGH.get(order, 0.0))
    bound = max(SLACK * reached, ENOUGH.get(order, 0.0))
    sparse = fewest(grids, particular, null, goals, weights, bound)
    found = []
    for number, j in enumerate(range(1 - order, 0)):
        mine = sparse[number * count : (number + 1) * count]
        kept = np.flatnonzero(np.abs(mine) > 2.5 / UNIT[order])
        found.append((j, [nodes[k] for k in kept], mine[kept]))
    return found, reached, least


def row(order, nodes, weights):
    """Nodes and free weights as in the library's tables: first ``m`` nodes, spread, whose weights
    are solved for, then those whose weights are given.
    """
    solved = np.linspace(0, len(nodes) - 1, order).round().astype(int)
    free = [k for k in range(len(nodes)) if k not in solved]
    names = tuple(str(nodes[k]) for k in (*solved, *free))
    return names, tuple(str(F(round(weights[k] * UNIT[order]), UNIT[order])) for k in free)


def main(orders):
    """Print the rows of these orders and how far the boundary exceeds the interior.

    The boundary is sought beside the interior functional of the library's table.
    """
    for order in orders:
        if order in GOALS:
            nodes = [F(k, 2) for k in range(2 * order + 1)]
            weights, found = interior(order, nodes, GOALS[order])
            print(f"order {order}, interior:", *row(order, nodes, weights), found, flush=True)
        found, reached, least = boundary(order)
        print(f"order {order}: boundary over interior {reached:.4f}, at least {least:.4f}")
        for j, nodes, weights in found:
            print(f"    {j}:", *row(order, nodes, weights), flush=True)


if __name__ == "__main__":
    main([int(a) for a in sys.argv[1:]] or sorted(NODES))
