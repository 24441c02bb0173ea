"""The table of functions: whatever reads a formula agrees with mpmath's value of it and of its
derivatives, for every row and for formulas made of them.
"""

from dataclasses import fields, replace
from itertools import product
from math import factorial, prod

import mpmath
import numpy as np
import pytest
import sympy
import torch
from flint import arb, ctx
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

import lib
from lib import InputError
from lib.certify import _proof
from lib.formulas import TABLE, enclose, evaluate, parse, torch_function, variables
from lib.intervals import Balls, Taylor, expand, exponents, precision, values_near

# what the functions of the table are: one line for each
MEANING = {
    "sin": mpmath.sin,
    "cos": mpmath.cos,
    "tan": mpmath.tan,
    "cot": mpmath.cot,
    "exp": mpmath.exp,
    "log": mpmath.log,
    "sinh": mpmath.sinh,
    "cosh": mpmath.cosh,
    "tanh": mpmath.tanh,
    "atan": mpmath.atan,
}
MODULI = {
    "AbsPower": lambda u, p: abs(u) ** p,
    "SignPower": lambda u, p: mpmath.sign(u) * abs(u) ** p,
    "Jump": lambda u: 0 if u else mpmath.nan,
}
INF = np.inf
BITS = 300
POINTS = 40


class Formula:
    """A formula and its derivatives, as mpmath has them."""

    def __init__(self, expression, dim):
        self.expression = expression
        self.dim = dim
        self.symbols = variables(dim)
        self._maps = {}

    def derivative(self, nu):
        counts = [(s, n) for s, n in zip(self.symbols, nu) if n]
        return sympy.diff(self.expression, *counts) if counts else self.expression

    def at(self, point, nu=None):
        """An ``arb`` around the value at a point (floats), or None where there is none."""
        nu = tuple(nu or (0,) * self.dim)
        if nu not in self._maps:
            self._maps[nu] = sympy.lambdify(
                self.symbols, self.derivative(nu), [MEANING | MODULI, "mpmath"], cse=True
            )
        with mpmath.workprec(BITS + 100):
            try:
                value = mpmath.mpmathify(self._maps[nu](*map(mpmath.mpf, point)))
            except (ZeroDivisionError, ValueError):
                return None
            if not isinstance(value, mpmath.mpf) or not mpmath.isfinite(value):
                return None
        sign, digits, exponent, _ = value._mpf_
        with ctx.workprec(2 * BITS):
            found = arb(int(digits)) * arb(2) ** exponent
            return arb(-found if sign else found, (1 + found) * arb(2) ** -(BITS - 60))


def _holds(low, high, value):
    """Whether an interval (floats or arbs without radius) holds a value."""
    return not arb(low) > value and not arb(high) < value


def _same(ball, value):
    return not ball.is_finite() or ball.overlaps(value)


def check_numbers(f, points):
    """Balls of 300 bits, and torch by what rounding to 47 bits makes of every operation: 64 units
    of roundoff, more than those of torch's functions.
    """
    values = torch_function(f.expression, f.dim)(torch.tensor(points, dtype=torch.float64))
    for point, found in zip(points, values.tolist()):
        exact = f.at(point)
        if exact is None:
            continue
        at = {s: arb(t) for s, t in zip(f.symbols, point)}
        with precision(BITS):
            assert _same(evaluate(f.expression, at), exact), (f.expression, point)
        with precision(47):
            rounded = evaluate(f.expression, at)
        if rounded.is_finite() and abs(float(rounded)) < 1e300:
            assert np.isfinite(found)
            assert abs(found - float(exact)) <= 4 * float(rounded.rad()) + 1e-300, (
                f.expression,
                point,
                found,
            )


def check_enclosures(f, box, points):
    """Intervals, and the balls of the checker."""
    low, high = enclose(f.expression, [(m - r, m + r) for m, r in box], f.symbols)
    with precision():
        at = {s: arb(m, r) for s, (m, r) in zip(f.symbols, box)}
        checked = _proof._value(f.expression, at, {})
    for point in points:
        exact = f.at(point)
        if exact is not None:
            assert _holds(low, high, exact), (f.expression, box, point)
            assert _same(checked, exact), (f.expression, box, point)


def check_expansion(f, box, points, order):
    """Taylor coefficients over a box."""
    known = {
        s: Taylor.variable(Balls(np.array([m]), r), 1.0, k, f.dim, order)
        for k, (s, (m, r)) in enumerate(zip(f.symbols, box))
    }
    c = expand(f.expression, known).coefficients
    for point in points:
        for i, nu in enumerate(exponents(f.dim, order).tolist()):
            exact = f.at(point, nu)
            if exact is not None:
                exact = exact / prod(map(factorial, nu))
                assert _holds(float(c.lower[i, 0]), float(c.upper[i, 0]), exact), (
                    f.expression,
                    nu,
                    box,
                    point,
                )


def check_values(f, axes):
    """Values on a grid, also within a rounding of its points."""
    mid, rad = values_near(f.expression, axes)
    found = Balls(mid, rad)
    low, high = found.lower, found.upper
    for index in product(*(range(len(x)) for x in axes)):
        for share in (0, 1, -1):
            with mpmath.workprec(BITS):
                near = 1 + share * mpmath.mpf(2) ** -53
                point = [x[i] * (1 if x[i] == 1 else near) for x, i in zip(axes, index)]
            exact = f.at(point)
            if exact is not None:
                assert _holds(float(low[index]), float(high[index]), exact), (f.expression, index)


def check(expression, dim, box, seed, order, grid):
    """All readers of a formula over a box of pairs of middle and radius, which are such that its
    ends are floats.
    """
    f = Formula(expression, dim)
    random = np.random.default_rng(seed)
    shares = np.concatenate([random.uniform(-1, 1, (POINTS - 2, dim)), -np.ones((1, dim))])
    shares = np.concatenate([shares, np.ones((1, dim))])
    middle, radius = np.array(box).T
    points = (middle + radius * shares).tolist()
    check_numbers(f, points)
    check_enclosures(f, box, points)
    check_expansion(f, box, points[-8:], order)
    if grid:
        axes = [np.array([0.0, *np.sort(random.random(2)), 1.0]) for _ in range(dim)]
        check_values(f, axes)


def check_row(row):
    """A function and its first two derivatives, over boxes of all widths; and that at single points
    they are known well.
    """
    x = variables(1)[0]
    random = np.random.default_rng(0)
    widths = [0, 2.0**-30, 1 / 16, 1 / 2, 1, 4] * 4
    for times, radius in product(range(3), widths):
        e = sympy.diff(row.function(x), x, times)
        middle = int(random.integers(-64, 65)) / 16
        check(e, 1, [(middle, radius)], times, 5 - times, radius == 0)
    e = row.function(x)
    for point in (0.375, 1.25, 3.5):
        exact = abs(float(Formula(e, 1).at([point])))
        low, high = enclose(e, [(point, point)], [x])
        assert high - low <= 1e-15 * exact
        c = expand(e, {x: Taylor.variable(Balls(np.array([point])), 1.0, 0, 1, 5)}).coefficients
        assert c.rad.max() <= 1e-12 * np.abs(c.mid).max()
        with precision(BITS):
            assert evaluate(e, {x: arb(point)}).rel_accuracy_bits() > BITS - 20
            assert _proof._value(e, {x: arb(point)}, {}).rel_accuracy_bits() > BITS - 20


def test_every_function_has_a_line_here_and_every_column():
    assert [row.name for row in TABLE.values()] == list(MEANING)
    for function, row in TABLE.items():
        assert row.function is function and function.__name__ == row.name
        assert all(callable(getattr(row, f.name)) for f in fields(row)[2:6])
        assert parse(f"{row.name}(x1)", 1) == function(variables(1)[0])
        assert f" {row.name} " in parse.__doc__.replace("`", " ")
    with pytest.raises(InputError, match=", ".join(MEANING)):
        parse("gamma(x1)", 1)


@pytest.mark.parametrize("name", MEANING)
def test_all_readers_agree_on_a_function(name):
    check_row(next(row for row in TABLE.values() if row.name == name))


TAMPERED = {
    "torch": lambda row: torch.sin,
    "torch-digits": lambda row: lambda x: torch.cos(x).float().double(),
    "ball": lambda row: lambda u: row.ball(u) * (1 + arb(2) ** -60),
    "interval": lambda row: lambda u: (row.interval(u)[0], min(row.interval(u)[1], 0.999)),
    "interval-width": lambda row: lambda u: (-1.0, 1.0),
    "series": lambda row: (
        lambda u, n: [c if k != 2 else -c for k, c in enumerate(row.series(u, n))]
    ),
    "series-value": lambda row: lambda u, n: [arb(1), *row.series(u, n)[1:]],
    "series-unknown": lambda row: lambda u, n: [arb("nan")] * (n + 1),
}


@pytest.mark.parametrize("what", TAMPERED)
def test_a_wrong_entry_is_noticed(what, monkeypatch):
    row = TABLE[sympy.cos]
    wrong = replace(row, **{what.partition("-")[0]: TAMPERED[what](row)})
    monkeypatch.setitem(TABLE, sympy.cos, wrong)
    with pytest.raises(AssertionError):
        check_row(wrong)


def test_a_wrong_rule_of_the_checker_is_noticed(monkeypatch):
    rule = _proof._value
    monkeypatch.setattr(
        _proof, "_value", lambda e, x, done: rule(e.replace(sympy.tan, sympy.cot), x, done)
    )
    check_row(TABLE[sympy.cos])
    with pytest.raises(AssertionError):
        check_row(TABLE[sympy.tan])


@pytest.mark.parametrize("missing", (sympy.tan, sympy.atan))
def test_what_is_not_in_the_table_is_refused_by_all(missing, monkeypatch):
    x = variables(1)[0]
    e = missing(x + sympy.Rational(1, 3))
    monkeypatch.delitem(TABLE, missing)
    box = Taylor.variable(Balls(np.array([0.5]), 0.25), 1.0, 0, 1, 2)
    for read in (
        lambda: enclose(e, [(0.0, 1.0)], [x]),
        lambda: torch_function(e, 1),
        lambda: evaluate(e, {x: arb(0.5)}),
        lambda: expand(e, {x: box}),
        lambda: values_near(e, [np.array([0.0, 1.0])]),
    ):
        with pytest.raises(InputError, match=f"{missing.__name__} has no rule"):
            read()


@pytest.mark.parametrize(
    "text, middle, radius",
    [
        ("tan(x1)", 1.5, 0.125),
        ("tan(x1)", -1.5, 0.0711),
        ("tan(x1)", 100.0, 2.0),
        ("tan(x1)", 0.0, INF),
        ("cot(x1)", 0.0, 2.0**-40),
        ("cot(x1)", 3.0, 0.25),
        ("cot(x1)", 0.0, 0.0),
        ("log(x1)", 0.5, 0.5),
        ("1/x1", 0.0, 1.0),
    ],
)
def test_where_a_pole_may_be_nothing_is_known(text, middle, radius):
    x = variables(1)[0]
    for times in range(3):
        e = sympy.diff(parse(text, 1), x, times)
        low, high = enclose(e, [(middle - radius, middle + radius)], [x])
        assert low == -INF or high == INF
        ball = arb(middle, radius)
        assert not evaluate(e, {x: ball}).is_finite()
        assert not _proof._value(e, {x: ball}, {}).is_finite()
        known = {x: Taylor.variable(Balls(np.array([middle]), radius), 1.0, 0, 1, 3)}
        assert np.isinf(expand(e, known).coefficients.rad).all()


# ---- formulas made of them

_SHAPES = [
    "({}+{})",
    "({}-{})",
    "{}*{}",
    "({})/(2+sin({}))",
    "({})**2*({})",
    "({})**3-{}",
    "({}+{})**(-1)",
    "sqrt(1+({})**2)*({})",
    "abs({}-{})",
    "abs({}-{})**1.5",
    "({}*{})**2.5",
    "2**({}-{})",
    "(1/3)**({}*{})",
    "E**({}-{})",
]


def _formulas(dim):
    leaves = st.sampled_from([f"x{i + 1}" for i in range(dim)] * 3 + ["0.3", "(-7/4)", "pi", "E"])

    def larger(part):
        # anywhere, and where every function is smooth: between 1/4 and 3/4
        calls = st.builds(
            lambda name, shape, a: shape.format(name, a),
            st.sampled_from(list(MEANING)),
            st.sampled_from(["{}({})", "{}(1/2+sin({})/4)", "{}(3*({}))"]),
            part,
        )
        sums = st.builds(
            lambda shape, a, b: shape.format(a, b), st.sampled_from(_SHAPES), part, part
        )
        return calls | sums

    return st.recursive(leaves, larger, max_leaves=4)


@st.composite
def _cases(draw):
    dim = draw(st.integers(1, 3))
    radius = draw(st.sampled_from([0, 1 / 1024, 1 / 16, 1 / 4, 1 / 2]))
    steps = round(16 * min(radius, 1 / 2))
    middles = [draw(st.integers(steps, 16 - steps)) / 16 for _ in range(dim)]
    if radius == 1 / 1024:
        middles = [min(max(m, radius), 1 - radius) for m in middles]
    return draw(_formulas(dim)), dim, [(m, radius) for m in middles], draw(st.integers(0, 99))


@settings(
    max_examples=120,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow],
)
@given(_cases())
def test_all_readers_agree_on_formulas_and_their_derivatives(case):
    text, dim, box, seed = case
    try:
        e = parse(text, dim)
    except InputError:
        assume(False)
    assume(e.free_symbols)
    check(e, dim, box, seed, 2, True)
    for s in variables(dim):
        check(sympy.diff(e, s), dim, box, seed, 1, False)


@pytest.mark.parametrize("formula", ("tan(x1)+2**x1", "cot(1+x1)*(1/3)**x1", "tan(x1+pi/2+1)"))
def test_a_certificate_of_a_function_that_is_not_entire_is_proved_twice(formula):
    a = lib.approximate(lib.Target.from_sympy(formula), lib.Cube(1), order=4, cells=6)
    c = a.certify(boxes=500)
    assert a.measure().value <= c.value.upper <= a.bound.value
    assert lib.certify.check(c, a) > 0
