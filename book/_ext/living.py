"""Sphinx extension: living pictures, ``{living-picture} NAME`` with a caption as content.

The data of ``_build/pictures`` (see ``pictures.py``) go into the page, as a page opened from a disk
may not fetch them; ``living.js`` draws.  Without scripts a figure of a notebook stands in its
place.
"""

import json
from html import escape
from pathlib import Path

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.util.docutils import SphinxDirective

from evidence import notebook_image

SCRIPTS = ("vendor/d3.min.js", "vendor/plot.umd.min.js", "living.js")


class LivingPicture(SphinxDirective):
    required_arguments = 1
    has_content = True
    option_spec = {"alt": directives.unchanged_required, "fallback": directives.unchanged_required}

    def run(self):
        (name,) = self.arguments
        path = Path(self.env.app.confdir) / "_build" / "pictures" / f"{name}.json"
        if not path.is_file():
            raise self.error(
                f"{path.name} is missing: run `make site`, which computes the data of the pictures"
            )
        self.env.note_dependency(str(path))
        data = json.dumps(json.loads(path.read_text()), separators=(",", ":")).replace(
            "<", "\\u003c"
        )
        uri, still, _ = notebook_image(self.env, *self.options["fallback"].split())
        self.env.metadata[self.env.docname]["living"] = True
        caption = nodes.paragraph(classes=["living-caption"])
        text, _ = self.state.inline_text(" ".join(self.content), self.lineno)
        caption += [nodes.strong(text="Living picture. "), *text]
        alt = escape(self.options["alt"])
        opening = (
            f'<figure class="living" id="living-{name}" data-picture="{name}"'
            f' aria-label="{alt}"><script type="application/json">{data}</script><div'
            ' class="living-stage"></div><noscript>'
        )
        html = [
            nodes.raw("", text, format="html")
            for text in (opening, "</noscript><figcaption>", "</figcaption></figure>")
        ]
        return [html[0], nodes.image(uri=uri, alt=still), html[1], caption, html[2]]


def add_scripts(app, pagename, templatename, context, doctree):
    """Only pages with a picture load what draws."""
    if app.env.metadata.get(pagename, {}).get("living"):
        for script in SCRIPTS:
            app.add_js_file(script, loading_method="defer")


def setup(app):
    app.connect("html-page-context", add_scripts)
    app.add_directive("living-picture", LivingPicture)
    return {"version": "1", "parallel_read_safe": False, "parallel_write_safe": True}
