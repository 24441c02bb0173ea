"""Sphinx extension: evidence under each statement, the graph of statements, figures of the
notebooks.

Reads ``_build/claims.json``, the report of ``python -m lib verify --json`` (see ``make site``).
"""

import base64
import json
import sys
from pathlib import Path

from docutils import nodes
from sphinx.errors import ExtensionError
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

sys.path.insert(0, str(Path(__file__).parent))
import executed  # noqa: E402  (neighbours of this file)
import graph  # noqa: E402
import links  # noqa: E402

REPORT, MUTANTS = "_build/claims.json", "_build/mutants.json"
PREFIXES = ("lem-", "prop-", "thm-", "cor-", "def-")
CLAIMS, VERSIONS = {}, {}  # filled by `read_report`
logger = logging.getLogger(__name__)


def read_report(app):
    """Load the report once, before anything is read."""
    path = Path(app.confdir) / REPORT
    if not path.is_file() or not (Path(app.confdir) / MUTANTS).is_file():
        raise ExtensionError(
            f"{REPORT} or {MUTANTS} is missing: run `make site`, which checks the claims first"
        )
    report = json.loads(path.read_text())
    CLAIMS.update({row["id"]: row for row in report["claims"]})
    VERSIONS.update(report["versions"])


def number(value):
    return f"{value:.3g}" if value else "0"


def summary(row):
    """What the check found, in a few words."""
    if row["worst_ratio"] is None:
        return f"no violation at {len(row['points'])} parameter sets"
    return (
        f"measured / bound at most {row['worst_ratio']:.3f} at {len(row['points'])} parameter sets"
    )


def badge(app, docname, row):
    """Two lines: the evidence and how near the bound is; the code, the check and, in words, what
    the check must reject.
    """
    from lib.claims import REGISTRY

    def link(page, anchor, text, literal=False):
        address = app.builder.get_relative_uri(docname, page) + (f"#{anchor}" if anchor else "")
        inner = [nodes.literal(text=text)] if literal else [nodes.Text(text)]
        return nodes.reference("", "", *inner, internal=True, refuri=address)

    line = nodes.paragraph(
        classes=["evidence", f"evidence-{row['evidence']}", "passed" if row["passed"] else "failed"]
    )
    line += nodes.strong(text=row["evidence"])
    line += nodes.Text(f" · {summary(row)} · ")
    line += link("book/evidence", None, "all checks")
    code = nodes.paragraph(classes=["evidence"])
    for i, (name, anchor) in enumerate(links.DECLARED.get(row["id"], [])):
        code += [nodes.Text(", " if i else "code "), link("book/api", anchor, name, literal=True)]
    module, function = row["source"].split(".py:")
    source = f"_modules/{module}"
    code += [
        nodes.Text(" · " if len(code) else ""),
        link(source, function, "check"),
        nodes.Text(" · must reject "),
        link(source, function, REGISTRY[row["id"]].wrong),
    ]
    return [line, code]


def add_badges(app, doctree, docname):
    for node in list(doctree.findall(_Graph)):
        names = {
            row["chapter"]: chapter_page(app, row["chapter"])[8:].replace("_", " ")
            for row in CLAIMS.values()
        }
        svg = graph.draw(list(CLAIMS.values()), lambda row: statement(app, docname, row), names)
        node.replace_self(nodes.raw("", f'<div class="claims-graph">{svg}</div>', format="html"))
    for node in list(
        doctree.findall(
            lambda n: isinstance(n, nodes.Element) and n.get("label", "").startswith(PREFIXES)
        )
    ):
        if node["label"] not in CLAIMS:
            logger.warning("no claim for the statement %s", node["label"], location=node)
            continue
        row = CLAIMS[node["label"]]
        if not row["passed"]:
            logger.warning("the claim %s failed", node["label"], location=node)
        node += badge(app, docname, row)


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


def notebook_image(env, notebook, name):
    """Write a figure of an executed notebook where the builder finds it: its address,
    alternative text and caption.
    """
    root = Path(env.app.confdir)
    path = executed.notebook(root, notebook)
    env.note_dependency(str(path))
    cells = json.loads(path.read_text())["cells"]
    found = [
        c for c in cells if c["metadata"].get("mystnb", {}).get("figure", {}).get("name") == name
    ]
    if not found:
        raise ExtensionError(f"no figure {name} in {path.name}")
    meta = found[0]["metadata"]["mystnb"]
    png = next(
        o["data"]["image/png"] for o in found[0]["outputs"] if "image/png" in o.get("data", {})
    )
    image = root / "_build" / "figures" / f"{name}.png"
    image.parent.mkdir(parents=True, exist_ok=True)
    image.write_bytes(base64.b64decode(png))
    return f"/_build/figures/{name}.png", meta["image"]["alt"], meta["figure"]["caption"]


class NotebookFigure(SphinxDirective):
    """A figure of an executed notebook, with its caption and alternative text:
    ``{notebook-figure} NOTEBOOK NAME``.
    """

    required_arguments = 2

    def run(self):
        uri, alt, caption = notebook_image(self.env, *self.arguments)
        figure = nodes.figure()
        figure += nodes.image(uri=uri, alt=alt)
        text, _ = self.state.inline_text(caption, self.lineno)
        figure += nodes.caption("", "", *text)
        return [figure]


def setup(app):
    app.connect("builder-inited", read_report)
    app.connect("doctree-resolved", add_badges)
    app.add_node(_Graph)
    app.add_directive("claims-graph", ClaimsGraph)
    app.add_directive("notebook-figure", NotebookFigure)
    return {"version": "1", "parallel_read_safe": False, "parallel_write_safe": True}
