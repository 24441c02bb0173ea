"""Claims of chapter 07: Theorem B."""

from copy import copy
from dataclasses import replace
from functools import cache

import numpy as np
import torch
from scipy.ndimage import maximum_filter
from scipy.spatial import cKDTree

from lib import manifolds, relu
from lib.approximation import approximate
from lib.claims._manifolds import atlas, target
from lib.claims._registry import claim, grid, sampled
from lib.convresnet import Chart, Construction, measure_architecture
from lib.manifolds import Grid, ball_cells, ball_terms, enclosed_norms, living_cells
from lib.norms import Norms
from lib.splines import bspline, functional, jackson_bound
from lib.targets import Target

_UNIT = 2.0**-53


def _one(a, i):
    """An atlas with one of the charts."""
    found = copy(a)
    found.centres, found.frames = a.centres[i : i + 1], a.frames[i : i + 1]
    return found


def _grid_points(axis, dim):
    return np.stack(np.meshgrid(*[axis] * dim, indexing="ij"), axis=-1).reshape(-1, dim)


def _spline(a, function, m, cells, y):
    """``Q g`` of the only chart of an atlas, with the terms that are kept, and its partials, at
    points ``y`` (P, d): (P,) and (P, d).
    """
    nodes, weights = (np.array(part, float) for part in functional(m, 4 * m, 0))
    indices = ball_terms(a.dim, m, cells)
    places = (indices[:, None] + _grid_points(nodes, a.dim)) / cells - 0.5
    values = function(torch.from_numpy(a.inverse(0, places.reshape(-1, a.dim)))).numpy()
    coefficients = values.reshape(len(indices), -1) @ _grid_points(weights, a.dim).prod(1)
    u = cells * (y[:, None] + 0.5) - indices
    factors = [bspline(m, u, k) for k in (0, 1)]
    found = [factors[0].prod(2) @ coefficients]
    for k in range(a.dim):
        others = np.delete(factors[0], k, axis=2).prod(2)
        found.append(cells * (factors[1][..., k] * others) @ coefficients)
    return found[0], np.stack(found[1:], axis=1)


def _in_chart(a, function, y):
    """``g`` of the only chart of an atlas and its partials at points (P, d)."""
    x = a.inverse(0, y)
    points = torch.from_numpy(x).requires_grad_(True)
    values = function(points)
    (gradient,) = torch.autograd.grad(values.sum(), points)
    tangent = a.manifold.tangent_basis(x)
    along = (np.swapaxes(tangent, 1, 2) @ gradient.numpy()[..., None])[..., 0]
    # of y: the frame's part of a step in the tangent basis is y
    solved = np.linalg.solve(np.swapaxes(a.frames[0].T @ tangent, 1, 2), along[..., None])
    return values.detach().numpy(), 2 * a.chart_radius * solved[..., 0]


def _net_alone(a, cells):
    """The cells with points of the net, as if there were no others on the manifold."""
    other = copy(a)
    other.manifold = copy(a.manifold)
    points, _ = a.fine_net
    other.manifold.__dict__["_fine"] = (points, 0.0, cKDTree(points))
    return living_cells(other, cells)


@claim(
    uses=("lem-distance-net", "lem-partition-net"),
    evidence=sampled("about every point of a manifold; random ones"),
    grid=grid(name=("circle", "trefoil", "two circles", "sphere"), cells=(7, 16)),
    honest=living_cells,
    tampered=("the net taken for the manifold", _net_alone),
)
def lem_living(build, name, cells):
    """The share of 100 000 points of the manifold that lie, in a chart with a positive function of
    the partition, outside its living cells; or, if larger, that of the cells of the balls that
    live, where at most nine tenths do.
    """
    a = atlas(name)
    living = build(a, cells)
    x = a.manifold.draw(100_000, 4)
    outside = np.zeros(len(x), bool)
    for i in range(len(a)):
        near = np.flatnonzero(np.linalg.norm(x - a.centres[i], axis=1) < a.chart_radius)
        rho = a.partition_function(i)(torch.from_numpy(x[near])).numpy()
        near = near[rho > 0]
        matrix, offset = a.mesh(i, cells)
        cell = np.clip(np.floor(x[near] @ matrix.T + offset).astype(int), 0, cells - 1)
        outside[near] |= ~living[(i, *cell.T)]
    share = living.sum() / (len(a) * len(ball_cells(a.dim, cells)))
    return 0, float(outside.mean()) + max(share - 0.9, 0)


def _window(g):
    return g.window


def _spike(a, m, cells):
    """A target that is flat but for a spike, a sixth of a cell wide, at the first node of a
    functional in the middle of the only chart of an atlas.
    """
    node = float(functional(m, 4 * m, 0)[0][0])
    x = a.inverse(0, np.full((1, a.dim), (cells // 2 + node) / cells - 0.5))[0]
    steep = (6 * cells / (2 * a.chart_radius)) ** 2
    square = "+".join(f"(x{k + 1}-{float(c)!r})**2" for k, c in enumerate(x))
    return Target.from_sympy(f"exp(-{steep!r}*({square}))", a.ambient_dim)


@claim(
    uses=(
        "lem-chart",
        "lem-functionals",
        "lem-stability",
        "lem-peano",
        "lem-peano-real",
        "thm-jackson",
    ),
    evidence=sampled("about every function of a class; spikes and one smooth function"),
    grid=grid(name=("circle", "trefoil", "sphere"), m=(2, 3, 4, 5), spike=(False, True)),
    honest=_window,
    tampered=("a neighbourhood that is one cell too small", lambda g: max(g.window - 1, 0)),
)
def lem_local_jackson(build, name, m, spike):
    """``|g - Q g|`` and its partials at 2000 points of the ball of a chart, each over its bound on
    the cell of the point.
    """
    plain = atlas(name)
    cells = max(12, 2 * plain.smallest_mesh(m))
    a = _one(plain, len(plain) // 2)
    goal = _spike(a, m, cells) if spike else target(name)
    g = Grid.of(a.dim, m, cells)
    bounds, _ = enclosed_norms(a, goal.expression, g, m)
    size = (1, *[2 * build(g) + 1] * a.dim)
    local = {
        nu: maximum_filter(found, size, mode="constant")[:, g.inside]
        for nu, found in bounds.items()
    }
    error = jackson_bound(m, cells, m, local, interior=True)
    rng = np.random.default_rng(m)
    y = rng.uniform(-0.5, 0.5, (4000, a.dim))
    y = y[(y**2).sum(1) < 1 / 4][:2000]
    number = np.full(g.inside.shape, -1)
    number[g.inside] = np.arange(g.inside.sum())
    mine = number[tuple((np.floor(g.boxes * (y + 0.5)).astype(int) + g.window).T)]
    exact, found = _in_chart(a, goal.function, y), _spline(a, goal.function, m, cells, y)
    rounding = 1e-12
    ratios = [(np.abs(exact[0] - found[0]) - rounding) / error.value[0][mine]]
    for k, partial in enumerate(error.partials):
        off = np.abs(exact[1][:, k] - found[1][:, k]) - rounding * cells
        ratios.append(off / partial[0][mine])
    return Norms(1, 1), Norms(ratios[0].max(), max(r.max() for r in ratios[1:]))


def _allowed(m, n, dim):
    """``eps_n, delta_n, E_0, E_1`` and ``B + eta_1``."""
    term, steep = relu.tensor_error(m, dim, n), relu.bspline_error(m, n).slope
    return *relu.product_error(n), term.value, term.slope, relu.bspline_slope(m) + steep


def _flat(m, n, dim):
    return *_allowed(m, n, dim)[:-1], 0.0


def _with_tangential(a, x, function):
    """A torch map at points of a manifold, values (P,) and lengths of tangential gradients."""
    points = torch.from_numpy(x).requires_grad_(True)
    values = function(points)
    (gradient,) = torch.autograd.grad(values.sum(), points)
    basis = np.swapaxes(a.manifold.tangent_basis(x), 1, 2)
    along = (basis @ gradient.numpy()[..., None])[..., 0]
    return values.detach().numpy(), along


def _units(m, u, dim):
    """``prod_i N_m(u_i)`` as a torch map with gradients: pieces in powers, (P, d) -> (P,)."""
    found = 1.0
    for k in range(dim):
        t = u[:, k]
        value, slope = (torch.from_numpy(bspline(m, t.detach().numpy(), s)) for s in (0, 1))
        found = found * (value + slope * (t - t.detach()))
    return found


@claim(
    uses=(
        "lem-product",
        "prop-bspline-net",
        "prop-tensor-net",
        "lem-bspline",
        "lem-partition-net",
        "lem-partition-slope",
    ),
    evidence=sampled("about every chart and term; random ones of two atlases"),
    grid=grid(name=("circle", "sphere"), m=(2, 3, 4, 5), n=(4, 7)),
    honest=_allowed,
    tampered=("bounds that leave out how steep the spline is beside the partition", _flat),
)
def lem_localised_term(build, name, m, n):
    """``mu_n(rho_i, M~_j) - rho_i M_j`` at up to 4000 points of each of four charts, a random term
    at each, over its bound; and all terms of the network together, coefficients ``+-1``.
    """
    a = atlas(name)
    d = a.dim
    cells = a.smallest_mesh(m)
    eps, delta, value, slope, steep = build(m, n, d)
    units = d**0.5 * cells / (2 * a.chart_radius)
    rng = np.random.default_rng(m)
    worst = Norms(0.0, 0.0)
    x = a.manifold.draw(20_000, 3)
    for i in np.unique(np.linspace(0, len(a) - 1, 4).astype(int)):
        near = x[np.linalg.norm(x - a.centres[i], axis=1) < a.chart_radius][:4000]
        matrix, offset = map(torch.from_numpy, a.mesh(i, cells))
        u = torch.from_numpy(near) @ matrix.T + offset
        index = torch.floor(u) - torch.from_numpy(rng.integers(0, m, u.shape))
        partition = a.partition_function(i)

        def error(points, matrix=matrix, offset=offset, index=index, partition=partition):
            place = points @ matrix.T + offset - index
            rho = partition(points)
            net = relu.product(rho, relu.tensor_bspline(place, m, n), n)
            return net - rho * _units(m, place, d)

        rho, climb = _with_tangential(a, near, partition)
        climb = np.linalg.norm(climb, axis=1)
        off, steeper = _with_tangential(a, near, error)
        ratio = (np.abs(off) - 64 * _UNIT) / (eps + rho * value)
        allowed = (rho * slope + delta * steep) * units + (delta + value) * climb
        steeper = (np.linalg.norm(steeper, axis=1) - 1e-12 * units) / np.maximum(allowed, 1e-300)
        worst = Norms(max(worst.value, ratio.max()), max(worst.slope, steeper.max()))
    together = _all_together(a, m, n, cells)
    return Norms(1, 1), Norms(max(worst.value, together.value), max(worst.slope, together.slope))


def _all_together(a, m, n, cells):
    """All localised terms, coefficients ``+-1``, against what they stand for: over the bound."""
    indices = ball_terms(a.dim, m, cells)
    rng = np.random.default_rng(n)
    charts = [
        Chart(
            *a.mesh(i, cells),
            cells,
            indices,
            rng.choice((-1.0, 1.0), len(indices)),
            a.partition_function(i),
        )
        for i in range(len(a))
    ]
    x = a.manifold.draw(1000, 5)
    value, gradient = Construction(charts, m, n).sparse.value_and_gradient(torch.from_numpy(x))
    exact, slopes = np.zeros(len(x)), np.zeros((len(x), a.dim))
    for i, chart in enumerate(charts):
        near = np.flatnonzero(np.linalg.norm(x - a.centres[i], axis=1) < a.chart_radius)
        rho, climb = _with_tangential(a, x[near], chart.partition)
        u = x[near] @ chart.matrix.T + chart.offset
        factors = [bspline(m, u[:, None] - indices, k) for k in (0, 1)]
        spline = factors[0].prod(2) @ chart.coefficients
        partials = [
            (factors[1][..., k] * np.delete(factors[0], k, axis=2).prod(2)) @ chart.coefficients
            for k in range(a.dim)
        ]
        basis = chart.matrix @ a.manifold.tangent_basis(x[near])
        own = (np.stack(partials, axis=1)[:, None] @ basis)[:, 0]
        exact[near] += rho * spline
        slopes[near] += climb * spline[:, None] + rho[:, None] * own
    along = np.swapaxes(a.manifold.tangent_basis(x), 1, 2) @ gradient.numpy()[..., None]
    steepness = a.dim**0.5 * cells / (2 * a.chart_radius)
    most = relu.localised_error(m, a.dim, steepness, n, 1.0, a.overlap, a.lipschitz)
    off = np.abs(value.numpy() - exact).max(), np.linalg.norm(along[..., 0] - slopes, axis=1).max()
    return Norms(off[0] / most.value, off[1] / most.slope)


PLACED = {
    "circle": lambda: atlas("circle"),
    "sphere": lambda: atlas("sphere"),
    "circle in nine dimensions": lambda: _plain(manifolds.circle(0.3, 9, 1)),
    "image": lambda: atlas("image"),
}


def _plain(m):
    return manifolds.Atlas(m, 0.375 * m.reach, 0.5 * m.reach)


@cache
def _few(name, m):
    """Six charts of an atlas, random coefficients, five cells (whatever ``N_0``)."""
    a = PLACED[name]()
    rng = np.random.default_rng(m)
    indices = ball_terms(a.dim, m, 5)
    return a, [
        Chart(*a.mesh(i, 5), 5, indices, rng.uniform(-1, 1, len(indices)), a.partition_function(i))
        for i in np.unique(np.linspace(0, len(a) - 1, 6).astype(int))
    ]


def _by_definition(charts, m, n, x):
    """``sum_i sum_j c_j mu_n(rho_i, M~_j o phi_i)`` by the maps of chapter 03: (P,)."""
    total = torch.zeros(len(x), dtype=torch.float64)
    for c in charts:
        u = x @ torch.tensor(c.matrix).T + torch.tensor(c.offset)
        terms = relu.tensor_bspline(u[:, None] - torch.tensor(c.indices), m, n)
        rho = c.partition(x)
        # behind rho = 0 nothing counts, wherever the point is
        found = relu.product(rho[:, None].expand_as(terms), terms.clamp(0, 1), n)
        total = total + (found * torch.tensor(c.coefficients)).sum(1)
    return total


def _alone(charts):
    """Charts that know of no earlier ones."""
    none = np.zeros((0, charts[0].ambient_dim))
    return [replace(c, partition=replace(c.partition, earlier=none)) for c in charts]


@claim(
    uses=(
        "lem-distance-net",
        "lem-doubling",
        "lem-gather",
        "lem-partition-net",
        "lem-product",
        "lem-skip",
        "prop-realisation",
        "prop-sparse",
        "prop-tensor-net",
    ),
    evidence=sampled("sizes are exact; the function is compared in float64"),
    grid=grid(name=("circle", "sphere"), m=(2, 3, 4, 5), K=(2, 3), blocks=(1, 8))
    + grid(name=("circle in nine dimensions", "image"), m=(3,), K=(2, 3), blocks=(8,)),
    honest=Construction,
    tampered=(
        "a network whose partition functions know of no earlier ones",
        lambda charts, *sizes: Construction(_alone(charts), *sizes),
    ),
)
def prop_local_realisation(build, name, m, K, blocks):
    """Module and sparse evaluation against the maps of chapter 03, at 150 points of the manifold,
    near it and of the cube; infinity for a wrong size.

    Depth, blocks, filters, ``kappa_2`` and, for d = 1, channels must be those of the promise,
    channels (terms share factors) and ``kappa_1`` at most those.
    """
    a, charts = _few(name, m)
    n = 5
    construction = build(charts, m, n, K, blocks)
    network = construction.network
    found, promised = measure_architecture(network), construction.promised
    equal = all(getattr(found, k) == getattr(promised, k) for k in ("M", "L", "K", "kappa2"))
    equal &= found.J == promised.J if a.dim == 1 else found.J <= promised.J
    rng = np.random.default_rng(blocks)
    on = a.manifold.draw(50, 1)
    rims = a.centres[rng.integers(0, len(a), 50)]
    near = rims + a.chart_radius * rng.uniform(-1, 1, rims.shape)
    x = np.concatenate([on, np.clip(near, 0, 1), rng.random(on.shape)])
    x = torch.from_numpy(x)
    expected = _by_definition(charts, m, n, x)
    off = [(f(x).detach() - expected).abs().max() for f in (network, construction.sparse)]
    # prop-rounding: coefficients up to 1; what a partition function is off counts most
    rows = 4 * (3 * a.ambient_dim + 8) + 3 * a.refinement + 12
    beta = 1 / (a.chart_radius**2 - a.inner)
    rounding = m**a.dim * _UNIT * a.overlap**2 * beta * a.ambient_dim * rows
    return min(rounding, 1e-12), max(off) if equal and found.kappa1 <= promised.kappa1 else np.inf


MESHES = {"circle": 16, "ellipse": 16, "trefoil": 16, "two circles": 16, "sphere": 16}
EASY = tuple(MESHES)
HARD = ("ellipsoid", "torus", "peanut")  # many charts
HIGH = ("trefoil in 20 dimensions", "image")  # no formulas there: estimates


@cache
def approximation(name, m):
    """The network for the target of a manifold, on its plain atlas."""
    a = atlas(name)
    cells = max(MESHES.get(name, 10), a.smallest_mesh(m) + 2)
    return approximate(target(name), a, order=m, cells=cells, kernel_size=4)


def rebuilt(a, change):
    """The approximation with other charts and the bound of the first ones."""
    construction = replace(a.construction, charts=change(a.construction.charts))
    return replace(a, construction=construction)


def ignoring(charts):
    """Charts that leave out the nearest of the earlier ones."""
    found = []
    for c in charts:
        p = c.partition
        nearest = np.linalg.norm(p.earlier - p.centre, axis=1).argsort()
        found.append(replace(c, partition=replace(p, earlier=p.earlier[nearest[1:]])))
    return found


@claim(
    uses=(
        "lem-chart",
        "lem-chart-norms",
        "lem-functionals",
        "lem-geodesic",
        "lem-interpolation",
        "lem-living",
        "lem-local-jackson",
        "lem-localised-term",
        "lem-partition-net",
        "lem-partition-slope",
        "prop-local-realisation",
    ),
    evidence=sampled("about every target; one, on manifolds of several kinds, at points"),
    grid=grid(name=EASY, m=(2, 3, 4)) + grid(name=HARD, m=(2,)) + grid(name=HIGH, m=(3,)),
    full=grid(name=HARD, m=(3, 4)) + grid(name=HIGH, m=(2, 4)),
    honest=approximation,
    tampered=(
        "a network whose partition leaves out the nearest of the earlier charts",
        lambda name, m: rebuilt(approximation(name, m), ignoring),
    ),
)
def thm_manifold(build, name, m):
    """The error at 4096 points (8 of them through the module where there are up to 30 000 terms)
    against the bound; infinity where the bound of the slope is not below the largest slope of the
    target that is seen: there the zero network would do.

    Also infinity for norms of formulas that are not enclosed, and for sizes that are not those
    promised.
    """
    a = build(name, m)
    few = len(a.coefficients) <= 30_000
    s = a.measure(4096, module_points=8 if few else 0)
    x = a.domain.sample(4096, 0)
    steepest = float(a.domain.slope(x, a.target.value_and_gradient(x)[1]).max())
    sizes = a.architecture.measured, a.architecture.promised
    right = not few or (sizes[0].L == sizes[1].L and sizes[0].J <= sizes[1].J)
    proved = a.domain.reach_proved and a.target.expression is not None
    enclosed = a.bound.rigorous == proved
    if not (a.bound.slope < steepest and right and enclosed and s.module_difference < 1e-9):
        return a.bound, Norms(np.inf, np.inf)
    return a.bound, s


SIZES = {"circle": (32, 64, 128), "sphere": (16, 32, 64)}


def wave(x):
    """A smooth function in any dimension from 2 on: (P, D) -> (P,)."""
    return torch.sin(3 * x[:, 0]) * torch.exp(x[:, 1]) + x[:, 0] * x[:, -1]


def _refined(name, m, cells, refinement=36):
    return approximate(wave, atlas(name), order=m, cells=cells, refinement=refinement)


@claim(
    uses=("thm-manifold", "prop-local-realisation"),
    evidence=sampled("asymptotic: an order is fitted"),
    grid=grid(name=("circle", "sphere"), m=(2, 3, 4)),
    honest=_refined,
    tampered=(
        "networks in charts with four refinement levels at every mesh width",
        lambda name, m, cells: _refined(name, m, cells, 4),
    ),
)
def cor_manifold_rate(build, name, m):
    """By how much the order in h, fitted over three sizes a factor 2 apart on one atlas, falls
    short of ``m - s``; against 0.15.
    """
    errors = zip(*(build(name, m, N).measure(10_000, module_points=0) for N in SIZES[name]))
    orders = [-np.polyfit(np.log(SIZES[name]), np.log(e), 1)[0] for e in errors]
    value, slope = (max(best - order, 0) for best, order in zip((m, m - 1), orders))
    return Norms(0.15, 0.15), Norms(value, slope)


def _placed(D, K):
    """A trefoil in ``R^D``, a target that depends on its own coordinates only, and the network, in
    charts at the same points of it.
    """
    curve = manifolds.trefoil(ambient_dim=D, seed=D)
    frame = torch.from_numpy(curve.frame)

    def target(x):
        y = (x - 0.5) @ frame
        return torch.sin(8 * y[:, 0]) + y[:, 1] * y[:, 2]

    plain = manifolds.trefoil()
    own = manifolds.Atlas(plain, 0.375 * curve.reach, 0.5 * curve.reach)
    moved = curve.middle + (own.centres - plain.middle) @ plain.frame @ curve.frame.T
    charts = manifolds.Atlas(curve, 0.376 * curve.reach, 0.5 * curve.reach, moved)
    a = approximate(target, charts, order=3, cells=12, kernel_size=K, blocks=8, refinement=25)
    return a, charts.problem(target, 3, 12).chart_errors(12)


def _elsewhere(D, K):
    """Coefficients of another function, one per mille larger, in the higher dimension."""
    a, error = _placed(D, K)
    return a.with_coefficients(a.coefficients * (1.001 if D > 3 else 1.0)), error


@claim(
    uses=("lem-gather", "lem-partition-net", "lem-partition-slope", "thm-manifold"),
    evidence=sampled("coefficients and bounds in different dimensions, to 1e-8"),
    grid=grid(D=(16, 64, 784), K=(8,)),
    honest=_placed,
    tampered=("coefficients larger by a thousandth in the space of more dimensions", _elsewhere),
)
def cor_ambient(build, D, K):
    """The same curve in ``R^3`` and in ``R^D``: the largest difference of coefficients of terms
    that both keep, over 1e-8, and of the estimates for the splines, over 1e-5; and 1 more if more
    than one term of twenty is kept in one of them only, or for another depth than the gather
    layers and the squares explain.
    """
    (here, error), (there, other) = build(3, K), build(D, K)
    off = 0.0
    alone = 0
    for one, two in zip(here.charts, there.charts):
        mine, plain = (dict(zip(c.indices[:, 0].tolist(), c.coefficients)) for c in (one, two))
        # a frame may point the other way along the curve: then the mesh is numbered backwards
        back = {one.cells - here.order - j: c for j, c in plain.items()}
        gaps = []
        for yours in (plain, back):
            both = mine.keys() & yours.keys()
            gaps.append(
                (max(abs(mine[j] - yours[j]) for j in both), len(mine.keys() ^ yours.keys()))
            )
        off, alone = max(off, min(gaps)[0]), alone + min(gaps)[1]
    # estimates: divided differences of order three, off by rounding
    bounds = max(abs(p / q - 1) for p, q in zip(error, other))
    squares = [a.charts[0].partition.refinement for a in (here, there)]
    deeper = max(1, -((1 - D) // (K - 1))) - max(1, -(-2 // (K - 1))) + squares[1] - squares[0]
    wrong = alone > 0.05 * len(here.coefficients)
    wrong += there.architecture.measured.L - here.architecture.measured.L != deeper
    return 1, max(off / 1e-8, bounds / 1e-5) + int(wrong)
