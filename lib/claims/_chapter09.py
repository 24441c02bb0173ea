"""Claims of chapter 09: certified radii."""

from functools import cache, partial

import numpy as np
import torch

from lib import contrast
from lib.claims._registry import claim, grid, sampled
from lib.experiments import trained
from lib.robustness import ALONG, SPACE, along, in_space
from lib.robustness import _built as built
from lib.robustness._zonotope import Zonotope, scores


def _radii(name, x, norm):
    """Certified radii of a built network at points, in one of the two norms of perturbations."""
    if name in SPACE:
        return built.radii(in_space(name), x, norm)
    return built.radii(along(name), x)


def _cases(points):
    return grid(name=ALONG, norm=("l2",), points=(points,)) + grid(
        name=tuple(SPACE), norm=("l2", "linf"), points=(points,)
    )


@claim(
    uses=("thm-cube", "thm-manifold", "lem-geodesic"),
    evidence=sampled("about every point and every move; gradient attacks around random points"),
    grid=_cases(1000),
    full=_cases(10_000),
    honest=_radii,
    tampered=(
        "a radius three times as large as the certified one",
        lambda name, x, norm: 3 * _radii(name, x, norm),
    ),
)
def thm_radius(build, name, norm, points):
    """Number of successes of gradient attacks within the certified radius around so many points."""
    if name in SPACE:
        a = in_space(name)
        x = torch.from_numpy(np.random.default_rng(0).random((points, a.dim)))
        radius = (1 - 1e-9) * build(name, x, norm)
        found = built.attack_in_space(partial(built.evaluate, a), x, radius, norm, seed=0)
    else:
        a = along(name)
        x = a.domain.sample(points, 0)
        found = built.attack_along(a, x, (1 - 1e-9) * build(name, x, norm), seed=0)
    return 0, int(found.sum())


def _radius(value, eps, slope):
    """Within which the sign is that of a network at most ``eps`` away from one of this slope."""
    return (value.abs() - 2 * eps) / slope


@claim(
    uses=("prop-steep",),
    evidence=sampled("about every point; random ones, on lines"),
    grid=grid(levels=(12, 16, 24), amplitude=(0.02, 0.1)),
    honest=_radius,
    tampered=(
        "a radius that does not allow for the distance between the two networks",
        lambda value, eps, slope: _radius(value, 0.0, slope),
    ),
)
def prop_sup_certificate(build, levels, amplitude):
    """Number of points, of 300, at which the rough network has another sign at one of twelve places
    of the segment of half length ``(|u~| - 2 eps) / Lip`` along the first axis; plus 1 if not all
    of the points at tops of teeth with ``|u~|`` between ``eps`` and ``2 eps``, by ``2^-k Lip``,
    have another sign within ``2^-k`` (20 of them at least).
    """
    eps, step = amplitude / 2, 2.0**-levels
    a = in_space("waves")
    rough = contrast.steepened(a.network, amplitude, levels)
    plain, network = (n.requires_grad_(False) for n in (a.network, rough))
    slope = built.target_slope(a.target, "l2") + 2 * a.bound.slope
    x = torch.from_numpy(np.random.default_rng(levels).random((6000, 2)))
    x[:, 0] = torch.clamp(torch.floor(x[:, 0] / step) * step, step, 1 - step)  # where teeth turn
    value = network(x)
    sign = torch.sign(value)
    radius = build(value, eps, slope)
    kept = torch.nonzero(radius > 0)[:300, 0]
    radius = radius[kept]
    changed = torch.zeros(len(kept), dtype=torch.bool)
    for part in np.linspace(-0.999, 0.999, 6):
        y = x[kept].clone()
        y[:, 0] += part * radius
        for turn in (False, True):  # there, and where the next tooth turns
            if turn:
                y[:, 0] = torch.round(y[:, 0] / step) * step
            inside = (y[:, 0] >= 0) & (y[:, 0] <= 1) & ((y[:, 0] - x[kept, 0]).abs() <= radius)
            changed |= inside & (torch.sign(network(y)) != sign[kept])
    top = (
        (value.abs() > eps + step * slope)
        & (value.abs() < 2 * eps - step * slope)
        & (plain(x).abs() < value.abs())
    )
    beside = torch.stack(
        [
            torch.sign(network(x[top] + torch.tensor([s * step, 0.0], dtype=x.dtype)))
            for s in (-1, 1)
        ]
    )
    missed = (beside == sign[top]).all(0)
    return 0, int(changed.sum()) + (len(missed) < 20 or bool(missed.any()))


@cache
def _classifier(width, blocks):
    """Trained a little, so that kinks are where pictures are; in float64."""
    model, pictures = trained("digits", width, blocks, "natural", 2, 0)
    return model.double(), pictures.test_x.double()


def _flat(z):
    """The line through the origin alone, where it should be a strip: neither lifted nor
    thickened.
    """
    low, high = z.bounds()
    slope = (high.clamp_min(0) / (high - low.clamp_max(0)).clamp_min(1e-300)).to(low)
    return Zonotope(slope * z.centre, slope * z.generators)


@claim(
    uses=(),
    evidence=sampled("about every picture of a ball; random ones and corners"),
    grid=grid(width=(2, 6), blocks=(1, 2), radius=(0.02, 0.1, 0.3)),
    honest=Zonotope.relu,
    tampered=("a line through the origin in place of the strip around a ReLU", _flat),
)
def lem_zonotope(build, width, blocks, radius):
    """By how much scores at 300 pictures of a ball, half of them corners, leave the bounds, for ten
    balls; against 1e-12 times their size.
    """
    model, x = _classifier(width, blocks)
    generator = torch.Generator().manual_seed(width)
    worst = 0.0
    with torch.no_grad():
        for centre in x[:10]:
            low, high = scores(model, centre, radius, build).bounds()
            y = centre + radius * (
                2 * torch.rand(300, *centre.shape, generator=generator, dtype=x.dtype) - 1
            )
            y[150:] = centre + radius * torch.sign(y[150:] - centre)
            s = model(y.clamp(0, 1))
            worst = max(
                worst,
                float(((low - s).clamp_min(0) + (s - high).clamp_min(0)).max() / s.abs().max()),
            )
    return 1e-12, worst
