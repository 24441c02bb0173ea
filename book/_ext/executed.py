"""The runs of the notebooks that the book shows: those of this machine where there are any, else
the stored ones.

`make book` executes copies of the notebooks in ``_build/executed`` and `make test` keeps there what
it has compared, so neither writes into ``notebooks/``.  As a Sphinx extension this module hands the
copies to the reader of notebooks.
"""

import json
from pathlib import Path

FOLDER = "_build/executed"


def notebook(root, name):
    """The path of the notebook ``name`` with the outputs to show: the executed copy if it has
    the code of the stored one.
    """
    stored, copy = (Path(root) / folder / f"{name}.ipynb" for folder in ("notebooks", FOLDER))
    return copy if copy.is_file() and _sources(copy) == _sources(stored) else stored


def _sources(path):
    return [
        (cell["cell_type"], "".join(cell["source"]))
        for cell in json.loads(path.read_text())["cells"]
    ]


def show_this_run(app, docname, source):
    """Replace what was read of a notebook by the run to show."""
    folder, _, name = docname.rpartition("/")
    if folder == "notebooks":
        source[0] = notebook(app.confdir, name).read_text()


def setup(app):
    app.connect("source-read", show_this_run)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
