"""Natural training, PGD training (Madry et al. 2018) and TRADES (Zhang et al. 2019) of
classifiers (book: chapter 09).
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from lib.errors import integer, positive, require
from lib.robustness._attacks import pgd
from lib.robustness._model import scored
from lib.robustness._pixels import UNIT, labels, pictures, radius_of

METHODS = ("natural", "pgd", "trades")
_STEPS = 3  # of the attack in training
_TRADES = 6.0  # weight of the second term of TRADES
_DECAY = 1e-4


def train(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    method: str,
    *,
    radius: float,
    epochs: int,
    rate: float | None = None,
    ramp: float = 0.5,
    batch: int = 100,
    seed: int = 0,
    limits: tuple[float, float] = UNIT,
) -> list[float]:
    """Train a classifier; AdamW with one cycle of the step size; the radius of the attack grows at
    first.

    Parameters
    ----------
    model : nn.Module
        Changed in place.
    x, y : float and int64 tensors (P, C, H, W) and (P,)
        Within ``limits``, and classes.
    method : str
        ``natural``: cross entropy.  ``pgd``: cross entropy where three steps of ascent in the ball
        lead.  ``trades``: cross entropy plus 6 times the divergence between the distributions there
        and at the picture, whose ascent it is.
    radius : float
        Of the ball, maximum norm; not larger than the range.
    epochs : int
    rate : float, optional
        Largest step size; by default ``0.01 / sqrt(J)`` of the width ``J`` of the first layer.
    ramp : float
        Part of the training over which the radius grows from zero; 0: the full radius from the
        start.
    batch : int
    seed : int
        Of the order of pictures and the starts of attacks.
    limits : pair of float
        The declared range of pixel values.

    Returns
    -------
    list of float
        Mean loss of each epoch.

    Raises
    ------
    InputError
        Before the model is changed, for pictures out of the range, a pixel that is not finite,
        labels that are no classes and sizes that are not allowed; later, for scores that are no
        longer finite, as after steps that were too large.
    """
    require(method in METHODS, "method", method, f"one of {METHODS}")
    epochs = integer("epochs", epochs, 1)
    radius = radius_of(positive("radius", radius), x, "linf", pictures("x", x, limits))
    labels("y", y, len(x))
    require(0 <= ramp <= 1, "ramp", ramp, "a number from 0 to 1")
    width = next(model.parameters()).shape[0]
    rate = 0.01 / width**0.5 if rate is None else positive("rate", rate)
    generator = torch.Generator().manual_seed(seed)
    batches = -(-len(x) // batch)
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=_DECAY)
    cycle = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=epochs * batches)
    losses = []
    for epoch in range(epochs):
        total = 0.0
        for k, part in enumerate(torch.randperm(len(x), generator=generator).split(batch)):
            behind = (epoch * batches + k) / (epochs * batches)
            reached = 1.0 if ramp == 0 else min(1.0, behind / ramp + 1e-3)
            loss = _loss(model, x, y, part, method, radius * reached, generator, limits)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            cycle.step()
            total += float(loss.detach()) * len(part)
        losses.append(total / len(x))
    return losses


def _loss(model, x, y, part, method, radius, generator, limits):
    def scores_of(point):
        scores = scored(model, point, part)
        # all of them, so that the first batch shows what is wrong
        labels("y", y, len(x), scores.shape[1])
        return scores

    def entropy(point, reduction="none"):
        return functional.cross_entropy(scores_of(point), y[part], reduction=reduction)

    def ascended(loss):
        return pgd(
            loss,
            x[part],
            radius,
            steps=_STEPS,
            generator=generator,
            keep_best=False,
            limits=limits,
            index=part,
        )

    if method != "trades":
        return entropy(x[part] if method == "natural" else ascended(entropy), "mean")
    scores = scores_of(x[part])
    fixed = scores.detach().log_softmax(1)

    def divergence(point, reference=fixed):
        return functional.kl_div(
            scores_of(point).log_softmax(1), reference, reduction="none", log_target=True
        ).sum(1)

    point = ascended(divergence)
    return (
        functional.cross_entropy(scores, y[part])
        + _TRADES * divergence(point, scores.log_softmax(1)).mean()
    )
