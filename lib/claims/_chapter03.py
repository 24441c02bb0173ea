"""Claims of chapter 03: the ReLU calculus.

Functions of one variable are run in rational numbers; slopes of the others are measured at random
points, where they exist.
"""

import math
from fractions import Fraction as F
from math import comb, factorial

import numpy as np
import torch

from lib import relu, splines
from lib.claims._registry import EXACT, claim, grid, sampled
from lib.norms import Norms
from lib.relu import exact, layers

_UNIT = 2.0**-53
ORDERS = tuple(splines.ORDERS)
_COARSER = 3  # levels by which a tampered construction is too coarse


def _points(count, dim, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).random((count, dim)))


def _slopes(function, x):
    x = x.clone().requires_grad_(True)
    values = function(x)
    (gradient,) = torch.autograd.grad(values.sum(), x)
    return values.detach(), gradient


def _compared(error, value_error, slope_error, operations=100):
    """The bounds, with the rounding of that many operations, and the measured norms."""
    rounding = Norms(operations * _UNIT, operations * _UNIT)
    return error + rounding, Norms(value_error.abs().max(), slope_error.abs().max())


def _tent(change=0.0):
    """The tent as layers."""
    return [layers.affine([[1.0], [1.0]], [0.0, -0.5]), layers.affine([[2.0, -4.0 - change]])]


@claim(
    uses=(),
    evidence=EXACT,
    grid=grid(k=(1, 2, 3, 6, 9)),
    honest=_tent,
    tampered=("a tent whose falling side is too steep by a billionth", lambda: _tent(2.0**-30)),
)
def lem_sawtooth(build, k):
    """Number of breakpoints on [0, 1] at which the k-fold tent, run in rational numbers, is not the
    sawtooth of 2^(k-1) teeth, and of multiples of 2^-k that are none.
    """
    t, (values,) = exact.run(build() * k, 0, 1)
    phases = [2 ** (k - 1) * s % 1 for s in t]
    wrong = sum(v != min(2 * p, 2 - 2 * p) for v, p in zip(values, phases))
    return 0, wrong + len({F(j, 2**k) for j in range(2**k + 1)} - set(t))


def _square(n):
    return layers.square(n) if n else []


@claim(
    uses=("lem-sawtooth",),
    evidence=EXACT,
    grid=grid(n=(0, 1, 4, 8, 10)),
    honest=_square,
    tampered=("a square with one sawtooth too few", lambda n: _square(max(n - 1, 0))),
)
def lem_square(build, n):
    """Pieces on which ``sq_n``, run in rational numbers, violates the bounds of value or slope, is
    above ``z``, has slopes that decrease, leave [0, 2] or lack the symmetry; and 1 if the bounds
    are not attained.
    """
    t, (values,) = exact.run(build(n), 0, 1)
    if n:  # breakpoints of the layers that are no kinks do not matter
        kinks = [j for j, s in enumerate(t) if s * 2**n % 1 == 0]
        wrong = len(kinks) != 2**n + 1
    else:
        kinks = [0, len(t) - 1]
        wrong = 0
    wrong += sum(
        exact.violations(t, values, lambda a, b: [0, 0, F(1)], F(1, 4 ** (n + 1)), F(1, 2**n), F(0))
    )
    wrong += sum(v > s for v, s in zip(values, t))
    slopes = [(values[j] - values[i]) / (t[j] - t[i]) for i, j in zip(kinks, kinks[1:])]
    wrong += sum(p > q for p, q in zip(slopes, slopes[1:])) + (slopes[0] < 0) + (slopes[-1] > 2)
    wrong += sum(p + q != 2 for p, q in zip(slopes, reversed(slopes)))
    return 0, wrong + (slopes[0] != F(1, 2**n))


def _two_accumulators(n):
    """The product from two separate squares, a level too few and one weight off by 2^-50: not
    bitwise zero.
    """
    first, *rest = layers.repeat(layers.square(max(n - 1, 1)), 2)
    split = layers.affine([[0.5, 0.5], [0.5, -0.5], [-0.5, 0.5]])
    halves = layers.affine([[1.0, 0.0, 0.0], [0.0, 1.0, 1.0]])
    scramble = layers.affine([[1.0, -1.0 + 2.0**-50]])
    return [split, halves, first, *rest, scramble]


def _squares(n):
    """The cells of side ``2^-n`` of the plane of ``p = (a + b) / 2`` and ``r = (a - b) / 2`` that
    cover [0, 1]^2.

    Returns corners, shape (2, cells, 4): at the edge triangles, with a corner twice.  And the lower
    corners, (2, cells).
    """
    i, j = (g.ravel() for g in np.meshgrid(np.arange(2**n), np.arange(2 ** (n - 1)), indexing="ij"))
    i, j = np.stack([i, j])[:, (j <= i) & (j <= 2**n - 1 - i)]
    p = i[:, None] + np.array([0, 1, 1, 0])
    r = j[:, None] + np.array([0, 0, 1, 1])
    p[i == j, 3] = i[i == j]  # below r = p
    r[i == j, 3] = j[i == j]
    p[i + j == 2**n - 1, 2] = i[i + j == 2**n - 1]  # below r = 1 - p
    r[i + j == 2**n - 1, 2] = j[i + j == 2**n - 1] + 1
    return np.stack([p, r]) / 2.0**n, np.stack([i, j]) / 2.0**n


@claim(
    uses=("lem-square",),
    evidence=EXACT,
    grid=grid(n=(1, 2, 4, 7)),
    honest=layers.product,
    tampered=(
        "a product from two separate squares, which do not cancel exactly on the axes",
        _two_accumulators,
    ),
)
def lem_product(build, n):
    """Number of cells on which ``mu_n`` is not affine or violates the bounds of value or slopes,
    leaves ``[0, min(a, b)]`` or has slopes outside [0, 1]; and of edges on which it is not exact.

    All numbers are short dyadic ones, on which float64 does not round.  One half of the square and,
    mirrored, the other. Bitwise zero on the axes is decided on symbols, for all floats.
    """
    network = build(n)
    wrong = sum(exact.vanishing(network, side) != [True] for side in (["a", None], [None, "b"]))
    if not wrong:  # else the numbers are no short ones
        (p, r), (p0, r0) = _squares(n)
        for a, b in ((p + r, p - r), (p - r, p + r)):
            (v,), affine = exact.on_cells(network, np.stack([a, b]))
            wrong += int((~affine).sum()) + int(
                (v[a == 1] != b[a == 1]).sum() + (v[b == 1] != a[b == 1]).sum()
            )
            wrong += int(((v < 0) | (v > np.minimum(a, b))).any(1).sum()) + _product_errors(
                n, p, r, p0, r0, v
            )
    return 0, wrong


def _product_errors(n, p, r, p0, r0, v):
    """On how many cells the slopes or the bounds are wrong, for ``v`` affine with these values
    at the corners.
    """
    h = 2.0**-n
    error = relu.product_error(n)
    edge = p0 + r0 == 1 - h  # there the corner on the right above is missing
    beta = (v[:, 1] - v[:, 0]) / h  # corners 0 and 1 differ in p only
    gamma = np.where(edge, v[:, 3] - v[:, 0], v[:, 2] - v[:, 1]) / h
    constant = v[:, 0] - beta * p0 - gamma * r0
    fits = (constant[:, None] + beta[:, None] * p + gamma[:, None] * r == v).all(1)
    # v - p^2 + r^2 over a square around the cell: concave in p, convex in r
    top = np.clip(beta / 2, p0, p0 + h)
    low = np.clip(-gamma / 2, r0, r0 + h)
    most = (
        beta * top
        - top**2
        + np.maximum(gamma * r0 + r0**2, gamma * (r0 + h) + (r0 + h) ** 2)
        + constant
    )
    least = (
        np.minimum(beta * p0 - p0**2, beta * (p0 + h) - (p0 + h) ** 2)
        + gamma * low
        + low**2
        + constant
    )
    steep = (
        np.abs(
            np.stack([beta[:, None] - 2 * p + sign * (gamma[:, None] + 2 * r) for sign in (1, -1)])
        ).max((0, 2))
        / 2
    )
    slopes = np.stack([beta + gamma, beta - gamma]) / 2
    bad = ~fits | (most > error.value) | (least < -error.value) | (steep > error.slope)
    return int((bad | (slopes < 0).any(0) | (slopes > 1).any(0)).sum())


@claim(
    uses=("lem-square", "lem-product"),
    evidence=EXACT,
    grid=grid(degree=(2, 3, 4, 5, 6), n=(4, 8)),
    honest=layers.power,
    tampered=(
        "a power whose squares and products have three levels too few",
        lambda degree, n: layers.power(degree, n - _COARSER),
    ),
)
def lem_power(build, degree, n):
    """Pieces on which ``p_k``, run in rational numbers, violates the bounds of value or slope or
    is above ``z``.
    """
    t, (values,) = exact.run(build(degree, n), 0, 1)
    error = relu.power_error(degree, n)
    wrong = exact.violations(
        t, values, lambda a, b: [F(0)] * degree + [F(1)], F(error.value), F(error.slope)
    )
    return 0, sum(wrong) + sum(v > s for v, s in zip(values, t))


def _piece(order):
    """The polynomial of ``N_m`` between two knots, in powers of ``x``."""

    def polynomial(a, b):
        i = math.floor(a)
        assert b <= i + 1  # all knots are breakpoints
        return exact.shifted(splines.pieces(order)[i], F(-i), F(1)) if 0 <= i < order else [F(0)]

    return polynomial


@claim(
    uses=("lem-bspline", "lem-power"),
    evidence=EXACT,
    grid=grid(m=(2, 3, 4, 5), n=(4, 8)) + [{"m": 6, "n": 6}, {"m": 7, "n": 8}],
    full=[{"m": 8, "n": 9}],
    honest=layers.bspline,
    tampered=(
        "a B-spline whose powers have three levels too few",
        lambda m, n: layers.bspline(m, max(n - _COARSER, 1)),
    ),
)
def prop_bspline_net(build, m, n):
    """Pieces of [-1, m + 1] on which the network, run in rational numbers, violates the bounds of
    value or slope, leaves [0, 1] (the sum in front of the last ReLU included), or is not zero
    outside (0, m).

    Rounded weights ``a_r`` are allowed for, by how much they are off.
    """
    *chain, last = build(m, n)
    t, channels = exact.run(chain, -1, m + 1)
    if m > 2:
        values = exact.before_relu(last, channels)[0]
    else:  # the last layer is the fold itself: its ReLU cuts
        t, (values,) = exact.run([*chain, last], -1, m + 1)
    error = relu.bspline_error(m, n)
    rounded = F(0)
    steep = F(0)
    for r, _, a, _, scale in relu.fold_terms(m):
        off = abs(F(a) - comb(m, r) * F(scale) ** (m - 1) / factorial(m - 1)) + F(a) / 2**52
        rounded, steep = rounded + off, steep + (m - 1) * off / F(scale)
    wrong = sum(
        exact.violations(t, values, _piece(m), F(error.value) + rounded, F(error.slope) + steep)
    )
    wrong += sum(not 0 <= v <= 1 for v in values)
    return 0, wrong + sum(v != 0 for s, v in zip(t, values) if s <= 0 or s >= m)


@claim(
    uses=("lem-bspline", "lem-product", "prop-bspline-net"),
    evidence=sampled("piecewise linear in D variables"),
    grid=[
        {**sizes, "n": n}
        for sizes in grid(D=(1, 2, 3), m=ORDERS, outside=(False, True))
        for n in (relu.minimum_refinement(sizes["m"]), 10)
    ],
    honest=layers.tensor_bspline,
    tampered=(
        "a product of B-splines in which everything has three levels too few",
        lambda m, D, n: layers.tensor_bspline(m, D, max(n - _COARSER, 1)),
    ),
)
def prop_tensor_net(build, D, m, n, outside):
    """The product of D B-splines at 10000 random points of [-1/2, m+1/2]^D; or the largest value at
    those outside of the support.
    """
    x = _points(10000, D) * (m + 1) - 0.5
    value, slope = _slopes(lambda x: layers.run(build(m, D, n), x.T)[0], x)
    if outside:
        return 0, value[((x <= 0) | (x >= m)).any(1)].abs().max()
    factors = [torch.from_numpy(splines.bspline(m, x.numpy(), k)) for k in (0, 1)]
    gradient = torch.stack(
        [torch.stack([factors[int(i == k)][:, i] for i in range(D)]).prod(0) for k in range(D)],
        dim=1,
    )
    return _compared(relu.tensor_error(m, D, n), value - factors[0].prod(1), slope - gradient)


def _network(coefficients, m, n):
    """The sum of the networks of all terms, in one or two variables."""
    N = len(coefficients) - m + 1
    indices = torch.arange(1 - m, N, dtype=torch.float64)

    def network(x):
        factors = relu.bspline(x[..., None] * N - indices, m, n)
        if coefficients.ndim == 1:
            return factors[:, 0] @ torch.from_numpy(coefficients)
        terms = relu.product(factors[:, 1, None, :], factors[:, 0, :, None], n)
        return (terms * torch.from_numpy(coefficients)).sum((1, 2))

    return network


@claim(
    uses=("prop-bspline-net", "prop-tensor-net"),
    evidence=sampled("contained, more sharply, in the certificates of thm-cube"),
    grid=grid(D=(1, 2), m=ORDERS, N=(8, 11)),
    honest=_network,
    tampered=(
        "terms with a single refinement level, where the bound is that of nine",
        lambda coefficients, m, n: _network(coefficients, m, 1),
    ),
)
def prop_spline_net(build, D, m, N):
    """A spline with random coefficients in [-1, 1] against the sum of its networks, n = 9, 4000
    random points.
    """
    n = 9
    rng = np.random.default_rng(m)
    coefficients = rng.uniform(-1, 1, (N + m - 1,) * D)
    x = _points(4000, D)
    value, slope = _slopes(build(coefficients, m, n), x)
    exact = torch.from_numpy(splines.evaluate(coefficients, m, x.numpy()))
    gradient = torch.stack(
        [
            torch.from_numpy(splines.evaluate(coefficients, m, x.numpy(), nu))
            for nu in np.eye(D, dtype=int)
        ],
        dim=1,
    )
    error = relu.spline_error(m, D, N, n, np.abs(coefficients).max())
    return _compared(error, value - exact, slope - gradient, 1000)
