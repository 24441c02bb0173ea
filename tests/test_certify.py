"""Certificates: ball arithmetic, expansions, layers, deviations, branch and bound, and the
second proof.
"""

import dataclasses
import itertools
from functools import cache, partial

import mpmath
import numpy as np
import pytest
import sympy
import torch
from flint import arb

import lib
from lib import certify, manifolds, relu, splines
from lib.certify import _certificate, _certify, _check, _deviation, _digest, _error, _proof, _stored
from lib.certify._points import network_value
from lib.certify._subject import subject
from lib.claims._grammar import target as random_target
from lib.convresnet import Convolution, rounding
from lib.formulas import evaluate, parse, variables
from lib.intervals import Balls, Taylor, expand, exponents, matmul, precision, span
from lib.relu import layers


def _approximation(formula="sin(2*pi*x1)", D=1, m=4, N=8, **options):
    return lib.approximate(
        lib.Target.from_sympy(formula, D), lib.Cube(D), order=m, cells=N, **options
    )


# ---- balls


def _random_expression(rng, x, y, depth):
    """The same random sum and product of two numbers, as balls and as arb, from one recipe."""
    if depth == 0:
        return [(x[0], x[1]), (y[0], y[1]), (float(c := np.round(rng.normal(), 3)), arb(float(c)))][
            rng.integers(3)
        ]
    a, b = (_random_expression(rng, x, y, depth - 1) for _ in range(2))
    return ((a[0] + b[0], a[1] + b[1]), (a[0] - b[0], a[1] - b[1]), (a[0] * b[0], a[1] * b[1]))[
        rng.integers(3)
    ]


@pytest.mark.parametrize("seed", range(40))
def test_balls_hold_what_flint_finds_at_points_inside(seed):
    rng = np.random.default_rng(seed)
    mid = rng.normal(size=(2, 1)) * 10.0 ** rng.integers(-8, 8)
    rad = 10.0 ** rng.uniform(-12, 0, (2, 1))
    inside = mid + rad * rng.choice([-1, -0.3, 1], (2, 1)) * (1 - 1e-12)
    balls = [Balls(m, r) for m, r in zip(mid, rad)]
    with precision(200):
        found, exact = _random_expression(
            rng, (balls[0], arb(float(inside[0, 0]))), (balls[1], arb(float(inside[1, 0]))), 5
        )
        if not isinstance(found, Balls):
            return
        assert arb(float(found.lower[0])) <= exact <= arb(float(found.upper[0]))


def test_balls_do_not_round_inwards():
    third = Balls(np.array([1.0])) * (1 / 3)
    assert third.rad[0] > 0 and third.lower[0] < 1 / 3 < third.upper[0]
    total = Balls(np.full(1000, 0.1)).sum()
    with precision():
        assert abs(arb(0.1) * 1000 - float(total.mid)) <= float(total.rad)
    assert Balls(np.array([1e308])) * 1e10 is not None and np.isinf(
        (Balls(np.array([1e308])) * 1e10).rad[0]
    )
    assert (Balls(np.array([0.0])) * Balls(np.array([0.0]), np.inf)).rad[0] == 0
    between = Balls.between(np.array([0.1, -3.0]), np.array([0.3, 7.0]))
    assert (between.lower <= [0.1, -3]).all() and (between.upper >= [0.3, 7]).all()


def test_a_matrix_product_holds_every_order_of_summation():
    rng = np.random.default_rng(0)
    weight = rng.normal(size=(3, 9)) * 10.0 ** rng.integers(-6, 6, (3, 9))
    x = rng.normal(size=(9, 5))
    y, noise = matmul(weight, Balls(x))
    for order in [rng.permutation(9) for _ in range(50)]:
        total = np.zeros((3, 5))
        for k in order:
            total = total + weight[:, k, None] * x[k]
        assert (np.abs(total - y.mid) <= y.rad).all()
    assert (noise <= y.rad).all() and (noise > 0).all()


@pytest.mark.parametrize(
    "text",
    [
        "sin(x1)**2 + 1/3",
        "exp(-x1)*log(2+x2)",
        "abs(x1-x2)**2.5",
        "sqrt(2)*atan(pi*x1)",
        "x1**-2/E",
        "tanh(x2)-cosh(x1)+sinh(x2)",
    ],
)
def test_evaluate_agrees_with_sympy(text):
    e = parse(text, 2)
    values = {v: arb(c) for v, c in zip(variables(2), ("0.3", "0.7"))}
    with precision(200):
        found = evaluate(e, values)
    plain = e.replace(
        lambda t: t.func.__name__ == "AbsPower", lambda t: sympy.Abs(t.args[0]) ** t.args[1]
    )
    exact = plain.subs(
        dict(zip(variables(2), (sympy.Rational(3, 10), sympy.Rational(7, 10))))
    ).evalf(30)
    assert abs(float(found) - float(exact)) <= 1e-15 * (1 + abs(float(exact)))


# ---- Taylor expansions

FORMULAS = [
    ("sin(2*pi*x1)*exp(x2)", 2),
    ("tanh(3*x1-x2)/(1+x2**2)", 2),
    ("abs(x1-0.37)**2.5", 1),
    ("x1**-0.5+log(2+x1)", 1),
    ("sqrt(1+x1*x2)*cosh(x3)", 3),
    ("abs(x1-x2)**3", 2),
    ("atan(x1)**3-sinh(x1*x2)", 2),
    ("3", 1),
]


def _expansions(text, dim, middle, radius, order):
    return [
        expand(
            parse(text, dim),
            {
                v: Taylor.variable(Balls(middle[:, i], rad), radius, i, dim, order)
                for i, v in enumerate(variables(dim))
            },
        )
        for rad in (0.0, radius)
    ]


@pytest.mark.parametrize("text, dim", FORMULAS)
@pytest.mark.parametrize("radius", [2.0**-3, 2.0**-8])
def test_expansions_hold_values_and_slopes(text, dim, radius):
    rng = np.random.default_rng(3)
    middle = rng.uniform(0.2, 0.8, (50, dim))
    middle[0] = 0.37
    at, over = _expansions(text, dim, middle, np.full(50, radius), 4)
    function = lib.formulas.torch_function(parse(text, dim), dim)
    for _ in range(20):
        x = torch.from_numpy(middle + radius * rng.uniform(-1, 1, (50, dim))).requires_grad_(True)
        values = function(x)
        low, high = span(at, over)
        slack = 1e-13 * (1 + values.detach().abs().numpy())
        assert (low - slack <= values.detach().numpy()).all() and (
            values.detach().numpy() <= high + slack
        ).all()
        if not values.requires_grad:
            continue
        (slopes,) = torch.autograd.grad(values.sum(), x)
        for k in range(dim):
            low, high = span(at.derivative(k), over.derivative(k))
            slope = slopes[:, k].numpy() * radius
            assert (low - 1e-12 <= slope).all() and (slope <= high + 1e-12).all()


def test_coefficients_are_the_derivatives_sympy_finds():
    text = "exp(x1)*sin(x2)/(1+x1*x2)"
    x = (sympy.Rational(1, 3), sympy.Rational(3, 4))
    at, _ = _expansions(text, 2, np.array([[1 / 3, 0.75]]), np.ones(1), 4)
    e = parse(text, 2)
    for row, nu in enumerate(exponents(2, 4)):
        exact = sympy.diff(e, variables(2)[0], int(nu[0]), variables(2)[1], int(nu[1])).subs(
            dict(zip(variables(2), x))
        )
        exact = float((exact / sympy.factorial(int(nu[0])) / sympy.factorial(int(nu[1]))).evalf(30))
        ball = at.coefficients[row]
        assert abs(ball.mid[0] - exact) <= ball.rad[0] + 1e-15 * (1 + abs(exact)), nu
        assert ball.rad[0] < 1e-13


def test_remainders_shrink_at_their_order():
    rad = [
        _expansions("exp(sin(3*x1))", 1, np.array([[0.4]]), np.array([r]), 4)[1].coefficients.rad[
            4, 0
        ]
        for r in (2.0**-5, 2.0**-8)
    ]
    # the fourth power of the radius, times the variation of a derivative
    assert 8.0**4.7 < rad[0] / rad[1] < 8.0**5.3


# ---- layers

NETWORKS = [(1, 2, 4, 4), (1, 4, 8, 10), (2, 3, 4, 8), (3, 2, 3, 5)]


@pytest.mark.parametrize("D, m, N, n", NETWORKS)
@pytest.mark.parametrize("radius", [0.0, 1e-6, 0.03])
def test_propagation_holds_values_slopes_and_rounding(D, m, N, n, radius):
    a = _approximation(
        "cos(3*x1)" if D == 1 else "cos(3*x1)*x2", D, m, N, refinement=n, blocks=2, kernel_size=3
    )
    rng = np.random.default_rng(0)
    middle = rng.uniform(radius, 1 - radius, (20, D))
    value, gradient = certify.propagate(a.network, Balls(middle, radius))
    for _ in range(10):
        x = torch.from_numpy(middle + radius * rng.uniform(-1, 1, (20, D)))
        for v in (a.network(x).detach(), a.network(x, all_rows=True).detach(), a.sparse(x)):
            assert (np.abs(v.numpy() - value.mid) <= value.rad).all()
        g = a.network.value_and_gradient(x)[1].numpy()
        assert (np.abs(g - gradient.mid) <= gradient.rad + 1e-12 * N).all()
    if radius == 0:
        assert value.rad.max() < 1e-9


def test_a_tent_doubles_a_slope():
    """Without the treatment of pairs the slopes of 20 levels would be off by 1.5^20."""
    chain = [Convolution.from_layer(layer) for layer in layers.square(20)]
    z = Balls(np.full((1, 1, 1), 1 / 3), 1e-4)
    value, slope = certify._layers.through(
        chain, [1] * (len(chain) + 1), z, Balls(np.ones((1, 1, 1, 1)))
    )
    assert value.lower[0, 0, 0] <= 1 / 9 <= value.upper[0, 0, 0] and value.rad[0, 0, 0] < 3e-4
    assert slope.rad[0, 0, 0, 0] < 4e-3


def test_pairs_hold_every_order_of_a_long_sum():
    """One number is 1, the others are lost to it one by one if they are added after it, and not if
    they are added before.
    """
    n, small = 40, 0.99 * 2.0**-53
    first = np.ones((2 * n, 1, 1))
    bias = np.array([0.0, -0.5] * n)  # channels 1 and 1/2, in pairs
    second = small * np.array([1.0, 2.0] * n).reshape(1, -1, 1)
    second[0, -2] = 1.0
    chain = [
        Convolution(*map(torch.from_numpy, c), 1) for c in ((first, bias), (second, 0 * bias[:1]))
    ]
    value, _ = certify._layers.through(chain, [1, 1, 1], Balls(np.ones((1, 1, 1))), None)
    terms = (second[0, :, 0] * np.array([1.0, 0.5] * n)).tolist()
    for ordered in (sorted(terms), sorted(terms)[::-1]):
        total = 0.0
        for t in ordered:
            total += t
        assert value.lower[0, 0, 0] <= total <= value.upper[0, 0, 0]
    assert value.rad[0, 0, 0] < 1e3 * 2.0**-53


def test_points_in_many_digits_agree_with_the_module():
    a = _approximation("cos(3*x1)*x2", 2, 4, 6, blocks=3)
    x = np.random.default_rng(1).random((5, 2))
    values = a.network(torch.from_numpy(x)).detach().numpy()
    for row, v in zip(x, values):
        with precision(400):
            exact = network_value(a.network, [arb(float(c)) for c in row])
        assert exact.rad() == 0 and abs(float(exact) - v) < 1e-13


# ---- the network against the spline


@pytest.mark.parametrize("m", splines.ORDERS)
@pytest.mark.parametrize("n", [4, 7, 12])
def test_powers_deviate_by_no_more_and_nearly_as_much(m, n):
    z = torch.linspace(0, 1, 200_001, dtype=torch.float64)[1:-1].requires_grad_(True)
    p = relu.power(z, m - 1, n)
    (slope,) = torch.autograd.grad(p.sum(), z)
    t = z.detach().numpy()
    low, high, steep = _deviation.power_deviation(m - 1, n, t)
    error = p.detach().numpy() - t ** (m - 1)
    assert (low - 1e-15 <= error).all() and (error <= high + 1e-15).all()
    off = np.abs(slope.numpy() - (m - 1) * t ** (m - 2))
    assert (off <= steep + 1e-13).all()
    if m > 2:
        shares = (0.5, 0.7) if m <= 5 else (0.45, 0.45)
        assert max(error.max(), -error.min()) > shares[0] * max(high.max(), -low.min())
        assert off.max() > shares[1] * steep.max()


@pytest.mark.parametrize("m", [2, 3, 4, 5])
@pytest.mark.parametrize("by", [2.0**-30, 2.0**-52, 1e-20, 1e-300])
def test_a_support_that_is_reached_by_little_counts(m, by):
    """The term that begins with the cell, over a box that is almost all to the left of it."""
    found = _deviation.factor_deviations(m, 8, np.array([-0.25]), np.array([by]), [0])
    assert found.alive.all() and (found.size > 0).all()


@pytest.mark.parametrize("m, d", list(itertools.product(splines.ORDERS, (1, 2, 3))))
def test_terms_deviate_by_no_more(m, d):
    rng = np.random.default_rng(m)
    n = 5
    boxes = 30
    radius = 0.04
    middle = rng.uniform(radius, 1 - radius, (boxes, d))
    axes = [
        _deviation.factor_deviations(m, n, middle[:, a] - radius, middle[:, a] + radius, range(m))
        for a in range(d)
    ]
    value, slopes = _deviation.term_deviations(m, n, axes)
    places = np.stack(np.unravel_index(np.arange(m**d), (m,) * d), axis=1)
    worst = 0.0
    for _ in range(30):
        t = middle + radius * rng.uniform(-1, 1, (boxes, d))
        y = torch.from_numpy(t[:, None, :] + places).requires_grad_(True)  # (boxes, terms, d)
        net = relu.tensor_product(list(relu.bspline(y, m, n).unbind(-1)), n)
        (g,) = torch.autograd.grad(net.sum(), y)
        exact = [
            [splines.bspline(m, y.detach().numpy()[..., a], k) for k in (0, 1)] for a in range(d)
        ]
        error = np.abs(net.detach().numpy() - np.prod([e[0] for e in exact], axis=0))
        assert (error <= value + 1e-14).all()
        for k in range(d):
            slope = np.prod([e[int(a == k)] for a, e in enumerate(exact)], axis=0)
            off = np.abs(g[..., k].numpy() - slope)
            assert (off <= slopes[k] + 1e-13).all()
            worst = max(worst, (off / np.maximum(slopes[k], 1e-300)).max())
    assert m == 2 and d == 1 or worst > 0.3


@pytest.mark.parametrize(
    "m, D, N, n", [(2, 1, 13, 4), (3, 1, 50, 20), (4, 2, 5, 30), (5, 1, 9, 12), (4, 1, 300, 40)]
)
def test_rounding_of_the_module_is_below_its_bound(m, D, N, n):
    a = _approximation("cos(3*x1)" if D == 1 else "cos(3*x1)*x2", D, m, N, refinement=n)
    term, total = rounding(m, n, D, 2 * N)
    x = np.random.default_rng(0).random((6, D))
    found = a.network(torch.from_numpy(x)).detach().numpy()
    largest = np.abs(a.coefficients).max() * m**D
    for row, v in zip(x, found):
        with precision(400):
            off = abs(network_value(a.network, [arb(float(c)) for c in row]) - float(v))
        assert float(off) <= largest * (term + total)


# ---- certificates

SMOOTH = ("sin(2*pi*x1)", "exp(x1)", "1/(1+4*(x1-0.5)**2)", "abs(x1-1/3)**3", "cos(20*x1)*x1")


@pytest.mark.parametrize("formula, m, N", list(itertools.product(SMOOTH, (2, 3, 4), (8, 64))))
def test_one_dimension_within_a_fifth_of_the_sampled_maximum(formula, m, N):
    a = _approximation(formula, 1, m, N)
    c = a.certify()
    s = a.measure(1 << 14, module_points=16)
    assert c.search_finished
    for enclosure, sampled in ((c.value, s.value), (c.slope, s.slope)):
        assert enclosure.lower <= enclosure.upper and sampled <= enclosure.upper <= 1.2 * max(
            sampled, enclosure.lower
        )


@pytest.mark.parametrize("m", splines.ORDERS)
def test_two_dimensions_within_a_fifth_of_the_sampled_maximum(m):
    a = _approximation("sin(2*pi*x1)*exp(x2)", 2, m, 16 if m < 5 else 8)
    c = a.certify()
    s = a.measure(1 << 14, module_points=0)
    assert c.search_finished and c.seconds < 60
    assert s.value <= c.value.upper <= 1.2 * max(s.value, c.value.lower)
    assert s.slope <= c.slope.upper <= 1.2 * max(s.slope, c.slope.lower)
    assert c.value.upper <= a.bound.value and c.slope.upper <= a.bound.slope


@pytest.mark.parametrize("seed", range(16))
def test_random_targets_are_never_violated(seed):
    D = 1 + seed % 2
    a = lib.approximate(
        random_target(seed, D),
        lib.Cube(D),
        order=2 + seed % 4,
        cells=(8, 12, 20)[seed % 3] if D == 1 else 6,
    )
    c = a.certify(boxes=2000)
    s = a.measure(4096, module_points=16)
    assert s.value <= c.value.upper and s.slope <= c.slope.upper
    assert c.value.lower <= c.value.upper and c.slope.lower <= c.slope.upper


# ---- whole manifolds: the circle of radius 2/5 around (1/2, 1/2), in eight charts

WAVE = "sin(3*x1)*exp(x2)"
KINK = "abs(x1-0.4)**3"  # its third derivative jumps where boxes are


@cache
def _on_a_circle(formula, m):
    atlas = manifolds.Atlas(manifolds.circle(), 0.2, 0.28)
    a = lib.approximate(
        lib.Target.from_sympy(formula, 2), atlas, order=m, cells=20 if m == 4 else 16
    )
    return a, a.certify()


def _seen_on_the_circle(a, f, df, points=10_000):
    """The largest errors of the module and of its slope along the circle, by angles."""
    angle = np.random.default_rng(7).uniform(0, 2 * np.pi, points)
    tangent = np.stack([-np.sin(angle), np.cos(angle)], axis=1)
    x = 0.5 + 0.4 * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    g, dg = (t.detach().numpy() for t in a.network.value_and_gradient(torch.from_numpy(x)))
    return np.abs(f(*x.T) - g).max(), np.abs(((df(*x.T) - dg.T) * tangent.T).sum(0)).max()


FUNCTIONS = {
    WAVE: (
        lambda u, v: np.sin(3 * u) * np.exp(v),
        lambda u, v: np.array([3 * np.cos(3 * u), np.sin(3 * u)]) * np.exp(v),
    ),
    KINK: (
        lambda u, v: np.abs(u - 0.4) ** 3,
        lambda u, v: np.array([3 * (u - 0.4) * np.abs(u - 0.4), 0 * v]),
    ),
}


@pytest.mark.parametrize("formula, m", [(WAVE, 2), (WAVE, 3), (KINK, 3)])
def test_a_whole_circle_is_bounded_and_not_by_much(formula, m):
    """Within a factor of six of what is seen: neighbouring charts add what they differ by."""
    a, c = _on_a_circle(formula, m)
    value, slope = _seen_on_the_circle(a, *FUNCTIONS[formula])
    assert c.search_finished and c.upper <= a.bound
    assert value <= c.value.upper <= 6 * value and slope <= c.slope.upper <= 6 * slope
    assert 0.9 * value <= c.value.lower <= c.value.upper
    assert 0.9 * slope <= c.slope.lower <= c.slope.upper


def _forward(network, x):
    """The module in mpmath, convolution by convolution, from its parameters alone."""
    stream = [[mpmath.mpf(v) for v in x], *[[mpmath.mpf(0)] * len(x) for _ in range(2)]]
    for block in network.blocks:
        z = stream
        for layer in block:
            w, bias = layer.weight.detach().numpy(), layer.bias.detach().tolist()
            each = len(w) // layer.groups
            new = [[mpmath.mpf(b)] * len(x) for b in bias]
            for o, i, k in zip(*np.nonzero(w)):
                source = z[i + o // each * w.shape[1]]
                for r in range(len(x) - k):
                    new[o][r] += float(w[o, i, k]) * source[r + k]
            z = [[max(v, mpmath.mpf(0)) for v in row] for row in new]
        stream = [[p + q for p, q in zip(*rows)] for rows in zip(stream, z)]
    return sum(w * row[0] for w, row in zip(network.head.tolist(), stream))


@pytest.mark.parametrize("m", [2, 3])
def test_lower_ends_on_a_circle_are_attained(m):
    """At their points, which are floats beside the circle, in 120 digits; slopes by a difference
    along the circle.
    """
    a, c = _on_a_circle(WAVE, m)
    with mpmath.workdps(120):

        def error(x):
            return mpmath.sin(3 * x[0]) * mpmath.exp(x[1]) - _forward(a.network, x)

        def at(angle):
            return [mpmath.mpf(t(angle)) * 2 / 5 + 0.5 for t in (mpmath.cos, mpmath.sin)]

        found = abs(error(c.value_at))
        assert abs(found - c.value.lower) <= 1e-9 * c.value.lower
        u, v = (mpmath.mpf(t) - 0.5 for t in c.slope_at)
        assert abs(mpmath.hypot(u, v) - 0.4) <= 1e-15
        angle, step = mpmath.atan2(v, u), mpmath.mpf(10) ** -40
        found = abs(error(at(angle + step)) - error(at(angle))) / (0.4 * step)
        assert abs(found - c.slope.lower) <= 1e-6 * c.slope.lower


def test_boxes_of_the_charts_of_a_circle():
    """The first parameter runs through the meshes of all charts; a point has its place in each
    chart that is near.
    """
    a, c = _on_a_circle(WAVE, 3)
    patch = a.domain.patch(a.charts, a.cells)
    assert c.roots == patch.roots == (len(a.charts) * a.cells,)
    assert f"{len(a.charts)} charts of {a.cells} cells" in c.description
    s = np.random.default_rng(0).uniform(0, c.roots[0], 500)[:, None]
    s = s[patch.contains(s)]
    x = patch.points(s)
    assert np.abs(np.linalg.norm(x - 0.5, axis=1) - 0.4).max() < 1e-14
    for place, point in zip(s[:, 0], x):
        chart = a.charts[int(place // a.cells)]
        mesh = chart.matrix @ point + chart.offset
        assert abs(mesh[0] - place % a.cells) < 1e-9
    # in each chart the living cells hold all that its function of the partition does not hide
    points = torch.from_numpy(
        0.5 + 0.4 * np.stack([f(np.linspace(0, 7, 4000)) for f in (np.cos, np.sin)], axis=1)
    )
    for i, chart in enumerate(a.charts):
        alive = points[chart.partition(points) > 0].numpy()
        cells = np.floor(alive @ chart.matrix.T + chart.offset).astype(int)[:, 0]
        boxes = lib.domains.Boxes(i * a.cells + cells[:, None] + 0.5, np.full(len(cells), 0.5))
        assert len(cells) > 100 and patch.counts(boxes).all()


@pytest.fixture(scope="module")
def on_a_sphere():
    atlas = manifolds.Atlas(manifolds.Sphere(), 0.3, 0.38)
    return lib.approximate(lib.Target.from_sympy("x1*x2+x3", 3), atlas, order=2, cells=12)


def test_a_whole_sphere(on_a_sphere):
    a = on_a_sphere
    c = a.certify(gap=1.0, boxes=6000)
    x = np.random.default_rng(0).standard_normal((10_000, 3))
    x = x / np.linalg.norm(x, axis=1, keepdims=True)
    u, v, w = (0.5 + 0.5 * x).T
    g, dg = a.sparse.value_and_gradient(torch.from_numpy(0.5 + 0.5 * x))
    off = np.stack([v, u, np.ones_like(u)], axis=1) - dg.numpy()
    off = off - (off * x).sum(1, keepdims=True) * x
    value, slope = np.abs(u * v + w - g.numpy()).max(), np.linalg.norm(off, axis=1).max()
    assert value <= c.value.upper <= 4 * value and slope <= c.slope.upper <= 12 * slope
    assert 0.8 * value <= c.value.lower and 0.4 * slope <= c.slope.lower and c.upper <= a.bound


@pytest.mark.parametrize("m, N, n", [(2, 4, 4), (3, 3, 4)])
def test_plain_propagation_on_small_boxes_agrees(m, N, n):
    """A second way: the layers as they are over 2^16 boxes, against an enclosure of ``f``; no
    structure is used.
    """
    a = _approximation("sin(2*x1)", 1, m, N, refinement=n)
    c = a.certify()
    edges = np.linspace(0, 1, (1 << 16) + 1)
    middle = (edges[1:] + edges[:-1])[:, None] / 2
    radius = 0.5000001 * (edges[1] - edges[0])
    value, slope = certify.propagate(a.network, Balls(middle, radius))
    f = np.sin(2 * middle[:, 0])
    df = 2 * np.cos(2 * middle[:, 0])
    value_upper = (np.abs(f - value.mid) + value.rad + 2 * radius).max()
    slope_upper = np.sort(np.abs(df - slope.mid[:, 0]) + slope.rad[:, 0] + 4 * radius)
    assert c.value.lower <= value_upper <= 1.02 * c.value.upper + 1e-4
    # boxes that meet a kink hold the slopes of both sides: leave those out (one in 30 at most)
    assert c.slope.lower <= slope_upper[-1]
    assert slope_upper[int(0.96 * len(slope_upper))] <= 1.02 * c.slope.upper


# ---- changed weights


def _changed(a, layer, kind, factor=1 + 1e-6):
    """The network with one weight multiplied (the middle one that is not zero)."""
    b = a.with_coefficients(a.coefficients)
    p = dict(b.network.named_parameters())[f"blocks.0.{layer}.{kind}"]
    rows = torch.nonzero(p.detach().flatten()).flatten()
    with torch.no_grad():
        p.view(-1)[int(rows[len(rows) // 2])] *= factor
    return b


CHANGES = [
    (0, "weight"),
    (1, "weight"),
    (1, "bias"),
    (4, "weight"),
    (6, "weight"),
    (6, "bias"),
    (8, "weight"),
    (9, "bias"),
    (12, "weight"),
    (-3, "weight"),
    (-2, "weight"),
    (-1, "weight"),
]


@pytest.mark.parametrize("D, m", [(1, 3), (1, 4), (2, 2)])
@pytest.mark.parametrize("layer, kind", CHANGES)
def test_a_changed_weight_is_enclosed(D, m, layer, kind):
    a = _approximation(
        "sin(2*pi*x1)" if D == 1 else "sin(2*pi*x1)*exp(x2)", D, m, 8 if D == 1 else 4, refinement=8
    )
    depth = len(a.network.blocks[0])
    try:
        b = _changed(a, layer % depth, kind)
    except IndexError:  # a layer without such numbers
        pytest.skip("all biases of the layer are zero")
    c = b.certify(boxes=3000)
    x = np.random.default_rng(0).random((4000, D))
    knots = np.random.default_rng(1).integers(1, 8 * 64, (2000, D)) / (8 * 64)
    x = torch.from_numpy(
        np.concatenate([x, knots + 1e-7, knots - 1e-8, knots + 1e-5]).clip(1e-9, 1 - 1e-9)
    )
    (f, df), (g, dg) = b.target.value_and_gradient(x), b.network.value_and_gradient(x)
    assert float((f - g).abs().max()) <= c.value.upper
    assert float((df - dg).abs().max()) <= c.slope.upper
    assert c.value.upper < 10 * a.bound.value + 0.1


def test_a_changed_coefficient_is_read_exactly():
    a = _approximation(N=16)
    b = _changed(a, len(a.network.blocks[0]) - 1, "weight", 1.5)
    half = a.certify()
    c = b.certify()
    s = b.measure(1 << 14, module_points=1 << 14)
    assert s.value > 10 * half.value.upper
    assert s.value <= c.value.upper <= 1.05 * s.value and s.slope <= c.slope.upper <= 1.1 * s.slope


def test_a_shifted_bias_has_a_slope_that_samples_miss():
    """One bias off by a millionth: the slope error is many times as large, on intervals of
    length 1e-7.
    """
    a, b = _approximation(m=3, N=16), _approximation(m=3, N=16)
    with torch.no_grad():
        b.network.blocks[0][7].bias[67] *= 1 + 1e-6
    sampled = b.measure(1 << 13, module_points=1 << 13).slope
    c = b.certify()
    # beside kinks, never on them: there automatic differentiation returns no one-sided slope
    x = torch.from_numpy(
        (np.arange(1, 256)[:, None] / 256 + np.linspace(-3e-7, 3e-7, 400)).reshape(-1, 1)
    )
    slope = a.target.value_and_gradient(x)[1]
    near = [float((slope - n.value_and_gradient(x)[1]).abs().max()) for n in (a.network, b.network)]
    assert near[0] <= a.certify().slope.upper < 1.05 * sampled
    assert near[1] > 20 * sampled and near[1] <= c.slope.upper < 20 * near[1]


@pytest.mark.parametrize(
    "tamper, message",
    [
        (lambda n: n.head.data.__setitem__(0, 1.0), "head"),
        (lambda n: n.blocks[0][-1].weight.data.neg_(), "last layer"),
        (lambda n: n.blocks[0][0].bias.data.add_(0.1), "gather"),
    ],
)
def test_what_cannot_be_read_is_refused(tamper, message):
    a = _approximation()
    with torch.no_grad():
        tamper(a.network)
    with pytest.raises(lib.InputError, match=message):
        a.certify()


# ---- on disk, interrupted, checked again


def test_interrupted_and_resumed(tmp_path, monkeypatch):
    a = _approximation("cos(9*x1)*x1", 1, 4, 64)
    file = tmp_path / "state"
    monkeypatch.setattr(_certify, "_AT_ONCE", 16)
    whole = a.certify()
    bounds, calls = _error.ErrorOf.bounds, []

    def interrupted(self, boxes):
        calls.append(len(boxes))
        if len(calls) == 5:
            raise KeyboardInterrupt
        return bounds(self, boxes)

    monkeypatch.setattr(_error.ErrorOf, "bounds", interrupted)
    with pytest.raises(KeyboardInterrupt):
        a.certify(checkpoint=file)
    assert file.exists() and calls == [16] * 5
    c = a.certify(checkpoint=file)
    assert c.value == whole.value and c.slope == whole.slope
    boxes = [set(zip(x.level.tolist(), x.index[:, 0].tolist())) for x in (c, whole)]
    assert boxes[0] == boxes[1] and len(boxes[0]) == len(whole.level)
    with pytest.raises(lib.InputError, match="checkpoint"):
        _approximation("cos(9*x1)", 1, 4, 64).certify(checkpoint=file)


def test_saved_and_loaded(tmp_path):
    a = _approximation()
    c = a.certify()
    c.save(tmp_path / "certificate")
    d = certify.Certificate.load(tmp_path / "certificate")
    assert (d.value, d.slope, d.value_at, d.digest, d.roots) == (
        c.value,
        c.slope,
        c.value_at,
        c.digest,
        c.roots,
    )
    assert np.array_equal(d.level, c.level) and certify.check(d, a) >= len(c.level)
    (tmp_path / "cut").write_bytes((tmp_path / "certificate").read_bytes()[:200])
    for name in ("cut", "missing"):
        with pytest.raises(lib.InputError, match="path"):
            certify.Certificate.load(tmp_path / name)


@pytest.mark.parametrize(
    "formula, D, m, N",
    [
        ("sin(2*pi*x1)", 1, 2, 8),
        ("exp(x1)", 1, 3, 32),
        ("abs(x1-0.37)**2.5", 1, 4, 16),
        ("tanh(3*x1)", 1, 5, 9),
        ("sin(2*x1)", 1, 6, 7),
        ("exp(x1)", 1, 7, 8),
        ("sin(2*x1)", 1, 8, 9),
        ("sin(2*pi*x1)*exp(x2)", 2, 4, 8),
        ("abs(x1+x2-0.7)**3", 2, 3, 6),
    ],
)
def test_the_second_proof_agrees(formula, D, m, N):
    a = _approximation(formula, D, m, N)
    c = a.certify()
    assert certify.check(c, a) < 2 * len(c.level) + 200


@pytest.mark.parametrize("degree", range(1, 8))
def test_powers_of_the_second_proof(degree):
    """The ends hold what the network does, and are those of the first proof up to roundings; its
    slopes are no more than one saturated factor away.
    """
    n = 4
    z = np.random.default_rng(degree).uniform(0, 1, 200)
    low, high, slope = _deviation.power_deviation(degree, n, z)
    for i, t in enumerate(z):
        low2, high2, slope2 = map(
            float, _proof._power_deviation(degree, arb(t), arb(4) ** (-n - 1), arb(2) ** -n)
        )
        assert abs(low2 - low[i]) + abs(high2 - high[i]) < 1e-12
        assert slope2 < 1.5 * slope[i] + 1e-12
        ends = [float(_proof.network_power(n, arb(t) + d, degree)) for d in (0, 1e-8)]
        assert low2 - 1e-12 <= ends[0] - t**degree <= high2 + 1e-12
        found = (ends[1] - ends[0]) / 1e-8
        assert abs(found - degree * t ** (degree - 1)) <= slope2 + 1e-6


def _altered(c, **changes):
    return _certificate.Certificate(**{**vars(c), **changes})


def test_the_second_proof_rejects(tmp_path):
    a = _approximation("sin(2*pi*x1)*exp(x2)", 2, 3, 4)
    c = a.certify()
    less = (
        certify.Enclosure(0.0, 0.9 * c.value.upper),
        certify.Enclosure(0.0, 0.8 * c.slope.lower),
    )
    for changes, message in [
        ({"value": less[0]}, "errors below"),
        ({"slope": less[1]}, "errors below"),
        ({"level": c.level[1:], "index": c.index[1:]}, "cover"),
        (
            {
                "level": np.append(c.level, c.level[0] + 1),
                "index": np.vstack([c.index, 2 * c.index[:1]]),
            },
            "cover",
        ),
        ({"roots": (3, 3)}, "begin at .4, 4."),
    ]:
        with pytest.raises(lib.InputError, match=message):
            certify.check(_altered(c, **changes), a)
    changed = a.with_coefficients(a.coefficients)
    with torch.no_grad():
        changed.network.blocks[0][3].weight[0, 0] *= 1 + 1e-9
    with pytest.raises(lib.InputError, match="changed weights"):
        certify.check(c, changed)


# ---- forged certificates of a whole manifold


@pytest.mark.parametrize("formula, m", [(WAVE, 2), (WAVE, 3), (KINK, 3)])
def test_the_second_proof_agrees_on_a_circle(formula, m):
    a, c = _on_a_circle(formula, m)
    assert len(c.level) <= certify.check(c, a) < 5 * len(c.level)


@pytest.fixture
def few_halvings(monkeypatch):
    """Claims below what is attained are refused after six halvings, too, and later."""
    monkeypatch.setattr(_check, "_DEEPER", 1)


_claims = certify.Enclosure
FORGERIES = {
    "value lowered": (lambda c: {"value": _claims(0.0, 0.95 * c.value.lower)}, "boxes prove"),
    "slope lowered": (lambda c: {"slope": _claims(0.0, 0.95 * c.slope.lower)}, "boxes prove"),
    "value raised": (lambda c: {"value": _claims(*[c.value.upper] * 2)}, "lower end"),
    "slope raised": (lambda c: {"slope": _claims(*[c.slope.upper] * 2)}, "lower end"),
    "another point": (lambda c: {"value_at": (0.9, 0.5)}, "lower end"),
    "another steep point": (lambda c: {"slope_at": (0.5, 0.9)}, "lower end"),
    "a point outside": (lambda c: {"value_at": (0.5, 1.5)}, "points of the manifold"),
    "a point in a chart": (lambda c: {"slope_at": (0.5,)}, "points of the manifold"),
    "a box less": (lambda c: {"level": c.level[1:], "index": c.index[1:]}, "cover"),
    "half a box": (
        lambda c: {
            "level": c.level + (np.arange(len(c.level)) == 3),
            "index": c.index * (1 + (np.arange(len(c.level)) == 3))[:, None],
        },
        "cover",
    ),
    "a box twice": (
        lambda c: {
            "level": np.append(c.level, c.level[:1]),
            "index": c.index[[*range(len(c.level)), 0]],
        },
        "cover",
    ),
    "a chart less": (
        lambda c: {
            "level": c.level[c.index[:, 0] >> c.level >= 16],
            "index": c.index[c.index[:, 0] >> c.level >= 16],
        },
        "cover",
    ),
    "roots": (lambda c: {"roots": (c.roots[0] - 16,)}, "begin at"),
    "digest": (lambda c: {"digest": c.digest[::-1]}, "digest"),
    "description": (lambda c: {"description": c.description.replace("8", "9")}, "described"),
}


@pytest.mark.parametrize("kind", FORGERIES)
def test_forged_certificates_of_a_circle_are_refused(kind, request):
    a, c = _on_a_circle(WAVE, 2)
    change, message = FORGERIES[kind]
    if message == "boxes prove":
        request.getfixturevalue("few_halvings")
    forged = _altered(c, **change(c))
    with pytest.raises(lib.InputError, match=message):
        certify.check(forged, a)


def _with_charts(a, change, number=0):
    """The approximation with another chart in place of one of its own."""
    charts = list(a.charts)
    charts[number] = change(charts[number])
    return dataclasses.replace(a, construction=dataclasses.replace(a.construction, charts=charts))


def _partition(**changes):
    def change(chart):
        found = {k: f(getattr(chart.partition, k)) for k, f in changes.items()}
        return dataclasses.replace(chart, partition=dataclasses.replace(chart.partition, **found))

    return change


def _a_term_less(chart):
    rows = np.arange(len(chart.indices)) != len(chart.indices) // 2
    return dataclasses.replace(
        chart, indices=chart.indices[rows], coefficients=chart.coefficients[rows]
    )


def _terms_exchanged(chart, apart=2):
    order = np.arange(len(chart.indices))
    k = len(order) // 2
    order[[k, k + apart]] = order[[k + apart, k]]
    return dataclasses.replace(chart, indices=chart.indices[order])


def _coefficients_changed(chart):
    return dataclasses.replace(chart, coefficients=chart.coefficients * 1.05)


# what is certified changes with the claims: found although the digest is that of the new one
FORGED_TERMS = {
    "coefficients": _coefficients_changed,
    "a term less": _a_term_less,
    "terms exchanged": _terms_exchanged,
}
# charts that are not those of an atlas, found before there is a digest
FORGED_CHARTS = {
    "another centre": _partition(centre=lambda c: c + [1e-3, 0.0]),
    "another radius": _partition(outer=lambda r: 1.1 * r),
    "another inner radius": _partition(inner=lambda r: 0.9 * r),
    "an earlier centre less": _partition(earlier=lambda e: e[:-1]),
    "squares of another level": _partition(refinement=lambda n: n - 1),
    "no partition": lambda chart: dataclasses.replace(chart, partition=None),
    "another matrix": lambda chart: dataclasses.replace(chart, matrix=chart.matrix * 1.01),
    "another offset": lambda chart: dataclasses.replace(chart, offset=chart.offset + 0.01),
}


@pytest.mark.parametrize("kind", FORGED_TERMS)
def test_other_terms_do_not_get_the_claims_of_the_theorem(kind, few_halvings):
    """Neither those of boxes nor those of Theorem B, which is about other terms."""
    a, c = _on_a_circle(WAVE, 2)
    b = _with_charts(a, FORGED_TERMS[kind])
    with pytest.raises(lib.InputError, match="digest"):
        certify.check(c, b)
    claims = {norm: _claims(0.0, getattr(a.bound, norm)) for norm in ("value", "slope")}
    seen = b.measure(2000, module_points=0)
    assert seen.value > a.bound.value or seen.slope > a.bound.slope
    for changes in ({}, claims):
        forged = _altered(c, digest=_digest.digest(subject(b)), **changes)
        with pytest.raises(lib.InputError, match="boxes prove"):
            certify.check(forged, b)
    assert seen <= b.certify(gap=0.5).upper


def test_exchanged_terms_on_the_cube_do_not_get_the_claims_of_the_theorem():
    a = _approximation("sin(2*pi*x1)*exp(x2)", 2, 3, 6)
    b = _with_charts(a, lambda chart: _terms_exchanged(chart, 13))
    claims = {norm: _claims(0.0, getattr(a.bound, norm)) for norm in ("value", "slope")}
    c = _altered(a.certify(boxes=100), digest=_digest.digest(subject(b)), **claims)
    seen = b.measure(2000, module_points=0)
    assert seen.value > a.bound.value
    with pytest.raises(lib.InputError, match="errors below"):
        certify.check(c, b)
    assert seen <= b.certify(boxes=2000).upper


@pytest.mark.parametrize("kind", FORGED_CHARTS)
def test_charts_that_are_not_those_of_an_atlas_are_refused(kind):
    a, c = _on_a_circle(WAVE, 2)
    for number in (0, int(np.argmax([len(k.partition.earlier) for k in a.charts]))):
        if kind == "an earlier centre less" and not len(a.charts[number].partition.earlier):
            continue
        b = _with_charts(a, FORGED_CHARTS[kind], number)
        b.__dict__["network"] = a.network  # that of the honest charts
        for refuses in (b.certify, partial(certify.check, c, b)):
            with pytest.raises(lib.InputError, match="centres|charts"):
                refuses()


def test_weights_changed_after_certifying_are_refused():
    a, c = _on_a_circle(WAVE, 2)
    for number, layer in ((0, -1), (2, 5), (-1, 0)):
        b = a.with_coefficients(a.coefficients)
        weight = b.network.blocks[number][layer].weight.data.view(-1)
        weight[int(weight.nonzero()[0])] *= 1 + 1e-9
        with pytest.raises(lib.InputError, match="changed weights"):
            certify.check(c, b)
    assert certify.check(c, a.with_coefficients(a.coefficients)) > 0


def test_bounds_to_be_proved():
    a = _approximation(m=4, N=16)
    few = a.certify(at_most=a.bound)
    many = a.certify()
    assert few.search_finished and len(few.level) < len(many.level)
    assert few.value.upper <= a.bound.value and few.slope.upper <= a.bound.slope
    assert not a.certify(at_most=(0.5 * many.value.lower, 1.0)).search_finished


@pytest.mark.parametrize(
    "options",
    [{"gap": 0.0}, {"boxes": 0}, {"at_most": (1.0,)}, {"at_most": 5}, {"at_most": "ab"}],
    ids=list,
)
def test_bad_options(options):
    with pytest.raises(lib.InputError, match=next(iter(options))):
        _approximation().certify(**options)


def test_a_target_that_is_no_formula_is_refused():
    target = lib.Target(lambda x: torch.sin(x[:, 0]), {(k,): 1.0 for k in range(5)})
    with pytest.raises(lib.InputError, match="formula"):
        lib.approximate(target, lib.Cube(1), order=4, cells=8).certify()


def test_pieces_of_an_unchanged_network_are_its_charts():
    a = _approximation(m=3, N=8, blocks=3)
    pieces, damaged, unchanged = _stored.read(a.construction, a.network)
    assert unchanged and not damaged and len(pieces) == 1
    assert np.array_equal(np.sort(pieces[0].table.mid[1:-1]), np.sort(a.coefficients))
