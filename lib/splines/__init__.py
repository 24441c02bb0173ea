"""Chapter 02: cardinal B-splines, dual functionals, the quasi-interpolant and its Jackson bound."""

from lib.splines._bspline import ORDERS, bspline, check_order, evaluate, local_values, pieces
from lib.splines._constants import (
    interior_operator_norm,
    interior_peano_constant,
    interior_slope_norm,
    operator_norm,
    peano_constant,
    slope_norm,
)
from lib.splines._functionals import blossom_value, functional, weight_sum
from lib.splines._jackson import (
    Jackson,
    axis_index,
    jackson_bound,
    jackson_constants,
    needed_derivatives,
    rate_constants,
    split_index,
)
from lib.splines._quasi import QuasiInterpolant, allowance

__all__ = [
    "ORDERS",
    "Jackson",
    "QuasiInterpolant",
    "allowance",
    "axis_index",
    "blossom_value",
    "bspline",
    "check_order",
    "evaluate",
    "functional",
    "interior_operator_norm",
    "interior_peano_constant",
    "interior_slope_norm",
    "jackson_bound",
    "jackson_constants",
    "local_values",
    "needed_derivatives",
    "operator_norm",
    "peano_constant",
    "pieces",
    "rate_constants",
    "slope_norm",
    "split_index",
    "weight_sum",
]
