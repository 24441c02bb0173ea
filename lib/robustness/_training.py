"""Natural training, PGD training (Madry et al. 2018) and TRADES (Zhang et al. 2019) of classifiers (book: chapter 09)."""

import torch
from torch.nn import functional

from lib.errors import positive, require
from lib.robustness._attacks import pgd

METHODS = ("natural", "pgd", "trades")
_STEPS = 3         # of the attack in training
_TRADES = 6.0      # weight of the second term of TRADES
_DECAY = 1e-4


def train(model, x, y, method, *, radius, epochs, rate=None, ramp=0.5, batch=100, seed=0):
    """Train a classifier; AdamW with one cycle of the step size; the radius of the attack grows at first.

    Parameters
    ----------
    model : nn.Module
        Changed in place.
    x, y : tensors (P, C, H, W) and (P,)
    method : str
        ``natural``: cross entropy.  ``pgd``: cross entropy where three steps of ascent in the ball lead.  ``trades``:
        cross entropy plus 6 times the divergence between the distributions there and at the picture, whose ascent it is.
    radius : float
        Of the ball, maximum norm.
    epochs : int
    rate : float, optional
        Largest step size; by default ``0.01 / sqrt(J)`` of the width ``J`` of the first layer.
    ramp : float
        Part of the training over which the radius grows from zero; 0: the full radius from the start.
    batch : int
    seed : int
        Of the order of pictures and the starts of attacks.

    Returns
    -------
    list of float
        Mean loss of each epoch.
    """
    require(method in METHODS, "method", method, f"one of {METHODS}")
    require(isinstance(epochs, int) and epochs >= 1, "epochs", epochs, "a positive integer")
    positive("radius", radius)
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
            loss = _loss(model, x[part], y[part], method, radius * reached, generator)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            cycle.step()
            total += float(loss.detach()) * len(part)
        losses.append(total / len(x))
    return losses


def _loss(model, x, y, method, radius, generator):
    if method == "natural":
        return functional.cross_entropy(model(x), y)
    if method == "pgd":
        def entropy(point):
            return functional.cross_entropy(model(point), y, reduction="none")

        return functional.cross_entropy(model(pgd(entropy, x, radius, steps=_STEPS, generator=generator, keep_best=False)), y)
    scores = model(x)
    fixed = scores.detach().log_softmax(1)

    def divergence(point, reference=fixed):
        return functional.kl_div(model(point).log_softmax(1), reference, reduction="none", log_target=True).sum(1)

    point = pgd(divergence, x, radius, steps=_STEPS, generator=generator, keep_best=False)
    return functional.cross_entropy(scores, y) + _TRADES * divergence(point, scores.log_softmax(1)).mean()
