"""The command line: exit codes, one-line errors, JSON, nothing half-written."""

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

import lib
from helpers import listing
from lib.__main__ import main
from lib.claims import REGISTRY

SMALL = [
    "approximate",
    "sin(2*pi*x1)",
    "--order",
    "3",
    "--cells",
    "8",
    "--points",
    "256",
    "--quiet",
]


def _subprocess(*arguments, folder):
    return subprocess.run(
        [sys.executable, "-m", "lib", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.fixture
def failing(monkeypatch):
    """The registry with one more claim, which fails."""
    claim = replace(
        REGISTRY["lem-sawtooth"], id="lem-wrong", grid=({"k": 1},), full=(), check=_wrong
    )
    monkeypatch.setitem(REGISTRY, "lem-wrong", claim)
    return "lem-wrong"


def _wrong(build, k):
    """Two is at most one."""
    return 1, 2


_wrong.__module__ = "lib.claims._chapter03"  # a check lives in the module of its chapter


# ---- list and verify


def test_list_shows_every_claim(capsys):
    assert main(["list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(REGISTRY)
    for line, claim in zip(lines, REGISTRY.values()):
        assert line.split()[0] == claim.id and claim.evidence.kind in line and claim.source in line


def test_verify_writes_the_promised_json(tmp_path, capsys):
    file = tmp_path / "report.json"
    assert main(["verify", "lem-bspline", "lem-interpolation", "--json", str(file), "--quiet"]) == 0
    output = capsys.readouterr()
    assert output.out.count("passed") == 2 and output.err == ""
    report = json.loads(file.read_text())
    assert set(report) == {"versions", "code", "claims"}
    assert {"python", "numpy", "scipy", "sympy", "torch"} <= set(report["versions"])
    assert [row["id"] for row in report["claims"]] == ["lem-bspline", "lem-interpolation"]
    keys = {
        "id": str,
        "chapter": int,
        "uses": list,
        "evidence": str,
        "points": list,
        "passed": bool,
        "seconds": float,
        "source": str,
    }
    for row in report["claims"]:
        for key, kind in keys.items():
            assert isinstance(row[key], kind), key
        assert "worst_ratio" in row and len(row["points"]) == len(REGISTRY[row["id"]].grid)
        for point in row["points"]:
            assert set(point) == {"params", "norm", "bound", "measured", "passed"}
            assert point["passed"] is (point["measured"] <= point["bound"])
    assert sorted(listing(tmp_path)) == ["report.json"]


def test_verify_shows_both_norms(tmp_path, capsys):
    file = tmp_path / "report.json"
    assert main(["verify", "lem-stability", "--json", str(file), "--quiet"]) == 0
    shown = [line for line in capsys.readouterr().out.splitlines() if "lem-stability" in line]
    rows = json.loads(file.read_text())["claims"][0]["points"]
    assert len(rows) == 2 * len(REGISTRY["lem-stability"].grid)
    for norm, line in zip(("value", "slope"), shown, strict=True):
        ratios = [r["measured"] / r["bound"] for r in rows if r["norm"] == norm]
        assert line.split()[2] == norm and line.split()[5] == f"{max(ratios):.3f}"


def test_verify_replaces_an_old_report(tmp_path, capsys):
    file = tmp_path / "report.json"
    file.write_text("old")
    assert main(["verify", "lem-bspline", "--json", str(file), "--quiet"]) == 0
    assert json.loads(file.read_text())["claims"][0]["id"] == "lem-bspline"
    assert sorted(listing(tmp_path)) == ["report.json"]


def test_a_claim_that_fails_gives_exit_code_1(failing, tmp_path, capsys):
    file = tmp_path / "report.json"
    assert main(["verify", failing, "lem-bspline", "--json", str(file), "--quiet"]) == 1
    out = capsys.readouterr().out
    assert out.count("FAILED") == 1 and "lem-wrong" in out
    assert [row["passed"] for row in json.loads(file.read_text())["claims"]] == [True, False]


def test_verify_full_checks_more_points(monkeypatch, capsys):
    claim = REGISTRY["lem-sawtooth"]
    monkeypatch.setitem(REGISTRY, claim.id, replace(claim, full=({"k": 4},)))
    for options, count in (([], len(claim.grid)), (["--full"], len(claim.grid) + 1)):
        assert main(["verify", claim.id, "--quiet", *options]) == 0
        assert f"({count} points" in capsys.readouterr().out


# ---- approximate


def test_approximate_saves_and_reports(tmp_path, capsys):
    out, file = tmp_path / "net", tmp_path / "report.json"
    assert main([*SMALL, "--out", str(out), "--json", str(file)]) == 0
    text = capsys.readouterr().out
    assert "bound" in text and "within" in text
    report = json.loads(file.read_text())
    a = lib.load(out)
    assert report["passed"] is True and report["formula"] == a.target.formula == "sin(2*pi*x1)"
    assert (report["dim"], report["order"], report["cells"], report["refinement"]) == (
        1,
        3,
        8,
        a.refinement,
    )
    assert report["bound"] == {"value": a.bound.value, "slope": a.bound.slope}
    assert report["measured"]["value"] == a.measure(256).value <= a.bound.value
    assert report["architecture"] == vars(a.architecture.measured)
    assert report["module_built"] is True
    assert sorted(p.name for p in tmp_path.iterdir()) == ["net", "report.json"]


@pytest.mark.parametrize(
    "options", (["--tolerance", "0.1"], ["--blocks", "3", "--terms-per-block", "8"], [])
)
def test_approximate_takes_every_way_to_choose_a_size(options, capsys):
    assert (
        main(
            ["approximate", "sin(2*pi*x1)", "--order", "4", "--points", "256", "--quiet", *options]
        )
        == 0
    )
    assert "within" in capsys.readouterr().out


def test_approximate_over_a_saved_network(tmp_path, capsys):
    for cells in ("8", "9"):
        assert main([*SMALL, "--cells", cells, "--out", str(tmp_path / "net")]) == 0
    assert lib.load(tmp_path / "net").cells == 9


def test_a_bound_that_fails_gives_exit_code_1(monkeypatch, capsys):
    from lib.approximation import Approximation

    measure = Approximation.measure
    monkeypatch.setattr(
        Approximation,
        "measure",
        lambda self, *a: replace(measure(self, *a), value=2 * self.bound.value),
    )
    assert main(SMALL) == 1


def test_what_fails_is_named(monkeypatch, capsys):
    from lib.approximation import Approximation

    measure = Approximation.measure
    monkeypatch.setattr(
        Approximation,
        "measure",
        lambda self, *a: replace(measure(self, *a), value=2 * self.bound.value),
    )
    assert main([*SMALL, "--certify"]) == 1
    text = capsys.readouterr().out
    assert (
        "FAILED: sampled value at most the bound" in text
        and "FAILED: sampled at most certified" in text
    )


@pytest.mark.parametrize("formula", ["5", "x1**2+x1", "0.1*x1+0.2", "x1**2.5", "x1/3-x1**3/7"])
def test_certified_is_at_most_the_bound(formula, tmp_path, capsys):
    assert (
        main(["approximate", formula, "--certify", "--quiet", "--json", str(tmp_path / "r.json")])
        == 0
    )
    report = json.loads((tmp_path / "r.json").read_text())
    for norm in ("value", "slope"):
        low, high = report["certified"][norm]
        assert (
            0 <= low <= report["measured"][norm] * 1.01
            and report["measured"][norm] <= high <= report["bound"][norm]
        )


CIRCLE = "(x1-1/2)**2 + (x2-1/2)**2 - 1/9"
PLACES = {
    "circle": (["x1*x2", "--on", "circle"], 2, 1, 0.4),
    "a name in capitals": (["x1*x2", "--on", " Circle "], 2, 1, 0.4),
    "sphere": (["x1*x2+x3", "--on", "sphere", "--order", "2", "--cells", "12"], 3, 2, 0.5),
    "level set": (["x1*x2", "--on", CIRCLE], 2, 1, 1 / 3),
    "curve in three dimensions": (["x1*x2+x3", "--on", CIRCLE + "; x3 - 1/2"], 3, 1, 1 / 3),
}
SMALL_CURVE = ["--order", "3", "--cells", "16", "--points", "256", "--quiet"]


@pytest.mark.parametrize("place", PLACES)
def test_approximate_on_manifolds(place, tmp_path, capsys):
    arguments, dim, d, radius = PLACES[place]
    out, file = tmp_path / "net", tmp_path / "report.json"
    end = ["--out", str(out), "--json", str(file)]
    assert main(["approximate", arguments[0], *SMALL_CURVE, *arguments[1:], *end]) == 0
    text, report = capsys.readouterr().out, json.loads(file.read_text())
    assert f"d={d}, D={dim}" in text and "charts" in text and "within" in text
    a = lib.load(out)
    assert report["dim"] == a.dim == dim and a.charts[0].dim == d and report["passed"] is True
    assert report["cells"] == a.cells and report["formula"] == a.target.formula
    assert report["certified"] is None
    for norm in ("value", "slope"):
        assert 0 < report["measured"][norm] <= report["bound"][norm] == getattr(a.bound, norm)
    # on circles and spheres of a known radius, by numpy alone
    v = np.random.default_rng(0).standard_normal((50, d + 1))
    v *= radius / np.linalg.norm(v, axis=1, keepdims=True)
    x = 0.5 + np.pad(v, [(0, 0), (0, dim - d - 1)])
    exact = x[:, 0] * x[:, 1] + (x[:, 2] if dim == 3 else 0)
    off = np.abs(a.sparse(torch.from_numpy(x)).numpy() - exact).max()
    assert off <= report["bound"]["value"] < 0.1


def test_what_a_bound_on_a_manifold_rests_on_is_said_once(monkeypatch, capsys):
    """Rigorous, or conditional on a reach that is called assumed wherever it is named, or without a
    proof of the rounding; and only one of these.
    """

    def said(place):
        small = ["--order", "2", "--cells", "8", "--points", "256", "--quiet"]
        assert main(["approximate", "sin(x1*x2)", "--on", place, *small]) == 0
        text = capsys.readouterr().out
        verdict = next(line for line in text.splitlines() if "(sampled); the bound " in line)
        return text, verdict.partition("the bound ")[2]

    text, verdict = said("circle")
    assert verdict == "is rigorous" and "reach 0.4, proved: " in text and "assume" not in text
    text, verdict = said(CIRCLE)
    reach = lib.manifolds.LevelSet(CIRCLE, 2).reach
    assert verdict == f"assumes that the reach is at least {reach:.4g}"
    assert f"reach {reach:.4g}, assumed: " in text
    assert not any(word in text for word in ("proved", "rigorous", "proof"))
    monkeypatch.setattr("lib.manifolds._problem.MAXIMUM_EVALUATIONS", 10)
    text, verdict = said("circle")
    assert verdict == "allows for rounding without proof"
    assert "rigorous" not in text and "assume" not in text


def test_certified_on_a_circle(tmp_path, capsys):
    file = tmp_path / "report.json"
    arguments = ["approximate", "x1*x2", "--on", "circle", *SMALL_CURVE, "--certify"]
    assert main([*arguments, "--json", str(file)]) == 0
    assert capsys.readouterr().out.count("over the whole domain") == 2
    report = json.loads(file.read_text())
    for norm in ("value", "slope"):
        low, high = report["certified"][norm]
        assert 0 < low <= high <= report["bound"][norm] and report["measured"][norm] <= high


def test_a_formula_may_begin_with_a_minus_sign(capsys):
    assert (
        main(["approximate", "-x1**2", "--order", "3", "--cells", "4", "--points", "64", "--quiet"])
        == 0
    )
    assert "target      -x1**2 on" in capsys.readouterr().out


def test_version(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["--version"])
    assert stop.value.code == 0 and lib.__version__ in capsys.readouterr().out


# ---- bad calls

BAD = {
    "unknown-claim": (["verify", "lem-nothing"], "claim = 'lem-nothing'"),
    "hostile-formula": (["approximate", "__import__('os')"], "formula"),
    "bad-formula": (["approximate", "sin(x1"], "formula"),
    "unknown-name": (["approximate", "y+x1"], "formula"),
    "megabyte": (["approximate", "(" * 10**6], "formula"),
    "order-1": ([*SMALL, "--order", "1"], "order = 1"),
    "order-9": ([*SMALL, "--order", "9"], "order = 9"),
    "too-few-cells": ([*SMALL, "--cells", "2"], "cells = 2"),
    "negative-cells": ([*SMALL, "--cells", "-5"], "cells = -5"),
    "no-cells": ([*SMALL, "--cells", "0"], "cells = 0"),
    "no-cells-by-default": (["approximate", "x1**5", "--cells", "0"], "cells = 0"),
    "no-tolerance": (["approximate", "x1**5", "--tolerance", "0"], "tolerance = 0.0"),
    "no-terms": (["approximate", "x1**5", "--terms-per-block", "0"], "terms_per_block = 0"),
    "order-0": ([*SMALL, "--order", "0"], "order = 0"),
    "negative-seed": ([*SMALL, "--seed", "-1"], "seed = -1"),
    "negative-seed-of-mutants": (["mutate", "--seed", "-1"], "seed = -1"),
    "no-mutants": (["mutate", "--count", "0"], "count = 0"),
    "no-steps": (["train", ".", "--steps", "0"], "steps = 0"),
    "no-epochs": (["robustness", ".", "--epochs", "0"], "--epochs"),
    "too-many-cells": ([*SMALL, "--cells", "10000000"], "cells = 10000000"),
    "kernel-1-in-two-dimensions": (
        ["approximate", "x1*x2", "--kernel-size", "1", "--cells", "8"],
        "kernel_size = 1",
    ),
    "kernel-0": ([*SMALL, "--kernel-size", "0"], "kernel_size = 0"),
    "no-blocks": ([*SMALL, "--blocks", "0"], "blocks = 0"),
    "too-many-blocks": ([*SMALL, "--blocks", "99999"], "blocks = 99999"),
    "budget-too-small": ([*SMALL, "--terms-per-block", "9"], "blocks * terms_per_block = 9"),
    "budget-below-the-mesh": (
        ["approximate", "x1*x2", "--cells", "4", "--budget", "48"],
        "budget = 48",
    ),
    "no-budget": (["approximate", "x1*x2", "--budget", "0"], "budget = 0"),
    "budget-below-the-coarsest-atlas": (
        ["approximate", "x1*x2", "--on", "circle", "--budget", "5"],
        "budget = 5",
    ),
    "not-finite": (["approximate", "1/(x1-0.5)"], "formula"),
    "not-smooth": (["approximate", "abs(x1-0.5)"], "target"),
    "dim-0": (["approximate", "x1", "--dim", "0"], "dim = 0"),
    "dim-too-small": (["approximate", "x1*x2", "--dim", "1"], "x2"),
    "negative-tolerance": (["approximate", "x1**5", "--tolerance", "-1"], "tolerance = -1"),
    "tolerance-out-of-reach": (
        ["approximate", "sin(99*x1)*x2", "--order", "2", "--tolerance", "1e-9"],
        "tolerance = 1e-09",
    ),
    "tolerance-and-cells": ([*SMALL, "--tolerance", "0.1"], "tolerance = 0.1"),
    "no-points": ([*SMALL, "--points", "0"], "points = 0"),
    "out-folder-missing": ([*SMALL, "--out", "missing/net"], "--out"),
    "out-not-ours": ([*SMALL, "--out", "foreign"], "foreign"),
    "out-is-a-file": ([*SMALL, "--out", "notes.txt"], "notes.txt"),
    "json-is-a-folder": ([*SMALL, "--json", "foreign"], "--json"),
    "verify-json-is-a-folder": (["verify", "lem-bspline", "--json", "foreign"], "--json"),
    "json-folder-missing-before-the-work": (
        ["approximate", "sin(9*x1)*x2", "--cells", "900", "--json", "no/r.json"],
        "--json",
    ),
    "caret": (["approximate", "x1^2"], "written **, not ^"),
    "secant": (["approximate", "sec(x1)"], "the function sec is not one of sin, cos"),
    "piecewise": (
        ["approximate", "Piecewise((x1, x1 > 0))"],
        "the function Piecewise is not one of",
    ),
    "power-of-a-variable": (["approximate", "x1**x2"], "write exp(x2*log(x1))"),
    "no-star": (["approximate", "2x1"], "2*x1, not 2x1"),
    "text": (["approximate", "'x1'"], "is not a number"),
    "unknown-manifold": (
        ["approximate", "x1", "--on", "klein"],
        f"manifold = 'klein': must be one of {', '.join(lib.manifolds.NAMES)}, or a formula",
    ),
    "no-manifold": (["approximate", "x1", "--on", ""], "manifold = ''"),
    "too-many-coordinates": (["approximate", "x4", "--on", "sphere"], "the name 'x4'"),
    "another-dimension": (["approximate", "x1", "--on", "sphere", "--dim", "4"], "dim = 4"),
    "no-curve": (["approximate", "x1", "--on", "x1*x2"], "formulas = ['x1*x2']"),
    "hostile-manifold": (["approximate", "x1", "--on", "__import__('os').x1+x2"], "formula"),
    "order-9-on-a-circle": (["approximate", "x1", "--on", "circle", "--order", "9"], "order = 9"),
    "too-few-cells-on-a-circle": (
        ["approximate", "x1*x2", "--on", "circle", "--cells", "3"],
        "cells = 3",
    ),
    "comparison": (["approximate", "x1 > 0"], "no sum, product"),
    "json-folder-missing": (
        ["verify", "lem-bspline", "--quiet", "--json", "missing/report.json"],
        "--json",
    ),
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working folder with things that are not ours."""
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "diary.txt").write_text("dear diary")
    (tmp_path / "notes.txt").write_text("a note")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", BAD)
def test_bad_call_gives_one_line_and_exit_code_2(name, folder, capsys):
    arguments, message = BAD[name]
    before = listing(folder)
    quiet = [] if "--quiet" in arguments or arguments[0] == "list" else ["--quiet"]
    assert main([*arguments, *quiet]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1 and error.endswith("\n")
    assert message in error
    assert len(error) < 2000
    assert listing(folder) == before


@pytest.mark.parametrize(
    "arguments",
    (
        [],
        ["prove"],
        ["approximate"],
        ["approximate", "x1", "--cells", "many"],
        ["verify", "--nonsense"],
        ["approximate", "x1", "--tolerance", "small"],
        ["approximate", "x1", "--out", ""],
        ["verify", "--json", ""],
    ),
)
def test_malformed_call_gives_one_line_and_exit_code_2(arguments, capsys):
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1


@pytest.mark.parametrize("command", ("list", "verify", "approximate"))
def test_help(command, capsys):
    with pytest.raises(SystemExit) as stop:
        main([command, "--help"])
    assert stop.value.code == 0 and command in capsys.readouterr().out


# ---- as a process


def test_process_exit_codes(folder):
    before = listing(folder)
    listed = _subprocess("list", folder=folder)
    assert listed.returncode == 0 and "thm-cube" in listed.stdout and listed.stderr == ""
    bad = _subprocess("verify", "lem-nothing", folder=folder)
    assert bad.returncode == 2 and bad.stdout == "" and bad.stderr.count("\n") == 1
    assert "Traceback" not in bad.stderr
    assert listing(folder) == before


def test_process_builds_a_network(folder):
    done = _subprocess(*SMALL, "--out", "net", folder=folder)
    assert done.returncode == 0 and done.stderr == ""
    assert isinstance(
        lib.load(folder / "net")(torch.zeros(1, 1, dtype=torch.float64)), torch.Tensor
    )
