"""Chapter 04: the class of convolutional residual networks, and splines realised in it."""

from lib.convresnet._architecture import Architecture, count_parameters, measure_architecture
from lib.convresnet._gather import check_kernel_size, embed, gather, gather_depth
from lib.convresnet._module import Convolution, ConvResNet, OneSidedConv1d
from lib.convresnet._rescale import rescaled
from lib.convresnet._terms import (
    Stream, doublings, promised_architecture, scaling_block, spline_network, term_block,
)

__all__ = [
    "Architecture", "Convolution", "ConvResNet", "OneSidedConv1d", "Stream", "check_kernel_size",
    "count_parameters", "doublings", "embed", "gather", "gather_depth", "measure_architecture",
    "promised_architecture", "rescaled", "scaling_block", "spline_network", "term_block",
]
