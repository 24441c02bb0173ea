"""Claims of chapter 07: Theorem B."""

from dataclasses import replace
from functools import cache

import numpy as np
import torch

from lib import manifolds
from lib.approximation import approximate
from lib.claims._manifolds import atlas
from lib.claims._registry import claim, grid, sampled
from lib.norms import Norms

MESHES = {
    "circle": 16,
    "ellipse": 16,
    "trefoil": 16,
    "trefoil in 20 dimensions": 16,
    "sphere": 16,
    "ellipsoid": 14,
    "torus": 14,
    "peanut": 14,
    "curve of two equations": 16,
    "SO(3)": 12,
    "image": 16,
}
EASY = ("circle", "ellipse", "trefoil", "curve of two equations", "image", "sphere")
HARD = ("ellipsoid", "peanut", "trefoil in 20 dimensions")
SIZES = {"circle": (32, 128, 512), "sphere": (16, 32, 64, 128), "SO(3)": (9, 14, 20)}


def wave(x):
    """``sin(3 x_1) exp(x_2) + x_1 x_D``: smooth on every manifold."""
    return torch.sin(3 * x[:, 0]) * torch.exp(x[:, 1]) + x[:, 0] * x[:, -1]


@cache
def charts(name, m):
    """The atlas for this order: the plain one of chapter 06 with exponent ``m + 1``."""
    return atlas(name, m + 1)


def approximation(name, m):
    """The network for `wave` on a manifold."""
    cells = max(MESHES[name], charts(name, m).smallest_mesh(m))
    return approximate(wave, charts(name, m), order=m, cells=cells, kernel_size=4)


def _without_a_chart(name, m):
    a = approximation(name, m)
    coefficients = a.coefficients.copy()
    coefficients[: len(a.charts[0].coefficients)] = 0
    return replace(a.with_coefficients(coefficients), bound=a.bound)


@claim(
    uses=(
        "lem-chart",
        "lem-partition",
        "prop-chart-local",
        "thm-jackson",
        "prop-spline-net",
        "prop-realisation",
        "lem-geodesic",
        "lem-interpolation",
    ),
    evidence=sampled(
        "norms in charts are sampled, so the bound is not an enclosure; on closed curves see"
        " cor-certified-curve"
    ),
    grid=grid(name=EASY, m=(2, 3, 4)) + grid(name=HARD, m=(2,)),
    full=grid(name=HARD[:2] + ("torus",), m=(3, 4)) + grid(name=("torus", "SO(3)"), m=(2,)),
    honest=approximation,
    tampered=("a network without the terms of one chart", _without_a_chart),
)
def thm_manifold(build, name, m):
    """The bound (from estimated norms in the charts) against the error at 4096 points; for m = 2
    and up to 30 000 terms 8 of them go through the module.
    """
    a = build(name, m)
    few = m == 2 and len(a.coefficients) <= 30_000
    return a.bound, a.measure(4096, module_points=8 if few else 0)


def _refined(name, m, cells, refinement=None):
    return approximate(wave, charts(name, m), order=m, cells=cells, refinement=refinement)


@claim(
    uses=("thm-manifold",),
    evidence=sampled("asymptotic: an order is fitted"),
    grid=grid(name=("circle", "sphere"), m=(3, 4)),
    honest=_refined,
    tampered=(
        "networks in charts with four refinement levels at every mesh width",
        lambda name, m, cells: _refined(name, m, cells, 4),
    ),
)
def cor_manifold_rate(build, name, m):
    """By how much the order in h falls short of ``m - s``; against 0.2.

    It is fitted over three sizes a factor 4 apart on the circle, four a factor 2 apart on the
    sphere.
    """
    errors = zip(*(build(name, m, N).measure(10_000, module_points=0) for N in SIZES[name]))
    orders = [-np.polyfit(np.log(SIZES[name]), np.log(e), 1)[0] for e in errors]
    value, slope = (max(best - order, 0) for best, order in zip((m, m - 1), orders))
    return Norms(0.2, 0.2), Norms(value, slope)


def _placed(D, K):
    """A trefoil in ``R^D``, a target that depends on its own coordinates only, and the network."""
    curve = manifolds.trefoil(ambient_dim=D, seed=D)
    frame = torch.from_numpy(curve.frame)

    def target(x):
        y = (x - 0.5) @ frame
        return torch.sin(8 * y[:, 0]) + y[:, 1] * y[:, 2]

    centres = manifolds.trefoil()
    own = manifolds.Atlas(centres, 0.4 * curve.reach, 0.5 * curve.reach, 4)
    moved = curve.middle + (own.centres - centres.middle) @ centres.frame @ curve.frame.T
    a = approximate(
        target,
        manifolds.Atlas(curve, 0.4 * curve.reach, 0.5 * curve.reach, 4, moved),
        order=3,
        cells=12,
        kernel_size=K,
        blocks=8,
    )
    return a, curve


def _elsewhere(D, K):
    """Coefficients of another function, one per mille larger, in the higher dimension."""
    a, curve = _placed(D, K)
    return a.with_coefficients(a.coefficients * (1.001 if D > 3 else 1.0)), curve


@claim(
    uses=("thm-manifold", "prop-chart-local", "lem-gather"),
    evidence=sampled("equality of two errors in different dimensions, to 1e-8"),
    grid=grid(D=(16, 64, 784), K=(8,)),
    honest=_placed,
    tampered=("coefficients larger by a thousandth in the space of more dimensions", _elsewhere),
)
def cor_ambient(build, D, K):
    """The same curve in ``R^3`` and in ``R^D``: the difference of the errors in value and slope at
    the same 2000 points, against 1e-8; and 1 for another number of terms, other bounds or another
    depth than the gather layers explain.
    """
    (here, curve), (there, copy) = build(3, K), build(D, K)
    t = np.random.default_rng(0).uniform(0, 2 * np.pi, 2000)
    errors = []
    for a, c in ((here, curve), (there, copy)):
        x = torch.from_numpy(c.points(t))
        f, df = a.target.value_and_gradient(x)
        g, dg = a.sparse.value_and_gradient(x)
        errors.append((f - g, a.domain.slope(x, df - dg)))
    module = float((there.network(x[:1]) - g[:1]).detach().abs().max())
    wrong = len(here.coefficients) != len(there.coefficients)
    gate = here.charts[0].gate.refinement, there.charts[0].gate.refinement
    deeper = (
        max(1, -((1 - D) // (K - 1)))
        - max(1, -(-2 // (K - 1)))
        + gate[1]
        - gate[0]
        + there.cells
        - here.cells
    )
    wrong += there.architecture.measured.L - here.architecture.measured.L != deeper
    return 1e-8, max(float((p - q).abs().max()) for p, q in zip(*errors)) + module + int(wrong)
