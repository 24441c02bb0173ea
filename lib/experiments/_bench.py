"""The table of costs: each row is a ratio of two costs, or an exponent, measured in one run (book:
"Speed"). The rows are in `_bench_evaluation`, `_bench_making` and `_bench_training`.
"""

import inspect
import os
import platform
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version

import torch
from threadpoolctl import threadpool_limits

from lib.convresnet import threads
from lib.experiments._timing import REPEATS, paired

WAVE, SMOOTH = "sin(2*pi*x1)*exp(x2)", "sin(2*x1)*exp(x2/2)*cos(2*x3)"
ORDER = 4
BENCHMARKS: dict[str, Callable] = {}


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes
    ----------
    id, case : str
    ratio : float
        ``other / ours``, or an exponent.
    ours, other : float
    unit : str
        Of ``ours`` and ``other``.
    """

    id: str
    case: str
    ratio: float
    ours: float
    other: float
    unit: str


def row(label):
    """Decorator: register a generator of ``(case, ratio, ours, other, unit)``; its first line
    says what is compared.
    """

    def register(function):
        BENCHMARKS[label] = function
        return function

    return register


def benchmark(
    ids: list[str] | None = None,
    training: float = 60.0,
    report: Callable[[Row], object] = lambda row: None,
) -> dict:
    """Measure.

    Parameters
    ----------
    ids : list of str, optional
        Some of `BENCHMARKS`; all by default.
    training : float
        Seconds for each of the trained networks.
    report : callable
        Called with each `Row` when it is known.

    Returns
    -------
    dict
        ``{"machine": .., "meaning": .., "rows": [..]}``, ready for JSON.
    """
    rows = []
    for label in ids or BENCHMARKS:
        function = BENCHMARKS[label]
        for found in function(training) if inspect.signature(function).parameters else function():
            rows.append(Row(label, *found))
            report(rows[-1])
    meaning = {label: inspect.getdoc(BENCHMARKS[label]) for label in ids or BENCHMARKS}
    return {"machine": machine(), "meaning": meaning, "rows": [asdict(r) for r in rows]}


def machine() -> dict:
    """Processor, threads and versions."""
    try:
        model = (
            next(line for line in open("/proc/cpuinfo") if line.startswith("model name"))
            .split(":")[1]
            .strip()
        )
    except (OSError, StopIteration):
        model = platform.processor() or platform.machine()
    found = {
        "processor": model,
        "cores": os.cpu_count(),
        "threads": threads(),
        "python": platform.python_version(),
    }
    for package in ("torch", "numpy", "scipy", "numba", "interpn"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = None
    return found


def nano(seconds, count):
    return seconds / count * 1e9


def per_point(case, ours, other, points, repeats=REPEATS):
    """A row that compares two calls at the same points."""
    ours, other, ratio = paired(ours, other, repeats)
    return case, ratio, nano(ours, points), nano(other, points), "ns a point"


def single(function):
    """Decorator: measured on one thread."""

    def on_one_thread(*args):
        before = threads()
        torch.set_num_threads(1)
        try:
            with threadpool_limits(1):  # the BLAS of numpy
                yield from function(*args)
        finally:
            torch.set_num_threads(before)

    on_one_thread.__doc__ = function.__doc__
    setattr(on_one_thread, "__signature__", inspect.signature(function))  # noqa: B010
    return on_one_thread
