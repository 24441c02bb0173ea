"""Chapter 08: what no method can do better, and how far our networks are from it."""

from lib._moved import moved
from lib.limits._bump import bump, bump_knots, bump_norms
from lib.limits._euler import euler_piece, euler_spline, favard, periodic_matrix
from lib.limits._jump import largest_jump, linear_splines, path, weights
from lib.limits._ratio import RATIOS, Ratio, ratio, sufficient
from lib.limits._training import fit
from lib.limits._trigonometric import trigonometric_matrix
from lib.limits._unseen import euler_errors, seminorm, unseen
from lib.limits._widths import (
    bump_constant,
    bump_width,
    frequencies,
    needed,
    partitions,
    width,
    width_constant,
)

__all__ = [
    "RATIOS",
    "Ratio",
    "bump",
    "bump_constant",
    "bump_knots",
    "bump_norms",
    "bump_width",
    "euler_errors",
    "euler_piece",
    "euler_spline",
    "favard",
    "fit",
    "frequencies",
    "largest_jump",
    "linear_splines",
    "needed",
    "partitions",
    "path",
    "periodic_matrix",
    "ratio",
    "seminorm",
    "sufficient",
    "trigonometric_matrix",
    "unseen",
    "weights",
    "width",
    "width_constant",
]
__getattr__ = moved(
    __name__, {"built": "built", "start": "start", "study": "study", "train": "study_run"}
)
