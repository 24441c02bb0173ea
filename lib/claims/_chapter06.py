"""Claims of chapter 06: reach, charts, atlases, and partitions of unity that are networks."""

from copy import copy
from dataclasses import replace
from math import gamma, pi

import numpy as np
import torch

from lib import manifolds
from lib.claims._manifolds import ALL, SMALL, atlas, manifold, pairs, target
from lib.claims._registry import claim, grid, sampled
from lib.convresnet import Chart, OneSidedConv1d, PartitionFunction, gather_charts, term_block
from lib.manifolds import Grid, enclosed_norms
from lib.norms import Norms

_UNIT = 2.0**-53


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
    """The largest of three ratios over five charts of radius ``r = sqrt(2) tau``, 2000 points each.

    Onto: points ``t`` of the ball of radius ``g(r) = tau`` (up to a thousandth) have a preimage in
    ``B(c, r)``; steep: the differential is at least ``1 - |x-c|^2 / (2 tau^2)``; injective: no two
    of 400 points have projections a thousand times closer than they are.
    """
    m = manifold(name)
    tau = build(name)
    rng = np.random.default_rng(1)
    worst = 0.0
    radius = 2**0.5 * tau
    room = 0.999 * radius * np.sqrt(1 - radius**2 / (4 * tau**2))
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


def _behind(chain, x):
    """What a chain of layers makes of the stream of points ``x``, row 0: (P, channels)."""
    z = torch.zeros(len(x), 3, x.shape[1], dtype=x.dtype)
    z = torch.cat([x[:, None], z[:, 1:]], dim=1)
    rows = sum(c.weight.shape[2] - 1 for c in chain)  # those that later layers read
    for c in chain:
        rows -= c.weight.shape[2] - 1
        z = torch.relu(OneSidedConv1d.from_numbers(c)(z))[:, :, : rows + 1]
    return z[:, :, 0]


def _one_term(partition, matrix=None, offset=None):
    """A chart with the term 0 only, for what is in front of it."""
    if matrix is None:
        matrix = np.full((1, len(partition.centre)), 0.25)
    offset = np.zeros(len(matrix)) if offset is None else offset
    return Chart(matrix, offset, 4, np.zeros((1, len(matrix)), int), np.ones(1), partition)


def _squared_distances(partition, x, kernel_size):
    """``d~^2`` as the gather layers of a block have it: (P, B + 1)."""
    count = len(partition.earlier) + 1
    chain = gather_charts([_one_term(partition)], kernel_size)
    return _behind(chain, x)[:, -count:] / partition.gain


@claim(
    uses=("lem-square", "lem-gather"),
    evidence=sampled("equality with a bound in many variables, tried where it is attained"),
    grid=grid(D=(2, 9, 64, 784), n=(4, 9)),
    honest=_squared_distances,
    tampered=(
        "a squared distance from squares with one level too few",
        lambda partition, *others: _squared_distances(
            replace(partition, refinement=partition.refinement - 1), *others
        ),
    ),
)
def lem_distance_net(build, D, n):
    """The layers at 160 points: the larger of ``(d~^2 - |x - c|^2) / (D 4^(-n-1))`` and of its fall
    below zero; the gradient's error over ``sqrt(D) 2^-n``.

    Half of the points have all coordinates halfway between dyadic ones, where the bound of the
    value is attained, a quarter just beside dyadic ones, where that of the gradient is.
    """
    rng = np.random.default_rng(D)
    x = rng.random((160, D))
    dyadic = np.floor(x * 2**n)
    x[:80] = (dyadic[:80] + 0.5) / 2**n
    x[80:120] = (dyadic[80:120] + 1e-6) / 2**n
    partition = PartitionFunction(rng.random(D), np.zeros((0, D)), 0.1, 0.2, n)
    points = torch.from_numpy(x).requires_grad_(True)
    found = build(partition, points, min(D, 28))[:, 0]
    (gradient,) = torch.autograd.grad(found.sum(), points)
    apart = x - partition.centre
    excess = found.detach().numpy() - (apart**2).sum(1)
    allowed = D * 4.0 ** (-n - 1)
    # numbers up to 4 D in the layers; slopes of the sawtooth are exact
    rounding = 64 * D * _UNIT
    steep = np.linalg.norm(gradient.numpy() - 2 * apart, axis=1).max()
    return Norms(1 + rounding / allowed, 1 + rounding), Norms(
        max(excess.max(), -excess.min()) / allowed, steep / (D**0.5 * 2.0**-n)
    )


def _functions(a):
    return [a.partition_function(i) for i in range(len(a))]


def _ignoring(a):
    """Each of the functions without the nearest of its earlier centres."""
    found = []
    for p in _functions(a):
        nearest = np.linalg.norm(p.earlier - p.centre, axis=1).argsort()
        found.append(replace(p, earlier=p.earlier[nearest[1:]]))
    return found


def _in_layers(functions, x):
    """The functions of a partition as the fourth layer behind the gather layers of a block has
    them: (P, A).
    """
    charts = [_one_term(p) for p in functions]
    kernel_size = min(x.shape[1], 16)
    head = len(gather_charts(charts, kernel_size))
    block = term_block(charts, [slice(None)] * len(charts), 2, 4, kernel_size)
    # behind each factor its rho
    return np.concatenate(
        [_behind(block[: head + 4], part)[:, 1::2].detach().numpy() for part in torch.split(x, 200)]
    )


@claim(
    uses=("lem-atlas", "lem-distance-net", "lem-doubling"),
    evidence=sampled("about every atlas; the layers of six, at points on and off the manifold"),
    grid=grid(name=SMALL),
    honest=_functions,
    tampered=("functions that leave out the nearest of the earlier charts", _ignoring),
)
def lem_partition_net(build, name):
    """In the layers of a block: how far ``sum_{k<=i} rho_k`` is from ``min(1, sum_{k<=i} w_k)`` at
    points of the cube, their sum from 1 on the manifold, any from [0, 1].

    Infinity if a function is not zero, bitwise, at a point ``1 + 10^-12`` times ``r_1`` or further
    from its centre.  Points: 300 of the manifold, 300 near it, 50 of the cube and 100 on rims.
    """
    a = atlas(name)
    rng = np.random.default_rng(3)
    on = a.manifold.draw(300, 8)
    number = np.arange(100) % len(a)
    away = rng.normal(size=(len(number), a.ambient_dim))
    away *= (1 + 1e-12) * a.chart_radius / np.linalg.norm(away, axis=1, keepdims=True)
    near = a.manifold.draw(300, 9) + away[np.arange(300) % 100] * rng.random((300, 1))
    others = [np.clip(near, 0, 1), rng.random((50, a.ambient_dim)), a.centres[number] + away]
    x = np.concatenate([on, *others])
    x = x[((x >= 0) & (x <= 1)).all(1)]
    points = torch.from_numpy(x)
    rho = _in_layers(build(a), points)
    beta = 1 / (a.chart_radius**2 - a.inner)
    own = [p.squared_distances(points)[:, -1].numpy() for p in _functions(a)]
    w = beta * np.maximum(a.chart_radius**2 - np.stack(own, axis=1), 0)
    distance = np.linalg.norm(x[:, None] - a.centres, axis=2)
    dust = (rho[distance >= a.chart_radius * (1 + 0.99e-12)] != 0).any()
    off = max(
        np.abs(rho.cumsum(1) - np.minimum(w.cumsum(1), 1)).max(),
        np.abs(rho[: len(on)].sum(1) - 1).max(),
        -rho.min(),
        (rho - 1).max(),
    )
    # prop-rounding: what each w_k is off, in both sums
    rows = 4 * (3 * a.ambient_dim + 8) + 3 * a.refinement + 12
    return 2 * a.overlap * beta * a.ambient_dim * rows * _UNIT, np.inf if dust else off


def _slope_sums(a, count):
    """``sum_i |grad_M rho_i|`` at so many points of the manifold."""
    x = a.manifold.draw(count, 4)
    found = np.zeros(count)
    for i in range(len(a)):
        near = np.linalg.norm(x - a.centres[i], axis=1) < a.chart_radius
        points = torch.from_numpy(x[near]).requires_grad_(True)
        (gradient,) = torch.autograd.grad(a.partition_function(i)(points).sum(), points)
        along = np.swapaxes(a.manifold.tangent_basis(x[near]), 1, 2) @ gradient.numpy()[..., None]
        found[near] += np.linalg.norm(along[..., 0], axis=1)
    return found


@claim(
    uses=("lem-distance-net", "lem-partition-net"),
    evidence=sampled("the bound is found on a net when the atlas is built; the check samples"),
    grid=grid(name=SMALL),
    honest=lambda a: a.lipschitz,
    tampered=("half of the bound that an atlas has", lambda a: a.lipschitz / 2),
)
def lem_partition_slope(build, name):
    """``sum_i |grad_M rho_i|`` at 40 000 points against ``Lambda`` of the atlas; infinity if that
    is larger than the closed form.
    """
    a = atlas(name)
    beta = 1 / (a.chart_radius**2 - a.inner)
    steep = 2 * a.chart_radius + a.ambient_dim**0.5 * 2.0**-a.refinement
    closed = 2 * max(a.overlap - 1, 1) * beta * steep
    largest = float(_slope_sums(a, 40_000).max())
    return build(a), largest if build(a) <= closed * (1 + 1e-8) else np.inf


class _Narrow(Grid):
    """The boxes of a grid with their middles, half as wide."""

    def middles(self, index):
        return Grid(self.boxes // 2, *self[1:]).middles(index)


def _bounds(a, expression, grid_of_boxes, alpha):
    return enclosed_norms(a, expression, grid_of_boxes, alpha)[0]


def _bounds_of_narrow(a, expression, g, alpha):
    return _bounds(a, expression, _Narrow(2 * g.boxes, *g[1:]), alpha)


def _means(a, i, function, g, nu):
    """The largest modulus of means of ``d^nu g_i`` over boxes inside those of a grid that meet the
    ball: (B,).

    By divided differences over ``|nu|`` steps of a sixteenth of a box in each, from all over it.
    """
    steps = 16
    corners = (np.stack(np.nonzero(g.inside), axis=1) - g.window) / g.boxes - 0.5
    step = 1 / (steps * g.boxes)
    axis = np.arange(steps + 1) * step
    inner = np.stack(np.meshgrid(*[axis] * a.dim, indexing="ij"), axis=-1)
    y = corners.reshape(-1, *[1] * a.dim, a.dim) + inner
    values = function(torch.from_numpy(a.inverse(i, y.reshape(-1, a.dim)))).numpy()
    found = values.reshape(y.shape[:-1])
    for axis, times in enumerate(nu):
        found = np.diff(found, times, axis=1 + axis)
    return np.abs(found).reshape(len(found), -1).max(1) / step ** sum(nu)


@claim(
    uses=("lem-chart",),
    evidence=sampled("about every target; enclosures for one against divided differences"),
    grid=grid(name=("circle", "ellipse", "trefoil", "sphere", "ellipsoid"), m=(2, 3, 4)),
    honest=_bounds,
    tampered=("bounds over boxes that are half as wide as they should be", _bounds_of_narrow),
)
def lem_chart_norms(build, name, m):
    """Derivatives of order m in three charts, 16 boxes across the ball: the largest ratio of means
    inside a box to what is enclosed over it; or, if larger, of what is enclosed to 1.5 times the
    means, the largest ones of all three.
    """
    a = atlas(name)
    which = np.unique(np.linspace(0, len(a) - 1, 3).astype(int))
    few = copy(a)
    few.centres, few.frames = a.centres[which], a.frames[which]
    goal = target(name)
    g = Grid.of(a.dim, m, 16)
    bounds = build(few, goal.expression, g, m)
    rounding = 4 * _UNIT * 2**m * (16 * 16) ** m  # values up to 4
    seen = {
        nu: np.stack([_means(few, i, goal.function, g, nu) for i in range(len(few))])
        for nu in bounds
    }
    most = {nu: bounds[nu][:, g.inside] for nu in bounds}
    below = max(((seen[nu] - rounding) / most[nu]).max() for nu in bounds)
    largest, known = (max(b.max() for b in found.values()) for found in (most, seen))
    return 1, max(below, largest / known / 1.5)
