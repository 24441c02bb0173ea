"""Which cells of a chart count, and that nothing is lost with the terms of the others."""

from functools import cache

import numpy as np
import pytest

from lib import manifolds
from lib.convresnet import Chart, Construction
from lib.manifolds import Atlas
from lib.targets import Target

MAKERS = {
    "circle": manifolds.circle,
    "trefoil": manifolds.trefoil,
    "two circles": lambda: manifolds.Union(
        [
            manifolds.FourierCurve([[r, 0]], [[0, r]], centre, np.eye(2))
            for r, centre in ((0.2, [0.25, 0.3]), (0.22, [0.75, 0.65]))
        ]
    ),
    "sphere": manifolds.Sphere,
}


@cache
def atlas(name):
    M = MAKERS[name]()
    return Atlas(M, 0.375 * M.reach, 0.5 * M.reach)


@pytest.mark.parametrize("name, cells", [*((n, 9) for n in MAKERS), ("circle", 40), ("sphere", 30)])
def test_where_the_partition_is_positive_a_cell_lives(name, cells):
    a = atlas(name)
    living = a.living(cells)
    assert living.shape == (len(a), *[cells] * a.dim) and living.any((*range(1, a.dim + 1),)).all()
    x = a.manifold.draw(20_000, seed=7)
    rho = a.partition(x)
    seen = np.zeros_like(living)
    for i in range(len(a)):
        matrix, offset = a.mesh(i, cells)
        u = x[rho[:, i] > 0] @ matrix.T + offset
        assert np.linalg.norm(u - cells / 2, axis=1).max(initial=0) < cells / 2
        seen[(i, *np.floor(u).astype(int).T)] = True
    assert not (seen & ~living).any()
    assert living.sum() <= 1.6 * seen.sum()  # and few more live than are seen
    ball = len(a) * len(manifolds.ball_cells(a.dim, cells))
    assert living.sum() < 0.95 * ball


def test_a_cell_lives_for_the_order_of_the_charts_alone():
    """The first chart has the whole of its ball, the next ones what is left."""
    a = atlas("sphere")
    living = a.living(12)
    ball = np.zeros((12, 12), bool)
    ball[tuple(manifolds.ball_cells(2, 12).T)] = True
    assert (living[0] == ball).all() and not (living & ~ball).any()
    counts = living.sum((1, 2))
    assert counts[: len(a) // 4].mean() > 1.5 * counts[-len(a) // 4 :].mean()


@pytest.mark.parametrize("dim, order", [(1, 2), (1, 5), (2, 3), (3, 2)])
def test_terms_over_cells(dim, order):
    rng = np.random.default_rng(dim + order)
    cells = rng.random((5,) * dim) < 0.15
    found = {tuple(j) for j in manifolds.terms_over(cells, order).tolist()}
    expected = set()
    for j in np.ndindex(*[5 + order - 1] * dim):
        j = np.array(j) - (order - 1)
        box = tuple(slice(max(k, 0), k + order) for k in j)
        if cells[box].any():
            expected.add(tuple(j.tolist()))
    assert found == expected
    assert manifolds.terms_over(np.zeros_like(cells), order).shape == (0, dim)


@pytest.mark.parametrize("name, order, cells", [("circle", 4, 12), ("sphere", 2, 8)])
def test_the_terms_that_are_left_out_are_zero_on_the_manifold(name, order, cells):
    """The network with all terms whose support meets a ball, against the one with those kept."""
    a = atlas(name)
    f = Target.from_sympy("sin(3*x1)*exp(x2)", a.ambient_dim)
    kept = a.problem(f, order, cells).charts(cells)
    rng = np.random.default_rng(0)
    every = manifolds.ball_terms(a.dim, order, cells)
    full = []
    for c in kept:  # what the others are multiplied with does not matter
        values = {tuple(j): v for j, v in zip(c.indices.tolist(), c.coefficients)}
        other = [values.get(tuple(j), rng.uniform(-9, 9)) for j in every.tolist()]
        assert values.keys() <= {tuple(j) for j in every.tolist()}
        full.append(Chart(c.matrix, c.offset, cells, every, np.array(other), c.partition))
    assert sum(len(c.indices) for c in kept) < 0.8 * len(a) * len(every)
    x = a.manifold.sample(4000, seed=3)
    here, there = (Construction(c, order, 9).sparse(x) for c in (kept, full))
    assert float((here - there).abs().max()) <= 1e-12
    # a term that is kept does matter
    c = kept[0]
    wrong = Chart(c.matrix, c.offset, cells, c.indices, 1.01 * c.coefficients, c.partition)
    assert float((Construction([wrong, *kept[1:]], order, 9).sparse(x) - here).abs().max()) > 1e-4
