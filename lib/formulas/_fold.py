"""One walk over a formula for all who read it, each of whom is an algebra: a rule for every way in
which values are made of values
(book: chapter 10).
"""

from functools import lru_cache
from typing import Any, NamedTuple, NoReturn

import sympy

from lib.errors import InputError
from lib.formulas._powers import AbsPower, Jump, SignPower
from lib.formulas._table import TABLE


def no_rule(expression) -> NoReturn:
    """Refuse an operation that is not in a table; what sympy has besides the whitelist is never
    guessed at.
    """
    raise InputError(
        f"formula = {str(expression)[:60]!r}: {expression.func.__name__} has no rule; a formula"
        " must be made of numbers, variables, + - * /, powers with rational exponents and the"
        " functions lib.formulas.parse names"
    )


class Algebra:
    """The rules of one reader, for values of any one kind.

    A method that a reader lacks is an operation it refuses: ``number(e)`` of a constant,
    ``add(u, v, ..)``, ``multiply(u, v, ..)``, ``power(u, p, base)`` with ``p`` rational and the
    formula of ``u``, ``absolute(u, p)`` for ``|u|^p``, ``signed(u, p)`` for ``sign(u) |u|^p``,
    ``jump(u)``, and ``function(row, u)`` with a row of the table.

    Parameters
    ----------
    known : dict
        Values of the symbols.
    """

    def __init__(self, known: dict) -> None:
        self._known = known

    def symbol(self, e: sympy.Symbol) -> Any:
        """The value of a symbol."""
        if e not in self._known:
            no_rule(e)
        return self._known[e]


class _Step(NamedTuple):
    """A part of a formula: the method of an algebra that makes its value, from the values of which
    earlier steps, and what else it is told.
    """

    method: str
    parts: tuple
    told: tuple
    expression: sympy.Expr


def _step(e):
    """The step of the outermost operation of a formula, with the formulas of its parts."""
    if e.is_number:
        return _Step("number", (), (e,), e)
    if e.is_Symbol:
        return _Step("symbol", (), (e,), e)
    return operation(e)


def operation(e):
    """As `_step`, also for constants; of those that are not made of others there is none.

    Raises
    ------
    InputError
        If no algebra has a rule.
    """
    if e.is_Add or e.is_Mul:
        return _Step("add" if e.is_Add else "multiply", e.args, (), e)
    if e.is_Pow and e.exp.is_Rational:
        return _Step("power", (e.base,), (e.exp, e.base), e)
    if e.func in (AbsPower, SignPower):
        return _Step("absolute" if e.func is AbsPower else "signed", e.args[:1], e.args[1:], e)
    if e.func is Jump:
        return _Step("jump", e.args, (), e)
    if e.func in TABLE:
        return _Step("function", e.args, (e.func,), e)
    no_rule(e)


@lru_cache(maxsize=512)
def _steps(expression):
    """The distinct parts of a formula, each after its own parts."""
    place = {}
    found = []

    def visit(e):
        if e not in place:
            step = _step(e)
            step = step._replace(parts=tuple(map(visit, step.parts)))
            found.append(step)
            place[e] = len(found) - 1
        return place[e]

    visit(expression)
    return found


def apply(algebra, step, parts):
    """The value of a step, of the values of its parts."""
    rule = getattr(algebra, step.method, None)
    if rule is None:
        no_rule(step.expression)
    if step.method == "function":
        return rule(TABLE[step.told[0]], *parts)
    return rule(*parts, *step.told)


def fold(expression: sympy.Expr, algebra: Algebra) -> Any:
    """The value of a formula in an algebra: equal parts are evaluated once.

    Raises
    ------
    InputError
        For an operation of which the table or the algebra has no rule.
    """
    values: list[Any] = []
    for step in _steps(expression):
        values.append(apply(algebra, step, [values[i] for i in step.parts]))
    return values[-1]
