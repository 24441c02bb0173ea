"""Records of runs: one file each, interrupted and resumed, never half a file."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lib import InputError, sweep

ROOT = Path(__file__).parent.parent
CELLS = [{"name": name, "number": n} for name in ("a", "b") for n in (1, 2.5)]


def _product(name, number):
    return {"product": name * int(2 * number)}


def _refuse(name, number):
    if name == "b":
        raise RuntimeError("no b today")
    return _product(name, number)


def _forbidden(name, number):
    raise AssertionError("run again")


def test_every_cell_has_a_record(tmp_path):
    seen = []
    found = sweep.run(
        _product, CELLS, tmp_path / "new", progress=lambda items, total: seen.append(total) or items
    )
    assert seen == [4] and [row["cell"] for row in found] == CELLS
    assert [row["result"]["product"] for row in found] == ["aa", "aaaaa", "bb", "bbbbb"]
    assert all(row["seconds"] >= 0 and "torch" in row["versions"] for row in found)
    assert sorted(p.name for p in (tmp_path / "new").iterdir()) == sorted(
        map(sweep.file_name, CELLS)
    )


def test_records_are_not_made_again(tmp_path):
    first = sweep.run(_product, CELLS[:2], tmp_path)
    assert sweep.run(_forbidden, CELLS[:2], tmp_path) == first
    assert sweep.run(_product, CELLS, tmp_path)[:2] == first


def test_an_error_keeps_what_is_done(tmp_path):
    with pytest.raises(RuntimeError, match="no b today"):
        sweep.run(_refuse, CELLS, tmp_path)
    assert len(list(tmp_path.iterdir())) == 2
    assert len(sweep.run(_product, CELLS, tmp_path)) == 4


def test_several_processes(tmp_path):
    one = sweep.run(_product, CELLS, tmp_path / "one")
    two = sweep.run(_product, CELLS, tmp_path / "two", jobs=2)
    assert [r["result"] for r in one] == [r["result"] for r in two]


def test_a_killed_run_is_resumed(tmp_path):
    """Killed without warning after the first record; what is there is whole, and the rest is
    made later.
    """
    code = (
        f"import sys, time; sys.path.insert(0, {str(ROOT)!r})\nfrom lib import sweep\ndef"
        " slow(name, number):\n    time.sleep(0.0 if name == 'a' else 60.0)\n    return"
        f" {{'product': name}}\nsweep.run(slow, {CELLS!r}, {str(tmp_path)!r})\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code])
    limit = time.monotonic() + 60
    while len(list(tmp_path.glob("a-*.json"))) < 2 and time.monotonic() < limit:
        time.sleep(0.05)
    process.kill()
    process.wait()
    for path in tmp_path.glob("*.json"):
        assert json.loads(path.read_text())["result"] == {"product": "a"}
    found = sweep.run(_product, CELLS, tmp_path)
    assert [row["result"]["product"] for row in found] == ["a", "a", "bb", "bbbbb"]


def test_names_differ_where_cells_differ():
    others = [{"name": "a", "number": 1.5}, {"name": "a", "other": 1}]
    assert len({sweep.file_name(c) for c in [*CELLS, *others]}) == 6
    assert sweep.file_name({"number": 1, "name": "b"}) == sweep.file_name(
        {"name": "b", "number": 1}
    )


@pytest.mark.parametrize("folder", ("missing/new", "file"))
def test_bad_folder(tmp_path, folder):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="folder"):
        sweep.run(_product, CELLS, tmp_path / folder)


def test_reading_a_missing_record(tmp_path):
    with pytest.raises(InputError, match="cell"):
        sweep.read(tmp_path, CELLS)


@pytest.mark.parametrize("rest", [b"", b"{", b'{"cell": 1}', b"[]", b"\xff"])
def test_a_record_that_was_cut_short_is_named_and_made_again(tmp_path, rest):
    whole = sweep.run(_product, CELLS, tmp_path)
    path = tmp_path / sweep.file_name(CELLS[1])
    path.write_bytes(rest)
    with pytest.raises(InputError, match=f"record = .{path.name}"):
        sweep.read(tmp_path, CELLS)
    again = sweep.run(_product, CELLS, tmp_path)
    assert [r["result"] for r in again] == [r["result"] for r in whole]


@pytest.mark.parametrize("name", ["folder", "missing/file"])
def test_a_file_that_cannot_be_written_is_refused_at_once(tmp_path, name):
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError, match="--json"):
        sweep.write_json(tmp_path / name, {})
    assert [p.name for p in tmp_path.rglob("*")] == ["folder"]
