"""Formulas: a whitelisted parser, a table of functions, and their readers: torch functions, balls,
rigorous bounds over the cube; `fold` makes further ones (book: chapters 05 and 10).
"""

from lib.formulas._enclosure import (
    bound_on_cube,
    enclose,
    has_bounded_parts,
    nonnegative_on_cube,
    parse_on_cube,
)
from lib.formulas._fold import Algebra, fold
from lib.formulas._formula import parse, variables
from lib.formulas._hoelder import fractional_smoothness, hoelder_on_cube
from lib.formulas._numbers import evaluate
from lib.formulas._powers import AbsPower, Jump, SignPower, gathered
from lib.formulas._series import jump_series, modulus_series, nonnegative_power_series, power_series
from lib.formulas._table import TABLE, Row
from lib.formulas._torch import torch_function

__all__ = [
    "TABLE",
    "AbsPower",
    "Algebra",
    "Jump",
    "Row",
    "SignPower",
    "bound_on_cube",
    "enclose",
    "evaluate",
    "fold",
    "fractional_smoothness",
    "gathered",
    "has_bounded_parts",
    "hoelder_on_cube",
    "jump_series",
    "modulus_series",
    "nonnegative_on_cube",
    "nonnegative_power_series",
    "parse",
    "parse_on_cube",
    "power_series",
    "torch_function",
    "variables",
]
