"""How smooth and how robust a classifier is, on pictures (book: chapter 09)."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from lib.errors import positive
from lib.robustness._attacks import attack, pgd
from lib.robustness._model import margins, scored
from lib.robustness._pixels import UNIT, finite, labels, pictures, radius_of


def margin_and_gradient(
    model: Callable[[Tensor], Tensor],
    x: Tensor,
    y: Tensor,
    batch: int = 500,
    limits: tuple[float, float] = UNIT,
) -> tuple[Float[Tensor, " P"], Float[Tensor, "P ..."]]:
    """Margins (P,) and their gradients (P, C, H, W) with respect to the pictures.

    Raises
    ------
    InputError
        For pictures out of the declared range, pixels, scores or gradients that are not finite,
        labels that are no classes.
    """
    pictures("x", x, limits)
    labels("y", y, len(x))
    found = []
    for part in torch.arange(len(x)).split(batch):
        point = x[part].requires_grad_(True)
        value = margins(model(point), y[part], part)
        (gradient,) = torch.autograd.grad(value.sum(), point)
        finite("gradient", gradient, part)
        found.append((value.detach(), gradient))
    values, gradients = zip(*found)
    return torch.cat(values), torch.cat(gradients)


def local_lipschitz(
    model: Callable[[Tensor], Tensor],
    x: Tensor,
    radius: float,
    *,
    steps: int = 10,
    seed: int = 0,
    batch: int = 500,
    limits: tuple[float, float] = UNIT,
) -> Float[Tensor, " P"]:
    """The largest ``|p(x') - p(x)|_1 / |x' - x|_inf`` found in the ball, ``p`` the softmax of the
    scores (Yang et al. 2020).

    Parameters
    ----------
    model : callable
    x : tensor (P, C, H, W)
    radius : float
        Maximum norm.
    limits : pair of float
        The declared range of pixel values.

    Returns
    -------
    float tensor, shape (P,)
        Lower estimates, by gradient ascent.

    Raises
    ------
    InputError
        As `attack`.
    """
    low, high = pictures("x", x, limits)
    radius = radius_of(positive("radius", radius), x, "linf", (low, high))
    generator = torch.Generator().manual_seed(seed)
    found = []
    for part in torch.arange(len(x)).split(batch):
        centre = x[part]
        with torch.no_grad():
            here = functional.softmax(scored(model, centre, part), 1)

        def quotient(point, part=part, centre=centre, here=here):
            away = (point - centre).abs().flatten(1).amax(1).clamp_min(1e-6 * (high - low))
            return (functional.softmax(scored(model, point, part), 1) - here).abs().sum(1) / away

        best = pgd(
            quotient, centre, radius, steps=steps, generator=generator, limits=limits, index=part
        )
        found.append(quotient(best).detach())
    return torch.cat(found)


def measures(
    model: Callable[[Tensor], Tensor],
    x: Tensor,
    y: Tensor,
    radius: float,
    *,
    restarts: int = 2,
    steps: int = 20,
    seed: int = 0,
    limits: tuple[float, float] = UNIT,
) -> dict[str, float]:
    """What is reported of a classifier.

    Parameters
    ----------
    model : callable
        Pictures to scores.
    x, y : tensors (P, C, H, W) and (P,)
    radius : float
        Of the attack, maximum norm.
    limits : pair of float
        The declared range of pixel values.

    Returns
    -------
    dict of float
        ``clean`` and ``robust`` accuracy (`attack`); ``slope``: the mean of ``|grad margin|_1``;
        ``relative_slope``: the median of ``|grad margin|_1 / margin`` over the pictures that are
        classified correctly, so one over the radius to first order; ``lipschitz``: mean of
        `local_lipschitz`.

    Raises
    ------
    InputError
        As `attack`.
    """
    margin, gradient = margin_and_gradient(model, x, y, limits=limits)
    length = gradient.abs().flatten(1).sum(1)
    right = margin > 0
    _, robust = attack(
        model, x, y, radius, steps=steps, restarts=restarts, seed=seed, limits=limits
    )
    return {
        "clean": float(right.float().mean()),
        "robust": float(robust.float().mean()),
        "slope": float(length.mean()),
        "relative_slope": float((length[right] / margin[right]).median())
        if right.any()
        else float("inf"),
        "lipschitz": float(local_lipschitz(model, x, radius, seed=seed, limits=limits).mean()),
    }
