"""Enclosed expansions of inverse charts, against single points with many digits (`chart_point`):
derivatives by differences in balls of 300 bits, which share nothing with Taylor arithmetic.
"""

from functools import cache
from itertools import product
from math import comb, factorial
from time import process_time

import numpy as np
import pytest
import torch
from flint import arb, ctx

from lib import manifolds
from lib.errors import InputError
from lib.formulas import evaluate, parse, torch_function, variables
from lib.intervals import Balls, Taylor, expand, exponents, span
from lib.manifolds import _expansion_curves, _expansion_zeros

BITS = 300
STEP = arb(2) ** -30  # differences are off by about its square times higher derivatives
FUNCTION = "sin(6*x1)*exp(x2) + x1*x2"


def picture():
    return np.random.default_rng(5).uniform(size=(7, 7)) ** 3


KINDS = {
    "circle": lambda: manifolds.circle(0.4),
    "ellipse": lambda: manifolds.ellipse(0.45, 0.3, 6, 3),
    "trefoil": manifolds.trefoil,
    "picture": lambda: manifolds.image_rotations(picture(), 1.2),
    "sphere": manifolds.Sphere,
    "ellipsoid": manifolds.ellipsoid,
    "torus": manifolds.torus,
    "peanut": manifolds.peanut,
    "two formulas": lambda: manifolds.LevelSet(
        ["(x1-1/2)**2 + (x2-1/2)**2 + (x3-1/2)**2 - 4/25", "x3 - x1*x2/4 - 2/5"], 3, reach=0.2
    ),
    "no polynomial": lambda: manifolds.LevelSet(
        "exp((2*x1 - 1)**2) + (2*x2 - 1)**2 - cos(3*x3 - 3/2) + sqrt(1 + x1)/10 - 7/10",
        3,
        reach=0.1,
    ),
    "rotations": manifolds.RotationGroup,
    "union": lambda: manifolds.Union([manifolds.circle(0.1), manifolds.circle(0.4)]),
}


@cache
def manifold(kind):
    return KINDS[kind]()


def charts(m, count, seed=0):
    """Centres (P, D) and frames (P, D, d), turned at random."""
    centres = m.project(m.draw(count, seed))
    turn = np.linalg.qr(np.random.default_rng(seed).normal(size=(count, m.dim, m.dim)))[0]
    return centres, m.tangent_basis(centres) @ turn


def places(m, count, share, seed=0):
    """Points (P, d) of a ball of radius ``share`` times the reach."""
    rng = np.random.default_rng(seed)
    t = rng.normal(size=(count, m.dim))
    t /= np.linalg.norm(t, axis=1, keepdims=True)
    return t * rng.uniform(0, 1, (count, 1)) ** (1 / m.dim) * share * m.reach


def boxes(middle, half, order, over=True):
    """Expansions of ``t`` at or over boxes with middles (P, d) and half widths (P,)."""
    return [
        Taylor.variable(Balls(x, half if over else 0.0), half, k, middle.shape[1], order)
        for k, x in enumerate(middle.T)
    ]


def around(m, c, v, t):
    """The point of a chart, as a function of what is added to ``t``."""
    return lambda s: m.chart_point(c, v, [float(a) + b for a, b in zip(t, s)])


def derivatives(point, dim, order):
    """``{nu: derivative}`` of a function of ``d`` arb, each a list of floats, by central
    differences of ``point(offsets)``.
    """
    known = {}

    def at(offset):
        if offset not in known:
            known[offset] = point([STEP * k / 2 for k in offset])
        return known[offset]

    found = {}
    for nu in map(tuple, exponents(dim, order).tolist()):
        total = None
        for place in product(*(range(n + 1) for n in nu)):
            weight = 1
            for n, i in zip(nu, place):
                weight *= (-1) ** i * comb(n, i)
            x = at(tuple(n - 2 * i for n, i in zip(nu, place)))
            total = [weight * u + (0 if total is None else v) for u, v in zip(x, total or x)]
        found[nu] = [float((u / STEP ** sum(nu)).mid()) for u in total]
    return found


def compare(x, box, expected, scale):
    """Whether derivatives, times powers of ``scale``, are in the coefficients of a box."""
    dim, order = x[0].dim, x[0].order
    for i, nu in enumerate(map(tuple, exponents(dim, order).tolist())):
        for u, value in zip(x, expected[nu]):
            value = value * scale ** sum(nu) / np.prod([factorial(n) for n in nu])
            c = u.coefficients
            allowed = 1e-16 * (1 + abs(value))
            low, high = c.lower[i, box], c.upper[i, box]
            assert np.isfinite(c.rad[i, box]), (nu, "unknown")
            assert low - allowed <= value <= high + allowed, (nu, value, low, high)


def ends(x):
    """Lower and upper ends of the coefficients of expansions."""
    return [u.coefficients.lower for u in x], [u.coefficients.upper for u in x]


def against_points(m, share=0.7, seed=0, count=3):
    """Random points of random boxes, all coordinates and their derivatives."""
    order = 4 if m.dim < 3 else 3
    rng = np.random.default_rng(seed)
    centres, frames = charts(m, count, seed)
    middle = places(m, count, share, seed)
    half = rng.uniform(0.002, 0.05 if m.dim < 3 else 0.02, count) * m.reach
    over, at = (m.expansion(centres, frames, boxes(middle, half, order, o)) for o in (True, False))
    for box, (c, v) in enumerate(zip(centres, frames)):
        with ctx.workprec(BITS):
            for x, off in ((at, 0), (over, half[box] * rng.uniform(-1, 1, m.dim))):
                t = middle[box] + off
                t = np.clip(t, middle[box] - half[box], middle[box] + half[box])
                compare(x, box, derivatives(around(m, c, v, t), m.dim, order), half[box])
        corners = middle[box] + half[box] * np.array(list(product((-1, 1), repeat=m.dim)))
        near = m.inverse_chart(c, v, corners)
        low, high = (np.array([e[0, box] for e in es]) for es in ends(over))
        assert (low - 1e-11 <= near).all() and (near <= high + 1e-11).all()
    # points of the middles are known to rounding
    assert max(u.coefficients.rad.max() for u in at) < 1e-13


@pytest.mark.parametrize("kind", KINDS)
def test_coefficients_hold_all_derivatives(kind):
    against_points(manifold(kind))


# ---- tampered expansions are noticed


class Tampered:
    """A manifold with other equations for expansions than for single points."""

    def __init__(self, m, change):
        self._m = m
        self._change = change

    def __getattr__(self, name):
        return getattr(self._m, name)

    def equations(self):
        return [self._change(e) for e in self._m.equations()]

    def expansion(self, centres, frames, t):
        return _expansion_zeros.expansion_of_zeros(self, centres, frames, t, self.reach)


def test_other_equations_are_noticed():
    against_points(Tampered(manifold("sphere"), lambda e: e))
    with pytest.raises(AssertionError):
        against_points(Tampered(manifold("sphere"), lambda e: e + variables(3)[0] * 2**-40))


@pytest.mark.parametrize("kind", ["sphere", "peanut", "two formulas"])
def test_a_dropped_coefficient_of_a_formula_is_noticed(kind, monkeypatch):
    plain = _expansion_zeros._System.series

    def series(self, x, moves, order):
        found = plain(self, x, moves, order)
        if order > 1:
            found.mid[0, 1 + len(x)], found.rad[0, 1 + len(x)] = 0.0, 0.0
        return found

    monkeypatch.setattr(_expansion_zeros._System, "series", series)
    with pytest.raises(AssertionError):
        against_points(manifold(kind))


def test_a_dropped_power_on_a_curve_is_noticed(monkeypatch):
    plain = _expansion_curves._inverse_powers

    def powers(g, order):
        found = plain(g, order)
        found[2].mid[3:], found[2].rad[3:] = 0.0, 0.0
        return found

    monkeypatch.setattr(_expansion_curves, "_inverse_powers", powers)
    with pytest.raises(AssertionError):
        against_points(manifold("ellipse"))


@pytest.mark.parametrize("kind", ["sphere", "torus", "trefoil", "rotations"])
def test_centres_and_frames_are_taken_for_the_numbers_they_are(kind, monkeypatch):
    """Off by 1e-10, far more than the radii."""
    m = manifold(kind)
    rng = np.random.default_rng(1)
    centres, frames = charts(m, 2)
    centres = centres + 1e-10 * rng.normal(size=centres.shape)
    frames = frames + 1e-10 * rng.normal(size=frames.shape)
    middle = places(m, 2, 0.6)
    x = m.expansion(centres, frames, boxes(middle, np.full(2, 0.01), 1, False))
    with ctx.workprec(BITS):
        for box, (c, v, t) in enumerate(zip(centres, frames, middle)):
            compare(x, box, derivatives(around(m, c, v, t), m.dim, 1), 0.01)
    assert max(u.coefficients.rad.max() for u in x) < 1e-13


def test_coordinates_may_be_any_expansions():
    """Turned, bent cells, in other variables than there are coordinates."""
    m = manifold("torus")
    (c,), (v,) = charts(m, 1)
    half, order = 0.004, 4
    rows = {(0, 0): (0.03, -0.02), (1, 0): (1, 0.5), (0, 1): (-0.4, 1.2), (1, 1): (0.3, 0.2)}
    s = boxes(np.zeros((1, 2)), np.array([1.0]), order)
    for u in s:
        u.coefficients.rad[0] = 1.0
    t = []
    for k in range(2):
        a = {nu: float(n[k]) * (1 if nu == (0, 0) else half) for nu, n in rows.items()}
        t.append(
            s[0] * a[1, 0] + s[1] * a[0, 1] + s[0] * s[1] * a[1, 1] + Balls(np.array([a[0, 0]]))
        )
    x = m.expansion(c[None], v[None], t)

    def point(where):
        def of(off):
            s0, s1 = (w + o for w, o in zip(where, off))
            values = {(0, 0): arb(1), (1, 0): half * s0, (0, 1): half * s1, (1, 1): half * s0 * s1}
            t = [sum((float(n[k]) * values[nu] for nu, n in rows.items()), arb(0)) for k in (0, 1)]
            return m.chart_point(c, v, t)

        return of

    with ctx.workprec(BITS):
        for where in ((0.9, -0.7), (-1.0, 1.0)):
            compare(x, 0, derivatives(point(where), 2, order), 1.0)


# ---- single points


@pytest.mark.parametrize("kind", KINDS)
def test_points_satisfy_their_equations(kind):
    m = manifold(kind)
    with ctx.workprec(200):
        for c, v, t in zip(*charts(m, 4, 2), places(m, 4, 0.9, 2)):
            x = m.chart_point(c, v, [arb(float(a)) for a in t])
            assert max(float(u.rad()) for u in x) < 1e-50
            off = np.array([float(u) for u in x]) - m.inverse_chart(c, v, t[None])[0]
            assert np.abs(off).max() < 1e-10
            for k, column in enumerate(v.T):
                along = sum((u - float(a)) * float(b) for u, a, b in zip(x, c, column))
                assert (along - float(t[k])).contains(0) and along.rad() < 1e-50
            if m.dim > 1 or kind == "two formulas":
                for e in m.equations():
                    value = evaluate(e, dict(zip(variables(m.ambient_dim), x)))
                    assert value.contains(0) and value.rad() < 1e-50
            else:
                near = np.array([[float(u) for u in x]])
                assert m.distance(near)[0] < 1e-14


def test_a_point_holds_for_all_coordinates_in_a_ball():
    m = manifold("ellipsoid")
    (c,), (v,) = charts(m, 1)
    x = m.chart_point(c, v, [arb(0.05, 1e-4), arb(-0.02, 1e-4)])
    for a, b in product((0.04991, 0.05, 0.05009), (-0.02009, -0.01991)):
        inner = m.inverse_chart(c, v, np.array([[a, b]]))[0]
        assert all(u.contains(arb(float(y), 1e-12)) for u, y in zip(x, inner))


@pytest.mark.parametrize("kind", KINDS)
def test_no_point_beyond_a_chart(kind):
    m = manifold(kind)
    (c,), (v,) = charts(m, 1)
    for share in (1.0, 1.2, 3.0):
        with pytest.raises(InputError):
            m.chart_point(c, v, [arb(share * float(m.reach))] + [arb(0)] * (m.dim - 1))


def test_no_point_in_a_frame_that_is_normal():
    m = manifold("sphere")
    c = np.array([0.5, 0.5, 1.0])
    v = np.array([[1.0, 0], [0, 0], [0, 1]])
    with pytest.raises(InputError):
        m.chart_point(c, v, [arb(0.1), arb(0.1)])
    x = m.expansion(c[None], v[None], boxes(np.array([[0.1, 0.1]]), np.array([0.01]), 2))
    assert all(np.isinf(u.coefficients.rad).all() for u in x)


def test_bad_shapes_are_refused():
    m = manifold("sphere")
    centres, frames = charts(m, 2)
    t = boxes(np.zeros((2, 2)), np.full(2, 0.01), 1)
    for bad in ((centres[:1], frames, t), (centres, frames[:, :, :1], t), (centres, frames, t[:1])):
        with pytest.raises(InputError, match="must be"):
            m.expansion(*bad)
    with pytest.raises(InputError, match="must be"):
        m.chart_point(centres[0], frames[0], [arb(0)])
    with pytest.raises(InputError, match="must be"):
        m.chart_point(centres[0], frames[0].T, [arb(0), arb(0)])


# ---- the domain


@pytest.mark.parametrize("kind", KINDS)
def test_boxes_beyond_a_chart_are_unknown(kind):
    """And what is known of boxes near the rim is right."""
    m = manifold(kind)
    count = 40
    centres, frames = charts(m, count, 4)
    t = places(m, count, 1.0, 4)
    t *= (np.linspace(0.85, 1.1, count) * m.reach / np.linalg.norm(t, axis=1))[:, None]
    half = np.full(count, 0.02 * m.reach)
    far = np.sqrt(((np.abs(t) + half[:, None]) ** 2).sum(1))
    for over in (True, False):
        x = m.expansion(centres, frames, boxes(t, half, 2, over))
        known = np.array([np.isfinite(u.coefficients.rad).all(0) for u in x])
        assert (known == known[0]).all()
        reached = far if over else np.linalg.norm(t, axis=1)
        assert not known[0][reached >= m.reach].any()
        assert over or known[0][reached < 0.97 * m.reach].all()
        for i in np.flatnonzero(known[0]):
            inner = t[i] + (half[i] * np.random.default_rng(i).uniform(-1, 1, m.dim) if over else 0)
            near = m.inverse_chart(centres[i], frames[i], inner[None])[0]
            for u, y in zip(x, near):
                c = u.coefficients
                assert c.lower[0, i] - 1e-10 <= y <= c.upper[0, i] + 1e-10


@pytest.mark.parametrize("kind", ["trefoil", "two formulas", "rotations", "union"])
def test_no_boxes_points_and_all_of_space(kind):
    m = manifold(kind)
    centres, frames = charts(m, 3)
    for count in (0, 3):
        c, v, zero = centres[:count], frames[:count], np.zeros((count, m.dim))
        for far, half in ((5.0, 0.1), (0.0, np.inf), (0.0, 0.99 * m.reach), (np.inf, 0.0)):
            x = m.expansion(c, v, boxes(zero + far, np.full(count, half), 2))
            assert len(x) == m.ambient_dim
            assert all(np.isinf(u.coefficients.rad).all() for u in x)
            assert all(u.coefficients.shape[1] == count for u in x)
        value = Balls(np.zeros((1, count)), 1e-3)
        for u, near in zip(m.expansion(c, v, [Taylor(value, m.dim, 0)] * m.dim), c.T):
            assert (np.abs(u.coefficients.mid[0] - near) <= u.coefficients.rad[0] + 1e-15).all()
            assert (u.coefficients.rad < 2e-3).all()


@pytest.mark.parametrize("make", [lambda: manifolds.Sphere(0.4), lambda: manifolds.circle(0.4)])
def test_nothing_is_found_where_nothing_is(make):
    """Existence does not rest on the reach, which is wrong here."""
    m = make()
    radius, m.reach = m.reach, 3 * m.reach
    count = 200
    centres, frames = charts(m, count, 7)
    t = places(m, count, 1.0, 7)
    t *= (np.linspace(0.8, 1.4, count) * radius / np.linalg.norm(t, axis=1))[:, None]
    for share in (0.0, 0.02, 0.1, 0.4):
        half = np.full(count, share * radius)
        x = m.expansion(centres, frames, boxes(t, half, 1))
        known = np.isfinite(x[0].coefficients.rad[0])
        far = np.sqrt(((np.abs(t) + half[:, None]) ** 2).sum(1))
        assert not known[far >= radius].any()
        assert share or known[far < 0.97 * radius].all()
    with pytest.raises(InputError), np.errstate(invalid="ignore"):
        m.chart_point(centres[0], frames[0], [arb(1.1 * radius)] + [arb(0)] * (m.dim - 1))


def test_a_union_knows_its_other_parts():
    """Where they are near, charts end earlier than those of the part."""
    parts = [manifolds.circle(0.4), manifolds.circle(0.35)]
    m = manifolds.Union(parts)
    assert 0.01 < m.reach < 0.026
    centres, frames = charts(parts[0], 3)
    t = np.array([[0.008], [0.026], [0.2]])
    x = m.expansion(centres, frames, boxes(t, np.full(3, 1e-3), 2))
    assert (np.isfinite(x[0].coefficients.rad).all(0) == [True, False, False]).all()
    y = parts[0].expansion(centres, frames, boxes(t, np.full(3, 1e-3), 2))
    assert np.isfinite(y[0].coefficients.rad).all()
    with pytest.raises(InputError):
        m.chart_point(centres[2], frames[2], [arb(0.2)])


@pytest.mark.parametrize("kind", KINDS)
def test_boxes_of_many_charts_are_those_of_single_calls(kind):
    m = manifold(kind)
    count, order = 6, 3
    centres, frames = charts(m, count, 6)
    t = places(m, count, 1.0, 6)
    half = np.linspace(0.001, 0.08, count) * m.reach
    half[2] = 0.0
    together = m.expansion(centres, frames, boxes(t, half, order))
    for i in range(count):
        one = slice(i, i + 1)
        alone = m.expansion(centres[one], frames[one], boxes(t[one], half[one], order))
        for a, b in zip(together, alone):
            assert (a.coefficients.mid[:, one] == b.coefficients.mid).all()
            assert (a.coefficients.rad[:, one] == b.coefficients.rad).all()


# ---- how sharp, and how fast


def grid(m, cells, share):
    """Middles of the boxes of a chart that meet the ball, and their half width."""
    radius = share * m.reach
    half = radius / cells
    axis = (2 * np.arange(cells) + 1 - cells) * half
    middle = np.stack(np.meshgrid(*[axis] * m.dim, indexing="ij"), axis=-1).reshape(-1, m.dim)
    nearest = np.linalg.norm(np.maximum(np.abs(middle) - half, 0), axis=1)
    return middle[nearest < radius], half


def seen(m, c, v, points, nu):
    """The largest modulus of a derivative of `FUNCTION` at points (P, d), by differences of fourth
    order, of `inverse_chart` in float64.
    """
    function = torch_function(parse(FUNCTION, m.ambient_dim), m.ambient_dim)
    step = 0.02 * m.reach
    total = 0.0
    for place in product(*(range(n + 1) for n in nu)):
        weight = np.prod([(-1) ** i * comb(n, i) for n, i in zip(nu, place)])
        off = step * (np.array(nu) / 2 - place)
        x = m.inverse_chart(c, v, points + off)
        total = total + weight * function(torch.from_numpy(x)).numpy()
    return np.abs(total).max() / step ** sum(nu)


def enclosed(u, nu):
    """The largest modulus of a derivative over boxes, in their units."""
    for k, n in enumerate(nu):
        for _ in range(n):
            u = [v.derivative(k) for v in u]
    low, high = span(*u)
    return np.maximum(np.abs(low), np.abs(high)).max()


def sharpness(m, seed=0):
    """Enclosed over seen, the largest derivatives of order 4 in a chart of 16 cells: of `FUNCTION`,
    all together; of the coordinates, one by one.
    """
    (c,), (v,) = charts(m, 1, seed)
    middle, half = grid(m, 16, 0.45)
    count = len(middle)
    centres, frames = np.repeat(c[None], count, 0), np.repeat(v[None], count, 0)
    found, places = [], []
    for over in (False, True):
        x = m.expansion(centres, frames, boxes(middle, np.full(count, half), 5, over))
        places.append(x)
        known = dict(zip(variables(m.ambient_dim), x))
        found.append(expand(parse(FUNCTION, m.ambient_dim), known))
    rng = np.random.default_rng(0)
    corners = np.array(list(product((-1, 0, 1), repeat=m.dim)))
    inner = np.concatenate([corners, rng.uniform(-1, 1, (20, m.dim))]) * half
    points = (middle[:, None] + inner).reshape(-1, m.dim)
    orders = [nu for nu in exponents(m.dim, 4) if nu.sum() == 4]
    most = [enclosed(found, nu) / half**4 for nu in orders]
    true = [seen(m, c, v, points, nu) for nu in orders]
    # differences are off by a fraction of a percent
    assert all(a > 0.995 * b for a, b in zip(most, true))
    again = np.repeat(c[None], len(points), 0), np.repeat(v[None], len(points), 0)
    dense = m.expansion(*again, boxes(points, np.full(len(points), half), 4, False))
    top = slice(len(exponents(m.dim, 3)), len(exponents(m.dim, 4)))
    own = max(
        (over.coefficients.size[top].max(1) / np.abs(u.coefficients.mid[top]).max(1)).max()
        for over, u in zip(places[1], dense)
    )
    return max(most) / max(true), own


@pytest.mark.parametrize("kind", ["circle", "ellipse", "trefoil", "sphere", "ellipsoid"])
def test_enclosed_derivatives_are_sharp(kind):
    """Those of a function of the coordinates, by the mean-value form from order 5, and of the
    coordinates themselves, as they are found.
    """
    found = np.max([sharpness(manifold(kind), seed) for seed in range(3)], axis=0)
    print(kind, found)
    assert found[0] < 1.5 and found[1] < 1.5


@pytest.mark.parametrize("kind", ["torus", "peanut"])
def test_enclosed_derivatives_are_not_useless_where_curvature_varies(kind):
    found = np.max([sharpness(manifold(kind), seed) for seed in range(3)], axis=0)
    print(kind, found)
    assert found[0] < 2 and found[1] < 2


def test_forty_thousand_boxes_in_seconds():
    m = manifold("sphere")
    count = 40_000
    centres, frames = charts(m, 50)
    which = np.arange(count) % 50
    half = 0.45 * m.reach / 16
    middle = places(m, count, 0.45)
    start = process_time()
    x = m.expansion(centres[which], frames[which], boxes(middle, np.full(count, half), 5))
    spent = process_time() - start
    print(f"{spent:.1f} s")
    assert all(np.isfinite(u.coefficients.rad).all() for u in x) and spent < 15
