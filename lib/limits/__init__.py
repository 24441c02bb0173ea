"""Chapter 08: what no method can do better, and how far our networks are from it."""

from lib.limits._bump import bump, bump_knots, bump_norms
from lib.limits._euler import euler_piece, euler_spline, favard, periodic_matrix
from lib.limits._ratio import Ratio, ratio
from lib.limits._study import built, start, study, train
from lib.limits._training import fit
from lib.limits._widths import bump_constant, bump_width, partitions, spline_constant, width

__all__ = [
    "Ratio",
    "built",
    "bump",
    "bump_constant",
    "bump_knots",
    "bump_norms",
    "bump_width",
    "euler_piece",
    "euler_spline",
    "favard",
    "fit",
    "partitions",
    "periodic_matrix",
    "ratio",
    "spline_constant",
    "start",
    "study",
    "train",
    "width",
]
