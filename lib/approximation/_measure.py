"""Sampled errors of an approximation, in value and in slope (book: chapter 05)."""

import math
from dataclasses import dataclass

import torch

from lib.errors import integer, require
from lib.norms import Norms, renamed

_MODULE_TERMS = 50_000
_MODULE_WORK = 1 << 18


@dataclass(frozen=True)
class Measurement(Norms):
    """Sampled errors: lower estimates of the true suprema.

    Attributes
    ----------
    value, slope : float
        ``max |f - f~|`` and, on the cube, ``max_k max |d_k (f - f~)|``, on a manifold
        ``max |grad_M (f - f~)|`` (Euclidean length of the tangential gradient) over the points.
    value_at, slope_at : tuple of float
        Where they were found.
    points, seed : int
        Points sampled from the domain (scrambled Sobol points on the cube) and their seed.
    module_points : int
        On that many of the points the module itself was evaluated, and differed from the sparse
        evaluation (values) by at most ``module_difference``.
    module_difference : float
        NaN if weights were changed: then the module was evaluated at all points, and there is
        nothing to compare it with.
    """

    value_at: tuple
    slope_at: tuple
    points: int
    seed: int
    module_points: int
    module_difference: float
    gradient_at = renamed("gradient_at", "slope_at")


def measure(a, points, seed, module_points):
    """See `lib.Approximation.measure`, of which this is the work."""
    require(
        None not in (a.target, a.domain),
        "target",
        None,
        "known (set it after loading: see `with_target`)",
    )
    points, seed = integer("points", points, 1), integer("seed", seed, 0)
    if module_points is None:
        terms = len(a.coefficients)
        module_points = min(256, max(16, _MODULE_WORK // terms)) if terms <= _MODULE_TERMS else 0
    unchanged = a.unchanged
    module_points = (
        max(0, min(integer("module_points", module_points, 0), points)) if unchanged else points
    )
    worst: dict[str, tuple] = {}
    difference = 0.0 if unchanged else math.nan
    done = 0
    for x in a.domain.batches(points, seed):
        f, df = a.target.value_and_gradient(x)
        g, dg = (a.sparse if unchanged else a.network).value_and_gradient(x)
        subset = max(0, min(module_points - done, len(x))) if unchanged else 0
        if subset:
            h, dh = a.network.value_and_gradient(x[:subset])
            difference = max(difference, float((h - g[:subset]).abs().max()))
            g[:subset], dg[:subset] = h, dh
        require(
            bool(torch.isfinite(g).all() and torch.isfinite(dg).all()),
            "network",
            "values or slopes that are not finite",
            "finite on the domain",
        )
        for norm, errors in (("value", (f - g).abs()), ("slope", a.domain.slope(x, df - dg))):
            i = int(errors.argmax())
            worst[norm] = max(worst.get(norm, (-1.0,)), (float(errors[i]), tuple(x[i].tolist())))
        done += len(x)
    return Measurement(
        worst["value"][0],
        worst["slope"][0],
        worst["value"][1],
        worst["slope"][1],
        points,
        seed,
        module_points,
        difference,
    )
