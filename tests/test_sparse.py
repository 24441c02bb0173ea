"""The two evaluators of one network: layer by layer, and through the terms that are alive."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.interpolate import NdBSpline

from lib import InputError
from lib.convresnet import Chart, Construction, PartitionFunction, cube_chart, threads

ORDERS = tuple(range(2, 9))


def cube(D, m, N, n=9, K=2, seed=0):
    chart = cube_chart(np.random.default_rng(seed).uniform(-1, 1, (N + m - 1,) * D), m)
    return Construction([chart], m, n, K, 2).network, Construction([chart], m, n, K).sparse


def tilted(D, d, m, gated, count=3, N=6, seed=0):
    """Charts with random matrices, centred in the cube; where ``gated`` they share a partition of
    unity.
    """
    rng = np.random.default_rng(seed)
    charts = []
    indices = np.array(list(np.ndindex(*(N + m - 1,) * d))) - (m - 1)
    centres = rng.random((count, D))
    for i, centre in enumerate(centres):
        matrix = 4 * rng.standard_normal((d, D))
        partition = PartitionFunction(centre, centres[:i], 0.05, 0.3, 8) if gated else None
        some = rng.permutation(len(indices))[: len(indices) - 2]  # not every term, in any order
        offset = (N + m - 1) / 2 - matrix @ centre
        values = rng.standard_normal(len(some))
        charts.append(Chart(matrix, offset, N, indices[some], values, partition))
    return charts


def agree(network, sparse, x, gradient=True):
    x = torch.from_numpy(np.ascontiguousarray(x, float))
    value, slope = sparse.value_and_gradient(x)
    if not gradient:
        assert (network(x).detach() - value).abs().max() < 1e-12
        return
    expected = network.value_and_gradient(x)
    assert (expected[0] - value).abs().max() < 1e-12 and (expected[1] - slope).abs().max() < 1e-11
    assert value.abs().max() > 0.01


@pytest.mark.parametrize("m", ORDERS)
@pytest.mark.parametrize("D", (1, 2, 3))
def test_cube(D, m):
    network, sparse = cube(D, m, N=m + 2)
    rng = np.random.default_rng(1)
    agree(network, sparse, rng.random((300, D)))
    agree(network, sparse, rng.uniform(-1, 2.5, (300, D)))
    knots = rng.integers(-3, 2 * m + 4, (200, D)) / (m + 2)
    for x in (
        knots,
        np.where(rng.random((200, D)) < 0.5, knots, rng.random((200, D))),
        np.nextafter(knots, 9),
        np.nextafter(knots, -9),
        np.full((1, D), 1e9),
        np.full((1, D), -1e300),
        np.zeros((1, D)),
        np.ones((1, D)),
    ):
        agree(network, sparse, x, gradient=False)


@pytest.mark.parametrize("K", (2, 3, 5))
@pytest.mark.parametrize("gated", (True, False))
@pytest.mark.parametrize("D, d, m", [(2, 1, 4), (3, 1, 2), (3, 2, 3), (5, 2, 4), (4, 3, 2)])
def test_charts(D, d, m, gated, K):
    charts = tilted(D, d, m, gated)
    rng = np.random.default_rng(2)
    network = Construction(charts, m, 7, K, 4).network
    sparse = Construction(charts, m, 7, K).sparse
    agree(network, sparse, rng.random((300, D)))
    agree(network, sparse, rng.uniform(-0.2, 1.2, (300, D)))
    # here partial sums are cut
    agree(network, sparse, rng.uniform(-3, 4, (300, D)), gradient=False)
    for far in (-1e300, 1e300):
        assert torch.isfinite(sparse(torch.full((1, D), far, dtype=torch.float64))).all()
    centres = np.clip(
        [c.matrix.T @ np.linalg.solve(c.matrix @ c.matrix.T, 3 - c.offset) for c in charts], 0, 1
    )
    agree(network, sparse, centres, gradient=False)


def test_outside_the_cube_the_cuts_matter():
    charts = tilted(5, 2, 3, True)
    x = torch.from_numpy(np.random.default_rng(2).uniform(-0.5, 1.5, (2000, 5)))
    values = [Construction(charts, 3, 7, K).sparse(x) for K in (2, 5)]
    assert (values[0] - values[1]).abs().max() > 1e-3  # else the test above would not see them


@pytest.mark.parametrize("D, N, m", [(1, 40, 4), (2, 12, 3), (3, 7, 4)])
def test_gradient_is_the_quotient_of_differences(D, N, m):
    _, sparse = cube(D, m, N, n=6)
    x = np.random.default_rng(3).random((400, D))
    gradient = sparse.value_and_gradient(torch.from_numpy(x))[1].numpy()
    step = 1e-7
    for i in range(D):
        e = step * np.eye(D)[i]
        quotient = (sparse(torch.from_numpy(x + e)) - sparse(torch.from_numpy(x - e))).numpy() / (
            2 * step
        )
        close = np.abs(quotient - gradient[:, i]) < 1e-6 * N
        assert close.mean() > 0.98  # the others have a kink within the step


@pytest.mark.parametrize("m", ORDERS)
@pytest.mark.parametrize("D", (1, 2, 3))
def test_deep_networks_are_the_spline(D, m):
    rng = np.random.default_rng(4)
    N = 9
    c = rng.uniform(-1, 1, (N + m - 1,) * D)
    spline = NdBSpline((np.arange(1 - m, N + m) / N,) * D, c, m - 1)
    x = rng.random((500, D))
    value, gradient = Construction([cube_chart(c, m)], m, 26).sparse.value_and_gradient(
        torch.from_numpy(x)
    )
    assert np.abs(value.numpy() - spline(x)).max() < 1e-13
    for i in range(D):
        assert (
            np.abs(gradient[:, i].numpy() - spline(x, nu=tuple(np.eye(D, dtype=int)[i]))).max()
            < 1e-5 * N
        )


@pytest.mark.parametrize("n", (2, 5, 40))
def test_the_slope_at_a_knot_is_the_one_from_the_right(n):
    c = np.random.default_rng(5).uniform(-1, 1, 9)
    # piecewise linear: slopes are divided differences
    sparse = Construction([cube_chart(c, 2)], 2, n).sparse
    x = torch.arange(8, dtype=torch.float64)[:, None] / 8
    assert np.allclose(sparse.value_and_gradient(x)[1][:, 0].numpy(), 8 * np.diff(c), atol=1e-12)


def test_chunks_and_threads_do_not_matter(monkeypatch):
    charts = tilted(3, 2, 3, True)
    before = threads()
    x = torch.from_numpy(np.random.default_rng(6).uniform(-0.1, 1.1, (3001, 3)))
    sparse = Construction(charts, 3, 9).sparse
    whole = sparse.value_and_gradient(x)
    monkeypatch.setattr("lib.convresnet._sparse._CHUNK_BYTES", 1)
    try:
        for count in (1, 3):
            torch.set_num_threads(count)
            parts = sparse.value_and_gradient(x)
            assert all((a - b).abs().max() < 1e-13 for a, b in zip(whole, parts))
    finally:
        torch.set_num_threads(before)


def test_no_points_and_few():
    _, sparse = cube(2, 4, 6)
    value, gradient = sparse.value_and_gradient(torch.zeros(0, 2, dtype=torch.float64))
    assert value.shape == (0,) and gradient.shape == (0, 2)
    x = torch.rand(130, 2, dtype=torch.float64)
    assert all(torch.equal(sparse(x)[i : i + 1], sparse(x[i : i + 1])) for i in (0, 63, 64, 129))


def test_a_missing_term_is_seen():
    network, sparse = cube(2, 3, 5)
    chart = sparse.charts[0]
    less = replace(chart, coefficients=np.where((chart.indices == 1).all(1), 0, chart.coefficients))
    with pytest.raises(AssertionError):
        agree(network, Construction([less], 3, 9).sparse, np.random.default_rng(1).random((300, 2)))


@pytest.mark.parametrize(
    "x, words",
    [
        (torch.zeros(3, 2), "float64"),
        (np.zeros((3, 2)), "float64"),
        (torch.zeros(3, 3, dtype=torch.float64), "(P, 2)"),
        (torch.zeros(2, dtype=torch.float64), "(P, 2)"),
        (torch.full((1, 2), float("nan"), dtype=torch.float64), "finite"),
        (torch.full((1, 2), float("inf"), dtype=torch.float64), "finite"),
    ],
)
def test_bad_points(x, words):
    with pytest.raises(InputError, match=r"^x.*" + words.replace("(", r"\(").replace(")", r"\)")):
        cube(2, 2, 4)[1](x)


def test_a_term_given_twice_counts_twice():
    charts = [
        Chart(np.eye(1) * 4, np.zeros(1), 4, np.array([[1], [1], [2]]), np.array([0.5, 0.25, -1.0]))
    ]
    agree(
        Construction(charts, 3, 6, 2, 1).network,
        Construction(charts, 3, 6).sparse,
        np.random.default_rng(0).random((50, 1)),
    )


@pytest.mark.parametrize(
    "order, refinement, index, words",
    [
        (3, 6, 4, "indices = .*from -2 to 3"),
        (3, 6, -3, "indices"),
        (3, 1, 0, "refinement = 1"),
        (9, 9, 0, "order = 9"),
        (8, 8, 0, "refinement = 8"),
    ],
)
def test_bad_networks(order, refinement, index, words):
    chart = Chart(np.eye(1) * 4, np.zeros(1), 4, np.array([[index]]), np.ones(1))
    with pytest.raises(InputError, match=words):
        _ = Construction([chart], order, refinement).sparse


def test_the_module_takes_no_points_either():
    network, _ = cube(2, 3, 4)
    none = torch.zeros(0, 2, dtype=torch.float64)
    value, gradient = network.value_and_gradient(none)
    assert value.shape == network(none).shape == (0,) and gradient.shape == (0, 2)
