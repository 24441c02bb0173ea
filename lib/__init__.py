"""Build the ConvResNets of an approximation theorem and check its bound, in value and in slope.

>>> import lib
>>> target = lib.Target.from_sympy("sin(2*pi*x1)*exp(x2)")
>>> a = lib.approximate(target, lib.Cube(2), order=4, cells=8)
>>> measured = a.measure()
>>> measured.value <= a.bound.value and measured.gradient <= a.bound.gradient
True
"""

from lib import manifolds
from lib.approximation import Approximation, Bound, Cube, Measurement, Target, approximate, load
from lib.certify import Certificate, SphereFace
from lib.convresnet import Architecture, ConvResNet
from lib.errors import InputError

__version__ = "0.1.0"
__all__ = [
    "Approximation",
    "Architecture",
    "Bound",
    "Certificate",
    "ConvResNet",
    "Cube",
    "InputError",
    "Measurement",
    "SphereFace",
    "Target",
    "approximate",
    "load",
    "manifolds",
]
