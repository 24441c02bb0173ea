"""Enclosures of many numbers at once: balls in float64, Taylor expansions of formulas, values of
formulas (chapter 10).
"""

from lib.intervals._balls import UNIT, Balls, matmul, precision, up
from lib.intervals._expand import expand
from lib.intervals._hoelder import Hoelder, hoelder_expand
from lib.intervals._taylor import Taylor, exponents, span
from lib.intervals._values import MAXIMUM_EVALUATIONS, evaluations, values_near

__all__ = [
    "MAXIMUM_EVALUATIONS",
    "UNIT",
    "Balls",
    "Hoelder",
    "Taylor",
    "evaluations",
    "expand",
    "exponents",
    "hoelder_expand",
    "matmul",
    "precision",
    "span",
    "up",
    "values_near",
]
