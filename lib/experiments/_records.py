"""Many runs of one function, each kept in a file of its own: can be interrupted and resumed
(book: chapters 08 and 09).
"""

import hashlib
import json
import os
import platform
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from lib.errors import refuse, require

RECORDS = Path(__file__).parent / "records"  # of the runs that the book reports


def write_json(path: str | Path, data: object, name: str = "--json") -> None:
    """Write beside the file and rename: never half a file.

    Raises
    ------
    InputError
        As `check_file`; ``name`` is what the user calls the path.
    """
    path = check_file(path, name)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".json-")
    try:
        with os.fdopen(handle, "w") as file:
            json.dump(data, file, indent=1)
        os.chmod(temporary, 0o644)  # mkstemp makes private files
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def check_file(path: str | Path, name: str) -> Path:
    """The path of a file that can be written; raises `InputError` otherwise, before any work is
    done.
    """
    path = Path(path)
    require(path.parent.is_dir(), name, str(path), "in a folder that exists")
    require(not path.is_dir(), name, str(path), "a file, not a folder")
    require(os.access(path.parent, os.W_OK), name, str(path), "in a folder that can be written to")
    return path


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that numbers depend on, dict of str."""
    import numpy
    import scipy
    import sympy
    import torch

    modules = {"numpy": numpy, "scipy": scipy, "sympy": sympy, "torch": torch}
    return {
        "python": platform.python_version(),
        **{k: str(m.__version__) for k, m in modules.items()},
    }


def file_name(cell: dict) -> str:
    """The name of a cell's record: readable, and different for different cells."""
    text = json.dumps(cell, sort_keys=True)
    words = "-".join(str(v) for _, v in sorted(cell.items()) if isinstance(v, (str, int)))
    return f"{words[:60]}-{hashlib.sha256(text.encode()).hexdigest()[:10]}.json"


def measured(function: Callable[..., dict], cell: dict) -> dict:
    """Run one cell in one thread: its record, a dict ready for JSON."""
    import torch

    torch.set_num_threads(1)
    start = time.perf_counter()
    result = function(**cell)
    return {
        "cell": cell,
        "result": result,
        "seconds": round(time.perf_counter() - start, 1),
        "versions": versions(),
    }


def run(
    function: Callable[..., dict],
    cells: list[dict],
    folder: str | Path,
    jobs: int = 1,
    progress: Callable[[Iterator, int], Iterable] = lambda items, total: items,
    scheduler: str | None = None,
) -> list[dict]:
    """Run the cells that have no record yet, and return the records of all.

    Parameters
    ----------
    function : callable
        ``function(**cell) -> dict`` ready for JSON; importable, as it may run in another process.
    cells : list of dict
        Keyword arguments, ready for JSON.
    folder : path
        Where records are, one file each, written here as they arrive; made if its parent exists.
    jobs : int
        Number of processes on this machine.
    progress : callable
        Wraps an iterator and its length, for a progress bar.
    scheduler : str, optional
        Address of a Dask scheduler, ``tcp://host:port``: its workers run the cells.  They need this
        package; a cell whose worker is lost is given to another one.

    Returns
    -------
    list of dict
        In the order of the cells: ``cell``, ``result``, ``seconds``, ``versions``.

    Raises
    ------
    InputError
        For a folder that cannot be made.
    """
    folder = Path(folder)
    require(
        folder.is_dir() or folder.parent.is_dir() and not folder.exists(),
        "folder",
        str(folder),
        "a folder, or a new one in a folder that exists",
    )
    folder.mkdir(exist_ok=True)
    # also what was cut short
    missing = [cell for cell in cells if _record(folder / file_name(cell)) is None]
    arriving = (
        _local(function, missing, jobs)
        if scheduler is None
        else _cluster(function, missing, scheduler)
    )
    for found in progress(arriving, len(missing)):
        write_json(folder / file_name(found["cell"]), found)
    return read(folder, cells)


def _local(function, cells, jobs):
    from joblib import Parallel, delayed

    return Parallel(n_jobs=jobs, return_as="generator_unordered")(
        delayed(measured)(function, cell) for cell in cells
    )


def _cluster(function, cells, scheduler):
    try:
        from distributed import Client, as_completed
    except ImportError:
        refuse(
            "scheduler",
            scheduler,
            "left out, or `distributed` installed, as by the extra `cluster`",
        )
    try:
        client = Client(scheduler, timeout=10)
    except (OSError, ValueError) as error:
        refuse(
            "scheduler",
            scheduler,
            f"the address of a Dask scheduler that answers ({type(error).__name__})",
        )
    with client:
        futures = [client.submit(measured, function, cell, pure=False) for cell in cells]
        for future in as_completed(futures):
            yield future.result()


def read(folder: str | Path, cells: list[dict]) -> list[dict]:
    """The records of these cells, which must be there.

    Raises
    ------
    InputError
        For a record that is missing or cut short.
    """
    found = []
    for cell in cells:
        path = Path(folder) / file_name(cell)
        require(path.exists(), "cell", cell, f"one with a record in {folder}")
        found.append(_record(path))
        require(
            found[-1] is not None,
            "record",
            path.name,
            f"whole (run the sweep in {folder} again: it is made anew)",
        )
    return found


def _record(path):
    """A record, or None where there is no whole one."""
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) and {"cell", "result"} <= found.keys() else None
