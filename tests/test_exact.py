"""Exact piecewise linear functions: against torch, by hand, and as a judge of inequalities."""

from fractions import Fraction as F

import numpy as np
import pytest
import torch

from lib.certify import _exact as exact
from lib.relu import layers

CHAINS = {"square": layers.square(6), "cube": layers.power(3, 5), "fifth power": layers.power(5, 4),
          "B-spline": layers.bspline(4, 5), "product along a line": layers.product(5)}
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
    t, (values,) = exact.run([layers.affine([[1.0], [1.0]], [0.0, -0.5]), layers.affine([[2.0, -4.0]])], 0, 1)
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


@pytest.mark.parametrize("polynomial, answer", [
    ([F(1), F(-2), F(1)], True),                      # (1 - s)^2
    ([F(1, 4), F(-1), F(1)], True),                   # (s - 1/2)^2, zero inside
    ([F(1, 9), F(-2, 3), F(1)], False),               # (s - 1/3)^2: not decided by halving, so not accepted
    ([F(1, 4) - F(1, 10**9), F(-1), F(1)], False),
    ([F(1, 10), F(0), F(-1), F(1)], False), ([F(4, 27) + F(1, 10**6), F(0), F(-1), F(1)], True),
    ([F(-1, 10**12), F(1)], False), ([F(0)], True), ([F(-1)], False)])
def test_signs_of_polynomials(polynomial, answer):
    assert exact.nonnegative(polynomial) == answer


def test_shifted_polynomials():
    p = [F(3), F(-1), F(2), F(5)]
    q = exact.shifted(p, F(2, 3), F(1, 7))
    for s in (F(0), F(1, 2), F(1)):
        assert sum(c * s**k for k, c in enumerate(q)) == sum(c * (F(2, 3) + s / 7) ** k for k, c in enumerate(p))


def test_bounds_that_are_attained_hold_and_smaller_ones_do_not():
    t, (values,) = exact.run(layers.square(5), 0, 1)
    square, value, slope = (lambda a, b: [0, 0, F(1)]), F(1, 4**6), F(1, 2**5)
    assert exact.violations(t, values, square, value, slope, F(0)) == (0, 0)
    assert exact.violations(t, values, square, value * F(999, 1000), slope, F(0)) == (32, 0)
    assert exact.violations(t, values, square, value, slope * F(999, 1000), F(0)) == (0, 32)
    assert exact.violations(t, [v - F(1, 10**9) for v in values], square, value, slope, F(0))[0] == 32
