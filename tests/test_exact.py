"""Exact piecewise linear functions: against torch, by hand, and as a judge of inequalities."""

from fractions import Fraction as F

import numpy as np
import pytest
import torch

from lib.relu import exact, layers

CHAINS = {
    "square": layers.square(6),
    "cube": layers.power(3, 5),
    "fifth power": layers.power(5, 4),
    "B-spline": layers.bspline(4, 5),
    "product along a line": layers.product(5),
}
INPUTS = {"product along a line": [(F(1, 5), F(3, 5)), (F(9, 10), F(-7, 10))]}


@pytest.mark.parametrize("name", CHAINS)
def test_agrees_with_torch_everywhere_between_breakpoints(name):
    inputs = INPUTS.get(name, [(F(0), F(1))])
    t, channels = exact.run(CHAINS[name], 0, 1, inputs)
    assert t == sorted(set(t)) and t[0] == 0 and t[-1] == 1
    x = np.random.default_rng(0).random(5000)
    z = torch.from_numpy(np.array([float(a) + float(b) * x for a, b in inputs]))
    found = np.interp(x, [float(s) for s in t], [float(v) for v in channels[0]])
    assert np.abs(layers.run(CHAINS[name], z)[0].numpy() - found).max() < 1e-13


def test_a_tent_by_hand():
    t, (values,) = exact.run(
        [layers.affine([[1.0], [1.0]], [0.0, -0.5]), layers.affine([[2.0, -4.0]])], 0, 1
    )
    assert t == [0, F(1, 2), 1] and values == [0, 1, 0]
    t, (values,) = exact.run([layers.affine([[3.0]], [-1.0])], 0, 1)
    assert t == [0, F(1, 3), 1] and values == [0, 0, 2]


def test_a_changed_weight_is_seen():
    chain = layers.square(4)
    weight = chain[3].weight.clone()
    weight[0, 2, 1] *= 1 + 2.0**-50
    changed = [*chain[:3], layers.Layer(weight, chain[3].bias), *chain[4:]]
    t, (values,) = exact.run(chain, 0, 1)
    s, (others,) = exact.run(changed, 0, 1)
    assert s == t and values != others


@pytest.mark.parametrize(
    "polynomial, answer",
    [
        ([F(1), F(-2), F(1)], True),  # (1 - s)^2
        ([F(1, 4), F(-1), F(1)], True),  # (s - 1/2)^2, zero inside
        # (s - 1/3)^2: not decided by halving, so not accepted
        ([F(1, 9), F(-2, 3), F(1)], False),
        ([F(1, 4) - F(1, 10**9), F(-1), F(1)], False),
        ([F(1, 10), F(0), F(-1), F(1)], False),
        ([F(4, 27) + F(1, 10**6), F(0), F(-1), F(1)], True),
        ([F(-1, 10**12), F(1)], False),
        ([F(0)], True),
        ([F(-1)], False),
    ],
)
def test_signs_of_polynomials(polynomial, answer):
    assert exact.nonnegative(polynomial) == answer


def test_shifted_polynomials():
    p = [F(3), F(-1), F(2), F(5)]
    q = exact.shifted(p, F(2, 3), F(1, 7))
    for s in (F(0), F(1, 2), F(1)):
        assert sum(c * s**k for k, c in enumerate(q)) == sum(
            c * (F(2, 3) + s / 7) ** k for k, c in enumerate(p)
        )


def test_bounds_that_are_attained_hold_and_smaller_ones_do_not():
    t, (values,) = exact.run(layers.square(5), 0, 1)
    square = lambda a, b: [0, 0, F(1)]
    value = F(1, 4**6)
    slope = F(1, 2**5)
    assert exact.violations(t, values, square, value, slope, F(0)) == (0, 0)
    assert exact.violations(t, values, square, value * F(999, 1000), slope, F(0)) == (32, 0)
    assert exact.violations(t, values, square, value, slope * F(999, 1000), F(0)) == (0, 32)
    assert (
        exact.violations(t, [v - F(1, 10**9) for v in values], square, value, slope, F(0))[0] == 32
    )


@pytest.mark.parametrize(
    "chain, dim, straight_cells",
    [
        (layers.product(2), 2, range(1, 64)),
        (layers.repeat(layers.square(3), 2), 2, [64]),
        (layers.square(4), 1, [0]),
    ],
)
def test_values_on_cells_and_which_are_affine(chain, dim, straight_cells):
    edges = np.arange(8) / 8
    low = np.stack(np.meshgrid(*[edges] * dim, indexing="ij"), axis=-1).reshape(-1, dim)
    corners = np.stack(np.meshgrid(*[[0, 1 / 8]] * dim, indexing="ij"), axis=-1).reshape(-1, dim)
    values, affine = exact.on_cells(chain, np.moveaxis(low[:, None] + corners, -1, 0))
    rng = np.random.default_rng(0)
    # inside, an affine function is the mean of its corners by multilinear weights
    for i, cell in enumerate(low):
        s = rng.random((40, dim))
        share = np.prod(np.where(corners > 0, s[:, None], 1 - s[:, None]), axis=2)
        found = layers.run(chain, torch.from_numpy((cell + s / 8).T)).numpy()
        straight = np.abs(found - values[:, i] @ share.T).max() < 1e-12
        assert straight or not affine[i]
    assert affine.sum() in straight_cells


def test_cells_refuse_numbers_that_would_round():
    with pytest.raises(ValueError, match="digits"):
        exact.on_cells(layers.square(4), np.array([[[0.1, 0.2]]]))


def test_vanishing_is_known_from_the_structure_only():
    product = layers.product(6)
    assert exact.vanishing(product, ["a", None]) == exact.vanishing(product, [None, "b"]) == [True]
    assert exact.vanishing(product, ["a", "b"]) == exact.vanishing(product, ["a", "a"]) == [False]
    assert exact.vanishing(layers.bspline_of_distance(3, 5)[1:], [None, None]) == [True]
    # any weight a rounding off
    for place, entry in ((2, (0, 2, 2)), (5, (0, 4, 0)), (8, (0, 0, 1))):
        weight = product[place].weight.clone()
        weight[entry] *= 1 + 2.0**-52
        changed = [
            *product[:place],
            layers.Layer(weight, product[place].bias),
            *product[place + 1 :],
        ]
        assert exact.vanishing(changed, ["a", None]) == [False]


@pytest.mark.parametrize(
    "terms, zero",
    [
        ([(1.0, "a"), (-1.0, "a")], True),
        ([(1.0, "a"), (-1.0, "b")], False),
        ([(0.1, "a"), (-0.1, "a")], True),
        ([(1.0, "a"), (-1.0, "a"), (1.0, "b"), (-1.0, "b")], False),
    ],
)  # a + b - a - b rounds
def test_sums_that_cancel_whatever_the_order(terms, zero):
    layer = layers.affine([[w for w, _ in terms]])
    assert exact.vanishing([layer], [z for _, z in terms]) == [zero]
