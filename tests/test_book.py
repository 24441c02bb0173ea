"""The book and the registry agree: labels, references in proofs, the ledger, figures, notation
of the layout.
"""

import importlib
import json
import re
import sys
from math import pi
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import torch

import lib
from lib import contrast, convresnet, manifolds, relu, splines
from lib.claims import REGISTRY, select
from lib.claims._registry import rests_on
from lib.contrast import _cases as cases

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "book" / "_ext"))
import graph  # noqa: E402  (the extension of the book)

CHAPTERS = sorted((ROOT / "book").glob("[01][0-9]_*.md"))
STATEMENT = re.compile(
    r":::\{prf:(\w+)\}[^\n]*\n:label: (\S+)\n(.*?)\n:::\n(?:\n:::\{prf:proof\}\n(.*?)\n:::)?", re.S
)
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


def test_what_is_said_of_every_function_or_network_is_not_called_exact():
    texts = [found for path in CHAPTERS for found in STATEMENT.findall(path.read_text())]
    about = {label for _, label, text, _ in texts if re.search(r"\b[Ee]very\b", text)}
    assert {"lem-gather", "lem-bump", "thm-certificate"} <= about
    assert {REGISTRY[label].evidence.kind for label in about} == {"sampled"}


def test_every_reference_leads_somewhere():
    for path in (ROOT / "book").glob("*.md"):
        assert set(REFERENCE.findall(path.read_text())) <= set(STATEMENTS), path.name


def test_statements_of_the_design_are_all_there():
    assert {
        "prop-steep",
        "lem-ladder",
        "prop-steps",
        "prop-frozen",
        "cor-contrast",
        "prop-flip",
        "lem-bspline",
        "lem-marsden",
        "lem-functionals",
        "lem-stability",
        "lem-peano",
        "thm-jackson",
        "lem-peano-real",
        "thm-jackson-real",
        "lem-interpolation",
        "lem-sawtooth",
        "lem-square",
        "lem-product",
        "lem-power",
        "prop-bspline-net",
        "prop-tensor-net",
        "prop-spline-net",
        "def-convresnet",
        "lem-gather",
        "lem-skip",
        "lem-doubling",
        "lem-grouped",
        "lem-rows",
        "prop-realisation",
        "prop-sparse",
        "cor-budget",
        "thm-cube",
        "cor-local",
        "thm-cube-real",
        "lem-hoelder",
        "cor-cube-rate",
        "cor-selection",
        "lem-federer",
        "lem-angle",
        "lem-chart",
        "lem-atlas",
        "lem-distance-net",
        "lem-partition-net",
        "lem-partition-slope",
        "lem-chart-norms",
        "lem-local-jackson",
        "lem-localised-term",
        "prop-local-realisation",
        "thm-manifold",
        "cor-manifold-rate",
        "cor-ambient",
        "lem-bump",
        "thm-bernstein",
        "thm-favard",
        "lem-bernstein",
        "thm-trigonometric",
        "cor-optimality",
        "cor-cost",
        "prop-jump",
        "prop-bits",
        "thm-radius",
        "prop-sup-certificate",
        "lem-zonotope",
        "lem-interval-layer",
        "lem-taylor",
        "lem-deviation",
        "lem-rounding",
        "thm-certificate",
        "lem-knots",
        "cor-certified-manifold",
    } <= set(STATEMENTS)


def _rows():
    return [
        {
            "id": c.id,
            "chapter": c.chapter,
            "uses": list(c.uses),
            "evidence": c.evidence.kind,
            "rests_on": rests_on(c),
        }
        for c in select()
    ]


def test_the_graph_shows_every_statement_and_every_reference():
    rows = _rows()
    names = {r["chapter"]: str(r["chapter"]) for r in rows}
    svg = ElementTree.fromstring(graph.draw(rows, lambda r: f"page#{r['id']}", names))
    space = "{http://www.w3.org/2000/svg}"
    links = [a.get("href") for a in svg.iter(f"{space}a")]
    assert links == [f"page#{r['id']}" for r in rows]
    assert len(svg.findall(f"{space}path")) == sum(len(r["uses"]) for r in rows)
    boxes = [
        [float(b.get(k)) for k in ("x", "y", "width", "height")] for b in svg.iter(f"{space}rect")
    ]
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
        asked = re.findall(r":label: (ex-\S+)", text)
        solved = re.findall(r":::\{solution\} (ex-\S+)", text)
        assert asked == solved and len(asked) >= 4, path.name


def test_every_source_is_cited_and_every_citation_has_a_source():
    known = set(re.findall(r"@\w+\{(\S+),", (ROOT / "book/references.bib").read_text()))
    text = "".join(p.read_text() for p in (ROOT / "book").glob("*.md"))
    cited = {
        key.strip()
        for group in re.findall(r"\{cite:[pt]\}`([^`]+)`", text)
        for key in group.split(",")
    }
    assert cited == known


def test_every_source_has_a_doi_or_an_arxiv_identifier():
    for entry in re.split(r"\n@", (ROOT / "book/references.bib").read_text()):
        assert re.search(r"doi = \{10\.\d{4,}/\S+\}", entry) or re.search(
            r"eprint = \{\d{4}\.\d{4,5}\}", entry
        ), entry[:60]


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
    cells = [
        c for p in (ROOT / "notebooks").glob("*.ipynb") for c in json.loads(p.read_text())["cells"]
    ]
    names = [
        c["metadata"]["mystnb"]["figure"]["name"]
        for c in cells
        if "figure" in c["metadata"].get("mystnb", {})
    ]
    assert len(names) == len(set(names))


def test_numbers_quoted_in_chapter_three_are_the_codes():
    text = (ROOT / "book/03_relu.md").read_text()
    assert "$0$, $.0024$, $.004$, $.0412$, $.0026$, $.00091$ and $.00018$ for" in text
    for m, quoted in zip(splines.ORDERS, (0, 0.0024, 0.004, 0.0412, 0.0026, 0.00091, 0.00018)):
        found = relu.bspline_error(m, relu.minimum_refinement(m)).value
        assert quoted * 0.95 <= found <= quoted


def test_nothing_in_the_project_names_this_machine():
    files = (
        ROOT.glob("*"),
        (ROOT / "book").rglob("*.md"),
        (ROOT / "notebooks").glob("*"),
        (ROOT / "lib").rglob("*.py"),
    )
    for path in (p for group in files for p in group):
        if path.is_file():
            assert not re.search(r"(?<![\w.])/(?:work|root|home|tmp)/\w", path.read_text()), (
                path.name
            )


def test_the_readme_example_runs_as_printed(tmp_path, monkeypatch):
    code, on_a_sphere = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(on_a_sphere, {})
    exec(code, names)
    promised = re.search(r"# (Architecture\(.*\))", code).group(1)
    assert repr(names["a"].architecture.measured) == promised


# ---- numbers and inequalities that chapters quote


def _page(name):
    return (ROOT / f"book/{name}.md").read_text()


def _figure(notebook, name):
    """The caption of a figure."""
    cells = json.loads((ROOT / f"notebooks/{notebook}.ipynb").read_text())["cells"]
    return next(
        c["metadata"]["mystnb"]["figure"]["caption"]
        for c in cells
        if c["metadata"].get("mystnb", {}).get("figure", {}).get("name") == name
    )


@pytest.mark.parametrize("M", (4, 8, 16, 32))
def test_steps_are_as_steep_as_chapter_one_says(M):
    """Where codes agree no digit flips: a multiple of the number of steps; on zigzags and wave
    more than 2^M.
    """
    N = 16
    text = _page("01_smoothness")
    assert (
        "at most $72M\\lambda$" in text and "slopes of $(64M-8)\\lambda$ and $8M\\lambda$" in text
    )
    for target, slope in (
        (lambda x: 0 * x[:, 0], 64 * M - 8),
        (lambda x: x[:, 0], 8 * M),
        (lambda x: x[:, 0] / 2, None),
    ):
        found = cases.steepness(contrast.step_network(target, N, M), N, M)
        assert found <= 72 * M * (1 + 1e-9) and found == pytest.approx(slope or found, rel=1e-6)
    for name in ("pitches", "wave"):
        assert cases.steepness(contrast.step_network(cases.TARGETS[name], N, M), N, M) > 2.0**M
    found = cases.steepness(contrast.step_network(cases.pitches, N, M), N, M)
    assert (
        "$3\\cdot10^2$ for $M=4$, and about $10^4$, $10^9$, $10^{13}$ for $M=8$, $16$, $32$" in text
    )
    assert found == pytest.approx({4: 3e2, 8: 1e4, 16: 1e9, 32: 1e13}[M], rel=0.5)


@pytest.mark.parametrize("N, M", ((2, 4), (16, 8), (16, 16), (8, 32)))
def test_the_weights_that_take_digits_out(N, M):
    """2^M in the frozen network and half of that in the steps, or those of the ramps between
    cells.
    """
    assert "at least $2^M$ for the frozen network and $2^{M-1}$ for the steps" in _page(
        "01_smoothness"
    )
    for make, digits in ((contrast.frozen_network, M), (contrast.step_network, M - 1)):
        numbers = make(cases.pitches, N, M).numbers()
        assert max(float(c.weight.abs().max()) for block in numbers for c in block) == max(
            8 * N * M, 2.0**digits
        )


def test_who_is_ahead_on_a_smooth_target(monkeypatch):
    """At 4000 weights: splines of order 2 on a slow wave, bits on a fast one."""
    text = _page("01_smoothness")
    assert (
        "thirty times closer on the wave" in text
        and "the frozen network 1.8 times closer on $\\sin(128\\pi x)" in text
    )
    monkeypatch.setitem(cases.TARGETS, "fast", lambda x: torch.sin(128 * pi * x[:, 0]) / (128 * pi))
    monkeypatch.setattr(cases, "CELLS", (256,))
    for name, times in (("wave", 1 / 30), ("fast", 1.8)):
        weights, ours, _ = cases.splines_of(name)[0]
        frozen = contrast.frozen_network(cases.TARGETS[name], 128, 32)
        assert convresnet.count_parameters(frozen)[1] == pytest.approx(weights, rel=0.03)
        assert ours / cases.errors(frozen, cases.TARGETS[name], 128, 32) == pytest.approx(
            times, rel=0.05
        )


def test_captions_say_what_the_pictures_show():
    c = splines.QuasiInterpolant(3, 8).coefficients(
        lambda x: cases.wave(torch.from_numpy(x)).numpy(), 1
    )
    ours = convresnet.Construction([convresnet.cube_chart(c, 3)], 3, 12, 2, 1).network
    x = (torch.arange(2000, dtype=torch.float64)[:, None] + 0.377) / 2000
    slope = contrast.steepened(ours, 0.04, 5).value_and_gradient(x)[1]
    off = (slope[:, 0] - torch.cos(2 * np.pi * x[:, 0])).abs()
    assert f"off by {off.min():.2f} to {off.max():.2f}, everywhere" in _figure(
        "01_smoothness", "fig-steep"
    )
    assert "the mean and the last coordinate" in _figure("04_convresnet", "fig-gather")

    caption = _figure("05_cube", "fig-error-map")
    assert "Both errors oscillate within the cells and are largest near the two sides" in caption
    target = lib.Target.from_sympy("sin(2*pi*x1)*exp(x2)")
    a = lib.approximate(target, lib.Cube(2), order=4, cells=16)
    x = torch.cartesian_prod(
        *[(torch.arange(160, dtype=torch.float64) + 0.5) / 160 + 1e-4] * 2
    ).clamp(max=1)
    (value, gradient), (f, df) = a.sparse.value_and_gradient(x), target.value_and_gradient(x)
    for error in (value - f, (gradient - df)[:, 0]):
        along = error.reshape(160, 160)[:, -1]  # ten points a cell
        changes = torch.diff(along.sign()).abs().reshape(-1)[20:139].count_nonzero()
        assert changes >= 12  # in the twelve inner cells
        worst = along.abs().argmax()
        assert min(worst, 159 - worst) < 20
        assert along[20:140].abs().max() < along.abs().max()


def test_the_circle_of_chapters_6_7_and_10_is_what_is_computed():
    """Bound and certificate of the circle by hand, and what they leave of the error."""
    circle = lib.manifolds.circle()
    atlas = lib.manifolds.Atlas(circle, 0.315 * circle.reach, 0.45 * circle.reach)
    target = lib.Target.from_sympy("sin(6*x1)*exp(x2)+x1*x2", 2)
    a = lib.approximate(target, atlas, order=4, cells=16)
    c, seen = a.certify(), a.measure(100_000, module_points=0)

    def short(number):
        mantissa, _, power = f"{number:.1e}".partition("e")
        return rf"${mantissa}\cdot10^{{{int(power)}}}$"

    text = _page("10_certificates").partition("On the circle of chapters 6 and 7")[2]
    for part in (
        f"is {short(a.bound.value)} in value and ${a.bound.slope:.3f}$ in slope",
        f"at most {short(c.value.upper)} and ${c.slope.upper:.4f}$, with {len(c.level)} boxes",
        f"where {short(seen.value)} and {short(seen.slope)} are seen",
    ):
        assert part in text[:600], part
    first = _page("07_manifold_theorem").partition("## Splines in charts")[0]
    assert f"($T={len(a.coefficients)}$)" in first and "of 304 terms" in _page(
        "07_manifold_theorem"
    )
    assert f"{short(a.bound.value)} in value and ${a.bound.slope:.3f}$ in slope" in first
    assert f"are {short(seen.value)} and {short(seen.slope)}" in first


def test_refinement_without_a_choice():
    """40 levels where the spline has an error and no level will do, 30 where it has none:
    chapters 3 and 5.
    """
    assert "it takes $n=40$" in _page("03_relu") and "there it takes $n=30$" in _page("03_relu")
    assert "takes $n=30$ then, and $n=40$ where" in _page("05_cube")
    deep = lib.approximate(lib.Target.from_sympy("sin(2*pi*x1)"), lib.Cube(1), order=5, cells=512)
    assert deep.refinement == 40 and deep.bound.network.slope > deep.bound.spline.slope / 8
    exact = lib.approximate(lib.Target.from_sympy("x1**2-x1"), lib.Cube(1), order=5, cells=8)
    assert exact.refinement == 30 and exact.bound.spline.value == exact.bound.spline.slope == 0


def test_the_constant_of_one_network_is_not_that_of_the_theorem():
    """The theorem's must hold for every mesh and any budget up to the next one: ``C_s' <= C_s``,
    here a fifth or less.
    """
    a = lib.approximate(
        lib.Target.from_sympy("sin(2*pi*x1)*exp(x2)"), lib.Cube(2), order=4, cells=16
    )
    bounds = a.derivative_bounds
    largest = [splines.jackson_bound(4, N, 4, bounds) for N in range(4, 9)]
    theorem = (
        9 / 8 * 2**4 * max(b.value * N**4 for N, b in zip(range(4, 9), largest)),
        9 / 8 * 2**3 * max(b.slope * N**3 for N, b in zip(range(4, 9), largest)),
    )
    T = len(a.coefficients)
    assert a.constant == pytest.approx((a.bound.value * T**2, a.bound.slope * T**1.5))
    assert all(0 < own < 0.25 * c for own, c in zip(a.constant, theorem))


def test_training_is_quoted_as_the_table_has_it():
    """The exercise of chapter 5 on the rows of chapter 8: value, slope, and both in the mean,
    over the built network's.
    """
    rows = {}
    for line in _page("08_limits").splitlines():
        cells = [c.strip() for c in line.strip("|").split("|")]
        if cells[0] == "built":
            rows[cells[1]] = [float(c.split(" ")[0]) for c in cells[2:]]
    value, both = (
        [t / b for t, b in zip(rows[k], rows["not trained"])] for k in ("value", "value, slope")
    )
    text = _page("05_cube")
    assert "falls to a third, the largest one does not fall, and both errors in slope rise" in text
    assert both[2] == pytest.approx(1 / 3, rel=0.05) and both[0] > 1 and both[1] > 1 and both[3] > 1
    assert (
        "to a fortieth and the largest to a twelfth" in text
        and "four times in the mean and fifteen times" in text
    )
    assert [1 / value[2], 1 / value[0], value[3], value[1]] == pytest.approx(
        [40, 12, 4, 15], rel=0.1
    )


WAVE = "sin(6*x1)*exp(x2)+x1*x2"


@pytest.fixture(scope="module")
def by_hand():
    """The atlas of the circle in chapters 6 and 7."""
    circle = manifolds.circle(0.4)
    return manifolds.Atlas(circle, 0.7 * 0.45 * circle.reach, 0.45 * circle.reach)


def test_the_partition_on_the_circle_by_hand(by_hand):
    """What chapter 6 computes with a pencil, from its formulas and from the library."""
    text = _page("06_manifolds")
    assert len(by_hand) == 16 and len(by_hand.net) == 38 and by_hand.refinement == 4
    assert "Thirty-eight points" in text and "sixteen of them" in text
    assert by_hand.net_radius == pytest.approx(0.0331, abs=5e-5)
    assert by_hand.cover_radius == pytest.approx(0.0991, abs=5e-5)
    beta = 1 / (by_hand.chart_radius**2 - by_hand.inner)
    assert "=48.50," in text and beta == pytest.approx(48.50, abs=5e-3)

    x = np.array([[0.9, 0.5]])
    off = relu.square(torch.tensor([0.9, 0.5], dtype=torch.float64), 4).sum() - 0.81 - 0.25
    assert "=0.0009375+0$" in text and float(off) == pytest.approx(0.0009375)
    square = ((x - by_hand.centres) ** 2).sum(1)
    near = np.flatnonzero(square < by_hand.chart_radius**2)
    angles = np.degrees(np.arctan2(*(by_hand.centres[near] - 0.5).T[::-1]))
    w = beta * (by_hand.chart_radius**2 - square[near] - float(off))
    assert np.allclose(angles, (-25.32, 22.05, -6.37), atol=5e-3)
    assert np.allclose(np.sqrt(square[near]), (0.1753, 0.1530, 0.0445), atol=5e-5)
    assert np.allclose(w, (0.0352, 0.3907, 1.4301), atol=5e-5)
    rho = by_hand.partition(x)[0]
    assert np.allclose(rho[near], (0.0352, 0.3907, 0.5741), atol=5e-5)
    assert "$0.0352+0.3907+0.5741=1$" in text and rho.sum() == 1

    x = 0.5 + 0.4 * np.array([[np.cos(0.3), np.sin(0.3)]])
    f = [by_hand.partition_function(i) for i in range(4)]
    w = [float(p.gain * (p.outer - p.squared_distances(torch.from_numpy(x))[0, -1])) for p in f]
    assert "$w=1.478$, $0.240$, $0.213$: the second one takes everything" in text
    assert w[0] < 0 and np.allclose(w[1:], (1.478, 0.240, 0.213), atol=5e-4)
    assert by_hand.partition(x)[0, 1] == 1


def test_the_slope_of_the_partition_by_hand(by_hand):
    text = _page("06_manifolds")
    beta = 1 / (by_hand.chart_radius**2 - by_hand.inner)
    first = 2 * beta * (by_hand.overlap - 1) * (2 * by_hand.chart_radius + 2**0.5 / 2**4)
    last = 6 * (by_hand.overlap - 1) * by_hand.chart_radius
    last /= by_hand.chart_radius**2 - by_hand.cover_radius**2
    assert "above it is $82.4$" in text and "=87.0$, with $A=3$" in text and by_hand.overlap == 3
    assert by_hand.lipschitz == pytest.approx(82.4, abs=0.05)
    assert first == pytest.approx(87.0, abs=0.05) and by_hand.lipschitz <= first <= last


def test_the_bound_of_theorem_b_by_hand(by_hand):
    """Chapter 7 on the circle: mesh, bound, network, errors."""
    text = _page("07_manifold_theorem")
    assert [by_hand.smallest_mesh(m) for m in (2, 3, 4, 5)] == [2, 6, 7, 9]
    assert "it is $2,6,7,9$ on the circle by hand, and $3,8,10,12$" in text
    assert [manifolds.smallest_mesh(1, 0.45, 2, m) for m in (2, 3, 4, 5)] == [3, 8, 10, 12]
    a = lib.approximate(lib.Target.from_sympy(WAVE, 2), by_hand, order=4, cells=16)
    parts = a.bound.breakdown
    derivative, scale = parts["largest derivative"], parts["chart scale b"]
    k = [splines.interior_peano_constant(4, 4, s) for s in (0, 1)]
    assert derivative == pytest.approx(291.8, abs=0.05)
    assert np.allclose((*k, scale), (0.01609, 0.04504, 2.778), rtol=5e-4)
    value, slope = k[0] * derivative / 16**4, scale * k[1] * derivative / 16**3
    assert (value, slope) == pytest.approx((7.16e-5, 0.00891), rel=1e-3)
    assert parts["Lambda"] * value == pytest.approx(0.00591, rel=1e-3)
    # the largest derivative counts for value and slope, here at one cell
    assert a.bound.spline.value == pytest.approx(value)
    assert a.bound.spline.slope == pytest.approx(slope + parts["Lambda"] * value)
    assert "together $7.16\\cdot10^{-5}$ and $0.0148$" in text and a.bound.rigorous
    assert a.refinement == 22 and a.bound.network.slope == pytest.approx(0.0010, abs=5e-5)
    seen = a.measure(points=100_000, module_points=0)
    assert (seen.value, seen.slope) == pytest.approx((1.8e-6, 5.0e-4), rel=0.03)
    assert parts["sup |grad f| seen"] == pytest.approx(13.9, abs=0.05)
    sizes = a.architecture.promised
    assert "$L=4+1+1+4+3+48+25=86$" in text and "$J=15\\cdot11=165$" in text
    assert (sizes.L, sizes.J) == (86, 165) and sizes.kappa1 == pytest.approx(97.0, abs=0.05)
    assert len(a.coefficients) == 226


def test_nothing_off_all_balls_and_little_near_the_circle(by_hand):
    """Chapter 7, *Off the manifold*: zero, bitwise, where no centre is nearer than ``r_1``; off
    by 0.034 at a distance of 0.01.
    """
    target = lib.Target.from_sympy(WAVE, 2)
    a = lib.approximate(target, by_hand, order=4, cells=16)
    x = np.random.default_rng(0).random((4000, 2))
    square = ((x[:, None] - by_hand.centres) ** 2).sum(2).min(1)
    values = a.sparse(torch.from_numpy(x)).numpy()
    far = square >= by_hand.chart_radius**2
    assert far.sum() > 100 and not values[far].any() and values[~far].any()
    angle = np.linspace(0, 2 * np.pi, 4000, endpoint=False)
    ray = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    off = [
        np.abs(
            a.sparse(torch.from_numpy(0.5 + (0.4 + s) * ray)).numpy()
            - target.values(0.5 + 0.4 * ray)
        ).max()
        for s in (-0.01, 0.01)
    ]
    assert "by up to $0.034$" in _page("07_manifold_theorem")
    assert max(off) == pytest.approx(0.034, abs=5e-4)


def test_the_table_of_theorem_b_on_the_circle():
    """Its rows for the circle, and that no bound of a slope reaches the steepest slope."""
    rows = [
        [c.strip() for c in line.strip("|").split("|")]
        for line in _page("07_manifold_theorem").splitlines()
        if line.startswith("| ") and line.count("|") == 11 and "---" not in line
    ]
    assert len(rows) >= 17
    for row in rows[1:]:
        assert float(row[-3]) < float(row[-2]) < float(row[-1])
    circle = manifolds.circle(0.4)
    target = lib.Target.from_sympy(WAVE, 2)
    for m, row in zip((2, 3, 4), (r for r in rows if r[0].startswith("circle"))):
        atlas = manifolds.choose_atlas(circle, target, m, 32)
        a = lib.approximate(target, atlas, order=m, cells=32)
        seen = a.measure(points=100_000, module_points=0)
        assert int(row[1]) == m and int(row[2]) == 32
        assert int(row[4]) == len(a.coefficients)
        found = (seen.value, a.bound.value, seen.slope, a.bound.slope)
        assert found == pytest.approx([float(c) for c in row[5:9]], rel=0.05)


def test_maxima_are_a_partition_too():
    """The exercise of chapter 6: records of the ``w_i``, in sums and slopes."""
    x = np.linspace(0, 1, 30_001)
    w = [np.clip(2 - np.abs(x - c) / 0.1, 0, None) for c in (0.05, 0.62, 0.2, 0.45, 0.3, 0.8, 0.95)]
    overlap = np.sum([v > 0 for v in w], axis=0).max()
    largest = np.zeros_like(x)
    rhos = []
    for v in w:
        before, largest = largest, np.maximum(largest, np.minimum(1, v))
        rhos.append(largest - before)
        assert (rhos[-1] >= 0).all() and not rhos[-1][v == 0].any()
    assert np.abs(np.sum(rhos, axis=0) - 1).max() < 1e-15
    slopes = np.abs(np.diff(rhos, axis=1)).sum(0) / (x[1] - x[0])
    assert slopes.max() <= 2 * (overlap - 1) * 10 * (1 + 1e-9)


def test_every_module_of_the_library_page_leads_back_to_a_page():
    import links

    for module in links.modules(ROOT):
        importlib.import_module(module)
    parts = {module.split(".")[1] for module in links.modules(ROOT)}
    assert len(parts) > 10 and parts <= links.CHAPTERS.keys() | links.OTHERWISE.keys()


def test_functions_that_name_a_statement_are_on_the_page_of_the_library():
    """The line under a statement links to them there."""
    import links

    page = (ROOT / "book" / "api.md").read_text()
    for module, members in re.findall(r"automodule:: (\S+)\n   :members:([^\n]*)\n", page):
        shown = [name.strip() for name in members.split(",")] if members.strip() else None
        for name, item in links.public(module):
            if shown is not None and name not in shown and not module.startswith("lib.claims"):
                assert not links.labels(item), f"{module}.{name}"
