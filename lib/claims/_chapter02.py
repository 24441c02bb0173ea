"""Claims of chapter 02: splines.  Identities are checked in rationals, constants in balls."""

from fractions import Fraction as F
from math import comb, factorial, pi

import numpy as np
import sympy as sp

from lib import splines
from lib.claims import _kernels as kernels
from lib.claims._registry import CERTIFIED, EXACT, claim, grid, sampled
from lib.claims._transport import attained
from lib.norms import Norms

ORDERS = splines.ORDERS
_UNIT = 2.0**-53


def _perturbed_pieces(order):
    pieces = [list(p) for p in splines.pieces(order)]
    pieces[0][-1] += F(1, 10**12)
    return pieces


# the numbers of lem-bspline; from order 6 on rounded upwards
STEEPEST = {
    2: 1,
    3: 1,
    4: sp.Rational(2, 3),
    5: sp.Rational(5, 48) * (3 + sp.sqrt(5)),
    6: sp.Rational("0.4601"),
    7: sp.Rational("0.3970"),
    8: sp.Rational("0.3494"),
}


def _steepest(pieces):
    """``max |p'|`` over polynomial pieces on [0, 1] to 40 digits: at ends and at zeros of ``p''``,
    isolated exactly.
    """
    x = sp.Symbol("x")
    values = []
    for coefficients in pieces:
        slope = sum(
            k * sp.Rational(c.numerator, c.denominator) * x ** (k - 1)
            for k, c in enumerate(coefficients)
            if k
        )
        bend = sp.diff(slope, x)
        inner = [r for r in sp.Poly(bend, x).real_roots() if 0 < r < 1] if bend != 0 else []
        values += [abs(sp.sympify(slope).subs(x, sp.N(t, 60))) for t in (0, 1, *inner)]
    return sp.N(max(values), 40)


@claim(
    uses=(),
    evidence=EXACT,
    grid=grid(m=ORDERS),
    honest=splines.pieces,
    tampered=(
        "a leading coefficient of the first piece that is too large by 10⁻¹²",
        _perturbed_pieces,
    ),
)
def lem_bspline(build, m):
    """Number of coefficients that violate unity, symmetry, derivative or truncated powers; 1 for
    another steepest slope.
    """
    pieces = build(m)
    wrong = 0
    excess = sp.N(STEEPEST[m], 40) - _steepest(pieces)
    wrong += not -1e-35 < excess < (1e-35 if m <= 5 else 1e-4)
    wrong += sum(sum(p[k] for p in pieces) != (k == 0) for k in range(m))
    lower = [*splines.pieces(m - 1), (F(0),) * (m - 1)]
    for i in range(m):
        derivative = [k * c for k, c in enumerate(pieces[i])][1:]
        before = lower[i - 1] if i else (F(0),) * (m - 1)
        wrong += sum(d != a - b for d, a, b in zip(derivative, lower[i], before))
        for t in (F(j, m) for j in range(m + 1)):
            value = sum(c * t**k for k, c in enumerate(pieces[i]))
            mirror = sum(c * (1 - t) ** k for k, c in enumerate(pieces[m - 1 - i]))
            power = sum((-1) ** j * comb(m, j) * (i + t - j) ** (m - 1) for j in range(i + 1)) / F(
                factorial(m - 1)
            )
            wrong += (value != mirror) + (value != power)
    return 0, wrong


def _perturbed_functional(order, cells, j):
    nodes, weights = splines.functional(order, cells, j)
    return nodes, (weights[0] + F(1, 10**15), *weights[1:])


@claim(
    uses=("lem-bspline",),
    evidence=EXACT,
    grid=[{"m": m, "N": N} for m in ORDERS for N in (m, m + 1, 2 * m)],
    honest=splines.functional,
    tampered=("functionals whose first weight is too large by 10⁻¹⁵", _perturbed_functional),
)
def lem_marsden(build, m, N):
    """Number of wrong polynomial coefficients, over all cells and p < m, of two expansions of
    ``x^p``.

    With the blossom's values as coefficients (the identity), and with those of the functionals (``Q
    x^p``).
    """
    pieces = splines.pieces(m)
    wrong = 0
    functionals = {j: build(m, N, j) for j in range(1 - m, N)}
    for p in range(m):
        values = {j: sum(w * t**p for t, w in zip(*f)) for j, f in functionals.items()}
        for cell in range(N):
            exact = [comb(p, k) * F(cell) ** (p - k) if k <= p else F(0) for k in range(m)]
            found = [
                sum(values[j] * pieces[cell - j][k] for j in range(cell - m + 1, cell + 1))
                for k in range(m)
            ]
            blossom = [
                sum(
                    splines.blossom_value(m, j, p) * pieces[cell - j][k]
                    for j in range(cell - m + 1, cell + 1)
                )
                for k in range(m)
            ]
            wrong += sum(a != b for a, b in zip(exact, found)) + sum(
                a != b for a, b in zip(exact, blossom)
            )
    return 0, wrong


def _shifted_functional(order, cells, j):
    nodes, weights = splines.functional(order, cells, j)
    return tuple(t - order for t in nodes), weights


@claim(
    uses=("lem-marsden",),
    evidence=EXACT,
    grid=[{"m": m, "N": N} for m in ORDERS for N in (m, 2 * m + 1)],
    honest=splines.functional,
    tampered=(
        "functionals whose nodes are moved to the left by the length of the support",
        _shifted_functional,
    ),
)
def lem_functionals(build, m, N):
    """Number of functionals with a node out of place, weights that do not sum to 1, or a norm above
    Lambda_m.

    Out of place: outside the domain or, for interior terms, outside the closed support.
    """
    wrong = 0
    for j in range(1 - m, N):
        nodes, weights = build(m, N, j)
        wrong += sum(not 0 <= t <= N for t in nodes) + (sum(weights) != 1)
        wrong += sum(abs(w) for w in weights) > splines.weight_sum(m, interior=0 <= j <= N - m)
        if 0 <= j <= N - m:
            wrong += sum(not j <= t <= j + m for t in nodes)
    return 0, wrong


def _norms(m, N):
    return Norms(splines.operator_norm(m, N), splines.slope_norm(m, N))


@claim(
    uses=("lem-bspline", "lem-functionals"),
    evidence=CERTIFIED,
    grid=grid(m=ORDERS),
    honest=_norms,
    tampered=(
        "norms of the quasi-interpolant stated two per cent too small",
        lambda m, N: 0.98 * _norms(m, N),
    ),
)
def lem_stability(build, m):
    """Both norms of Q against upper bounds of another kind, with Bernstein coefficients in
    balls.
    """
    N = 2 * m + 1
    return build(m, N), Norms(kernels.lebesgue(m, N), kernels.slope(m, N))


@claim(
    uses=("lem-marsden", "lem-functionals"),
    evidence=CERTIFIED,
    grid=[
        {"m": m, "alpha": a, "s": s}
        for m in ORDERS
        for a in range(1, m + 1)
        for s in (0, 1)
        if s < a
    ],
    honest=splines.peano_constant,
    tampered=(
        "a Peano constant stated three per cent too small",
        lambda *p: 0.97 * splines.peano_constant(*p),
    ),
)
def lem_peano(build, m, alpha, s):
    """The Peano constant against an upper bound of another kind, with Bernstein coefficients in
    balls.
    """
    N = 2 * m + 1
    return build(m, N, alpha, s), kernels.peano(m, N, alpha, s)


def _coefficients(m, N, function, D):
    return splines.QuasiInterpolant(m, N).coefficients(function, D)


def _without_a_term(*given):
    coefficients = _coefficients(*given)
    coefficients[(len(coefficients) // 2,) * coefficients.ndim] = 0
    return coefficients


@claim(
    uses=("lem-peano", "lem-stability"),
    evidence=sampled(
        "about every f; checked for one family, whose splines are also inside the certificates of"
        " thm-cube"
    ),
    grid=[
        {"D": D, "m": m, "alpha": a, "N": max(N, m)}
        for D, N in ((1, 9), (2, 8), (3, 6))
        for m in ORDERS
        for a in range(2, m + 1)
    ],
    honest=_coefficients,
    tampered=("a spline whose middle coefficient is set to zero", _without_a_term),
)
def thm_jackson(build, D, m, alpha, N):
    """The Jackson bound for ``prod sin(2 x_i + i)`` at 4000 random points, knots and corners."""
    rng = np.random.default_rng(D * 100 + m)
    x = np.concatenate(
        [rng.random((3000, D)), rng.integers(0, N + 1, (900, D)) / N, rng.integers(0, 2, (100, D))]
    )
    x = x * (1 - 2 * _UNIT)
    phase = np.arange(D)

    def partial(points, nu):
        return np.prod(
            [2.0**k * np.sin(2 * points[:, i] + phase[i] + k * pi / 2) for i, k in enumerate(nu)],
            axis=0,
        )

    coefficients = build(m, N, lambda p: partial(p, (0,) * D), D)

    def error(nu):
        return np.abs(partial(x, nu) - splines.evaluate(coefficients, m, x, nu)).max()

    bounds = {nu: 2.0**alpha for nu in splines.needed_derivatives(D, alpha)}
    jackson = splines.jackson_bound(m, N, alpha, bounds)
    slope = max(error(tuple(row)) for row in np.eye(D, dtype=int))
    return jackson, Norms(error((0,) * D), slope)


def _without_first(*given):
    coefficients = _coefficients(*given)
    coefficients[(0,) * coefficients.ndim] = 0
    return coefficients


@claim(
    uses=("lem-peano", "lem-stability"),
    evidence=sampled("about every f; functions that linear programmes find, near the worst"),
    grid=[
        {"m": m, "alpha": k + beta, "s": s}
        for m in (2, 3, 4)
        for k in range(m)
        for s in (0, 1)[: k + 1]
        for beta in (0.25, 0.5, 0.75)
    ]
    + [{"m": m, "alpha": m - 0.5, "s": s} for m in (5, 6, 7, 8) for s in (0, 1)],
    honest=splines.peano_constant,
    tampered=(
        "a constant between integers that is stated five per cent too small",
        lambda *p: 0.95 * splines.peano_constant(*p),
    ),
)
def lem_peano_real(build, m, alpha, s):
    """The constant against the errors of functions of seminorm 1, each made for one of 15 places:
    five in an interior cell, five in either cell next to an end.
    """
    N = 2 * m + 1
    places = [cell + x for cell in (0, 1, m) for x in (0.01, 0.2, 0.5, 0.8, 0.99)]
    return build(m, N, alpha, s), max(attained(m, N, alpha, s, x) for x in places)


def _ridge(x, D, alpha, axis=None):
    """``|sum_i x_i - D / 2|^alpha`` at points (P, D), or its derivative along any axis."""
    u = x.sum(1) - D / 2
    if axis is None:
        return np.abs(u) ** alpha
    return alpha * np.sign(u) * np.abs(u) ** (alpha - 1)


@claim(
    uses=("thm-jackson", "lem-peano-real"),
    evidence=sampled(
        "about every f; checked for one family, whose splines are also inside the certificates of"
        " thm-cube-real"
    ),
    grid=[
        {"D": D, "m": m, "alpha": a, "N": max(N, m)}
        for D, N in ((1, 9), (2, 9), (3, 7))
        for m in (2, 3, 4, 5)
        for a in (1.25, 1.5, 2.5, 3.5, 4.75)
        if a < m
    ]
    + [{"D": 1, "m": m, "alpha": m - 0.5, "N": 21} for m in (6, 7, 8)],
    honest=_coefficients,
    tampered=("a spline whose first coefficient is missing", _without_first),
)
def thm_jackson_real(build, D, m, alpha, N):
    """The Jackson bound for ``|sum_i x_i - D / 2|^alpha`` at 4000 random points, points near its
    singular set, and corners.
    """
    rng = np.random.default_rng(D * 100 + m)
    x = np.concatenate([rng.random((4000, D)), rng.integers(0, 2, (100, D)).astype(float)])
    near = rng.random((1000, D))
    near[:, -1] = D / 2 - near[:, :-1].sum(1) + rng.uniform(-0.5, 0.5, 1000) / N
    x = np.concatenate([x, near[(near[:, -1] >= 0) & (near[:, -1] <= 1)]]) * (1 - 2 * _UNIT)
    k = int(alpha)
    # |u|^beta or sign(u) |u|^beta, times this
    seminorm = np.prod(alpha - np.arange(k)) * (2 ** (k + 1 - alpha) if k % 2 else 1.0)
    jackson = splines.jackson_bound(
        m, N, alpha, dict.fromkeys(splines.needed_derivatives(D, alpha), seminorm)
    )
    coefficients = build(m, N, lambda p: _ridge(p, D, alpha), D)

    def error(axis=None):
        nu = tuple(int(i == axis) for i in range(D))
        return np.abs(_ridge(x, D, alpha, axis) - splines.evaluate(coefficients, m, x, nu)).max()

    return jackson, Norms(error(), max(map(error, range(D))))


@claim(
    uses=(),
    evidence=sampled("about every pair of points; attained for a linear function"),
    grid=grid(D=(1, 2, 3), s=(0.1, 0.5, 0.9)),
    honest=Norms.at,
    tampered=(
        "a bound that starts from nine tenths of the largest value",
        lambda norms, s, D: Norms(0.9 * norms.value, norms.slope).at(s, D),
    ),
)
def lem_interpolation(build, D, s):
    """The seminorm of ``sum_i (x_i - 1/2)``, for which it is attained on the diagonal, over
    random pairs and corners.
    """
    rng = np.random.default_rng(0)
    x, y = rng.random((2, 20000, D))
    x[0], y[0] = 0.0, 1.0
    quotients = np.abs((x - y).sum(1)) / np.linalg.norm(x - y, axis=1) ** s
    return build(Norms(D / 2, 1.0), s, D) * (1 + 16 * _UNIT), quotients.max()
