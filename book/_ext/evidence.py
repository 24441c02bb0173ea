"""Sphinx extension: evidence under each statement, tables that the code computes, figures of the notebooks.

Reads ``_build/claims.json``, the report of ``python -m lib verify --json`` (see ``make site``), and the record of
``python -m lib bench --json`` in ``book/_data`` (see ``make bench``).
"""

import base64
import json
import sys
from collections import Counter
from pathlib import Path

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.errors import ExtensionError
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

sys.path.insert(0, str(Path(__file__).parent))
import graph  # noqa: E402  (a neighbour of this file)

REPORT, MUTANTS, RECORD = "_build/claims.json", "_build/mutants.json", "book/_data/bench.json"
PREFIXES = ("lem-", "prop-", "thm-", "cor-", "def-")
CLAIMS, VERSIONS = {}, {}   # filled by `read_report`
logger = logging.getLogger(__name__)


def read_report(app):
    """Load the report once, before anything is read."""
    path = Path(app.confdir) / REPORT
    if not path.is_file() or not (Path(app.confdir) / MUTANTS).is_file():
        raise ExtensionError(f"{REPORT} or {MUTANTS} is missing: run `make site`, which checks the claims first")
    report = json.loads(path.read_text())
    CLAIMS.update({row["id"]: row for row in report["claims"]})
    VERSIONS.update(report["versions"])


def number(value):
    return f"{value:.3g}" if value else "0"


def summary(row):
    """What the check found, in a few words."""
    if row["worst_ratio"] is None:
        return f"no violation at {len(row['points'])} parameter sets"
    return f"measured / bound at most {row['worst_ratio']:.3f} at {len(row['points'])} parameter sets"


def badge(app, docname, row):
    """One line: evidence, bound over measured, link to the source of the check."""
    module, function = row["source"].split(".py:")
    page = app.builder.get_relative_uri(docname, f"_modules/{module}")
    line = nodes.paragraph(classes=["evidence", f"evidence-{row['evidence']}", "passed" if row["passed"] else "failed"])
    line += nodes.strong(text=row["evidence"])
    line += nodes.Text(f" · {summary(row)} · ")
    line += nodes.reference("", "check", internal=True, refuri=f"{page}#{function}")
    line += nodes.Text(" · ")
    overview = app.builder.get_relative_uri(docname, "book/evidence")
    line += nodes.reference("", "all checks", internal=True, refuri=overview)
    return line


def add_badges(app, doctree, docname):
    for node in list(doctree.findall(_Graph)):
        names = {row["chapter"]: chapter_page(app, row["chapter"])[8:].replace("_", " ") for row in CLAIMS.values()}
        svg = graph.draw(list(CLAIMS.values()), lambda row: statement(app, docname, row), names)
        node.replace_self(nodes.raw("", f'<div class="claims-graph">{svg}</div>', format="html"))
    for node in list(doctree.findall(lambda n: isinstance(n, nodes.Element) and n.get("label", "").startswith(PREFIXES))):
        if node["label"] not in CLAIMS:
            logger.warning("no claim for the statement %s", node["label"], location=node)
            continue
        row = CLAIMS[node["label"]]
        if not row["passed"]:
            logger.warning("the claim %s failed", node["label"], location=node)
        node += badge(app, docname, row)


class _Table(SphinxDirective):
    """A Markdown table, parsed in place."""

    has_content = False

    def rows(self):
        raise AssertionError("a table says its rows")

    def run(self):
        header, *rows = self.rows()
        lines = ["| " + " | ".join(cells) + " |" for cells in (header, ["---"] * len(header), *rows)]
        node = nodes.container(classes=["wide-table"])
        self.state.nested_parse(StringList(lines, self.get_source_info()[0]), self.content_offset, node)
        return [node]


class _Graph(nodes.General, nodes.Element):
    """Where the graph goes, once the addresses of all pages are known."""


class ClaimsGraph(SphinxDirective):
    """The dependency graph of all statements."""

    has_content = False

    def run(self):
        return [_Graph()]


def statement(app, docname, row):
    """The address of a statement, from a page."""
    return f"{app.builder.get_relative_uri(docname, chapter_page(app, row['chapter']))}#{row['id']}"


def chapter_page(app, chapter):
    """The page of a chapter."""
    return next(d for d in app.env.found_docs if d.startswith(f"book/{chapter:02}_"))


class ClaimsTable(_Table):
    """Every claim: statement, evidence, parameter sets, bound and measured at the worst of them, time, source."""

    def rows(self):
        yield ["statement", "evidence", "rests on", "sets", "bound", "measured", "ratio", "seconds", "check"]
        for row in CLAIMS.values():
            worst = max(row["points"], key=lambda p: p["measured"] / p["bound"] if p["bound"] > 0 else p["measured"])
            ratio = "–" if row["worst_ratio"] is None else f"{row['worst_ratio']:.3f}"
            module, function = row["source"].split(".py:")
            yield [f"{{prf:ref}}`{row['id']}`", row["evidence"], row["rests_on"], str(len(row["points"])),
                   number(worst["bound"]), number(worst["measured"]), ratio, f"{row['seconds']:.1f}",
                   f'<a href="../_modules/{module}.html#{function}">{function}</a>']


class SampledTable(_Table):
    """What is only sampled, and why."""

    def rows(self):
        yield ["statement", "why it is sampled"]
        for row in CLAIMS.values():
            if row["evidence"] == "sampled":
                yield [f"{{prf:ref}}`{row['id']}`", row["reason"]]


class MutantsTable(_Table):
    """The mutation run: kinds and outcomes."""

    def rows(self):
        found = json.loads((Path(self.env.app.confdir) / MUTANTS).read_text())
        yield ["change", "mutants", "caught", "harmless, proved", "survived", "caught by"]
        for kind in dict.fromkeys(m["kind"] for m in found["mutants"]):
            mine = [m for m in found["mutants"] if m["kind"] == kind]
            by = Counter(m["by"] for m in mine if m["outcome"] == "caught")
            outcomes = Counter(m["outcome"] for m in mine)
            yield [kind, str(len(mine)), *(str(outcomes[o]) for o in ("caught", "harmless", "survived")),
                   ", ".join(f"{name} ({count})" for name, count in by.most_common())]
        total = Counter(m["outcome"] for m in found["mutants"])
        yield [f"**all, seed {found['seed']}**", str(found["count"]),
               *(str(total[o]) for o in ("caught", "harmless", "survived")), f"**score {100 * found['score']:.1f} %**"]


class HarmlessTable(_Table):
    """The harmless mutants and the proofs."""

    def rows(self):
        found = json.loads((Path(self.env.app.confdir) / MUTANTS).read_text())
        yield ["number", "network", "change", "block, layer, row", "proof"]
        for m in found["mutants"]:
            if m["outcome"] == "harmless":
                yield [str(m["number"]), m["network"], m["kind"], f"{m['block']}, {m['layer']}, {m['row']}", m["by"]]


class ConstantsTable(_Table):
    """The constants of chapter 02, computed while the book is built."""

    def rows(self):
        from lib import splines

        yield ["$m$", r"$\Lambda_m$ interior", r"$\Lambda_m$", "$q$", "$q_1$",
               *(f"$k_{{{a},{s}}}$" for s in (0, 1) for a in range(1 + s, 6))]
        for m in splines.ORDERS:
            N = 2 * m
            constants = [number(splines.peano_constant(m, N, a, s)) if a <= m else ""
                         for s in (0, 1) for a in range(1 + s, 6)]
            yield [str(m), number(float(splines.weight_sum(m, interior=True))), number(float(splines.weight_sum(m))),
                   number(splines.operator_norm(m, N)), number(splines.slope_norm(m, N)), *constants]


class FunctionalsTable(_Table):
    """Interior and left boundary functionals, exact."""

    def rows(self):
        from lib import splines

        yield ["$m$", "$j$", "nodes (unit mesh)", "weights"]
        for m in splines.ORDERS:
            for j in range(1 - m, 1):
                nodes_, weights = splines.functional(m, 2 * m, j)
                yield [str(m), str(j) if j < 0 else "0 (interior)", ", ".join(map(str, nodes_)), ", ".join(map(str, weights))]


class VersionsTable(_Table):
    """Versions behind the report."""

    def rows(self):
        yield ["package", "version"]
        yield from ([k, str(v)] for k, v in VERSIONS.items())


class BenchTable(_Table):
    """Rows of the record of ``python -m lib bench``: ``{bench-table} ROW ..``."""

    required_arguments, final_argument_whitespace = 1, True

    def rows(self):
        record = bench(self.env)
        yield ["", "ours", "other", "ratio"]
        for label in self.arguments[0].split():
            found = [r for r in record["rows"] if r["id"] == label]
            if not found:
                raise self.error(f"no row {label} in {RECORD}: run `make bench`")
            units = {r["unit"] for r in found}
            yield [f"*{record['meaning'][label]}*" + (f" In {found[0]['unit']}." if len(units) == 1 else ""), "", "", ""]
            for r in found:
                yield [r["case"] + (f" ({r['unit']})" if len(units) > 1 else ""), grouped(r["ours"]), grouped(r["other"]),
                       f"**{grouped(r['ratio'])}**"]


def grouped(value):
    """Three digits, in groups of three from a thousand on."""
    if not value or abs(value) < 1000:
        return number(value)
    return f"{float(f'{value:.3g}'):,.0f}".replace(",", "\u202f")


class BenchMachine(_Table):
    """Where the record was made."""

    def rows(self):
        machine = bench(self.env)["machine"]
        yield ["machine", ""]
        yield ["processor", f"{machine['processor']}, {machine['cores']} cores, {machine['threads']} threads"]
        yield ["versions", ", ".join(f"{k} {v}" for k, v in machine.items() if k not in ("processor", "cores", "threads"))]


def bench(env):
    """The record of the benchmarks."""
    path = Path(env.app.confdir) / RECORD
    env.note_dependency(str(path))
    return json.loads(path.read_text())


class NotebookFigure(SphinxDirective):
    """A figure of an executed notebook, with its caption and alternative text: ``{notebook-figure} NOTEBOOK NAME``."""

    required_arguments = 2

    def run(self):
        notebook, name = self.arguments
        root = Path(self.env.app.confdir)
        path = root / "notebooks" / f"{notebook}.ipynb"
        self.env.note_dependency(str(path))
        for cell in json.loads(path.read_text())["cells"]:
            meta = cell["metadata"].get("mystnb", {})
            if meta.get("figure", {}).get("name") == name:
                break
        else:
            raise self.error(f"no figure {name} in {path.name}")
        png = next(o["data"]["image/png"] for o in cell["outputs"] if "image/png" in o.get("data", {}))
        image = root / "_build" / "figures" / f"{name}.png"
        image.parent.mkdir(parents=True, exist_ok=True)
        image.write_bytes(base64.b64decode(png))
        figure = nodes.figure()
        figure += nodes.image(uri=f"/_build/figures/{name}.png", alt=meta["image"]["alt"])
        text, _ = self.state.inline_text(meta["figure"]["caption"], self.lineno)
        figure += nodes.caption("", "", *text)
        return [figure]


def setup(app):
    app.connect("builder-inited", read_report)
    app.connect("doctree-resolved", add_badges)
    app.add_node(_Graph)
    app.add_directive("claims-graph", ClaimsGraph)
    for name, directive in (("claims-table", ClaimsTable), ("sampled-table", SampledTable), ("mutants-table", MutantsTable),
                            ("harmless-table", HarmlessTable), ("constants-table", ConstantsTable),
                            ("functionals-table", FunctionalsTable), ("versions-table", VersionsTable),
                            ("bench-table", BenchTable), ("bench-machine", BenchMachine)):
        app.add_directive(name, directive)
    app.add_directive("notebook-figure", NotebookFigure)
    return {"version": "1", "parallel_read_safe": False, "parallel_write_safe": True}
