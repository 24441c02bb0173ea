"""Build the ConvResNets of an approximation theorem and check its bound, in value and in slope.

>>> import lib
>>> target = lib.Target.from_sympy("sin(2*pi*x1)*exp(x2)")
>>> a = lib.approximate(target, lib.Cube(2), order=4, cells=8)
>>> measured = a.measure()
>>> measured <= a.bound
True
"""

from lib import manifolds
from lib.approximation import Approximation, Measurement, approximate, load
from lib.certify import Certificate
from lib.convresnet import Architecture, ConvResNet
from lib.domains import Bound, Cube
from lib.errors import InputError
from lib.norms import Norms
from lib.targets import Target

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
    "Norms",
    "Target",
    "approximate",
    "load",
    "manifolds",
]
