"""Chapter 04: the class of convolutional residual networks, and splines realised in it."""

from lib.convresnet._architecture import Architecture, count_parameters, measure_architecture
from lib.convresnet._chart import Chart, PartitionFunction, cube_chart
from lib.convresnet._compare import changed_layers, computes_its_weights, same_form, weights_digest
from lib.convresnet._construction import Construction
from lib.convresnet._gather import check_kernel_size, gather, gather_depth, gather_rows
from lib.convresnet._module import Convolution, ConvResNet, OneSidedConv1d
from lib.convresnet._rescale import rescaled
from lib.convresnet._rounding import rounding, stored_folds
from lib.convresnet._sparse import SparseEvaluator, threads
from lib.convresnet._terms import (
    COORDINATES,
    NEGATIVE,
    POSITIVE,
    doublings,
    gather_charts,
    head_weights,
    linear_forms,
    term_block,
)

__all__ = [
    "COORDINATES",
    "NEGATIVE",
    "POSITIVE",
    "Architecture",
    "Chart",
    "Construction",
    "Convolution",
    "ConvResNet",
    "OneSidedConv1d",
    "PartitionFunction",
    "SparseEvaluator",
    "changed_layers",
    "check_kernel_size",
    "computes_its_weights",
    "count_parameters",
    "cube_chart",
    "doublings",
    "gather",
    "gather_charts",
    "gather_depth",
    "gather_rows",
    "head_weights",
    "linear_forms",
    "measure_architecture",
    "rescaled",
    "rounding",
    "same_form",
    "stored_folds",
    "term_block",
    "threads",
    "weights_digest",
]
