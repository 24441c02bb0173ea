"""Formulas as data: a whitelist parser into sympy (book: chapter 05).

A formula string is never evaluated as Python: its syntax tree is walked and anything outside the
whitelist is refused.
"""

import ast
from decimal import Decimal, InvalidOperation

import sympy
from flint import arb, ctx

from lib.errors import InputError, require
from lib.formulas._numbers import evaluate
from lib.formulas._powers import AbsPower
from lib.formulas._table import TABLE

MAXIMUM_LENGTH = 1000
MAXIMUM_DEPTH = 60
MAXIMUM_EXPONENT = 64
MAXIMUM_BITS = 1 << 17  # of a rational constant
LARGEST = 10**100  # modulus of a constant; the smallest is its reciprocal
_LIMITS = "0 or of modulus from 1e-100 to below 1e100"
# of the balls in which constants are compared with these: 1e100 is known to 1e-200 and better
_BITS = 1024


def _absolute(u):
    return abs(u) if u.is_number else AbsPower(u, sympy.Integer(1))


# the table, and what is made of powers
FUNCTIONS = {
    **{row.name: row.function for row in TABLE.values()},
    "sqrt": sympy.sqrt,
    "abs": _absolute,
    "Abs": _absolute,
}
CONSTANTS = {"pi": sympy.pi, "E": sympy.E}


def variables(dim: int) -> list[sympy.Symbol]:
    """The sympy symbols ``x1 .. xD``."""
    return [sympy.Symbol(f"x{i + 1}", real=True) for i in range(dim)]


def _with_list(function):
    """The functions of the table for ``{FUNCTIONS}`` in a docstring, if there are docstrings."""
    if function.__doc__:
        function.__doc__ = function.__doc__.replace("{FUNCTIONS}", " ".join(FUNCTIONS))
    return function


@_with_list
def parse(formula: str | sympy.Expr, dim: int) -> sympy.Expr:
    """Parse a formula in ``x1 .. xD``.

    Parameters
    ----------
    formula : str
        Numbers, ``pi``, ``E``, ``x1 .. xD`` (``x`` too when ``D = 1``), ``+ - * /``, ``**`` with
        rational exponents up to 64 or with a positive constant for its base, and the functions
        ``{FUNCTIONS}``.
        Decimals are taken exactly, digit by digit.  A constant, written or arisen from others, must
        be 0 or of modulus from 1e-100 to below 1e100.
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
    require(
        len(formula) <= MAXIMUM_LENGTH,
        "formula",
        formula,
        f"at most {MAXIMUM_LENGTH} characters long",
    )
    source = formula.strip()
    try:
        tree = ast.parse(source, mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        raise InputError(
            f"formula = {formula[:60]!r}: must be a formula such as sin(2*pi*x1)*exp(x2), "
            "each product with a star (2*x1, not 2x1)"
        ) from None
    names = {**CONSTANTS, **{str(v): v for v in variables(dim)}}
    if dim == 1:
        names["x"] = variables(1)[0]
    expression = _convert(tree, names, source, 0)
    _check_constants(expression, _refusal(formula))
    return expression


def _refusal(formula):
    def refuse(what):
        raise InputError(f"formula = {formula[:60]!r}: {what}")

    return refuse


def _convert(node, names, formula, depth):
    refuse = _refusal(formula)

    def child(n):
        return _convert(n, names, formula, depth + 1)

    if depth > MAXIMUM_DEPTH:
        refuse(f"nested more than {MAXIMUM_DEPTH} deep")
    if isinstance(node, ast.Constant) and type(node.value) in (int, float):
        return _number(node, formula, refuse)
    if isinstance(node, ast.Name):
        if node.id not in names:
            refuse(f"the name {node.id!r} is not one of {', '.join([*names, *FUNCTIONS])}")
        return names[node.id]
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.UAdd, ast.USub)):
        return child(node.operand) * (-1 if isinstance(node.op, ast.USub) else 1)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow):
        exponent = child(node.right)
        return _checked(_power(child(node.left), exponent, refuse), refuse)
    if isinstance(node, ast.BinOp) and isinstance(node.op, (ast.Add, ast.Sub, ast.Mult, ast.Div)):
        a, b = child(node.left), child(node.right)
        if isinstance(node.op, ast.Div) and b.is_zero:
            refuse("division by zero")
        result = {
            ast.Add: a.__add__,
            ast.Sub: a.__sub__,
            ast.Mult: a.__mul__,
            ast.Div: a.__truediv__,
        }[type(node.op)](b)
        return _checked(result, refuse)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in FUNCTIONS:
        if len(node.args) != 1 or node.keywords:
            refuse(f"{node.func.id} takes one argument")
        return _checked(FUNCTIONS[node.func.id](child(node.args[0])), refuse)
    refuse(_what_to_write(node))


def _power(base, exponent, refuse):
    """A rational power, or an exponential as `exp` of something."""
    if not exponent.is_number and _is_positive(base):
        return sympy.exp(sympy.log(base) * exponent)
    if not exponent.is_Rational or abs(exponent) > MAXIMUM_EXPONENT:
        refuse(
            f"an exponent must be a rational constant of modulus at most {MAXIMUM_EXPONENT}, or"
            " the base a positive constant as in 2**x1 and E**x1; for x1**x2 write"
            " exp(x2*log(x1))"
        )
    if isinstance(base, AbsPower):
        power = base.args[1] * exponent
        if power < 0:
            refuse("a power of an absolute value must be positive")
        return (
            base.args[0] ** power
            if power.is_integer and power % 2 == 0
            else AbsPower(base.args[0], power)
        )
    bits = sum(int(q.p).bit_length() + int(q.q).bit_length() for q in base.atoms(sympy.Rational))
    if bits * abs(exponent) > MAXIMUM_BITS:
        refuse("a power of a constant would have too many digits")
    return base**exponent


def _is_positive(base):
    """Whether this is a positive constant."""
    with ctx.workprec(_BITS):
        return base.is_number and evaluate(base) > 0


def _what_to_write(node):
    """What is wrong with a part of a formula that no rule takes, in the words of formulas."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitXor):
        return "a power is written **, not ^"
    if isinstance(node, ast.Call):
        name = ast.unparse(node.func)[:40]
        return f"the function {name} is not one of {', '.join(FUNCTIONS)}"
    if isinstance(node, ast.Constant):
        return f"{node.value!r:.40} is not a number"
    return (
        f"{ast.unparse(node)[:40]!r} is no sum, product, quotient, power or function of numbers and"
        " coordinates"
    )


def _number(node, source, refuse):
    """A literal exactly as it is written; the parser itself would round decimals to floats."""
    written = ast.get_source_segment(source, node)
    text = str(node.value) if isinstance(node.value, int) else str(written)
    try:
        value = Decimal(text)
    except InvalidOperation:  # an exponent of more than 18 digits
        value = Decimal("inf")
    if value and not Decimal(1).scaleb(-100) <= value < LARGEST:
        refuse(f"the number {text[:40]} must be {_LIMITS}")
    return sympy.Rational(*value.as_integer_ratio())


def _checked(expression, refuse):
    """Refuse constants that are not real numbers of sensible size (and stop towers of powers
    early).

    Where sympy has simplified to an absolute value of its own, that becomes an `AbsPower`.
    """
    if expression.is_number:
        _check_constants(expression, refuse)
    if not expression.has(sympy.Abs):
        return expression
    expression = expression.replace(sympy.Abs, _absolute)
    return expression.replace(
        lambda e: e.is_Pow and isinstance(e.base, AbsPower) and e.exp.is_Rational and e.exp > 0,
        lambda e: AbsPower(e.base.args[0], e.base.args[1] * e.exp),
    )


def _check_constants(expression, refuse):
    """Refuse a formula with a constant, or a product of constants, that is neither 0 nor of
    sensible size, or not real.
    """
    for e in sympy.preorder_traversal(expression):
        if e.is_Pow and not abs(e.exp) <= MAXIMUM_EXPONENT:
            refuse(
                f"an exponent must be of modulus at most {MAXIMUM_EXPONENT}, also that of a power"
                " of a power"
            )
        if e.is_number:
            _check_constant([e], refuse)
        elif e.is_Mul:
            _check_constant([a for a in e.args if a.is_number], refuse)


def _check_constant(factors, refuse):
    if len(factors) == 1 and factors[0].is_Rational:
        p = abs(int(factors[0].p))
        q = int(factors[0].q)
        if p and not (q <= p * LARGEST and p < q * LARGEST):
            refuse(f"the constant {str(factors[0])[:40]} must be {_LIMITS}")
        return
    with ctx.workprec(_BITS):
        try:
            value = arb(1)
            for a in factors:
                value *= evaluate(a)
        except InputError:  # sympy's infinities and imaginary unit
            value = arb("nan")
        if not (
            value.is_zero() or value.abs_lower() * LARGEST >= 1 and value.abs_upper() < LARGEST
        ):
            shown = str(factors[0] if len(factors) == 1 else sympy.Mul(*factors, evaluate=False))
            refuse(f"the constant {shown[:40]} must be a real number, {_LIMITS}")
