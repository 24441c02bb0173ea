"""The book and the registry agree: labels, references in proofs, the ledger, figures, notation of the layout."""

import json
import re
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from lib.claims import REGISTRY, select
from lib.claims._registry import rests_on

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "book" / "_ext"))
import graph  # noqa: E402  (the extension of the book)

CHAPTERS = sorted((ROOT / "book").glob("[01][0-9]_*.md"))
STATEMENT = re.compile(r":::\{prf:(\w+)\}[^\n]*\n:label: (\S+)\n(.*?)\n:::\n(?:\n:::\{prf:proof\}\n(.*?)\n:::)?", re.S)
REFERENCE = re.compile(r"\{prf:ref\}`([^`]+)`")


def statements():
    found = {}
    for path in CHAPTERS:
        for kind, label, _, proof in STATEMENT.findall(path.read_text()):
            assert label not in found, f"{label} stands twice"
            found[label] = (path, kind, proof)
    return found


STATEMENTS = statements()


def test_every_statement_has_a_claim_and_every_claim_a_statement():
    assert set(STATEMENTS) == set(REGISTRY)


def test_every_theorem_environment_is_labelled():
    for path in CHAPTERS:
        opened = re.findall(r":::\{prf:(?!proof)\w+\}", path.read_text())
        assert len(opened) == sum(p == path for p, _, _ in STATEMENTS.values()), path.name


@pytest.mark.parametrize("claim", select(), ids=lambda c: c.id)
def test_uses_are_the_references_of_the_proof(claim):
    path, kind, proof = STATEMENTS[claim.id]
    assert int(path.name[:2]) == claim.chapter
    assert proof or kind == "definition"
    assert set(REFERENCE.findall(proof)) == set(claim.uses)


def test_every_reference_leads_somewhere():
    for path in (ROOT / "book").glob("*.md"):
        assert set(REFERENCE.findall(path.read_text())) <= set(STATEMENTS), path.name


def test_statements_of_the_design_are_all_there():
    assert {
        "prop-steep", "prop-steps", "prop-frozen", "prop-flip",
        "lem-bspline", "lem-marsden", "lem-functionals", "lem-stability", "lem-peano", "thm-jackson", "lem-interpolation",
        "lem-sawtooth", "lem-square", "lem-product", "lem-power", "prop-bspline-net", "prop-tensor-net", "prop-spline-net",
        "def-convresnet", "lem-gather", "lem-skip", "lem-doubling", "lem-grouped", "lem-rows", "prop-realisation",
        "prop-sparse", "cor-budget", "thm-cube", "cor-cube-rate", "cor-selection", "lem-federer", "lem-angle", "lem-chart",
        "lem-atlas",
        "lem-partition", "lem-distance-net", "lem-gate", "lem-product-gate", "prop-chart-local", "thm-manifold",
        "cor-ambient", "lem-bump", "thm-bernstein", "thm-favard", "cor-optimality", "thm-radius", "prop-sup-certificate",
        "lem-interval-layer", "lem-rounding", "thm-certificate",
    } <= set(STATEMENTS)


def _rows():
    return [{"id": c.id, "chapter": c.chapter, "uses": list(c.uses), "evidence": c.evidence, "rests_on": rests_on(c)}
            for c in select()]


def test_the_graph_shows_every_statement_and_every_reference():
    rows = _rows()
    names = {r["chapter"]: str(r["chapter"]) for r in rows}
    svg = ElementTree.fromstring(graph.draw(rows, lambda r: f"page#{r['id']}", names))
    space = "{http://www.w3.org/2000/svg}"
    links = [a.get("href") for a in svg.iter(f"{space}a")]
    assert links == [f"page#{r['id']}" for r in rows]
    assert len(svg.findall(f"{space}path")) == sum(len(r["uses"]) for r in rows)
    boxes = [[float(b.get(k)) for k in ("x", "y", "width", "height")] for b in svg.iter(f"{space}rect")]
    view = [float(t) for t in svg.get("viewBox").split()]
    for i, (x, y, w, h) in enumerate(boxes):
        assert 0 <= x and x + w <= view[2] and y + h <= view[3]
        assert all(abs(x - p) >= w or abs(y - q) >= h for p, q, _, _ in boxes[:i])
    colours = {(b.get("fill"), b.get("stroke")) for b in svg.iter(f"{space}rect")}
    assert colours == {(graph.FILL[r["evidence"]], graph.FILL[r["rests_on"]]) for r in rows}


def test_lines_of_the_graph_lead_down():
    rows = _rows()
    where = graph.places(rows)
    assert all(where[used][0] < where[r["id"]][0] for r in rows for used in r["uses"])


def test_every_exercise_has_a_solution():
    for path in CHAPTERS:
        text = path.read_text()
        asked, solved = re.findall(r":label: (ex-\S+)", text), re.findall(r":::\{solution\} (ex-\S+)", text)
        assert asked == solved and len(asked) >= 4, path.name


def test_every_source_is_cited_and_every_citation_has_a_source():
    known = set(re.findall(r"@\w+\{(\S+),", (ROOT / "book/references.bib").read_text()))
    text = "".join(p.read_text() for p in (ROOT / "book").glob("*.md"))
    cited = {key.strip() for group in re.findall(r"\{cite:[pt]\}`([^`]+)`", text) for key in group.split(",")}
    assert cited == known


def test_every_source_has_a_doi_or_an_arxiv_identifier():
    for entry in re.split(r"\n@", (ROOT / "book/references.bib").read_text()):
        assert re.search(r"doi = \{10\.\d{4,}/\S+\}", entry) or re.search(r"eprint = \{\d{4}\.\d{4,5}\}", entry), entry[:60]


def test_every_page_is_in_the_table_of_contents():
    toc = (ROOT / "_toc.yml").read_text()
    pages = [*(ROOT / "book").glob("*.md"), *(ROOT / "notebooks").glob("*.ipynb")]
    assert all(str(p.relative_to(ROOT).with_suffix("")) in toc for p in pages)


def test_figures_shown_in_chapters_exist_in_the_notebooks():
    for path in (ROOT / "book").glob("*.md"):
        for notebook, name in re.findall(r"\{notebook-figure\} (\S+) (\S+)", path.read_text()):
            cells = json.loads((ROOT / f"notebooks/{notebook}.ipynb").read_text())["cells"]
            names = [c["metadata"].get("mystnb", {}).get("figure", {}).get("name") for c in cells]
            assert name in names, (path.name, name)


def test_figures_of_all_notebooks_have_different_names():
    cells = [c for p in (ROOT / "notebooks").glob("*.ipynb") for c in json.loads(p.read_text())["cells"]]
    names = [c["metadata"]["mystnb"]["figure"]["name"] for c in cells if "figure" in c["metadata"].get("mystnb", {})]
    assert len(names) == len(set(names))


def test_numbers_quoted_in_chapter_three_are_the_codes():
    from lib import relu, splines
    text = (ROOT / "book/03_relu.md").read_text()
    assert "at most $0$, $.0024$, $.004$ and $.0412$" in text
    for m, quoted in zip(splines.ORDERS, (0, 0.0024, 0.004, 0.0412)):
        assert quoted * 0.95 <= relu.bspline_error(m, relu.MINIMUM_REFINEMENT).value <= quoted


def test_nothing_in_the_project_names_this_machine():
    files = ROOT.glob("*"), (ROOT / "book").rglob("*.md"), (ROOT / "notebooks").glob("*"), (ROOT / "lib").rglob("*.py")
    for path in (p for group in files for p in group):
        if path.is_file():
            assert not re.search(r"(?<![\w.])/(?:work|root|home|tmp)/\w", path.read_text()), path.name


def test_the_readme_example_runs_as_printed(tmp_path, monkeypatch):
    code, on_a_sphere = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(on_a_sphere, {})
    exec(code, names)
    promised = re.search(r"# (Architecture\(.*\))", code).group(1)
    assert repr(names["a"].architecture.measured) == promised
