"""A plugin of pytest, ``-p keep --keep FOLDER``: notebooks that nbval finds equal are kept with
the outputs of that run.
"""

from datetime import UTC, datetime
from pathlib import Path

import nbformat
import pytest
from nbval.plugin import IPyNbCell


def pytest_addoption(parser):
    parser.addoption(
        "--keep", metavar="FOLDER", help="where executed notebooks that passed are kept"
    )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    folder = item.config.getoption("keep")
    if folder is None or not isinstance(item, IPyNbCell):
        return (yield)
    begin = datetime.now(UTC)
    result = yield  # raises where the cell fails: nothing of this notebook is kept
    cell, notebook = item.cell, item.parent.nb
    cell.outputs = item.test_outputs
    cell.execution_count = item.cell_num + 1
    cell.metadata["execution"] = {
        "iopub.execute_input": begin.isoformat(),
        "shell.execute_reply": datetime.now(UTC).isoformat(),
    }
    passed = item.parent.stash.setdefault(_PASSED, [])
    passed.append(item.cell_num)
    if len(passed) == sum(c.cell_type == "code" for c in notebook.cells):
        keep(notebook, Path(folder) / item.path.name)
    return result


_PASSED = pytest.StashKey()


def keep(notebook, path):
    """Write a notebook beside ``path``, then rename it: none is half written."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_suffix(".part")
    nbformat.write(notebook, beside)
    beside.replace(path)
