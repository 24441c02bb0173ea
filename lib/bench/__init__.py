"""What it costs: ratios, each measured in one run (book: "Speed")."""

from lib.bench._rows import ROWS, Row, machine, run

__all__ = ["ROWS", "Row", "machine", "run"]
