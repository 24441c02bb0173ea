"""Chapters 05 and 07: from a target to a ConvResNet with a guaranteed error in value and slope
(Theorems A and B).
"""

from lib.approximation._approximation import Approximation
from lib.approximation._build import approximate
from lib.approximation._command import run
from lib.approximation._load import load
from lib.approximation._measure import Measurement

__all__ = ["Approximation", "Measurement", "approximate", "load", "run"]
