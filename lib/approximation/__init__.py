"""Chapters 05 and 07: from a target to a ConvResNet with a guaranteed error in value and slope
(Theorems A and B).
"""

from lib.approximation._bound import Bound, bound, choose_refinement, network_error
from lib.approximation._build import approximate
from lib.approximation._cube import Cube, CubeProblem
from lib.approximation._manifold import ManifoldProblem
from lib.approximation._result import Approximation, Measurement, load
from lib.approximation._target import Target

__all__ = [
    "Approximation",
    "Bound",
    "Cube",
    "CubeProblem",
    "ManifoldProblem",
    "Measurement",
    "Target",
    "approximate",
    "bound",
    "choose_refinement",
    "load",
    "network_error",
]
