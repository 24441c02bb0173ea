"""Values of formulas on tensor grids, enclosed (for ``prop-rounding``)."""

from functools import reduce
from operator import add, mul

import numpy as np
import sympy
from jaxtyping import Float64

from lib.formulas import evaluate, fold, variables
from lib.intervals._balls import UNIT, Balls, precision
from lib.intervals._expand import Composed, at_balls

MAXIMUM_EVALUATIONS = 1 << 23  # of a function in several variables: some seconds


def evaluations(expression: sympy.Expr, count: int) -> int:
    """How often the costliest function of a formula is evaluated on a grid with so many points
    in each axis.
    """
    functions = [
        e
        for e in _parts(expression)
        if not (e.is_Add or e.is_Mul or e.is_Pow and e.exp == 2) and e.args
    ]
    return max((count ** len(e.free_symbols) for e in functions), default=0)


def _parts(expression):
    yield expression
    for a in expression.args:
        yield from _parts(a)


class _Values(Composed):
    """Values are `Balls` whose shape has the axes that they depend on, of length 1 the others."""

    def number(self, e):
        return Balls.from_flint([evaluate(e)], ())

    def add(self, *parts):
        return reduce(add, parts)

    def multiply(self, *parts):
        return reduce(mul, parts)

    def compose(self, series, u):
        found = at_balls(series, Balls(u.mid.ravel(), u.rad.ravel()), 0)
        return Balls(found.mid[0].reshape(u.shape), found.rad[0].reshape(u.shape))


def values_near(
    expression: sympy.Expr, axes: list[Float64[np.ndarray, " _"]]
) -> tuple[Float64[np.ndarray, "*S"], Float64[np.ndarray, "*S"]]:
    """A formula on a tensor grid of the cube whose coordinates are known up to one rounding, 0 and
    1 exactly.

    Parameters
    ----------
    expression : sympy.Expr
    axes : list of float64 arrays, each of shape (n,)
        The coordinates of each axis.

    Returns
    -------
    mid, rad : float64 arrays, shapes (n_1, .., n_D)
        The values at all points within a relative ``2^-53`` of each coordinate are within ``rad``
        of ``mid``; infinite where nothing is known.  A function of one coordinate is evaluated once
        for each value of that.
    """
    dim = len(axes)
    known = {}
    for k, (symbol, x) in enumerate(zip(variables(dim), axes)):
        x = x.reshape(-1, *[1] * (dim - 1 - k))
        known[symbol] = Balls(x, UNIT * np.abs(x) * (x != 1))

    with precision():
        found = fold(expression, _Values(known, dim))
        shape = tuple(map(len, axes))
    return np.broadcast_to(found.mid, shape), np.broadcast_to(found.rad, shape)
