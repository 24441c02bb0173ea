"""Stored notebooks are complete: executed in order, without errors, with captions; nbval then compares their numbers."""

import json
import re
import sys
import tomllib
from pathlib import Path

import pytest

from lib.claims import select

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "book" / "_ext"))
import colab  # noqa: E402  (a script of the book)

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def test_a_tour_and_one_notebook_for_each_chapter_with_claims():
    chapters = {c.chapter for c in select()}
    pages = sorted((ROOT / "book").glob("[01][0-9]_*.md"))
    assert [p.stem for p in NOTEBOOKS] == ["00_tour"] + [p.stem for p in pages if int(p.stem[:2]) in chapters]


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
    code = "\n".join("".join(c["source"]) for c in json.loads(path.read_text())["cells"] if c["cell_type"] == "code")
    assert not re.search(r"""["'](\.\./|\./|book/|lib/|notebooks/)""", code)
    assert 'plt.style.use("lib.book")' in code


def test_style_and_records_are_part_of_the_package():
    patterns = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]["lib"]
    packed = {p for pattern in patterns for p in (ROOT / "lib").glob(pattern)}
    data = {p for p in (ROOT / "lib").rglob("*") if p.is_file() and p.suffix != ".py" and "__pycache__" not in p.parts}
    assert data == packed and len(data) > 150


def test_notebooks_for_colab_install_the_wheel_first():
    notebook = json.loads(NOTEBOOKS[0].read_text())
    ready = colab.prepared(notebook, "project-1.0-py3-none-any.whl")
    first, *rest = ready["cells"]
    assert '"project-1.0-py3-none-any.whl[notebooks]"' in "".join(first["source"])
    assert [c["source"] for c in rest] == [c["source"] for c in notebook["cells"]]
    assert not [c for c in ready["cells"] if c.get("outputs")]
