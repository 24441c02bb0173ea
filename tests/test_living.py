"""Living cells and the terms over them (book: ``lem-living``): against the partition's definition
at random points, and what dropping the other terms does to a network.
"""

from dataclasses import replace
from functools import cache
from itertools import product

import numpy as np
import pytest
import torch

import lib
from lib import manifolds
from lib.convresnet import Construction
from lib.manifolds import Atlas, _atlas, ball_cells, ball_terms, terms_over
from lib.splines import functional

# manifold, radii in units of the reach, cells, random points, least part of the living cells in
# which one of these is found
CASES = {
    "circle": (manifolds.circle, (0.3, 0.45), 16, 20_000, 0.7),
    "sphere": (manifolds.Sphere, (0.4, 0.6), 12, 60_000, 0.7),
    "two circles": (
        lambda: manifolds.Union([manifolds.circle(0.15), manifolds.circle(0.4)]),
        (0.4, 0.6),
        20,
        20_000,
        0.7,
    ),
    "rotations": (manifolds.RotationGroup, (0.85, 0.92), 8, 40_000, 0.35),
}


@cache
def atlas(name):
    make, (cover, radius), *_ = CASES[name]
    M = make()
    return Atlas(M, cover * M.reach, radius * M.reach)


def _square(x, level):
    """``x**2`` interpolated at multiples of ``2**-level``."""
    knots = np.linspace(0, 1, 2**level + 1)
    return np.interp(x, knots, knots**2)


def _partition(a, x):
    """All ``rho_i`` at points (P, D) by the definition, with all earlier centres: (P, A)."""
    c = a.centres
    squares = _square(x, a.refinement).sum(1)[:, None] - 2 * x @ c.T + (c**2).sum(1)
    w = np.maximum(a.chart_radius**2 - squares, 0) / (a.chart_radius**2 - a.inner)
    before = np.cumsum(w, axis=1) - w
    return np.minimum(w, np.maximum(1 - before, 0))


def _places(a, i, x, cells):
    """The cells, lower corners (P, d), in which points are in a chart."""
    y = (x - a.centres[i]) @ a.frames[i] / (2 * a.chart_radius)
    return np.floor(cells * (y + 0.5)).astype(int)


@pytest.mark.parametrize("name", CASES)
def test_where_the_partition_is_positive_cells_are_living(name, monkeypatch):
    monkeypatch.setitem(_atlas._FINE, 3, 1 / 12)  # any net will do
    a = atlas(name)
    cells, count, least = CASES[name][2:]
    living = a.living(cells)
    x = a.manifold.draw(count, 3)
    rho = _partition(a, x)
    assert np.abs(rho.sum(1) - 1).max() <= 1e-9
    seen = np.zeros_like(living)
    for i in range(len(a)):
        place = _places(a, i, x[rho[:, i] > 1e-12], cells)
        seen[(i, *place.T)] = True
    assert not (seen & ~living).any()
    assert seen.sum() >= least * living.sum()
    # not all cells of the balls are
    ball = len(ball_cells(a.dim, cells))
    assert living.sum() <= 0.95 * ball * len(a) and living.reshape(len(a), -1).sum(1).max() <= ball


def _in_reach(j, cells, order):
    """Whether a cell of a mask, one index a dimension, lies in the support of a term."""
    shape = cells.shape
    corners = product(*[range(max(k, 0), min(k + order, n)) for k, n in zip(j, shape)])
    return any(cells[k] for k in corners)


@pytest.mark.parametrize("shape", [(9,), (6, 6), (4, 4, 4)])
@pytest.mark.parametrize("order", [2, 3, 4, 5])
def test_terms_over_cells_are_those_of_a_plain_loop(shape, order):
    rng = np.random.default_rng(order)
    everywhere = list(product(*[range(1 - order, n) for n in shape]))
    for density in (0, 0.03, 0.3, 1):
        mask = rng.random(shape) < density
        expected = [j for j in everywhere if _in_reach(j, mask, order)]
        assert list(map(tuple, terms_over(mask, order).tolist())) == expected
    ball = np.zeros(shape, bool)
    ball[tuple(ball_cells(len(shape), shape[0]).T)] = True
    # a support that meets the ball meets it in one of its cells
    assert np.array_equal(terms_over(ball, order), ball_terms(len(shape), order, shape[0]))


def _wave(x):
    return torch.sin(5 * x[:, 0]) * torch.exp(x[:, 1])


def _all_terms(a, i, chart, order):
    """A chart with all terms whose supports meet its ball, by the functionals one after the
    other; and where the kept ones are among them.
    """
    indices = ball_terms(a.dim, order, chart.cells)
    nodes, weights = (np.array(v, float) for v in functional(order, 4 * order, 0))
    coefficients = np.zeros(len(indices))
    for which in product(range(len(nodes)), repeat=a.dim):
        which = list(which)
        points = a.inverse(i, (indices + nodes[which]) / chart.cells - 0.5)
        coefficients += weights[which].prod() * _wave(torch.from_numpy(points)).numpy()
    place = {tuple(j): t for t, j in enumerate(indices.tolist())}
    kept = [place[tuple(j)] for j in chart.indices.tolist()]
    return replace(chart, indices=indices, coefficients=coefficients), kept


@pytest.mark.parametrize(
    "name, m, N", [("circle", 4, 16), ("two circles", 3, 20), ("sphere", 2, 12)]
)
def test_dropped_terms_change_nothing_on_the_manifold(name, m, N):
    a = atlas(name)
    charts = a.problem(_wave, m, N).charts(N)
    pairs = [_all_terms(a, i, c, m) for i, c in enumerate(charts)]
    for c, (whole, kept) in zip(charts, pairs):
        assert np.abs(whole.coefficients[kept] - c.coefficients).max() <= 1e-11
    whole = Construction([w for w, _ in pairs], m, 12)
    fewer = [
        replace(w, indices=c.indices, coefficients=w.coefficients[kept])
        for c, (w, kept) in zip(charts, pairs)
    ]
    less = Construction(fewer, m, 12)
    dropped = sum(len(w.indices) for w, _ in pairs) - sum(len(c.indices) for c in charts)
    assert dropped > 0.05 * sum(len(c.indices) for c in charts)
    x = a.manifold.sample(20_000, seed=4)
    for one, other in zip(whole.sparse.value_and_gradient(x), less.sparse.value_and_gradient(x)):
        assert torch.equal(one, other)
    if a.dim == 1:
        near = x[:100]
        assert (whole.network(near) - less.network(near)).abs().max() <= 1e-13
    # off the manifold the two are different functions
    off = a.manifold.reach / 5 * torch.randn(x.shape, dtype=x.dtype, generator=_generator())
    x = (x + off).clamp(0, 1)
    assert (whole.sparse(x) - less.sparse(x)).abs().max() > 1e-3


def _generator():
    return torch.Generator().manual_seed(0)


def test_no_chart_is_empty():
    """Where the earlier charts leave nothing for a chart, the cell of its centre is kept."""
    M = manifolds.circle()
    once = Atlas(M, 0.3 * M.reach, 0.6 * M.reach)
    a = Atlas(M, 0.3 * M.reach, 0.6 * M.reach, np.concatenate([once.centres, once.centres]))
    living = a.living(16)
    middle = np.zeros(16, bool)
    middle[8] = True
    assert len(a) == 2 * len(once) and (living[len(once) :] == middle).all()
    assert np.array_equal(living[: len(once)], once.living(16))
    found = lib.approximate(_wave, a, order=3, cells=16, refinement=14)
    assert [len(c.indices) for c in found.charts[len(once) :]] == [3] * len(once)
    assert found.measure(2000, module_points=100) <= found.bound
    x = M.sample(2000)
    expected = Construction(found.charts[: len(once)], 3, 14).sparse(x)
    assert torch.equal(found.sparse(x), expected)


@pytest.mark.parametrize("name", ["circle", "sphere"])
def test_living_cells_are_counted_once(name):
    """`count_terms` is what a network has, and masks are made once for a mesh."""
    a = atlas(name)
    N = CASES[name][2]
    problem = a.problem(_wave, 2, N)
    assert problem.count_terms(N) == sum(len(c.indices) for c in problem.charts(N))
    assert problem.count_terms(N) == sum(len(terms_over(mask, 2)) for mask in a.living(N))
    assert a.living(N) is a.living(N) and a.living(N).shape == (len(a), *[N] * a.dim)
