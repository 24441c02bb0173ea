"""Formulas as data: a whitelist parser into sympy, and evaluation with torch.

A formula string is never evaluated as Python: its syntax tree is walked and anything outside the
whitelist is refused.
"""

import ast
import operator
from functools import reduce

import sympy
import torch

from lib.errors import InputError, require

MAXIMUM_LENGTH = 1000
MAXIMUM_DEPTH = 60
MAXIMUM_EXPONENT = 64


class AbsPower(sympy.Function):
    """``|u|^p`` with a constant ``p >= 0``; its derivative is ``p SignPower(u, p-1)``."""

    def fdiff(self, argindex=1):
        u, p = self.args
        return p * SignPower(u, p - 1) if p != 0 else sympy.Integer(0)


class SignPower(sympy.Function):
    """``sign(u) |u|^p``; its derivative is ``p AbsPower(u, p-1)``, and for ``p = 0`` a jump."""

    def fdiff(self, argindex=1):
        u, p = self.args
        return p * AbsPower(u, p - 1) if p != 0 else Jump(u)


class Jump(sympy.Function):
    """Zero where ``u`` is not 0; unbounded where it may be: the derivative of a sign."""

    def fdiff(self, argindex=1):
        return Jump(self.args[0])


def _absolute(u):
    return abs(u) if u.is_number else AbsPower(u, sympy.Integer(1))


FUNCTIONS = {
    "sin": sympy.sin, "cos": sympy.cos, "exp": sympy.exp, "log": sympy.log, "sqrt": sympy.sqrt,
    "tanh": sympy.tanh, "sinh": sympy.sinh, "cosh": sympy.cosh, "atan": sympy.atan,
    "abs": _absolute, "Abs": _absolute,
}
CONSTANTS = {"pi": sympy.pi, "E": sympy.E}


def variables(dim):
    """The sympy symbols ``x1 .. xD``."""
    return [sympy.Symbol(f"x{i + 1}", real=True) for i in range(dim)]


def parse(formula, dim):
    """Parse a formula in ``x1 .. xD``.

    Parameters
    ----------
    formula : str
        Numbers, ``pi``, ``E``, ``x1 .. xD`` (``x`` too when ``D = 1``), ``+ - * / **`` with rational
        exponents up to 64, and the functions ``sin cos exp log sqrt tanh sinh cosh atan abs``.
    dim : int
        ``D``.

    Returns
    -------
    sympy.Expr

    Raises
    ------
    InputError
        For anything else, quickly: the length is limited before the formula is looked at.
    """
    require(isinstance(formula, str), "formula", formula, "a string")
    require(len(formula) <= MAXIMUM_LENGTH, "formula", formula, f"at most {MAXIMUM_LENGTH} characters long")
    try:
        tree = ast.parse(formula.strip(), mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        raise InputError(f"formula = {formula[:60]!r}: must be a formula such as sin(2*pi*x1)*exp(x2)") from None
    names = {**CONSTANTS, **{str(v): v for v in variables(dim)}}
    if dim == 1:
        names["x"] = variables(1)[0]
    return _convert(tree, names, formula, 0)


def _convert(node, names, formula, depth):
    def refuse(what):
        raise InputError(f"formula = {formula[:60]!r}: {what}")

    def child(n):
        return _convert(n, names, formula, depth + 1)

    if depth > MAXIMUM_DEPTH:
        refuse(f"nested more than {MAXIMUM_DEPTH} deep")
    if isinstance(node, ast.Constant) and type(node.value) in (int, float):
        if not abs(node.value) < 1e100:
            refuse("a number must be below 1e100")
        return sympy.Rational(repr(node.value))
    if isinstance(node, ast.Name):
        if node.id not in names:
            refuse(f"the name {node.id!r} is not one of {', '.join([*names, *FUNCTIONS])}")
        return names[node.id]
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.UAdd, ast.USub)):
        return child(node.operand) * (-1 if isinstance(node.op, ast.USub) else 1)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow):
        exponent = child(node.right)
        if not exponent.is_Rational or abs(exponent) > MAXIMUM_EXPONENT:
            refuse(f"an exponent must be a rational constant of modulus at most {MAXIMUM_EXPONENT}")
        base = child(node.left)
        if isinstance(base, AbsPower):
            power = base.args[1] * exponent
            if power < 0:
                refuse("a power of an absolute value must be positive")
            return base.args[0] ** power if power.is_integer and power % 2 == 0 else AbsPower(base.args[0], power)
        return _checked(base**exponent, refuse)
    if isinstance(node, ast.BinOp) and isinstance(node.op, (ast.Add, ast.Sub, ast.Mult, ast.Div)):
        a, b = child(node.left), child(node.right)
        if isinstance(node.op, ast.Div) and b.is_zero:
            refuse("division by zero")
        result = {ast.Add: a.__add__, ast.Sub: a.__sub__, ast.Mult: a.__mul__, ast.Div: a.__truediv__}[type(node.op)](b)
        return _checked(result, refuse)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in FUNCTIONS:
        if len(node.args) != 1 or node.keywords:
            refuse(f"{node.func.id} takes one argument")
        return _checked(FUNCTIONS[node.func.id](child(node.args[0])), refuse)
    refuse(f"{type(node).__name__} is not allowed here")


def _checked(expression, refuse):
    """Refuse constants that are not real numbers of sensible size (and stop towers of powers early).

    Where sympy has simplified to an absolute value of its own, that becomes an `AbsPower`.
    """
    if expression.is_number:
        value = complex(expression.evalf(20)) if expression.is_finite is not False else complex("nan")
        if value.imag or not abs(value) < 1e100:
            refuse("a constant must be a real number below 1e100")
    return expression.replace(sympy.Abs, _absolute)


def torch_function(expression, dim):
    """A differentiable torch map (P, D) -> (P,) of a parsed formula."""
    symbols = variables(dim)
    table = {
        sympy.sin: torch.sin, sympy.cos: torch.cos, sympy.exp: torch.exp, sympy.log: torch.log,
        sympy.tanh: torch.tanh, sympy.sinh: torch.sinh, sympy.cosh: torch.cosh, sympy.atan: torch.atan,
    }

    steps, place = [], {}   # each step maps the points and the results of earlier steps to its result

    def compiled(e):
        """The number of the step that computes ``e``."""
        if e in place:
            return place[e]
        if e.is_number:
            step = _constant(float(e))
        elif e in symbols:
            step = _coordinate(symbols.index(e))
        elif e.is_Add or e.is_Mul:
            step = _fold(operator.add if e.is_Add else operator.mul, [compiled(a) for a in e.args])
        elif e.is_Pow:
            step = _power(compiled(e.base), int(e.exp) if e.exp.is_integer else float(e.exp))
        elif isinstance(e, AbsPower):
            step = _absolute_power(compiled(e.args[0]), float(e.args[1]))
        else:
            step = _apply(table[e.func], compiled(e.args[0]))
        steps.append(step)
        place[e] = len(steps) - 1
        return place[e]

    compiled(expression)

    def evaluate(x):
        results = []
        for step in steps:
            results.append(step(x, results))
        return results[-1] if isinstance(results[-1], torch.Tensor) else torch.full_like(x[:, 0], results[-1])

    return evaluate


def _constant(value):
    return lambda x, results: value


def _coordinate(i):
    return lambda x, results: x[:, i]


def _fold(operation, places):
    return lambda x, results: reduce(operation, [results[i] for i in places])


def _power(place, exponent):
    return lambda x, results: results[place] ** exponent


def _absolute_power(place, exponent):
    return lambda x, results: results[place].abs() ** exponent


def _apply(function, place):
    return lambda x, results: function(results[place])
