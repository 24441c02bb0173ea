"""Stored notebooks are complete: executed in order, without errors, with captions; nbval then
compares their numbers.
"""

import ast
import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import nbformat
import pytest

from lib.claims import select

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "book" / "_ext"))
import colab  # noqa: E402  (scripts of the book)
import executed  # noqa: E402

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def test_a_tour_and_one_notebook_for_each_chapter_with_claims():
    chapters = {c.chapter for c in select()}
    pages = sorted((ROOT / "book").glob("[01][0-9]_*.md"))
    assert [p.stem for p in NOTEBOOKS] == ["00_tour"] + [
        p.stem for p in pages if int(p.stem[:2]) in chapters
    ]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_cells_are_executed_in_order_without_errors(path):
    cells = [c for c in json.loads(path.read_text())["cells"] if c["cell_type"] == "code"]
    assert [c["execution_count"] for c in cells] == list(range(1, len(cells) + 1))
    outputs = [o for c in cells for o in c["outputs"]]
    assert not [o for o in outputs if o["output_type"] == "error" or o.get("name") == "stderr"]
    assert [o for o in outputs if o.get("name") == "stdout"], "numbers are printed, not only drawn"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_every_figure_has_a_caption_a_name_and_alternative_text(path):
    for cell in json.loads(path.read_text())["cells"]:
        if any("image/png" in o.get("data", {}) for o in cell.get("outputs", [])):
            meta = cell["metadata"]["mystnb"]
            assert len(meta["figure"]["caption"]) > 40 and meta["figure"]["name"].startswith("fig-")
            assert len(meta["image"]["alt"]) > 30


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_notebooks_read_nothing_but_the_package(path):
    """They run alone: no file beside them, no folder of the project."""
    code = "\n".join(
        "".join(c["source"])
        for c in json.loads(path.read_text())["cells"]
        if c["cell_type"] == "code"
    )
    assert not re.search(r"""["'](\.\./|\./|book/|lib/|notebooks/)""", code)
    assert 'plt.style.use("lib.book")' in code


def private(source):
    """What a piece of code imports from the package, or takes from anything, by a private name."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [part for a in node.names for part in a.name.split(".")]
        elif isinstance(node, ast.ImportFrom):
            names = [*(node.module or "").split("."), *(a.name for a in node.names)]
        else:
            names = [node.attr] if isinstance(node, ast.Attribute) else []
        found += [n for n in names if n.startswith("_") and not n.endswith("__")]
    return found


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_notebooks_use_public_names_only(path):
    cells = json.loads(path.read_text())["cells"]
    assert not [
        name for c in cells if c["cell_type"] == "code" for name in private("".join(c["source"]))
    ]


@pytest.mark.parametrize(
    "code, names",
    [
        ("from lib.claims import _chapter08 as cases", ["_chapter08"]),
        ("from lib.robustness._side import compare", ["_side"]),
        ("import lib.limits._study as study", ["_study"]),
        ("def f():\n    from lib import _a\n    return _a._b(c.d)", ["_a", "_b"]),
        ("from lib import limits\n_, x = limits.path(0)\nprint(f.__name__)", []),
    ],
)
def test_private_names_are_seen(code, names):
    assert private(code) == names


def test_style_and_records_are_part_of_the_package():
    patterns = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"][
        "package-data"
    ]["lib"]
    packed = {p for pattern in patterns for p in (ROOT / "lib").glob(pattern)}
    data = {
        p
        for p in (ROOT / "lib").rglob("*")
        if p.is_file() and p.suffix != ".py" and "__pycache__" not in p.parts
    }
    assert data == packed and len(data) > 150


def test_notebooks_for_colab_install_the_wheel_first():
    notebook = json.loads(NOTEBOOKS[0].read_text())
    ready = colab.prepared(notebook, "project-1.0-py3-none-any.whl")
    first, *rest = ready["cells"]
    assert '"project-1.0-py3-none-any.whl[notebooks]"' in "".join(first["source"])
    assert [c["source"] for c in rest] == [c["source"] for c in notebook["cells"]]
    assert not [c for c in ready["cells"] if c.get("outputs")]


@pytest.fixture
def a_run(tmp_path):
    """A notebook of two cells that nbval has compared, kept by the plugin; and its stored form."""

    def cell(source, text, number):
        return nbformat.v4.new_code_cell(
            source,
            execution_count=number,
            outputs=[nbformat.v4.new_output("stream", name="stdout", text=text)],
        )

    stored = nbformat.v4.new_notebook(
        cells=[
            nbformat.v4.new_markdown_cell("Numbers."),
            cell("print(1 + 1)", "2\n", 1),
            cell("1 / 3", "", 2),
        ]
    )
    stored.cells[2].outputs = [
        nbformat.v4.new_output(
            "execute_result", {"text/plain": "0.3333333333333333"}, execution_count=2
        )
    ]

    def run(second="2\n"):
        stored.cells[1].outputs[0].text = second
        (tmp_path / "alone").mkdir(exist_ok=True)
        nbformat.write(stored, tmp_path / "alone" / "few.ipynb")
        command = [
            sys.executable,
            "-m",
            "pytest",
            "-p",
            "keep",
            "--keep",
            tmp_path / "_build/executed",
            "--nbval",
            tmp_path / "alone",
        ]
        return subprocess.run(
            command,
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": str(ROOT / "book/_ext")},
            capture_output=True,
            timeout=120,
        )

    return run, tmp_path


def test_what_nbval_has_compared_is_kept_and_shown(a_run):
    run, folder = a_run
    assert run().returncode == 0
    kept = nbformat.read(folder / "_build/executed/few.ipynb", 4)
    nbformat.validate(kept)
    first, second = (c for c in kept.cells if c.cell_type == "code")
    assert (
        first.outputs[0].text == "2\n"
        and second.outputs[0].data["text/plain"] == "0.3333333333333333"
    )
    assert set(first.metadata.execution) == {"iopub.execute_input", "shell.execute_reply"}
    # what was read is as it was
    assert "execution" not in nbformat.read(folder / "alone/few.ipynb", 4).cells[1].metadata
    (folder / "alone").rename(folder / "notebooks")
    assert executed.notebook(folder, "few") == folder / "_build/executed/few.ipynb"
    changed = nbformat.read(folder / "notebooks/few.ipynb", 4)
    changed.cells[1].source = "print(3 - 1)"
    nbformat.write(changed, folder / "notebooks/few.ipynb")  # the run is one of other code
    assert executed.notebook(folder, "few") == folder / "notebooks/few.ipynb"


def test_a_run_with_other_numbers_is_not_kept(a_run):
    run, folder = a_run
    assert run(second="3\n").returncode == 1
    assert not (folder / "_build/executed").exists()


def test_building_and_testing_leave_the_notebooks_alone():
    """The commands of the README write copies: nothing but `make refresh` writes into
    notebooks/.
    """
    for target in ("book", "test"):
        commands = subprocess.run(
            ["make", "--dry-run", "--always-make", target],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        ).stdout.splitlines()
        assert [line for line in commands if "notebooks/" in line]
        assert not [
            line
            for line in commands
            if re.search(r"(--inplace|touch|(cp|mv) \S+( \S+)*) +notebooks/", line)
        ]
    store = subprocess.run(
        ["make", "--dry-run", "refresh"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert re.search(r"cp (_build/executed/\S+ )+notebooks/", store)
