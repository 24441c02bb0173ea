"""Sphinx extension: ways between statements, code and sources.

Under each statement stand the public functions that name it (`DECLARED`, shown by ``evidence``);
under each entry of the library its statements; under each source the pages that cite it; and there
is an index of all statements.
"""

import importlib
import inspect
import re
import sys
from pathlib import Path

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.util.docutils import SphinxDirective

LABEL = re.compile(r"\b(?:lem|prop|thm|cor|def)-[a-z-]*[a-z]\b")
TITLE = re.compile(r":::\{prf:\w+\} ([^\n]+)\n:label: (\S+)")
CHAPTERS = {
    "contrast": 1,
    "splines": 2,
    "relu": 3,
    "convresnet": 4,
    "approximation": 5,
    "domains": 5,
    "formulas": 5,
    "targets": 5,
    "manifolds": 6,
    "limits": 8,
    "robustness": 9,
    "certify": 10,
    "intervals": 10,
}  # of subpackages
OTHERWISE = {
    "claims": "/book/evidence",
    "errors": "/book/troubleshooting",
    "norms": "/book/01_smoothness",
    "experiments": "/book/speed",
    "experiments._digits": "/book/09_robustness",
    "experiments._records": "/book/running",
    "experiments._study": "/book/08_limits",
    "experiments._sweep": "/book/09_robustness",
}  # of subpackages, and of modules where a subpackage has several pages
DECLARED = {}  # label -> [(public name, anchor on the page of the library)], filled by `find`


def _registry():
    from lib.claims import REGISTRY

    return REGISTRY


def modules(root):
    """The modules on the page of the library, in its order."""
    return re.findall(r"automodule:: (\S+)", (root / "book" / "api.md").read_text())


def public(module):
    """The functions and classes that a module defines and shows."""
    members = vars(importlib.import_module(module)).items()
    return [
        (name, item)
        for name, item in members
        if not name.startswith("_")
        and getattr(item, "__module__", None) == module
        and (inspect.isfunction(item) or inspect.isclass(item))
    ]


def labels(item):
    """The statements that a docstring names, in order."""
    return [
        label
        for label in dict.fromkeys(LABEL.findall(inspect.getdoc(item) or ""))
        if label in _registry()
    ]


def statements_of(name, item):
    """The statements of an entry of the library: those it names, or else those its module names."""
    module = item.__module__
    if module.startswith("lib.claims._chapter"):
        return [label for label in [name.replace("_", "-")] if label in _registry()]
    return labels(item) or labels(sys.modules[module])


def find(app):
    """For each statement the functions that name it, once."""
    DECLARED.clear()
    for module in modules(Path(app.confdir)):
        shown = ".".join(
            part for part in module.split(".") if not part.startswith("_")
        ).removeprefix("lib.")
        if not shown.startswith("claims"):
            for name, item in public(module):
                for label in labels(item):
                    DECLARED.setdefault(label, []).append(
                        (f"{shown}.{name}".removeprefix("lib."), f"{module}.{name}")
                    )


def lead_back(app, what, name, item, options, lines):
    """Under the docstring of a function or class: its statements, or else its chapter."""
    if what not in ("function", "class"):
        return
    found = statements_of(name.rsplit(".", 1)[1], item)
    if found:
        line = "*In the book:* " + ", ".join(f":prf:ref:`{label}`" for label in found)
    else:
        module = item.__module__.removeprefix("lib.")
        part = module.split(".")[0]
        page = OTHERWISE.get(module) or OTHERWISE.get(part) or "/" + _page(app, CHAPTERS[part])
        line = f"*In the book:* :doc:`{page}`"
    lines += ["", line, ""]


def _page(app, chapter):
    return next(d for d in sorted(app.env.found_docs) if d.startswith(f"book/{chapter:02}_"))


def lead_to_citations(app, doctree, docname):
    """Behind each source the pages that cite it."""
    cited = {}
    for reference in app.env.get_domain("cite").citation_refs:
        for key in (target.key for target in reference.targets):
            cited.setdefault(key, {})[reference.docname] = None
    keys = {c.citation_id: c.key for c in app.env.get_domain("cite").citations}
    for node in doctree.findall(nodes.citation):
        key = next((keys[i] for i in node["ids"] if i in keys), None)
        if key is None or not cited.get(key):
            continue
        line = nodes.inline(classes=["cited-in"])
        line += nodes.Text(" Cited in ")
        for i, page in enumerate(sorted(cited[key])):
            title = app.env.titles[page].astext()
            line += [
                nodes.Text("; " if i else ""),
                nodes.reference(
                    "", title, internal=True, refuri=app.builder.get_relative_uri(docname, page)
                ),
            ]
        line += nodes.Text(".")
        node[-1] += line


class StatementsIndex(SphinxDirective):
    """Every statement by chapter: number and title, evidence, what its proof uses, what uses it,
    code.
    """

    has_content = False

    def run(self):
        users = {}
        named = titles(Path(self.env.app.confdir))
        for claim in _registry().values():
            for used in claim.uses:
                users.setdefault(used, []).append(claim.id)
        lines, chapter = [], None
        for claim in _registry().values():
            if claim.chapter != chapter:
                chapter = claim.chapter
                page = _page(self.env.app, chapter)
                lines += [
                    "",
                    f"**[](/{page}.md)**",
                    "",
                    "| statement | label | evidence | its proof uses | used by | code |",
                    "| --- | --- | --- | --- | --- | --- |",
                ]
            code = (
                ", ".join(
                    f"{{py:obj}}`{name} <{anchor}>`" for name, anchor in DECLARED.get(claim.id, [])
                )
                or "–"
            )
            cells = [
                f"{{prf:ref}}`{claim.id}` {named[claim.id]}",
                f"`{claim.id}`",
                claim.evidence.kind,
                _list(claim.uses),
                _list(users.get(claim.id, ())),
                code,
            ]
            lines.append(f"| {' | '.join(cells)} |")
        node = nodes.container(classes=["wide-table"])
        self.state.nested_parse(
            StringList(lines, self.get_source_info()[0]), self.content_offset, node
        )
        return [node]


def titles(root):
    """The titles of the statements, as they stand in the chapters."""
    pages = sorted((root / "book").glob("[01][0-9]_*.md"))
    return {label: title for page in pages for title, label in TITLE.findall(page.read_text())}


def _list(found):
    return ", ".join(f"{{prf:ref}}`{label}`" for label in found) or "–"


def setup(app):
    app.connect("builder-inited", find)
    app.connect("autodoc-process-docstring", lead_back)
    app.connect("doctree-resolved", lead_to_citations)
    app.add_directive("statements-index", StatementsIndex)
    return {"version": "1", "parallel_read_safe": False, "parallel_write_safe": True}
