"""The networks of the book as image classifiers: residual blocks of convolutions, width ``J``,
``M`` blocks (chapter 09).
"""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional

from lib.errors import integer, require
from lib.robustness._pixels import finite_scores, labels


class ImageClassifier(nn.Module):
    """``FC o pool o (id + B_M) o .. o (id + B_1) o P`` with ``B(z) = W_2 * relu(W_1 * relu(z))``, 3
    x 3 filters.

    ``P`` is a convolution from the channels of the picture to ``J`` channels, ``FC`` a linear map
    of means over squares of 2 x 2 pixels to ten scores.  No normalisation.  The second convolution
    of a block starts at zero, so that a network starts as one without blocks.

    Parameters
    ----------
    shape : tuple of int
        ``(C, H, W)`` of the pictures; even height and width.
    width, blocks : int
        ``J >= 1`` and ``M >= 1``.
    classes : int
    seed : int
        Of the initial weights, normal with variance 2 over the number of inputs.

    Raises
    ------
    InputError
        For sizes that are no positive integers or pictures of odd size.
    """

    blocks: Any  # a ModuleList of pairs of convolutions, into which type checkers do not see

    def __init__(
        self, shape: Sequence[int], width: int, blocks: int, classes: int = 10, seed: int = 0
    ) -> None:
        super().__init__()
        for name, value in (("width", width), ("blocks", blocks), ("classes", classes)):
            integer(name, value, 1)
        channels, height, wide = shape
        require(height % 2 == 0 == wide % 2, "shape", shape, "of even height and width")
        self.first = nn.Conv2d(channels, width, 3, padding=1)
        self.blocks = nn.ModuleList(
            nn.ModuleList(
                [nn.Conv2d(width, width, 3, padding=1), nn.Conv2d(width, width, 3, padding=1)]
            )
            for _ in range(blocks)
        )
        self.last = nn.Linear(width * (height // 2) * (wide // 2), classes)
        generator = torch.Generator().manual_seed(seed)
        for layer in [self.first, *(c for block in self.blocks for c in block), self.last]:
            inputs = layer.weight[0].numel()
            with torch.no_grad():
                layer.weight.copy_(
                    torch.randn(layer.weight.shape, generator=generator) * (2 / inputs) ** 0.5
                )
                layer.bias.zero_()
        for block in self.blocks:
            nn.init.zeros_(block[1].weight)

    def forward(self, x: Float[Tensor, "P C H W"]) -> Float[Tensor, "P classes"]:
        """Scores (P, classes) of pictures (P, C, H, W)."""
        z = self.first(x)
        for one, two in self.blocks:
            z = z + two(functional.relu(one(functional.relu(z))))
        return self.last(functional.avg_pool2d(functional.relu(z), 2).flatten(1))


def scored(model, x, index=None):
    """Scores (P, classes) of pictures (P, ..); `InputError` names the picture, by ``index``
    (P,), whose are not finite.
    """
    scores = model(x)
    finite_scores(scores, len(x), index)
    return scores


def margins(
    scores: Tensor, y: Tensor, index: Int64[Tensor, " P"] | None = None
) -> Float[Tensor, " P"]:
    """Score of the label minus the largest other score: (P, classes) and int64 (P,) to (P,).

    Raises
    ------
    InputError
        For scores that are not finite (of them no one could say whose is the largest), and labels
        that are no class; named by ``index`` (P,) where the pictures are not 0, 1, ..
    """
    finite_scores(scores, len(scores), index)
    labels("y", y, len(scores), scores.shape[1], index)
    own = scores.gather(1, y[:, None])[:, 0]
    return own - scores.scatter(1, y[:, None], -torch.inf).amax(1)
