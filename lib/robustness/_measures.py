"""How smooth and how robust a classifier is, on pictures (book: chapter 09)."""

import torch
from torch.nn import functional

from lib.robustness._attacks import attack, pgd
from lib.robustness._model import margins


def margin_and_gradient(model, x, y, batch=500):
    """Margins (P,) and their gradients (P, C, H, W) with respect to the pictures."""
    found = []
    for part, labels in zip(x.split(batch), y.split(batch)):
        part = part.clone().requires_grad_(True)
        value = margins(model(part), labels)
        found.append((value.detach(), torch.autograd.grad(value.sum(), part)[0]))
    return tuple(torch.cat(parts) for parts in zip(*found))


def local_lipschitz(model, x, radius, *, steps=10, seed=0, batch=500):
    """The largest ``|p(x') - p(x)|_1 / |x' - x|_inf`` found in the ball, ``p`` the softmax of the scores (Yang et al. 2020).

    Parameters
    ----------
    model : callable
    x : tensor (P, C, H, W)
    radius : float
        Maximum norm.

    Returns
    -------
    float tensor, shape (P,)
        Lower estimates, by gradient ascent.
    """
    generator, found = torch.Generator().manual_seed(seed), []
    for part in x.split(batch):
        with torch.no_grad():
            here = functional.softmax(model(part), 1)

        def quotient(point, part=part, here=here):
            away = (point - part).abs().flatten(1).amax(1).clamp_min(1e-6)
            return (functional.softmax(model(point), 1) - here).abs().sum(1) / away

        best = pgd(quotient, part, radius, steps=steps, generator=generator)
        found.append(quotient(best).detach())
    return torch.cat(found)


def measures(model, x, y, radius, *, restarts=2, steps=20, seed=0):
    """What is reported of a classifier.

    Parameters
    ----------
    model : nn.Module
    x, y : tensors (P, C, H, W) and (P,)
    radius : float
        Of the attack, maximum norm.

    Returns
    -------
    dict of float
        ``clean`` and ``robust`` accuracy (`attack`); ``slope``: the mean of ``|grad margin|_1``; ``relative_slope``: the
        median of ``|grad margin|_1 / margin`` over the pictures that are classified correctly, so one over the radius to
        first order; ``lipschitz``: mean of `local_lipschitz`.
    """
    margin, gradient = margin_and_gradient(model, x, y)
    length = gradient.abs().flatten(1).sum(1)
    right = margin > 0
    _, robust = attack(model, x, y, radius, steps=steps, restarts=restarts, seed=seed)
    return {
        "clean": float(right.float().mean()), "robust": float(robust.float().mean()), "slope": float(length.mean()),
        "relative_slope": float((length[right] / margin[right]).median()) if right.any() else float("inf"),
        "lipschitz": float(local_lipschitz(model, x, radius, seed=seed).mean()),
    }
