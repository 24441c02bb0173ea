"""Projected gradient ascent inside a ball around each picture (Madry et al. 2018; book: chapter
09).

Pictures have a declared range of pixel values, ``limits``; one outside of it is refused, and no
point leaves it.  Nothing is moved by more than the radius, up to the rounding that `project`
states.
"""

from collections.abc import Callable

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor
from torch.nn import functional

from lib.errors import integer, positive, require
from lib.robustness._model import margins, scored
from lib.robustness._pixels import UNIT, finite, labels, pictures, radius_of


def _ascent(gradient, norm):
    """The direction in which a linear function grows fastest, of length one."""
    if norm == "linf":
        return gradient.sign()
    length = gradient.flatten(1).norm(dim=1).clamp_min(1e-30)
    return gradient / length.view(-1, *[1] * (gradient.ndim - 1))


def project(x, centre, radius, norm, limits=UNIT):
    """The point of the ball of this radius (and of the range) next to ``x``; in ``l2`` first into
    the ball, then the range.

    Rounding: let ``u`` be the unit roundoff (2^-24 in float32, 2^-53 in float64), ``B`` the larger
    modulus of the limits and ``n`` the number of pixels.  The exact distance from ``centre`` is at
    most ``r (1 + u) + u B`` for ``linf``: ``r`` is rounded once, and a pixel is the float next to
    ``centre + r``.  For ``l2`` it is at most ``r (1 + (n / 2 + 5) u) + u sqrt(n) B``, if the square
    of ``r`` is a normal float.

    Parameters
    ----------
    x : float tensor (P, ..)
        Finite.
    centre : float tensor (P, ..)
        Within ``limits``.
    radius : float, or tensor with one for each row
    norm : str
    limits : pair of float
        The declared range of pixel values.

    Returns
    -------
    float tensor, shape of ``x``

    Raises
    ------
    InputError
        For a centre out of the range, anything that is not finite, another norm, a radius that is
        not positive.
    """
    low, high = pictures("centre", centre, limits)
    radius = radius_of(radius, centre, norm, (low, high))
    finite("x", x)
    if norm == "linf":
        x = torch.maximum(torch.minimum(x, centre + radius), centre - radius)
    else:
        step = x - centre
        length = step.flatten(1).norm(dim=1).clamp_min(1e-30)
        x = centre + step * (radius / length.view(-1, *[1] * (x.ndim - 1))).clamp_max(1)
    return x.clamp(low, high)


def start(x, radius, norm, generator, limits=UNIT):
    """A random point of the ball around each picture: uniform in the cube for ``linf``, on a random
    ray for ``l2``.

    Arguments and what is raised as for `project`, of which it is an image.
    """
    radius = radius_of(radius, x, norm, pictures("x", x, limits))
    noise = torch.rand(x.shape, generator=generator, dtype=x.dtype) * 2 - 1
    if norm == "l2":
        noise = _ascent(noise, norm) * torch.rand(
            len(x), *[1] * (x.ndim - 1), generator=generator, dtype=x.dtype
        )
    return project(x + radius * noise, x, radius, norm, limits)


def pgd(
    loss: Callable[[Tensor], Tensor],
    x: Tensor,
    radius: float | Tensor,
    *,
    norm: str = "linf",
    steps: int = 20,
    generator: torch.Generator | None = None,
    keep_best: bool = True,
    shrink: bool = False,
    limits: tuple[float, float] = UNIT,
    index: Int64[Tensor, " P"] | None = None,
) -> Float[Tensor, "P ..."]:
    """Maximise a loss for each picture within a ball around it and within the declared range of
    pixel values.

    Parameters
    ----------
    loss : callable
        Pictures (P, ..) to losses (P,), differentiable, finite.
    x : float tensor, shape (P, ..)
        Within ``limits``.
    radius : float, or tensor (P,) with one for each row
        A number may not be larger than the range.
    norm : str
        ``linf`` or ``l2``.
    steps : int
    generator : torch.Generator, optional
        Start at a random point; without it at ``x``.
    keep_best : bool
        Return the points with the largest loss met, not the last ones.
    shrink : bool
        Steps that shrink from the radius to nothing, instead of steps of ``2.5 radius / steps``.
    limits : pair of float
        The declared range of pixel values.
    index : int64 tensor (P,), optional
        Numbers of the pictures in messages.

    Returns
    -------
    float tensor, shape (P, ..)
        No farther from ``x`` than the radius, see `project`.

    Raises
    ------
    InputError
        As `project`, and for a loss or a gradient that is not finite.
    """
    radius = radius_of(radius, x, norm, pictures("x", x, limits))
    steps = integer("steps", steps, 1)
    lengths = [1 - k / (steps + 1) if shrink else 2.5 / steps for k in range(steps)]
    point = x.clone() if generator is None else start(x, radius, norm, generator, limits)
    best = point.clone()
    found = torch.full((len(x),), -torch.inf, dtype=x.dtype)
    for k in range(steps + keep_best):
        point.requires_grad_(True)
        value = loss(point)
        require(value.shape == x.shape[:1], "loss", tuple(value.shape), f"of shape ({len(x)},)")
        finite("loss", value, index)
        (gradient,) = torch.autograd.grad(value.sum(), point)
        finite("gradient", gradient, index)
        point = point.detach()
        if keep_best:
            better = value.detach() > found
            found = torch.where(better, value.detach(), found)
            best[better] = point[better]
        if k < steps:
            point = project(
                point + lengths[k] * radius * _ascent(gradient, norm), x, radius, norm, limits
            )
    return best if keep_best else point


def attack(
    model: Callable[[Tensor], Tensor],
    x: Tensor,
    y: Tensor,
    radius: float,
    *,
    norm: str = "linf",
    steps: int = 20,
    restarts: int = 3,
    targets: int = 0,
    seed: int = 0,
    batch: int = 500,
    limits: tuple[float, float] = UNIT,
) -> tuple[Float[Tensor, "P ..."], Bool[Tensor, " P"]]:
    """Try to change the class of each picture: PGD on the margin and on the cross entropy, with
    restarts.

    Parameters
    ----------
    model : callable
        Pictures to scores.
    x, y : float and int64 tensors (P, C, H, W) and (P,)
        Within ``limits``, and classes.
    radius : float
        Not larger than the range.
    norm : str
    steps, restarts : int
        Restarts for each of the losses; only pictures that still have their label are attacked
        again.
    targets : int
        Above zero the strong version: steps shrink, and the differences to so many classes with the
        largest scores at the picture are further losses.
    seed : int
    batch : int
        Pictures at a time.
    limits : pair of float
        The declared range of pixel values.

    Returns
    -------
    adversarial : float tensor, shape of ``x``
        The picture itself where nothing was found; never farther away than the radius, see
        `project`.
    robust : bool tensor, shape (P,)
        Right, and not changed by any of the attacks.

    Raises
    ------
    InputError
        For pictures out of the range, pixels, scores or gradients that are not finite (the picture
        is named), labels that are no classes, another norm, a radius that is not positive or larger
        than the range.
    """
    radius = radius_of(positive("radius", radius), x, norm, pictures("x", x, limits))
    labels("y", y, len(x))
    generator = torch.Generator().manual_seed(seed)
    found = x.clone()
    with torch.no_grad():
        scores = torch.cat(
            [scored(model, x[part], part) for part in torch.arange(len(x)).split(batch)]
        )
    robust = margins(scores, y) > 0
    count = min(targets, scores.shape[1] - 1) if targets else 0
    others = scores.scatter(1, y[:, None], -torch.inf).topk(count, 1)[1]

    def of_scores(kind, scores, part):
        if kind == "margin":
            return -margins(scores, y[part])
        if kind == "entropy":
            return functional.cross_entropy(scores, y[part], reduction="none")
        return (scores.gather(1, others[part, kind, None]) - scores.gather(1, y[part, None]))[:, 0]

    for _ in range(restarts):
        for kind in ("margin", "entropy", *range(count)):
            for part in torch.nonzero(robust)[:, 0].split(batch) if robust.any() else ():

                def loss(point, kind=kind, part=part):
                    return of_scores(kind, scored(model, point, part), part)

                point = pgd(
                    loss,
                    x[part],
                    radius,
                    norm=norm,
                    steps=steps,
                    generator=generator,
                    shrink=targets > 0,
                    limits=limits,
                    index=part,
                )
                fooled = margins(model(point).detach(), y[part], part) <= 0
                found[part[fooled]] = point[fooled]
                robust[part[fooled]] = False
    return found, robust
