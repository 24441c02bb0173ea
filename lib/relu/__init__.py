"""Chapter 03: the ReLU calculus in W^{1,inf}: maps, layer lists (`lib.relu.layers`), what these
compute exactly (`lib.relu.exact`), error bounds.
"""

from lib.relu import exact, layers
from lib.relu._errors import (
    MAXIMUM_REFINEMENT,
    bspline_error,
    bspline_slope,
    check_refinement,
    fold_terms,
    localised_error,
    minimum_refinement,
    power_error,
    power_size,
    product_error,
    spline_error,
    square_error,
    tensor_error,
)
from lib.relu._maps import (
    bspline,
    bspline_of_distance,
    power,
    product,
    square,
    tensor_bspline,
    tensor_product,
    tent,
)

__all__ = [
    "MAXIMUM_REFINEMENT",
    "bspline",
    "bspline_error",
    "bspline_of_distance",
    "bspline_slope",
    "check_refinement",
    "fold_terms",
    "exact",
    "layers",
    "power",
    "minimum_refinement",
    "power_error",
    "power_size",
    "product",
    "product_error",
    "localised_error",
    "spline_error",
    "square",
    "square_error",
    "tensor_bspline",
    "tensor_error",
    "tensor_product",
    "tent",
]
