"""Bad input in Python: an `InputError` that names the argument, its value and what is allowed."""

import re
from functools import partial

import numpy as np
import pytest
import torch

import lib
from helpers import built, listing, random_points, target
from lib import InputError, convresnet, relu, splines
from lib.claims import select
from lib.errors import require
from lib.formulas import parse

WAVE, WAVE2 = "sin(2*pi*x1)", "sin(2*pi*x1)*x2"
NAN, INF = float("nan"), float("inf")


def _refused(call, argument, value, allowed):
    """``call()`` raises an error with the name of the argument, its value and what is allowed."""
    with pytest.raises(InputError) as caught:
        call()
    message = str(caught.value)
    assert "\n" not in message and len(message) < 1200
    for part in (argument, value, allowed):
        assert part in message, message


def _points(*rows):
    return torch.tensor(rows, dtype=torch.float64)


def _approximate(formula=WAVE, dim=None, **sizes):
    goal = target(formula)
    return lib.approximate(goal, lib.Cube(dim or goal.dim), **sizes)


# ---- the message


def test_message_has_the_form_that_the_class_promises():
    with pytest.raises(InputError, match=re.escape("cells = 3: must be at least 4")):
        require(False, "cells", 3, "at least 4")
    require(True, "cells", 3, "at least 4")
    with pytest.raises(InputError) as caught:
        require(False, "formula", "x" * 10**6, "short")
    assert len(str(caught.value)) < 200
    assert issubclass(InputError, ValueError)


# ---- points


@pytest.mark.parametrize(
    "x, shown", [([[1.5]], "1.5"), ([[-1e-9]], "-1e-09"), ([[NAN]], "nan"), ([[INF]], "inf")]
)
def test_points_outside_the_cube(x, shown):
    _refused(
        lambda: built(WAVE, order=2, cells=4)(_points(*x)), "x", shown, "points of the cube [0,1]^1"
    )


@pytest.mark.parametrize("x", (np.array([[0.5]]), [[0.5]], 0.5, None))
def test_points_that_are_no_tensor(x):
    _refused(
        lambda: built(WAVE, order=2, cells=4)(x), "x", "0.5" if x is not None else "None", "tensor"
    )


@pytest.mark.parametrize("dtype", (torch.float32, torch.float16, torch.int64))
def test_points_of_another_dtype(dtype):
    a = built(WAVE, order=2, cells=4)
    x = torch.zeros(3, 1, dtype=dtype)
    for call in (lambda: a(x), lambda: a.network(x)):
        _refused(call, "x", str(dtype), "float64")


@pytest.mark.parametrize("shape", ((3,), (3, 2), (3, 1, 1), (1, 0)))
def test_points_of_another_dimension(shape):
    a = built(WAVE, order=2, cells=4)
    x = torch.zeros(shape, dtype=torch.float64)
    for call in (lambda: a(x), lambda: a.network(x), lambda: a.network(x, all_rows=True)):
        _refused(call, "x.shape", str(shape), "(P, 1)")


@pytest.mark.parametrize(
    "x, shown, allowed",
    [
        ([[0.5, 1.1]], "1.1", "points of the cube [0,1]^2"),
        ([[0.5, NAN]], "nan", "points of the cube [0,1]^2"),
        ([[-0.1, 0.0]], "-0.1", "points of the cube [0,1]^2"),
        ([[0.5]], "(1, 1)", "(P, 2)"),
        ([0.5, 0.5], "(2,)", "(P, 2)"),
    ],
)
def test_evaluate_outside_its_domain(x, shown, allowed):
    _refused(lambda: splines.evaluate(np.zeros((6, 6)), 3, np.array(x)), "x", shown, allowed)


# ---- sizes


@pytest.mark.parametrize("order", (1, 0, -1, 9, 2.5, "4", None, True))
def test_order(order):
    for call in (
        lambda: _approximate(order=order, cells=8),
        lambda: splines.functional(order, 8, 0),
        lambda: splines.QuasiInterpolant(order, 8),
        lambda: splines.operator_norm(order, 8),
        lambda: splines.peano_constant(order, 8, 1, 0),
        lambda: splines.evaluate(np.zeros(9), order, [[0.5]]),
        lambda: relu.fold_terms(order),
        lambda: splines.check_order(order),
    ):
        _refused(call, "order", repr(order), "from 2 to 8")


@pytest.mark.parametrize("m, alpha", [(2, 3), (2, 2.1), (4, 5), (3, 1), (4, 0.5), (5, 0)])
def test_smoothness_above_the_order_or_at_most_one(m, alpha):
    _refused(
        lambda: splines.jackson_bound(m, 10, alpha, {(alpha,): 1.0}),
        "alpha",
        str(alpha),
        f"above 1 and at most the order, {m}",
    )


@pytest.mark.parametrize("m, alpha, s", [(3, 4, 0), (3, 0, 0), (3, 1, 1), (3, 2, 2)])
def test_peano_constant_arguments(m, alpha, s):
    with pytest.raises(InputError, match="alpha = |s = "):
        splines.peano_constant(m, 8, alpha, s)


@pytest.mark.parametrize(
    "bounds, shown",
    [
        ({(2, 0): 1.0, (0, 2): 1.0}, "(1, 1)"),
        ({(2, 0): -1.0, (1, 1): 1.0, (0, 2): 1.0}, "-1.0"),
        ({(2, 0): INF, (1, 1): 1.0, (0, 2): 1.0}, "inf"),
        ({(2, 0): NAN, (1, 1): 1.0, (0, 2): 1.0}, "nan"),
        ({}, "{}"),
    ],
)
def test_derivative_bounds_of_the_jackson_bound(bounds, shown):
    with pytest.raises(InputError, match="derivative_bounds") as caught:
        splines.jackson_bound(2, 8, 2, bounds)
    assert shown in str(caught.value)


@pytest.mark.parametrize("m, cells", [(4, 3), (2, 1), (5, 0), (3, -7)])
def test_too_few_cells(m, cells):
    for call in (
        lambda: splines.QuasiInterpolant(m, cells),
        lambda: splines.functional(m, cells, 0),
        lambda: splines.operator_norm(m, cells),
        lambda: splines.slope_norm(m, cells),
        lambda: splines.peano_constant(m, cells, 2, 0),
        lambda: _approximate(order=m, cells=cells),
    ):
        _refused(call, "cells", str(cells), str(m))


@pytest.mark.parametrize("cells", (8.0, "8", True))
def test_cells_that_are_no_integer(cells):
    _refused(lambda: _approximate(order=2, cells=cells), "cells", repr(cells), "an integer")


@pytest.mark.parametrize("j", (-4, 9, 100))
def test_functional_without_a_term(j):
    _refused(lambda: splines.functional(4, 9, j), "j", str(j), "from -3 to 8")


def test_too_many_terms():
    _refused(lambda: _approximate(order=2, cells=10**7), "cells", "10000000", "8000000 terms")


@pytest.mark.parametrize(
    "D, m, blocks, per_block, least",
    [(1, 4, 1, 6, 7), (1, 4, 2, 3, 7), (2, 3, 4, 6, 25), (2, 3, 1, 24, 25)],
)
def test_budget_that_cannot_hold_the_terms(D, m, blocks, per_block, least):
    """Of a given mesh; and of the coarsest, for a target of whose size nothing is known."""
    function = {1: lambda x: torch.sin(x[:, 0]), 2: lambda x: torch.sin(x[:, 0]) * x[:, 1]}[D]
    bounds = dict.fromkeys(splines.needed_derivatives(D, 2), 1.0)
    sizes = {"blocks": blocks, "terms_per_block": per_block}
    for goal, more in (
        (lib.Target.from_sympy({1: WAVE, 2: WAVE2}[D], D), {"cells": m}),
        (lib.Target(function, bounds), {}),
    ):
        _refused(
            partial(lib.approximate, goal, lib.Cube(D), order=m, **sizes, **more),
            "blocks * terms_per_block",
            str(blocks * per_block),
            f"at least {f'the number of terms, {least}' if more else least}",
        )


@pytest.mark.parametrize("budget", (0, -3, 2.5, True, "9"))
def test_budget_that_is_no_number_of_terms(budget):
    _refused(lambda: _approximate(order=2, budget=budget), "budget", repr(budget), "must be")


def test_budget_given_twice_or_too_small():
    _refused(
        lambda: _approximate(order=2, budget=9, terms_per_block=9), "budget", "9", "left out where"
    )
    _refused(lambda: _approximate(order=2, cells=9, budget=9), "budget", "9", "number of terms, 10")
    _refused(lambda: _approximate(order=2, tolerance=0.01, budget=9), "budget", "9", "terms, ")


def test_budget_below_the_given_mesh():
    _refused(
        lambda: _approximate(order=2, cells=20, blocks=2, terms_per_block=10),
        "terms_per_block",
        "20",
        "at least the number of terms, 21",
    )


@pytest.mark.parametrize(
    "blocks, allowed",
    [(0, "at least 1"), (-1, "at least 1"), (1.5, "an integer"), (10_001, "at most 10000")],
)
def test_blocks(blocks, allowed):
    _refused(lambda: _approximate(order=2, cells=8, blocks=blocks), "blocks", str(blocks), allowed)


@pytest.mark.parametrize("D", (2, 3, 64))
def test_kernel_of_size_one_in_higher_dimensions(D):
    calls = [
        lambda: convresnet.gather(np.eye(D), np.zeros(D), 1),
        lambda: convresnet.gather_depth(D, 1),
        lambda: convresnet.check_kernel_size(1, D),
    ]
    if D == 2:
        calls.append(lambda: _approximate(WAVE2, order=2, cells=4, kernel_size=1))
    for call in calls:
        _refused(call, "kernel_size", "1", "at least 2")


@pytest.mark.parametrize("K", (0, -1, 2.0, "2", True, None))
def test_kernel_size(K):
    _refused(
        lambda: _approximate(order=2, cells=4, kernel_size=K), "kernel_size", repr(K), "an integer"
    )


@pytest.mark.parametrize("n", (3, 0, -1, 41, 8.0))
def test_refinement(n):
    _refused(
        lambda: _approximate(order=2, cells=4, refinement=n),
        "refinement",
        str(n),
        "an integer from 4 to 40",
    )


@pytest.mark.parametrize("tolerance", (0, -1.0, NAN, INF, "small"))
def test_tolerance(tolerance):
    _refused(
        lambda: _approximate(order=2, tolerance=tolerance),
        "tolerance",
        repr(tolerance),
        "a positive number",
    )


def test_tolerance_out_of_reach():
    _refused(lambda: _approximate(WAVE2, order=2, tolerance=1e-9), "tolerance", "1e-09", "larger")


def test_conflicting_or_missing_sizes():
    _refused(lambda: _approximate(order=2, cells=8, tolerance=0.1), "tolerance", "0.1", "left out")
    _refused(
        lambda: _approximate(order=2, refinement=8, tolerance=0.1), "refinement", "8", "left out"
    )
    _refused(lambda: _approximate(order=2), "cells", "None", "given")


@pytest.mark.parametrize("dim", (0, -1, 1.0, "2", True))
def test_dimension_of_the_cube(dim):
    _refused(lambda: lib.Cube(dim), "dim", repr(dim), "an integer, at least 1")


def test_domain_of_another_dimension():
    _refused(lambda: _approximate(WAVE2, dim=3, order=2, cells=4), "domain", "Cube(3)", "2")
    _refused(lambda: lib.approximate(target(WAVE), 1, cells=8), "domain", "1", "lib.Cube")
    _refused(
        lambda: lib.approximate(torch.sin, lib.Cube(1), cells=8), "target", "sin", "lib.Target"
    )


@pytest.mark.parametrize("s", (-0.1, 1.1, NAN))
def test_smoothness_of_the_norm(s):
    for call in (
        lambda: lib.Norms(1.0, 1.0).at(s),
        lambda: built(WAVE, order=2, cells=4).bound.at(s),
    ):
        _refused(call, "s", str(s), "between 0 and 1")


def test_points_of_a_measurement():
    _refused(lambda: built(WAVE, order=2, cells=4).measure(0), "points", "0", "at least 1")


# ---- targets


@pytest.mark.parametrize(
    "function", (lambda x: 1 / (x[:, 0] * 0), lambda x: x[:, 0] * NAN, lambda x: torch.log(x[:, 0]))
)
def test_target_that_is_not_finite(function):
    goal = lib.Target(function, {(2,): 1.0})
    _refused(
        lambda: lib.approximate(goal, lib.Cube(1), order=2, cells=4),
        "function",
        "not finite",
        "finite on the cube",
    )


@pytest.mark.parametrize(
    "function", (lambda x: x, lambda x: x[:, 0].sum(), lambda x: 1.0, lambda x: x[:-1, 0])
)
def test_target_of_another_shape(function):
    goal = lib.Target(function, {(2,): 1.0})
    with pytest.raises(InputError, match="function = .*: must be a map to a tensor of shape"):
        goal(random_points(5, 1))


def test_samples_that_are_not_finite():
    quasi = splines.QuasiInterpolant(2, 4)
    _refused(
        lambda: quasi.coefficients_from_samples([0, 0, NAN, 0, 0]),
        "samples",
        "not finite",
        "finite",
    )
    _refused(
        lambda: quasi.coefficients_from_samples(np.zeros((5, 4))), "samples", "(5, 4)", "5 entries"
    )


@pytest.mark.parametrize(
    "bounds, shown",
    [
        ({}, "{}"),
        (None, "None"),
        ({2: 1.0}, "2"),
        ({(2,): 1.0, (2, 0): 1.0}, "(2, 0)"),
        ({(2,): -1.0}, "-1.0"),
        ({(2,): NAN}, "nan"),
        ({(2,): INF}, "inf"),
        ({(2,): "1"}, "'1'"),
        ({(): 1.0}, "()"),
        ({(2,): True}, "True"),
        ({(2,): None}, "None"),
        ({(2,): 1j}, "1j"),
        ({(-1,): 1.0}, "-1"),
        ({(1.5, 0.5): 1.0}, "(1.5, 0.5)"),
        ({(-0.5,): 1.0}, "-0.5"),
        ({(NAN,): 1.0}, "nan"),
        ({(INF,): 1.0}, "inf"),
        ({(True,): 1.0}, "True"),
        ({"2": 1.0}, "'2'"),
    ],
)
def test_bounds_of_a_target(bounds, shown):
    _refused(lambda: lib.Target(torch.sin, bounds), "derivative_bounds", shown, "must be")


def test_bounds_and_dimension_of_a_target():
    _refused(
        lambda: lib.Target(torch.sin, {(2, 0): 1.0}, dim=3), "dim", "3", "derivative_bounds, 2"
    )
    _refused(
        lambda: lib.Target(torch.sin, {(2,): 1.0}, dim=True),
        "dim",
        "True",
        "an integer, at least 1",
    )
    assert lib.Target(torch.sin, {(np.int64(2),): np.float32(1)}, dim=1).derivative_bounds(2) == (
        2,
        {(2,): 1.0},
    )


def test_bounds_on_a_manifold():
    goal = lib.Target(lambda x: x[:, 0], {(2, 0): 0.0, (1, 1): 0.0, (0, 2): 0.0})
    _refused(
        lambda: lib.approximate(goal, lib.manifolds.circle(), order=2, cells=40),
        "derivative_bounds",
        "(1, 1)",
        "left out on a manifold",
    )


@pytest.mark.parametrize("dtype", (torch.int64, torch.bool, torch.complex128))
def test_target_with_values_that_are_no_real_numbers(dtype):
    goal = lib.Target(lambda x: torch.ones(len(x), dtype=dtype), dim=1)
    _refused(
        lambda: goal(random_points(5, 1)), "function", str(dtype), "real floating-point numbers"
    )


def test_function_of_a_target():
    _refused(lambda: lib.Target(3, {(2,): 1.0}), "function", "3", "callable")


def test_target_without_the_bounds_that_are_needed():
    goal = lib.Target(lambda x: x.prod(1), {(2, 0): 0.0, (0, 2): 0.0})
    _refused(
        lambda: lib.approximate(goal, lib.Cube(2), order=2, cells=4), "target", "function", "(1, 1)"
    )


@pytest.mark.parametrize("dim", (0, -1, 1.5, 17))
def test_dimension_of_a_formula(dim):
    _refused(lambda: lib.Target.from_sympy("x1", dim), "dim", str(dim), "an integer from 1 to 16")


@pytest.mark.parametrize(
    "formula", ("__import__('os')", "x1.real", "lambda: 0", "9**9**9", "1e400", "(" * 10**6, "y")
)
def test_hostile_formula(formula):
    for call in (lambda: parse(formula, 1), lambda: lib.Target.from_sympy(formula)):
        _refused(call, "formula", formula[:20], "")


def test_unknown_claim():
    _refused(lambda: select(["lem-nothing"]), "claim", "'lem-nothing'", "lem-bspline")


# ---- files


@pytest.mark.parametrize("name", ("nothing", "empty", "file.txt"))
def test_folder_that_is_not_ours(tmp_path, name):
    (tmp_path / "empty").mkdir()
    (tmp_path / "file.txt").write_text("text")
    _refused(
        lambda: lib.load(tmp_path / name), "path", name, "a folder written by Approximation.save"
    )


@pytest.mark.parametrize(
    "name, allowed",
    [
        ("missing/net", "in a folder that exists"),
        ("foreign", "new, or a folder with a saved network"),
        ("file.txt", "new, or a folder with a saved network"),
        ("empty", "new, or a folder with a saved network"),
    ],
)
def test_saving_refuses_foreign_places(tmp_path, name, allowed):
    for folder in ("foreign", "empty"):
        (tmp_path / folder).mkdir()
    (tmp_path / "foreign" / "diary.txt").write_text("dear diary")
    (tmp_path / "file.txt").write_text("text")
    before = listing(tmp_path)
    _refused(lambda: built(WAVE, order=2, cells=4).save(tmp_path / name), "path", name, allowed)
    assert listing(tmp_path) == before


def test_file_cut_short(tmp_path):
    built(WAVE, order=2, cells=4).save(tmp_path / "net")
    file = tmp_path / "net" / "network.safetensors"
    file.write_bytes(file.read_bytes()[:-8])
    _refused(lambda: lib.load(tmp_path / "net"), "path", "net", "cut short")


def test_target_of_another_dimension_after_loading():
    _refused(
        lambda: built(WAVE, order=2, cells=4).with_target(target(WAVE2)),
        "target",
        "Target",
        "dimension 1",
    )
