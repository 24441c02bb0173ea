"""Chapter 09: what a bound of slopes is worth to a classifier, proved by construction and
measured by attack.
"""

from lib._moved import moved
from lib.robustness._attacks import attack, pgd
from lib.robustness._built import (
    attack_along,
    attack_in_space,
    evaluate,
    first_success,
    lipschitz,
    lipschitz_along,
    radii,
    target_slope,
)
from lib.robustness._cases import ALONG, SPACE, along, in_space, rotated_digits
from lib.robustness._data import Pictures, cifar10, digits, mnist, mnist5k, pooled, split
from lib.robustness._ensemble import ensemble
from lib.robustness._measures import local_lipschitz, margin_and_gradient, measures
from lib.robustness._model import ImageClassifier, margins
from lib.robustness._training import train
from lib.robustness._zonotope import Zonotope, certified

__all__ = [
    "ALONG",
    "ImageClassifier",
    "Pictures",
    "SPACE",
    "Zonotope",
    "along",
    "attack",
    "attack_along",
    "attack_in_space",
    "certified",
    "cifar10",
    "digits",
    "ensemble",
    "evaluate",
    "first_success",
    "in_space",
    "lipschitz",
    "lipschitz_along",
    "local_lipschitz",
    "margin_and_gradient",
    "margins",
    "measures",
    "mnist",
    "mnist5k",
    "pgd",
    "pooled",
    "radii",
    "rotated_digits",
    "split",
    "target_slope",
    "train",
]
__getattr__ = moved(__name__, {"sweep_table": "sweep"})
