"""Chapter 08: bumps, Euler splines, lower bounds, ratios; fitting a network."""

import importlib
import itertools
import re
from fractions import Fraction
from functools import partial
from math import factorial, pi, prod
from pathlib import Path

import numpy as np
import pytest
import sympy as sp
import torch
from scipy.interpolate import BSpline, make_interp_spline
from scipy.optimize import linprog

import lib
from lib import InputError, limits, splines
from lib.contrast import frozen_network
from lib.limits._ratio import largest_coefficient

PAGE = (Path(__file__).parent.parent / "book/08_limits.md").read_text()


@pytest.mark.parametrize("alpha", (1, 2, 3, 4))
def test_bump_is_the_perfect_spline_of_scipy(alpha):
    """The B-spline with these knots is a multiple of it."""
    knots = np.array([float(t) for t in limits.bump_knots(alpha)])
    x = np.linspace(0.01, 0.99, 97)
    b = BSpline.basis_element(knots, extrapolate=False)
    ratio = limits.bump(alpha, x) / b(x)
    assert np.ptp(ratio) < 1e-12 * abs(ratio).max()
    for k in range(1, alpha):
        assert limits.bump(alpha, x, k) == pytest.approx(ratio[0] * b.derivative(k)(x), abs=1e-12)
    top = limits.bump(alpha, x, alpha)
    assert set(top) == {1.0, -1.0} and np.sum(np.diff(top) != 0) == alpha


@pytest.mark.parametrize("alpha", (1, 2, 3, 4))
def test_bump_norms_are_maxima(alpha):
    x = np.sort(np.append(np.linspace(0, 1, 100_001), [float(t) for t in limits.bump_knots(alpha)]))
    for k, norm in enumerate(limits.bump_norms(alpha)):
        assert abs(limits.bump(alpha, x[:-1], k)).max() == pytest.approx(float(norm), rel=1e-8)
    assert limits.bump(alpha, [-0.1, 1.0, 1.1]).tolist() == [0, 0, 0]


@pytest.mark.parametrize("alpha, k", [(a, k) for a in (1, 2, 3, 4) for k in range(a)])
def test_derivatives_of_the_bump_have_as_many_zeros_as_their_order(alpha, k):
    """In ``(0, 1)``, from the pieces by numpy; those of ``psi_4'`` are why `_roots` need not
    solve a cubic.
    """
    knots = np.array([float(t) for t in limits.bump_knots(alpha)])
    weights = np.array([(-1.0) ** i * (2 if i else 1) for i in range(alpha + 1)])
    x = np.poly1d([1.0, 0.0])
    zeros = []
    for i in range(alpha + 1):
        piece = sum(
            (w * (x - t) ** alpha for w, t in zip(weights[: i + 1], knots)), np.poly1d([0.0])
        ) / factorial(alpha)
        zeros += [
            r.real
            for r in piece.deriv(k).roots
            if abs(r.imag) < 1e-9
            and max(knots[i], 1e-3) - 1e-9 < r.real <= min(knots[i + 1], 1 - 1e-3) - 1e-9
        ]
    assert len(zeros) == k and sorted(zeros) == pytest.approx(
        [1 - z for z in sorted(zeros, reverse=True)], abs=1e-6
    )
    found = limits.bump(alpha, np.linspace(1e-3, 1 - 1e-3, 10_000), k)
    assert np.sum(found[:-1] * found[1:] < 0) == k


@pytest.mark.parametrize("alpha", (2, 3, 4))
def test_no_bump_is_larger_anywhere(alpha):
    """Best functions with a derivative constant on 300 cells, by linear programming, at ten
    points.
    """
    cells = 300
    edges = np.arange(cells + 1) / cells
    moments = np.stack([np.diff(edges ** (k + 1)) for k in range(alpha)])
    for x in np.arange(1, 10) / 10:
        row = -np.diff(np.maximum(x - edges, 0) ** alpha) / factorial(alpha)
        best = -linprog(-row, A_eq=moments, b_eq=np.zeros(alpha), bounds=(-1, 1)).fun
        assert 0.98 < best / limits.bump(alpha, [x])[0] <= 1 + 1e-7


def test_norms_in_the_chapter_are_the_codes():
    text = PAGE.split("| $\\alpha$ | $\\norm{\\psi_\\alpha}$")[1].split(":::")[0]
    for line in text.splitlines()[2:6]:
        alpha, *cells = [c.strip() for c in line.strip().strip("|").split("|")]
        for k, cell in enumerate(cells):
            if cell and not cell.isspace():
                formula = re.sub(
                    r"\\frac(\d|\{[^}]*(?:\{\d+\}[^}]*)*\})(\d|\{\d+\})",
                    r"((\1)/(\2))",
                    cell.strip("$"),
                )
                formula = re.sub(
                    r"(\d)?\\sqrt(\d|\{\d+\})",
                    lambda m: f"{m.group(1) or 1}*sqrt({m.group(2)})",
                    formula,
                )
                value = float(sp.sympify(formula.replace("{", "").replace("}", "")))
                assert value == pytest.approx(float(limits.bump_norms(int(alpha))[k]), rel=1e-12), (
                    cell
                )


def test_favard_constants():
    assert [limits.favard(a) for a in range(6)] == [
        Fraction(t) for t in ("1", "1/2", "1/8", "1/24", "5/384", "1/240")
    ]
    for a in range(1, 6):
        series = (
            4 / pi ** (a + 1) * sum(((-1) ** k / (2 * k + 1)) ** (a + 1) for k in range(100_000))
        )
        assert float(limits.favard(a)) == pytest.approx(series, rel=1e-4)


@pytest.mark.parametrize("degree", (1, 2, 3, 4, 5))
def test_euler_splines(degree):
    x = np.linspace(0, 1, 20_001)[:-1]
    for k in range(degree + 1):
        g = limits.euler_spline(degree, 6, x, k)
        assert abs(g).max() == pytest.approx(
            float(limits.favard(degree - k)) / 6.0 ** (degree - k), rel=1e-6
        )
        assert (
            limits.euler_spline(degree, 6, x + 1 / 6, k)[10:] == pytest.approx(-g[10:], abs=1e-12)
            or k == degree
        )
        if k:
            slope = np.diff(limits.euler_spline(degree, 6, x, k - 1)) / np.diff(x)
            middle = limits.euler_spline(degree, 6, x[:-1] + 1 / 40_000, k)
            assert np.median(abs(slope - middle)) < 1e-3 * abs(g).max()


@pytest.mark.parametrize("degree, knots", list(itertools.product((1, 2, 3, 4), (2, 4, 7))))
def test_periodic_basis_agrees_with_scipy(degree, knots):
    x = np.random.default_rng(knots).random(200)
    for k in range(degree + 1):
        ours = limits.periodic_matrix(degree, knots, x, k)
        theirs = np.zeros_like(ours)
        for j in range(-degree, knots):  # every translate, folded back
            b = BSpline.basis_element(np.arange(j, j + degree + 2) / knots, extrapolate=False)
            theirs[:, j % knots] += np.nan_to_num((b.derivative(k) if k else b)(x))
        assert ours == pytest.approx(theirs, abs=1e-10 * knots**k)


def test_euler_splines_are_periodic_splines():
    x = np.linspace(0, 1, 301)[:-1]
    for degree in (1, 2, 3, 4):
        matrix = limits.periodic_matrix(degree, 8, x)
        g = limits.euler_spline(degree, 8, x)
        c = np.linalg.lstsq(matrix, g, rcond=None)[0]
        assert abs(matrix @ c - g).max() < 1e-13


@pytest.mark.parametrize("alpha, s", [(a, s) for a in (2, 3, 4) for s in (0, 1)])
def test_norms_of_trigonometric_polynomials_grow_no_faster_than_said(alpha, s):
    """Coefficients by ascent, in two variables: ``|g|_alpha <= (2 pi n)^(alpha-s) |g|_s``; a
    constant half as large is refuted.
    """
    n, points = 1, 24
    x = np.arange(points) / points + 1e-9
    # the other way of writing them: a complex exponential for each frequency
    exponents = 2j * np.pi * np.arange(-n, n + 1)
    waves = np.exp(x[:, None] * exponents)
    matrices = [torch.from_numpy(waves * exponents**k) for k in range(alpha + 1)]

    def size(c, order):
        return max(
            (matrices[i] @ c @ matrices[order - i].T).real.abs().max() for i in range(order + 1)
        )

    best = 0.0
    for seed in range(4):
        rng = np.random.default_rng(seed)
        c = rng.standard_normal((2 * n + 1,) * 2) + 1j * rng.standard_normal((2 * n + 1,) * 2)
        c = torch.from_numpy(c).requires_grad_(True)
        optimizer = torch.optim.Adam([c], lr=0.05)
        for _ in range(150):
            ratio = size(c, alpha) / size(c, s)
            optimizer.zero_grad()
            (-torch.log(ratio)).backward()
            optimizer.step()
            best = max(best, float(ratio.detach()))
    most = (2 * np.pi * n) ** (alpha - s)
    assert 0.5 * most < best <= most * 1.02  # sizes are from 24 points in each variable
    assert limits.width(8 - s, alpha, 2, s) == pytest.approx(1 / most, rel=1e-14)


@pytest.mark.parametrize("k", (0, 1, 2, 3))
def test_trigonometric_matrix(k):
    x = np.linspace(0, 1, 7)
    t = sp.Symbol("t")
    basis = [sp.Integer(1)]
    for n in (1, 2):
        basis += [sp.cos(2 * sp.pi * n * t), sp.sin(2 * sp.pi * n * t)]
    expected = [[float(sp.diff(e, t, k).subs(t, v).evalf(20)) for e in basis] for v in x.tolist()]
    assert np.abs(limits.trigonometric_matrix(2, x, k) - expected).max() < 1e-10


def test_sizes_of_spaces():
    assert [limits.partitions(p) for p in (1, 2, 3, 4)] == [2, 4, 4, 6]
    assert limits.partitions(3) == 4 and limits.partitions(3, 1) == 6
    assert [limits.frequencies(p, 2) for p in (1, 8, 9, 24, 25)] == [1, 1, 2, 2, 3]
    assert limits.frequencies(8, 2, 1) == 2 and limits.frequencies(7, 2, 1) == 1
    for p in range(1, 400):
        for s in (0, 1):
            P = limits.partitions(p, s)
            assert P % 2 == 0 and p + 1 + s <= P <= p + 2 + s
            for D in (2, 3):
                n = limits.frequencies(p, D, s)
                assert (2 * n + 1) ** D >= p + 1 + s
                assert n == 1 or (2 * n - 1) ** D < p + 1 + s


@pytest.mark.parametrize("D, alpha, s", list(itertools.product((1, 2, 3), (2, 3, 6), (0, 1))))
def test_numbers_needed_and_sufficient(D, alpha, s):
    """The least ones, by trying the next smaller ones; and the inequalities of the corollary."""
    bounds = dict.fromkeys(splines.needed_derivatives(D, alpha), 1.0)
    largest = max(
        9 / 8 * tuple(splines.jackson_bound(alpha, N, alpha, bounds))[s] * N ** (alpha - s)
        for N in range(alpha, 2 * alpha + 1)
    )
    for error in (0.5, 0.03, 1e-3):
        least = limits.needed(error, alpha, D, s)
        assert limits.width(least, alpha, D, s) <= error
        assert least == 1 or limits.width(least - 1, alpha, D, s) > error
        size = error ** (-1 / (alpha - s))
        if D == 1:
            below = float(limits.favard(alpha - s)) ** (1 / (alpha - s)) * size - 2 - s
        else:
            below = max(size / np.pi - 1, 0) ** D - s
        assert least >= below - 1e-6
        enough = limits.sufficient(error, alpha, D, s)
        N = round(enough ** (1 / D)) - alpha + 1
        assert (N + alpha - 1) ** D == enough
        bound = [
            9 / 8 * tuple(splines.jackson_bound(alpha, k, alpha, bounds))[s]
            for k in (N, max(N - 1, alpha))
        ]
        assert bound[0] <= error and (N == alpha or bound[1] > error)
        cells = max(alpha, (largest / error) ** (1 / (alpha - s)) + 1)
        assert enough <= (cells + alpha - 1) ** D * (1 + 1e-9)


@pytest.mark.parametrize("D", (1, 2, 3))
def test_numbers_needed_for_an_error_that_is_a_width(D):
    """Where the root is an integer but for rounding: the next space is not needed."""
    for alpha, s, p in itertools.product((2, 3, 5, 8), (0, 1), (7, 40, 55, 600, 3000)):
        error = limits.width(p, alpha, D, s)
        least = limits.needed(error, alpha, D, s)
        assert least <= p and limits.width(least, alpha, D, s) == error
        assert least == 1 or limits.width(least - 1, alpha, D, s) > error


def test_width_is_the_favard_number():
    for p in (1, 3, 9):
        for alpha in (1, 2, 3, 4):
            assert limits.width(p, alpha, 1) == pytest.approx(
                float(limits.favard(alpha)) / (p + 1) ** alpha, rel=1e-14
            )


@pytest.mark.parametrize("alpha", (2, 4))
def test_spline_interpolation_attains_the_width(alpha):
    """With ``P`` numbers, on Euler splines with half the frequencies: never above the width, and
    equal to it for one.
    """
    P = 8
    x = np.linspace(0, 1, 4001)
    knots = np.arange(P + 1) / P
    width = limits.width(P - 1, alpha, 1)
    worst = 0.0
    for cells in (2, 4, 6, 8, 10, 16):
        for shift in np.linspace(0, 1, 41):
            f = limits.euler_spline(alpha, cells, knots + shift / cells)
            f[-1] = f[0]
            spline = make_interp_spline(knots, f, k=alpha - 1, bc_type="periodic")
            worst = max(
                worst, abs(spline(x) - limits.euler_spline(alpha, cells, x + shift / cells)).max()
            )
    assert 0.999 * width < worst <= width * (1 + 1e-9)


@pytest.mark.parametrize(
    "alpha, D, s", [(a, D, s) for a in (1, 2, 3, 4) for D in (1, 2, 3) for s in (0, 1) if s < a]
)
def test_bump_width(alpha, D, s):
    norms = [float(v) for v in limits.bump_norms(alpha)]
    largest = max(
        prod(norms[k] for k in o)
        for o in itertools.product(range(alpha + 1), repeat=D)
        if sum(o) == alpha
    )
    for p in (1, 7, 26, 27):
        side = next(n for n in range(1, 100) if n**D >= p + 1)
        expected = norms[s] * norms[0] ** (D - 1) / largest / side ** (alpha - s)
        assert limits.bump_width(p, alpha, D, s) == pytest.approx(expected, rel=1e-14)
        if D == 1 and p % 2:  # one dimension: waves are never worse
            assert s == 1 or limits.bump_width(p, alpha, D, s) <= limits.width(p, alpha, D, s) * (
                1 + 1e-14
            )


def test_numbers_of_the_exercises():
    assert limits.width(3, 2, 1) == 1 / 128
    assert limits.bump_width(48, 2, 2) > 1e-3 >= limits.bump_width(49, 2, 2)
    assert limits.bump_width(3, 2, 2, 1) > 0.1 >= limits.bump_width(4, 2, 2, 1)
    bound = {
        N: splines.jackson_bound(
            2, N, 2, dict.fromkeys(splines.needed_derivatives(2, 2), 1.0)
        ).value
        for N in (22, 23)
    }
    assert bound[23] <= 0.5e-3 < bound[22] and 1 / 23**2 < 2e-3
    assert splines.interior_peano_constant(4, 4, 0) / float(limits.favard(4)) == pytest.approx(
        1.24, abs=5e-3
    )


@pytest.mark.parametrize(
    "m, N, D", [(2, 8, 1), (3, 16, 1), (4, 16, 1), (4, 64, 1), (3, 8, 2), (4, 16, 2)]
)
def test_coefficients_on_the_class_are_bounded(m, N, D):
    """Products and sums of waves, sharp where all derivatives are as large as allowed."""
    bound = largest_coefficient(m, N, D)
    quasi = splines.QuasiInterpolant(m, N)
    for frequency in (0.1, 0.5, 1.0):
        for phase in np.linspace(0, 3, 13):

            def wave(x, frequency=frequency, phase=phase):  # every derivative is at most 1
                return np.sin(frequency * x.sum(1) + phase)

            c = quasi.coefficients(wave, D)
            assert abs(c).max() <= bound
    assert bound <= float(splines.weight_sum(m)) ** D


def _table_of_the_chapter():
    rows, D, N = [], None, None
    for line in PAGE.splitlines():
        cells = [c.strip().strip("$") for c in line.strip("|").split("|")]
        if len(cells) == 7 and cells[2].isdigit():
            D, N = (int(cells[0].removeprefix("D=")), int(cells[1])) if cells[0] else (D, N)
            rows.append((D, N, int(cells[2]), *map(float, cells[3:])))
    return rows


def test_the_table_of_the_chapter_is_that_of_the_claim():
    rows = _table_of_the_chapter()
    assert tuple(row[:5] for row in rows) == limits.RATIOS
    for D, N, m, _, _, value, slope in rows:
        bound = splines.jackson_bound(m, N, m, dict.fromkeys(splines.needed_derivatives(D, m), 1.0))
        assert bound.value * N**m / limits.width_constant(m, D) == pytest.approx(value, rel=5e-3)
        assert bound.slope * N ** (m - 1) / limits.width_constant(m, D, 1) == pytest.approx(
            slope, rel=5e-3
        )


@pytest.mark.parametrize(
    "m, D, N, waves",
    [(2, 2, 32, 12), (2, 3, 16, 4), (3, 2, 32, 2), (3, 3, 16, 2), (4, 2, 32, 2), (4, 3, 16, 2)],
)
def test_the_errors_of_the_axes_add(m, D, N, waves):
    """On sums of Euler splines, to a thousandth; the powers of ``q`` in the bound are not felt."""
    c = splines.QuasiInterpolant(m, N).coefficients(
        lambda x: sum(limits.euler_spline(m, waves, x[:, i]) for i in range(D)), D
    )
    # where the errors of the axes are equal
    x = np.repeat(np.random.default_rng(0).random((2000, 1)), D, axis=1)
    error = np.abs(splines.evaluate(c, m, x) - D * limits.euler_spline(m, waves, x[:, 0])).max()
    added = D * splines.peano_constant(m, N, m, 0) / N**m
    bound = splines.jackson_bound(
        m, N, m, dict.fromkeys(splines.needed_derivatives(D, m), 1.0)
    ).value
    assert 0.998 * added < error <= added <= bound * (1 + 1e-9) and (
        m > 2 or bound == pytest.approx(added)
    )


def test_constants_at_the_boundary_are_those_the_chapter_quotes():
    """All constants are larger than in the interior, the Peano constants of the top order by
    5 %.
    """
    text = PAGE.split("*Two and more.*")[1].split("```")[0]
    for m in (2, 3, 4):
        for s in (0, 1):
            more = splines.peano_constant(m, 2 * m, m, s) / splines.interior_peano_constant(m, m, s)
            assert more == pytest.approx(1 if m == 2 else 1.05, abs=5e-3)
    for m, column in ((3, 0), (4, 1)):
        for words, norm in (
            ("powers of $q=1.31$, $1.43$", splines.operator_norm),
            ("instead of $1.57$ and $1.58$", splines.slope_norm),
        ):
            assert words in text
            assert float(re.findall(r"\d\.\d+", words)[column]) == pytest.approx(
                norm(m, 2 * m), abs=5e-3
            )
        for words, norm in (
            ("$q$ is $1.25$ and $1.36$", splines.interior_operator_norm),
            ("$q_1$ is $1.50$ and $1.51$", splines.interior_slope_norm),
        ):
            assert words in text
            assert float(re.findall(r"\d\.\d+", words)[column]) == pytest.approx(norm(m), abs=5e-3)
        words = "$3.27$, $3.00$ for $m=3$ and $3.70$, $3.26$ for $m=4$"
        assert words in text
        bound = splines.jackson_bound(
            m, 2 * m, m, dict.fromkeys(splines.needed_derivatives(2, m), 1.0), interior=True
        )
        for s, found in enumerate((bound.value, bound.slope)):
            ratio = found * (2 * m) ** (m - s) / limits.width_constant(m, 2, s)
            assert ratio == pytest.approx(
                float(re.findall(r"\d\.\d+", words)[2 * column + s]), abs=6e-3
            )


@pytest.mark.parametrize("alpha, D, delta", [(2, 2, 1e-2), (3, 2, 1e-4), (4, 3, 1e-6)])
def test_weights_that_are_needed_for_a_slope(alpha, D, delta):
    """The inequality after the rate in nonzero weights: as many weights as it allows do not
    suffice.
    """
    most = int((delta ** (-1 / (alpha - 1)) / np.pi - 1) ** D - 2)
    assert most > 1 and limits.width(most, alpha, D, 1) > delta >= limits.width(
        9**D * (most + 99), alpha, D, 1
    )


def test_ratio_is_of_the_network_that_is_built():
    """A target of the class: bound of `approximate` below ``upper``, refinement and number of
    coefficients the same.
    """
    for m in (2, 3, 4):
        r = limits.ratio(m, 16, 1)
        target = lib.Target.from_sympy("cos(x1+1/3)")
        a = lib.approximate(target, lib.Cube(1), order=m, cells=16, refinement=r.refinement)
        assert a.coefficients.size == r.parameters and a.bound.value <= r.upper * (1 + 1e-9)
        assert r.ratio == r.upper / r.lower >= 1


def test_a_function_that_is_not_seen():
    m, N, P = 3, 12, 16
    for c in limits.unseen(m, N, 1, partial(limits.periodic_matrix, m, P)):
        f = lambda x, c=c: limits.periodic_matrix(m, P, x[:, 0]) @ c  # noqa: E731
        assert (
            abs(splines.QuasiInterpolant(m, N).coefficients(f, 1)).max()
            < 1e-12
            < 0.1
            < abs(c).max()
        )


def test_jumps_do_not_shrink_with_the_path():
    for width in (1e-3, 1e-6, 1e-9):
        assert limits.largest_jump(frozen_network, 8, 16, width)[0] >= 1
    f, g = limits.path(0.0), limits.path(1.0)
    x = torch.linspace(0, 1, 10_001, dtype=torch.float64)[:, None]
    for h in (f, g, limits.path(0.3)):
        assert (h(x)[1:] - h(x)[:-1]).abs().max() <= 1e-4 * (1 + 1e-9) and h(x).abs().max() <= 1


@pytest.mark.parametrize(
    "call, argument",
    [
        (lambda: limits.bump_knots(5), "alpha"),
        (lambda: limits.bump(2, 0.5, 3), "derivative"),
        (lambda: limits.favard(9), "degree"),
        (lambda: limits.euler_spline(3, 5, 0.1), "knots"),
        (lambda: limits.euler_spline(3, 4, 0.1, 4), "derivative"),
        (lambda: limits.width(0, 2, 1), "parameters"),
        (lambda: limits.width(3, 1, 1, 1), "s"),
        (lambda: limits.width(3, 2, 0), "dim"),
        (lambda: limits.width(3, 1, 2), "alpha"),
        (lambda: limits.needed(0, 2, 2), "error"),
        (lambda: limits.sufficient(0.1, 2, 2, 2), "s"),
        (lambda: limits.sufficient(-0.1, 2, 2), "error"),
        (lambda: limits.frequencies(0, 2), "parameters"),
        (lambda: limits.trigonometric_matrix(-1, np.zeros(1)), "n"),
        (lambda: limits.bump_width(-1, 2, 1), "parameters"),
        (lambda: limits.ratio(4, 3, 1), "cells"),
        (lambda: limits.ratio(4, 4096, 1), "refinement"),
        (lambda: limits.periodic_matrix(0, 4, np.zeros(1)), "degree"),
    ],
)
def test_bad_input(call, argument):
    with pytest.raises(InputError, match=argument):
        call()


# ---- from proof to training


def test_fit_fits():
    """A linear map with and without slopes; the same seed gives the same numbers."""
    target = lib.Target.from_sympy("2*x1-x2+1/2")
    spent = np.arange(400) / 400
    for slopes in (False, True):
        found = []
        for _ in range(2):
            network = torch.nn.Sequential(
                torch.nn.Linear(2, 1, dtype=torch.float64), torch.nn.Flatten(0)
            )
            torch.nn.init.zeros_(network[0].weight), torch.nn.init.zeros_(network[0].bias)
            losses = limits.fit(network, target, spent, rate=0.05, slopes=slopes, seed=3)
            found.append(network[0].weight.detach().ravel())
        assert losses.shape == (400,) and losses[0] > 0.5 and losses[-1] < 1e-3 * losses[0]
        assert torch.equal(*found) and found[0].tolist() == pytest.approx([2, -1], abs=0.05)
    with pytest.raises(InputError, match="rate"):
        limits.fit(network, target, spent, rate=-1.0, slopes=True)


def test_slopes_are_fitted_only_if_asked():
    """A network that cannot know values: the loss of slopes does not see a constant."""
    target = lib.Target.from_sympy("x1")
    network = torch.nn.Sequential(torch.nn.Linear(1, 1, dtype=torch.float64), torch.nn.Flatten(0))
    torch.nn.init.constant_(network[0].weight, 1.0), torch.nn.init.constant_(network[0].bias, 1.0)
    value, both = (
        limits.fit(network, target, [0.0], rate=1e-12, slopes=slopes)[0] for slopes in (False, True)
    )
    # 1 over the mean of x^2
    assert value == pytest.approx(both) and value == pytest.approx(3, rel=0.1)
    torch.nn.init.constant_(network[0].weight, 0.0)
    value, both = (
        limits.fit(network, target, [0.0], rate=1e-12, slopes=slopes)[0] for slopes in (False, True)
    )
    assert both == pytest.approx(value + 1)


@pytest.mark.parametrize(
    "order, dim, s, stated", [(3, 2, 0, 3.82), (3, 2, 1, 3.37), (3, 3, 0, 7.89), (4, 2, 0, 5.75)]
)
def test_what_other_functionals_could_do(order, dim, s, stated, monkeypatch):
    """The smallest product bounds in chapter 8; the functionals of the table have more, in the
    interior and with the boundary.
    """
    monkeypatch.syspath_prepend(Path(__file__).resolve().parent.parent / "scripts")
    script = importlib.import_module("product_bounds")
    cells = dict(script.CASES)[dim]
    size, _ = script.least(order, dim, s)
    bounds = dict.fromkeys(splines.needed_derivatives(dim, order), 1.0)
    mine = tuple(splines.jackson_bound(order, cells, order, bounds))[s] * cells ** (order - s)
    assert limits.ratio(order, cells, dim, s).ratio * size / mine == pytest.approx(stated, abs=0.01)
    interior = {
        "q": splines.interior_operator_norm(order),
        "q1": splines.interior_slope_norm(order),
        (order, 0): splines.interior_peano_constant(order, order, 0),
        (order, 1): splines.interior_peano_constant(order, order, 1),
        (order - 1, 0): splines.interior_peano_constant(order, order - 1, 0),
    }
    assert size <= script.product_bound(order, dim, s, interior) <= mine
