"""Targets: functions to approximate, with what is known of their derivatives (book: chapter 05)."""

from lib.targets._refute import evaluation_noise, refute_bounds, thinned
from lib.targets._target import Target

__all__ = ["Target", "evaluation_noise", "refute_bounds", "thinned"]
