"""Balls and expansions over all of float64, against exact fractions and power series in balls of
500 bits.
"""

import math
from fractions import Fraction

import numpy as np
import pytest
import sympy
from flint import arb, arb_series, ctx
from hypothesis import assume, given
from hypothesis import strategies as st

from lib import InputError
from lib.formulas import evaluate, parse, variables
from lib.intervals import Balls, Taylor, expand, exponents, matmul, precision, span, up
from strategies import few, formulas, seeds

INF = math.inf


def _floats(rng, size, low=-1074, high=1023):
    """Floats of every size, subnormal ones and zeros among them."""
    with np.errstate(over="ignore"):
        x = np.ldexp(rng.uniform(1, 2, size), rng.integers(low, high + 1, size)) * rng.choice(
            [-1, 1, 0], size, p=[0.45, 0.45, 0.1]
        )
    return np.where(np.isfinite(x), x, 1.7e308)


def _balls(rng, size):
    mid = _floats(rng, size)
    with np.errstate(over="ignore", under="ignore"):
        rad = np.where(
            rng.random(size) < 0.5,
            np.abs(_floats(rng, size)),
            np.abs(mid) * rng.choice([0, 1e-16, 0.5, 1], size),
        )
    return Balls(mid, np.minimum(rad, 1.7e308))


def _inside(rng, balls):
    """Exact numbers within balls: their ends, the middles, and others."""
    share = [Fraction(int(k), 4) for k in rng.integers(-4, 5, balls.mid.size)]
    return [
        Fraction(m) + Fraction(r) * t
        for m, r, t in zip(balls.mid.ravel().tolist(), balls.rad.ravel().tolist(), share)
    ]


def _holds(balls, numbers):
    lower = np.ravel(balls.lower).tolist()
    upper = np.ravel(balls.upper).tolist()
    assert (
        not np.isnan(balls.mid).any()
        and not np.isnan(balls.rad).any()
        and np.isfinite(balls.mid).all()
    )
    for lo, hi, x in zip(lower, upper, numbers, strict=True):
        assert (lo == -INF or Fraction(lo) <= x) and (hi == INF or x <= Fraction(hi)), (
            lo,
            float(x),
            hi,
        )


@pytest.mark.parametrize("seed", range(20))
def test_sums_and_products_hold_at_every_exponent(seed):
    rng = np.random.default_rng(seed)
    a, b = _balls(rng, 400), _balls(rng, 400)
    x, y = _inside(rng, a), _inside(rng, b)
    _holds(a + b, [s + t for s, t in zip(x, y)])
    _holds(a - b, [s - t for s, t in zip(x, y)])
    _holds(a * b, [s * t for s, t in zip(x, y)])
    _holds(a.square(), [s * s for s in x])
    assert all(Fraction(s) >= abs(t) for s, t in zip(a.size.tolist(), x) if s < INF)
    for count in (1, 2, 7):
        part = Balls(
            a.mid[: 392 // count * count].reshape(count, -1),
            a.rad[: 392 // count * count].reshape(count, -1),
        )
        rows = np.array(x[: 392 // count * count], object).reshape(count, -1)
        _holds(part.sum(), rows.sum(0).tolist())


@pytest.mark.parametrize("seed", range(20))
def test_products_near_the_smallest_floats_hold(seed):
    """Factors whose products are subnormal, or vanish."""
    rng = np.random.default_rng(seed)
    mid = [_floats(rng, 500, low, low + 20) for low in (-540, -540)]
    a, b = (Balls(m, np.abs(m) * rng.choice([0, 1e-16, 1.0], 500)) for m in mid)
    x, y = _inside(rng, a), _inside(rng, b)
    _holds(a * b, [s * t for s, t in zip(x, y)])
    _holds(a.square(), [s * s for s in x])
    _holds(a * b + a * b, [2 * s * t for s, t in zip(x, y)])


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("low, high", [(-1074, 1023), (-545, -530), (-1074, -1000), (-600, 0)])
def test_a_matrix_product_holds_at_every_exponent(seed, low, high):
    rng = np.random.default_rng(seed)
    weight = _floats(rng, (4, 3), low, high)
    bias = _floats(rng, (4, 1), low, high) * rng.integers(0, 2, (4, 1))
    mid = _floats(rng, (3, 20), low, high)
    x = Balls(mid, np.abs(mid) * rng.choice([0, 1e-16, 0.5], mid.shape))
    y, noise = matmul(weight, x, bias)
    inside = np.array(_inside(rng, x), object).reshape(mid.shape)
    exact = np.array([[Fraction(w) for w in row] for row in weight.tolist()], object) @ inside
    exact = exact + np.array([[Fraction(b)] for b in bias[:, 0].tolist()], object)
    _holds(y, exact.ravel().tolist())
    assert not np.isnan(noise).any()
    with np.errstate(over="ignore", invalid="ignore"):
        for order in ((0, 1, 2), (2, 1, 0)):  # what float64 makes of floats inside
            total = np.zeros(exact.shape)
            for i in order:
                total = total + weight[:, i, None] * mid[i]
            total = total + bias
            assert ((np.abs(total - y.mid) <= y.rad) | ~np.isfinite(total)).all()


def test_what_is_zero_stays_zero():
    zero, unknown = Balls(np.zeros(3)), Balls(np.zeros(3), INF)
    assert (zero * unknown).rad.max() == 0 and (
        zero * Balls(np.full(3, 1e308), 1e308)
    ).rad.max() == 0
    assert (zero + zero).rad.max() == 0 and zero.square().rad.max() == 0 and zero.sum().rad == 0
    x = Balls(np.array([1.0, 1e-320, 1e308]))
    assert (x - x).rad.max() == 0 and (x - x).mid.any() == 0
    assert up(np.zeros(2)).max() == 0 and Balls.between(np.zeros(2), np.zeros(2)).rad.max() == 0
    y, noise = matmul(np.array([[0.0, 0.0], [1e-200, 0.0]]), Balls(np.array([[1e-200], [5.0]])))
    assert y.rad[0] == 0 and noise[0] == 0 and y.rad[1] > 0 and noise[1] > 0  # 1e-400 is not zero
    with precision():
        found = Balls.from_flint([arb(0), arb("1e-400"), arb(0, 1e-200) ** 2], (3,))
    assert found.rad[0] == 0 and found.rad[1] > 0 and found.rad[2] > 0


def test_what_is_unknown_is_infinite_and_never_nan():
    x = Balls(np.array([[0.0], [1.0]]), np.array([[INF], [0.0]]))
    y, noise = matmul(
        np.array([[0.0, 1.0], [1.0, 0.0], [1e308, 1e308]]), x, np.array([[0.0], [0.0], [1e308]])
    )
    assert np.isinf(y.rad[1:]).all() and not np.isnan(y.rad).any() and not np.isnan(noise).any()
    big = Balls(np.array([1.7e308]), 1e308)
    for found in (
        big + big,
        big * big,
        big - Balls(np.zeros(1), INF),
        big.square(),
        Balls(np.full((3, 1), 1.7e308)).sum(),
    ):
        assert found.upper[0] == INF and found.lower[0] == -INF and found.size[0] == INF


def test_up_is_above_what_underflow_has_lost():
    a = np.full(4, 3e-162)
    b = np.array([2e-162, 1.6e-162, 9e-163, 1.1e-162])
    exact = [3 * Fraction(s) * Fraction(t) for s, t in zip(a.tolist(), b.tolist())]
    assert all(Fraction(float(u)) >= x for u, x in zip(up(a * b + a * b + a * b), exact))
    x = np.array([5e-324, 1e-320, 1e-308])
    assert (up(x) > x).all()


@pytest.mark.parametrize("seed", range(10))
def test_between_holds_both_ends_and_is_not_much_larger(seed):
    rng = np.random.default_rng(seed)
    ends = np.sort(_floats(rng, (2, 500)), axis=0)
    found = Balls.between(*ends)
    for k in (0, 1):
        _holds(found, [Fraction(t) for t in ends[k].tolist()])
    width = found.upper / 2 - found.lower / 2
    known = np.isfinite(found.rad)
    assert (width <= (ends[1] / 2 - ends[0] / 2) * (1 + 1e-13) + 1e-320)[known].all()
    same = Balls.between(ends[0], ends[0])
    assert (same.mid == ends[0]).all() and (same.rad == 0).all()
    assert np.isinf(Balls.between(np.array([-INF, 0, -INF]), np.array([INF, INF, 0])).rad).all()


@pytest.mark.parametrize(
    "text", ["1e-400", "-1e-610", "3e-324", "1e-310", "1e400", "-1e400", "1.1", "0"]
)
@pytest.mark.parametrize("relative", ["0", "1e-30", "1"])
def test_numbers_of_any_size_come_from_flint(text, relative):
    with precision(500):
        number = arb(text)
        ball = Balls.from_flint([arb(number.mid(), abs(number) * arb(relative))], (1,))
        for end in (number * (1 - arb(relative)), number, number * (1 + arb(relative))):
            assert not arb(float(ball.lower[0])) > end and not arb(float(ball.upper[0])) < end
    assert not np.isnan([ball.mid[0], ball.rad[0], ball.lower[0], ball.upper[0]]).any()


# ---- the functions, over balls of any width

TANH = (lambda u: 1 - 2 / (1 + (u + u).exp())), (lambda u: 2 / (1 + (-(u + u)).exp()) - 1)
ORACLE = {
    "sin": lambda u: u.sin(),
    "cos": lambda u: u.cos(),
    "exp": lambda u: u.exp(),
    "log": lambda u: u.log(),
    "tan": lambda u: u.sin() / u.cos(),
    "cot": lambda u: u.cos() / u.sin(),
    "atan": lambda u: u.atan(),
    "sqrt": lambda u: u.sqrt(),
    "tanh": lambda u: TANH[bool(u[0] > 0)](u),
    "sinh": lambda u: (u.exp() - (-u).exp()) / 2,
    "cosh": lambda u: (u.exp() + (-u).exp()) / 2,
    "abs": lambda u: u if u[0] > 0 else -u,
}
BITS = 500


def _series(function, point, order):
    """Coefficients of a function of one power series at a point, in many digits."""
    before = ctx.cap
    with precision(BITS):
        ctx.cap = order + 1
        try:
            found = function(arb_series([point, 1], order + 1))
            return [found[k] for k in range(order + 1)]
        finally:
            ctx.cap = before


def _coefficients(text, mid, rad, order):
    """Expansion over one ball of one variable, with slope 1: balls (order + 1,)."""
    x = variables(1)[0]
    return expand(
        parse(text, 1), {x: Taylor.variable(Balls(np.array([mid]), rad), 1.0, 0, 1, order)}
    ).coefficients


def _inside_one(c, k, value):
    lo, hi = float(c.lower[k, 0]), float(c.upper[k, 0])
    return not (arb(lo) > value) and not (arb(hi) < value)


BALLS = [
    (0.0, 0.0),
    (0.0, 1e-320),
    (0.0, 0.5),
    (0.0, 1e6),
    (0.0, 1e300),
    (1000.0, 0.0),
    (-1000.0, 1e-3),
    (1000.0, 400.0),
    (1e6, 500.0),
    (-1e6, 500.0),
    (1e300, 1e290),
    (0.75, 0.75),
    (0.75, 0.25),
    (0.5, 0.5 - 2.0**-40),
    (3.0, 1e-12),
    (-2.0, 3.0),
    (1e-300, 0.0),
    (-0.3, 1e-9),
    (40.0, 0.1),
    (-40.0, 10.0),
    (0.0, INF),
]
OUTER = [
    "sin(x1)",
    "cos(x1)",
    "tan(x1)",
    "cot(x1)",
    "exp(x1)",
    "log(x1)",
    "atan(x1)",
    "sqrt(x1)",
    "tanh(x1)",
    "sinh(x1)",
    "cosh(x1)",
    "x1**2",
    "x1**3",
    "x1**6",
    "x1**7",
    "x1**-1",
    "x1**-2",
    "x1**-3",
    "x1**2.5",
    "x1**-0.5",
    "x1**(1/3)",
    "abs(x1)",
    "abs(x1)**2.5",
    "abs(x1)**3",
]


def _outer(text, u):
    """One of these at a power series."""
    if text.startswith("x1**"):
        p = sympy.Rational(text[4:].strip("()"))
        return (
            (u ** int(p) if p > 0 else 1 / u ** int(-p))
            if p.is_Integer
            else ((arb(int(p.p)) / int(p.q)) * u.log()).exp()
        )
    name, _, p = text.partition("(x1)**")
    v = ORACLE[name.removesuffix("(x1)")](u)
    return v if not p else v ** int(p) if "." not in p else (arb(p) * v.log()).exp()


@pytest.mark.parametrize("text", OUTER)
@pytest.mark.parametrize("mid, rad", BALLS)
def test_a_function_over_a_ball_of_any_width_is_enclosed(text, mid, rad):
    rng = np.random.default_rng(0)
    order = 5
    c = _coefficients(text, mid, rad, order)
    assert not np.isnan(c.lower).any() and not np.isnan(c.upper).any()
    width = min(rad, 1e308 - abs(mid))
    for t in [
        -1,
        1,
        0,
        *rng.uniform(-1, 1, 12),
        *(rng.choice([-1, 1], 6) * 10 ** rng.uniform(-9, 0, 6)),
    ]:
        point = float(mid + width * t * (1 - 1e-6))
        if point == 0 and ("**-" in text or text == "cot(x1)"):
            continue
        values = _series(lambda u: _outer(text, u), point, order)
        for k in range(order + 1):
            if values[k].is_finite():
                assert _inside_one(c, k, values[k]), (k, point, values[k], c.lower[k], c.upper[k])


@pytest.mark.parametrize(
    "text, largest", [("sin(x1)", 1), ("cos(x1)", 1), ("tanh(x1)", 1), ("atan(x1)", np.pi / 2)]
)
@pytest.mark.parametrize("mid, rad", BALLS)
def test_bounded_functions_stay_bounded(text, largest, mid, rad):
    c = _coefficients(text, mid, rad, 5)
    assert np.maximum(-c.lower[0], c.upper[0]).max() <= largest * (1 + 1e-6)
    if rad < INF:
        assert np.maximum(-c.lower, c.upper).max() <= largest * (1 + 1e-6)


@pytest.mark.parametrize(
    "text, low, high, exact",
    [
        ("exp(x1)", -50, 1, (math.exp(-50), math.e)),
        ("tanh(x1)", -1, 3, (math.tanh(-1), math.tanh(3))),
        ("x1**2", -1, 2, (0, 4)),
        ("x1**4", -1, 2, (0, 16)),
        ("x1**3", -2, 1, (-8, 1)),
        ("cosh(x1)", -1, 3, (1, math.cosh(3))),
        ("atan(x1)", -9, 1, (-math.atan(9), math.atan(1))),
        ("abs(x1)**1.5", -4, 1, (0, 8)),
        ("x1**-2", 1, 4, (1 / 16, 1)),
        ("log(x1)", 1e-3, 1, (math.log(1e-3), 0)),
        ("sinh(x1)", -3, 1, (-math.sinh(3), math.sinh(1))),
        ("tan(x1)", -1.5, 1, (-math.tan(1.5), math.tan(1))),
        ("tan(x1)", 2, 4.5, (math.tan(2), math.tan(4.5))),
        ("cot(x1)", 0.25, 3, (1 / math.tan(3), 1 / math.tan(0.25))),
        ("1/(1+x1**2)", -4, 4, (1 / 17, 1)),
        ("sqrt(1+x1**2)", -3, 3, (1, math.sqrt(10))),
    ],
)
def test_the_range_over_a_wide_ball_is_sharp(text, low, high, exact):
    c = _coefficients(text, (low + high) / 2, (high - low) / 2, 2)
    slack = 1e-6 * (1 + max(map(abs, exact)))  # FLINT's radii have 30 binary digits
    assert exact[0] - slack <= c.lower[0, 0] <= exact[0] + 1e-15
    assert exact[1] - 1e-15 <= c.upper[0, 0] <= exact[1] + slack


@pytest.mark.parametrize("text, dim", [("tanh(60*(x1-0.3))", 1), ("tanh(30*(x1-x2))", 2)])
def test_a_steep_tanh_over_wide_boxes_has_finite_coefficients(text, dim):
    for radius in (0.5, 1 / 16):
        middle = np.full((1, dim), 0.5)
        over = _expand_boxes(text, dim, middle, radius, radius, 4)
        assert np.isfinite(over.coefficients.rad).all()
        assert (
            over.coefficients.lower[0, 0] >= -1 - 1e-8 and over.coefficients.upper[0, 0] <= 1 + 1e-8
        )


# ---- whole formulas, along lines


def _expand_boxes(text, dim, middle, rad, slope, order):
    radius, slope = np.full(len(middle), rad), np.full(len(middle), slope)
    return expand(
        parse(text, dim),
        {
            v: Taylor.variable(Balls(middle[:, i], radius), slope, i, dim, order)
            for i, v in enumerate(variables(dim))
        },
    )


# the whole whitelist, with constants that are floats
SHAPES = [
    "({a}+{b})",
    "({a}-{b})",
    "({a}*{b})",
    "sin({a})",
    "cos(7*{a})",
    "tanh(9*{a})",
    "atan(5*{a})",
    "abs({a}-x1/4)",
    "abs({a}-x1/4)**3",
    "({a})**2",
    "({a})**3",
    "({a})**4",
    "sqrt(1+({a})**2)",
    "log(2+({a})**2)",
    "({a})/(1+({b})**2)",
    "exp(sin({a}))",
    "(2+sin({a}))**(-3)",
    "sinh(sin({a}))",
    "cosh(cos({a}))",
    "-({a})",
    "exp(-20*({a})**2)",
]
CONSTANTS = st.integers(-128, 128).map(lambda k: f"({k / 64})")


def _along(text, point, direction, order):
    """Coefficients of the formula along a line, by FLINT's power series."""

    def on_numbers(f):
        return lambda u: f(u if isinstance(u, arb_series) else arb_series([u], order + 1))

    names = {name: on_numbers(f) for name, f in ORACLE.items()}
    before = ctx.cap
    with precision(BITS):
        ctx.cap = order + 1
        try:
            names |= {
                f"x{i + 1}": arb_series([arb(p), arb(d)], order + 1)
                for i, (p, d) in enumerate(zip(point, direction))
            }
            found = eval(text, {"__builtins__": {}, **names})
            found = found if isinstance(found, arb_series) else arb_series([found], order + 1)
            return [found[k] for k in range(order + 1)]
        finally:
            ctx.cap = before


@few
@given(st.data(), st.integers(1, 3), st.sampled_from([0.5, 0.25, 1e-3, 1e-9, 0.0]), seeds())
def test_all_coefficients_of_random_formulas_are_enclosed(data, dim, rad, seed):
    rng = np.random.default_rng(seed)
    order = 5
    text = data.draw(formulas(dim, SHAPES, CONSTANTS))
    try:
        parse(text, dim)
    except InputError:  # a constant beyond 1e100
        assume(False)
    middle = rng.uniform(rad, 1 - rad, (3, dim)) if rad < 0.5 else np.full((1, dim), 0.5)
    over = _expand_boxes(text, dim, middle, rad, 1.0, order)
    powers = exponents(dim, order)
    for box in range(len(middle)):
        for _ in range(4):
            point = middle[box] + rad * rng.choice([-1, 1, 0.3, -0.7], dim) * (1 - 1e-6)
            direction = rng.integers(-8, 9, dim) / 8
            exact = _along(text, point.tolist(), direction.tolist(), order)
            for k in range(order + 1):
                rows = np.flatnonzero(powers.sum(1) == k)
                factors = np.prod(direction ** powers[rows], axis=1)[:, None]
                total = (over.coefficients[rows][:, box : box + 1] * factors).sum()
                if exact[k].is_finite():
                    assert _inside_one(Balls(total.mid[None], total.rad[None]), 0, exact[k]), (
                        text,
                        k,
                        point,
                    )


# ---- powers that are not whole, at the edge of their domain

ROOTS = [
    ("x1**2.5", 1, 2),
    ("(1-x1)**2.5", 1, 2),
    ("(x1+x2)**2.5", 2, 2),
    ("x1**3.5", 1, 3),
    ("(1-x1**2)**1.5", 1, 1),
    ("(1-x1**2)**2.5", 1, 2),
    ("x1**0.5", 1, 0),
    ("(1-x1**2)**0.5", 1, 0),
    ("(1-x1*x2)**2.5", 2, 2),
    ("(x1*(1-x1))**2.5", 1, 2),
    ("((x1-x2)**2)**1.25", 2, 2),
    ("x1**2.5*sin(x2)+(1-x2)**2.25", 2, 2),
    ("(1-cos(x1))**1.5", 1, 1),
    ("(1-x1/3-2*x2/3)**2.5", 2, 2),
    ("(x1-0.5)**2.5", 1, -1),
]


@pytest.mark.parametrize("text, dim, smooth", ROOTS)
def test_fractional_powers_at_the_edge_of_their_domain(text, dim, smooth):
    """Over boxes that touch it: coefficients up to the order of smoothness are finite, and all
    are right.
    """
    order = 4
    ticks = (np.arange(4) + 0.5) / 4
    middle = np.stack(np.meshgrid(*[ticks] * dim, indexing="ij"), axis=-1).reshape(-1, dim)
    over = _expand_boxes(text, dim, middle, 1 / 8, 1.0, order)
    powers = exponents(dim, order)
    if smooth >= 0:
        assert np.isfinite(over.coefficients.rad[powers.sum(1) <= smooth]).all()
        at = _expand_boxes(text, dim, middle, 0.0, 1 / 8, order)
        low, high = span(at, _expand_boxes(text, dim, middle, 1 / 8, 1 / 8, order))
        assert (high - low < 4.5).all()  # the largest oscillation over a box of these is 2.8
    rng = np.random.default_rng(0)
    direction = rng.integers(-8, 9, dim) / 8
    for box in range(len(middle)):
        point = middle[box] + rng.uniform(-1, 1, dim) / 8
        series = _along(text, point.tolist(), direction.tolist(), order)
        for k, exact in enumerate(series):
            rows = np.flatnonzero(powers.sum(1) == k)
            total = (
                over.coefficients[rows][:, box : box + 1]
                * np.prod(direction ** powers[rows], axis=1)[:, None]
            ).sum()
            if exact.is_finite():
                assert _inside_one(Balls(total.mid[None], total.rad[None]), 0, exact), (
                    text,
                    k,
                    point,
                )


@pytest.mark.parametrize("text", ["(x1-0.5)**2.5", "sqrt(0.25-x1)", "log(x1-0.5)"])
def test_where_a_power_may_be_undefined_nothing_is_known(text):
    over = _expand_boxes(text, 1, np.array([[0.5]]), 0.5, 1.0, 3)
    assert np.isinf(over.coefficients.rad).all()


# ---- functions without a rule

FOREIGN = [
    sympy.sech,
    sympy.csc,
    sympy.sinc,
    sympy.erf,
    sympy.asin,
    sympy.Abs,
    sympy.sign,
    sympy.sec,
    sympy.acot,
    sympy.gamma,
    sympy.floor,
    sympy.DiracDelta,
    sympy.Heaviside,
    sympy.asinh,
    lambda x: sympy.Max(x, sympy.Rational(1, 2)),
    lambda x: x**x,
    lambda x: x**sympy.pi,
    lambda x: sympy.Piecewise((x, x > 0), (0, True)),
    lambda x: sympy.Symbol("y") * x,
    lambda x: sympy.Derivative(sympy.Function("g")(x), x),
    lambda x: sympy.I * x,
    lambda x: sympy.sec(x) ** 2 + x,
]


@pytest.mark.parametrize("function", FOREIGN)
def test_a_function_without_a_rule_is_refused_by_name(function):
    x = variables(1)[0]
    e = function(x)
    box = Taylor.variable(Balls(np.array([0.5]), 0.25), 1.0, 0, 1, 2)
    with pytest.raises(InputError, match="has no rule"):
        expand(e, {x: box})
    with pytest.raises(InputError, match="has no rule"):
        evaluate(e, {x: arb(0.5)})
