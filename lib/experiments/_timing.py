"""How the ratios are measured (book: "Speed")."""

import json
import subprocess
import sys
import time

import numpy as np

REPEATS = 7
_LEAST = 0.02  # seconds that a timed call lasts at least, by repetition


def _seconds(call):
    """Seconds that a call takes, repeated until the clock is no matter."""
    count = 0
    start = time.perf_counter()
    while count == 0 or time.perf_counter() - start < _LEAST:
        call()
        count += 1
    return (time.perf_counter() - start) / count


def paired(ours, other, repeats=REPEATS):
    """Time two calls in turn, after one warm-up each.

    Returns
    -------
    ours, other : float
        Median seconds.
    ratio : float
        Median of the ratios ``other / ours`` of neighbours, so that a drift of the machine's speed
        cancels.
    """
    ours()
    other()
    times = np.array([(_seconds(ours), _seconds(other)) for _ in range(repeats)])
    return *np.median(times, axis=0), float(np.median(times[:, 1] / times[:, 0]))


def exponent(sizes, calls, repeats=REPEATS):
    """The growth exponent of the costs: slope of log seconds over log size, fitted; with the median
    seconds.

    ``calls`` are timed in turn, as in `paired`.
    """
    for call in calls:
        call()
    times = np.median([[_seconds(call) for call in calls] for _ in range(repeats)], axis=0)
    return float(np.polyfit(np.log(sizes), np.log(times), 1)[0]), times


_PEAK = """
import resource, sys
try:   # ru_maxrss of a new process may be the peak of the one that started it
    line = next(line for line in open("/proc/self/status") if line.startswith("VmHWM:"))
    print(int(line.split()[1]) * 1024)
except (OSError, StopIteration):
    unit = 1 if sys.platform == "darwin" else 1024
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit)
"""


def peak_memory(code):
    """Run Python code, which prints one JSON document, in a process of its own.

    Returns
    -------
    bytes : int
        Its peak resident memory.
    printed
        What it printed.
    """
    found = subprocess.run(
        [sys.executable, "-c", code + _PEAK], capture_output=True, text=True, check=True
    )
    *_, printed, peak = found.stdout.splitlines()
    return int(peak), json.loads(printed)
