"""The partition of unity as layers, and localised terms behind it (book: ``lem-partition-net``,
``prop-local-realisation``).
"""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch

import lib
from lib import manifolds
from lib.convresnet import Construction, measure_architecture
from lib.manifolds import Atlas
from lib.splines import bspline

MAKERS = {
    "circle": manifolds.circle,
    "circle in six dimensions": lambda: manifolds.circle(0.3, 6, 1),
    "sphere": manifolds.Sphere,
}


def wave(x):
    return torch.sin(3 * x[:, 0]) * torch.exp(x[:, 1])


@cache
def built(name, m):
    M = MAKERS[name]()
    return lib.approximate(
        wave, Atlas(M, 0.55 * M.reach, 0.7 * M.reach), order=m, cells=36, refinement=24
    )


@pytest.mark.parametrize("m", (2, 3, 4, 5))
@pytest.mark.parametrize("name", MAKERS)
def test_sparse_evaluation_is_the_definition(name, m):
    """``sum_i rho_i sum_j c_j M_j``, which differs by the error of ``n = 24`` levels only."""
    a = built(name, m)
    x = torch.from_numpy(
        np.concatenate([a.domain.draw(300, 1), np.random.default_rng(2).random((300, a.dim))])
    )
    expected = np.zeros(len(x))
    for c in a.charts:
        u = x.numpy() @ c.matrix.T + c.offset
        rho = c.partition(x).numpy()
        near = np.flatnonzero(rho)
        terms = bspline(m, u[near, None] - c.indices).prod(2)
        expected[near] += rho[near] * (terms @ c.coefficients)
    assert np.abs(a.sparse(x).numpy() - expected).max() <= 1e-11
    assert np.abs(expected[:300] - wave(x[:300]).numpy()).max() <= 1e-2


@pytest.mark.parametrize("m, K, blocks", [(2, 2, 1), (3, 3, 7), (4, 2, 50), (5, 2, 12)])
@pytest.mark.parametrize("name", ["circle", "circle in six dimensions"])
def test_module_is_the_sparse_evaluation(name, m, K, blocks):
    a = built(name, m)
    c = Construction(a.charts, m, 12, K, blocks)
    network = c.network
    rng = np.random.default_rng(3)
    x = np.concatenate([a.domain.draw(60, 1), rng.random((60, a.dim))])
    x = torch.from_numpy(x)
    value, slope = c.sparse.value_and_gradient(x)
    found = network.value_and_gradient(x)
    assert (found[0] - value).abs().max() <= 1e-12 and (found[1] - slope).abs().max() <= 1e-9
    sizes, promised = measure_architecture(network), c.promised
    assert (sizes.L, sizes.J, sizes.K, sizes.M, sizes.kappa2) == (
        promised.L,
        promised.J,
        promised.K,
        promised.M,
        promised.kappa2,
    )
    assert sizes.kappa1 <= promised.kappa1


def test_module_is_bitwise_zero_off_all_balls():
    """In every float64 layer list: no dust far off the manifold."""
    a = built("circle", 3)
    rng = np.random.default_rng(4)
    x = rng.random((4000, 2))
    centres = np.stack([c.partition.centre for c in a.charts])
    off = np.linalg.norm(x[:, None] - centres, axis=2).min(1)
    far = torch.from_numpy(x[off >= a.charts[0].partition.outer ** 0.5 * (1 + 1e-12)])
    assert len(far) > 200
    network = Construction(a.charts, 3, 24, 2, 5).network
    assert not network(far).detach().any() and not a.sparse(far).any()


@pytest.mark.parametrize("name", ["circle", "sphere"])
def test_far_sheets_need_the_partition(name):
    """Without it the terms of a chart answer for the other side."""
    a = built(name, 3)
    chart = a.charts[0]
    x = a.domain.draw(3000, 5)
    off = np.linalg.norm(x - chart.partition.centre, axis=1)
    far = torch.from_numpy(x[off > chart.partition.outer**0.5 * (1 + 1e-9)])
    without = Construction([replace(chart, partition=None)], 3, 20).sparse(far)
    assert without.abs().max() > 0.2
    assert not Construction([chart], 3, 20).sparse(far).any()


@pytest.mark.parametrize("dropped", [0, -1])
def test_a_missing_neighbour_is_noticed(dropped):
    """A partition that ignores an earlier function does not add up to one."""
    a = built("sphere", 2)
    x = torch.from_numpy(a.domain.draw(4000, 6))
    honest = sum(c.partition(x) for c in a.charts)
    assert (honest - 1).abs().max() <= 1e-9
    i = max(range(len(a.charts)), key=lambda k: len(a.charts[k].partition.earlier))
    p = a.charts[i].partition
    nearest = np.linalg.norm(p.earlier - p.centre, axis=1).argsort()
    wrong = replace(p, earlier=p.earlier[nearest[1:]] if dropped == 0 else p.earlier[:0])
    assert (honest - p(x) + wrong(x) - 1).abs().max() > 1e-3


def test_wrong_partitions_are_refused():
    p = built("circle", 2).charts[0].partition
    for change, name in (
        ({"inner": 1.0}, "inner"),
        ({"inner": 0.0}, "inner"),
        ({"earlier": np.zeros((1, 3))}, "partition"),
    ):
        with pytest.raises(lib.InputError, match=name):
            replace(p, **change)
