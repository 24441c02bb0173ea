"""Claims of chapter 09: certified radii."""

from functools import cache, partial

import numpy as np
import torch

from lib import contrast
from lib.claims._registry import claim, grid
from lib.experiments import trained
from lib.robustness import ALONG, SPACE, along, in_space
from lib.robustness import _built as built
from lib.robustness._zonotope import Zonotope, scores


def attacked(name, norm, factor, points, seed=0):
    """Number of points, of so many, at which an attack within ``factor`` times the certified
    radius changes the sign.
    """
    if name in SPACE:
        a = in_space(name)
        x = torch.from_numpy(np.random.default_rng(seed).random((points, a.dim)))
        radius = factor * built.radii(a, x, norm)
        return int(
            built.attack_in_space(partial(built.evaluate, a), x, radius, norm, seed=seed).sum()
        )
    a = along(name)
    x = a.domain.sample(points, seed)
    return int(built.attack_along(a, x, factor * built.radii(a, x), seed=seed).sum())


def _cases(points):
    return grid(name=ALONG, norm=("l2",), points=(points,)) + grid(
        name=tuple(SPACE), norm=("l2", "linf"), points=(points,)
    )


@claim(
    "thm-radius",
    uses=("thm-cube", "thm-manifold", "lem-geodesic"),
    evidence="sampled",
    grid=_cases(1000),
    full=_cases(10_000),
    honest=1 - 1e-9,
    tampered=3.0,
)
def thm_radius(build, name, norm, points):
    """Number of successes of gradient attacks within the certified radius around so many points."""
    return 0, attacked(name, norm, build, points)


def rough(name, amplitude, levels):
    """Our network for a formula, as a module, and with a sawtooth on top: as close to it as half
    the amplitude.
    """
    a = in_space(name)
    return a.network, contrast.steepened(a.network, amplitude, levels)


@claim(
    "prop-sup-certificate",
    uses=("prop-steep",),
    evidence="sampled",
    grid=grid(levels=(12, 16, 24), amplitude=(0.02, 0.1)),
    honest=2.0,
    tampered=0.0,
)
def prop_sup_certificate(build, levels, amplitude):
    """Number of points, of 300, at which the rough network has another sign at one of twelve places
    of the segment of half length ``(|u~| - 2 eps) / Lip`` along the first axis; plus 1 if not all
    of the points at tops of teeth with ``|u~|`` between ``eps`` and ``2 eps``, by ``2^-k Lip``,
    have another sign within ``2^-k`` (20 of them at least).
    """
    eps, step = amplitude / 2, 2.0**-levels
    plain, network = (n.requires_grad_(False) for n in rough("waves", amplitude, levels))
    slope = built.target_slope(in_space("waves").target, "l2") + 2 * in_space("waves").bound.slope
    x = torch.from_numpy(np.random.default_rng(levels).random((6000, 2)))
    x[:, 0] = torch.clamp(torch.floor(x[:, 0] / step) * step, step, 1 - step)  # where teeth turn
    value = network(x)
    sign = torch.sign(value)
    kept = torch.nonzero(value.abs() > build * eps)[:300, 0]
    radius = (value[kept].abs() - build * eps) / slope
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
    "lem-zonotope",
    uses=(),
    evidence="sampled",
    grid=grid(width=(2, 6), blocks=(1, 2), radius=(0.02, 0.1, 0.3)),
    honest=Zonotope.relu,
    tampered=_flat,
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
