"""Norms of the kernels of chapter 02 bounded from above with Bernstein coefficients: a second way,
in balls.

For a polynomial with Bernstein coefficients ``b`` on a box, ``|p| <= sum |b_ij| B_ij``; the
integral of the right side over ``t`` is a polynomial in ``x`` whose Bernstein coefficients are
averages of ``|b_ij|``.  Summed over the boxes in ``t``, the largest coefficient bounds ``int |p(x,
t)| dt`` for all ``x`` of an interval.  The excess is of second order in the sides.
"""

from fractions import Fraction as F
from math import comb, factorial

import numpy as np

from lib import splines
from lib.intervals import UNIT, Balls, matmul

# of a cell in x, and in t, for each order: a power of two, a multiple of the denominators of nodes
_PARTS = {2: 512, 3: 256, 4: 128, 5: 128, 6: 64, 7: 64, 8: 64}


def _to_bernstein(degree):
    """From coefficients of powers on [0, 1] to Bernstein coefficients: ``b_i = sum_k binom(i, k)
    / binom(degree, k) a_k``.
    """
    return np.array(
        [[comb(i, k) / comb(degree, k) for k in range(degree + 1)] for i in range(degree + 1)]
    )


def _node_polynomials(m, N, cell, s):
    """Nodes, and the s-th derivatives of the ``B_k`` of a cell: exact coefficients of powers of
    ``x - cell``.
    """
    pieces = splines.pieces(m)
    found = {}
    for j in range(cell - m + 1, cell + 1):
        for node, w in zip(*splines.functional(m, N, j)):
            row = found.setdefault(node, [F(0)] * m)
            for k, c in enumerate(pieces[cell - j]):
                row[k] += w * c
    nodes = sorted(found)
    rows = [found[node] for node in nodes]
    for _ in range(s):
        rows = [[k * c for k, c in enumerate(row)][1:] for row in rows]
    return nodes, rows


def _balls(rows):
    """Rounded rationals."""
    mid = np.array([[float(c) for c in row] for row in rows])
    return Balls(mid, 2 * UNIT * np.abs(mid))


def _apply(matrix, balls):
    """``sum_k matrix[.., i, k] balls[.., k]``, for rounded matrices."""
    terms = Balls(matrix, 4 * UNIT * np.abs(matrix)) * Balls(
        balls.mid[..., None, :], balls.rad[..., None, :]
    )
    return terms.sum(-1)


def _on_parts(rows, parts):
    """Bernstein coefficients (parts, K, degree + 1) of polynomials on the parts of a cell."""
    degree = len(rows[0]) - 1
    start = np.arange(parts) / parts
    # powers of x - cell to powers of the part, exact: few digits
    moved = np.zeros((parts, degree + 1, degree + 1))
    for k in range(degree + 1):
        for i in range(k + 1):
            moved[:, i, k] = comb(k, i) * start ** (k - i) / parts**i
    powers = _apply(moved[:, None], _balls(rows))
    return _apply(_to_bernstein(degree), powers)


def lebesgue(m, N):
    """An upper bound of ``sup sum |B_k|`` (``lem-stability``)."""
    return max(
        float(_on_parts(_node_polynomials(m, N, cell, 0)[1], _PARTS[m]).size.sum(1).max())
        * (1 + 100 * UNIT)
        for cell in range(N)
    )


def slope(m, N):
    """An upper bound of ``sup int |sum_k B_k'(x) 1[t < tau_k]| dt`` (``lem-stability``)."""
    worst = 0.0
    for cell in range(N):
        nodes, rows = _node_polynomials(m, N, cell, 1)
        # between nodes k - 1 and k
        after = [[sum(column) for column in zip(*rows[k:])] for k in range(1, len(rows))]
        gaps = np.array([float(b - a) for a, b in zip(nodes, nodes[1:])])
        if after:
            worst = max(
                worst,
                float((_on_parts(after, _PARTS[m]).size * gaps[:, None]).sum(1).max())
                * (1 + 100 * UNIT),
            )
    return worst


def different_cells(m, N):
    """The cells without those that are, in rationals, a translate or the mirror image of an
    earlier one; ``Q`` commutes with both, so their kernels have the same norms.
    """
    seen, found = [], []
    for cell in range(N):
        nodes, rows = _node_polynomials(m, N, cell, 0)
        here = {node - cell: tuple(row) for node, row in zip(nodes, rows)}
        if here not in seen:
            found.append(cell)
            seen += [here, {1 - node: _mirrored(row) for node, row in here.items()}]
    return found


def _mirrored(row):
    """Coefficients of ``p(1 - y)``, exact."""
    return tuple(
        sum((-1) ** i * comb(k, i) * row[k] for k in range(i, len(row))) for i in range(len(row))
    )


def peano(m, N, alpha, s):
    """An upper bound of ``k_{alpha,s}`` (``lem-peano``)."""
    cells = different_cells(m, N)
    return max(_peano_of_cell(m, N, cell, alpha, s) for cell in cells) * (1 + 1000 * UNIT)


def _peano_of_cell(m, N, cell, alpha, s):
    nodes, rows = _node_polynomials(m, N, cell, s)
    low = min(int(np.floor(float(nodes[0]))), cell)
    high = max(int(np.ceil(float(nodes[-1]))), cell + 1)
    parts = _PARTS[m]
    degree = m - 1 - s
    p = alpha - 1 - s
    h, count = 1 / parts, (high - low) * parts
    t = low + np.arange(count) * h  # left ends; every node is one of them
    tau = np.array([float(node) for node in nodes])
    # Bernstein coefficients of (tau - t)^(alpha - 1) in t: (T, alpha, K), exact: few digits
    steps = tau - t[:, None]
    ends = (
        np.stack([steps ** (alpha - 1 - i) * (steps - h) ** i for i in range(alpha)], axis=1)
        * (steps > 0)[:, None]
    )
    polynomials = _on_parts(rows, parts)  # (parts, K, degree + 1)
    flat = Balls(
        *(
            part.swapaxes(0, 1).reshape(len(nodes), -1)
            for part in (polynomials.mid, polynomials.rad)
        )
    )
    spline, _ = matmul(ends.reshape(-1, len(nodes)), flat)
    spline = Balls(
        *(
            part.reshape(count, alpha, parts, degree + 1).swapaxes(1, 2)
            for part in (spline.mid, spline.rad)
        )
    )
    spline = spline * Balls(1 / factorial(alpha - 1), UNIT)  # (T, parts, alpha, degree + 1)
    # x - t, from -T to T parts; where it is not positive the power is zero
    x = (cell - low) * parts + np.arange(parts)
    apart = x - np.arange(count)[:, None]
    power = _power(np.arange(-count, count + 1) * h, h, p, degree, alpha - 1)[apart + count]
    kernel = power * (apart > 0)[..., None, None].astype(float) - spline
    total = kernel.size.sum(2) * h / alpha  # (T, parts, degree + 1)
    own = np.arange(parts)
    here = spline[x, own]  # of t in the part of x
    # the power adds at most its integral y^(p + 1) h^(p + 1) / (p + 1)!, or nothing where the
    # spline is larger
    if p:
        smaller = here.lower.min((1, 2)) < h**p / factorial(p)
        most = _to_bernstein(degree)[:, min(p + 1, degree)] * h ** (p + 1) / factorial(p + 1)
        total[x, own] += smaller[:, None] * most
    # a jump: 1 - spline to the left of x, which is a share i / degree of the interval, and spline
    # to its right
    else:
        share = np.arange(degree + 1) / max(degree, 1)
        left = (1 - here).size.max((1, 2))[:, None]
        right = here.size.max((1, 2))[:, None]
        total[x, own] = h * (
            share * left + (1 - share) * right if degree else np.maximum(left, right)
        )
    return float(total.sum(0).max())


def _power(distance, h, p, degree, degree_t):
    """Bernstein coefficients of ``(x - t)^p / p!`` for ``x - t = distance + h (y - z)``: shape
    (.., t, x).
    """
    powers = np.zeros((len(distance), degree + 1, degree_t + 1))
    for i in range(p + 1):
        for k in range(p - i + 1):
            number = (-1) ** k / (factorial(i) * factorial(k) * factorial(p - i - k))
            powers[:, i, k] = number * distance ** (p - i - k) * h ** (i + k)
    in_t = _apply(_to_bernstein(degree_t), Balls(powers, 16 * UNIT * np.abs(powers)))
    return _apply(_to_bernstein(degree), Balls(in_t.mid.swapaxes(1, 2), in_t.rad.swapaxes(1, 2)))
