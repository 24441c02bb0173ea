"""The table of functions: one row for each, one column for each reader of formulas (book:
chapter 10).

Whoever wants another function adds a row, and to `tests/test_functions.py` where it is defined.
The rules are in `_balls`, `_intervals` and `_series`; the checker of certificates has its own.
"""

from collections.abc import Callable
from dataclasses import dataclass

import sympy
import torch
from flint import arb

from lib.formulas import _balls, _intervals, _series


@dataclass(frozen=True)
class Row:
    """What is known of a function of one real variable.

    Attributes
    ----------
    name : str
        In formulas.
    function : class of sympy
        Its derivatives must be made of functions of the table, sums, products and powers.
    torch : callable
        Tensor to tensor, with a gradient.
    ball : callable
        ``arb`` to ``arb``: holds all values, nan where there may be none or no bound of them.
    interval : callable
        Pair of floats to pair of floats: the same, infinite where there is no bound;
        `_intervals.Undefined` is raised where there may be no values.
    series : callable
        ``arb`` and order to list of ``arb``: the Taylor coefficients over a ball, nan where the
        function may not be smooth.
    vanishes : bool
        Whether its values may be below the normal float64 numbers where its argument is not.
    """

    name: str
    function: type
    torch: Callable
    ball: Callable
    interval: Callable
    series: Callable
    vanishes: bool = False


def _cotangent(x):
    return torch.tan(x).reciprocal()


_ROWS = (
    Row("sin", sympy.sin, torch.sin, arb.sin, _intervals.sin, _series.sin),
    Row("cos", sympy.cos, torch.cos, arb.cos, _intervals.cos, _series.cos),
    Row("tan", sympy.tan, torch.tan, _balls.tan, _intervals.tan, _series.tan),
    Row("cot", sympy.cot, _cotangent, _balls.cot, _intervals.cot, _series.cot),
    Row("exp", sympy.exp, torch.exp, _balls.exp, _intervals.exp, _series.exp, vanishes=True),
    Row("log", sympy.log, torch.log, _balls.log, _intervals.log, _series.log),
    Row("sinh", sympy.sinh, torch.sinh, _balls.sinh, _intervals.sinh, _series.sinh),
    Row("cosh", sympy.cosh, torch.cosh, _balls.cosh, _intervals.cosh, _series.cosh),
    Row("tanh", sympy.tanh, torch.tanh, _balls.tanh, _intervals.tanh, _series.tanh),
    Row("atan", sympy.atan, torch.atan, _balls.atan, _intervals.atan, _series.atan),
)
TABLE = {row.function: row for row in _ROWS}
