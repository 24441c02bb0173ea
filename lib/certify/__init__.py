"""Chapter 10: rigorous enclosures of both norms of the error of a built network, over its whole
domain.
"""

from lib.certify._certificate import Certificate, Enclosure, certify
from lib.certify._check import check
from lib.certify._domains import SphereFace
from lib.certify._layers import propagate
from lib.certify._points import network_value
from lib.intervals import Balls

__all__ = [
    "Balls",
    "Certificate",
    "Enclosure",
    "SphereFace",
    "certify",
    "check",
    "network_value",
    "propagate",
]
