"""Formulas: a whitelisted parser, torch functions, and rigorous bounds over the cube."""

from lib.formulas._enclosure import bound_on_cube, enclose, nonnegative_on_cube, parse_on_cube
from lib.formulas._formula import parse, torch_function, variables
from lib.formulas._numbers import evaluate
from lib.formulas._powers import AbsPower, Jump, SignPower

__all__ = [
    "AbsPower",
    "Jump",
    "SignPower",
    "bound_on_cube",
    "enclose",
    "evaluate",
    "nonnegative_on_cube",
    "parse",
    "parse_on_cube",
    "torch_function",
    "variables",
]
