"""Chapter 01: networks that are good in value and bad in slope, and what the slope does to a
decision.
"""

from lib.contrast._bits import frozen_network, ladder, step_network
from lib.contrast._steep import steepened, steepest

__all__ = ["frozen_network", "ladder", "steepened", "steepest", "step_network"]
