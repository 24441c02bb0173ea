"""Networks that were changed after they were built, slopes at kinks, and the rounding part of
the bound.
"""

import dataclasses
import math

import numpy as np
import pytest
import torch
from flint import arb

import lib
from lib import manifolds, robustness
from lib.certify._points import network_value
from lib.claims._chapter10 import exact_coefficient_error
from lib.formulas import evaluate, variables
from lib.intervals import precision, values_near


def _approximation(formula="sin(2*pi*x1)", D=1, m=4, N=8, **options):
    return lib.approximate(
        lib.Target.from_sympy(formula, D), lib.Cube(D), order=m, cells=N, **options
    )


def _half_a_coefficient(a):
    weight = a.network.blocks[0][-1].weight.data
    weight[1, torch.argmax(weight[1, :, 0])] *= 0.5
    return a


def _trained(a):
    optimizer = torch.optim.SGD(a.network.parameters(), lr=1e-3)
    x = torch.rand(64, a.dim, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    (a.network(x) - 1).square().mean().backward()
    optimizer.step()
    return a


# ---- what is measured, saved, evaluated


@pytest.mark.parametrize("change", [_half_a_coefficient, _trained])
def test_a_changed_network_is_measured_everywhere(change):
    a = change(_approximation())
    x = a.domain.sample(4000, 3)
    (f, df), (g, dg) = a.target.value_and_gradient(x), a.network.value_and_gradient(x)
    m = a.measure(4000, 3, module_points=16)
    assert not a.unchanged and m.module_points == 4000 and math.isnan(m.module_difference)
    assert m.value == float((f - g).abs().max()) and m.slope == float((df - dg).abs().max())
    assert m.value > 20 * a.bound.value


def test_an_unchanged_network_is_recognised():
    a = _approximation()
    assert a.unchanged  # not built
    before = a.measure(1000)
    a.network(torch.rand(3, 1, dtype=torch.float64))
    assert a.unchanged and a.measure(1000) == before and before.module_difference < 1e-13
    bias = a.network.blocks[0][5].bias.data
    bias[0] += 1e-9
    assert not a.unchanged
    bias[0] -= 1e-9
    assert a.unchanged == (
        float(bias[0]) == float(_approximation().network.blocks[0][5].bias.data[0])
    )


def test_save_keeps_changed_weights_and_not_the_bound(tmp_path):
    a = _approximation()
    a.save(tmp_path / "honest")
    honest = lib.load(tmp_path / "honest")
    assert honest.bound == a.bound and honest.bound.rigorous and honest.unchanged
    changed = _half_a_coefficient(a)
    expected = changed.measure(1000)
    changed.save(tmp_path / "changed")
    loaded = lib.load(tmp_path / "changed")
    assert (
        loaded.bound is None
        and not loaded.unchanged
        and loaded.measure(1000).value == expected.value
    )
    with pytest.raises(lib.InputError, match="bound"):
        loaded.constant  # noqa: B018  (a property that raises)
    loaded.save(tmp_path / "again")
    assert lib.load(tmp_path / "again").bound is None


def test_other_coefficients_or_another_target_have_no_bound(tmp_path):
    a = _approximation("cos(x1)*x2", 2, 3, 4)
    assert a.with_coefficients(a.coefficients).bound == a.bound
    assert a.with_coefficients(a.coefficients * (1 + 1e-15)).bound is None
    assert a.with_target(lib.Target.from_sympy("cos(x1)*x2", 2)).bound == a.bound
    assert a.with_target(lib.Target.from_sympy("cos(x1)*x2+x1/100", 2)).bound is None
    same = lib.Target(lambda x: torch.cos(x[:, 0]) * x[:, 1], dim=2)
    other = lib.Target(lambda x: torch.cos(x[:, 0]) * x[:, 1] + x[:, 0] / 100, dim=2)
    assert a.with_target(same).bound == dataclasses.replace(a.bound, rigorous=False)
    assert a.bound.rigorous and a.with_target(other).bound is None
    a.save(tmp_path / "a")
    assert lib.load(tmp_path / "a").with_target(other).bound is None


def test_radii_and_attacks_are_those_of_the_network_at_hand():
    a = _half_a_coefficient(_approximation("sin(2*pi*x1)"))
    x = torch.linspace(0.01, 0.99, 50, dtype=torch.float64)[:, None]
    assert torch.equal(robustness.evaluate(a, x).detach(), a.network(x).detach())
    with pytest.raises(lib.InputError, match="weights"):
        robustness.radii(a, x)


# ---- slopes at kinks

KINKS = [
    ("sin(3*x1)", 1, 3, 8, 10),
    ("sin(3*x1)", 1, 2, 8, 4),
    ("sin(3*x1)*exp(x2)", 2, 3, 8, 6),
    ("x1*x2*sin(x3)", 3, 2, 4, 5),
]


def _grid(D, count, rng, N):
    return np.concatenate(
        [rng.integers(0, 65, (count, D)) / 64, rng.integers(0, N + 1, (count, D)) / N]
    )


@pytest.mark.parametrize("formula, D, m, N, n", KINKS)
@pytest.mark.parametrize("changed", [False, True])
def test_slopes_at_kinks_are_one_sided_limits(formula, D, m, N, n, changed):
    """Against difference quotients in 900 bits; knots and dyadic points of these networks are
    exact in float64.
    """
    a = _approximation(formula, D, m, N, refinement=n, blocks=2)
    rng = np.random.default_rng(0)
    if changed:
        a.network.head.data *= 0.5
    x = _grid(D, 12, rng, N)
    values, slopes = a.value_and_slope(torch.from_numpy(x))
    w = a.domain.towards(torch.from_numpy(x)).numpy()
    assert (np.where(x == 1, -w, w) > 0).all()
    for point, direction, value, slope in zip(x, w, values.tolist(), slopes.numpy()):
        with precision(900):
            step = arb(2) ** -300
            p = [arb(float(t)) for t in point]
            here = network_value(a.network, p)
            there = network_value(a.network, [t + step * float(d) for t, d in zip(p, direction)])
            quotient = float((there - here) / step)
        assert abs(float(here) - value) < 1e-13
        assert abs(quotient - slope @ direction) < 1e-11 * (1 + abs(quotient))


GRIDS = [
    ("sin(2*pi*x1)", 1, 3, 8),
    ("sin(2*pi*x1)", 1, 4, 8),
    ("sin(2*pi*x1)", 1, 5, 10),
    ("sin(2*pi*x1)*exp(x2)", 2, 4, 8),
    ("sin(2*pi*x1)*exp(x2)", 2, 2, 7),
]


@pytest.mark.parametrize("formula, D, m, N", GRIDS)
def test_slopes_on_ordinary_grids_are_within_the_bound(formula, D, m, N):
    """At 0, on linspace(0, 1, 33), at knots: there automatic differentiation is up to 83 per
    cent beyond the bound.
    """
    a = _approximation(formula, D, m, N)
    axis = np.unique(np.concatenate([np.linspace(0, 1, 33), np.arange(N + 1) / N]))
    x = torch.from_numpy(np.stack(np.meshgrid(*[axis] * D, indexing="ij"), axis=-1).reshape(-1, D))
    f, df = a.target.value_and_gradient(x)
    values, slopes = a.value_and_slope(x)
    assert float((f - values).abs().max()) <= a.bound.value
    assert float((df - slopes).abs().max()) <= a.bound.slope
    plain = float((df - a.network.value_and_gradient(x)[1]).abs().max())
    assert m > 3 or plain > 1.2 * a.bound.slope


@pytest.mark.parametrize("m", [2, 3, 4, 5])
def test_slopes_within_rounding_of_knots_are_within_the_bound(m):
    """Large coefficients that cancel: where rounding puts terms on different sides of a knot
    slopes are off by hundreds.
    """
    a = _approximation("x1+x2*x3-1e5", 3, m, max(m, 2))
    rng = np.random.default_rng(m)
    knots = rng.integers(0, a.cells + 1, (400, 3)) / a.cells
    x = knots + rng.choice([-1, 1], knots.shape) * 10.0 ** rng.uniform(-17, -9, knots.shape)
    x = torch.from_numpy(np.where(rng.random(x.shape) < 0.3, rng.random(x.shape), x).clip(0, 1))
    f, df = a.target.value_and_gradient(x)
    values, slopes = a.value_and_slope(x)
    assert float((f - values).abs().max()) <= a.bound.value
    assert float((df - slopes).abs().max()) <= a.bound.slope


BESIDE = [
    ("1+x1+x2+x3", 3, 2, 2, 30),
    ("sin(x1+x2+x3)", 3, 2, 4, 11),
    ("1+x1", 1, 4, 4, 40),
    ("1+x1*x2", 2, 3, 3, 40),
]


@pytest.mark.parametrize("formula, D, m, N, n", BESIDE)
def test_slopes_one_rounding_beside_a_knot(formula, D, m, N, n):
    a = _approximation(formula, D, m, N, refinement=n)
    rng = np.random.default_rng(0)
    x = np.where(
        rng.random((500, D)) < 0.5, rng.integers(0, N + 1, (500, D)) / N, rng.random((500, D))
    )
    x = torch.from_numpy(np.nextafter(x, rng.choice([-1.0, 2.0], x.shape)).clip(0, 1))
    off = (a.target.value_and_gradient(x)[1] - a.value_and_slope(x)[1]).abs()
    assert float(off.max()) <= a.bound.slope


def test_slopes_on_a_manifold_are_tangential_and_within_the_bound():
    a = lib.approximate(
        lib.Target.from_sympy("sin(3*x1)*exp(x2)", 2), manifolds.circle(), order=3, cells=16
    )
    centres = np.concatenate([np.asarray(c.partition.centre)[None] for c in a.charts])
    x = torch.from_numpy(np.concatenate([centres, a.domain.points(np.arange(64) / 64 * 2 * np.pi)]))
    values, slopes = a.value_and_slope(x)
    f, df = a.target.value_and_gradient(x)
    normal = (x - 0.5) / (x - 0.5).norm(dim=1, keepdim=True)
    assert float((slopes * normal).sum(1).abs().max()) < 1e-12
    assert float((f - values).abs().max()) <= a.bound.value
    assert float((a.domain.along(x, df) - slopes).norm(dim=1).max()) <= a.bound.slope


def test_value_and_slope_refuses_other_points():
    a = _approximation()
    for x, what in (
        (torch.tensor([[1.5]], dtype=torch.float64), "cube"),
        (torch.zeros(2, 2, dtype=torch.float64), "shape"),
        (torch.zeros(2, 1), "float64"),
        (np.zeros((2, 1)), "float64"),
    ):
        with pytest.raises(lib.InputError, match=what):
            a.value_and_slope(x)


# ---- the rounding part of the bound

POLYNOMIALS = [
    ("5", 1),
    ("x1**2+x1", 1),
    ("0.1*x1+0.2", 1),
    ("x1/3-x1**3/7", 1),
    ("10**6*x1**2", 1),
    ("x1*x2/3+x2**2", 2),
    ("x1*x2*x3/7", 3),
]


@pytest.mark.parametrize("formula, D", POLYNOMIALS)
@pytest.mark.parametrize("m", [4, 5])
def test_the_bound_of_a_polynomial_is_not_below_the_truth(formula, D, m):
    """Its spline reproduces it: nothing but the network's refinement and rounding is left."""
    a = _approximation(formula, D, m, 6 if D < 3 else 5)
    x = np.random.default_rng(0).random((40, 10, 2)[D - 1 : D] + (D,))
    found = a.network(torch.from_numpy(x)).tolist(), a.sparse(torch.from_numpy(x)).tolist()
    worst = 0.0
    for row, *values in zip(x, *found):
        with precision(400):
            point = [arb(float(t)) for t in row]
            exact = evaluate(a.target.expression, dict(zip(variables(D), point)))
            values = [arb(v) for v in values] + [network_value(a.network, point)]
            worst = max(worst, *(float(abs(exact - v)) for v in values))
    assert a.bound.rigorous and a.bound.spline.value == 0
    assert 0 < worst <= a.bound.value and a.measure().value <= a.bound.value


@pytest.mark.parametrize(
    "formula",
    ["exp(x1)/3", "tanh(5*x1-2)", "10**9*sin(x1)", "1e-9*x1**3", "x1**2.5", "abs(x1-1/3)**3"],
)
@pytest.mark.parametrize("m, N", [(2, 7), (3, 12), (4, 6), (5, 9)])
def test_coefficients_are_within_their_enclosure(formula, m, N):
    target = lib.Target.from_sympy(formula, 1)
    problem = lib.domains.CubeProblem(target, lib.Cube(1), m)
    charts = problem.charts(N)
    error, proved = problem.coefficient_error(charts, N)
    exact = exact_coefficient_error(target.expression, m, N, charts[0].coefficients)
    assert proved and exact <= error < 1e-12 * np.abs(charts[0].coefficients).max()


@pytest.mark.parametrize(
    "formula, D",
    [
        ("x1*x2*x3/7+exp(x1)*sin(x2)", 3),
        ("(x1+x2)**2.5", 2),
        ("sin(x1*x2)+(1-x1)**2.5", 2),
        ("3", 2),
        ("x2", 2),
        ("abs(x1-x2)**3", 2),
    ],
)
def test_values_on_grids_are_enclosed(formula, D):
    """At points within a rounding of the nodes, in 300 bits."""
    expression = lib.formulas.parse(formula, D)
    rng = np.random.default_rng(0)
    axes = [np.sort(np.concatenate([[0.0, 1.0], rng.random(5)])) for _ in range(D)]
    mid, rad = values_near(expression, axes)
    assert mid.shape == rad.shape == (7,) * D and rad.max() < 1e-14
    with precision(300):
        for place in np.ndindex(mid.shape):
            for shift in (-1, 0, 1):
                x = [
                    arb(float(axis[i])) * (1 + shift * arb(2) ** -53 * (axis[i] != 1))
                    for axis, i in zip(axes, place)
                ]
                exact = evaluate(expression, dict(zip(variables(D), x)))
                assert abs(exact - float(mid[place])) <= float(rad[place])


def test_what_would_take_long_is_not_called_rigorous(monkeypatch):
    a, b = (_approximation(f, 2, 3, 40) for f in ("sin(x1)*x2", "sin(x1*x2)"))
    assert a.bound.rigorous and b.bound.rigorous
    monkeypatch.setattr("lib.domains._cube_problem.MAXIMUM_EVALUATIONS", 1000)
    a, c = (_approximation(f, 2, 3, 40) for f in ("sin(x1)*x2", "sin(x1*x2)"))
    assert a.bound.rigorous and not c.bound.rigorous
    assert 0.2 < c.bound.rounding.value / b.bound.rounding.value < 5


def test_coefficients_of_another_function_are_far_from_theirs():
    problem = lib.domains.CubeProblem(lib.Target.from_sympy("x1**2", 1), lib.Cube(1), 3)
    other = lib.domains.CubeProblem(lib.Target.from_sympy("x1**2+1/1000", 1), lib.Cube(1), 3)
    assert 0.9e-3 < problem.coefficient_error(other.charts(4), 4)[0] < 1.1e-3


def test_a_bound_for_a_callable_or_with_an_assumed_reach_is_not_called_rigorous():
    target = lib.Target(lambda x: torch.sin(x[:, 0]), {(k,): 1.0 for k in range(5)})
    assert not lib.approximate(target, lib.Cube(1), order=4, cells=8).bound.rigorous
    formula = lib.Target.from_sympy("x1", 2)
    assert lib.approximate(formula, manifolds.circle(), order=2, cells=8).bound.rigorous
    assumed = manifolds.LevelSet("(x1-1/2)**2+(x2-1/2)**2-1/9", 2)
    assert not lib.approximate(formula, assumed, order=2, cells=8).bound.rigorous
    assert not lib.approximate(
        lambda x: x[:, 0], manifolds.circle(), order=2, cells=8
    ).bound.rigorous
    assert _approximation().bound.rigorous


@pytest.mark.parametrize("tolerance", [1e-2, 1e-4])
def test_a_tolerance_holds_with_rounding(tolerance):
    a = lib.approximate(
        lib.Target.from_sympy("sin(2*pi*x1)", 1), lib.Cube(1), order=4, tolerance=tolerance
    )
    assert max(a.bound.value, a.bound.slope) <= tolerance
