"""Helpers shared by the tests; oracles here use numpy, scipy and fractions, never lib's own
formulas.
"""

from fractions import Fraction as F
from functools import cache
from math import comb, factorial

import numpy as np
import torch

import lib
from lib import convresnet

UNIT = 2.0**-53
ORDERS = tuple(range(2, 9))


@cache
def target(formula, dim=None):
    """A target by formula, parsed once."""
    return lib.Target.from_sympy(formula, dim)


@cache
def built(formula, dim=None, **sizes):
    """An approximation by formula, built once."""
    goal = target(formula, dim)
    return lib.approximate(goal, lib.Cube(goal.dim), **sizes)


def random_points(count, dim, seed=0):
    """Uniform random points of the cube, float64 tensor (count, dim)."""
    return torch.from_numpy(np.random.default_rng(seed).random((count, dim)))


def slopes(function, x):
    """Values and gradients of a torch map at the rows (or entries) of ``x``."""
    x = x.detach().clone().requires_grad_(True)
    values = function(x)
    (gradient,) = torch.autograd.grad(values.sum(), x)
    return values.detach(), gradient


def truncated_power_bspline(order, x):
    """``N_m(x)`` by the truncated-power formula, exact for a Fraction ``x``."""
    total = sum((-1) ** j * comb(order, j) * max(x - j, 0) ** (order - 1) for j in range(order + 1))
    return F(total) / factorial(order - 1)


def spline_network(dim, order, cells, refinement=6, kernel_size=2, blocks=1, seed=0):
    """The network of a spline with random coefficients in [-1, 1], and these coefficients."""
    coefficients = np.random.default_rng(seed).uniform(-1, 1, (cells + order - 1,) * dim)
    return cube_network(coefficients, order, refinement, kernel_size, blocks), coefficients


def cube_network(coefficients, order, refinement=6, kernel_size=2, blocks=1):
    """The network of a spline on the cube."""
    return convresnet.Construction(
        [convresnet.cube_chart(coefficients, order)], order, refinement, kernel_size, blocks
    ).network


def listing(folder):
    """Every file below a folder with its bytes: equal before and after means nothing was left
    behind.
    """
    return {
        str(p.relative_to(folder)): p.read_bytes() if p.is_file() else None
        for p in folder.rglob("*")
    }
