"""Claims of chapter 05: Theorem A."""

from dataclasses import replace
from functools import cache

import numpy as np
import sympy
import torch

from lib import splines
from lib.approximation import approximate
from lib.claims._registry import claim, grid, sampled
from lib.convresnet import Construction, cube_chart
from lib.domains import Cube, CubeProblem, LocalBounds, choose_refinement
from lib.formulas import (
    AbsPower,
    SignPower,
    gathered,
    hoelder_on_cube,
    parse_on_cube,
    torch_function,
    variables,
)
from lib.norms import Norms
from lib.relu import minimum_refinement
from lib.splines import Jackson, jackson_bound
from lib.targets import Target

WAVE = "sin(2*pi*x1)*exp(x2)"
KINK = "abs(x1-1/3)**3"
CASES = {
    1: ("sin(2*pi*x1)", KINK, "1/(1+4*(x1-0.5)**2)"),
    2: (WAVE, "cos(3*x1*x2)", "abs(x1+x2-0.7)**3"),
    3: ("sin(2*x1)*exp(x2/2)*cos(2*x3)",),
}
# of a fractional smoothness; splines of order 2 attain the bound of the first one in value
ROUGH = {
    1: ("abs(x1-1/2)**1.5", "abs(x1-0.37)**2.5", "x1**1.7"),
    2: ("(x1+x2)**2.3", "abs(x1-0.37)**2.5*exp(x2)"),
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


def _for_budget(formula, D, m, budget, refinement=None):
    """The network of Theorem A, and what the theorem says of it."""
    a = approximate(_target(formula, D), Cube(D), order=m, budget=budget, refinement=refinement)
    return a, a.rate


def with_smaller_constants(*sizes):
    """Constants ``C_0`` and ``C_1`` that are 1.2 times too small."""
    a, rate = _for_budget(*sizes)
    small = replace(rate)
    small.__dict__["constants"] = (1 / 1.2) * rate.constants
    return a, small


def with_smaller_network_terms(*sizes):
    """A bound with ``E_0`` and ``E_1`` 1.2 times too small."""
    a, rate = _for_budget(*sizes)
    network = (1 / 1.2) * a.bound.network
    others = a.bound.spline + network + a.bound.rounding
    return replace(a, bound=replace(a.bound, **vars(others), network=network)), rate


def with_a_level_less(*sizes):
    """The theorem's number of levels, less one."""
    a, rate = _for_budget(*sizes)
    if len(sizes) == 5 or not a.coefficients.any():  # levels are given, or none are needed
        return a, rate
    return _for_budget(*sizes, max(a.refinement - 1, minimum_refinement(a.order)))


def with_a_smaller_mesh(formula, D, m, budget, refinement=None):
    """A mesh with a cell less along each axis than the budget allows."""
    a, rate = _for_budget(formula, D, m, budget, refinement)
    if a.cells == m:
        return a, rate
    return _for_budget(formula, D, m, (a.cells + m - 2) ** D, refinement)[0], rate


def _budgets(D, m, N):
    """The terms of a mesh, and one less than those of the next, for one variable the same; of most
    orders only the first.
    """
    return {(N + m - 1) ** D, (N + m) ** D - 1} if m == 3 else {(N + m - 1) ** D}


def _points(formulas, cells, orders=(2, 3, 4, 5)):
    return [
        {"D": D, "formula": f, "m": m, "budget": budget}
        for D in formulas
        for f in formulas[D]
        for m in orders
        for N in cells[D]
        for budget in sorted(_budgets(D, m, N))
    ]


# where the theorem's constants and those of the network are nearly attained, levels are given, and
# the network is zero
CLOSE = [
    {"D": 3, "formula": "x1**2+x2**2+x3**2", "m": 2, "budget": 63},
    {"D": 2, "formula": "x1**2+x2**2", "m": 2, "budget": 15},
    {"D": 2, "formula": WAVE, "m": 4, "budget": 48},
    {"D": 1, "formula": "sin(2*pi*x1)", "m": 5, "budget": 1},
    *(
        {"D": D, "formula": f, "m": m, "budget": budget, "n": n}
        for D, f, m, budget in (
            (1, "1", 3, 10),
            (1, "sin(2*pi*x1)", 3, 66),
            (1, "sin(2*pi*x1)", 4, 67),
            (2, WAVE, 3, 324),
        )
        for n in (4, 6)
    ),
]


def _levels(a):
    """``n`` of the theorem, whose bounds of the spline are not those cell by cell."""
    spline = jackson_bound(a.order, a.cells, a.alpha, a.derivative_bounds)
    room = 1 / 8 * Norms(spline.value, spline.slope)
    problem = CubeProblem(a.target, a.domain, a.order)
    return choose_refinement(problem, a.cells, float(np.abs(a.coefficients).max()), room) or 40


def _theorem(build, D, formula, m, budget, n=None):
    """What the network misses of all that Theorem A says of it, as a share of what is allowed."""
    a, rate = build(formula, D, m, budget, *(() if n is None else (n,)))
    if budget < rate.least:
        wrong = a.coefficients.any()
    else:  # the largest mesh, and the levels
        wrong = not len(a.coefficients) <= budget < (a.cells + m) ** D
    if n is None and a.coefficients.any() and a.bound.spline.value > 0 and a.refinement < 40:
        wrong |= not (8 * a.bound.network <= a.bound.spline)
        wrong |= _levels(a) > a.alpha * np.log2(a.cells) + rate.levels
    upper = a.measure(4096, module_points=4)
    if a.coefficients.any():  # the zero network misses f itself, whose supremum is the bound
        c = a.certify(at_most=tuple(a.bound))
        upper = Norms(c.value.upper, c.slope.upper).maximum(upper)
    shares = [np.inf if wrong else 0.0]
    bounds = (
        [a.bound]
        if n is not None or a.refinement == 40
        else [a.bound, Norms(rate.bound(budget, 0), rate.bound(budget, 1))]
    )
    worst = Norms(*(max(e / b for b in found) for e, found in zip(upper, zip(*bounds))))
    if len(bounds) == 2:
        half = upper.at(0.5, D) / rate.bound(budget, 0.5)
        shares.append(half)
    return Norms(1, 1), worst.maximum(Norms(max(shares), max(shares)))


@claim(
    uses=(
        "thm-jackson",
        "lem-interpolation",
        "lem-power",
        "prop-bspline-net",
        "prop-tensor-net",
        "prop-spline-net",
        "prop-realisation",
    ),
    evidence=sampled(
        "about every f; nine formulas, for each an enclosure of both errors over the whole cube"
    ),
    grid=_points(CASES, CELLS)
    + [
        {"D": D, "formula": SMOOTH[D], "m": m, "budget": (N + m) ** D - 1}
        for D, N in ((1, 8), (1, 21), (2, 8))
        for m in (6, 7, 8)
    ]
    + CLOSE,
    full=_points(
        {D: (SMOOTH[D],) for D in (1, 2, 3)}, {1: (512,), 2: (48,), 3: (12,)}, (2, 3, 4, 5)
    ),
    honest=_for_budget,
    tampered=("constants of the theorem that are a sixth too small", with_smaller_constants),
)
def thm_cube(build, D, formula, m, budget, n=None):
    """The certified error over the whole cube (chapter 10), and the error at 4096 Sobol points,
    four of them through the module, over the bound of the mesh and over the theorem's for the
    budget, s = 0, 1/2, 1; infinite for a mesh that is not the largest, or more or fewer levels than
    the theorem takes.
    """
    return _theorem(build, D, formula, m, budget, n)


class _Near(LocalBounds):
    """With neighbourhoods that are a cell too small."""

    def _places(self, cells):
        window, inside = super()._places(cells)
        return window - 1, inside


def _from_too_near(local, cells, everywhere):
    near = _Near(local._expression, local._dim, local._order, local._boxes)
    return near.errors(cells, everywhere)


@claim(
    uses=("lem-stability", "lem-peano", "thm-jackson"),
    evidence=sampled("about every f and x; spikes at the last node a cell sees, and two formulas"),
    grid=[
        {"D": D, "m": m, "N": N, "formula": f}
        for D, f, cells in (
            (1, "tanh(20*(x1-1/2))", (8, 21)),
            (2, "cos(3*x1*x2)", (8, 12)),
            (1, "left", (12,)),
            (1, "inside", (24,)),
            (2, "inside", (16,)),
        )
        for N in cells
        for m in (2, 3, 4)
    ],
    honest=LocalBounds.errors,
    tampered=("neighbourhoods of cells that are a cell too small", _from_too_near),
)
def cor_local(build, D, m, N, formula):
    """Errors at 40 random points of each cell, in value and slope, over the bound of the cell."""
    cell = {"left": 0, "inside": N // 2 - 1}.get(formula)
    if cell is not None:  # a spike at the outermost node of the terms that are alive in this cell
        node = max(max(splines.functional(m, N, j)[0]) for j in range(cell - m + 1, cell + 1))
        place = float(node) / N
        formula = "*".join(f"exp(-{(6 * N) ** 2}*(x{i + 1}-{place!r})**2)" for i in range(D))
    goal = _target(formula, D)
    everywhere = Jackson.of(np.inf, (np.inf,) * D)
    local = LocalBounds(goal.expression, D, m, LocalBounds.count(D, N))
    bound = build(local, N, everywhere)
    coefficients = splines.QuasiInterpolant(m, N).coefficients(goal.values, D)
    index = np.stack(np.meshgrid(*[np.arange(N)] * D, indexing="ij"), axis=-1).reshape(-1, D)
    rng = np.random.default_rng(m)
    x = ((index[:, None] + rng.uniform(0.01, 0.99, (len(index), 40, D))) / N).reshape(-1, D)
    values, gradients = (v.numpy() for v in goal.value_and_gradient(torch.from_numpy(x)))

    def share(exact, nu, allowed):
        off = np.abs(exact - splines.evaluate(coefficients, m, x, nu)).reshape(len(index), -1)
        return (off.max(1) / (allowed.ravel() + 1e-12 * N ** sum(nu))).max()

    slopes = [
        share(gradients[:, k], tuple(int(i == k) for i in range(D)), bound.partials[k])
        for k in range(D)
    ]
    return Norms(1, 1), Norms(share(values, (0,) * D, bound.value), max(slopes))


def _with_a_smaller_seminorm(*sizes):
    a, rate = _for_budget(*sizes)
    spline = (1 / 1.2) * a.bound.spline
    total = spline + a.bound.network + a.bound.rounding
    return replace(a, bound=replace(a.bound, **vars(total), spline=spline)), rate


@claim(
    uses=("thm-jackson", "thm-jackson-real", "thm-cube"),
    evidence=sampled(
        "about every f; five formulas, for each an enclosure of both errors over the whole cube"
    ),
    grid=[
        p
        for p in _points(ROUGH, {1: (9, 21, 64), 2: (9,)}, (2, 3, 4, 5))
        if p["m"] > 2 or p["formula"] in ("abs(x1-1/2)**1.5", "x1**1.7")
    ],
    honest=_for_budget,
    tampered=("seminorms that are stated a sixth too small", _with_a_smaller_seminorm),
)
def thm_cube_real(build, D, formula, m, budget):
    """As for ``thm-cube``."""
    return _theorem(build, D, formula, m, budget)


def _of_one_sign(expression, D, axis, beta):
    without = expression.replace(SignPower, AbsPower)
    return hoelder_on_cube(without, D, axis, beta)


@claim(
    uses=(),
    evidence=sampled("about every formula and pair of points; 200 000 pairs for each of six"),
    grid=[
        {"D": D, "formula": f, "k": k, "axis": axis, "p": p}
        for D, f, k, p in (
            (1, "abs(x1-0.37)**1.5", 1, "1/2"),
            (1, "abs(x1-0.37)**2.5", 2, "1/2"),
            (1, "x1**1.7", 1, "7/10"),
            (1, "abs(sin(3*x1))**1.6*exp(x1)", 1, "3/5"),
            (2, "(x1+x2)**2.3", 2, "3/10"),
            (2, "abs(x1+x2-0.7)**1.5*cos(3*x1)", 1, "1/2"),
        )
        for axis in range(D)
    ],
    honest=hoelder_on_cube,
    tampered=("signed powers whose factor 2 to the power 1 - p is forgotten", _of_one_sign),
)
def lem_hoelder(build, D, formula, k, axis, p):
    """Difference quotients of the k-th derivative along an axis, half of them from a place where it
    may be singular.
    """
    expression = parse_on_cube(formula, D)
    for _ in range(k):
        expression = gathered(expression.diff(variables(D)[axis]))
    rng = np.random.default_rng(0)
    x = rng.random((200_000, D))
    y = x.copy()
    y[:, axis] = rng.random(len(x))
    near = rng.choice([0, 0.37, 1], 100_000)
    y[:100_000, axis] = near
    x[:50_000, axis] = np.clip(2 * near[:50_000] - x[:50_000, axis], 0, 1)
    y[:50_000, axis] = np.clip(2 * near[:50_000] - x[:50_000, axis], 0, 1)
    function = torch_function(expression, D)
    change = (function(torch.from_numpy(x)) - function(torch.from_numpy(y))).abs().numpy()
    apart = np.abs(x - y)[:, axis]
    beta = sympy.Rational(p)
    seen = (change / np.where(apart > 0, apart, 1) ** float(beta)).max()
    return build(expression, D, axis, beta) * (1 + 1e-9), seen


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
