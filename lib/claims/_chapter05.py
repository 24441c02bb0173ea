"""Claims of chapter 05: Theorem A."""

from dataclasses import replace
from functools import cache

import numpy as np

from lib import splines
from lib.approximation import approximate
from lib.claims._registry import claim, grid, sampled
from lib.convresnet import Construction, cube_chart
from lib.domains import Cube
from lib.norms import Norms
from lib.relu import minimum_refinement
from lib.targets import Target

WAVE = "sin(2*pi*x1)*exp(x2)"
KINK = "abs(x1-1/3)**3"
CASES = {
    1: ("sin(2*pi*x1)", KINK, "abs(x1-0.37)**2.5", "1/(1+4*(x1-0.5)**2)"),
    2: (WAVE, "cos(3*x1*x2)", "abs(x1+x2-0.7)**3"),
    3: ("sin(2*x1)*exp(x2/2)*cos(2*x3)",),
}
CELLS = {1: (8, 21, 64), 2: (8, 17), 3: (6,)}
SIZES = {1: (32, 64, 128), 2: (16, 32, 64), 3: (8, 16, 32)}
SMOOTH = {1: "sin(2*pi*x1)", 2: WAVE, 3: CASES[3][0]}
TRUE_ORDER = {KINK: 3}  # |x - 1/3|^3 has three derivatives, whatever the order of the splines


@cache
def _target(formula, D):
    return Target.from_sympy(formula, D)


def _approximation(formula, D, m, N, refinement=None):
    return approximate(
        _target(formula, D), Cube(D), order=m, cells=N, refinement=refinement, blocks=3
    )


def _without_a_term(*sizes):
    a = _approximation(*sizes)
    middle = (a.charts[0].indices == a.cells // 2).all(1)
    return replace(a.with_coefficients(np.where(middle, 0, a.coefficients)), bound=a.bound)


@claim(
    uses=("thm-jackson", "lem-interpolation", "prop-spline-net", "prop-realisation"),
    evidence=sampled(
        "about every f; eight formulas, for each an enclosure of both errors over the whole cube"
    ),
    grid=[
        {"D": D, "formula": f, "m": m, "N": N}
        for D in (1, 2, 3)
        for f in CASES[D]
        for m in (2, 3, 4, 5)
        for N in CELLS[D]
    ]
    + [
        {"D": D, "formula": SMOOTH[D], "m": m, "N": N}
        for D, N in ((1, 8), (1, 21), (2, 8))
        for m in (6, 7, 8)
    ],
    full=[
        {"D": D, "formula": SMOOTH[D], "m": m, "N": N}
        for D, N in ((1, 512), (2, 48), (3, 12))
        for m in (2, 3, 4, 5)
    ],
    honest=_approximation,
    tampered=("a network without its middle term", _without_a_term),
)
def thm_cube(build, D, formula, m, N):
    """The a priori bound against an upper end over the whole cube (chapter 10), refined until it is
    below; and against the error at 4096 Sobol points, four of them through the module.
    """
    a = build(formula, D, m, N)
    c = a.certify(at_most=(a.bound.value, a.bound.slope))
    upper = Norms(c.value.upper, c.slope.upper)
    return a.bound, upper.maximum(a.measure(4096, module_points=4))


@claim(
    uses=("thm-cube",),
    evidence=sampled("asymptotic: an order is fitted"),
    grid=[
        {"D": D, "formula": f, "m": m} for D, f in [*SMOOTH.items(), (1, KINK)] for m in (2, 3, 4)
    ]
    + [{"D": 1, "formula": SMOOTH[1], "m": m} for m in (6, 8)],
    full=[{"D": D, "formula": f, "m": 5} for D, f in SMOOTH.items()],
    honest=_approximation,
    tampered=(
        "networks that keep the fewest refinement levels however fine the mesh becomes",
        lambda formula, D, m, N: _approximation(formula, D, m, N, minimum_refinement(m)),
    ),
)
def cor_cube_rate(build, D, formula, m):
    """By how much the order in h fitted over three sizes, from 65 536 points, misses alpha - s
    (falls short of it, m below the true order).
    """
    sizes = SIZES[D] if m <= 5 else (8, 16, 32)
    results = [build(formula, D, m, N) for N in sizes]
    alpha = results[0].alpha
    errors = zip(*(a.measure(1 << 16, module_points=0) for a in results))  # values, then slopes
    short = [
        expected + np.polyfit(np.log(sizes), np.log(e), 1)[0]
        for expected, e in zip((alpha, alpha - 1), errors)
    ]
    missed = map(abs, short) if m > TRUE_ORDER.get(formula, m) else (max(s, 0) for s in short)
    return Norms(0.15, 0.15), Norms(*missed)


def _network(coefficients, m):
    return Construction([cube_chart(coefficients, m)], m, 4, 2, 2).network


def _rounded(coefficients, m):
    """Coefficients kept to three decimals: close, but the weights jump."""
    return _network(np.round(coefficients, 3), m)


@claim(
    uses=("lem-functionals", "thm-cube"),
    evidence=sampled("about every pair of targets; random pairs"),
    grid=grid(D=(1, 2), m=(2, 3, 4, 5)) + grid(D=(1,), m=(6, 7, 8)),
    honest=_network,
    tampered=("coefficients rounded to three decimals, so that weights jump", _rounded),
)
def cor_selection(build, D, m):
    """How far any parameter moves between 20 pairs of nearby targets, against ``Lambda^D`` times
    their distance.
    """
    rng = np.random.default_rng(m)
    quasi = splines.QuasiInterpolant(m, 2 * m)
    norm = float(splines.weight_sum(m)) ** D
    worst = 0.0
    for _ in range(20):
        f = rng.uniform(-1, 1, (len(quasi.nodes),) * D)
        g = f + 1e-4 * rng.uniform(-1, 1, f.shape)
        networks = [build(quasi.coefficients_from_samples(samples), m) for samples in (f, g)]
        moved = max(
            float((a - b).detach().abs().max()) for a, b in zip(*[n.parameters() for n in networks])
        )
        worst = max(worst, moved / (norm * np.abs(f - g).max()))
    return 1 + 1e-9, worst
