"""Chapter 06: manifolds against their equations, atlases against brute force, and what must be
refused.
"""

import re
import time
from functools import cache
from math import pi

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.linalg import subspace_angles
from scipy.optimize import brentq
from scipy.spatial import cKDTree
from scipy.special import ellipe
from sklearn.datasets import load_digits

import lib
from helpers import UNIT
from lib import InputError, manifolds
from lib.manifolds import Atlas, FourierCurve, LevelSet, farthest_points

PICTURE = np.outer([0, 1, 2, 3, 1, 0], [0, 3, 1, 2, 0, 0]) / 9 + np.eye(6)
MAKERS = {
    "circle": manifolds.circle,
    "circle17": lambda: manifolds.circle(0.4, 17),
    "ellipse": manifolds.ellipse,
    "trefoil": manifolds.trefoil,
    "trefoil8": lambda: manifolds.trefoil(0.15, 8, seed=1),
    "sphere": manifolds.Sphere,
    "ellipsoid": manifolds.ellipsoid,
    "torus": manifolds.torus,
    "peanut": manifolds.peanut,
    "rotations": manifolds.RotationGroup,
    "quartic": lambda: LevelSet("(x1-1/2)**4+(x2-1/2)**4-0.03", 2),
    "parallel": lambda: LevelSet(["(x1-1/2)**2+(x2-1/2)**2+(x3-1/2)**2-0.16", "x3-0.6"], 3),
    "clifford": lambda: LevelSet(
        ["(x1-1/2)**2+(x2-1/2)**2-0.09", "(x3-1/2)**2+(x4-1/2)**2-0.09"], 4
    ),
    "picture": lambda: manifolds.image_rotations(PICTURE),
    "digit": lambda: manifolds.image_rotations(load_digits().images[3] / 16),
}
SIZES = {  # d, D
    "circle": (1, 2),
    "circle17": (1, 17),
    "ellipse": (1, 2),
    "trefoil": (1, 3),
    "trefoil8": (1, 8),
    "sphere": (2, 3),
    "ellipsoid": (2, 3),
    "torus": (2, 3),
    "peanut": (2, 3),
    "rotations": (3, 9),
    "quartic": (1, 2),
    "parallel": (1, 3),
    "clifford": (2, 4),
    "picture": (1, 36),
    "digit": (1, 64),
}
ALL = tuple(MAKERS)
CURVES = ("circle", "circle17", "ellipse", "trefoil", "trefoil8", "picture", "digit")
CHARTED = (
    "circle",
    "ellipse",
    "trefoil",
    "sphere",
    "torus",
    "rotations",
    "parallel",
    "clifford",
    "picture",
)
INSET = {2: 1, 3: 0.5, 4: 0, 5: 0}  # from the nodes of the interior functionals


@cache
def made(name):
    return MAKERS[name]()


@cache
def atlas(name):
    """Charts with r_0 = tau / 2, r_1 = 3 tau / 4 (fewer in dimension three)."""
    cover, bump = (0.85, 0.92) if name == "rotations" else (0.5, 0.75)
    return Atlas(made(name), cover * made(name).reach, bump * made(name).reach)


@cache
def charted(name, seed=3):
    """Twelve random centres, random orthonormal frames of their tangent spaces, and the
    manifold.
    """
    M = made(name)
    rng = np.random.default_rng(seed)
    c = M.draw(12, seed)
    turn = np.linalg.qr(rng.normal(size=(12, M.dim, M.dim)))[0]
    return M, c, M.tangent_basis(c) @ turn


def _flat(M, x):
    """Coordinates of a planar (or spatial) curve in its own plane."""
    return (x - 0.5) @ M.frame


def _trefoil(M, x):
    """On the torus ``(5 - rho^2)^2 / 16 + z^2 = 1``."""
    y = _flat(M, x) / 0.15
    return ((5 - y[:, 0] ** 2 - y[:, 1] ** 2) ** 2 / 16 + y[:, 2] ** 2 - 1) * 0.15


def _rotation(M, x):
    R = (x.reshape(-1, 3, 3) - 0.5) / 0.5
    return np.append(
        np.abs(np.swapaxes(R, 1, 2) @ R - np.eye(3)).max(), np.abs(np.linalg.det(R) - 1).max()
    )


def _foci(x, a):
    p = np.array([a, 0, 0])
    return np.linalg.norm(x - 0.5 - p, axis=1) * np.linalg.norm(x - 0.5 + p, axis=1)


EQUATIONS = {  # scaled to gradients of size about one
    "circle": lambda M, x: np.linalg.norm(x - 0.5, axis=1) - 0.4,
    "circle17": lambda M, x: np.append(
        np.linalg.norm(x - 0.5, axis=1) - 0.4, x - 0.5 - _flat(M, x) @ M.frame.T
    ),
    "ellipse": lambda M, x: (np.linalg.norm(_flat(M, x) / [0.45, 0.3], axis=1) - 1) * 0.3,
    "trefoil": _trefoil,
    "trefoil8": lambda M, x: np.append(_trefoil(M, x), x - 0.5 - _flat(M, x) @ M.frame.T),
    "sphere": lambda M, x: np.linalg.norm(x - 0.5, axis=1) - 0.5,
    "ellipsoid": lambda M, x: (np.linalg.norm((x - 0.5) / [0.45, 0.4, 0.33], axis=1) - 1) * 0.33,
    "torus": lambda M, x: (
        np.hypot(np.hypot(x[:, 0] - 0.5, x[:, 1] - 0.5) - 0.3, x[:, 2] - 0.5) - 0.15
    ),
    "peanut": lambda M, x: _foci(x, 0.25) - 0.29**2,
    "rotations": _rotation,
    "quartic": lambda M, x: ((x - 0.5) ** 4).sum(1) - 0.03,
    "parallel": lambda M, x: np.append(
        np.hypot(x[:, 0] - 0.5, x[:, 1] - 0.5) - 0.15**0.5, x[:, 2] - 0.6
    ),
    "clifford": lambda M, x: np.hypot(x[:, ::2] - 0.5, x[:, 1::2] - 0.5) - 0.3,
}


def _quotient(M, x, y):
    """``|y - x|^2 / (2 |(1 - P_x)(y - x)|)`` row by row, with the normal part formed explicitly."""
    v = M.tangent_basis(x)
    gap = y - x
    normal = gap - (v @ (np.swapaxes(v, 1, 2) @ gap[..., None]))[..., 0]
    return (gap**2).sum(1) / (2 * np.linalg.norm(normal, axis=1))


def _longest(reach, t):
    """The largest ``|x - c|`` of a point of the chart whose tangential part is ``t``: ``g(|x -
    c|) <= t``.
    """
    return (
        brentq(
            lambda r: r * np.sqrt(1 - r * r / (4 * reach**2)) - t,
            0,
            np.sqrt(2) * reach * (1 + 1e-12),
        )
        if t
        else 0.0
    )


# ---- points and tangent spaces


@pytest.mark.parametrize("name", ALL)
def test_samples_belong(name):
    M = made(name)
    x = M.draw(2000, seed=5)
    assert (M.dim, M.ambient_dim) == SIZES[name] and x.shape == (2000, M.ambient_dim)
    assert x.min() >= 0 and x.max() <= 1
    # coordinates of size one, D of them, each made by a handful of rounded operations
    assert M.distance(x).max() <= 8 * UNIT * M.ambient_dim
    if name in EQUATIONS:
        assert np.abs(EQUATIONS[name](M, x)).max() <= 64 * UNIT
    assert np.array_equal(M.draw(50, seed=5), M.draw(50, seed=5))
    assert not np.array_equal(M.draw(50, seed=5), M.draw(50, seed=6))
    assert M.draw(0).shape == (0, M.ambient_dim)


@pytest.mark.parametrize("name", ALL)
def test_tangent_spaces(name):
    M, c, V = charted(name)
    basis = M.tangent_basis(c)
    assert np.abs(np.swapaxes(basis, 1, 2) @ basis - np.eye(M.dim)).max() <= 16 * UNIT
    P = M.tangent_projector(c)
    assert (
        np.abs(P - np.swapaxes(P, 1, 2)).max() <= 4 * UNIT and np.abs(P @ P - P).max() <= 32 * UNIT
    )
    assert np.abs(np.trace(P, axis1=1, axis2=2) - M.dim).max() <= 32 * UNIT * M.dim
    # a point of M at tangential part t is at most |x - c|^2 / (2 tau) off the tangent plane: a tilt
    # would show
    t = 1e-5 * M.reach * np.random.default_rng(0).normal(size=(4, M.dim))
    for i in range(len(c)):
        x = M.inverse_chart(c[i], V[i], t)
        assert M.distance(x).max() <= 8 * UNIT * M.ambient_dim
        gap = x - c[i]
        off = np.linalg.norm(gap - gap @ P[i], axis=1)
        assert (off <= (gap**2).sum(1) / (2 * M.reach) + 64 * UNIT).all()


@pytest.mark.parametrize("name", ALL)
def test_inverse_chart(name):
    """``V^T (x - c) = t``, on the manifold, on the near sheet, and without jumps up to 0.95 of
    the reach.
    """
    M, c, V = charted(name)
    rng = np.random.default_rng(1)
    tau = M.reach
    radii = tau * np.linspace(0, 0.95, 96)
    farthest = np.array([_longest(tau, r) for r in radii])
    # the projection shrinks lengths by at most sqrt(1 - t^2/tau^2): steps are at most those of an
    # arc of radius tau
    steps = tau * np.diff(np.arcsin(radii / tau))
    for i in range(len(c)):
        direction = rng.normal(size=M.dim)
        t = np.outer(radii, direction / np.linalg.norm(direction))
        x = M.inverse_chart(c[i], V[i], t)
        assert np.abs((x - c[i]) @ V[i] - t).max() <= 1e-12
        assert M.distance(x).max() <= 1e-11
        if name in EQUATIONS:
            assert np.abs(EQUATIONS[name](M, x)).max() <= 1e-11
        assert (np.linalg.norm(x - c[i], axis=1) <= farthest + 1e-10).all()
        assert (np.linalg.norm(np.diff(x, axis=0), axis=1) <= steps + 1e-10).all()
        shuffled = rng.permutation(len(t))
        assert np.abs(M.inverse_chart(c[i], V[i], t[shuffled]) - x[shuffled]).max() <= 1e-11


@pytest.mark.parametrize("name", ("circle", "circle17", "sphere", "rotations"))
@pytest.mark.parametrize("factor", (1.001, 1.5))
def test_no_point_beyond_the_reach(name, factor):
    M, c, V = charted(name)
    t = np.zeros((1, M.dim))
    t[0, 0] = factor * M.reach
    with pytest.raises(InputError, match="^t = "):
        M.inverse_chart(c[0], V[0], t)


@pytest.mark.parametrize(
    "name, c, v, t",
    [
        # the tube is 0.15 high
        ("torus", [0.95, 0.5, 0.5], [[0, 0], [1, 0], [0, 1]], [0.0, 0.16]),
        ("ellipsoid", [0.5, 0.5, 0.83], [[1, 0], [0, 1], [0, 0]], [0.0, 0.41]),
        ("clifford", [0.8, 0.5, 0.8, 0.5], [[0, 0], [1, 0], [0, 0], [0, 1]], [0.31, 0.0]),
    ],
)
def test_no_point_beyond_the_extent(name, c, v, t):
    with pytest.raises(InputError, match="^t = "):
        made(name).inverse_chart(np.array(c), np.array(v, float), np.array([t]))


@pytest.mark.parametrize("name", ALL)
def test_net_is_within_its_radius(name):
    M = made(name)
    for factor in (1 / 3, 1 / 6):
        points, radius = M.net(factor * M.reach)
        assert radius <= factor * M.reach * (1 + 1e-12)
        assert M.distance(points).max() <= 1e-11
        assert cKDTree(points).query(M.draw(5000, seed=9))[0].max() <= radius + 1e-12


@pytest.mark.parametrize("name", ALL)
def test_points_off_the_manifold_are_refused(name):
    M, c, V = charted(name)
    M.check(torch.from_numpy(c))
    normal = np.linalg.svd(V[0].T)[2][-1]  # orthogonal to the tangent space
    with pytest.raises(InputError, match="points of the manifold"):
        M.check(torch.from_numpy(c[:1] + 1e-6 * normal))
    with pytest.raises(InputError, match="finite"):
        M.check(torch.full((1, M.ambient_dim), float("nan"), dtype=torch.float64))


# ---- the reach


@pytest.mark.parametrize("name", ALL)
def test_federer_quotient_is_at_least_the_reach(name):
    M = made(name)
    x, y = M.draw(3000, seed=1), M.draw(3000, seed=2)
    # the normal part is then at least 1e-7 or the quotient above 5
    apart = np.linalg.norm(y - x, axis=1) > 1e-3
    assert (_quotient(M, x[apart], y[apart]) >= M.reach * (1 - 1e-8)).all()
    near = np.concatenate(
        [M.inverse_chart(c, v, 0.02 * M.reach * np.eye(M.dim)) for c, v in zip(*charted(name)[1:])]
    )
    start = np.repeat(charted(name)[1], M.dim, axis=0)
    assert (_quotient(M, start, near) >= M.reach * (1 - 1e-8)).all()
    basis = M.tangent_basis(x[:20])
    brute = np.array(
        [[_quotient(M, x[i : i + 1], y[j : j + 1])[0] for j in range(20)] for i in range(20)]
    )
    assert np.allclose(manifolds.federer_quotients(x[:20], basis, y[:20]), brute, rtol=1e-6)


@pytest.mark.parametrize(
    "name, x, y",
    [
        ("circle", [0.4, 0], [0.4 * np.cos(2), 0.4 * np.sin(2)]),
        ("circle17", [0.4, 0], [0.4 * np.cos(2), 0.4 * np.sin(2)]),
        # the vertex: b^2 / a
        ("ellipse", [0.45, 0], [0.45 * np.cos(0.05), 0.3 * np.sin(0.05)]),
        ("sphere", [0.5, 0, 0], [0, 0.3, 0.4]),
        # min^2 / max
        ("ellipsoid", [0.45, 0, 0], [0.45 * np.cos(0.05), 0, 0.33 * np.sin(0.05)]),
        # across the tube
        ("torus", [0.45, 0, 0], [0.15, 0, 0]),
        ("rotations", np.eye(3) / 2, np.diag([1.0, -1, -1]) / 2),
    ],
)
def test_reach_is_attained(name, x, y):
    M = made(name)
    x, y = (np.asarray(p, float).reshape(1, -1) for p in (x, y))
    if name.startswith(("circle", "ellipse")) and name != "ellipsoid":
        x, y = x @ M.frame.T, y @ M.frame.T
    x, y = x + 0.5, y + 0.5
    assert max(M.distance(x)[0], M.distance(y)[0]) <= 1e-12
    assert M.reach * (1 - 1e-9) <= _quotient(M, x, y)[0] <= 1.01 * M.reach


def _quartic_curvature():
    """The smallest radius of curvature of ``x^4 + y^4 = 0.03``, in polar coordinates."""
    a = np.linspace(0, pi / 2, 20001)[1:-1]
    x, y = 0.03**0.25 * np.cos(a) ** 0.5, 0.03**0.25 * np.sin(a) ** 0.5
    # of F = x^4 + y^4: (F_x^2 + F_y^2)^(3/2) / (F_xx F_y^2 + F_yy F_x^2)
    return ((16 * (x**6 + y**6)) ** 1.5 / (12 * 16 * (x**2 * y**6 + y**2 * x**6))).min()


def _around(*spheres):
    """One formula for several spheres (or circles), given by centre and radius."""
    return "*".join(
        "(" + "+".join(f"(x{i + 1}-{c})**2" for i, c in enumerate(middle)) + f"-{r}**2)"
        for middle, r in spheres
    )


LEMNISCATE = "((x1-0.5)**2+(x2-0.5)**2)**2-0.16*((x1-0.5)**2-(x2-0.5)**2)"


def _cassini(opening, count=4000):
    """By brute force: half the waist of an opened lemniscate and the smallest radius of
    curvature at points of it.
    """
    angle = np.linspace(0, pi, count)
    # in polar coordinates r^4 - 0.16 r^2 cos 2a = opening
    square = 0.08 * np.cos(2 * angle) + np.sqrt((0.08 * np.cos(2 * angle)) ** 2 + opening)
    x = np.sqrt(square) * np.cos(angle)
    y = np.sqrt(square) * np.sin(angle)
    fx, fy = 4 * square * x - 0.32 * x, 4 * square * y + 0.32 * y
    fxx = 4 * square + 8 * x**2 - 0.32
    fyy = 4 * square + 8 * y**2 + 0.32
    fxy = 8 * x * y
    bend = np.abs(fxx * fy**2 - 2 * fxy * fx * fy + fyy * fx**2) / (fx**2 + fy**2) ** 1.5
    return min(1 / bend.max(), np.sqrt(np.sqrt(0.08**2 + opening) - 0.08))


REACHES = {  # formulas, D, the reach
    "parallel": (["(x1-1/2)**2+(x2-1/2)**2+(x3-1/2)**2-0.16", "x3-0.6"], 3, 0.15**0.5),
    "clifford": (["(x1-1/2)**2+(x2-1/2)**2-0.09", "(x3-1/2)**2+(x4-1/2)**2-0.09"], 4, 0.3),
    "quartic": ("(x1-1/2)**4+(x2-1/2)**4-0.03", 2, _quartic_curvature()),
    "ellipse": ("((x1-1/2)/0.4)**2+((x2-1/2)/0.1)**2-1", 2, 0.025),
    "thin ellipse": ("((x1-1/2)/0.45)**2+((x2-1/2)/0.02)**2-1", 2, 0.02**2 / 0.45),
    "ellipsoid": ("((x1-1/2)/0.45)**2+((x2-1/2)/0.4)**2+((x3-1/2)/0.33)**2-1", 3, 0.33**2 / 0.45),
    "two circles": (_around(((0.28, 0.5), 0.2), ((0.7, 0.5), 0.2)), 2, 0.01),
    "two unequal circles": (
        _around(((0.28, 0.4), 0.2), ((0.7, 0.6), 0.1)),
        2,
        (np.hypot(0.42, 0.2) - 0.3) / 2,
    ),
    "a small circle": (_around(((0.3, 0.5), 0.25), ((0.8, 0.5), 0.05)), 2, 0.05),
    "concentric circles": (_around(((0.5, 0.5), 0.2), ((0.5, 0.5), 0.3)), 2, 0.05),
    "three circles": (
        _around(((0.25, 0.25), 0.15), ((0.7, 0.3), 0.2), ((0.5, 0.75), 0.2)),
        2,
        min(np.hypot(0.45, 0.05) - 0.35, np.hypot(0.25, 0.5) - 0.35, np.hypot(0.2, 0.45) - 0.4) / 2,
    ),
    "two spheres": (_around(((0.28, 0.5, 0.5), 0.2), ((0.7, 0.5, 0.5), 0.2)), 3, 0.01),
    "two unequal spheres": (_around(((0.3, 0.5, 0.5), 0.25), ((0.75, 0.5, 0.5), 0.15)), 3, 0.025),
    "concentric spheres": (_around(((0.5, 0.5, 0.5), 0.2), ((0.5, 0.5, 0.5), 0.35)), 3, 0.075),
    "torus": (
        "((x1-1/2)**2+(x2-1/2)**2+(x3-1/2)**2+0.0675)**2-0.36*((x1-1/2)**2+(x2-1/2)**2)",
        3,
        0.15,
    ),
    "opened lemniscate": (LEMNISCATE + "-1e-3", 2, _cassini(1e-3)),
    "nearly closed lemniscate": (LEMNISCATE + "-1e-6", 2, _cassini(1e-6)),
    "two nearly double circles": (
        "((x1-1/2)**2+(x2-1/2)**2-0.1)**2-1e-5",
        2,
        (np.sqrt(0.1 + 1e-5**0.5) - np.sqrt(0.1 - 1e-5**0.5)) / 2,
    ),
    "peanut": (
        "((x1-1/2)**2+(x2-1/2)**2+(x3-1/2)**2+0.0625)**2-0.25*(x1-1/2)**2-0.29**4",
        3,
        np.sqrt(0.29**2 - 0.25**2),
    ),
}


@pytest.mark.parametrize("what", REACHES)
def test_reach_of_a_level_set(what):
    """Never above the truth, and at least 0.84 of it (0.89 for curves); the upper bound is above
    and close.
    """
    formulas, D, exact = REACHES[what]
    M = LevelSet(formulas, D)
    least = 0.89 if M.dim == 1 else 0.84
    assert (
        least * exact <= M.reach <= exact * (1 + 1e-9)
        and exact * (1 - 1e-6) <= M.reach_above <= 1.02 * exact
    )
    assert "bound" in M.reach_source


def test_reach_of_a_threedimensional_level_set():
    M = LevelSet("(x1-1/2)**2+(x2-1/2)**2+(x3-1/2)**2+(x4-1/2)**2-0.16", 4)
    assert 0.79 * 0.4 <= M.reach <= 0.4 and 0.4 * (1 - 1e-6) <= M.reach_above <= 0.41


@pytest.mark.parametrize(
    "formulas, D, place",
    [
        (LEMNISCATE, 2, (0.5, 0.5)),
        (_around(((0.4, 0.5), 0.25), ((0.6, 0.5), 0.25)), 2, (0.5, None)),
        (_around(((0.3, 0.5), 0.2), ((0.7, 0.5), 0.2)), 2, (0.5, 0.5)),  # they touch
        (
            "((x1-0.5)**2+(x2-0.5)**2+(x3-0.5)**2)**2-0.16*((x1-0.5)**2-(x2-0.5)**2-(x3-0.5)**2)",
            3,
            (0.5, 0.5, 0.5),
        ),
        ("(x1-0.5)**2+(x2-0.5)**2-(x3-0.5)**2", 3, (0.5, 0.5, 0.5)),
        (_around(((0.4, 0.5, 0.5), 0.25), ((0.6, 0.5, 0.5), 0.25)), 3, (0.5, None, None)),
        ("((x1-0.5)**2+(x2-0.5)**2-0.1)**2", 2, (None, None)),
        ("((x1-0.5)**2+(x2-0.5)**2+(x3-0.5)**2-0.1)**2", 3, (None, None, None)),
        ("(x1-0.5)**2+(x2-0.5)**2", 2, (0.5, 0.5)),
        ("(x1-0.4)**2+(x2-0.3)**2+(x3-0.6)**2", 3, (0.4, 0.3, 0.6)),
        (["(x1-0.5)**2+(x2-0.5)**2+(x3-0.5)**2-0.16", "x3-0.9"], 3, (0.5, 0.5, 0.9)),
        (
            ["(x1-0.5)**2+(x2-0.5)**2+(x3-0.5)**2-0.16", "(x1-0.6)**2+(x2-0.5)**2-0.09"],
            3,
            (0.9, 0.5, 0.5),
        ),
    ],
)
def test_singular_points_are_named(formulas, D, place):
    """At once (seconds, on a busy machine too), and whatever reach is claimed."""
    for reach in (None, 0.01):
        start = time.process_time()
        with pytest.raises(InputError, match="^formulas = .*at about") as caught:
            LevelSet(formulas, D, reach=reach)
        assert time.process_time() - start < 5
        found = [float(t) for t in re.findall(r"about \((.*)\)", str(caught.value))[0].split(", ")]
        assert all(b is None or abs(a - b) < 1e-3 for a, b in zip(found, place))


def test_too_small_a_reach_is_not_called_singular():
    with pytest.raises(InputError, match="^formulas = .*reach is at least 0.0001") as caught:
        LevelSet("((x1-0.5)**2+(x2-0.5)**2-0.1)**2-1e-9", 2)
    assert "vanishes" not in str(caught.value)


@pytest.mark.parametrize(
    "cosine, sine, exact",
    [
        ([[0.45, 0]], [[0, 0.3]], 0.2),
        ([[0.4, 0]], [[0, 0.4]], 0.4),
        # twice around a torus: x(t) and x(t + pi) are opposite each other on its tube, of radius
        # 0.1
        (
            [[0.05, 0, 0], [0.3, 0, 0], [0.05, 0, 0]],
            [[0, 0.05, 0.1], [0, 0.3, 0], [0, 0.05, 0]],
            0.1,
        ),
    ],
)
def test_reach_enclosure(cosine, sine, exact):
    M = FourierCurve(cosine, sine, np.full(len(cosine[0]), 0.5), np.eye(len(cosine[0])))
    below, above = manifolds.reach_enclosure(M)
    assert M.reach == below <= exact * (1 + 1e-12) and exact * (1 - 1e-9) <= above
    # a point of the curve is within 2 pi/3000 / 2 times the speed of the grid: four times that,
    # relatively
    assert (
        above - below
        <= 4 * np.linalg.norm(M.local(np.linspace(0, 7, 200), 1), axis=1).max() * pi / 3000
    )
    t = np.linspace(0, 2 * pi, 301)[:-1]
    x = M.points(t)
    i, j = np.nonzero(~np.eye(300, dtype=bool))
    assert _quotient(M, x[i], x[j]).min() >= exact * (1 - 1e-9)


@pytest.mark.parametrize("name", ("trefoil", "picture", "digit"))
def test_computed_reach_is_close_to_a_pair(name):
    M = made(name)
    x = M.points(np.linspace(0, 2 * pi, 601)[:-1])
    v = M.tangent_basis(x)[:, :, 0]
    square = ((x[:, None] - x[None]) ** 2).sum(2)
    along = v @ x.T - (v * x).sum(1, keepdims=True)
    far = square > 1e-4
    found = (square[far] / (2 * np.sqrt(square[far] - along[far] ** 2))).min()
    assert M.reach <= M.reach_above <= 1.05 * M.reach
    assert M.reach * (1 - 1e-9) <= found <= 1.05 * M.reach_above


@pytest.mark.parametrize("name", ALL)
def test_tangent_spaces_turn_slowly(name):
    """``sin(theta/2) <= |x - c| / (2 tau)``; angles by scipy, good to about 1e-8."""
    M = made(name)
    x, y = M.draw(60, seed=11), M.draw(60, seed=12)
    y[::2] = np.concatenate(
        [
            M.inverse_chart(c, v, np.full((1, M.dim), 0.3 * M.reach))
            for c, v in zip(x[::2], M.tangent_basis(x[::2]))
        ]
    )
    chord = np.linalg.norm(x - y, axis=1)
    for a, b, length in zip(M.tangent_basis(x), M.tangent_basis(y), chord):
        assert np.sin(subspace_angles(a, b).max() / 2) <= length / (2 * M.reach) + 1e-7


# ---- lengths and volumes


@pytest.mark.parametrize("name", (*CURVES, "sphere", "rotations"))
def test_geodesic_is_a_distance(name):
    M = made(name)
    tau = made(name).reach
    x, y, z = (M.draw(500, seed) for seed in (1, 2, 3))
    slack = 1e-6 * M.volume if name in CURVES else 1e-14
    xy = M.geodesic(x, y)
    chord = np.linalg.norm(x - y, axis=1)
    assert (xy >= chord - slack).all() and (M.geodesic(x, x) <= slack).all()
    short = chord <= 2 * tau
    assert (xy[short] <= 2 * tau * np.arcsin(np.minimum(chord[short] / (2 * tau), 1)) + slack).all()
    assert np.abs(xy - M.geodesic(y, x)).max() <= slack
    assert (M.geodesic(x, z) <= xy + M.geodesic(y, z) + 2 * slack).all()


@pytest.mark.parametrize(
    "name, curve, speed",
    [
        ("circle17", lambda t: [0.4 * np.cos(t), 0.4 * np.sin(t)], lambda t: 0.4),
        (
            "ellipse",
            lambda t: [0.45 * np.cos(t), 0.3 * np.sin(t)],
            lambda t: np.hypot(0.45 * np.sin(t), 0.3 * np.cos(t)),
        ),
        (
            "trefoil8",
            lambda t: (
                0.15
                * np.array(
                    [np.sin(t) + 2 * np.sin(2 * t), np.cos(t) - 2 * np.cos(2 * t), -np.sin(3 * t)]
                )
            ),
            lambda t: 0.15 * np.sqrt(17 + 8 * np.cos(3 * t) + 9 * np.cos(3 * t) ** 2),
        ),
    ],
)
def test_length_of_a_curve(name, curve, speed):
    M = made(name)
    s, t = np.sort(np.random.default_rng(0).uniform(0, 2 * pi, (2, 40)), axis=0)
    x, y = (0.5 + np.transpose(curve(p)) @ M.frame.T for p in (s, t))
    assert np.abs(M.points(s) - x).max() <= 16 * UNIT
    whole = quad(speed, 0, 2 * pi, epsabs=1e-12)[0]
    along = np.array([quad(speed, a, b, epsabs=1e-12)[0] for a, b in zip(s, t)])
    assert abs(M.volume - whole) <= 1e-12 * whole
    assert np.abs(M.geodesic(x, y) - np.minimum(along, whole - along)).max() <= 1e-6 * whole


def test_closed_forms_of_lengths():
    M = made("sphere")
    x, y = M.draw(300, 1), M.draw(300, 2)
    cosine = ((x - 0.5) * (y - 0.5)).sum(1) / 0.25
    assert np.abs(np.cos(M.geodesic(x, y) / 0.5) - cosine).max() <= 1e-14
    M = made("rotations")
    x, y = M.draw(300, 1), M.draw(300, 2)
    A, B = ((p.reshape(-1, 3, 3) - 0.5) / 0.5 for p in (x, y))
    # 1 + 2 cos of the angle; a rotation turns at speed sqrt(2) s
    trace = np.einsum("pij,pij->p", A, B)
    assert np.abs(1 + 2 * np.cos(M.geodesic(x, y) * np.sqrt(2)) - trace).max() <= 1e-13
    assert made("torus").geodesic(x[:, :3], y[:, :3]) is None


def test_volumes():
    assert abs(made("circle").volume - 0.8 * pi) <= 1e-12
    assert abs(made("ellipse").volume - 4 * 0.45 * ellipe(1 - (0.3 / 0.45) ** 2)) <= 1e-12
    assert abs(made("sphere").volume - pi) <= 1e-12
    v = 2 * pi * (np.arange(64) + 0.5) / 64  # exact for trigonometric polynomials
    assert (
        abs(made("torus").volume - 2 * pi * (0.3 + 0.15 * np.cos(v)).sum() * 0.15 * 2 * pi / 64)
        <= 1e-12
    )
    picture = made("picture").points(np.linspace(0, 2 * pi, 20001))
    polygon = np.linalg.norm(np.diff(picture, axis=0), axis=1).sum()
    assert polygon <= made("picture").volume <= polygon * (1 + 1e-6)


@pytest.mark.parametrize("name, radius", [("sphere", 0.25), ("rotations", 0.45)])
def test_volume_by_the_share_of_a_ball(name, radius):
    """Uniform samples hit a geodesic ball in proportion; the curvature enters at radius^2, by
    the space form.
    """
    M = made(name)
    count = 40000
    x = M.draw(count, seed=8)
    centre = M.draw(1, seed=77)
    # radius of the space form: SO(3) is half a three-sphere
    sphere = 0.5 if name == "sphere" else np.sqrt(2)
    share = (
        quad(
            lambda r: 2 * (M.dim - 1) * pi * (sphere * np.sin(r / sphere)) ** (M.dim - 1), 0, radius
        )[0]
        / M.volume
    )
    found = (np.linalg.norm(x - centre, axis=1) < 2 * sphere * np.sin(radius / (2 * sphere))).mean()
    assert abs(found - share) <= 4 * np.sqrt(share / count)


@pytest.mark.parametrize("make", (manifolds.circle, manifolds.ellipse))
def test_curves_do_not_see_the_ambient_dimension(make):
    t = np.random.default_rng(0).uniform(0, 2 * pi, 100)
    shapes = []
    for D in (2, 5, 64):
        M = make(ambient_dim=D)
        assert np.abs(M.frame.T @ M.frame - np.eye(2)).max() <= 16 * UNIT
        x = M.points(t)
        shapes.append(np.linalg.norm(x[:, None] - x[None], axis=2))
    assert max(np.abs(s - shapes[0]).max() for s in shapes) <= 64 * UNIT
    U = manifolds.isometry(9, 4, 3)
    assert np.abs(U.T @ U - np.eye(4)).max() <= 16 * UNIT and np.array_equal(
        U, manifolds.isometry(9, 4, 3)
    )


# ---- pictures


def _blurred(image, blur):
    """The sum of Gaussians at the centres of the pixels, which is a product of two matrices."""
    rows, columns = (
        np.exp(-(np.subtract.outer(np.arange(n), np.arange(n)) ** 2) / (2 * blur**2))
        for n in image.shape
    )
    return rows @ image @ columns


@pytest.mark.parametrize("blur", (0.7, 1.0, 1.6))
def test_rotated_picture(blur):
    image = np.random.default_rng(2).random((7, 7))
    still = _blurred(image, blur)
    angles = np.array([0, pi / 2, pi, -pi / 2, 2 * pi])
    for k, found in zip((0, 1, 2, 3, 4), manifolds.rotated(image, angles, blur)):
        assert np.abs(found.reshape(7, 7) - np.rot90(still, k)).max() <= 1e-13 * still.max()
    wide = np.random.default_rng(3).random((4, 7))
    assert (
        np.abs(
            manifolds.rotated(wide, [pi], blur).reshape(4, 7) - np.rot90(_blurred(wide, blur), 2)
        ).max()
        <= 1e-12
    )
    a = np.array([0.3, 1.1])
    assert (
        np.abs(manifolds.rotated(image, a, blur) - manifolds.rotated(image, a + 2 * pi, blur)).max()
        <= 1e-12 * still.max()
    )


def test_one_bright_pixel_goes_round_counterclockwise():
    image = np.zeros((9, 9))
    image[4, 7] = 1  # three to the right of the centre
    for angle in (0.0, 0.4, 2.0, 4.5):
        found = manifolds.rotated(image, [angle], 1.0).reshape(9, 9)
        rows, columns = np.indices((9, 9))
        exact = np.exp(
            -((columns - 4 - 3 * np.cos(angle)) ** 2 + (4 - rows - 3 * np.sin(angle)) ** 2) / 2
        )
        assert np.abs(found - exact).max() <= 1e-14


@pytest.mark.parametrize(
    "name, image", [("picture", PICTURE), ("digit", load_digits().images[3] / 16)]
)
def test_image_manifold_is_the_rotated_picture(name, image):
    """An affine function of the grey values, the same for all angles; and so is its derivative."""
    M = made(name)
    t = np.random.default_rng(4).uniform(0, 2 * pi, 25)
    turned = manifolds.rotated(image, t)
    points = M.points(t)
    slope, offset = np.polyfit(turned.ravel(), points.ravel(), 1)
    assert slope > 0 and np.abs(slope * turned + offset - points).max() <= 1e-11
    many = M.points(np.linspace(0, 2 * pi, 4000))
    assert 0.02 - 1e-3 <= many.min() <= 0.021 and 0.979 <= many.max() <= 0.98 + 1e-3
    # central differences of fourth order: h^4 / 30 times a fifth derivative, about 20^5 at most
    h = 1e-3
    stencil = sum(
        w * manifolds.rotated(image, t + k * h) for k, w in ((-2, 1), (-1, -8), (1, 8), (2, -1))
    ) / (12 * h)
    assert np.abs(slope * stencil - M.local(t, 1) @ M.frame.T).max() <= 1e-7
    assert (
        np.abs(
            M.tangent_basis(points)[:, :, 0] * np.linalg.norm(M.local(t, 1), axis=1)[:, None]
            - M.local(t, 1) @ M.frame.T
        ).max()
        <= 1e-9
    )


# ---- atlases


@pytest.mark.parametrize("name", CHARTED)
def test_atlas_covers(name):
    A = atlas(name)
    M = made(name)
    x = M.draw(5000, seed=21)
    nearest = cKDTree(A.centres).query(x)[0]
    assert (
        nearest.max()
        <= A.cover_radius
        <= (0.85 if name == "rotations" else 0.5) * M.reach * (1 + 1e-12)
    )
    assert cKDTree(A.net).query(x)[0].max() <= A.net_radius + 1e-12
    assert M.distance(A.centres).max() <= 1e-11 and len(A) == len(A.centres) > 1
    gaps = np.linalg.norm(A.centres[:, None] - A.centres[None], axis=2) + 9 * np.eye(len(A))
    assert abs(A.separation - gaps.min()) <= 4 * UNIT
    assert (A.dim, A.ambient_dim) == SIZES[name] and f"{len(A)} charts" in repr(A)


@pytest.mark.parametrize("name", [name for name in CHARTED if name != "rotations"])
def test_partition_of_unity(name):
    """It adds up to one, vanishes outside the balls, is no steeper than ``Lambda``."""
    A = atlas(name)
    M = made(name)
    x = M.draw(800, seed=22)
    distance = np.linalg.norm(x[:, None] - A.centres[None], axis=2)
    points = torch.from_numpy(x).requires_grad_(True)
    basis = np.swapaxes(M.tangent_basis(x), 1, 2)
    total, steep, partial = np.zeros((3, len(x)))
    w = np.maximum(A.chart_radius**2 - distance**2, 0) / (A.chart_radius**2 - A.inner)
    for i in range(len(A)):
        value = A.partition_function(i)(points)
        (gradient,) = torch.autograd.grad(value.sum(), points)
        steep += np.linalg.norm(basis @ gradient.numpy()[..., None], axis=1)[:, 0]
        rho = value.detach().numpy()
        assert rho.min() >= 0 and not rho[distance[:, i] >= A.chart_radius * (1 + 1e-9)].any()
        total += rho
        partial += w[:, i]
        # the squares of the network are larger than distances
        assert (total <= np.minimum(partial, 1) + 1e-9).all()
    assert np.abs(total - 1).max() <= 1e-9
    assert 0.2 * A.lipschitz <= steep.max() <= A.lipschitz
    assert (distance < A.chart_radius).sum(1).max() <= A.overlap <= len(A)


@pytest.mark.parametrize("name", [name for name in CHARTED if name != "rotations"])
def test_charts_do_not_fold(name):
    """Within ``|t| < tau sqrt(1 - theta^2)`` lengths shrink by at most theta = 1/10."""
    A = atlas(name)
    assert 0.1 * (1 - 1e-9) <= A.distortion <= 1


@pytest.mark.parametrize("factor", (1.1, 1.2, 1.4, 2.0))
@pytest.mark.parametrize("what", ("ellipse", "ellipsoid", "torus", "two circles"))
def test_too_large_a_reach_is_noticed(what, factor):
    formulas, D, exact = REACHES[what]
    M = LevelSet(formulas, D, reach=factor * exact)
    with pytest.raises(InputError, match="^reach = .*must be (smaller|at most)"):
        Atlas(M, 0.6 * M.reach, 0.9 * M.reach).distortion  # noqa: B018  (a property that raises)


@pytest.mark.parametrize("what", ("ellipse", "ellipsoid", "two circles"))
def test_the_true_reach_is_accepted(what):
    formulas, D, exact = REACHES[what]
    M = LevelSet(formulas, D, reach=exact)
    assert Atlas(M, 0.6 * exact, 0.9 * exact).distortion >= 0.1


def test_a_fold_is_noticed_by_pairs_alone(monkeypatch):
    """Without Federer's inequality the bound of ``lem-chart`` still refuses 0.035 where the
    reach is 0.025.
    """
    monkeypatch.setattr(Atlas, "_obey_federer", lambda *_: None)
    M = LevelSet(REACHES["ellipse"][0], 2, reach=0.035)
    with pytest.raises(InputError, match="^reach = .*too steep"):
        Atlas(M, 0.6 * M.reach, 0.9 * M.reach).distortion  # noqa: B018


@pytest.mark.parametrize("name", CHARTED)
def test_chart_coordinates(name):
    A = atlas(name)
    rng = np.random.default_rng(6)
    y = rng.normal(size=(20, A.dim))
    y *= 0.49 * rng.random((20, 1)) / np.linalg.norm(y, axis=1, keepdims=True)
    for i in (0, len(A) // 2, len(A) - 1):
        x = A.inverse(i, y)
        assert np.abs((x - A.centres[i]) @ A.frames[i] / (2 * A.chart_radius) - y).max() <= 1e-11
        matrix, offset = A.mesh(i, 24)
        assert np.abs(x @ matrix.T + offset - 24 * (y + 1 / 2)).max() <= 1e-9
        near = A.manifold.draw(3000, seed=4)
        near = near[np.linalg.norm(near - A.centres[i], axis=1) < A.chart_radius]
        # y in the ball
        assert (np.linalg.norm((near - A.centres[i]) @ A.frames[i], axis=1) < A.chart_radius).all()


@pytest.mark.parametrize("m", (2, 3, 4, 5))
def test_smallest_mesh_by_search(m):
    assert manifolds.inset(m) == INSET[m]
    rng = np.random.default_rng(m)
    for _ in range(50):
        tau = rng.uniform(0.01, 1)
        d = int(rng.integers(1, 4))
        bump = tau * rng.uniform(0.2, 0.97)
        N = m
        while bump * (1 + 2 * d**0.5 * (m - INSET[m] // 1) / N) > 0.99 * tau:
            N += 1
        assert manifolds.smallest_mesh(tau, bump, d, m) == N


def test_farthest_points():
    x = np.random.default_rng(0).random((800, 3))
    chosen, radii = manifolds.farthest_points(x, 0.2)
    apart = np.linalg.norm(x[:, None] - x[chosen][None], axis=2)
    brute = np.minimum.accumulate(apart, axis=1).max(0)
    assert np.abs(radii - brute).max() <= 1e-12 and (np.diff(radii) <= 1e-15).all()
    assert radii[-1] <= 0.2 < radii[-2] and len(set(chosen.tolist())) == len(chosen)
    gaps = np.linalg.norm(x[chosen][:, None] - x[chosen][None], axis=2)[
        np.triu_indices(len(chosen), 1)
    ]
    assert gaps.min() > 0.2  # a packing too
    short, few = manifolds.farthest_points(x, 0.2, limit=5)
    assert np.array_equal(short, chosen[:5]) and np.array_equal(few, radii[:5])


def test_projected_radius():
    """On a sphere of radius tau the projection of a point at distance t has exactly this length."""
    t = np.linspace(0, 0.7, 50)
    angle = 2 * np.arcsin(t / (2 * 0.5))
    assert np.abs(manifolds.projected_radius(t, 0.5) - 0.5 * np.sin(angle)).max() <= 1e-15


@pytest.mark.parametrize("name", ("circle", "ellipse"))
def test_chosen_atlas_has_the_best_score(name):
    M = made(name)
    wave = lib.Target.from_sympy("sin(6*x1)*exp(x2)")
    best = manifolds.choose_atlas(M, wave, 3, 16)
    assert best.smallest_mesh(3) <= 16
    rivals = [Atlas(M, c * r * M.reach, r * M.reach) for r in (0.3, 0.6) for c in (0.5, 0.8)]
    scores = [manifolds.score(a, wave, 3, 16) for a in rivals if a.smallest_mesh(3) <= 16]
    assert len(scores) == 4 and max(scores) > 1.3 * min(scores)
    assert manifolds.score(best, wave, 3, 16) <= min(scores) * (1 + 1e-9)
    least = min(
        manifolds.smallest_mesh(M.reach, r * M.reach, 1, 4) for r in manifolds._choose.RADII
    )
    assert manifolds.choose_atlas(M, wave, 4, least).smallest_mesh(4) <= least
    with pytest.raises(InputError, match=f"^cells = {least - 1}: must be at least {least}"):
        manifolds.choose_atlas(M, wave, 4, least - 1)


def test_score_is_the_slope_bound_at_equally_many_terms():
    """Of splines, with the norms that a target without a formula has; those of three charts are
    not more than those of all.
    """
    M = made("circle")
    A = Atlas(M, 0.3 * M.reach, 0.45 * M.reach)
    f = lib.Target(lambda x: torch.sin(6 * x[:, 0]) * torch.exp(x[:, 1]), dim=2)
    for m, N in ((2, 24), (3, 40)):
        problem = A.problem(f, m, N)
        bound = problem.spline_error(N).slope * problem.count_terms(N) ** (m - 1)
        everywhere = manifolds.score(A, f, m, N, charts=len(A))
        assert manifolds.score(A, f, m, N) <= everywhere
        assert 0.99 <= everywhere / bound <= 1.2


# ---- derivatives on grids


@pytest.mark.parametrize("alpha", (2, 3, 4))
def test_differences_of_polynomials_are_exact(alpha):
    axis = np.linspace(0, 1, 65)
    step = 1 / 64
    x, y = np.meshgrid(axis, axis, indexing="ij")
    values = 0.7 * x**alpha - 1.3 * x ** (alpha - 1) * y + 0.2 * x * y ** (alpha - 1) + x * y
    found = manifolds.differences(values, step, alpha)
    factorial = float(np.prod(range(1, alpha)))
    exact = {
        (alpha, 0): 0.7 * factorial * alpha,
        (0, alpha): 0.0,
        (alpha - 1, 1): 1.3 * factorial,
        (1, alpha - 1): 0.2 * factorial,
    }
    if alpha == 2:
        exact[1, 1] = 0.1  # -1.3 + 0.2 + 1
    assert set(found) == set(exact)
    for nu, array in found.items():  # rounding: 2^alpha UNIT / step^alpha
        inner = array[: 65 - nu[0], : 65 - nu[1]]
        assert np.abs(inner - exact[nu]).max() <= 4 * 2**alpha * UNIT / step**alpha
        assert (
            array.shape == values.shape
            and not array[65 - nu[0] :].any()
            and not array[:, 65 - nu[1] :].any()
        )


# ---- bad input

F = FourierCurve
I2 = np.eye(2)
C2 = [0.5, 0.5]
NAN = float("nan")
FLAG = np.zeros((7, 7))  # looks the same when turned by pi
FLAG[1, 1:5] = FLAG[5, 2:6] = FLAG[2, 1] = FLAG[4, 5] = FLAG[3, 3] = 1
DOT = np.zeros((5, 5))
DOT[2, 2] = 1
ROUND = "(x1-1/2)**2+(x2-1/2)**2"

REFUSED = {  # what is wrong: the call, how the message begins
    "circle leaves": (lambda: manifolds.circle(0.6), "manifold = "),
    "ellipse leaves": (lambda: manifolds.ellipse(0.51, 0.3), "manifold = "),
    "trefoil leaves": (lambda: manifolds.trefoil(0.3), "manifold = "),
    "curve leaves": (lambda: F([[0.6, 0]], [[0, 0.3]], C2, I2), "manifold = "),
    "sphere leaves": (lambda: manifolds.Sphere(0.51), "manifold = "),
    "ellipsoid leaves": (lambda: manifolds.ellipsoid((0.3, 0.6, 0.3)), "manifold = "),
    "torus leaves": (lambda: manifolds.torus(0.4, 0.15), "manifold = "),
    "peanut leaves": (lambda: manifolds.peanut(0.35, 0.4), "manifold = "),
    "rotations leave": (lambda: manifolds.RotationGroup(0.51), "manifold = "),
    "level set leaves": (lambda: LevelSet("x1-0.5", 2), "manifold = "),
    "negative radius": (lambda: manifolds.circle(-0.1), ""),
    "negative radius of a sphere": (lambda: manifolds.Sphere(-0.1), "radius = -0.1"),
    "radius that is no number": (lambda: manifolds.circle("a"), ""),
    "scale nan": (lambda: manifolds.RotationGroup(NAN), "scale = nan"),
    "zero tube": (lambda: manifolds.torus(0.3, 0), "small = 0"),
    "tube as large": (lambda: manifolds.torus(0.1, 0.15), "large = 0.1"),
    "two pieces": (lambda: manifolds.peanut(0.25, 0.2), "b = 0.2"),
    "two axes": (lambda: manifolds.ellipsoid((0.3, 0.3)), "semi_axes = "),
    "axes in the wrong order": (lambda: manifolds.ellipse(0.2, 0.3), "a = 0.2"),
    "circle on a line": (lambda: manifolds.circle(0.4, 1), "ambient_dim = 1"),
    "trefoil in the plane": (lambda: manifolds.trefoil(0.1, 2), "ambient_dim = 2"),
    "half a dimension": (lambda: manifolds.circle(0.4, 2.5), "ambient_dim = 2.5"),
    "frame that stretches": (lambda: F([[0.2, 0]], [[0, 0.2]], C2, 2 * I2), "frame = "),
    "frame that is oblique": (
        lambda: F([[0.2, 0]], [[0, 0.2]], C2, [[1, 0.6], [0, 0.8]]),
        "frame = ",
    ),
    "frame of one column": (lambda: F([[0.2, 0]], [[0, 0.2]], C2, [[1.0], [0.0]]), ""),
    "frame that is a vector": (lambda: F([[0.2, 0]], [[0, 0.2]], C2, [1.0, 0.0]), "frame = "),
    "cosine of another width": (lambda: F([[0.2, 0, 0]], [[0, 0.2, 0]], C2, I2), ""),
    "sine of another length": (lambda: F([[0.2, 0]], [[0, 0.2], [0, 0]], C2, I2), ""),
    "centre of another dimension": (lambda: F([[0.2, 0]], [[0, 0.2]], [0.5] * 3, I2), ""),
    "coefficient nan": (lambda: F([[NAN, 0]], [[0, 0.2]], C2, I2), "cosine = "),
    "curve that stops": (lambda: F([[0.2, 0]], [[0, 0]], C2, I2), "cosine = "),
    "curve that goes round twice": (lambda: F([[0, 0], [0.3, 0]], [[0, 0], [0, 0.3]], C2, I2), ""),
    "curve that crosses itself": (lambda: F([[0, 0], [0, 0]], [[0.3, 0], [0, 0.2]], C2, I2), ""),
    "negative reach": (lambda: F([[0.3, 0]], [[0, 0.3]], C2, I2, reach=-1.0), "reach = -1.0"),
    "level set without zeros": (lambda: LevelSet("x1+x2+1", 2), "formulas = "),
    "level set in five dimensions": (lambda: LevelSet("x1-0.5", 5), "ambient_dim = 5"),
    "level set of dimension zero": (lambda: LevelSet(["x1-0.5", "x2-0.5"], 2), "formulas = "),
    "no formula": (lambda: LevelSet([], 2), "formulas = "),
    "formula that is a number": (lambda: LevelSet(3, 2), "formula"),
    "unknown variable": (lambda: LevelSet("x4-0.5", 3), "formula = "),
    "infinite derivative": (lambda: LevelSet("sqrt(x1)-x2", 2), "formulas = "),
    "degenerate on the whole curve": (lambda: LevelSet(f"({ROUND}-0.09)**2", 2), "formulas = "),
    "a single point": (lambda: LevelSet(ROUND, 2), "formulas = "),
    "reach zero": (lambda: LevelSet(f"{ROUND}-0.09", 2, reach=0), "reach = 0"),
    "black picture": (lambda: manifolds.image_rotations(np.zeros((5, 5))), "image = "),
    "one dot in the middle": (lambda: manifolds.image_rotations(DOT), "image = "),
    "picture with a symmetry of order two": (lambda: manifolds.image_rotations(FLAG), "image = "),
    "row of pixels": (lambda: manifolds.image_rotations(np.ones(5)), "image = "),
    "pixel nan": (lambda: manifolds.image_rotations(np.full((5, 5), NAN)), "image = "),
    "too sharp": (lambda: manifolds.image_rotations(PICTURE, 0.5), "blur = 0.5"),
    "negative blur": (lambda: manifolds.image_rotations(PICTURE, -1), "blur = -1"),
    "net of radius zero": (lambda: made("sphere").net(0), "radius = 0"),
    "isometry into less": (lambda: manifolds.isometry(2, 3, 0), "ambient_dim = 2"),
    "order of a mesh": (lambda: manifolds.smallest_mesh(0.4, 0.3, 1, 9), "order = 9"),
    "no mesh at 0.99 reaches": (
        lambda: manifolds.smallest_mesh(0.4, 0.99 * 0.4, 1, 4),
        "chart_radius = 0.396",
    ),
    "no mesh above": (lambda: Atlas(made("circle"), 0.2, 0.399).smallest_mesh(2), "chart_radius"),
    "atlas of a number": (lambda: Atlas(3, 0.2, 0.3), "manifold = 3"),
    "charts beyond the reach": (
        lambda: Atlas(made("circle"), 0.2, 0.4 * (1 + 1e-9)),
        "chart_radius = ",
    ),
    "cover as large as the charts": (lambda: Atlas(made("circle"), 0.2, 0.2), "cover_radius = 0.2"),
    "cover nan": (lambda: Atlas(made("circle"), NAN, 0.2), "cover_radius = nan"),
    "cover finer than the net": (lambda: Atlas(made("circle"), 0.01, 0.2), "cover_radius = 0.01"),
    "centres that do not cover": (
        lambda: Atlas(made("circle"), 0.2, 0.3, made("circle").draw(2)),
        "centres = ",
    ),
    "no centres": (lambda: Atlas(made("circle"), 0.2, 0.3, np.ones((0, 2))), "centres = "),
    "centres of another dimension": (
        lambda: Atlas(made("circle"), 0.2, 0.3, np.ones((3, 3))),
        "centres = ",
    ),
    "centres off the manifold": (
        lambda: Atlas(made("circle"), 0.22, 0.3, 0.5 + 0.95 * (atlas("circle").centres - 0.5)),
        "centres = ",
    ),
    "reach far too large": (
        lambda: (
            Atlas(
                LevelSet("(x1-1/2)**2/0.16+(x2-1/2)**2/0.01-1", 2, reach=0.4), 0.2, 0.3
            ).distortion
        ),
        "reach = 0.4",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_refused(what):
    call, begin = REFUSED[what]
    with pytest.raises(InputError) as caught:
        call()
    message = str(caught.value)
    assert message.startswith(begin) and "\n" not in message and len(message) < 1000
    name, rest = message.split(" = ", 1)
    assert name.replace("_", "").isalpha() and (": must " in rest or ": the name" in rest), message


@pytest.mark.parametrize(
    "make",
    (
        lambda: manifolds.ellipsoid((0.49, 0.4, 0.4)),
        lambda: manifolds.torus(0.3, 0.19),
        lambda: LevelSet(f"{ROUND}-0.49**2", 2),
    ),
)
def test_level_sets_close_to_the_boundary_are_in_the_cube(make):
    x = make().draw(1000)
    assert 0 <= x.min() < 0.02 and x.max() <= 1


@pytest.mark.parametrize("name", ["sphere", "torus", "circle"])
def test_rounding_does_not_choose_other_centres(name):
    m = {"sphere": manifolds.Sphere, "torus": manifolds.torus, "circle": manifolds.circle}[name]()
    points = m.net(m.reach / 8)[0]
    moved = points + np.random.default_rng(0).uniform(-4e-16, 4e-16, points.shape)
    assert (
        farthest_points(points, 0.3 * m.reach)[0] == farthest_points(moved, 0.3 * m.reach)[0]
    ).all()
