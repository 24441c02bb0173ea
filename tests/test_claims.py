"""Every claim at every grid point; every check rejects its tampered construction; the graph is
sound.
"""

import inspect
import json
import math
import re
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest
import sympy

from lib import InputError, Norms
from lib.claims import REGISTRY, _report, code_digest, read_report, select, verify, worst
from lib.claims._chapter02 import STEEPEST
from lib.claims._registry import CERTIFIED, EXACT, KINDS, rests_on
from lib.claims._registry import claim as register

CLAIMS = select()
POINTS = [(c.id, p) for c in CLAIMS for p in c.grid]


def _name(value):
    return value if isinstance(value, str) else ",".join(f"{k}={v}" for k, v in value.items())


REPORT = Path(__file__).resolve().parent.parent / "_build" / "claims.json"


def _key(label, params):
    return label, json.dumps(params, sort_keys=True)


@pytest.fixture(scope="module")
def recorded():
    """The rows of the report that `make test` and the book have made, if it is of this code."""
    found = {}
    for claim in (read_report(REPORT) or {"claims": []})["claims"]:
        for row in claim["points"]:
            found.setdefault(_key(claim["id"], row["params"]), []).append(row)
    return found


@pytest.mark.parametrize("label, params", POINTS, ids=_name)
def test_claim_holds(label, params, recorded):
    rows = recorded.get(_key(label, params)) or REGISTRY[label].point(params)
    assert [r["norm"] for r in rows] in ([None], ["value", "slope"])
    for row in rows:
        assert row["passed"], row
        assert row["params"] == params and row["bound"] >= row["measured"]


@pytest.mark.parametrize("label", [c.id for c in CLAIMS])
def test_tampered_construction_is_rejected(label):
    """At one grid point at least; the points are tried from the last one on until one rejects."""
    claim = REGISTRY[label]
    assert any(
        not row["passed"] for p in reversed(claim.grid) for row in claim.point(p, tampered=True)
    )


@pytest.mark.parametrize("label", [c.id for c in CLAIMS])
def test_what_is_tampered_with_is_said_to_the_reader(label):
    """In a phrase without code, which says something else only where it is something else."""
    wrong = REGISTRY[label].wrong
    assert 20 <= len(wrong) <= 100 and wrong[0].islower() and wrong[-1] not in ".,;: "
    assert not re.search(r"[_=(){}\[\]$`*\\]|lambda|\w\.\w|[a-z]\d|\d[a-z]", wrong)
    for other in CLAIMS:
        assert (other.wrong == wrong) == (other.tampered is REGISTRY[label].tampered), other.id


def test_a_pair_of_norms_is_two_rows_and_each_can_fail():
    base = REGISTRY["lem-square"]
    for bound, measured, passed in (
        (1, 1, [True]),
        (0, math.nan, [False]),
        (Norms(1, 2), Norms(1, 3), [True, False]),
        (Norms(1, 2), Norms(math.nan, 2), [False, True]),
    ):
        found = replace(base, check=lambda build, n, p=(bound, measured): p).point({"n": 0})
        assert [r["passed"] for r in found] == passed
        assert all(r["params"] == {"n": 0} for r in found)
    assert [(r["norm"], r["bound"]) for r in found] == [("value", 1), ("slope", 2)]
    for mixed in ((1, Norms(1, 1)), (Norms(1, 1), 1)):
        with pytest.raises(TypeError):
            replace(base, check=lambda build, n, p=mixed: p).point({"n": 0})


def test_both_norms_of_a_constant_are_compared():
    """`lem-stability` fails if one of the two is two per cent too small."""
    claim = REGISTRY["lem-stability"]
    right, small = claim.honest(4, 9), claim.tampered(4, 9)
    for pair, passed in (
        (Norms(small.value, right.slope), [False, True]),
        (Norms(right.value, small.slope), [True, False]),
    ):
        found = replace(claim, honest=lambda m, N, pair=pair: pair).point({"m": 4})
        assert [r["passed"] for r in found] == passed


def test_the_worst_row_of_each_norm():
    rows = [
        {"norm": norm, "bound": b, "measured": m}
        for norm, b, m in (
            ("value", 2.0, 1.0),
            ("slope", 5.0, 1.0),
            ("value", 4.0, 3.0),
            (None, 0.0, 7.0),
            ("slope", 5.0, 0.0),
        )
    ]
    assert worst(rows) == {"value": rows[2], "slope": rows[1], None: rows[3]}


def test_a_label_is_registered_once():
    with pytest.raises(InputError, match="'lem-square'.*once"):
        register(uses=(), evidence=EXACT, grid=(), honest=None, tampered=("", None))(
            REGISTRY["lem-square"].check
        )


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
    reasons = [c.evidence.reason for c in CLAIMS if c.evidence.kind == "sampled"]
    assert all(len(reason) > 15 and reason == reason.strip(" .") for reason in reasons)
    assert {c.evidence for c in CLAIMS if c.evidence.kind != "sampled"} == {EXACT, CERTIFIED}


@pytest.mark.parametrize("label", [c.id for c in CLAIMS])
def test_what_was_tried_for_some_names_or_random_numbers_is_sampled(label):
    """What is decided has numbers as parameters and draws none; `tests/test_book.py` reads the
    statements.
    """
    claim = REGISTRY[label]
    words = any(isinstance(v, str) for p in claim.grid + claim.full for v in p.values())
    if words or "default_rng" in inspect.getsource(claim.check):
        assert claim.evidence.kind == "sampled"


def test_the_rule_for_names_and_random_numbers_finds_something():
    words = {c.id for c in CLAIMS if any(isinstance(v, str) for v in c.grid[0].values())}
    drawn = {c.id for c in CLAIMS if "default_rng" in inspect.getsource(c.check)}
    assert {"lem-ladder", "thm-cube", "lem-partition-net"} <= words and "lem-gather" in drawn


def test_evidence_includes_what_a_statement_rests_on():
    assert (
        rests_on(REGISTRY["lem-bspline"]) == "exact"
        and rests_on(REGISTRY["lem-marsden"]) == "exact"
    )
    assert REGISTRY["lem-peano"].evidence == CERTIFIED
    assert rests_on(REGISTRY["lem-peano"]) == "certified"
    assert (
        REGISTRY["prop-bspline-net"].evidence == EXACT
        and rests_on(REGISTRY["thm-jackson"]) == "sampled"
    )


def test_a_wrong_size_is_no_ratio():
    """`prop-realisation` compares functions; its ratio is that of rounding, and a size that is
    not the promised one fails.
    """
    claim = REGISTRY["prop-realisation"]
    params = {"D": 2, "m": 3, "K": 2, "blocks": 4}
    (point,) = claim.point(params)
    assert point["passed"] and 0 < point["measured"] < 0.1 * point["bound"]
    for change in ({"J": 1}, {"L": 1}, {"kappa1": 1.0}, {"M": 5}):
        (point,) = replace(
            claim, honest=lambda *sizes, change=change: replace(claim.honest(*sizes), **change)
        ).point(params)
        assert not point["passed"], change


def test_the_steepest_slope_of_a_bspline_is_decided():
    """`lem-bspline` fails for the bound by the top of the lower B-spline, three quarters for
    order 4.
    """
    assert float(STEEPEST[5]) == pytest.approx(0.5454237, abs=1e-7)
    for m, other in ((3, 2), (4, Fraction(3, 4)), (5, Fraction(6, 11))):
        assert REGISTRY["lem-bspline"].point({"m": m})[0]["measured"] == 0
        with pytest.MonkeyPatch.context() as patch:
            patch.setitem(STEEPEST, m, sympy.Rational(other))
            assert REGISTRY["lem-bspline"].point({"m": m})[0]["measured"] == 1


@pytest.mark.parametrize("label", [c.id for c in CLAIMS])
def test_entry_is_complete(label):
    claim = REGISTRY[label]
    assert claim.id == label and claim.evidence.kind in KINDS and len(claim.grid) > 0
    assert len({_name(p) for p in claim.grid + claim.full}) == len(claim.grid + claim.full)
    assert len(inspect.getdoc(claim.check) or "") >= 20
    file, function = claim.source.split(":")
    assert inspect.getsourcefile(claim.check).endswith(file) and claim.check.__name__ == function
    assert file.endswith(f"chapter{claim.chapter:02}.py")
    assert function == label.replace("-", "_")


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
        assert (row["evidence"], row["reason"]) == (claim.evidence.kind, claim.evidence.reason)
        assert (
            row["passed"] is True
            and row["uses"] == list(claim.uses)
            and row["source"] == claim.source
        )
    worst = max(p["measured"] / p["bound"] for p in report["claims"][1]["points"])
    assert (
        report["claims"][1]["worst_ratio"] == worst and report["claims"][0]["worst_ratio"] is None
    )


def test_verify_reports_both_norms_of_every_point():
    (row,) = verify(select(["lem-stability"]))["claims"]
    grid = REGISTRY["lem-stability"].grid
    assert [(p["params"], p["norm"]) for p in row["points"]] == [
        (params, norm) for params in grid for norm in ("value", "slope")
    ]
    assert row["worst_ratio"] == max(p["measured"] / p["bound"] for p in row["points"])


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


def test_a_report_counts_for_the_code_that_made_it_only(tmp_path):
    report = verify(select(["lem-marsden"]))
    path = tmp_path / "claims.json"
    path.write_text(json.dumps(report))
    assert read_report(path) == json.loads(json.dumps(report)) and report["code"] == code_digest()
    path.write_text(json.dumps(report | {"code": code_digest()[::-1]}))
    assert read_report(path) is None and read_report(tmp_path / "none.json") is None
    path.write_text("[]")
    assert read_report(path) is None


def test_a_report_is_of_the_code_that_ran_not_of_files_changed_since(tmp_path, monkeypatch):
    monkeypatch.setattr(_report, "_LIB", tmp_path)
    assert _report._digest_of_files() != code_digest() == verify([])["code"]


def test_rows_of_a_report_are_found_under_their_parameters():
    """Names, numbers and pairs survive JSON, and no two points of a claim have one key."""
    for claim in CLAIMS:
        keys = {_key(claim.id, json.loads(json.dumps(p))) for p in claim.grid}
        assert keys == {_key(claim.id, p) for p in claim.grid} and len(keys) == len(claim.grid)
