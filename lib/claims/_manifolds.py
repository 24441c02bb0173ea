"""The manifolds on which the claims of chapters 06 and 07 are checked, made once."""

from functools import cache

import numpy as np
import torch
from sklearn.datasets import load_digits

from lib import manifolds
from lib.targets import Target


def digit(index=3):
    """An 8 x 8 picture of scikit-learn's digits, grey values in [0, 1]."""
    return load_digits().images[index] / 16


MAKERS = {
    "circle": manifolds.circle,
    "ellipse": manifolds.ellipse,
    "trefoil": manifolds.trefoil,
    "trefoil in 20 dimensions": lambda: manifolds.trefoil(ambient_dim=20),
    "sphere": manifolds.Sphere,
    "ellipsoid": manifolds.ellipsoid,
    "torus": manifolds.torus,
    "peanut": manifolds.peanut,
    "curve of two equations": lambda: manifolds.LevelSet(
        ["(x1 - 1/2)**2 + (x2 - 1/2)**2 - 4/25", "x3 - 1/2 - (x1 - 1/2)*(x2 - 1/2)"],
        3,
        "curve of two equations",
    ),
    "SO(3)": manifolds.RotationGroup,
    "two circles": lambda: manifolds.Union(
        [
            manifolds.FourierCurve([[r, 0]], [[0, r]], centre, np.eye(2))
            for r, centre in ((0.2, [0.25, 0.3]), (0.22, [0.75, 0.65]))
        ]
    ),
    "image": lambda: manifolds.image_rotations(digit(), name="rotations of a digit 3"),
}
ALL = tuple(MAKERS)
SMALL = ("circle", "ellipse", "trefoil", "sphere", "torus", "image")  # where an atlas is cheap


@cache
def manifold(name):
    """The manifold of this name."""
    return MAKERS[name]()


@cache
def atlas(name):
    """A plain atlas: charts of radius 0.5 tau, covered to 0.375 tau (on SO(3) 0.7 and 0.55)."""
    m = manifold(name)
    chart, cover = (0.7, 0.55) if m.dim == 3 else (0.5, 0.375)
    return manifolds.Atlas(m, cover * m.reach, chart * m.reach)


def formula(D):
    """What is approximated in D dimensions: smooth, and no symmetry of a manifold is its own."""
    return f"sin(3*x1)*exp(x2)+x1*x{D}"


@cache
def target(name):
    """The `lib.Target` of this formula, on a manifold of many dimensions as a torch function."""
    D = manifold(name).ambient_dim
    if D > 16:  # more than formulas may have
        return Target(
            lambda x: torch.sin(3 * x[:, 0]) * torch.exp(x[:, 1]) + x[:, 0] * x[:, -1], dim=D
        )
    return Target.from_sympy(formula(D), D)


def pairs(name, count, near=None, seed=0):
    """Points, bases of their tangent spaces, and other points: random, or within ``near`` reaches.

    Returns arrays (count, D), (count, D, d) and (count, D).
    """
    m = manifold(name)
    rng = np.random.default_rng(seed)
    x, y = m.draw(count, seed), m.draw(count, seed + 1)
    basis = m.tangent_basis(x)
    if near is not None:
        direction = rng.normal(size=(count, m.dim))
        direction *= (
            near
            * m.reach
            * rng.random((count, 1))
            / np.linalg.norm(direction, axis=1, keepdims=True)
        )
        y = m.project(x + (basis @ direction[..., None])[..., 0])
    return x, basis, y
