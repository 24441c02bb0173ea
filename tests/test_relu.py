"""Chapter 03: the ReLU calculus; maps against layer lists, exact facts, error bounds."""

from fractions import Fraction as F

import numpy as np
import pytest
import sympy as sp
import torch
from scipy.interpolate import BSpline, NdBSpline

from helpers import ORDERS, UNIT, random_points, slopes, spline_network, truncated_power_bspline
from lib import InputError, relu
from lib.relu import layers

LEVELS = (1, 3, 6, 12)
NET_LEVELS = (4, 9)  # the B-spline networks start at refinement 4


def _agree(network, function, x, size=1.0):
    """A layer list and a map, values and slopes, at the columns of ``x`` (inputs, points)."""
    value, slope = slopes(lambda z: layers.run(network, z)[0], x)
    expected, expected_slope = slopes(function, x)
    assert (value - expected).abs().max() <= 1e-14 * size
    assert (slope - expected_slope).abs().max() <= 1e-14 * size


def _interpolant(z, n):
    """``sq_n(z)`` for a Fraction: the chord of the square over its cell of length 2^-n."""
    left = F(z.numerator * 2**n // z.denominator, 2**n)
    right = left + F(1, 2**n)
    return left**2 + (left + right) * (z - left)


def _floats(fractions):
    return torch.tensor([float(z) for z in fractions], dtype=torch.float64)


# ---- maps and layer lists


@pytest.mark.parametrize("n", LEVELS)
def test_square_map_is_the_network(n):
    _agree(layers.square(n), lambda z: relu.square(z[0], n), random_points(1, 5000))


@pytest.mark.parametrize("n", LEVELS)
def test_product_map_is_the_network(n):
    x = random_points(2, 5000)
    _agree(layers.product(n), lambda z: relu.product(z[0], z[1], n), x)
    _agree(
        layers.product(n, ordered=True),
        lambda z: relu.product(z[0], z[1], n),
        x.sort(0, descending=True).values,
    )


@pytest.mark.parametrize("n", LEVELS)
@pytest.mark.parametrize("degree", (2, 3, 4, 5, 6))
def test_power_map_is_the_network(degree, n):
    _agree(layers.power(degree, n), lambda z: relu.power(z[0], degree, n), random_points(1, 5000))


@pytest.mark.parametrize("n", NET_LEVELS)
@pytest.mark.parametrize("m", ORDERS)
def test_bspline_map_is_the_network(m, n):
    _agree(
        layers.bspline(m, n),
        lambda x: relu.bspline(x[0], m, n),
        random_points(1, 5000) * (m + 2) - 1,
    )
    _agree(
        layers.bspline_of_distance(m, n),
        lambda x: relu.bspline_of_distance(x[0], m, n),
        random_points(1, 5000) * m,
    )


@pytest.mark.parametrize("m", ORDERS)
@pytest.mark.parametrize("D", (1, 2, 3))
def test_tensor_map_is_the_network(D, m):
    _agree(
        layers.tensor_bspline(m, D, 6),
        lambda x: relu.tensor_bspline(x.T, m, 6),
        random_points(D, 3000) * (m + 1) - 0.5,
    )


# ---- the square and the product, exactly


@pytest.mark.parametrize("n", (1, 2, 5, 8))
def test_square_is_the_chord_and_its_error_is_attained(n):
    z = [F(k, 2 ** (n + 3)) for k in range(2 ** (n + 3))]
    maps = relu.square(_floats(z), n).tolist()
    nets = layers.run(layers.square(n), _floats(z)[None])[0].tolist()
    assert [F(v) for v in maps] == [F(v) for v in nets] == [_interpolant(t, n) for t in z]
    errors = [F(v) - t**2 for v, t in zip(maps, z)]
    assert min(errors) == 0 and max(errors) == F(1, 4 ** (n + 1)) == F(relu.square_error(n).value)


@pytest.mark.parametrize("n", (0, 1, 6, 11))
def test_square_interpolates_at_dyadics(n):
    z = torch.arange(2**n + 1, dtype=torch.float64) / 2**n
    assert torch.equal(relu.square(z, n), z * z)
    if n:
        assert torch.equal(layers.run(layers.square(n), z[None])[0], z * z)


@pytest.mark.parametrize("n", (1, 4, 9))
def test_product_with_one_is_the_identity(n):
    b = torch.arange(2**12 + 1, dtype=torch.float64) / 2**12
    for x in (torch.stack([torch.ones_like(b), b]), torch.stack([b, torch.ones_like(b)])):
        assert torch.equal(relu.product(*x, n), b)
        assert torch.equal(layers.run(layers.product(n), x)[0], b)


@pytest.mark.parametrize("n", (1, 4, 9, 20, 40))
def test_product_with_zero_is_zero_bitwise(n):
    for seed in range(5):
        a = random_points(1, 2000, seed)
        for x in (torch.cat([a, 0 * a]), torch.cat([0 * a, a])):
            assert not relu.product(*x, n).any()
            assert not layers.run(layers.product(n), x).any()


@pytest.mark.parametrize("n", (1, 3, 7))
def test_product_is_between_zero_and_the_smaller_factor(n):
    grid = torch.arange(65, dtype=torch.float64) / 64  # dyadic: no rounding
    a, b = (t.reshape(-1) for t in torch.meshgrid(grid, grid, indexing="ij"))
    value = layers.run(layers.product(n), torch.stack([a, b]))[0]
    assert (value >= 0).all() and (value <= torch.minimum(a, b)).all()
    exact = [
        _interpolant((p + q) / 2, n) - _interpolant(abs(p - q) / 2, n)
        for p, q in zip(map(F, a.tolist()), map(F, b.tolist()))
    ]
    assert list(map(F, value.tolist())) == exact


# ---- supports


@pytest.mark.parametrize("n", (4, 10, 21))
@pytest.mark.parametrize("m", ORDERS)
def test_bspline_network_is_zero_bitwise_outside_its_support(m, n):
    edges = [-1.0, -1e-9, -5e-324, 0.0, m, np.nextafter(m, m + 1), m + 1e-9, m + 1.0]
    network = layers.bspline(m, n)
    for seed in range(10):
        far = np.random.default_rng(seed).random(300) * m
        x = torch.tensor(np.concatenate([edges, -far, m + far]))
        assert not layers.run(network, x[None]).any()
        assert not relu.bspline(x, m, n).any()


@pytest.mark.parametrize("m", ORDERS)
@pytest.mark.parametrize("D", (2, 3))
def test_tensor_network_is_zero_bitwise_outside_its_support(D, m):
    network = layers.tensor_bspline(m, D, 7)
    for seed in range(20):
        rng = np.random.default_rng(seed)
        x = rng.random((D, 200)) * m
        x[rng.integers(0, D, 200), np.arange(200)] = rng.choice(
            [0.0, m, -rng.random(), m + rng.random()], 200
        )
        x = torch.from_numpy(x)
        assert not layers.run(network, x).any()
        assert not relu.tensor_bspline(x.T, m, 7).any()


@pytest.mark.parametrize("n", (4, 5, 8, 16))
@pytest.mark.parametrize("m", ORDERS)
def test_factors_stay_in_the_unit_interval(m, n):
    x = torch.cat(
        [random_points(1, 20000)[0] * m, torch.arange(128.0 * m, dtype=torch.float64) / 128]
    )
    value = layers.run(layers.bspline(m, n), x[None])[0]
    assert value.min() >= 0 and value.max() <= 1


# ---- error bounds


def _within(bound, measured, sizes=100):
    """Neither norm is above its bound, up to ``sizes`` roundings of numbers of size one."""
    for b, e in zip(bound, measured):
        assert float(e.abs().max()) <= b + sizes * UNIT


@pytest.mark.parametrize("n", (0, 1, 4, 9))
def test_square_error_is_attained(n):
    z = random_points(1, 100000)[0]
    value, slope = slopes(lambda z: relu.square(z, n), z)
    errors = value - z**2, slope - 2 * z
    _within(relu.square_error(n), errors)
    assert all(e.abs().max() >= 0.99 * b for b, e in zip(relu.square_error(n), errors))


@pytest.mark.parametrize("n", (1, 4, 8))
def test_product_error_is_attained(n):
    x = random_points(2, 100000)
    value, slope = slopes(lambda x: relu.product(*x, n), x)
    errors = value - x.prod(0), slope - x.flip(0)
    _within(relu.product_error(n), errors)
    assert all(e.abs().max() >= 0.95 * b for b, e in zip(relu.product_error(n), errors))
    assert slope.min() >= 0 and slope.max() <= 1


@pytest.mark.parametrize("n", (1, 4, 8))
@pytest.mark.parametrize("degree", range(1, 8))
def test_power_error_bounds(degree, n):
    z = random_points(1, 50000)[0]
    value, slope = slopes(lambda z: relu.power(z, degree, n), z)
    _within(relu.power_error(degree, n), (value - z**degree, slope - degree * z ** (degree - 1)))


@pytest.mark.parametrize("n", (4, 8, 12))
@pytest.mark.parametrize("m", ORDERS)
def test_bspline_error_bounds(m, n):
    n = max(n, relu.minimum_refinement(m))
    x = random_points(1, 50000)[0] * m
    exact = BSpline.basis_element(np.arange(m + 1.0), extrapolate=False)
    value, slope = slopes(lambda x: layers.run(layers.bspline(m, n), x[None])[0], x)
    _within(
        relu.bspline_error(m, n),
        (value - torch.from_numpy(exact(x)), slope - torch.from_numpy(exact(x, 1))),
    )


@pytest.mark.parametrize("m", ORDERS)
def test_bspline_slope_is_the_steepest_slope_rounded_upwards(m):
    x = np.linspace(0, m, 4001)[1:-1]
    largest = np.abs(BSpline.basis_element(np.arange(m + 1.0))(x, 1)).max()
    assert largest * (1 - 8 * m * UNIT) <= relu.bspline_slope(m) <= largest * (1 + 1e-3)
    exact = {2: 1, 3: 1, 4: sp.Rational(2, 3), 5: 5 * (3 + sp.sqrt(5)) / 48}
    if m in exact:
        assert 0 <= sp.N(sp.Rational(relu.bspline_slope(m)) - exact[m], 30) <= 8 * UNIT


@pytest.mark.parametrize("m", ORDERS)
def test_the_fewest_levels_are_those_of_the_proof(m):
    """One level less and ``eta_0`` exceeds the value of ``N_m`` a cell from its end; four at
    least.
    """
    n = relu.minimum_refinement(m)
    assert n == (4, 4, 4, 4, 6, 8, 9)[m - 2]
    eta = [sum(a for _, _, a, _, _ in relu.fold_terms(m)) * relu.power_error(m - 1, k).value
           for k in (n - 1, n)]  # fmt: skip
    assert m == 2 or eta[1] <= BSpline.basis_element(np.arange(m + 1.0))(1.0)
    assert n == 4 or eta[0] > BSpline.basis_element(np.arange(m + 1.0))(1.0)
    with pytest.raises(InputError, match="refinement"):
        relu.bspline_error(m, n - 1)


@pytest.mark.parametrize("m", ORDERS)
def test_fold_terms_give_the_bspline(m):
    for x in (F(k, 16) for k in range(16 * m + 1)):
        total = sum(
            sign * F(a) * (max(F(w) - abs(x - F(m, 2)), 0) / F(scale)) ** (m - 1)
            for _, sign, a, w, scale in relu.fold_terms(m)
        )
        size = sum(a for _, _, a, _, _ in relu.fold_terms(m))
        # the a_r are rounded to floats
        assert abs(total - truncated_power_bspline(m, x)) <= F(2 * UNIT * size)


@pytest.mark.parametrize("n", (4, 8))
@pytest.mark.parametrize("m", ORDERS)
@pytest.mark.parametrize("D", (2, 3))
def test_tensor_error_bounds(D, m, n):
    n = max(n, relu.minimum_refinement(m))
    x = random_points(D, 20000) * m
    element = BSpline.basis_element(np.arange(m + 1.0))
    factor, derivative = element(x), element(x, 1)
    gradient = np.stack(
        [
            np.prod([derivative[i] if i == k else factor[i] for i in range(D)], axis=0)
            for k in range(D)
        ]
    )
    value, slope = slopes(lambda x: relu.tensor_bspline(x.T, m, n), x)
    errors = value - torch.from_numpy(factor.prod(0)), slope - torch.from_numpy(gradient)
    _within(relu.tensor_error(m, D, n), errors)
    if (m, D) == (2, 2):  # the product of exact hats
        assert all(e.abs().max() >= 0.9 * b for b, e in zip(relu.tensor_error(m, D, n), errors))


@pytest.mark.parametrize("m", ORDERS)
@pytest.mark.parametrize("D", (1, 2))
def test_spline_error_bounds_the_module(D, m):
    N = m + 2
    n = max(5, relu.minimum_refinement(m))
    network, c = spline_network(D, m, N, n)
    x = random_points(1000, D)
    exact = NdBSpline((np.arange(1 - m, N + m) / N,) * D, c, m - 1)
    value, gradient = network.value_and_gradient(x)
    error = relu.spline_error(m, D, N, n, float(np.abs(c).max()))
    assert np.abs(value.numpy() - exact(x.numpy())).max() <= error.value + 1e3 * m**D * UNIT
    for k in range(D):
        slope = exact(x.numpy(), nu=[int(i == k) for i in range(D)])
        assert np.abs(gradient[:, k].numpy() - slope).max() <= error.slope + 1e3 * N * m**D * UNIT


@pytest.mark.parametrize("n", (1, 3, 6))
def test_slopes_on_a_kink_are_those_of_any_of_its_pieces(n):
    """The chain rule of the chapter: ``z -> mu_n(z, z)`` stays on the kink ``a = b`` and is
    ``sq_n``.
    """
    z = random_points(1, 2000)[0]
    _, expected = slopes(lambda z: relu.square(z, n), z)
    _, found = slopes(lambda z: relu.product(z, z, n), z)
    assert torch.equal(found, expected)
    for side in (1e-12, -1e-12):  # the pieces a > b and a < b, which both contain the points
        gradient = slopes(
            lambda x: relu.product(x[0], x[1], n), torch.stack([z + side, z]).clamp(0, 1)
        )[1]
        assert gradient.max() <= 1 and (gradient.sum(0) - expected).abs().max() <= 1e-14
    # constant, on two kinks
    flat = slopes(lambda z: relu.product(torch.full_like(z, 0.5), 0 * z + 0.5, n), z)[1]
    assert not flat.any()


# ---- sizes and bad refinements


def _width(network):
    return max(layer.out_channels for layer in network)


@pytest.mark.parametrize("n", (1, 2, 7))
def test_sizes_are_those_of_the_docstrings(n):
    assert len(layers.square(n)) == n + 1 and _width(layers.square(n)) == 3
    assert len(layers.product(n)) == n + 3 and _width(layers.product(n)) == 5
    assert (
        len(layers.product(n, ordered=True)) == n + 2
        and _width(layers.product(n, ordered=True)) == 5
    )
    assert layers.power(1, n) == []
    for degree, depth, width in ((2, n + 1, 3), (3, 2 * n + 3, 5), (4, 2 * n + 2, 3)):
        assert len(layers.power(degree, n)) == depth and _width(layers.power(degree, n)) == width
    for D in (2, 3, 4):
        assert len(layers.tensor_product(D, n)) == (D - 1) * (n + 3)


@pytest.mark.parametrize("n", (-1, 41, 2.0, True, None, "3"))
def test_refinement_out_of_range_is_refused(n):
    z = torch.full((1,), 0.3, dtype=torch.float64)
    for call in (
        lambda: relu.square(z, n),
        lambda: relu.product(z, z, n),
        lambda: layers.square(n),
        lambda: layers.product(n),
        lambda: relu.square_error(n),
        lambda: relu.bspline_error(3, n),
    ):
        with pytest.raises(InputError, match="refinement"):
            call()


def test_networks_need_one_level_and_bsplines_four():
    for call in (
        lambda: layers.square(0),
        lambda: layers.product(0),
        lambda: relu.bspline_error(4, 3),
    ):
        with pytest.raises(InputError, match="refinement"):
            call()
