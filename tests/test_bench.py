"""The performance table: how it is measured, and the ratios that the book promises."""

import json
import math
import time
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from lib.__main__ import main
from lib.experiments import BENCHMARKS, _timing, benchmark, machine
from lib.experiments import _bench_evaluation as evaluation
from lib.experiments import _bench_training as training
from lib.targets import Target


@pytest.fixture
def small(monkeypatch):
    """Few points and short clocks."""
    monkeypatch.setattr(evaluation, "POINTS", 3000)
    monkeypatch.setattr(_timing, "_LEAST", 0.002)


def test_paired_takes_the_ratio_of_neighbours():
    ours, other, ratio = _timing.paired(lambda: time.sleep(0.01), lambda: time.sleep(0.03), 3)
    assert 2 < ratio < 4 and 0.01 <= ours < other


def test_paired_warms_up_and_alternates():
    calls = []
    _timing.paired(
        lambda: calls.append("a") or time.sleep(0.03),
        lambda: calls.append("b") or time.sleep(0.03),
        3,
    )
    assert calls == ["a", "b"] * 4


def test_exponent_of_known_costs():
    found, times = _timing.exponent(
        (1, 2, 4), [lambda s=s: time.sleep(0.02 * s**2) for s in (1, 2, 4)], 9
    )
    assert abs(found - 2) < 0.2 and times[0] >= 0.02


def test_peak_memory_sees_an_array():
    code = "import json, numpy\nx = numpy.ones({})\nprint(json.dumps(len(x)))"
    (low, few), (high, many) = (_timing.peak_memory(code.format(n)) for n in (10, 3 * 10**7))
    assert (few, many) == (10, 3 * 10**7) and 0.9 < (high - low) / (8 * 3e7) < 1.2


@pytest.mark.parametrize(
    "label", ["dense", "scipy", "interpn", "kernel", "threads", "construction"]
)
def test_rows(label, small):
    found = benchmark([label])
    assert found["rows"] and len({r["case"] for r in found["rows"]}) == len(found["rows"])
    for r in found["rows"]:
        assert r["id"] == label and 0 < r["ratio"] < math.inf and r["ours"] > 0 and r["other"] > 0
    assert found["meaning"][label].endswith(".") and json.loads(json.dumps(found)) == found


def test_every_row_says_what_it_compares():
    assert all(function.__doc__ for function in BENCHMARKS.values())
    assert machine()["threads"] == torch.get_num_threads()


def _nanoseconds(evaluator, x):
    return _timing.paired(lambda: evaluator.value_and_gradient(x), lambda: None, 7)[0] / len(x)


def test_the_sparse_evaluator_is_fifty_times_faster_and_more_so_for_larger_meshes():
    x = evaluation._points(20_000, 2)
    ratios = [
        _nanoseconds(evaluation._module(2, N), x[:64]) / _nanoseconds(evaluation._sparse(2, N), x)
        for N in (4, 48)  # on a quiet machine 1000 and 19000
    ]
    assert ratios[1] > 50 and ratios[1] > 3 * ratios[0]


def test_the_cost_of_a_point_does_not_grow_with_the_mesh():
    x = evaluation._points(20_000, 2)
    sizes = (8, 64, 512)
    found, _ = _timing.exponent(
        sizes, [partial(evaluation._sparse(2, N).value_and_gradient, x) for N in sizes], 15
    )
    assert found < 0.15  # 0.02 on a quiet machine


def test_training_and_the_network_that_matches_it():
    target = Target.from_sympy("sin(3*x1)*x2")
    rough, better = (
        training.errors(target, training.train(target, nn.Tanh, t), 5000) for t in (0.05, 3)
    )
    assert (better < rough).all() and (better > 0).all()
    a, measured, seconds = training.smallest(target, better, points=5000)
    assert measured.value <= better[0] and measured.slope <= better[1] and 0 < seconds < 60
    assert a.cells == 4 or any(_errors(target, a.cells - 1) > better)


def _errors(target, cells):
    from lib import Cube, approximate

    m = approximate(target, Cube(2), order=4, cells=cells).measure(5000, 1, module_points=0)
    return np.array([m.value, m.slope])


def test_errors_are_those_of_the_library():
    from lib import Cube, approximate

    target = Target.from_sympy("exp(x1)*x2")
    a = approximate(target, Cube(2), order=3, cells=4)
    m = a.measure(2000, 1, module_points=0)
    assert np.allclose(training.errors(target, a.network, 2000), [m.value, m.slope], rtol=1e-9)


def test_command_line(small, tmp_path, capsys):
    assert main(["bench", "kernel", "--json", str(tmp_path / "b.json")]) == 0
    found = json.loads((tmp_path / "b.json").read_text())
    assert [r["id"] for r in found["rows"]] == [
        "kernel"
    ] * 3 and "kernel: D=3" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["nothing"], "row = 'nothing'"),
        (["kernel", "--training", "0"], "--training = 0"),
        (["kernel", "--json", "/nowhere/at/all.json"], "--json"),
    ],
)
def test_bad_calls(arguments, words, capsys):
    assert main(["bench", *arguments]) == 2
    assert words in capsys.readouterr().err
