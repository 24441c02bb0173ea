"""Where functions are approximated: what a domain is, the cube, and the a priori bound (book:
chapter 05).
"""

from lib._moved import moved
from lib.domains._bound import Bound, bound, choose_refinement, largest_coefficient, network_error
from lib.domains._cube import Cube
from lib.domains._cube_problem import CubeProblem
from lib.domains._domain import Domain, Localisation, Patch, Problem, Setting
from lib.domains._local import LocalBounds
from lib.domains._patch import Boxes, CubePatch, Local, box_variables, mesh_of_chart
from lib.domains._rate import Rate

__all__ = [
    "Bound",
    "Boxes",
    "Cube",
    "CubePatch",
    "CubeProblem",
    "Domain",
    "Local",
    "LocalBounds",
    "Localisation",
    "Patch",
    "Problem",
    "Rate",
    "Setting",
    "bound",
    "box_variables",
    "choose_refinement",
    "largest_coefficient",
    "mesh_of_chart",
    "network_error",
]
__getattr__ = moved(__name__, {"mesh_of_piece": "mesh_of_chart"}, __name__)
