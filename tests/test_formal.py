"""The formal proofs: what can be said of them without Coq, and that they compile where it is."""

import importlib
import re
import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FORMAL = ROOT / "formal"


@pytest.fixture
def script(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "scripts")
    return importlib.import_module("prove")


def test_no_proof_is_left_out(script, tmp_path, monkeypatch):
    assert script.left_out() == []
    monkeypatch.setattr(script, "FORMAL", tmp_path)
    (tmp_path / "_CoqProject").write_text("-R . Formal\nA.v\n")
    (tmp_path / "A.v").write_text(
        "(* Admitted (* Axiom *) *) Lemma a : 1 = 1. Proof. admit. Admitted."
    )
    assert script.left_out() == ["A.v: Admitted", "A.v: admit"]


def test_every_file_is_in_the_project(script):
    assert sorted(script.files()) == sorted(p.name for p in FORMAL.glob("*.v"))
    assert script.files()[0] == "Definitions.v" and script.files()[-1] == script.STATEMENTS


def test_theorems_are_named_after_the_labels_of_the_book(script):
    """Those of one chapter in the order of the book."""
    names = script.theorems()
    text = "".join(p.read_text() for p in sorted((ROOT / "book").glob("[01]*.md")))
    places = [text.index(f":label: {name.replace('_', '-')}\n") for name in names]
    assert len(names) == len(set(names)) >= 4 and places == sorted(places)


def test_statements_hold_nothing_but_statements(script):
    """Every theorem has its label and a sentence above it, and is proved elsewhere."""
    text = (FORMAL / script.STATEMENTS).read_text()
    code = script.without_comments(text)
    kinds = set(re.findall(r"^(\w+)", code, re.MULTILINE))
    assert kinds <= {"From", "Open", "Theorem", "Proof", "Qed"}
    for name in script.theorems():
        comment = text[: text.index(f"Theorem {name} ")].rpartition("(** ** ")[2]
        assert name.replace("_", "-") in comment and len(comment) > 80
    assert len(text.splitlines()) < 400


def test_definitions_are_told_in_words():
    """No definition outside of the page that defines, but for auxiliary ones of proofs."""
    text = (FORMAL / "Definitions.v").read_text()
    assert not re.search(r"^(Lemma|Theorem)", text, re.MULTILINE)
    for block in re.split(r"\n\n(?=\(\*\*)", text):
        assert block.startswith("(**")


def test_every_mutant_changes_one_place(script):
    for mutant in script.MUTANTS:
        text = (FORMAL / mutant.file).read_text()
        assert text.count(mutant.old) == 1 and mutant.old != mutant.new
    assert len(script.MUTANTS) >= 20


@pytest.mark.skipif(shutil.which("coqc") is None, reason="Coq is not installed: see make prove")
def test_the_proofs_compile_and_rest_on_nothing_else(script, tmp_path, monkeypatch):
    monkeypatch.setattr(script, "MUTANTS", script.MUTANTS[10:13])
    record = script.prove(tmp_path)
    assert record["passed"] and len(record["mutants"]) == 3
    assert set(record["axioms"]) == set(script.theorems())
    # what is rejected is not rejected whatever it is: the honest text compiles in a mutant's place
    honest = script.Mutant(script.STATEMENTS, "Theorem lem_power", "Theorem lem_powers")
    assert script.survives(tmp_path, honest)
