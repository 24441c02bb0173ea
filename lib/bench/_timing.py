"""How the ratios are measured."""

import json
import subprocess
import sys
import time

import numpy as np

REPEATS = 7
_LEAST = 0.02   # seconds that a timed call lasts at least, by repetition


def _seconds(call):
    """Seconds that a call takes, repeated until the clock is no matter."""
    count, start = 0, time.perf_counter()
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
        Median of the ratios ``other / ours`` of neighbours, so that a drift of the machine's speed cancels.
    """
    ours()
    other()
    times = np.array([(_seconds(ours), _seconds(other)) for _ in range(repeats)])
    return *np.median(times, axis=0), float(np.median(times[:, 1] / times[:, 0]))


def exponent(sizes, calls, repeats=REPEATS):
    """The growth exponent of the costs: slope of log seconds over log size, fitted; with the median seconds.

    ``calls`` are timed in turn, as in `paired`.
    """
    for call in calls:
        call()
    times = np.median([[_seconds(call) for call in calls] for _ in range(repeats)], axis=0)
    return float(np.polyfit(np.log(sizes), np.log(times), 1)[0]), times


def peak_memory(code):
    """Run Python code in a process of its own; returns its peak resident memory in bytes and what it prints as JSON.

    The code prints one JSON document.
    """
    code += "\nimport resource, sys\nprint(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)\n"
    lines = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.splitlines()
    unit = 1 if sys.platform == "darwin" else 1024
    return int(lines[-1]) * unit, json.loads(lines[-2])
