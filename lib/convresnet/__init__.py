"""Chapter 04: the class of convolutional residual networks, and splines realised in it."""

from lib.convresnet._architecture import Architecture, count_parameters, measure_architecture
from lib.convresnet._chart import Chart, Gate, cube_chart
from lib.convresnet._gather import check_kernel_size, gather, gather_depth, gather_rows
from lib.convresnet._module import Convolution, ConvResNet, OneSidedConv1d
from lib.convresnet._rescale import rescaled
from lib.convresnet._sparse import SparseEvaluator, threads
from lib.convresnet._terms import (
    COORDINATES, NEGATIVE, POSITIVE, doublings, gather_charts, linear_forms, promised_architecture, spline_network,
    term_block,
)

__all__ = [
    "COORDINATES", "NEGATIVE", "POSITIVE",
    "Architecture", "Chart", "Convolution", "ConvResNet", "Gate", "OneSidedConv1d", "SparseEvaluator", "check_kernel_size",
    "count_parameters", "cube_chart", "doublings", "gather", "gather_charts", "gather_depth", "gather_rows",
    "linear_forms", "measure_architecture", "promised_architecture", "rescaled", "spline_network", "term_block",
    "threads",
]
