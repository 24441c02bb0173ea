"""Every claim at every grid point; every check rejects its tampered construction; the graph is
sound.
"""

import inspect
from dataclasses import replace
from fractions import Fraction

import pytest
import sympy

from lib import InputError
from lib.claims import REGISTRY, select, verify
from lib.claims._chapter02 import STEEPEST
from lib.claims._reasons import REASONS
from lib.claims._registry import rests_on

CLAIMS = select()
POINTS = [(c.id, p) for c in CLAIMS for p in c.grid]
STATEMENTS = {
    1: {"prop-steep", "lem-ladder", "prop-steps", "prop-frozen", "cor-contrast", "prop-flip"},
    2: {
        "lem-bspline",
        "lem-marsden",
        "lem-functionals",
        "lem-stability",
        "lem-peano",
        "thm-jackson",
        "lem-interpolation",
    },
    3: {
        "lem-sawtooth",
        "lem-square",
        "lem-product",
        "lem-power",
        "prop-bspline-net",
        "prop-tensor-net",
        "prop-spline-net",
    },
    4: {
        "def-convresnet",
        "lem-gather",
        "lem-skip",
        "lem-doubling",
        "lem-grouped",
        "lem-rows",
        "prop-realisation",
        "prop-sparse",
        "cor-budget",
    },
    5: {"thm-cube", "cor-cube-rate", "cor-selection"},
    6: {
        "lem-federer",
        "lem-angle",
        "lem-chart",
        "lem-atlas",
        "lem-partition",
        "lem-distance-net",
        "lem-gate",
        "lem-product-gate",
        "prop-chart-local",
    },
    7: {"thm-manifold", "cor-ambient"},
    8: {"lem-bump", "thm-bernstein", "thm-favard", "cor-optimality", "prop-jump", "prop-bits"},
    9: {"thm-radius", "prop-sup-certificate", "lem-zonotope"},
    10: {
        "lem-interval-layer",
        "lem-taylor",
        "lem-deviation",
        "lem-rounding",
        "thm-certificate",
        "cor-certified-curve",
    },
}


def _name(value):
    return value if isinstance(value, str) else ",".join(f"{k}={v}" for k, v in value.items())


@pytest.mark.parametrize("label, params", POINTS, ids=_name)
def test_claim_holds(label, params):
    point = REGISTRY[label].point(params)
    assert point["passed"], point
    assert point["params"] == params and point["bound"] >= point["measured"]


@pytest.mark.parametrize("label", [c.id for c in CLAIMS])
def test_tampered_construction_is_rejected(label):
    """At one grid point at least; the points are tried from the last one on until one rejects."""
    claim = REGISTRY[label]
    assert any(not claim.point(p, tampered=True)["passed"] for p in reversed(claim.grid))


@pytest.mark.parametrize("label", [c.id for c in CLAIMS])
def test_claim_uses_earlier_statements_only(label):
    """So the graph has no cycle."""
    order = list(REGISTRY)
    for used in REGISTRY[label].uses:
        assert used in REGISTRY
        assert (
            order.index(used) < order.index(label)
            and REGISTRY[used].chapter <= REGISTRY[label].chapter
        )


def test_sampled_statements_say_why_and_only_they():
    assert set(REASONS) == {c.id for c in CLAIMS if c.evidence == "sampled"}


ABOUT_EVERY = (
    "lem-ladder",
    "prop-frozen",
    "lem-gather",
    "lem-grouped",
    "thm-cube",
    "lem-gate",
    "lem-bump",
    "thm-certificate",
    "cor-certified-curve",
)


def test_what_is_about_every_function_or_matrix_is_sampled():
    """Those of a grid with names, formulas or random numbers, and those named here; their
    reasons say "about every".
    """
    for c in CLAIMS:
        chosen = {"name", "formula"} & set(c.grid[0]) or "default_rng" in inspect.getsource(c.check)
        assert c.evidence == "sampled" or not chosen and c.id not in ABOUT_EVERY, c.id
    assert all(REASONS[label].startswith("about every") for label in ABOUT_EVERY)


def test_evidence_includes_what_a_statement_rests_on():
    assert (
        rests_on(REGISTRY["lem-bspline"]) == "exact"
        and rests_on(REGISTRY["lem-marsden"]) == "exact"
    )
    assert REGISTRY["lem-peano"].evidence == "certified" == rests_on(REGISTRY["lem-peano"])
    assert (
        REGISTRY["prop-bspline-net"].evidence == "exact"
        and rests_on(REGISTRY["thm-jackson"]) == "sampled"
    )


def test_a_wrong_size_is_no_ratio():
    """`prop-realisation` compares functions; its ratio is that of rounding, and a size that is
    not the promised one fails.
    """
    claim = REGISTRY["prop-realisation"]
    params = {"D": 2, "m": 3, "K": 2, "blocks": 4}
    point = claim.point(params)
    assert point["passed"] and 0 < point["measured"] < 0.1 * point["bound"]
    for change in ({"J": 1}, {"L": 1}, {"kappa1": 1.0}, {"M": 5}):
        point = replace(
            claim, honest=lambda *sizes, change=change: replace(claim.honest(*sizes), **change)
        ).point(params)
        assert not point["passed"], change


def test_the_steepest_slope_of_a_bspline_is_decided():
    """`lem-bspline` fails for the bound by the top of the lower B-spline, three quarters for
    order 4.
    """
    assert float(STEEPEST[5]) == pytest.approx(0.5454237, abs=1e-7)
    for m, other in ((3, 2), (4, Fraction(3, 4)), (5, Fraction(6, 11))):
        assert REGISTRY["lem-bspline"].point({"m": m})["measured"] == 0
        with pytest.MonkeyPatch.context() as patch:
            patch.setitem(STEEPEST, m, sympy.Rational(other))
            assert REGISTRY["lem-bspline"].point({"m": m})["measured"] == 1


@pytest.mark.parametrize("label", [c.id for c in CLAIMS])
def test_entry_is_complete(label):
    claim = REGISTRY[label]
    assert (
        claim.id == label
        and claim.evidence in ("exact", "certified", "sampled")
        and len(claim.grid) > 0
    )
    assert len({_name(p) for p in claim.grid + claim.full}) == len(claim.grid + claim.full)
    assert len(inspect.getdoc(claim.check) or "") >= 20
    file, function = claim.source.split(":")
    assert inspect.getsourcefile(claim.check).endswith(file) and claim.check.__name__ == function
    assert file.endswith(f"chapter{claim.chapter:02}.py")
    assert function == label.replace("-", "_")


@pytest.mark.parametrize("chapter", STATEMENTS)
def test_no_statement_of_the_design_is_missing(chapter):
    assert STATEMENTS[chapter] <= {c.id for c in CLAIMS if c.chapter == chapter}


def test_claims_come_in_the_order_of_the_book():
    chapters = [c.chapter for c in CLAIMS]
    assert chapters == sorted(chapters)


def test_select():
    assert [c.id for c in select(["lem-square", "lem-marsden"])] == ["lem-marsden", "lem-square"]
    assert [c.id for c in select()] == list(REGISTRY)
    with pytest.raises(InputError, match="'lem-nothing'.*lem-square"):
        select(["lem-square", "lem-nothing"])


def test_verify_reports_every_point():
    claims = select(["lem-marsden", "lem-interpolation"])
    seen = []
    report = verify(claims, progress=lambda items: seen.extend(items) or items)
    assert seen == claims
    for row, claim in zip(report["claims"], claims):
        assert [p["params"] for p in row["points"]] == list(claim.grid)
        assert (
            row["passed"] is True
            and row["uses"] == list(claim.uses)
            and row["source"] == claim.source
        )
    worst = max(p["measured"] / p["bound"] for p in report["claims"][1]["points"])
    assert (
        report["claims"][1]["worst_ratio"] == worst and report["claims"][0]["worst_ratio"] is None
    )


def test_several_processes_give_the_same_report():
    claims = select(["lem-marsden", "lem-interpolation", "lem-square"])
    seen = []
    one = verify(claims)
    two = verify(claims, lambda items: seen.extend(items) or items, jobs=2)
    assert seen == claims
    for a, b in zip(one["claims"], two["claims"]):
        assert {**a, "seconds": 0} == {**b, "seconds": 0}


def test_an_error_in_another_process_is_raised():
    broken = replace(REGISTRY["lem-square"], id="lem-unknown-there")
    with pytest.raises(KeyError, match="lem-unknown-there"):
        verify([REGISTRY["lem-marsden"], broken], jobs=2)
