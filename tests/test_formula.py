"""Formulas: the whitelist parser, evaluation with torch and rigorous enclosures."""

import time

import mpmath
import numpy as np
import pytest
import sympy
import torch
from helpers import UNIT, random_points

import lib
from lib import InputError
from lib.formulas import bound_on_cube, enclose, parse, torch_function, variables

SECONDS = 5

HOSTILE = {
    "import": "__import__('os')", "import-call": "__import__('os').system('true')", "attribute": "x1.real",
    "dunder": "().__class__.__bases__", "method": "x1.sin()", "lambda": "lambda: x1", "call-lambda": "(lambda x: x)(x1)",
    "power-tower": "9**9**9", "power-tower-right": "9**(9**9)", "power-tower-left": "((9**64)**64)**64",
    "infinite": "1e400", "large": "1e100", "negative-large": "-1e100",
    "megabyte-of-brackets": "(" * 10**6 + ")" * 10**6,
    "megabyte-of-spaces": "x1" + " " * 10**6, "open-brackets": "(" * 10**6,
    "brackets-within-the-length": "(" * 499 + "1" + ")" * 499,
    "minus-signs": "-" * 900 + "x1", "long-sum": "x1+" * 10**5 + "x1",
    "list": "[x1]", "comprehension": "[x for x in (1, 2)]", "generator": "sum(x for x in (1, 2))",
    "string": "'x1'", "bytes": "b'x1'", "f-string": "f'{x1}'", "keyword": "sin(x1, evaluate=False)",
    "keyword-only": "sin(x=x1)", "starred": "sin(*x1)", "two-arguments": "sin(x1, x2)", "no-argument": "sin()",
    "unknown-name": "y1", "unknown-function": "gamma(x1)", "eval": "eval('x1')", "function-as-value": "sin",
    "function-as-value-in-sum": "sin+1", "nul": "x1\x00", "nul-alone": "\x00", "surrogate": "\ud800",
    "third-variable": "x3", "zeroth-variable": "x0", "bare-x": "x", "assignment": "x1=2", "walrus": "(y:=x1)",
    "statements": "x1; x2", "newline": "x1\nx2", "comparison": "x1<x2", "conditional": "x1 if x2 else 1", "boolean": "True",
    "none": "None", "imaginary": "1j", "ellipsis": "...", "matrix-product": "x1@x2", "floor": "x1//2", "modulo": "x1%2",
    "bit-and": "x1&x2", "not": "not x1", "invert": "~x1", "subscript": "x1[0]", "empty": "", "blank": "  \t ",
    "exponent-not-constant": "x1**x2", "exponent-too-large": "x1**65", "division-by-zero": "x1/0",
    "division-by-hidden-zero": "1/(x1-x1)", "zero-to-minus-one": "0**-1", "complex-constant": "(-1)**0.5",
    "log-of-zero": "log(0)", "sqrt-of-minus-one": "sqrt(-1)", "exp-exp-exp": "exp(exp(exp(9)))", "cosh": "cosh(1000)",
    "negative-abs-power": "abs(x1)**(-1)", "nested-70": "sin(" * 70 + "x1" + ")" * 70,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_formula_is_refused_quickly(name):
    start = time.process_time()
    with pytest.raises(InputError, match="formula"):
        parse(HOSTILE[name], 2)
    with pytest.raises(InputError, match="formula"):
        lib.Target.from_sympy(HOSTILE[name], 2)
    assert time.process_time() - start < SECONDS


@pytest.mark.parametrize("formula", (None, 1, b"x1", ["x1"]))
def test_formula_that_is_no_string_is_refused(formula):
    with pytest.raises(InputError, match="formula"):
        parse(formula, 1)


@pytest.mark.parametrize("formula", ("1/x1", "log(x1)", "1/(x1-0.5)", "sqrt(x1-0.5)", "log(x1-2)", "exp(1/x1)", "x1**(-2)"))
def test_formula_that_is_not_finite_is_refused(formula):
    start = time.process_time()
    with pytest.raises(InputError, match="finite"):
        lib.Target.from_sympy(formula)
    assert time.process_time() - start < SECONDS


@pytest.mark.parametrize("formula", ("sin(" * 50 + "x1" + ")" * 50, "exp(sin(" * 25 + "x1" + "))" * 25))
def test_derivatives_of_deep_nesting_are_given_up_quickly(formula):
    start = time.process_time()
    with pytest.raises(InputError, match="derivative"):
        lib.Target.from_sympy(formula, 1).derivative_bounds(4)
    assert time.process_time() - start < SECONDS


@pytest.mark.parametrize("formula", ("sqrt(x1)", "abs(x1-0.5)", "x1**1.5", "abs(x1-0.5)**1.5"))
def test_target_without_second_derivatives_is_refused(formula):
    with pytest.raises(InputError, match="order 2"):
        lib.Target.from_sympy(formula).derivative_bounds(4)


# ---- meaning


def _torch_against_sympy(formula, dim, trusted=None):
    """``torch_function(parse(.))`` against ``sympy.lambdify(sympify(.))`` of a trusted string."""
    x = random_points(500, dim)
    symbols = sympy.symbols([f"x{i + 1}" for i in range(dim)], real=True)
    expression = sympy.sympify(trusted or formula, locals={str(s): s for s in symbols})
    exact = sympy.lambdify(symbols, expression, "numpy")(*x.numpy().T) * np.ones(len(x))
    found = torch_function(parse(formula, dim), dim)(x)
    assert found.shape == (500,) and found.dtype == torch.float64
    return np.abs(found.numpy() - exact).max() / max(1.0, np.abs(exact).max())


@pytest.mark.parametrize("formula, dim", [
    ("x1", 1), ("3", 1), ("pi*x1", 1), ("sin(2*pi*x1)*exp(x2)", 2), ("x1**3-2*x1**2+x2/7", 2), ("(1+x1)**(-2)", 1),
    ("sqrt(1+x1*x2)", 2), ("log(1+x1)", 1), ("tanh(x1)+sinh(x2)*cosh(x3)", 3), ("atan(x1-x2)", 2), ("(1+x1)**0.3", 1),
    ("+x1--x2", 2), ("1.5e-2*x1", 1), ("cos(x1*x2*x3)", 3), ("2**(1/2)*x1", 1),
])
def test_torch_function_is_sympys(formula, dim):
    assert _torch_against_sympy(formula, dim) <= 64 * UNIT   # some ten operations, condition below 4


@pytest.mark.parametrize("formula, trusted", [
    ("abs(x1-0.37)**2.5", "Abs(x1-0.37)**2.5"), ("abs(x1-0.5)**2", "(x1-0.5)**2"), ("abs(x1-0.5)*x1", "Abs(x1-0.5)*x1"),
    ("Abs(x1-1/3)**3", "Abs(x1-Rational(1,3))**3"), ("abs(abs(x1-0.5)-0.25)", "Abs(Abs(x1-0.5)-0.25)"),
])
def test_absolute_values_are_sympys(formula, trusted):
    assert _torch_against_sympy(formula, 1, trusted) <= 64 * UNIT


def test_x_is_x1_in_one_dimension():
    assert parse("x**2+x1", 1) == parse("x1**2+x1", 1)


# ---- enclosures, against 30 digits


def _random_formula(rng, dim, depth):
    """A formula that is finite on the cube, from the whole whitelist."""
    if depth == 0:
        return rng.choice([f"x{i + 1}" for i in range(dim)] + [f"{rng.uniform(-2, 2):.3f}", "pi", "E"])
    a, b = (_random_formula(rng, dim, depth - 1) for _ in range(2))
    shapes = ["({a}+{b})", "({a}-{b})", "({a}*{b})", "sin({a})", "cos({a})", "tanh({a})", "atan({a})", "abs({a}+x1/4)",
              "abs({a}-x1/4)**1.5", "({a})**2", "({a})**3", "sqrt(1+({a})**2)", "log(2+abs({a}-x1/8))", "({a})/(1+({b})**2)",
              "exp(sin({a}))", "(2+sin({a}))**(-3)", "(1+abs({a}+x1/8))**0.7", "sinh(sin({a}))", "cosh(cos({a}))", "-({a})"]
    return rng.choice(shapes).format(a=a, b=b)


_NAMES = ("sin", "cos", "exp", "log", "sqrt", "tanh", "sinh", "cosh", "atan", "pi")
_MEANING = {name: getattr(mpmath, name) for name in _NAMES}
_MEANING |= {"E": mpmath.e, "abs": abs}


def _exactly(formula, point):
    """The formula, made by this file, evaluated with 40 digits; decimal constants are the floats' neighbours."""
    return eval(formula, {"__builtins__": {}}, {**_MEANING, **{f"x{i + 1}": mpmath.mpf(v) for i, v in enumerate(point)}})


@pytest.mark.parametrize("seed", range(60))
def test_enclosures_hold_every_sampled_value(seed):
    rng = np.random.default_rng(seed)
    dim = int(rng.integers(1, 4))
    formula = str(_random_formula(rng, dim, int(rng.integers(1, 4))))
    expression = parse(formula, dim)
    ends = np.sort(rng.random((dim, 2)), axis=1)
    lo, hi = enclose(expression, [tuple(e) for e in ends.tolist()], variables(dim))
    bound = bound_on_cube(expression, dim, work=20_000)
    with mpmath.workdps(40):
        inside = [ends[:, 0], ends[:, 1], *(ends[:, 0] + rng.random((60, dim)) * (ends[:, 1] - ends[:, 0]))]
        for point in inside:
            value = _exactly(formula, point)
            slack = 64 * UNIT * max(1, abs(value))   # the decimal constants are floats here, rationals in lib
            assert lo - slack <= value <= hi + slack, (formula, point)
        for point in [*rng.random((40, dim)), np.zeros(dim), np.ones(dim)]:
            value = _exactly(formula, point)
            assert abs(value) <= bound + 64 * UNIT * max(1, abs(value)), (formula, point)


@pytest.mark.parametrize("formula, box, exact", [
    ("x1**2", (-1.0, 2.0), (0, 4)), ("x1**3", (-2.0, 1.0), (-8, 1)), ("sin(x1)", (1.0, 2.0), (np.sin(1), 1)),
    ("cos(x1)", (3.0, 4.0), (-1, np.cos(4))), ("abs(x1)", (-3.0, 1.0), (0, 3)), ("1/x1", (2.0, 4.0), (0.25, 0.5)),
    ("cosh(x1)", (-1.0, 2.0), (1, np.cosh(2))), ("exp(x1)", (0.0, 1.0), (1, np.e)), ("sqrt(x1)", (0.0, 4.0), (0, 2)),
])
def test_enclosure_of_one_function_is_sharp(formula, box, exact):
    lo, hi = enclose(parse(formula, 1), [box], variables(1))
    size = 16 * UNIT * max(map(abs, exact))
    assert exact[0] - size <= lo <= exact[0] + size and exact[1] - size <= hi <= exact[1] + size


@pytest.mark.parametrize("formula, dim, exact", [
    ("sin(7*x1)*cos(3*x2)", 2, 1), ("x1*(1-x1)", 1, 1 / 4), ("exp(x1)*x2", 2, np.e), ("x1-x1**2-x2", 2, 1), ("0*x1", 1, 0),
])
def test_bound_on_cube_is_within_a_percent(formula, dim, exact):
    assert exact <= bound_on_cube(parse(formula, dim), dim) <= 1.011 * exact + 1e-300   # zero is rounded outwards


@pytest.mark.parametrize("formula", ("1/x1", "log(x1)", "x1**(-0.5)"))
def test_bound_on_cube_of_an_unbounded_function_is_infinite(formula):
    assert bound_on_cube(parse(formula, 1), 1) == np.inf


@pytest.mark.parametrize("formula, meaning", [
    ("abs(2)*x1", "2*x1"), ("abs(x1-x1)+x1", "x1"), ("abs(-1)**2.5*x1", "x1"), ("abs(pi)*x1", "pi*x1"),
])
def test_absolute_values_of_constants_are_constants(formula, meaning):
    assert parse(formula, 1).equals(parse(meaning, 1))


@pytest.mark.parametrize("formula", ("(1+x1)**pi", "abs(x1)**pi", "x1**sqrt(2)"))
def test_irrational_exponents_are_refused(formula):
    with pytest.raises(lib.InputError, match="rational constant"):
        parse(formula, 1)


def test_sympys_own_absolute_value_is_bounded_like_ours():
    target = lib.Target.from_sympy("((x1-0.5)**2)**(3/2)")
    assert 0.125 <= target._bound((0,)) <= 0.1251


def test_dimension_is_read_from_variables_only():
    assert lib.Target.from_sympy("0x10*x1").dim == 1
    assert lib.Target.from_sympy("exp(x2)+2*x1").dim == 2


def test_the_derivative_of_a_polynomial_vanishes_exactly():
    alpha, bounds = lib.Target.from_sympy("x1*x2").derivative_bounds(2)
    assert alpha == 2 and bounds[(2, 0)] == 0 and bounds[(0, 2)] == 0 and bounds[(1, 1)] >= 1
