"""Now in `lib.experiments`; the names from before work for one release."""

from lib._moved import moved

__getattr__ = moved(
    __name__, {"ROWS": "BENCHMARKS", "Row": "Row", "machine": "machine", "run": "benchmark"}
)
