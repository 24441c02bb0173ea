"""Expansions and values of formulas, by one rule: what is no sum and no product is composed of the
series of its outermost function (for ``lem-taylor``).
"""

from functools import cache, reduce
from operator import add, mul

import numpy as np
import sympy

from lib.formulas import (
    Algebra,
    evaluate,
    fold,
    jump_series,
    modulus_series,
    nonnegative_on_cube,
    nonnegative_power_series,
    power_series,
)
from lib.formulas import variables as coordinates
from lib.intervals._balls import Balls, precision
from lib.intervals._taylor import Taylor

_BEYOND = 1e-9  # by which rounding may put a ball beyond the cube
_is_nonnegative = cache(nonnegative_on_cube)


def at_balls(series, value, order):
    """Coefficients of an elementary function around (over) balls (P,): balls (order + 1, P).

    Equal balls, as functions of one coordinate have on a grid, are evaluated once.
    """
    distinct, place = np.unique(np.stack([value.mid, value.rad]), axis=1, return_inverse=True)
    columns = [series(a, order) for a in Balls(*distinct).flint()]
    return Balls.from_flint((c for row in zip(*columns) for c in row), (order + 1, len(columns)))[
        :, place.reshape(-1)
    ]


class Composed(Algebra):
    """What expansions and values have in common: ``compose(series, u)`` and ``u.square()``.

    Parameters
    ----------
    known : dict
        Values of the symbols.
    cube : int
        The dimension, if the symbols are the coordinates of points of the cube, else 0.
    """

    def __init__(self, known, cube):
        super().__init__(known)
        self._cube = cube

    def add(self, *parts):
        return reduce(add, sorted(parts, key=is_constant))

    def multiply(self, *parts):
        return reduce(mul, sorted(parts, key=is_constant))

    def compose(self, series, u):
        raise NotImplementedError

    def root(self, series, u, p, signed):
        """``|u|^p``, with the sign of ``u`` if ``signed``."""
        return self.compose(series, u)

    def power(self, u, p, base):
        if p == 2:
            return u.square()
        roots = self._cube and not p.is_Integer and _is_nonnegative(base, self._cube)
        return self.root((nonnegative_power_series if roots else power_series)(p), u, p, False)

    def absolute(self, u, p):
        return self.root(modulus_series(p), u, p, False)

    def signed(self, u, p):
        return self.root(modulus_series(p, signed=True), u, p, True)

    def jump(self, u):
        return self.compose(jump_series, u)

    def function(self, row, u):
        return self.compose(row.series, u)


class _Expansions(Composed):
    """Values are `Taylor`, those of constants balls (P,)."""

    def __init__(self, known):
        super().__init__(known, cube_of(known))
        self._boxes = next(iter(known.values())).coefficients.shape[1]

    def number(self, e):
        return constant_balls(e, self._boxes)

    def compose(self, series, u):
        return u.compose(at_balls(series, u.coefficients[0], u.order))


def constant_balls(e, boxes):
    """A constant as balls (P,)."""
    return Balls.from_flint([evaluate(e)], ()) * np.ones(boxes)


def is_constant(u):
    """Whether a value is that of a constant: balls."""
    return isinstance(u, Balls)


def cube_of(variables):
    """The dimension, if these are the coordinates of points of the cube, else 0."""
    first = [v.coefficients[0] for v in variables.values()]
    inside = all((c.lower >= -_BEYOND).all() and (c.upper <= 1 + _BEYOND).all() for c in first)
    return len(first) if inside and list(variables) == coordinates(len(first)) else 0


def expand(expression: sympy.Expr, variables: dict) -> Taylor:
    """The expansion of a formula.

    Parameters
    ----------
    expression : sympy.Expr
        As `lib.formulas.parse` returns them.
    variables : dict
        `Taylor` expansions of its symbols.

    Returns
    -------
    Taylor
        Enclosures of the coefficients; infinite where a function is not defined or not smooth
        enough.

    Raises
    ------
    InputError
        For a function without a rule.

    Notes
    -----
    The base of a fractional power that is proved to be non-negative on ``[0,1]^D`` is taken to be
    so over boxes of the cube where its ball, by rounding or overestimation, reaches below 0.
    """
    example = next(iter(variables.values()))
    with precision():
        found = fold(expression, _Expansions(variables))
    if is_constant(found):
        zero = Taylor(Balls(np.zeros(example.coefficients.shape)), example.dim, example.order)
        return zero + found
    return found
