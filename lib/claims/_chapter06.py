"""Claims of chapter 06: reach, charts, atlases, and gates that are exact."""

from dataclasses import replace
from math import gamma, pi

import numpy as np
import torch

from lib import manifolds, relu
from lib.claims._manifolds import ALL, SMALL, atlas, manifold, pairs
from lib.claims._registry import claim, grid, sampled
from lib.convresnet import Chart, Gate, doublings, gather_charts, term_block
from lib.relu import exact
from lib.relu.layers import Layer

_UNIT = 2.0**-53
_CHARTED = ("circle", "sphere", "torus")


def _reach(name):
    return manifold(name).reach


def _reach_and_more(name):
    return 1.25 * manifold(name).reach


_TOO_LARGE = ("a reach stated a quarter too large", _reach_and_more)


@claim(
    uses=(),
    evidence=sampled("about every pair of points of a manifold"),
    grid=grid(name=ALL),
    honest=_reach,
    tampered=_TOO_LARGE,
)
def lem_federer(build, name):
    """The largest ``2 tau dist(y - x, T_x) / |y - x|^2`` over 20 000 near and 2000 far pairs."""
    worst = 0.0
    for count, near in ((20_000, 0.7), (2000, None)):
        x, basis, y = pairs(name, count, near)
        step = y - x
        along = ((step[:, None] @ basis) ** 2).sum((1, 2))
        square = (step**2).sum(1)
        far = square > 1e-6 * build(name) ** 2  # nearer, rounding rules
        off = np.sqrt(np.maximum(square - along, 0))
        worst = max(worst, float((2 * build(name) * off[far] / square[far]).max()))
    return 1 + 1e-9, worst


@claim(
    uses=(),
    evidence=sampled("about every pair of points of a manifold; arc lengths are numerical"),
    grid=grid(name=("circle", "ellipse", "trefoil", "sphere", "SO(3)", "image")),
    honest=_reach,
    tampered=_TOO_LARGE,
)
def lem_geodesic(build, name):
    """The largest ratio of a shortest path to ``2 tau arcsin(|x - y| / (2 tau))``, over 5000
    pairs nearer than ``2 tau``.
    """
    x, _, y = pairs(name, 5000, 0.7)
    chord = np.linalg.norm(x - y, axis=1)
    tau = build(name)
    keep = (chord < 2 * tau) & (chord > 1e-2 * tau)
    ratio = manifold(name).geodesic(x, y)[keep] / (2 * tau * np.arcsin(chord[keep] / (2 * tau)))
    return 1 + 1e-4, float(ratio.max())  # arc lengths are interpolated to 1e-6 of a length


@claim(
    uses=("lem-federer", "lem-geodesic"),
    evidence=sampled("about every pair of points of a manifold"),
    grid=grid(name=ALL),
    honest=_reach,
    tampered=_TOO_LARGE,
)
def lem_angle(build, name):
    """The largest ``2 tau sin(theta / 2) / |x - c|`` over 10 000 pairs, theta the largest
    principal angle.
    """
    x, basis, y = pairs(name, 10_000, 0.7)
    cosine = np.linalg.svd(
        np.swapaxes(basis, 1, 2) @ manifold(name).tangent_basis(y), compute_uv=False
    )[:, -1]
    distance = np.linalg.norm(x - y, axis=1)
    far = distance > 1e-3 * build(name)
    return 1 + 1e-9, float(
        (np.sqrt(np.maximum(1 - cosine[far], 0) / 2) * 2 * build(name) / distance[far]).max()
    )


@claim(
    uses=("lem-federer", "lem-angle"),
    evidence=sampled("injectivity and surjectivity of a projection: pairs and a net"),
    grid=grid(name=ALL),
    honest=_reach,
    tampered=(
        "a reach stated half as large again as it is",
        lambda name: 1.5 * manifold(name).reach,
    ),
)
def lem_chart(build, name):
    """The largest of three ratios over five charts of radius ``r = 1.2 tau``, 2000 points each.

    Onto: points ``t`` of the ball of radius ``g(r)`` have a preimage in ``B(c, r)``; steep: the
    differential is at least ``1 - |x-c|^2 / (2 tau^2)``; injective: no two of 400 points have
    projections a thousand times closer than they are.
    """
    m = manifold(name)
    tau = build(name)
    rng = np.random.default_rng(1)
    worst = 0.0
    radius = 1.2 * tau
    room = radius * np.sqrt(1 - radius**2 / (4 * tau**2))
    centres = m.draw(5, 4)
    for centre, frame in zip(centres, m.tangent_basis(centres)):
        t = rng.normal(size=(2000, m.dim))
        t *= (
            min(room, 0.999 * m.reach)
            * rng.random((2000, 1)) ** (1 / m.dim)
            / np.linalg.norm(t, axis=1, keepdims=True)
        )
        x = m.inverse_chart(centre, frame, t)
        distance = np.linalg.norm(x - centre, axis=1)
        smallest = np.linalg.svd(frame.T @ m.tangent_basis(x), compute_uv=False)[:, -1]
        off = np.abs((x - centre) @ frame - t).max() / 1e-9 if tau == m.reach else 0.0
        cloud = m.draw(400, 5)
        near = np.linalg.norm(cloud - centre, axis=1) < radius
        cloud = cloud[near & (np.linalg.norm((cloud - centre) @ frame, axis=1) < room)]
        apart = np.linalg.norm(cloud[:, None] - cloud[None], axis=2)
        flat = np.linalg.norm((cloud @ frame)[:, None] - (cloud @ frame)[None], axis=2)
        folded = (flat[apart > 1e-9] < 1e-3 * apart[apart > 1e-9]).any()
        worst = max(
            worst,
            distance.max() / radius,
            ((1 - distance**2 / (2 * tau**2)) / smallest).max(),
            off,
            2.0 * folded,
        )
    return 1 + 1e-9, worst


def _centres(name):
    return atlas(name).centres


@claim(
    uses=("lem-chart",),
    evidence=sampled("the cover is certified by a net when the atlas is built; the check samples"),
    grid=grid(name=ALL),
    honest=_centres,
    tampered=(
        "an atlas with one of its charts removed",
        lambda name: np.delete(_centres(name), len(_centres(name)) // 2, axis=0),
    ),
)
def lem_atlas(build, name):
    """The larger of: distance to the nearest centre over ``r_0`` at 20 000 points; number of charts
    over the packing bound.

    The packing bound is checked where the volume is known.
    """
    a = atlas(name)
    centres = build(name)
    x = a.manifold.draw(20_000, 7)
    nearest = np.concatenate(
        [np.sqrt(((p[:, None] - centres[None]) ** 2).sum(2)).min(1) for p in np.array_split(x, 200)]
    )
    ratio = float(nearest.max() / a.cover_radius)
    if a.manifold.volume is not None:
        d = a.dim
        s = min(a.separation / 2, 1.4 * a.manifold.reach)
        ball = (
            pi ** (d / 2) / gamma(d / 2 + 1) * manifolds.projected_radius(s, a.manifold.reach) ** d
        )
        ratio = max(ratio, len(a) * ball / a.manifold.volume)
    return 1, ratio


def _parts(name, x):
    a = atlas(name)
    return np.stack([a.partition(i, x) for i in range(len(a))], axis=1)


def _last_missing(name, x):
    return _parts(name, x)[:, :-1]


@claim(
    uses=("lem-chart", "lem-atlas"),
    evidence=sampled("identity of sums in float64"),
    grid=grid(name=SMALL),
    honest=_parts,
    tampered=("a partition of unity whose last function is left out", _last_missing),
)
def lem_partition(build, name):
    """How far the sum of all ``rho_i`` is from 1, or any of them from [0, 1] or from 0 outside
    its ball, at 1000 points.
    """
    a = atlas(name)
    x = a.manifold.draw(1000, 8)
    rho = build(name, x)
    distance = np.linalg.norm(x[:, None] - a.centres[None, : rho.shape[1]], axis=2)
    outside = np.abs(rho[distance >= a.bump_radius]).max(initial=0)
    total = (
        (1 - np.minimum(np.linalg.norm(x[:, None] - a.centres, axis=2) / a.bump_radius, 1) ** 2)
        ** a.exponent
    ).sum(1)
    thin = (1 - a.cover_radius**2 / a.bump_radius**2) ** a.exponent > total.min()
    return 64 * len(a) * _UNIT, max(
        np.abs(rho.sum(1) - 1).max(), outside, (rho - 1).max(), -rho.min(), float(thin)
    )


def _squared_distance(gate, x):
    return gate.squared_distance(x)


@claim(
    uses=("lem-square", "lem-gather"),
    evidence=sampled("equality with a bound in many variables, tried where it is attained"),
    grid=grid(D=(2, 9, 64, 784), n=(4, 9)),
    honest=_squared_distance,
    tampered=(
        "a squared distance from squares with one level too few",
        lambda gate, x: _squared_distance(replace(gate, refinement=gate.refinement - 1), x),
    ),
)
def lem_distance_net(build, D, n):
    """The larger of ``(d~^2 - |x - c|^2) / (D 4^(-n-1))`` and of its fall below zero, at 500
    points.

    Half of the points have all coordinates halfway between dyadic ones, where the bound is
    attained.
    """
    rng = np.random.default_rng(D)
    x = rng.random((500, D))
    x[:250] = (np.floor(x[:250] * 2**n) + 0.5) / 2**n
    gate = Gate(rng.random(D), 0.1, 0.2, n)
    excess = build(gate, torch.from_numpy(x)).numpy() - ((x - gate.centre) ** 2).sum(1)
    allowed = D * 4.0 ** (-n - 1)
    return 1 + 64 * D * _UNIT / allowed, max(excess.max(), -excess.min()) / allowed


def _one_chart(name, gated=True):
    """A chart of an atlas with random coefficients, order 3, ``N = 8`` (whatever ``N_0``: only
    the gate is looked at).
    """
    a = atlas(name)
    matrix, offset, edge = a.mesh(0, 3, 8)
    indices = np.stack(np.meshgrid(*[np.arange(3, 11)] * a.dim, indexing="ij"), axis=-1).reshape(
        -1, a.dim
    )
    coefficients = np.random.default_rng(0).uniform(-1, 1, len(indices))
    return Chart(matrix, offset, edge, indices, coefficients, a.gate(0) if gated else None)


def _behind_gather(chart, m=3, n=6):
    """The layers of a block with all terms of a chart behind its gather layers."""
    return [
        c.to_layer()
        for c in term_block([chart], [slice(None)], m, n, 2)[len(gather_charts([chart], 2)) :]
    ]


def _counting_less(chart):
    """The block whose gate counts a little less than it has to."""
    first, *layers = _behind_gather(chart)
    weight = first.weight.clone()
    weight[:, :, -1] *= 1 - 2.0**-40
    return [Layer(weight, first.bias), *layers]


@claim(
    uses=("lem-doubling", "prop-bspline-net", "prop-tensor-net", "lem-distance-net"),
    evidence=sampled("about every gate; those of three atlases, zeros decided for all floats"),
    grid=grid(name=_CHARTED),
    honest=_behind_gather,
    tampered=("a gate that counts too little, by one part in 10¹²", _counting_less),
)
def lem_gate(build, name):
    """Number of wrong weights, and of factors whose zeros do not make the block zero, bitwise.

    Weights: without the column of omega they must be those of the block without gate; omega must
    count ``m 2^-k`` in both rows of each first factor and nowhere else; up to the folds nothing may
    decrease a distance; folds must end at m/2. Zeros are followed as symbols, for all floats.
    """
    m = 3
    chart = _one_chart(name)
    gated, plain = build(chart), _behind_gather(_one_chart(name, gated=False))
    k = doublings(chart.cells)
    omega, pairs = gated[0].weight[0, :, -1], gated[0].weight[0, :, :-1]
    starts = pairs[:, 0] != 0  # reads the first coordinate
    wrong = int(
        (omega != torch.where(starts, m / 2**k, 0.0)).sum() + (pairs != plain[0].weight[0]).sum()
    )
    wrong += int((gated[0].bias != plain[0].bias).sum())
    wrong += sum(
        int((a.weight != b.weight).sum() + (a.bias != b.bias).sum())
        for a, b in zip(gated[1:], plain[1:])
    )
    wrong += sum(
        int((layer.weight < 0).sum() + (layer.bias != 0).sum()) for layer in gated[1 : k + 1]
    )
    folds, *rest = gated[k + 1 :]
    wrong += int(
        (folds.weight[..., 0] >= 0).sum() + (folds.bias > -m / 2 * folds.weight[..., 0]).sum()
    )
    # of each fold
    axes = pairs[::2].abs().argmax(1).repeat_interleave(folds.weight.shape[1]).tolist()
    for axis in range(chart.dim):
        inputs = [None if own == axis else f"fold {i}" for i, own in enumerate(axes)]
        wrong += sum(not zero for zero in exact.vanishing(rest, inputs))
    return 0, wrong


@claim(
    uses=("lem-product",),
    evidence=sampled("piecewise linear in the product of two networks"),
    grid=grid(m=(2, 3, 4), n=(4, 8)),
    honest=relu.product,
    tampered=(
        "a product with one refinement level too few behind the gate",
        lambda chi, spline, n: relu.product(chi, spline, n - 1),
    ),
)
def lem_product_gate(build, m, n):
    """``mu_n(chi, N~_m)`` against ``chi N~_m`` for a ramp on [0, m] at 20 000 points.

    The larger of the two errors over their bounds ``4^(-n-1)`` and ``2^-n (|chi'| + |N~_m'|)``;
    infinity if the product is not exact where ``chi`` is 0 (bitwise) or 1 (to rounding).
    """
    t = torch.linspace(0.0001, m - 0.0001, 20_000, dtype=torch.float64).requires_grad_(True)
    chi = torch.clamp((t - m / 3) * 3 / m, 0, 1)
    spline = relu.bspline(t, m, n)
    product = build(chi, spline, n)
    slope = [
        torch.autograd.grad(v.sum(), t, retain_graph=True)[0]
        for v in (product, chi * spline, chi, spline)
    ]
    gap = (product - chi * spline).abs().detach()
    allowed = 2.0**-n * (slope[2].abs() + slope[3].abs())
    steep = (slope[0] - slope[1]).abs()[allowed > 0] / allowed[allowed > 0]
    inexact = bool((gap[chi == 0] > 0).any() or (gap[chi == 1] > 4 * _UNIT).any())
    return 1 + 1e-9, max(float(gap.max()) * 4.0 ** (n + 1), float(steep.max())) + (
        np.inf if inexact else 0
    )


def _terms(a, i, m, cells):
    """The map of a chart to units of a mesh, and the terms that live there."""
    matrix, offset, _ = a.mesh(i, m, cells)
    return matrix, offset, manifolds.living_terms(a.dim, m, cells)


@claim(
    uses=("lem-federer", "lem-functionals", "lem-gate"),
    evidence=sampled(
        "about all points of a manifold; on curves and spheres certificates decide it box by box"
    ),
    grid=grid(name=SMALL, m=(2, 3, 4)),
    honest=lambda a, i, m: _terms(a, i, m, a.smallest_mesh(m)),
    tampered=(
        "a mesh four times as coarse as the coarsest one that is allowed",
        lambda a, i, m: _terms(a, i, m, max(2, a.smallest_mesh(m) // 4)),
    ),
)
def prop_chart_local(build, name, m):
    """At ``N = N_0`` no term of a chart is alive where its gate is half open: living terms counted,
    bitwise, at 20 000 points of the manifold, five charts.
    """
    a = atlas(name)
    x = a.manifold.draw(20_000, 9)
    alive = 0
    for i in np.unique(np.linspace(0, len(a) - 1, 5).astype(int)):
        gate = a.gate(i)
        square = gate.squared_distance(torch.from_numpy(x)).numpy()
        half_open = x[(square > gate.inner) & (square < gate.outer)]
        matrix, offset, living = build(a, i, m)
        u = half_open @ matrix.T + offset
        for part in np.array_split(u, max(1, len(u) // 500)):
            alive += int((np.abs(part[:, None] - living[None] - m / 2) < m / 2).all(2).sum())
    return 0, alive
