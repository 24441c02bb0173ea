"""Targets held against their values: gradients that autograd cannot see, and bounds of
derivatives that are too small.
"""

from math import factorial, pi

import numpy as np
import pytest
import torch

import lib
from lib import InputError
from lib.domains import CubeProblem
from lib.splines import QuasiInterpolant, needed_derivatives

DOMAINS = {
    "interval": lib.Cube(1),
    "square": lib.Cube(2),
    "cube": lib.Cube(3),
    "four": lib.Cube(4),
    "circle": lib.manifolds.circle(),
    "sphere": lib.manifolds.Sphere(),
}


def _net(random, dim, activation, size=1.0):
    first, second, last = (
        torch.from_numpy(random.standard_normal(s)) for s in ((dim, 24), (24, 24), (24,))
    )

    def function(x):
        y = activation(size * (x @ first.to(x)) + 0.3)
        return activation(y @ second.to(x) / 4) @ last.to(x)

    return function


def _honest(random, dim):
    """Differentiable functions by name, some with kinks or steep in a small part of the domain."""
    a, b = (torch.from_numpy(random.standard_normal(dim)) for _ in range(2))
    size = float(10 ** random.uniform(-0.5, 1.3))
    c = float(random.uniform(0.3, 0.7))
    coefficients = torch.from_numpy(random.standard_normal(9) * 10)

    def along(x):
        return x @ a.to(x)

    return {
        "linear": along,
        "waves": lambda x: (
            torch.sin(size * along(x)) + torch.exp(x @ b.to(x)) + torch.tanh(3 * along(x) - 1)
        ),
        "net": _net(random, dim, torch.tanh),
        "relu": _net(random, dim, torch.relu, 3.0),
        "softplus": _net(random, dim, torch.nn.functional.softplus, 20.0),
        "pieces": lambda x: (
            torch.where(x[:, 0] > c, (x[:, 0] - c) ** 2, 0 * x[:, 0]) + torch.cos(along(x))
        ),
        "polynomial": lambda x: sum(w.to(x) * along(x) ** k for k, w in enumerate(coefficients)),
        "kink": lambda x: (x[:, 0] - 0.37).abs() ** 1.5,
        "corner": lambda x: (x[:, 0] - 0.37).abs() + torch.sin(along(x)),
        "steep": lambda x: torch.tanh(1e4 * (x[:, 0] - c)),
        "bump": lambda x: torch.exp(-1e4 * ((x - c) ** 2).sum(1)) + x[:, 0],
        "tent": lambda x: (0.002 - (x[:, 0] - c).abs()).relu(),
    }


class _Stepped(torch.autograd.Function):  # a straight-through estimator
    @staticmethod
    def forward(ctx, y):
        return torch.round(20 * y) / 20

    @staticmethod
    def backward(ctx, g):
        return g


class _Wrong(torch.autograd.Function):
    @staticmethod
    def forward(ctx, y):
        return y.clone()

    @staticmethod
    def backward(ctx, g):
        return 1.1 * g


def _without_gradient(f):
    def function(x):
        with torch.no_grad():
            return f(x)

    return function


def _dishonest(f, other, span):
    """Functions whose gradients are not those of their values."""
    return {
        "no_grad": _without_gradient(f),
        "detached": lambda x: f(x.detach()),
        "numpy": lambda x: torch.from_numpy(f(x.detach()).numpy().copy()),
        "in part": lambda x: other(x) + f(x).detach(),
        "half": lambda x: f(x) / 2 + f(x).detach() / 2,
        "straight through": lambda x: _Stepped.apply(f(x) / span),
        "rounded": lambda x: torch.round(7 * f(x) / span),
        "finely rounded": lambda x: torch.round(1e4 * f(x) / span) / 1e4,
        "steps": lambda x: f(x) + 0.05 * span * torch.round(7 * f(x) / span),
        "backward": lambda x: _Wrong.apply(f(x)),
    }


def _check(function, domain):
    lib.Target(function, dim=domain.ambient_dim).check_slopes(domain)


@pytest.mark.parametrize("place", DOMAINS)
@pytest.mark.parametrize("seed", range(2))
def test_honest_targets_pass(place, seed):
    domain = DOMAINS[place]
    for f in _honest(np.random.default_rng(seed), domain.ambient_dim).values():
        for scale, shift in ((1, 0), (1e-30, 0), (1e30, 0), (1, 100)):
            _check(lambda x, f=f, a=scale, b=shift: a * f(x) + b, domain)
        _check(lambda x, f=f: f(x.float()), domain)
        _check(lambda x, f=f: f(x.float()).double() + 1, domain)


@pytest.mark.parametrize(
    "place, names",
    [
        ("interval", ("pieces", "polynomial", "kink")),
        ("square", ("waves", "net", "steep")),
        ("cube", ("relu", "bump")),
        ("four", ("waves", "relu")),
        ("circle", ("softplus", "corner")),
        ("sphere", ("linear", "net", "tent")),
    ],
)
def test_gradients_that_are_not_those_of_the_values_are_refused(place, names):
    domain = DOMAINS[place]
    random = np.random.default_rng(2)
    x = domain.sample(500)
    honest = _honest(random, domain.ambient_dim)
    for name in names:
        f = honest[name]
        span = float(f(x).max() - f(x).min())
        for lie, function in _dishonest(
            f, _net(random, domain.ambient_dim, torch.tanh), span
        ).items():
            with pytest.raises(InputError, match="function = .*differentiable by torch.autograd"):
                _check(function, domain)
                pytest.fail(f"{name}, {lie}")


@pytest.mark.parametrize("lie", ("no_grad", "numpy", "in part", "straight through", "backward"))
@pytest.mark.parametrize("place", ("square", "sphere"))
def test_in_single_precision_too(place, lie):
    domain = DOMAINS[place]
    net = _net(np.random.default_rng(3), domain.ambient_dim, torch.tanh)
    with pytest.raises(InputError, match="torch.autograd"):
        _check(_dishonest(lambda x: net(x.float()), lambda x: x[:, 0], 1.0)[lie], domain)


def _hand_over(domain, function):
    if isinstance(domain, lib.Cube):
        return lib.approximate(
            lib.Target(function, {k: 1e3 for k in needed_derivatives(domain.dim, 2)}),
            domain,
            order=2,
            cells=4,
        )
    return lib.approximate(function, domain, order=2, cells=40)


@pytest.mark.parametrize("place", ("square", "circle"))
def test_where_targets_are_handed_over(place):
    domain = DOMAINS[place]

    def wave(x):
        return torch.sin(3 * x[:, 1])

    a = _hand_over(domain, lambda x: wave(x) + x[:, 0])
    assert a.measure(1000).slope <= a.bound.slope
    for lie in (
        _without_gradient(wave),
        lambda x: x[:, 0] + wave(x).detach(),
        lambda x: torch.round(4 * x[:, 0]),
    ):
        with pytest.raises(InputError, match="function"):
            _hand_over(domain, lie)


def test_targets_set_later():
    a = _hand_over(lib.Cube(2), lambda x: x[:, 0])
    assert a.with_target(lib.Target(lambda x: torch.sin(x[:, 1]), dim=2)).measure(100).value > 0
    with pytest.raises(InputError, match="torch.autograd"):
        a.with_target(lib.Target(lambda x: x[:, 0] + torch.sin(x[:, 1]).detach(), dim=2))


def test_message_names_point_gradient_and_difference_quotient():
    def line(x):
        return 2 * x[:, 0] + (3 * x[:, 1]).detach()

    with pytest.raises(InputError) as caught:
        _check(line, lib.Cube(2))
    message = str(caught.value)
    assert "\n" not in message and len(message) < 1000
    assert "it returns the gradient [2, 0]" in message and "at x = [" in message
    along = [float(v) for v in message.split("along [")[1].split("]")[0].split(",")]
    slope = float(message.split("that is the slope ")[1].split()[0])
    seen = float(message.split("difference quotient ")[1].split()[0])
    assert slope == pytest.approx(2 * along[0], rel=1e-4)
    assert seen == pytest.approx(2 * along[0] + 3 * along[1], rel=1e-4)


def test_constants_and_the_normal_part_of_a_gradient_are_nobody_s_business():
    _check(lambda x: torch.full((len(x),), 0.7, dtype=torch.float64), lib.Cube(2))
    _check(lambda x: torch.zeros(len(x)), lib.Cube(2))
    sphere = DOMAINS["sphere"]
    # 1/4 on the sphere
    _check(lambda x: torch.sin(3 * x[:, 0]) + ((x - 0.5) ** 2).sum(1).detach(), sphere)
    _check(
        lambda x: torch.sin(((x - 0.5) / (x - 0.5).norm(dim=1, keepdim=True).detach())[:, 0]),
        sphere,
    )


def test_a_function_that_is_only_defined_near_its_manifold():
    def angle(x):
        y = x - 0.5
        radius = y.norm(dim=1)
        assert (radius - 0.4).abs().max() < 1e-6
        return torch.sin(3 * torch.atan2(y[:, 1], y[:, 0])) + torch.sqrt(radius - 0.399)

    _check(angle, lib.manifolds.circle(0.4))


def test_gradients_of_batches():
    goal, x = lib.Target(lambda x: torch.sin(x[:, 0]), dim=1), torch.rand(5, 1, dtype=torch.float64)
    for mode in (torch.no_grad, torch.inference_mode):
        with mode():
            value, gradient = goal.value_and_gradient(x)
        assert torch.equal(gradient, torch.cos(x)) and not value.requires_grad
    weight = torch.nn.Parameter(torch.ones((), dtype=torch.float64))
    for lie in (lambda x: weight * torch.sin(x[:, 0]).detach(), _without_gradient(goal.function)):
        with pytest.raises(InputError, match="sees nothing of values from"):
            lib.Target(lie, dim=1).value_and_gradient(x)
    for constant in (lambda x: weight.expand(len(x)), lambda x: torch.ones(len(x))):
        value, gradient = lib.Target(constant, dim=1).value_and_gradient(x)
        assert (value == 1).all() and (gradient == 0).all()
    with pytest.raises(InputError, match="real floating-point"):
        lib.Target(lambda x: torch.ones(len(x), dtype=int), dim=1)(x)


# ---- stated bounds of derivatives


def _wave(dim, frequency, scale):
    """``scale prod sin(w x_k)`` and its sharp bounds; a quarter of a wave fits."""

    def function(x):
        return scale * torch.sin(frequency * x).prod(1)

    assert frequency >= pi
    return function, lambda index: scale * float(frequency) ** sum(index)


def _finest(function, bounds, dim, order, cells):
    CubeProblem(lib.Target(function, bounds), lib.Cube(dim), order)._test_bounds(
        QuasiInterpolant(order, cells).nodes
    )


SIZES = (
    [(1, m, N) for m in (2, 3, 4, 5) for N in (m, 8, 64, 256)]
    + [(2, m, N) for m in (2, 4, 5) for N in (m, 24, 256)]
    + [(3, m, N) for m in (2, 3, 4) for N in (m, 24)]
)


@pytest.mark.parametrize("dim, m, cells", SIZES)
def test_bounds_too_small_are_refused_and_sharp_ones_are_not(dim, m, cells):
    needed = [(0,) * dim, *needed_derivatives(dim, m)]
    for frequency, scale in ((pi, 1e-30), (3 * pi, 1.0), (5.0, 1e30)):
        function, sharp = _wave(dim, frequency, scale)
        bounds = {index: sharp(index) for index in needed}
        _finest(function, bounds, dim, m, cells)
        if scale == 1.0:
            _finest(lambda x, f=function: f(x.float()), bounds, dim, m, cells)
        for index in needed:
            with pytest.raises(InputError, match="derivative_bounds"):
                _finest(function, {**bounds, index: bounds[index] / 1.2}, dim, m, cells)


@pytest.mark.parametrize("dim, m, cells", SIZES)
def test_polynomials_with_bounds_zero(dim, m, cells):
    random = np.random.default_rng(m)
    weights = 10 ** random.uniform(-3, 4, m)
    axes = random.integers(dim, size=m)
    zero = {index: 0.0 for index in needed_derivatives(dim, m)}

    def low(x):  # of degree below m in all
        return sum(w * (x[:, a] - 0.3) ** k for k, (w, a) in enumerate(zip(weights, axes)))

    def power(x):
        return x[:, 0] ** m

    for function in (
        low,
        lambda x: low(x.float()),
        lambda x: 1e30 * low(x),
        lambda x: 1e-30 * low(x),
        lambda x: torch.full_like(x[:, 0], 0.1),
        lambda x: torch.zeros_like(x[:, 0]),
    ):
        _finest(function, zero, dim, m, cells)
    first = (m, *[0] * (dim - 1))
    _finest(power, {**zero, first: float(factorial(m)), (0,) * dim: 1.0}, dim, m, cells)
    for lie in (
        {first: factorial(m) / 1.01},
        {first: 0.0},
        {first: factorial(m), (0,) * dim: 0.99},
    ):
        with pytest.raises(InputError, match="derivative_bounds"):
            _finest(power, {**zero, **lie}, dim, m, cells)


def test_message_names_bound_and_place():
    # largest 308 at .67 and .73
    goal = lib.Target(lambda x: torch.tanh(20 * (x[:, 0] - 0.7)), {(2,): 100.0})
    with pytest.raises(InputError) as caught:
        lib.approximate(goal, lib.Cube(1), order=2, cells=4)
    message = str(caught.value)
    assert "derivative_bounds = {(2,): 100.0}: must be at least 307" in message
    assert abs(abs(float(message.split("near x = [")[1].split("]")[0]) - 0.7) - 0.033) < 0.002


def test_a_wave_with_a_claimed_bound_of_ten():
    goal = lib.Target(lambda x: torch.sin(20 * x[:, 0]), {(4,): 10.0})
    for sizes in ({"cells": 8}, {"cells": 4}, {"tolerance": 1e-3}):
        with pytest.raises(InputError, match="derivative_bounds"):
            lib.approximate(goal, lib.Cube(1), order=4, **sizes)


def test_what_only_the_nodes_resolve():
    """A narrow ridge: the first grid of 129 x 129 points sees less of it than the nodes of 256
    cells do.
    """
    width = 0.008
    middle = 129 / 256

    def ridge(x):
        return torch.exp(-(((x[:, 0] - middle) / width) ** 2))

    # largest at the ridge
    bounds = {k: 0.0 for k in needed_derivatives(2, 2)} | {(2, 0): 2 / width**2}
    assert len(CubeProblem(lib.Target(ridge, bounds), lib.Cube(2), 2).charts(256)) == 1
    bounds[2, 0] /= 1.2
    problem = CubeProblem(lib.Target(ridge, bounds), lib.Cube(2), 2)
    with pytest.raises(InputError, match=r"\(2, 0\)"):
        problem.charts(256)


def test_bounds_are_tested_on_few_meshes_only():
    calls = []

    def wave(x):
        calls.append(len(x))
        return torch.sin(3 * x[:, 0])

    problem = CubeProblem(lib.Target(wave, {(2,): 9.0}), lib.Cube(1), 2)
    first = sum(calls)
    for cells in range(20, 60):
        problem.charts(cells)
    assert sum(calls) - first == sum(cells + 1 for cells in range(20, 60))  # the nodes, once
    assert first < 60_000
