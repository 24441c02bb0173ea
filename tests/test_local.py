"""The Jackson bound cell by cell (``cor-local``)."""

import numpy as np
import pytest
import sympy
import torch

import lib
from lib import splines
from lib.domains import CubeProblem, LocalBounds
from lib.formulas import parse_on_cube, torch_function, variables

STEEP = "tanh(20*(x1-1/2))"


@pytest.mark.parametrize(
    "formula, dim, boxes", [(STEEP, 1, 256), ("cos(3*x1*x2)", 2, 8), ("exp(x1)*sin(2*x2)*x3", 3, 4)]
)
def test_suprema_over_boxes(formula, dim, boxes):
    """At least what is seen in each box at 60 points of it, and hardly more than the largest."""
    expression = parse_on_cube(formula, dim)
    local = LocalBounds(expression, dim, 4, boxes)
    index = np.stack(np.meshgrid(*[np.arange(boxes)] * dim, indexing="ij"), -1).reshape(-1, 1, dim)
    rng = np.random.default_rng(0)
    x = torch.from_numpy(((index + rng.random((len(index), 60, dim))) / boxes).reshape(-1, dim))
    for alpha, found in local.suprema.items():
        assert set(found) == set(splines.needed_derivatives(dim, alpha))
        for nu, array in found.items():
            derivative = expression
            for v, times in zip(variables(dim), nu):
                derivative = sympy.diff(derivative, v, times) if times else derivative
            seen = torch_function(derivative, dim)(x).abs().numpy().reshape(len(index), 60).max(1)
            assert (seen <= array.ravel() * (1 + 1e-12)).all()
            assert array.max() <= 1.3 * seen.max() + 1e-9


@pytest.mark.parametrize(
    "formula, dim, m, sizes",
    [
        (STEEP, 1, 4, (4, 8, 37, 256, 257, 300)),
        (STEEP, 1, 6, (6, 16, 100)),
        ("abs(x1-0.37)**2.5", 1, 5, (5, 64, 300)),
        ("cos(3*x1*x2)", 2, 3, (3, 8, 17, 32, 33, 45)),
        ("x1**2*x2+exp(x1*x2*x3)", 3, 3, (3, 7, 11)),
    ],
)
def test_local_bounds_lie_between_error_and_global_bound(formula, dim, m, sizes):
    goal = lib.Target.from_sympy(formula, dim)
    problem = CubeProblem(goal, lib.Cube(dim), m)
    x = lib.Cube(dim).sample(20_000, 3).numpy()
    values, gradients = (v.numpy() for v in goal.value_and_gradient(torch.from_numpy(x)))
    for N in sizes:
        found = problem.spline_error(N)
        whole = splines.jackson_bound(m, N, problem.alpha, problem.derivative_bounds)
        assert found <= whole and all(a <= b for a, b in zip(found.partials, whole.partials))
        coefficients = splines.QuasiInterpolant(m, N).coefficients(goal.values, dim)
        error = np.abs(values - splines.evaluate(coefficients, m, x)).max()
        assert error <= found.value * (1 + 1e-9) + 1e-13
        for k in range(dim):
            nu = tuple(int(i == k) for i in range(dim))
            slope = np.abs(gradients[:, k] - splines.evaluate(coefficients, m, x, nu)).max()
            assert slope <= found.partials[k] * (1 + 1e-9) + 1e-12 * N


@pytest.mark.parametrize(
    "formula, m, sizes, value, slope",
    [
        (STEEP, 5, (8, 16, 64), (0.10, 0.56, 1), (0.13, 0.62, 1)),
        (STEEP, 4, (8, 16, 64), (0.27, 0.98, 0.98), (0.35, 0.98, 0.98)),
        ("cos(3*x1*x2)", 3, (8, 16, 32), (1, 0.83, 0.66), (1, 0.96, 0.88)),
    ],
)
def test_the_table_of_chapter_5(formula, m, sizes, value, slope):
    goal = lib.Target.from_sympy(formula)
    problem = CubeProblem(goal, lib.Cube(goal.dim), m)
    for N, v, s in zip(sizes, value, slope):
        found = problem.spline_error(N)
        whole = splines.jackson_bound(m, N, m, problem.derivative_bounds)
        assert found.value / whole.value == pytest.approx(v, abs=0.0051)
        assert found.slope / whole.slope == pytest.approx(s, abs=0.0051)
    if m == 5:
        assert splines.jackson_bound(5, 8, 5, problem.derivative_bounds).value == pytest.approx(
            8.2, abs=0.05
        )
        assert problem.spline_error(8).value == pytest.approx(0.79, abs=0.005)


def test_what_has_no_local_bounds():
    """Four variables, and functions without a formula: the global bound."""
    four = lib.Target.from_sympy("x1*x2+exp(x3*x4)", 4)
    stated = lib.Target(lambda x: torch.sin(x[:, 0]), {(2,): 1.0, (3,): 1.0, (4,): 1.0})
    for goal, m in ((four, 2), (stated, 4)):
        problem = CubeProblem(goal, lib.Cube(goal.dim), m)
        whole = splines.jackson_bound(m, 5, problem.alpha, problem.derivative_bounds)
        assert tuple(problem.spline_error(5)) == tuple(whole)
