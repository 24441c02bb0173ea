"""Certified margins of image classifiers by zonotopes (Gehr et al. 2018; book: chapter 09).

A zonotope is the set of all ``c + sum_k e_k g_k`` with ``|e_k| <= 1``.  Linear layers map it
exactly; over a ReLU that may have both signs it becomes a slightly larger one with a generator
more, the least one with the same slope in all old generators.  In float64, without outward
rounding.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional

from lib.errors import positive
from lib.robustness._model import ImageClassifier, margins, scored
from lib.robustness._pixels import UNIT, pictures, radius_of


@dataclass(frozen=True)
class Zonotope:
    """Centre (C, H, W) or (n,) and generators, one more dimension in front (book:
    ``lem-zonotope``).
    """

    centre: Float[Tensor, "..."]
    generators: Float[Tensor, "k ..."]

    def linear(self, layer: Callable[[Tensor], Tensor], bias: Any) -> "Zonotope":
        """The image under a map ``layer`` of batches, without its bias, which is added to the
        centre.
        """
        return Zonotope(layer(self.centre[None])[0] + bias, layer(self.generators))

    def bounds(self) -> tuple[Tensor, Tensor]:
        """Lower and upper ends in each coordinate."""
        radius = self.generators.abs().sum(0)
        return self.centre - radius, self.centre + radius

    def relu(self) -> "Zonotope":
        """A zonotope that holds the positive parts; new generators stand behind the old ones."""
        low, high = self.bounds()
        crossing = (low < 0) & (high > 0)
        slope = torch.where(crossing, high / (high - low).clamp_min(1e-300), (low >= 0).to(low))
        lift = torch.where(crossing, -slope * low / 2, torch.zeros_like(low))
        place = torch.nonzero(crossing.flatten())[:, 0]
        new = torch.zeros(len(place), crossing.numel(), dtype=low.dtype)
        new[torch.arange(len(place)), place] = lift.flatten()[place]
        return Zonotope(
            slope * self.centre + lift,
            torch.cat([slope * self.generators, new.view(-1, *low.shape)]),
        )

    def plus(self, later: "Zonotope") -> "Zonotope":
        """The sum with a zonotope that was made from this one: its first generators mean the
        same.
        """
        missing = len(later.generators) - len(self.generators)
        padded = torch.cat(
            [self.generators, self.generators.new_zeros(missing, *self.centre.shape)]
        )
        return Zonotope(self.centre + later.centre, padded + later.generators)


def _convolved(zonotope, conv):
    return zonotope.linear(
        lambda z: functional.conv2d(z, conv.weight, padding=1), conv.bias[:, None, None]
    )


def scores(model, x, radius, relu=Zonotope.relu, limits=UNIT):
    """A zonotope that holds the scores of all pictures at most ``radius`` away from ``x`` (C, H,
    W), maximum norm.

    Parameters
    ----------
    model : ImageClassifier
        In float64.
    x : float64 tensor
        Within ``limits``.
    radius : float
        Not larger than the range.
    relu : callable
        What is done at a ReLU, from zonotope to zonotope.
    limits : pair of float
        The declared range of pixel values; pictures out of it do not count.

    Returns
    -------
    Zonotope

    Raises
    ------
    InputError
        For a picture out of the range, a pixel that is not finite, another radius.
    """
    limits = pictures("x", x[None], limits)
    radius = radius_of(positive("radius", radius), x[None], "linf", limits)
    low = (x - radius).clamp(*limits)
    high = (x + radius).clamp(*limits)
    spread = ((high - low) / 2).flatten()
    z = _convolved(Zonotope((low + high) / 2, torch.diag(spread).view(-1, *x.shape)), model.first)
    for one, two in model.blocks:
        z = z.plus(_convolved(relu(_convolved(relu(z), one)), two))
    z = relu(z).linear(lambda t: functional.avg_pool2d(t, 2).flatten(1), 0.0)
    return z.linear(lambda t: functional.linear(t, model.last.weight), model.last.bias)


@torch.no_grad()
def certified(
    model: ImageClassifier, x: Tensor, y: Tensor, radius: float, limits: tuple[float, float] = UNIT
) -> Bool[Tensor, " P"]:
    """For which pictures no picture in the ball has another label.

    Parameters
    ----------
    model : ImageClassifier
    x, y : float and int64 tensors (P, C, H, W) and (P,)
        Within ``limits``, and classes.
    radius : float
        Maximum norm; not larger than the range.
    limits : pair of float
        The declared range of pixel values, of the ball as well.

    Returns
    -------
    bool tensor, shape (P,)
        True is a proof, up to rounding in float64; False says nothing.

    Raises
    ------
    InputError
        As `attack`.
    """
    limits = pictures("x", x, limits)
    radius, model = (
        radius_of(positive("radius", radius), x, "linf", limits),
        copy.deepcopy(model).double(),
    )
    found = margins(scored(model, x.double()), y) > 0
    for i in torch.nonzero(found)[:, 0].tolist():
        z = scores(model, x[i].double(), radius, limits=limits)
        ahead = Zonotope(z.centre[y[i]] - z.centre, z.generators[:, y[i], None] - z.generators)
        low = ahead.bounds()[0]
        low[y[i]] = torch.inf
        found[i] = bool(low.min() > 0)
    return found
