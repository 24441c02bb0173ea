"""Projected gradient ascent inside a ball around each picture (Madry et al. 2018; book: chapter 09)."""

import torch
from torch.nn import functional

from lib.errors import positive, require
from lib.robustness._model import margins

NORMS = ("linf", "l2")


def _ascent(gradient, norm):
    """The direction in which a linear function grows fastest, of length one."""
    if norm == "linf":
        return gradient.sign()
    length = gradient.flatten(1).norm(dim=1).clamp_min(1e-30)
    return gradient / length.view(-1, *[1] * (gradient.ndim - 1))


def project(x, centre, radius, norm):
    """The point of the ball of this radius (and of [0,1]) next to ``x``; in ``l2`` first into the ball, then into the cube.

    ``radius`` is a number, or a tensor of the dimension of ``x`` with one for each row.
    """
    if norm == "linf":
        x = torch.maximum(torch.minimum(x, centre + radius), centre - radius)
    else:
        step = x - centre
        length = step.flatten(1).norm(dim=1).clamp_min(1e-30)
        x = centre + step * (radius / length.view(-1, *[1] * (x.ndim - 1))).clamp_max(1)
    return x.clamp(0, 1)


def start(x, radius, norm, generator):
    """A random point of the ball around each picture: uniform in the cube for ``linf``, on a random ray for ``l2``."""
    noise = torch.rand(x.shape, generator=generator, dtype=x.dtype) * 2 - 1
    if norm == "l2":
        noise = _ascent(noise, norm) * torch.rand(len(x), *[1] * (x.ndim - 1), generator=generator, dtype=x.dtype)
    return project(x + radius * noise, x, radius, norm)


def pgd(loss, x, radius, *, norm="linf", steps=20, generator=None, keep_best=True, shrink=False):
    """Maximise a loss for each picture within a ball around it and within [0,1].

    Parameters
    ----------
    loss : callable
        Pictures (P, ..) to losses (P,), differentiable.
    x : float tensor, shape (P, ..)
    radius : float, or tensor (P,) with one for each row
    norm : str
        ``linf`` or ``l2``.
    steps : int
    generator : torch.Generator, optional
        Start at a random point; without it at ``x``.
    keep_best : bool
        Return the points with the largest loss met, not the last ones.
    shrink : bool
        Steps that shrink from the radius to nothing, instead of steps of ``2.5 radius / steps``.

    Returns
    -------
    float tensor, shape (P, ..)
    """
    require(norm in NORMS, "norm", norm, f"one of {NORMS}")
    require(isinstance(steps, int) and steps >= 1, "steps", steps, "a positive integer")
    if torch.is_tensor(radius):
        require(radius.shape == x.shape[:1] and bool((radius > 0).all()), "radius", radius.shape, "a positive number a row")
        radius = radius.view(-1, *[1] * (x.ndim - 1))
    else:
        radius = positive("radius", radius)
    lengths = [1 - k / (steps + 1) if shrink else 2.5 / steps for k in range(steps)]
    point = x.clone() if generator is None else start(x, radius, norm, generator)
    best, found = point.clone(), torch.full((len(x),), -torch.inf, dtype=x.dtype)
    for k in range(steps + keep_best):
        point.requires_grad_(True)
        value = loss(point)
        (gradient,) = torch.autograd.grad(value.sum(), point)
        point = point.detach()
        if keep_best:
            better = value.detach() > found
            found = torch.where(better, value.detach(), found)
            best[better] = point[better]
        if k < steps:
            point = project(point + lengths[k] * radius * _ascent(gradient, norm), x, radius, norm)
    return best if keep_best else point


def attack(model, x, y, radius, *, norm="linf", steps=20, restarts=3, targets=0, seed=0, batch=500):
    """Try to change the class of each picture: PGD on the margin and on the cross entropy, with restarts.

    Parameters
    ----------
    model : callable
        Pictures to scores.
    x, y : tensors (P, C, H, W) and (P,)
    radius : float
    norm : str
    steps, restarts : int
        Restarts for each of the losses; only pictures that still have their label are attacked again.
    targets : int
        Above zero the strong version: steps shrink, and the differences to so many classes with the largest scores at the
        picture are further losses.
    seed : int
    batch : int
        Pictures at a time.

    Returns
    -------
    adversarial : float tensor, shape of ``x``
        The picture itself where nothing was found.
    robust : bool tensor, shape (P,)
        Right, and not changed by any of the attacks.
    """
    generator, found = torch.Generator().manual_seed(seed), x.clone()
    with torch.no_grad():
        scores = torch.cat([model(part) for part in x.split(batch)])
    robust = margins(scores, y) > 0
    others = scores.scatter(1, y[:, None], -torch.inf).topk(min(targets, scores.shape[1] - 1), 1)[1] if targets else None

    def of_scores(kind, scores, part):
        if kind == "margin":
            return -margins(scores, y[part])
        if kind == "entropy":
            return functional.cross_entropy(scores, y[part], reduction="none")
        return (scores.gather(1, others[part, kind, None]) - scores.gather(1, y[part, None]))[:, 0]

    for _ in range(restarts):
        for kind in ("margin", "entropy", *range(0 if others is None else others.shape[1])):
            for part in torch.nonzero(robust)[:, 0].split(batch):
                def loss(point, kind=kind, part=part):
                    return of_scores(kind, model(point), part)

                point = pgd(loss, x[part], radius, norm=norm, steps=steps, generator=generator, shrink=targets > 0)
                fooled = margins(model(point).detach(), y[part]) <= 0
                found[part[fooled]] = point[fooled]
                robust[part[fooled]] = False
    return found, robust
