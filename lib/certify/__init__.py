"""Chapter 10: rigorous enclosures of both norms of the error of a built network, over its whole
domain.
"""

from lib.certify._certificate import Certificate, Enclosure
from lib.certify._certify import certify
from lib.certify._check import check
from lib.certify._layers import propagate
from lib.certify._points import network_value

__all__ = ["Certificate", "Enclosure", "certify", "check", "network_value", "propagate"]
