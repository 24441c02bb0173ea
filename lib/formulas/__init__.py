"""Formulas: a whitelisted parser, torch functions, and rigorous bounds over the cube."""

from lib.formulas._enclosure import bound_on_cube, enclose
from lib.formulas._formula import AbsPower, Jump, SignPower, parse, torch_function, variables

__all__ = ["AbsPower", "Jump", "SignPower", "bound_on_cube", "enclose", "parse", "torch_function", "variables"]
