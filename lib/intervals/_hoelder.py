"""Hoelder seminorms of the derivatives of formulas over many boxes at once (book: ``lem-hoelder``).

A `Hoelder` is what is known over a box of a function: enclosures of its Taylor coefficients of
degree at most ``k`` at every point of the box, and for each of them a bound of its seminorm along
one of the variables, which run from -1 to 1.
"""

from typing import Any

import numpy as np
import sympy
from jaxtyping import Float64

from lib.formulas import fold
from lib.intervals._balls import Balls, precision, up
from lib.intervals._expand import Composed, at_balls, constant_balls, cube_of, is_constant
from lib.intervals._taylor import Taylor, exponents


class Hoelder:
    """Taylor coefficients over boxes and their seminorms; sums and products of them are raw, see
    `tightened`.

    Attributes
    ----------
    over : Taylor
        Of order ``k``.
    seminorms : float64 array, shape (n, P)
        Bounds for the coefficients, along the variable ``axis``, with the exponent ``beta``.
    """

    __array_ufunc__ = None

    def __init__(
        self, over: Taylor, seminorms: Float64[np.ndarray, "n P"], axis: int, beta: float
    ) -> None:
        self.over = over
        self.axis = axis
        self.beta = beta
        self.seminorms = np.where(np.isnan(seminorms), np.inf, seminorms)

    def tightened(self) -> "Hoelder":
        """With what steepest slopes say of all seminorms but those of the highest degree."""
        found = self.seminorms.copy()
        if self.over.order:
            steep = self._lipschitz(self.over)
            found[: len(steep)] = np.fmin(found[: len(steep)], steep)
        return self._like(self.over, found)

    def _lipschitz(self, over):
        """Seminorms of coefficients of lower order: steepest slope, and distances up to 2."""
        return up(over.derivative(self.axis).coefficients.size * 2 ** (1 - self.beta))

    @classmethod
    def of_smooth(cls, over: Taylor, axis: int, beta: float) -> "Hoelder":
        """From an expansion over the boxes of one order more."""
        count = len(exponents(over.dim, over.order - 1))
        found = cls(
            Taylor(over.coefficients[:count], over.dim, over.order - 1),
            np.full((count, over.coefficients.shape[1]), np.inf),
            axis,
            beta,
        )
        found.seminorms = found._lipschitz(over)
        return found

    def _like(self, over, seminorms):
        return Hoelder(over, seminorms, self.axis, self.beta)

    def _taylor(self, sizes):
        return Taylor(Balls(sizes), self.over.dim, self.over.order)

    def __neg__(self):
        return self._like(-self.over, self.seminorms)

    def __add__(self, other):
        if isinstance(other, Hoelder):
            return self._like(self.over + other.over, up(self.seminorms + other.seminorms))
        return self._like(self.over + other, self.seminorms)

    __radd__ = __add__

    def __mul__(self, other):
        if not isinstance(other, Hoelder):
            return self._like(self.over * other, up(self.seminorms * np.abs(_size(other))))
        sizes = [self._taylor(u.over.coefficients.size) for u in (self, other)]
        rough = [self._taylor(u.seminorms) for u in (self, other)]
        total = sizes[0] * rough[1] + rough[0] * sizes[1]
        return self._like(self.over * other.over, total.coefficients.size)

    __rmul__ = __mul__

    def square(self) -> "Hoelder":
        """The product with itself."""
        return self._like(self.over.square(), (self * self).seminorms).tightened()

    def compose(self, series: Balls, seminorms: Float64[np.ndarray, "k P"]) -> "Hoelder":
        """``g`` of this, for the coefficients ``g^(j) / j!``, ``j = 0, .., k``, over its constant
        term, and bounds of the seminorms of these as functions on the box.
        """
        c, first = self.over.coefficients, np.zeros(self.seminorms.shape)
        step = self._like(
            Taylor(
                Balls(
                    np.concatenate([first[:1], c.mid[1:]]), np.concatenate([first[:1], c.rad[1:]])
                ),
                self.over.dim,
                self.over.order,
            ),
            np.concatenate([first[:1], self.seminorms[1:]]),
        )

        def constant(j):
            rough = first.copy()
            rough[0] = seminorms[j]
            return self._like(self._taylor(first) + series[j], rough)

        result = constant(self.over.order)
        for j in range(self.over.order - 1, -1, -1):
            result = result * step + constant(j)
        return result

    def outer(self, series: Balls) -> Float64[np.ndarray, "k P"]:
        """Bounds of the seminorms of ``g^(j) / j!`` of the constant term, ``j = 0, .., k``, from
        coefficients up to ``k + 1``.
        """
        count = np.arange(1.0, self.over.order + 2)[:, None]
        with np.errstate(invalid="ignore"):
            return up(count * series.size[1:] * self.seminorms[0])

    def root(self, exponent: sympy.Rational, constant: float) -> Float64[np.ndarray, " P"]:
        """The seminorm of ``g`` of the constant term ``u`` where ``|g(a) - g(b)| <= constant |a -
        b|^exponent``, ``beta <= exponent < 1``, from the steepest slope of ``u`` and the width of
        its ball.
        """
        rest = float(exponent) - self.beta
        ball = self.over.coefficients[0]
        row = int(np.flatnonzero(exponents(self.over.dim, 1)[1:, self.axis])[0]) + 1
        steep = self.over.coefficients[row].size
        swing = up(2 * ball.rad)
        return constant * up(steep**self.beta * np.minimum(swing**rest, (2 * steep) ** rest))


def _size(other):
    return other.size if isinstance(other, Balls) else other


class _Rough(Composed):
    """Values are `Hoelder`, those of constants balls (P,)."""

    def __init__(self, known, beta):
        first = {s: u.over for s, u in known.items()}
        super().__init__(known, cube_of(first))
        self._beta = beta
        self._boxes = next(iter(first.values())).coefficients.shape[1]

    def number(self, e):
        return constant_balls(e, self._boxes)

    def add(self, *parts):
        return super().add(*parts).tightened()

    def multiply(self, *parts):
        return super().multiply(*parts).tightened()

    def compose(self, series, u):
        return self.root(series, u, sympy.Integer(0), False)

    def root(self, series, u, p, signed):
        k = u.over.order
        found = at_balls(series, u.over.coefficients[0], k + 1)
        seminorms = u.outer(found)
        left = p - k
        if self._beta <= left < 1 and not p.is_Integer:
            factor = abs(float(sympy.binomial(p, k))) * (1 + 2.0**-40)
            other_sign = signed != (k % 2 == 1)  # g^(k) changes its sign at 0
            two_sided = 2.0 ** (1 - float(left)) if other_sign else 1.0
            seminorms[k] = np.fmin(seminorms[k], u.root(left, factor * two_sided))
        return u.compose(found[: k + 1], seminorms).tightened()


def hoelder_expand(
    expression: sympy.Expr, variables: dict, axis: int, beta: sympy.Rational
) -> Hoelder:
    """What is known of a formula over boxes.

    Parameters
    ----------
    expression : sympy.Expr
        As `lib.formulas.parse` returns them.
    variables : dict
        Expansions of its symbols over the boxes, `Taylor` of order ``k + 1``.
    axis : int
        Of the variables of the expansions.
    beta : sympy.Rational
        The exponent, ``0 < beta < 1``.

    Returns
    -------
    Hoelder
        Of order ``k``; infinite where nothing is known.

    Raises
    ------
    InputError
        For a function without a rule.
    """
    known = {s: Hoelder.of_smooth(u, axis, float(beta)) for s, u in variables.items()}
    with precision(), np.errstate(over="ignore", invalid="ignore"):
        found: Any = fold(expression, _Rough(known, beta))
    if is_constant(found):
        first = next(iter(known.values()))
        zero = first._taylor(np.zeros(first.seminorms.shape))
        return first._like(zero + found, np.zeros(first.seminorms.shape))
    return found
