"""Recorded runs: what takes long is done once and kept, with seeds and versions.

The machinery is `run` and `read`.  There are four experiments: the study of chapter 08
(``study_``: the built network against the same architecture trained); the sweep of chapter 09
(``sweep_``: width x depth x training) with what is asked of some of its classifiers
(``headline_``, ``strong_``, ``proved_``); the rotated digits of the same chapter (``digits_``);
and the costs of the page "Speed" (`benchmark`).  For each but the last, ``.._run`` computes one
cell, and ``.._cells`` (of the study: `study_tuning` and `study_comparison`) lists those of the
book, whose records are in `RECORDS`.  `EPOCHS`, `SEEDS` and `RADIUS` are those of the sweep,
`AMBIENT` the radii of the attacks on rotated digits.
"""

from lib.experiments import _bench_evaluation, _bench_making, _bench_training  # noqa: F401
from lib.experiments._bench import BENCHMARKS, Row, benchmark, machine
from lib.experiments._digits import AMBIENT, digits_cells, digits_run
from lib.experiments._records import (
    RECORDS,
    check_file,
    file_name,
    measured,
    read,
    run,
    versions,
    write_json,
)
from lib.experiments._study import (
    built,
    start,
    study,
    study_comparison,
    study_errors,
    study_run,
    study_summary,
    study_tuning,
)
from lib.experiments._sweep import (
    EPOCHS,
    RADIUS,
    SEEDS,
    headline_cells,
    headline_run,
    proved_cells,
    proved_run,
    strong_cells,
    strong_run,
    sweep,
    sweep_cells,
    sweep_run,
    sweep_summary,
    trained,
)

__all__ = [
    "AMBIENT",
    "BENCHMARKS",
    "EPOCHS",
    "RADIUS",
    "RECORDS",
    "Row",
    "SEEDS",
    "benchmark",
    "built",
    "check_file",
    "digits_cells",
    "digits_run",
    "file_name",
    "headline_cells",
    "headline_run",
    "machine",
    "measured",
    "proved_cells",
    "proved_run",
    "read",
    "run",
    "start",
    "strong_cells",
    "strong_run",
    "study",
    "study_comparison",
    "study_errors",
    "study_run",
    "study_summary",
    "study_tuning",
    "sweep",
    "sweep_cells",
    "sweep_run",
    "sweep_summary",
    "trained",
    "versions",
    "write_json",
]
