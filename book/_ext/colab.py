"""Notebooks for Google Colab: ``python book/_ext/colab.py NOTEBOOKS FOLDER``, where FOLDER holds
the wheel of the project.

Copies without outputs, each with a first cell that installs the wheel, which one uploads with the
notebook.
"""

import json
import sys
from pathlib import Path

INSTALL = """# Upload {wheel} to the session (folder icon on the left), then run this cell.
%pip install --quiet "{wheel}[notebooks]"
"""


def prepared(notebook, wheel):
    """The notebook, a dict, without outputs and with a cell in front that installs the wheel."""
    cells = [
        {**c, "outputs": [], "execution_count": None} if c["cell_type"] == "code" else c
        for c in notebook["cells"]
    ]
    first = {
        "cell_type": "code",
        "id": "cell-install",
        "metadata": {},
        "outputs": [],
        "execution_count": None,
        "source": INSTALL.format(wheel=wheel).splitlines(keepends=True),
    }
    return {**notebook, "cells": [first, *cells]}


def main(notebooks, folder):
    (wheel,) = folder.glob("*.whl")
    for path in sorted(notebooks.glob("*.ipynb")):
        (folder / path.name).write_text(
            json.dumps(prepared(json.loads(path.read_text()), wheel.name), indent=1)
        )


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
