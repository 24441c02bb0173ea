"""Claims of chapter 10: certificates."""

from dataclasses import replace
from fractions import Fraction
from itertools import product
from math import prod

import numpy as np
import torch
from flint import arb

from lib import certify, relu
from lib.approximation import approximate
from lib.certify._deviation import factor_deviations, term_deviations
from lib.certify._layers import through
from lib.certify._points import network_value
from lib.certify._spline import cell_polynomial, spline_knots
from lib.claims._grammar import target as random_target
from lib.claims._manifolds import atlas
from lib.claims._manifolds import target as manifold_target
from lib.claims._registry import claim, grid, sampled
from lib.convresnet import Convolution, rounding
from lib.domains import Cube, CubeProblem
from lib.errors import InputError
from lib.formulas import evaluate, parse, torch_function, variables
from lib.intervals import Balls, Taylor, expand, precision, span
from lib.norms import Norms
from lib.relu import layers
from lib.splines import ORDERS, bspline, functional
from lib.targets import Target

_UNIT = 2.0**-53
MAPS = {
    "square": (1, layers.square),
    "product": (2, layers.product),
    "cube": (1, lambda n: layers.power(3, n)),
    "B-spline": (1, lambda n: layers.bspline(4, n)),
    "two B-splines": (2, lambda n: layers.tensor_bspline(3, 2, n)),
}


def _shrunken(chain, counts, z, slopes):
    value, slope = through(chain, counts, z, slopes)
    return Balls(value.mid, 0.9 * value.rad), Balls(slope.mid, 0.9 * slope.rad)


@claim(
    uses=(),
    evidence=sampled("about every network and box; random boxes, extreme points"),
    grid=grid(name=tuple(MAPS), n=(4, 12), log_radius=(-4, -12)),
    honest=through,
    tampered=("balls whose radii are ten per cent too small", _shrunken),
)
def lem_interval_layer(build, name, n, log_radius):
    """The largest ``|value - mid| / rad`` and ``|slope - mid| / rad`` over 60 boxes, 200 points
    in each, float64 values.
    """
    inputs, make = MAPS[name]
    scale = {"B-spline": 4.0, "two B-splines": 3.0}.get(name, 1.0)
    radius = 2.0**log_radius
    rng = np.random.default_rng(n)
    middle = rng.uniform(radius, scale - radius, (inputs, 1, 60))
    chain = [Convolution.from_layer(layer) for layer in make(n)]
    unit = np.zeros((inputs, 1, inputs, 60))
    unit[np.arange(inputs), 0, np.arange(inputs)] = 1
    value, slope = build(chain, [1] * (len(chain) + 1), Balls(middle, radius), Balls(unit))
    worst = 0.0
    for _ in range(200):
        x = torch.from_numpy(
            middle[:, 0] + radius * rng.choice((-1, 1, 0.5), (inputs, 60)) * (1 - 1e-9)
        ).requires_grad_(True)
        y = layers.run(make(n), x)[0]
        (g,) = torch.autograd.grad(y.sum(), x)
        off = np.abs(y.detach().numpy() - value.mid[0, 0])
        steep = np.maximum(np.abs(g.numpy() - slope.mid[0, 0]) - 64 * _UNIT, 0)
        worst = max(
            worst,
            (off / value.rad[0, 0]).max(),
            np.divide(steep, slope.rad[0, 0], where=steep > 0, out=np.zeros_like(steep)).max(),
        )
    return 1, worst


FORMULAS = (
    ("sin(2*pi*x1)*exp(x2)", 2),
    ("tanh(3*x1-x2)/(1+x2**2)", 2),
    ("abs(x1-0.37)**2.5", 1),
    ("1/(1+4*(x1-0.5)**2)", 1),
    ("sqrt(1+x1*x2)*cosh(x3)", 3),
    ("log(1+x1)-atan(3*x1)", 1),
)


def _without_remainder(at, over):
    return span(at, at)


@claim(
    uses=(),
    evidence=sampled("about every function and box; six formulas"),
    grid=[
        {"formula": f, "D": D, "q": q, "log_radius": r}
        for f, D in FORMULAS
        for q in (2, 4)
        for r in (-2, -6)
    ],
    honest=span,
    tampered=("enclosures by Taylor polynomials without their remainders", _without_remainder),
)
def lem_taylor(build, formula, D, q, log_radius):
    """By how much values and slopes leave their enclosures, over the width of these: 40 boxes,
    100 points in each.
    """
    e = parse(formula, D)
    rng = np.random.default_rng(q)
    radius = 2.0**log_radius
    middle = rng.uniform(radius, 1 - radius, (40, D))
    at, over = (
        expand(
            e,
            {
                v: Taylor.variable(Balls(middle[:, i], r), np.full(40, radius), i, D, q)
                for i, v in enumerate(variables(D))
            },
        )
        for r in (0.0, radius)
    )
    ends = [build(at, over)] + [build(at.derivative(k), over.derivative(k)) for k in range(D)]
    function = torch_function(e, D)
    worst = -np.inf
    for _ in range(100):
        x = torch.from_numpy(middle + radius * rng.uniform(-1, 1, (40, D))).requires_grad_(True)
        values = function(x)
        (slopes,) = torch.autograd.grad(values.sum(), x)
        for (low, high), found in zip(ends, [values.detach(), *(radius * slopes).T]):
            found = found.numpy()
            worst = max(
                worst,
                (np.maximum(low - found, found - high) - 64 * _UNIT * (1 + np.abs(found))).max(),
            )
    return 0, worst


def _allowed(m, n, low, high):
    """Deviations of all terms of a cell on boxes with these ends, (P, D) in mesh units."""
    ends = zip(low.T, high.T)
    return term_deviations(m, n, [factor_deviations(m, n, p, q, range(m)) for p, q in ends])


@claim(
    uses=("lem-square", "prop-bspline-net", "lem-product", "prop-tensor-net"),
    evidence=sampled("about every box; random boxes, all terms"),
    grid=grid(D=(1, 2, 3), m=(2, 3, 4, 5), n=(4, 8)) + grid(D=(1, 2), m=(6, 7, 8), n=(9,)),
    honest=_allowed,
    tampered=(
        "the deviation allowed to a network with one refinement level more",
        lambda m, n, *ends: _allowed(m, n + 1, *ends),
    ),
)
def lem_deviation(build, D, m, n):
    """The largest ratio of ``M~_j`` minus ``M_j``, in value and slope, to what is allowed on a box:
    40 boxes in one cell, all ``m^D`` terms, 100 points in each box.
    """
    rng = np.random.default_rng(m)
    radius = 2.0**-6
    worst = 0.0
    middle = rng.uniform(radius, 1 - radius, (40, D))
    value, slopes = build(m, n, middle - radius, middle + radius)
    places = np.stack(np.unravel_index(np.arange(m**D), (m,) * D), axis=1)
    for _ in range(100):
        y = torch.from_numpy(
            (middle + radius * rng.uniform(-1, 1, (40, D)))[:, None] + places
        ).requires_grad_(True)
        net = relu.tensor_bspline(y, m, n)
        (g,) = torch.autograd.grad(net.sum(), y)
        exact = [[bspline(m, y.detach().numpy()[..., a], k) for k in (0, 1)] for a in range(D)]
        pairs = [(net.detach().numpy() - np.prod([e[0] for e in exact], axis=0), value)]
        pairs += [
            (
                g[..., k].numpy() - np.prod([e[int(a == k)] for a, e in enumerate(exact)], axis=0),
                slopes[k],
            )
            for k in range(D)
        ]
        for error, allowed in pairs:
            error = np.maximum(np.abs(error) - 200 * _UNIT, 0)
            worst = max(
                worst,
                np.divide(
                    error, allowed, where=allowed > 0, out=np.where(error > 0, np.inf, 0.0)
                ).max(),
            )
    return 1, worst


@claim(
    uses=("prop-realisation", "lem-doubling", "lem-product", "lem-square", "prop-sparse"),
    evidence=sampled("about every float; random points, against 400 bits"),
    grid=[
        {"D": D, "m": m, "N": N, "n": n}
        for D, N, orders in ((1, 13, ORDERS), (2, 5, (2, 3, 4, 5)))
        for m in orders
        for n in (max(6, relu.minimum_refinement(m)), 30)
    ],
    honest=rounding,
    tampered=(
        "an allowance for rounding that is a thousand times too small",
        lambda *sizes: tuple(t / 1000 for t in rounding(*sizes)),
    ),
)
def lem_rounding(build, D, m, N, n):
    """The module and the sparse evaluation in float64 against the module in balls of 400 bits,
    at four random points.
    """
    a = approximate(
        _target("cos(9*x1)" if D == 1 else "cos(9*x1)*x2", D),
        Cube(D),
        order=m,
        cells=N,
        refinement=n,
        blocks=2,
    )
    x = np.random.default_rng(n).random((4, D))
    worst = 0.0
    found = [f(torch.from_numpy(x)).tolist() for f in (a.network, a.sparse)]
    for row, *values in zip(x, *found):
        with precision(400):
            exact = network_value(a.network, [arb(float(c)) for c in row])
            worst = max(worst, *(float(abs(exact - v)) for v in values))
    return m**D * np.abs(a.coefficients).max() * sum(build(m, n, D, 2 * N)), worst


def _off_by_some_roundings(problem, N):
    (chart,) = problem.charts(N)
    return [replace(chart, coefficients=chart.coefficients * (1 + 256 * _UNIT))]


@claim(
    uses=("lem-bspline", "lem-power", "prop-bspline-net", "prop-tensor-net", "lem-rounding"),
    evidence=sampled(
        "about every formula; the coefficients of four, all of them, against 300 bits"
    ),
    grid=[
        {"formula": f, "D": D, "m": m, "N": N}
        for f, D in (
            ("exp(x1)/3", 1),
            ("tanh(5*x1-2)", 1),
            ("cos(9*x1)*x2", 2),
            ("x1*x2**2/3+x1/7", 2),
        )
        for m in (3, 4, 5)
        for N in (5, 12)
    ],
    honest=CubeProblem.charts,
    tampered=("coefficients that are off by 256 roundings", _off_by_some_roundings),
)
def prop_rounding(build, formula, D, m, N):
    """The largest ``|lambda_j(f) - c_j|`` over all ``j``, in balls of 300 bits, against its
    enclosure; infinity if the float64 values of a network for a polynomial that its spline
    reproduces miss it by more than the bound at 200 points.
    """
    problem = CubeProblem(_target(formula, D), Cube(D), m)
    (chart,) = build(problem, N)
    if max(problem.derivative_bounds.values()) == 0:
        a = approximate(problem.target, Cube(D), order=m, cells=N)
        if a.measure(200, module_points=200).value > a.bound.value:
            return 0, np.inf
    # of the coefficients as they should be: an enclosure for others would follow them
    bound, _ = problem.coefficient_error(problem.charts(N), N)
    return bound, exact_coefficient_error(problem.target.expression, m, N, chart.coefficients)


def exact_coefficient_error(expression, order, cells, coefficients):
    """``max_j |lambda_j(f) - c_j|`` from the rational functionals and many digits."""
    symbols = sorted(expression.free_symbols, key=str)
    rows = [functional(order, cells, j) for j in range(1 - order, cells)]
    with precision(300):
        values = {}
        worst = 0.0
        for place, c in zip(product(rows, repeat=len(symbols)), coefficients.tolist()):
            total = arb(0)
            for parts in product(*(zip(*row) for row in place)):
                point = tuple(t / cells for t, _ in parts)
                if point not in values:
                    values[point] = evaluate(
                        expression, {s: _exact(t) for s, t in zip(symbols, point)}
                    )
                weight = prod((w for _, w in parts), start=Fraction(1))
                total += values[point] * _exact(weight)
            worst = max(worst, float(abs(total - c)))
    return worst


def _exact(t):
    return arb(t.numerator) / t.denominator


def _target(formula, D):
    return Target.from_sympy(formula, D)


def _a_tenth_less(a):
    c = a.certify()
    value, slope = (certify.Enclosure(0.0, 0.9 * e.upper) for e in (c.value, c.slope))
    return replace(c, value=value, slope=slope)


_LOWER = ("upper ends that are ten per cent lower than what was proved", _a_tenth_less)
CASES = [("sin(2*pi*x1)", 1, m, N) for m in (2, 3, 4) for N in (8, 64)] + [
    ("abs(x1-0.37)**2.5", 1, 4, 16),
    ("sin(2*pi*x1)*exp(x2)", 2, 4, 8),
    ("cos(3*x1*x2)", 2, 3, 8),
    ("abs(x1+x2-0.7)**3", 2, 5, 6),
]


@claim(
    uses=(
        "lem-interval-layer",
        "lem-taylor",
        "lem-deviation",
        "lem-rounding",
        "prop-realisation",
        "prop-sparse",
    ),
    evidence=sampled(
        "about every network; each certificate against a second proof on the same boxes and against"
        " samples"
    ),
    grid=[{"formula": f, "D": D, "m": m, "N": N} for f, D, m, N in CASES]
    + [
        {"formula": seed, "D": 1 + seed % 2, "m": 2 + seed % 4, "N": (8, 6)[seed % 2]}
        for seed in range(8)
    ],
    full=[{"formula": "sin(2*pi*x1)*exp(x2)", "D": 2, "m": 4, "N": 16}]
    + [
        {"formula": seed, "D": 1 + seed % 2, "m": 2 + seed % 4, "N": (16, 6)[seed % 2]}
        for seed in range(8, 50)
    ]
    + [{"formula": "sin(2*x1)*exp(x2/2)*cos(2*x3)", "D": 3, "m": 3, "N": 4}],
    honest=lambda a: a.certify(gap=0.1 if a.dim > 2 else 0.02),
    tampered=_LOWER,
)
def thm_certificate(build, formula, D, m, N):
    """The larger of sampled (4096 points) over upper end, in both norms; infinity unless the
    second, independent proof (`lib.certify.check`) finds the same bounds on the same boxes. A
    number for a formula is the seed of a random one.
    """
    target = random_target(formula, D) if isinstance(formula, int) else _target(formula, D)
    a = approximate(target, Cube(D), order=m, cells=N)
    c = build(a)
    s = a.measure(4096, module_points=16)
    try:
        certify.check(c, a)
    except InputError:
        return 1, np.inf
    return 1, max(
        max(s.value, c.value.lower) / c.value.upper, max(s.slope, c.slope.lower) / c.slope.upper
    )


def _half(a):
    c = a.certify(gap=0.1)
    value, slope = (certify.Enclosure(0.0, e.upper / 2) for e in (c.value, c.slope))
    return replace(c, value=value, slope=slope)


def _jumps(order, low, high, size, steep, coefficients):
    return spline_knots(order, low, high, size, steep, coefficients)


def _half_the_jumps(order, low, high, *others):
    """As if boxes reached half as far beyond their cells."""
    inside = np.clip(low, 0, 1), np.clip(high, 0, 1)
    ends = [(inside[k] + e) / 2 for k, e in enumerate((low, high))]
    return spline_knots(order, *ends, *others)


@claim(
    uses=("lem-bspline", "thm-certificate"),
    evidence=sampled("about every spline and box; random ones, at points beyond the knots"),
    grid=grid(D=(1, 2), m=ORDERS),
    honest=_jumps,
    tampered=("boxes that reach half as far beyond their knots as they do", _half_the_jumps),
)
def lem_knots(build, D, m):
    """Over 40 boxes that reach beyond a cell by up to 0.4: the spline minus the polynomial of the
    cell at 200 points of each, in value and slope, over what is allowed.
    """
    rng = np.random.default_rng(m)
    low = np.where(rng.random((40, D)) < 0.5, -rng.uniform(0, 0.4, (40, D)), 0.2)
    high = np.where(rng.random((40, D)) < 0.5, 1 + rng.uniform(0, 0.4, (40, D)), 0.8)
    coefficients = Balls(rng.uniform(-1, 1, (40, *(m + 2,) * D)))
    axes = [factor_deviations(m, 20, a, b, range(-1, m + 1)) for a, b in zip(low.T, high.T)]
    sizes = [f.size for f in axes], [f.steep for f in axes]
    value, slopes = build(m, low, high, *sizes, coefficients)
    inner = coefficients[(slice(None), *[slice(1, -1)] * D)]
    polynomial = cell_polynomial(inner, m).mid
    t = low[:, None] + (high - low)[:, None] * rng.random((40, 200, D))
    worst = [0.0, 0.0]
    for derivative in (None, *range(D)):
        off = _spline_at(m, coefficients.mid, t, derivative)
        off = off - _polynomial_at(polynomial, t, derivative)
        most = value if derivative is None else slopes[:, derivative]
        allowed = np.maximum(np.abs(most.lower), np.abs(most.upper))[:, None] + 1e-12
        place = int(derivative is not None)
        worst[place] = max(worst[place], (np.abs(off) / allowed).max())
    return Norms(1, 1), Norms(*worst)


def _spline_at(m, coefficients, t, derivative):
    """The spline with coefficients at the positions -1..m around a cell, at places in it."""
    found = coefficients
    for axis in range(t.shape[2])[::-1]:  # from the last axis on, so that the next one is last
        s = int(axis == derivative)
        terms = np.stack([bspline(m, t[..., axis] + i, s) for i in range(-1, m + 1)], axis=-1)
        found = found[:, None] if found.ndim == axis + 2 and axis == t.shape[2] - 1 else found
        found = (found * terms.reshape(*terms.shape[:2], *[1] * axis, m + 2)).sum(-1)
    return found


def _polynomial_at(coefficients, t, derivative):
    """A polynomial with coefficients (P, m, .., m) at points (P, n, D)."""
    m = coefficients.shape[1]
    found = coefficients[:, None]
    for axis in range(t.shape[2])[::-1]:
        x = t[..., axis, None]
        k = np.arange(m)
        powers = k * x ** np.maximum(k - 1, 0) if axis == derivative else x**k
        found = (found * powers.reshape(*powers.shape[:2], *[1] * axis, m)).sum(-1)
    return found


@claim(
    uses=(
        "lem-chart-norms",
        "lem-localised-term",
        "lem-partition-net",
        "lem-partition-slope",
        "lem-taylor",
        "thm-certificate",
        "thm-manifold",
    ),
    evidence=sampled(
        "about every target; one, on whole manifolds, each certificate against samples, the a"
        " priori bound and the second proof"
    ),
    grid=grid(name=("circle", "ellipse"), m=(2, 3, 4)),
    full=grid(name=("trefoil", "two circles"), m=(3, 4)),
    honest=lambda a: a.certify(gap=0.1),
    tampered=("upper ends that are half as large as what was proved", _half),
)
def cor_certified_manifold(build, name, m):
    """On whole manifolds: the larger of sampled (20 000 points) over upper end and upper end over
    the a priori bound; infinity unless the second, independent proof finds it.
    """
    a = approximate(manifold_target(name), atlas(name), order=m, cells=16, refinement=24)
    c = build(a)
    s = a.measure(20_000, module_points=0)
    worst = 0.0
    for enclosure, found, bound in zip(c, s, a.bound):
        worst = max(worst, max(found, enclosure.lower) / enclosure.upper, enclosure.upper / bound)
    if worst <= 1:
        try:
            certify.check(c, a)
        except InputError:
            return 1, np.inf
    return 1, worst
