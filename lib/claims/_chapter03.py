"""Claims of chapter 03: the ReLU calculus.  Slopes are measured at random points, where they exist."""

from fractions import Fraction as F

import numpy as np
import torch

from lib import relu, splines
from lib.claims._registry import claim, grid
from lib.relu import layers

_UNIT = 2.0**-53
ORDERS = (2, 3, 4, 5)
_COARSER = 3   # levels by which a tampered construction is too coarse


def _points(count, dim, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).random((count, dim)))


def _slopes(function, x):
    x = x.clone().requires_grad_(True)
    values = function(x)
    (gradient,) = torch.autograd.grad(values.sum(), x)
    return values.detach(), gradient


def _pick(error, norm, value_error, slope_error, operations=100):
    """The bound and the measured number for one of the two norms, with the rounding of that many operations."""
    if norm == "value":
        return error.value + operations * _UNIT, value_error.abs().max()
    return error.slope + operations * _UNIT, slope_error.abs().max()


def _tent(t):
    return 2 * max(t, 0) - 4 * max(t - F(1, 2), 0)


@claim("lem-sawtooth", uses=(), evidence="exact", grid=grid(k=(1, 2, 3, 6)), honest=_tent,
       tampered=lambda t: 2 * max(t, 0) - 4 * max(t - F(1, 2), 0) + F(1, 10**9))
def lem_sawtooth(build, k):
    """Number of multiples of 2^-(k+3) at which the k-fold tent is not the sawtooth of 2^(k-1) teeth."""
    wrong = 0
    for j in range(2 ** (k + 3) + 1):
        t = value = F(j, 2 ** (k + 3))
        for _ in range(k):
            value = build(value)
        phase = t * 2 ** (k - 1) % 1
        wrong += value != min(2 * phase, 2 - 2 * phase)
    return 0, wrong


@claim("lem-square", uses=("lem-sawtooth",), evidence="sampled", grid=grid(n=(0, 1, 4, 10, 20), norm=("value", "slope")),
       honest=relu.square, tampered=lambda z, n: relu.square(z, max(n - 1, 0)))
def lem_square(build, n, norm):
    """``sq_n`` against the square at 50000 random points."""
    z = _points(50000, 1)[:, 0]
    value, slope = _slopes(lambda z: build(z, n), z)
    return _pick(relu.square_error(n), norm, value - z**2, slope - 2 * z)


def _two_accumulators(n):
    """The product from two separate squares, a level too few and one weight off by 2^-50: not bitwise zero."""
    first, *rest = layers.repeat(layers.square(max(n - 1, 1)), 2)
    split = layers.affine([[0.5, 0.5], [0.5, -0.5], [-0.5, 0.5]])
    halves = layers.affine([[1.0, 0.0, 0.0], [0.0, 1.0, 1.0]])
    scramble = layers.affine([[1.0, -1.0 + 2.0**-50]])
    return [split, halves, first, *rest, scramble]


@claim("lem-product", uses=("lem-square",), evidence="sampled",
       grid=grid(n=(1, 4, 10, 20), norm=("value", "slope", "support")), honest=layers.product,
       tampered=_two_accumulators)
def lem_product(build, n, norm):
    """The product network against the product at 20000 random points; exactly zero on the axes."""
    x = _points(20000, 2)
    if norm == "support":
        x[:, 1] = 0
        return 0, max(layers.run(build(n), y)[0].abs().max() for y in (x.T, x.flip(1).T))
    value, slope = _slopes(lambda x: layers.run(build(n), x.T)[0], x)
    return _pick(relu.product_error(n), norm, value - x.prod(1), slope - x.flip(1))


@claim("lem-power", uses=("lem-square", "lem-product"), evidence="sampled",
       grid=grid(degree=(2, 3, 4, 5, 6), n=(4, 8, 16), norm=("value", "slope")),
       honest=relu.power, tampered=lambda z, degree, n: relu.power(z, degree, n - _COARSER))
def lem_power(build, degree, n, norm):
    """``p_k`` against ``z^k`` at 50000 random points."""
    z = _points(50000, 1)[:, 0]
    value, slope = _slopes(lambda z: build(z, degree, n), z)
    return _pick(relu.power_error(degree, n), norm, value - z**degree, slope - degree * z ** (degree - 1))


@claim("prop-bspline-net", uses=("lem-bspline", "lem-power"), evidence="sampled",
       grid=grid(m=ORDERS, n=(4, 8, 16), norm=("value", "slope", "support", "range")),
       honest=layers.bspline, tampered=lambda m, n: layers.bspline(m, max(n - _COARSER, 1)))
def prop_bspline_net(build, m, n, norm):
    """The network against the B-spline at 50000 random points of [-1, m+1]; exactly zero outside (0, m)."""
    x = _points(50000, 1)[:, 0] * (m + 2) - 1
    value, slope = _slopes(lambda x: layers.run(build(m, n), x[None])[0], x)
    if norm == "support":
        outside = (x <= 0) | (x >= m)
        knots = torch.tensor([-1.0, 0.0, m, m + 1], dtype=torch.float64)
        return 0, max(value[outside].abs().max(), layers.run(build(m, n), knots[None])[0].abs().max())
    if norm == "range":   # the network is at most 1, and the sum in front of the last ReLU is not negative
        *chain, last = layers.bspline(m, n)
        before = last.weight[0] @ layers.run(chain, x[None]) + last.bias[0][:, None] if m > 2 else value
        return 1, max(value.max(), 1 - before.min())
    exact = [torch.from_numpy(splines.bspline(m, x.numpy(), k)) for k in (0, 1)]
    return _pick(relu.bspline_error(m, n), norm, value - exact[0], slope - exact[1])


@claim("prop-tensor-net", uses=("lem-bspline", "lem-product", "prop-bspline-net"), evidence="sampled",
       grid=grid(D=(1, 2, 3), m=ORDERS, n=(4, 10), norm=("value", "slope", "support")),
       honest=layers.tensor_bspline, tampered=lambda m, D, n: layers.tensor_bspline(m, D, max(n - _COARSER, 1)))
def prop_tensor_net(build, D, m, n, norm):
    """The product of D B-splines at 10000 random points of [-1/2, m+1/2]^D."""
    x = _points(10000, D) * (m + 1) - 0.5
    value, slope = _slopes(lambda x: layers.run(build(m, D, n), x.T)[0], x)
    if norm == "support":
        outside = ((x <= 0) | (x >= m)).any(1)
        return 0, value[outside].abs().max()
    factors = [torch.from_numpy(splines.bspline(m, x.numpy(), k)) for k in (0, 1)]
    gradient = torch.stack(
        [torch.stack([factors[int(i == k)][:, i] for i in range(D)]).prod(0) for k in range(D)], dim=1)
    return _pick(relu.tensor_error(m, D, n), norm, value - factors[0].prod(1), slope - gradient)


@claim("prop-spline-net", uses=("prop-bspline-net", "prop-tensor-net"), evidence="sampled",
       grid=grid(D=(1, 2), m=ORDERS, N=(6, 11), norm=("value", "slope")),
       honest=lambda n: n, tampered=lambda n: 1)
def prop_spline_net(build, D, m, N, norm):
    """A spline with random coefficients in [-1, 1] against the sum of its networks, n = 8, 4000 random points."""
    n = 8
    rng = np.random.default_rng(m)
    coefficients = rng.uniform(-1, 1, (N + m - 1,) * D)
    x = _points(4000, D)
    indices = torch.arange(1 - m, N, dtype=torch.float64)

    def network(x):
        factors = relu.bspline(x[..., None] * N - indices, m, build(n))
        if D == 1:
            return factors[:, 0] @ torch.from_numpy(coefficients)
        terms = relu.product(factors[:, 1, None, :], factors[:, 0, :, None], build(n))
        return (terms * torch.from_numpy(coefficients)).sum((1, 2))

    value, slope = _slopes(network, x)
    exact = torch.from_numpy(splines.evaluate(coefficients, m, x.numpy()))
    gradient = torch.stack([torch.from_numpy(splines.evaluate(coefficients, m, x.numpy(), nu))
                            for nu in np.eye(D, dtype=int)], dim=1)
    error = relu.spline_error(m, D, N, n, np.abs(coefficients).max())
    return _pick(error, norm, value - exact, slope - gradient, 1000)
