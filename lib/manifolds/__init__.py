"""Chapter 06: manifolds in the unit cube, their charts, and partitions of unity that are
networks.
"""

from lib.manifolds._atlas import Atlas, farthest_points
from lib.manifolds._base import Manifold
from lib.manifolds._cells import (
    ball_cells,
    ball_terms,
    inset,
    projected_radius,
    smallest_mesh,
    terms_over,
)
from lib.manifolds._choose import choose_atlas, score
from lib.manifolds._closed_forms import RotationGroup, Sphere
from lib.manifolds._curves import FourierCurve, circle, ellipse, isometry, reach_enclosure, trefoil
from lib.manifolds._expansion_points import parameter_of_curve
from lib.manifolds._images import image_rotations, rotated
from lib.manifolds._level_sets import LevelSet, ellipsoid, peanut, torus
from lib.manifolds._living import living_cells
from lib.manifolds._named import NAMES, manifold
from lib.manifolds._norms import (
    Grid,
    coordinate_expansions,
    differences,
    enclosed_norms,
    estimated_norms,
    lines,
    smooth_along_lines,
)
from lib.manifolds._patches import ChartsPatch
from lib.manifolds._problem import ManifoldProblem
from lib.manifolds._reach import federer_quotients, reach_of_zeros
from lib.manifolds._union import Union

__all__ = [
    "Atlas",
    "Grid",
    "enclosed_norms",
    "estimated_norms",
    "ChartsPatch",
    "FourierCurve",
    "LevelSet",
    "NAMES",
    "Manifold",
    "ManifoldProblem",
    "RotationGroup",
    "Sphere",
    "Union",
    "choose_atlas",
    "circle",
    "coordinate_expansions",
    "differences",
    "ellipse",
    "ellipsoid",
    "farthest_points",
    "federer_quotients",
    "image_rotations",
    "inset",
    "isometry",
    "lines",
    "ball_cells",
    "living_cells",
    "ball_terms",
    "terms_over",
    "manifold",
    "parameter_of_curve",
    "peanut",
    "projected_radius",
    "reach_enclosure",
    "reach_of_zeros",
    "rotated",
    "score",
    "smallest_mesh",
    "smooth_along_lines",
    "torus",
    "trefoil",
]
