"""Chapter 04: the class of networks, against the definition; gather, splits, sizes, training."""

from math import ceil, log2

import numpy as np
import pytest
import torch
from scipy.interpolate import NdBSpline

from helpers import ORDERS, UNIT, cube_network, random_points, spline_network
from lib import InputError, convresnet, relu
from lib.convresnet import Convolution, ConvResNet


def _convolve(weight, bias, groups, z):
    """``sigma(W * z + b)`` entry by entry; ``z`` (D, C), one-sided zero padding."""
    out, width, kernel = weight.shape
    dim = len(z)
    per_group = out // groups
    result = np.zeros((dim, out))
    for i in range(dim):
        for j in range(out):
            total = bias[j]
            first = (j // per_group) * width
            for k in range(kernel):
                if i + k < dim:
                    for c in range(width):
                        total += weight[j, c, k] * z[i + k, first + c]
            result[i, j] = max(total, 0.0)
    return result


def _by_loops(blocks, head, x):
    """The definition of the class for a batch of points; returns an array (P,)."""
    values = []
    for point in x.numpy():
        z = np.zeros((len(point), len(head)))
        z[:, 0] = point
        for block in blocks:
            y = z
            for conv in block:
                y = _convolve(conv.weight.numpy(), conv.bias.numpy(), conv.groups, y)
            z = z + y
        values.append(z[0] @ head.numpy())
    return np.array(values)


def _random_blocks(rng, channels, kernel, groups, blocks=3):
    """Blocks of one to three layers; the weights keep the numbers of size about one."""

    def conv(inputs, outputs, size, parts):
        weight = rng.normal(size=(outputs, inputs // parts, size)) / np.sqrt(inputs // parts * size)
        return Convolution(
            torch.from_numpy(weight), torch.from_numpy(rng.normal(size=outputs) / 4), parts
        )

    return [
        [
            conv(channels, 2 * channels, kernel, groups),
            *[conv(2 * channels, 2 * channels, 1 + d, 2) for d in range(depth)],
            conv(2 * channels, channels, kernel, 1),
        ]
        for depth in range(blocks)
    ]


@pytest.mark.parametrize("D, K", [(1, 1), (1, 3), (2, 2), (3, 2), (4, 3), (7, 5)])
@pytest.mark.parametrize("groups", (1, 2, 4))
def test_forward_is_the_definition(D, K, groups):
    rng = np.random.default_rng(10 * D + K)
    blocks = _random_blocks(rng, 4, K, groups)
    head = torch.from_numpy(rng.normal(size=4))
    network = ConvResNet(blocks, head, D)
    x = random_points(4, D)
    exact = _by_loops(blocks, head, x)
    # 12 layers of sums of at most 8 K terms; sizes stay below 1e3
    tolerance = UNIT * 12 * 8 * K * 1e3
    assert np.abs(exact).max() <= 1e3
    for all_rows in (False, True):
        assert np.abs(network(x, all_rows=all_rows).detach().numpy() - exact).max() <= tolerance


@pytest.mark.parametrize("D", (1, 2, 3))
def test_spline_network_by_the_definition(D):
    network, _ = spline_network(D, 2, 2, 4, blocks=2)
    x = random_points(2, D)
    exact = _by_loops(network.numbers(), network.head.detach(), x)
    assert np.abs(network(x).detach().numpy() - exact).max() <= 1e-12


def test_forward_depends_on_rows_behind_the_first():
    """The skip connection and the padding matter: row 0 alone is not the function."""
    network, _ = spline_network(3, 2, 3)
    x = random_points(20, 3)
    y = x.clone()
    y[:, 1:] = 0
    assert (network(x) - network(y)).abs().max() > 1e-3


# ---- gather


@pytest.mark.parametrize("D", (1, 2, 3, 5, 8, 13, 64))
@pytest.mark.parametrize("K", range(2, 10))
def test_gather_is_the_affine_map(D, K):
    rng = np.random.default_rng(D * 10 + K)
    matrix, offset = rng.normal(size=(3, D)), rng.normal(size=3)
    chain = convresnet.gather(matrix, offset, K)
    assert len(chain) == convresnet.gather_depth(D, K) == max(1, ceil((D - 1) / (K - 1)))
    assert max(c.weight.shape[2] for c in chain) <= K
    for x in (rng.random(D), np.zeros(D), np.ones(D), rng.integers(0, 2, D).astype(float)):
        z = x[:, None]
        for conv in chain:
            weight = conv.weight.numpy()
            padded = np.concatenate([z, np.zeros((K, z.shape[1]))])
            taps = [padded[k : k + D] @ weight[:, :, k].T for k in range(weight.shape[2])]
            z = np.maximum(sum(taps) + conv.bias.numpy(), 0)
        size = np.abs(matrix).sum(1).max() + np.abs(offset).max()
        assert np.abs(z[0] - np.maximum(matrix @ x + offset, 0)).max() <= 8 * (D + 2) * UNIT * size


def test_gather_with_filters_of_size_one():
    (layer,) = convresnet.gather([[2.0]], [-0.5], 1)
    assert layer.weight.reshape(-1).tolist() == [2.0] and layer.bias.tolist() == [-0.5]


# ---- equal functions


@pytest.mark.parametrize("D, K", [(2, 2), (3, 2), (3, 3), (5, 2), (5, 9)])
def test_leading_row_is_all_rows(D, K):
    network, _ = spline_network(D, 2, 2, 4, K)
    x = random_points(50, D)
    assert (network(x) - network(x, all_rows=True)).abs().max() <= 1e-12
    rows = network.rows_needed()[0]
    gathered = convresnet.gather_depth(D, K)
    assert rows[0] == D and rows[gathered:] == [1] * (len(rows) - gathered)


@pytest.mark.parametrize("m", ORDERS)
@pytest.mark.parametrize("D", (1, 2))
def test_dense_is_grouped(D, m):
    network, _ = spline_network(D, m, m)
    dense = network.dense()
    x = random_points(100, D)
    assert any(c.groups > 1 for block in network.blocks for c in block)
    assert all(c.groups == 1 for block in dense.blocks for c in block)
    assert (network(x) - dense(x)).abs().max() <= 1e-12
    assert convresnet.measure_architecture(dense) == convresnet.measure_architecture(network)
    (stored, nonzero), (dense_stored, dense_nonzero) = map(
        convresnet.count_parameters, (network, dense)
    )
    assert nonzero == dense_nonzero and stored < dense_stored


@pytest.mark.parametrize("m", ORDERS)
@pytest.mark.parametrize("D", (1, 2))
def test_any_split_and_kernel_give_the_same_function(D, m):
    x = random_points(300, D)
    N = 5
    terms = (N + m - 1) ** D
    one, _ = spline_network(D, m, N)
    expected = one(x).detach()
    for blocks in sorted({1, 2, 3, 7, terms // 2, terms}):
        if blocks > terms:
            continue
        for K in (2, 5):
            network, _ = spline_network(D, m, N, kernel_size=K, blocks=blocks)
            assert len(network.blocks) == blocks
            assert (network(x) - expected).abs().max() <= 1e-12, (blocks, K)


@pytest.mark.parametrize("m", ORDERS)
@pytest.mark.parametrize("D", (1, 2))
def test_network_is_the_spline(D, m):
    """At refinement 20 the network is the spline by scipy, up to the network's own error bound."""
    N = m + 3
    network, c = spline_network(D, m, N, 20, blocks=2)
    x = random_points(200, D)
    exact = NdBSpline((np.arange(1 - m, N + m) / N,) * D, c, m - 1)(x.numpy())
    error = relu.spline_error(m, D, N, 20, 1.0).value
    assert error < 1e-8
    assert np.abs(network(x).detach().numpy() - exact).max() <= error + 1e-12


@pytest.mark.parametrize("N", (5, 8, 13))
@pytest.mark.parametrize("m", ORDERS)
@pytest.mark.parametrize("D", (1, 2))
def test_network_of_one_term_is_zero_bitwise_outside_its_support(D, m, N):
    rng = np.random.default_rng(N)
    place = tuple(rng.integers(0, N + m - 1, D))
    c = np.zeros((N + m - 1,) * D)
    c[place] = 1.0
    network = cube_network(c, m)
    x = np.concatenate([rng.random((500, D)), rng.integers(0, N + 1, (100, D)) / N])
    j = np.array(place) - (m - 1)
    scaled = np.round(x * N, 12)  # knots are floats divided by N: compare them as integers
    outside = ((scaled <= j) | (scaled >= j + m)).any(1)
    values = network(torch.from_numpy(x)).detach().numpy()
    assert outside.any() and not values[outside].any()
    assert (values[~outside] > 0).any()


# ---- sizes


@pytest.mark.parametrize("m", ORDERS)
@pytest.mark.parametrize("D, blocks, K", [(1, 1, 1), (1, 3, 2), (2, 1, 2), (2, 4, 3), (3, 5, 2)])
def test_architecture_is_within_the_promised(D, m, blocks, K):
    N = m + 2
    n = 5
    network, c = spline_network(D, m, N, n, K, blocks)
    found = convresnet.measure_architecture(network)
    promised = convresnet.Construction([convresnet.cube_chart(c, m)], m, n, K, blocks).promised
    assert found.within(promised)
    assert (
        (found.M, found.L, found.kappa2)
        == (promised.M, promised.L, 1.0)
        == (blocks, promised.L, 1.0)
    )
    convs = [conv for block in network.blocks for conv in block]
    assert found.J == max(network.channels, *[conv.weight.shape[0] for conv in convs])
    assert found.kappa1 == max(
        float(p.detach().abs().max()) for conv in convs for p in conv.parameters()
    )


@pytest.mark.parametrize("N", (3, 4, 5, 8, 9, 1000, 1024, 1025))
def test_doublings_reach_the_mesh(N):
    assert convresnet.doublings(N) == ceil(log2(N))


# 0, n + 2, 2n + 4, 2n + 3 with n = 5
@pytest.mark.parametrize("m, power_depth", [(2, 0), (3, 7), (4, 14), (5, 13)])
@pytest.mark.parametrize("D", (1, 2, 3))
def test_depth_is_the_formula(D, m, power_depth):
    N = 8 if D < 3 else 5
    n = 5
    found = convresnet.measure_architecture(spline_network(D, m, N, n)[0])
    gathered = max(1, D - 1)  # filters of size 2
    assert found.L == gathered + 3 + 3 + power_depth + (D - 1) * (n + 3)  # log2 8 = 3 doublings


def test_within_compares_every_size():
    base = convresnet.Architecture(2, 3, 4, 5, 6.0, 1.0)
    assert base.within(base)
    for k in vars(base):
        assert not base.within(convresnet.Architecture(**{**vars(base), k: getattr(base, k) - 1}))


@pytest.mark.parametrize("m", ORDERS)
def test_weights_do_not_grow_with_the_mesh(m):
    sizes = []
    for N in (8, 128):
        c = np.random.default_rng(0).uniform(-1, 1, N + m - 1)
        c[0] = 1.0  # the same scale of coefficients
        sizes.append(convresnet.measure_architecture(cube_network(c, m)))
    assert sizes[0].kappa1 == sizes[1].kappa1 and sizes[0].kappa2 == sizes[1].kappa2 == 1


@pytest.mark.parametrize("m", ORDERS)
@pytest.mark.parametrize("start", (5, 8))
def test_doubling_the_mesh_adds_one_layer(m, start):
    for D, doubled in ((1, 5), (2, 2)):
        depths = [
            convresnet.measure_architecture(spline_network(D, m, start * 2**k)[0]).L
            for k in range(doubled)
        ]
        assert np.diff(depths).tolist() == [1] * (doubled - 1)


@pytest.mark.parametrize("m, channels", [(2, 2), (3, 6), (4, 10), (5, 9)])
def test_channels_are_linear_in_the_terms_of_a_block(m, channels):
    for N in (8, 16, 64):
        assert convresnet.measure_architecture(spline_network(1, m, N)[0]).J == channels * (
            N + m - 1
        )
    for N in (12, 24):
        assert convresnet.measure_architecture(spline_network(2, m, N)[0]).J == 5 * (N + m - 1) ** 2
    for blocks in (1, 2, 4):  # 16 terms, dealt out evenly
        assert (
            convresnet.measure_architecture(spline_network(1, m, 17 - m, blocks=blocks)[0]).J
            == channels * 16 // blocks
        )


@pytest.mark.parametrize("m", ORDERS)
@pytest.mark.parametrize("D", (1, 2))
def test_rescaled_is_the_same_function_with_small_weights(D, m):
    network, _ = spline_network(D, m, 9, blocks=3)
    small = convresnet.rescaled(network)
    x = random_points(200, D)
    sizes = convresnet.measure_architecture(small)
    old = convresnet.measure_architecture(network)
    assert sizes.kappa1 <= 1 < old.kappa1
    assert sizes.kappa2 > 1
    assert (sizes.M, sizes.L, sizes.J, sizes.K) == (old.M, old.L, old.J, old.K)
    assert (small(x) - network(x)).abs().max() <= 1e-12 * network(x).abs().max()


# ---- an ordinary module


@pytest.mark.parametrize("D", (1, 2))
def test_a_gradient_step_lowers_the_loss(D):
    network, _ = spline_network(D, 3, 4, 5)
    x = random_points(200, D)
    goal = torch.sin(3 * x.sum(1))
    optimizer = torch.optim.SGD(network.parameters(), lr=1e-6)
    losses = []
    for _ in range(2):
        optimizer.zero_grad()
        loss = ((network(x) - goal) ** 2).mean()
        loss.backward()
        losses.append(loss.item())
        for p in network.parameters():
            assert p.grad is not None and p.grad.shape == p.shape and torch.isfinite(p.grad).all()
        optimizer.step()
    assert losses[1] < losses[0]
    assert sum(int(p.grad.count_nonzero()) for p in network.parameters()) > 0


def test_value_and_gradient_is_autograd():
    network, _ = spline_network(2, 3, 5)
    x = random_points(300, 2).requires_grad_(True)
    value = network(x)
    (gradient,) = torch.autograd.grad(value.sum(), x)
    found = network.value_and_gradient(x)
    assert torch.equal(found[0], value.detach()) and torch.equal(found[1], gradient)


def test_layers_that_do_not_fit_are_refused():
    conv = Convolution(
        torch.ones(2, 3, 1, dtype=torch.float64), torch.zeros(2, dtype=torch.float64)
    )
    with pytest.raises(InputError, match="blocks"):
        ConvResNet([[conv]], torch.ones(2), 1)


def test_chunks_do_not_change_the_values(monkeypatch):
    network = spline_network(2, 3, 5)[0]
    x = random_points(300, 2)
    value, (_, slope) = network(x), network.value_and_gradient(x)
    monkeypatch.setattr("lib.convresnet._module._CACHE_BYTES", 1)
    monkeypatch.setattr("lib.convresnet._module._GRAPH_BYTES", 1)
    assert network.chunk() == 4 and network.chunk(gradient=True) == 1
    assert (network(x) - value).abs().max() < 1e-14
    assert (network.value_and_gradient(x)[1] - slope).abs().max() < 1e-13
