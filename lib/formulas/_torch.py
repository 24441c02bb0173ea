"""Formulas as differentiable torch maps that refuse what underflows (book: chapter 05)."""

from collections.abc import Callable
from typing import Any

import sympy
import torch
from flint import ctx
from torch import Tensor

from lib.errors import require
from lib.formulas._fold import Algebra, fold
from lib.formulas._formula import variables
from lib.formulas._numbers import evaluate

_BITS = 1024  # of the balls in which constants are rounded to nearest
_NORMAL = 2.0**-1022  # below it float64 loses digits


def torch_function(expression: sympy.Expr, dim: int) -> Callable[[Tensor], Tensor]:
    """A differentiable torch map (P, D) -> (P,) of a parsed formula, or of a derivative of one; it
    can be pickled.

    Raises
    ------
    InputError
        For an operation outside the whitelist and a constant that is no normal float64 number; when
        called, where something on the way underflows and that matters: if the result changes, by
        more than a rounding and 1e-100, when all that has underflowed is replaced by the smallest
        normal number.
    """
    return _Function(expression, dim)


class _Function:
    """See `torch_function`."""

    def __init__(self, expression, dim):
        self._expression, self._dim = expression, dim
        steps = _Steps(variables(dim))
        fold(expression, steps)
        self._steps = steps.found

    def __reduce__(self):
        return _Function, (self._expression, self._dim)

    def _run(self, x, watch):
        results: list[Any] = []
        for step in self._steps:
            results.append(step(x, results, watch))
        return (
            results[-1]
            if isinstance(results[-1], torch.Tensor)
            else torch.full_like(x[:, 0], results[-1])
        )

    def __call__(self, x):
        watch = _Watch()
        values = self._run(x, watch)
        if watch.seen:
            with torch.no_grad():
                change = (self._run(x, _Watch(replace=True)) - values).abs()
                matters = values.isfinite() & ~(change <= 1e-100 + 2.0**-52 * values.abs())
                require(
                    not bool(matters.any()),
                    "formula",
                    self._expression,
                    "such that no number on the way is below 2e-308 in modulus where that changes"
                    " its value",
                )
        return values


class _Steps(Algebra):
    """Values are numbers of steps, each of which maps the points, the results of earlier steps and
    a `_Watch` to its result.
    """

    def __init__(self, symbols):
        super().__init__({s: i for i, s in enumerate(symbols)})
        self.found = []

    def _then(self, step):
        self.found.append(step)
        return len(self.found) - 1

    def symbol(self, e):
        return self._then(_coordinate(super().symbol(e)))

    def number(self, e):
        return self._then(_constant(_float(e)))

    def add(self, *places):
        return self._then(_sum(places))

    def multiply(self, *places):
        return self._then(_product(places))

    def power(self, place, p, base):
        return self._then(_power(place, int(p) if p.is_integer else float(p)))

    def absolute(self, place, p):
        return self._then(_absolute_power(place, float(p), False))

    def signed(self, place, p):
        return self._then(_absolute_power(place, float(p), True))

    def function(self, row, place):
        return self._then(_apply(row, place))


def _float(e):
    """A constant, rounded to nearest."""
    with ctx.workprec(_BITS):
        value = evaluate(e)
        rounded = float(value.mid())
    require(
        value.is_zero() or _is_normal(rounded),
        "formula",
        e,
        "of constants that are normal float64 numbers",
    )
    return rounded


def _is_normal(value):
    return _NORMAL <= abs(value) < float("inf")


class _Watch:
    """Looks for results that have lost digits to underflow; if asked to, puts the smallest
    normal number in their place.
    """

    def __init__(self, replace=False):
        self.seen, self._replace = 0, replace

    def __call__(self, result, *operands):
        """The result of an operation that is zero only if one of the operands is."""
        if not isinstance(result, torch.Tensor):
            require(
                _is_normal(result),
                "formula",
                result,
                "of constants whose products are normal float64 numbers",
            )
            return result
        lost = result.detach().abs() < _NORMAL
        if lost.any():
            for operand in operands:
                lost = lost & (operand != 0)
            if lost.any():
                self.seen += 1
                if self._replace:  # each time a little more, so that two of them do not cancel
                    least = torch.full_like(result, _NORMAL * (1 + self.seen / 8))
                    return torch.where(lost, torch.copysign(least, result), result)
        return result


def _constant(value):
    return lambda x, results, watch: value


def _coordinate(i):
    return lambda x, results, watch: x[:, i]


def _sum(places):
    def step(x, results, watch):
        total = results[places[0]]
        for i in places[1:]:
            total = total + results[i]
        return total

    return step


def _product(places):
    def step(x, results, watch):
        total = results[places[0]]
        for i in places[1:]:
            total = watch(total * results[i], total, results[i])
        return total

    return step


def _power(place, exponent):
    return lambda x, results, watch: watch(results[place] ** exponent, results[place])


def _absolute_power(place, exponent, signed):
    def step(x, results, watch):
        u = results[place]
        size = watch(u.abs() ** exponent, u)
        return u.sign() * size if signed else size

    return step


def _apply(row, place):
    if row.vanishes:
        return lambda x, results, watch: watch(row.torch(results[place]))
    return lambda x, results, watch: row.torch(results[place])
