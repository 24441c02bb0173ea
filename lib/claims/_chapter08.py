"""Claims of chapter 08: what no method can do better."""

from functools import partial
from itertools import product

import numpy as np
import sympy as sp
from scipy.optimize import least_squares, linprog

from lib import contrast, limits, splines
from lib.claims._registry import EXACT, claim, grid, sampled
from lib.limits import linear_splines


def _pieces(knots, alpha):
    """The polynomials of the perfect spline that starts at 0 with these knots."""
    x = sp.Symbol("x")
    terms = 0
    pieces = []
    for i, t in enumerate(knots[:-1]):
        terms += (1 if i == 0 else 2) * (-1) ** i * (x - t) ** alpha / sp.factorial(alpha)
        pieces.append(sp.Poly(sp.expand(terms), x))
    return pieces


def _equidistant(alpha):
    return tuple(sp.Rational(i, alpha + 1) for i in range(alpha + 2))


@claim(
    uses=(),
    evidence=sampled("about every g; knots and maxima of the bump are decided with square roots"),
    grid=grid(alpha=(1, 2, 3, 4)),
    honest=limits.bump_knots,
    tampered=("a perfect spline with equidistant knots", _equidistant),
)
def lem_bump(build, alpha):
    """Number of derivatives of order below ``alpha`` that are not zero at 1, and of norms that are
    exceeded at one of 99 rational points, or not reached up to half their distance times the next
    norm; square roots, compared with 50 digits.
    """
    knots = build(alpha)
    norms = limits.bump_norms(alpha)
    pieces = _pieces(knots, alpha)
    wrong = sum(
        not sp.radsimp(sp.expand(pieces[-1].diff((pieces[-1].gen, k)).eval(1))).equals(0)
        for k in range(alpha)
    )
    points = [sp.Rational(i, 100) for i in range(1, 100)]
    for k, norm in enumerate(norms[:-1]):
        derivatives = [piece.diff((piece.gen, k)) for piece in pieces]
        found = [
            abs(derivatives[sum(bool(t <= p) for t in knots[:-1]) - 1].eval(p).evalf(50))
            for p in points
        ]
        wrong += bool(max(found) > norm.evalf(50) + sp.Float(10) ** -40) + bool(
            max(found) < norm - norms[k + 1] / 200
        )
    return 0, wrong


def _bumps(count, dim):
    """An evaluation of combinations of the bumps in ``count`` cells of a grid: coefficients,
    points -> values.
    """
    side = 1
    while side**dim < count:
        side += 1

    def evaluate(c, x, alpha, derivative=None):
        cell = np.minimum((x * side).astype(int), side - 1)
        index = np.ravel_multi_index(tuple(cell.T), (side,) * dim)
        derivative = derivative or (0,) * dim
        values = np.prod(
            [
                limits.bump(alpha, x[:, i] * side - cell[:, i], k) * float(side) ** k
                for i, k in enumerate(derivative)
            ],
            axis=0,
        )
        return np.where(index < count, np.append(c, 0.0)[np.minimum(index, count)], 0.0) * values

    return evaluate, side


def _samples(dim, count):
    """``count`` fixed functions of ``f`` by sampling: nonlinear, continuous; the points are
    stated by a seed.
    """
    rng = np.random.default_rng(100 * dim + count)
    points = rng.random((4 * count, dim))
    mixing = rng.standard_normal((count, 4 * count)) / (4 * count) ** 0.5

    def parameters(values):  # values of f at the points, over the size of f
        u = mixing @ values
        return u + 0.5 * np.roll(u, 1) ** 2 + 0.3 * np.sin(3 * np.roll(u, 2)) + 0.2 * np.abs(u)

    return points, parameters


@claim(
    uses=("lem-bump",),
    evidence=sampled("about every continuous method; one nonlinear method at a time"),
    grid=grid(alpha=(2, 3, 4), D=(1, 2), p=(3, 7), s=(0, 1)),
    honest=_samples,
    tampered=(
        "a method with one number more than the bound is for",
        lambda D, p: _samples(D, p + 1),
    ),
)
def thm_bernstein(build, alpha, D, p, s):
    """The lower bound over the size, in the norm ``s``, of a function of norm 1 in ``W^alpha`` on
    which a nonlinear continuous method with ``p`` numbers says the same as on its negative (found
    by least squares from up to 20 starts among ``p + 1`` bumps; infinity if there is none).
    """
    evaluate, side = _bumps(p + 1, D)
    points, parameters = build(D, p)
    basis = np.stack([evaluate(e, points, alpha) for e in np.eye(p + 1)], axis=1)
    basis /= np.abs(basis).max()

    def odd(c):  # on the sphere
        v = basis @ (c / np.linalg.norm(c))
        return np.append(parameters(v) - parameters(-v), np.linalg.norm(c) - 1)

    for start in np.random.default_rng(p).standard_normal((20, p + 1)):
        c = least_squares(odd, start, xtol=1e-15, ftol=1e-15, gtol=1e-15).x
        if np.abs(odd(c)).max() < 1e-9:
            break
    else:
        return 1, np.inf
    x = np.random.default_rng(s).random((20_000, D))
    # the derivatives of order alpha at random points, at most the true maximum; the size in the
    # norm s exactly
    orders = [o for o in product(range(alpha + 1), repeat=D) if sum(o) == alpha]
    largest = max(np.abs(evaluate(c, x, alpha, o)).max() for o in orders)
    top = (
        np.abs(c).max()
        * float(limits.bump_norms(alpha)[s])
        * float(limits.bump_norms(alpha)[0]) ** (D - 1)
    )
    return 1 + 1e-9, limits.bump_width(p, alpha, D, s) * largest / (top * side**s)


def _constant_zero(degree):
    return (sp.Integer(0), *limits.euler_piece(degree)[1:])


def _favard_series(alpha):
    """``K_a / pi^a`` from ``K_a = 4/pi sum_k ((-1)^k / (2k+1))^(a+1)``, summed in closed form
    (zeta and beta function).
    """
    if alpha % 2:
        return (
            4 * (1 - sp.Rational(1, 2 ** (alpha + 1))) * sp.zeta(alpha + 1) / sp.pi ** (alpha + 1)
        )
    return 4 * sp.Abs(sp.euler(alpha)) / (sp.Integer(4) ** (alpha // 2 + 1) * sp.factorial(alpha))


@claim(
    uses=(),
    evidence=EXACT,
    grid=grid(alpha=range(1, 9)),
    honest=limits.euler_piece,
    tampered=("the Euler polynomial without its constant term", _constant_zero),
)
def lem_euler(build, alpha):
    """Number of derivatives of order below ``alpha`` that do not change their sign from 0 to 1, of
    101 rational points where the stated maximum is exceeded, and 1 each if it is not attained or
    not the sum of the series.
    """
    x = sp.Symbol("x")
    p = sp.Poly(
        sum(sp.Rational(c.numerator, c.denominator) * x**k for k, c in enumerate(build(alpha))), x
    )
    stated = limits.favard(alpha)
    stated = sp.Rational(stated.numerator, stated.denominator)
    wrong = sum(p.diff((x, k)).eval(0) != -p.diff((x, k)).eval(1) for k in range(alpha)) + (
        p.diff((x, alpha)).eval(0) != 1
    )
    values = [abs(p.eval(sp.Rational(i, 100))) for i in range(101)]
    wrong += sum(bool(v > stated) for v in values) + (stated not in values)
    return 0, wrong + (sp.simplify(_favard_series(alpha) - stated) != 0)


def _growth(alpha, j):
    """``phi_(a-j) / phi_a``."""
    return float(limits.favard(alpha - j) / limits.favard(alpha))


@claim(
    uses=("lem-euler",),
    evidence=sampled(
        "about every spline and point; the best spline by linear programming, at nine points of a"
        " cell"
    ),
    grid=[
        {"alpha": a, "j": j, "n": n}
        for a in (1, 2, 3, 4, 5)
        for j in range(1, a + 1)
        for n in (4, 6, 10)
    ]
    + [{"alpha": a, "j": j, "n": 6} for a in (6, 7, 8) for j in (1, a - 1, a)],
    honest=_growth,
    tampered=(
        "a bound of the derivative that is too small by a thousandth",
        lambda alpha, j: 0.999 * _growth(alpha, j),
    ),
)
def lem_spline_bernstein(build, alpha, j, n):
    """The largest derivative of order ``j`` at 9 points of a cell of a spline that is at most one
    at 24 points a cell, found by linear programming, over ``phi_(a-j) n^j / phi_a``.
    """
    at = np.arange(24 * n) / (24 * n)  # with the places where Euler splines are largest
    values = limits.periodic_matrix(alpha, n, at)
    x = (np.arange(9) / 8 + (1e-9 if j == alpha else 0)) % 1 / n
    rows = limits.periodic_matrix(alpha, n, x, j)
    found = 0.0
    for row in rows:
        best = linprog(
            -row, np.vstack([values, -values]), np.ones(2 * len(at)), bounds=(None, None)
        )
        found = max(found, -best.fun)
    return 1 + 1e-7, found / (build(alpha, j) * float(n) ** j)


def _euler_coefficients(alpha, n):
    """The Euler spline."""
    x = (np.arange(n) + 0.5 * ((alpha + 1) % 2)) / n
    return np.linalg.lstsq(
        limits.periodic_matrix(alpha, n, x), limits.euler_spline(alpha, n, x), rcond=None
    )[0]


def _worst(bound, functions, basis, m, s, points):
    """The largest of ``bound |g|_W / |g|_s``, sizes from a grid of so many points in each
    variable.
    """
    worst = 0.0
    for c in functions:
        size = max(limits.seminorm(c, basis, k, points) for k in range(m + 1))
        worst = max(worst, bound * size / limits.seminorm(c, basis, s, points))
    return worst


@claim(
    uses=("lem-spline-bernstein", "thm-bernstein"),
    evidence=sampled("about every continuous method; ours, on functions that it cannot see"),
    grid=grid(m=(2, 3, 4, 6, 8), N=(12,), s=(0, 1)),
    honest=limits.width,
    tampered=(
        "a lower bound that is one per cent too large",
        lambda *args: 1.01 * limits.width(*args),
    ),
)
def thm_favard(build, m, N, s):
    """The lower bound over the size in the norm ``s`` of functions of norm 1 in ``W^m``: an Euler
    spline, and five splines that the coefficients of ours cannot tell from zero; sizes from 8
    points a cell.
    """
    p = N + m - 1
    n = limits.partitions(p, s)
    basis = partial(limits.periodic_matrix, m, n)
    at_zero = basis(np.zeros(1), 0)[0] if s else None
    functions = (_euler_coefficients(m, n), *limits.unseen(m, N, 1, basis, at_zero))
    return 1 + 1e-6, _worst(build(p, m, 1, s), functions, basis, m, s, 8 * n)


@claim(
    uses=("lem-spline-bernstein",),
    evidence=sampled("about every polynomial and point; the best one by linear programming"),
    grid=grid(n=(1, 2, 5)),
    honest=lambda n: 2 * np.pi * n,
    tampered=(
        "a bound of the slope that is too small by a hundredth",
        lambda n: 0.99 * 2 * np.pi * n,
    ),
)
def lem_bernstein(build, n):
    """The largest slope at 0 of a trigonometric polynomial that is at most one at 64 n points,
    found by linear programming, over ``2 pi n``.
    """
    x = np.arange(64 * n) / (64 * n)
    values = limits.trigonometric_matrix(n, x)
    row = limits.trigonometric_matrix(n, np.zeros(1), 1)[0]
    best = linprog(-row, np.vstack([values, -values]), np.ones(2 * len(x)), bounds=(None, None))
    return 1 + 2e-3, -best.fun / build(n)  # between the points it may exceed one


def _wave_coefficients(n, D):
    """A wave in one variable, the product of waves, and their sum over the variables."""
    wave = np.zeros(2 * n + 1)
    wave[-2] = 1.0
    one = np.eye(2 * n + 1)[0]
    single = together = wave
    for _ in range(D - 1):
        single = np.multiply.outer(single, one)
        together = np.multiply.outer(together, wave)
    return single, together, sum(np.moveaxis(single, 0, k) for k in range(D))


@claim(
    uses=("lem-bernstein", "thm-bernstein"),
    evidence=sampled("about every continuous method; ours, on functions that it cannot see"),
    grid=[
        {"D": D, "m": m, "N": N, "s": s}
        for D, N in ((3, 4), (2, 6))
        for m in (2, 3, 4)
        for s in (0, 1)
    ],
    honest=limits.width,
    tampered=(
        "a lower bound by sines that is one per cent too large",
        lambda *args: 1.01 * limits.width(*args),
    ),
)
def thm_trigonometric(build, D, m, N, s):
    """The lower bound over the size in the norm ``s`` of functions of norm 1 in ``W^m``: waves in
    one variable, their products and their sums, and five trigonometric polynomials that the
    coefficients of our splines cannot tell from zero; sizes from 8 points a wave.
    """
    p = (N + m - 1) ** D
    n = limits.frequencies(p, D, s)
    basis = partial(limits.trigonometric_matrix, n)
    mean = np.eye(2 * n + 1)[0] if s else None
    functions = (*_wave_coefficients(n, D), *limits.unseen(m, N, D, basis, mean))
    return 1 + 1e-6, _worst(build(p, m, D, s), functions, basis, m, s, 8 * n)


@claim(
    uses=("thm-favard", "thm-trigonometric", "thm-jackson", "prop-spline-net", "cor-selection"),
    evidence=sampled(
        "the upper bounds are those of thm-jackson, the lower ones those of thm-favard and"
        " thm-trigonometric; all rest on samples"
    ),
    grid=[{"D": D, "N": N, "m": m, "s": s} for D, N, m, *_ in limits.RATIOS for s in (0, 1)],
    honest=limits.ratio,
    tampered=(
        "the bounds for one cell less than the table says",
        lambda m, N, D, s: limits.ratio(m, N - 1, D, s),
    ),
)
def cor_optimality(build, D, N, m, s):
    """The ratio of the bounds, against that of the table; infinity if it is smaller than that by
    more than 2 per cent, or if the error of the network on one of four Euler splines is above the
    upper bound.
    """
    found = build(m, N, D, s)
    stated = next(row[3 + s] for row in limits.RATIOS if row[:3] == (D, N, m))
    size = found.parameters
    n = limits.partitions(size, s) if D == 1 else 2 * limits.frequencies(size, D, s)
    waves = (2, n // 2 // 2 * 2, n, 2 * n)
    errors = [limits.euler_errors(m, N, D, k, found.refinement)[s] for k in waves]
    good = found.ratio >= 0.98 * stated and max(errors) <= found.upper
    return stated, found.ratio if good else np.inf


def _counts(error, m, D):
    return [(limits.needed(error, m, D, s), limits.sufficient(error, m, D, s)) for s in (0, 1)]


@claim(
    uses=("thm-cube", "thm-favard", "thm-trigonometric"),
    evidence=sampled("asymptotic: exponents are fitted; counts at given errors are computed"),
    grid=[{"D": D, "m": m} for D in (1, 2, 3) for m in (2, 3, 4, 6)],
    honest=_counts,
    tampered=(
        "counts for errors in slope as if they were errors in value",
        lambda error, m, D: 2 * _counts(error, m, D)[:1],
    ),
)
def cor_cost(build, D, m):
    """By how much the exponents of the needed and of the sufficient numbers, fitted over two
    errors, miss ``D / (m - s)``; infinity if a number that suffices is below one that is needed, if
    the spline's bound at the sufficient number exceeds the error, or if the lower bound at one
    number less than is needed does not exceed it.
    """
    missed = 0.0
    for s in (0, 1):
        # so small that meshes have 10^3 and 10^4 cells
        errors = [float(c) ** (s - m) for c in (1e3, 1e4)]
        counts = [build(error, m, D)[s] for error in errors]
        for error, (least, enough) in zip(errors, counts):
            cells = round(enough ** (1 / D)) - m + 1
            bounds = dict.fromkeys(splines.needed_derivatives(D, m), 1.0)
            reached = 9 / 8 * tuple(splines.jackson_bound(m, cells, m, bounds))[s]
            if enough < least or reached > error or limits.width(least - 1, m, D, s) <= error:
                return 0.02, np.inf
        ratio = np.log(errors[0] / errors[1])
        for few, many in zip(*counts):
            missed = max(missed, abs(np.log(many / few) / ratio - D / (m - s)) * (m - s) / D)
    return 0.02, missed


@claim(
    uses=("thm-favard", "prop-frozen"),
    evidence=sampled("about every size; weights followed along one path"),
    grid=[{"cells": N, "steps": 32} for N in (2, 4, 8, 16)],
    honest=contrast.frozen_network,
    tampered=("splines of order two in place of bits: their weights do not jump", linear_splines),
)
def prop_jump(build, cells, steps):
    """1 over the largest move of a weight between two functions of the path that are at most 1e-9
    apart; infinity if more than ``2 N + 2`` weights change along the path, or the error bound is
    not below the lower bound for continuous methods.
    """
    jump, differ = limits.largest_jump(build, cells, steps)
    bound = 2 / (cells * steps)
    if differ > 2 * cells + 2 or bound >= limits.width(2 * cells + 2, 1, 1):
        return 1, np.inf
    return 1, 1 / max(jump, 1e-300)


def _code(bits):
    """An invertible map of signs to bits, nonlinear, of which only the first are kept."""

    def encode(signs):
        code = signs > 0
        # from the last one on, so that it can be undone from the first one on
        for k in range(code.shape[1] - 1, 1, -1):
            code[:, k] ^= code[:, k - 1] & ~code[:, k - 2] | code[:, 0]
        return code[:, :bits]

    return encode


@claim(
    uses=("lem-bump",),
    evidence=sampled("about every code; one code, all sums of bumps"),
    grid=[
        {"alpha": a, "D": D, "B": B, "s": s}
        for a in (1, 2, 3, 4)
        for D, B in ((2, 8), (1, 3), (1, 8))
        for s in range(min(a, 2))
    ],
    honest=_code,
    tampered=("a code with one bit more than the bound is for", lambda bits: _code(bits + 1)),
)
def prop_bits(build, alpha, D, B, s):
    """The lower bound over half the largest distance, in the norm ``s``, of two functions of norm 1
    in ``W^alpha`` with the same ``B`` bits, among all sums of bumps with signs; distances from 256
    points a cell along lines through the middles of cells; infinity if no two have the same bits.
    """
    evaluate, side = _bumps(B + 1, D)
    signs = np.array(list(product((-1.0, 1.0), repeat=side**D)))
    code, first = np.unique(build(B)(signs), axis=0, return_inverse=True)
    pairs = [np.flatnonzero(first.ravel() == i)[:2] for i in range(len(code))]
    pairs = [pair for pair in pairs if len(pair) == 2]
    if not pairs:
        return 1, np.inf
    line = np.arange(256 * side) / (256 * side)  # with the middles and quarters of cells
    rows = [(np.arange(side) + 0.5) / side] * (D - 1)
    x = np.stack([g.ravel() for g in np.meshgrid(line, *rows, indexing="ij")], axis=1)
    order = tuple([s] + [0] * (D - 1))
    distance = max(np.abs(evaluate(signs[a] - signs[b], x, alpha, order)).max() for a, b in pairs)
    norms = [float(v) for v in limits.bump_norms(alpha)]
    # |f|_alpha = 1
    distance *= (
        limits.bump_constant(alpha, D, s) / (norms[s] * norms[0] ** (D - 1)) / float(side) ** alpha
    )
    # a maximum between two points, relative
    missed = norms[s + 2] / norms[s] / 512**2 / 2 if s + 2 <= alpha else 0.0
    return 1 + 1.01 * missed + 1e-9, limits.bump_width(B, alpha, D, s) / (distance / 2)
