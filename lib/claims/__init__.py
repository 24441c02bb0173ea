"""The registry of claims: the statements of the book, each with a check and a tampered
construction.
"""

from lib.claims import (  # noqa: F401  (registration)
    _chapter01,
    _chapter02,
    _chapter03,
    _chapter04,
    _chapter05,
    _chapter06,
    _chapter07,
    _chapter08,
    _chapter09,
    _chapter10,
)
from lib.claims._grammar import target as random_target
from lib.claims._mutation import run as mutation_run
from lib.claims._registry import REGISTRY, Claim, Evidence, select, verify, worst
from lib.claims._report import code_digest, read_report

__all__ = [
    "Claim",
    "Evidence",
    "REGISTRY",
    "code_digest",
    "mutation_run",
    "random_target",
    "read_report",
    "select",
    "verify",
    "worst",
]
