"""The form of the code: widths that a page and a window show, and one formatter (`make lint`)."""

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SOURCES = [p for folder in ("lib", "tests", "book/_ext") for p in (ROOT / folder).rglob("*.py")]
PAGES = [*(ROOT / "book").glob("*.md"), ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
WIDTH, SHOWN = 100, 80


def wide(lines, width):
    """The numbers of the lines above a width, from 1 on."""
    return [i for i, line in enumerate(lines, 1) if len(line) > width]


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_no_line_of_the_code_is_above_its_width(path):
    assert not wide(path.read_text().splitlines(), WIDTH)


@pytest.mark.parametrize("path", sorted((ROOT / "notebooks").glob("*.ipynb")), ids=lambda p: p.stem)
def test_no_line_of_a_notebook_is_above_its_width(path):
    cells = json.loads(path.read_text())["cells"]
    code = ["".join(c["source"]) for c in cells if c["cell_type"] == "code"]
    assert not [wide(c.splitlines(), SHOWN) for c in code if wide(c.splitlines(), SHOWN)]


@pytest.mark.parametrize("path", PAGES, ids=lambda p: p.stem)
def test_no_line_of_code_in_the_book_is_above_its_width(path):
    for code in re.findall(r"```python\n(.*?)```", path.read_text(), re.S):
        assert not wide(code.splitlines(), SHOWN)
