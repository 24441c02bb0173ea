"""Networks on manifolds: one function in many forms, the bound of Theorem B by sampling, files and
bad input.
"""

import math
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

import lib
from helpers import listing, random_points, slopes, target
from lib import InputError, manifolds
from lib.manifolds import Atlas

INSET = {2: 1, 3: 0.5, 4: 0, 5: 0}


def wave(x):
    return torch.sin(3 * x[:, 0]) * torch.exp(x[:, 1])


def _wave(x):
    return np.sin(3 * x[:, 0]) * np.exp(x[:, 1])


MAKERS = {
    "circle": manifolds.circle,
    "circle5": lambda: manifolds.circle(0.4, 5),
    "ellipse": manifolds.ellipse,
    "trefoil": manifolds.trefoil,
    "sphere": manifolds.Sphere,
    "torus": manifolds.torus,
}


@cache
def made(name):
    return MAKERS[name]()


@cache
def atlas(name):
    """Gentle charts: r_0 = tau / 2, r_1 = 0.7 tau (fewer on surfaces)."""
    M = made(name)
    cover, bump = (0.5, 0.7) if M.dim == 1 else (0.6, 0.75)
    return Atlas(M, cover * M.reach, bump * M.reach)


@cache
def built(name, **sizes):
    return lib.approximate(wave, made(name), **sizes)


@cache
def small(name, **sizes):
    """On the atlas above instead of a chosen one."""
    return lib.approximate(wave, atlas(name), **sizes)


def _points(name, count, seed=0):
    return made(name).sample(count, seed)


# ---- one function in many forms

FORMS = [  # manifold, order, cells, kernel size, blocks
    ("circle", 4, 24, 2, None),
    ("circle", 2, 16, 3, 1),
    ("circle", 5, 32, 2, 7),
    ("circle5", 3, 24, 2, None),
    ("circle5", 4, 24, 3, 40),
    ("ellipse", 3, 24, 2, 5),
    ("sphere", 2, None, 2, None),
]


@cache
def _form(name, m, N, K, blocks):
    return small(
        name,
        order=m,
        cells=N or atlas(name).smallest_mesh(m),
        kernel_size=K,
        blocks=blocks,
        refinement=9,
    )


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_dense_and_all_rows(form):
    a = _form(*form)
    x = torch.cat([_points(form[0], 10, 4), random_points(10, a.dim, seed=6)])
    assert (a.network(x) - a.network(x, all_rows=True)).abs().max() <= 1e-12
    if a.architecture.measured.J <= 1000:
        assert (a.network(x) - a.network.dense()(x)).abs().max() <= 1e-12


@pytest.mark.parametrize("m", (2, 3))
def test_blocks_and_kernels_do_not_change_the_function(m):
    x = torch.cat([_points("circle5", 60, 1), random_points(60, 5)])
    base = small("circle5", order=m, cells=16, refinement=8)
    expected = base.network(x).detach()
    for blocks, K in ((1, 2), (3, 3), (17, 4), (40, 5)):  # within, across and between charts
        other = small("circle5", order=m, cells=16, refinement=8, blocks=blocks, kernel_size=K)
        assert len(other.network.blocks) == blocks and np.array_equal(
            other.coefficients, base.coefficients
        )
        assert (other.network(x) - expected).abs().max() <= 1e-12
        assert other.bound.spline.value == base.bound.spline.value


def test_an_infinite_bound_does_not_make_a_bad_network(monkeypatch):
    """Where enclosures fail there is nothing to choose the refinement by."""
    infinite = lib.Norms(math.inf, math.inf)
    monkeypatch.setattr(manifolds.ManifoldProblem, "spline_error", lambda self, cells: infinite)
    a = lib.approximate(target("sin(3*x1)*exp(x2)"), atlas("circle"), order=3, cells=24)
    assert a.bound.value == a.bound.slope == math.inf and a.refinement == 30
    assert a.measure(2000, module_points=50).slope < 0.02


# ---- Theorem B

CASES = [
    ("circle", 2, 24),
    ("circle", 3, 24),
    ("circle", 4, 24),
    ("circle", 5, 32),
    ("circle5", 4, 40),
    ("ellipse", 2, 16),
    ("ellipse", 3, 24),
    ("ellipse", 4, 40),
    ("trefoil", 2, 16),
    ("trefoil", 4, 24),
]
SURFACES = [("sphere", 2), ("sphere", 3), ("sphere", 4)]


def _tangential_slopes(name, error, x, h=1e-6):
    """Lengths of mean tangential gradients of ``error`` over 2 h: never above the supremum by
    more than h / tau.
    """
    M = made(name)
    found = []
    for c, V in zip(x, M.tangent_basis(x)):
        steps = np.concatenate([np.eye(M.dim), -np.eye(M.dim)]) * h
        e = error(M.inverse_chart(c, V, steps))
        found.append(np.linalg.norm(e[: M.dim] - e[M.dim :]) / (2 * h))
    return np.array(found)


def _check_bound(name, a, count):
    x = made(name).draw(count, seed=13)
    value = a.sparse(torch.from_numpy(x)).numpy()
    assert np.abs(value - _wave(x)).max() <= a.bound.value
    if a.charts[0].dim == 1:
        module = a.network(torch.from_numpy(x[:40])).detach().numpy()
        assert np.abs(module - value[:40]).max() <= 1e-11  # Lambda is large
    found = _tangential_slopes(
        name, lambda y: a.sparse(torch.from_numpy(y)).numpy() - _wave(y), x[:80]
    )
    assert found.max() <= a.bound.slope
    measured = a.measure(count, seed=2, module_points=0)
    assert measured.value <= a.bound.value and measured.slope <= a.bound.slope
    assert found.max() <= 1.5 * measured.slope  # many points against 80 of the same error
    return measured


@pytest.mark.parametrize("name, m, N", CASES)
def test_bound_holds_on_curves(name, m, N):
    a = built(name, order=m, cells=N)
    measured = _check_bound(name, a, 3000)
    assert a.alpha == m and (a.bound.dim, a.bound.reach) == (1, made(name).reach)
    # not vacuous: the statement; where errors are as small as here what rounding is allowed counts
    proved = a.bound.spline + a.bound.network
    assert proved.value <= 60 * measured.value and proved.slope <= 60 * measured.slope
    assert proved <= a.bound <= proved + lib.Norms(1e-8, 1e-8)


@pytest.mark.parametrize("name, m", SURFACES)
def test_bound_holds_on_surfaces(name, m):
    a = small(name, order=m, cells=max(12, atlas(name).smallest_mesh(m)))
    _check_bound(name, a, 1000)
    assert a.alpha == m and a.bound.dim == 2


@pytest.mark.parametrize("name, m", [("circle", 4), ("circle5", 3)])
def test_measure_is_the_error_of_the_module(name, m):
    """The same points through the module; the tangent of a circle is known."""
    a = built(name, order=m, cells=40 if m == 4 else 24, refinement=30)
    M = made(name)
    measured = a.measure(256, seed=3, module_points=64)
    x = M.sample(256, 3)
    value, gradient = slopes(a.network, x)
    y = (x.numpy() - 0.5) @ M.frame / 0.4
    tangent = np.stack([-y[:, 1], y[:, 0]], axis=1) @ M.frame.T
    exact, (x1, x2) = np.zeros((256, a.dim)), x.numpy().T[:2]
    exact[:, 0], exact[:, 1] = 3 * np.cos(3 * x1) * np.exp(x2), _wave(x.numpy())
    errors = np.abs(value.numpy() - _wave(x.numpy()))
    along = np.abs(((gradient.numpy() - exact) * tangent).sum(1))
    assert abs(errors.max() - measured.value) <= 1e-12 and abs(along.max() - measured.slope) <= 1e-8
    assert measured.module_difference <= 1e-12 and measured.module_points == 64
    at = np.array([measured.value_at])
    assert abs(abs(a.network(torch.from_numpy(at)).item() - _wave(at)[0]) - measured.value) <= 1e-12
    # differences over 2e-6 average the kinks of squares (2^-30 apart); what is left is 1e-6 times a
    # second derivative
    found = _tangential_slopes(
        name, lambda z: a.sparse(torch.from_numpy(z)).numpy() - _wave(z), x.numpy()[:100]
    )
    assert np.abs(found - along[:100]).max() <= 1e-3 * measured.slope + 1e-6


@pytest.mark.parametrize("m", (2, 3, 4, 5))
def test_orders_on_the_circle(m):
    """Fitted over N = 32, 64, 128: at least m in value and m - 1 in slope, up to 0.2; the bound
    has exactly these.
    """
    cells = (32, 64, 128)
    found = [small_order(m, N) for N in cells]
    for s, name in enumerate(("value", "slope")):
        errors = [getattr(a.measure(8192, module_points=0), name) for a in found]
        assert -np.polyfit(np.log(cells), np.log(errors), 1)[0] >= m - s - 0.2
    bounds = [a.bound.spline.value for a in found]
    # the neighbourhoods over which derivatives count shrink as well
    assert -np.polyfit(np.log(cells), np.log(bounds), 1)[0] >= m - 1e-9


@cache
def _smooth_atlas():
    return Atlas(made("circle"), 0.2, 0.28)


def small_order(m, N):
    return lib.approximate(wave, _smooth_atlas(), order=m, cells=N)


@pytest.mark.parametrize("m", (2, 4))
def test_coefficients_are_linear_and_zero_is_zero(m):
    A = atlas("circle")
    f = wave
    g = lambda x: x[:, 0] ** 2 - x[:, 1]
    parts = [
        lib.approximate(h, A, order=m, cells=32, refinement=6).coefficients
        for h in (f, g, lambda x: f(x) - 3 * g(x))
    ]
    assert np.abs(parts[0] - 3 * parts[1] - parts[2]).max() <= 1e-14
    zero = lib.approximate(lambda x: 0 * x[:, 0], A, order=m, cells=32)
    assert (
        zero.bound.value == zero.bound.slope == 0 and not zero.network(_points("circle", 50)).any()
    )


@pytest.mark.parametrize("m", (2, 3, 4))
def test_constants_are_reproduced(m):
    """A constant is a polynomial in every chart, and the partition adds up to one."""
    a = lib.approximate(
        lambda x: torch.full_like(x[:, 0], 0.7), _smooth_atlas(), order=m, cells=32, refinement=30
    )
    measured = a.measure(2048, module_points=0)
    assert a.bound.spline.value == 0 and measured <= a.bound
    assert measured.value <= 1e-11 and a.bound.value <= 1e-9


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("D", (2, 3))
def test_a_kink_is_refused(seed, D):
    """Only Lipschitz: second differences double from grid to grid, wherever the kink lies
    between grid points.
    """
    with pytest.raises(InputError, match="target = .*bounded derivatives of order 2"):
        lib.approximate(
            lambda x: (x[:, 0] - 0.5).abs(), manifolds.circle(0.4, D, seed), order=4, cells=32
        )


@pytest.mark.parametrize("at", np.linspace(0.45, 0.55, 12))
def test_a_kink_anywhere_is_refused(at):
    with pytest.raises(InputError, match="target = .*bounded derivatives of order 2"):
        lib.approximate(lambda x: (x[:, 0] - at).abs(), atlas("circle"), order=2, cells=32)


@pytest.mark.parametrize("power", (2, 3))
@pytest.mark.parametrize("seed", range(4))
def test_smoothness_of_a_rough_target(seed, power):
    """``sign(t) |t|^p`` and ``|t|^p`` with a jump in the derivative of order p: alpha is p,
    never more.
    """

    def f(x):
        t = x[:, 0] - 0.5
        return t * t.abs() if power == 2 else t.abs() ** 3

    a = lib.approximate(f, manifolds.circle(0.4, 2, seed), order=4, cells=32)
    measured = a.measure(4096, module_points=0)
    assert measured.value <= a.bound.value and measured.slope <= a.bound.slope
    assert a.alpha <= power


@pytest.mark.parametrize("seed", (0, 1, 2))
@pytest.mark.parametrize("power, N", [(1, 2048), (3, 4096)])
def test_rough_targets_are_refused_or_bounded_on_fine_meshes(power, N, seed):
    """Smoothness that is not there would show once the mesh is finer than the grid of the
    samples.
    """
    try:
        a = lib.approximate(
            lambda x: (x[:, 0] - 0.5).abs() ** power,
            manifolds.circle(0.4, 2, seed),
            order=4,
            cells=N,
        )
    except InputError:
        assert power == 1
        return
    M = a.domain
    x = np.full((4, 2), 0.5) + np.array([[0, 0.4], [0, -0.4]] * 2)  # where x1 = 1/2
    x = M.points((M.parameter(x)[:, None] + np.linspace(-4, 4, 801) / N).ravel())
    assert (
        np.abs(a.sparse(torch.from_numpy(x)).numpy() - np.abs(x[:, 0] - 0.5) ** power).max()
        <= a.bound.value
    )
    found = a.sparse.value_and_gradient(torch.from_numpy(x))[1].numpy()
    found[:, 0] -= power * np.sign(x[:, 0] - 0.5) * np.abs(x[:, 0] - 0.5) ** (power - 1)
    y = (x - 0.5) / 0.4
    assert np.abs(found[:, 1] * y[:, 0] - found[:, 0] * y[:, 1]).max() <= a.bound.slope


@pytest.mark.parametrize("s", (0.25, 0.5, 0.75))
def test_hoelder_quotients_are_below_the_bound(s):
    """Chordal distances, near and far pairs."""
    a = built("circle", order=4, cells=24)
    M = made("circle")
    t = np.random.default_rng(0).uniform(0, 2 * math.pi, 1000)
    x = M.points(t)
    error = lambda p: a.sparse(torch.from_numpy(p)).numpy() - _wave(p)
    for step in (1e-4, 1e-2, 0.1, 1.0, math.pi):
        y = M.points(t + step)
        quotient = np.abs(error(x) - error(y)) / np.linalg.norm(x - y, axis=1) ** s
        assert max(quotient.max(), np.abs(error(x)).max()) <= a.bound.at(s)


def test_ends_of_the_interpolated_bound():
    b = built("circle", order=4, cells=24).bound
    assert b.at(0) == b.value and b.at(1) == max(b.value, b.slope)
    # written anew: (2 sup)^(1-s) Lip^s, a shortest path is at most pi/2 times its chord or the
    # chord exceeds 2 tau
    lip = max(math.pi / 2 * b.slope, b.value / 0.4)
    for s in (0.1, 0.5, 0.9):
        assert math.isclose(b.at(s), max(b.value, (2 * b.value) ** (1 - s) * lip**s), rel_tol=1e-12)


@pytest.mark.parametrize("tolerance", (0.3, 0.03))
def test_tolerance_is_met(tolerance):
    a = lib.approximate(wave, made("circle"), order=4, tolerance=tolerance)
    measured = a.measure(4096, module_points=0)
    assert max(measured.value, measured.slope) <= max(a.bound.value, a.bound.slope) <= tolerance
    coarser = lib.approximate(wave, made("circle"), order=4, cells=max(16, a.cells // 2))
    # half the mesh would not do, unless the coarsest was enough
    assert coarser.bound.slope > tolerance or a.cells <= 16


def test_budget_of_terms():
    a = small("circle", order=3, terms_per_block=60, blocks=5)
    assert len(a.coefficients) <= 300 and a.cells >= atlas("circle").smallest_mesh(3)
    assert len(small("circle", order=3, cells=a.cells + 1).coefficients) > 300


# ---- points, files, bad input


def test_points_off_the_manifold_are_refused():
    a = built("circle", order=3, cells=24)
    x = _points("circle", 5)
    assert torch.equal(a(x), a.network(x))
    for y in (x + 1e-6, torch.full((1, 2), 0.5, dtype=torch.float64), random_points(3, 2)):
        with pytest.raises(InputError, match="^x = .*points of the manifold circle"):
            a(y)
        a.network(y)  # the module itself takes any point
    with pytest.raises(InputError, match="x.shape"):
        a(torch.zeros(2, 3, dtype=torch.float64))


@pytest.mark.parametrize("formula", ("sin(3*x1)*exp(x2)", None))
def test_round_trip(tmp_path, formula):
    goal = wave if formula is None else target(formula)
    a = lib.approximate(goal, made("circle"), order=3, cells=24)
    a.save(tmp_path / "net")
    b = lib.load(tmp_path / "net")
    x = torch.cat([_points("circle", 200), random_points(50, 2)])
    assert torch.equal(a.network(x), b.network(x)) and torch.equal(a.sparse(x), b.sparse(x))
    assert (b.bound, b.promised, b.derivative_bounds) == (a.bound, a.promised, a.derivative_bounds)
    assert b.architecture.measured == a.architecture.measured and b.domain is None
    assert (b.target is None) == (formula is None)
    for call in (lambda: b(x[:3]), b.measure):
        with pytest.raises(InputError, match="see `with_target`"):
            call()
    c = b.with_target(target("sin(3*x1)*exp(x2)"), made("circle"))
    assert torch.equal(c(x[:200]), a(x[:200]))
    found = c.measure(500)
    exact = a.measure(500)
    assert abs(found.value - exact.value) <= 1e-14 and abs(found.slope - exact.slope) <= 1e-12
    with pytest.raises(InputError, match="^domain = .*dimension 2"):
        b.with_target(target("sin(3*x1)*exp(x2)"), made("sphere"))
    assert torch.equal(lib.load(tmp_path / "net").network(x), b.network(x))


def test_a_saved_partition_loads():
    """Format 5: ``sin(3 x1) x2`` on eight charts; the numbers are those printed when it was
    saved.
    """
    a = lib.load(Path(__file__).parent / "saved" / "format5-circle")
    x = 0.5 + 0.4 * torch.tensor([[1, 0], [0.6, 0.8], [-0.8, -0.6]], dtype=torch.float64)
    expected = [0.21537898441397518, 0.6514543843265753, 0.13266609413002328]
    assert a.network(x).tolist() == pytest.approx(expected, abs=1e-14)
    assert a.sparse(x).tolist() == pytest.approx(expected, abs=1e-14)
    assert (a.bound.value, a.bound.slope) == (0.0700513632249618, 6.772143053096414)
    assert a.bound.rigorous and a.unchanged and a.domain is None
    assert (len(a.charts), len(a.coefficients)) == (8, 40)
    points = _points("circle", 500)
    assert (sum(c.partition(points) for c in a.charts) - 1).abs().max() <= 1e-9
    b = a.with_target(a.target, made("circle"))
    assert b.bound == a.bound and b.measure(500) <= b.certify().upper <= b.bound
    again = lib.approximate(
        a.target, Atlas(made("circle"), 0.2, 0.28), order=2, cells=5, refinement=5
    )
    assert np.abs(again.coefficients - a.coefficients).max() <= 1e-14


@pytest.mark.parametrize(
    "name, damage",
    [
        ("network.json", lambda raw: raw.replace(b'"cells": 24', b'"cells": 23')),
        ("network.json", lambda raw: raw.replace(b'"partition": [', b'"gate": [')),
        ("network.json", lambda raw: raw.replace(b'"domain": "manifold"', b'"domain": "cube"')),
        ("network.json", lambda raw: raw[: len(raw) // 2]),
        ("network.safetensors", lambda raw: raw[:-9]),
        ("network.safetensors", lambda raw: raw[:-1] + bytes([raw[-1] ^ 1])),
    ],
)
def test_damaged_files_are_refused(tmp_path, name, damage):
    a = built("circle", order=3, cells=24)
    a.save(tmp_path / "net")
    file = tmp_path / "net" / name
    raw = file.read_bytes()
    assert damage(raw) != raw
    file.write_bytes(damage(raw))
    before = listing(tmp_path)
    with pytest.raises(InputError, match="^path = "):
        lib.load(tmp_path / "net")
    assert listing(tmp_path) == before


def _smallest_mesh(A, m):
    """By search, from the inequality."""
    N, tau = m, A.manifold.reach
    while A.chart_radius * (1 + 2 * A.dim**0.5 * (m - INSET[m] // 1) / N) > 0.99 * tau:
        N += 1
    return N


@pytest.mark.parametrize("name, m", [("circle", 4), ("sphere", 2), ("ellipse", 5)])
def test_too_coarse_a_mesh_is_refused(name, m):
    least = _smallest_mesh(atlas(name), m)
    with pytest.raises(InputError, match=f"^cells = {least - 1}: must be at least N_0 = {least}"):
        lib.approximate(wave, atlas(name), order=m, cells=least - 1)


@pytest.mark.parametrize(
    "begin, call",
    [
        (
            "cells = 5: must be at least 7",
            lambda: lib.approximate(wave, made("sphere"), order=5, cells=5),
        ),
        ("cells = 24.0", lambda: lib.approximate(wave, made("circle"), cells=24.0)),
        ("cells = None", lambda: lib.approximate(wave, made("circle"))),
        ("order = 9", lambda: lib.approximate(wave, made("circle"), order=9, cells=24)),
        ("domain = 'circle'", lambda: lib.approximate(wave, "circle", cells=24)),
        ("domain = circle", lambda: lib.approximate(target("x1*x2*x3"), made("circle"), cells=24)),
        ("target = 'x1'", lambda: lib.approximate("x1", made("circle"), cells=24)),
        (
            "function = ",
            lambda: lib.approximate(lambda x: torch.log(x[:, 0] - 0.5), made("circle"), cells=24),
        ),
        ("function = ", lambda: lib.approximate(lambda x: x, made("circle"), cells=24)),
        ("tolerance = -1", lambda: lib.approximate(wave, made("circle"), tolerance=-1)),
        ("tolerance = 0.1", lambda: lib.approximate(wave, made("circle"), cells=24, tolerance=0.1)),
        ("blocks = 1000000", lambda: lib.approximate(wave, made("circle"), cells=24, blocks=10**6)),
        (
            "blocks * terms_per_block = 5",
            lambda: lib.approximate(wave, made("circle"), terms_per_block=5),
        ),
        ("refinement = 3", lambda: lib.approximate(wave, made("circle"), cells=24, refinement=3)),
        ("kernel_size = 1", lambda: lib.approximate(wave, made("circle"), cells=24, kernel_size=1)),
        ("points = 0", lambda: built("circle", order=3, cells=24).measure(0)),
        ("s = 1.5", lambda: built("circle", order=3, cells=24).bound.at(1.5)),
    ],
)
def test_refused(begin, call):
    with pytest.raises(InputError) as caught:
        call()
    message = str(caught.value)
    assert (
        message.startswith(begin)
        and ": must be" in message
        and "\n" not in message
        and len(message) < 1000
    ), message


@pytest.mark.parametrize("width", [0.1, 0.15])
def test_a_localised_target_is_smooth(width):
    """Far from its top a Gaussian is 1e-18, and grows by orders of magnitude from step to step."""

    def bump(x):
        return torch.exp(-((x - x.new_tensor([0.9, 0.5])) ** 2).sum(1) / (2 * width**2))

    a = lib.approximate(bump, manifolds.circle(), order=4, cells=40)
    assert a.alpha >= 3  # 4 where the tail is resolved
    found = a.measure(4096, module_points=0)
    assert found.value <= a.bound.value and found.slope <= a.bound.slope
