"""Chapter 05: from a target to a ConvResNet with a guaranteed error in value and slope (Theorem A)."""

from lib.approximation._bound import Bound, bound, choose_refinement
from lib.approximation._build import Cube, approximate
from lib.approximation._enclosure import bound_on_cube, enclose
from lib.approximation._formula import parse, torch_function, variables
from lib.approximation._result import Approximation, Measurement, load
from lib.approximation._sparse import sparse_value_and_gradient, sparse_values
from lib.approximation._target import Target

__all__ = [
    "Approximation", "Bound", "Cube", "Measurement", "Target", "approximate", "bound", "bound_on_cube",
    "choose_refinement", "enclose", "load", "parse", "sparse_value_and_gradient", "sparse_values",
    "torch_function", "variables",
]
