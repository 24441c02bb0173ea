"""Chapter 01: networks that are good in value and bad in slope, and what the slope does to a
decision.
"""

from lib.contrast._bits import frozen_network, ladder, step_network
from lib.contrast._cases import (
    SIZES,
    TARGETS,
    classifier,
    errors,
    pitches,
    splines_of,
    steepness,
    wave,
)
from lib.contrast._steep import steepened, steepest

__all__ = [
    "SIZES",
    "TARGETS",
    "classifier",
    "errors",
    "frozen_network",
    "ladder",
    "pitches",
    "splines_of",
    "steepened",
    "steepest",
    "steepness",
    "step_network",
    "wave",
]
