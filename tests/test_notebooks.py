"""Stored notebooks are complete: executed in order, without errors, with captions; nbval then compares their numbers."""

import json
from pathlib import Path

import pytest

from lib.claims import select

ROOT = Path(__file__).resolve().parent.parent
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
