"""Taylor expansions over many boxes at once, with enclosed coefficients (book: ``lem-taylor``)."""

from collections.abc import Sequence
from functools import cache
from itertools import product
from typing import Any

import numpy as np
from jaxtyping import Float64, Int

from lib.intervals._balls import UNIT, Balls, up

_PAIRS = 1 << 21  # numbers in the table of a product


@cache
def exponents(dim: int, order: int) -> Int[np.ndarray, "n d"]:
    """The multi-indices ``|nu| <= order``, by degree: int array (n, dim)."""
    found = [nu for nu in product(range(order + 1), repeat=dim) if sum(nu) <= order]
    return np.array(sorted(found, key=lambda nu: (sum(nu), nu[::-1]))).reshape(-1, dim)


@cache
def _products(dim, order):
    """Which pairs of coefficients make which coefficient of a product: left, right, first pair
    of each.
    """
    powers = exponents(dim, order)
    place = {tuple(nu): i for i, nu in enumerate(powers)}
    pairs = sorted(
        (place[tuple(a + b)], i, j)
        for i, a in enumerate(powers)
        for j, b in enumerate(powers)
        if a.sum() + b.sum() <= order
    )
    out, left, right = map(np.array, zip(*pairs))
    return left, right, np.flatnonzero(np.diff(out, prepend=-1)), np.bincount(out)[:, None]


@cache
def _shifts(dim, order, axis):
    """The derivative along an axis: which coefficients it reads and by what they are multiplied."""
    place = {tuple(nu): i for i, nu in enumerate(exponents(dim, order))}
    lower = exponents(dim, order - 1)
    step = np.eye(dim, dtype=int)[axis]
    return np.array([place[tuple(nu + step)] for nu in lower]), (lower[:, axis] + 1.0)[:, None]


class Taylor:
    """Coefficients of ``sum_nu c_nu s^nu``, ``|nu| <= order``, in ``dim`` variables, for many
    boxes.

    Attributes
    ----------
    coefficients : Balls, shape (n, P)
        In the order of `exponents`.
    """

    __array_ufunc__ = None

    def __init__(self, coefficients: Balls, dim: int, order: int) -> None:
        self.coefficients = coefficients
        self.dim = dim
        self.order = order

    @classmethod
    def variable(cls, value: Balls, slope: Any, axis: int, dim: int, order: int) -> "Taylor":
        """``value + slope s_axis``: balls (P,) and a float array or balls (P,)."""
        slope = slope if isinstance(slope, Balls) else Balls(np.broadcast_to(slope, value.shape))
        mid, rad = np.zeros((2, len(exponents(dim, order)), *value.shape))
        mid[0], rad[0] = value.mid, value.rad
        row = int(np.flatnonzero((exponents(dim, order) == np.eye(dim, dtype=int)[axis]).all(1))[0])
        mid[row], rad[row] = slope.mid, slope.rad
        return cls(Balls(mid, rad), dim, order)

    def __getitem__(self, part):
        """Some of the boxes."""
        return self._like(self.coefficients[:, part])

    def _like(self, coefficients):
        return Taylor(coefficients, self.dim, self.order)

    def __neg__(self):
        return self._like(-self.coefficients)

    def __add__(self, other):
        if isinstance(other, Taylor):
            return self._like(self.coefficients + other.coefficients)
        c = self.coefficients
        first = c[0] + other
        return self._like(
            Balls(
                np.concatenate([first.mid[None], c.mid[1:]]),
                np.concatenate([first.rad[None], c.rad[1:]]),
            )
        )

    __radd__ = __add__

    def __sub__(self, other):
        return self + (-other)

    def __mul__(self, other):
        if not isinstance(other, Taylor):
            return self._like(self.coefficients * other)
        left, right, starts, counts = _products(self.dim, self.order)
        a, b = self.coefficients, other.coefficients
        size = max(1, _PAIRS // len(left))
        if a.shape[1] > size:
            return self._like(
                _joined(
                    [
                        (
                            self._like(a[:, i : i + size]) * self._like(b[:, i : i + size])
                        ).coefficients
                        for i in range(0, a.shape[1], size)
                    ]
                )
            )
        p = a[left] * b[right]
        with np.errstate(invalid="ignore"):
            mid = np.add.reduceat(p.mid, starts, axis=0)
            rad = np.add.reduceat(p.rad, starts, axis=0) + counts * UNIT * np.add.reduceat(
                np.abs(p.mid), starts, axis=0
            )
        return self._like(Balls(mid, up(rad, int(counts.max()))))

    __rmul__ = __mul__

    def square(self) -> "Taylor":
        """The product with itself, never negative."""
        c = (self * self).coefficients
        c[:1] = self.coefficients[:1].square()
        return self._like(c)

    def compose(self, series: Balls) -> "Taylor":
        """``g`` of this, for the coefficients ``g^(k) / k!`` at (or over) its constant term:
        balls (order + 1, P).
        """
        c = self.coefficients
        mid = c.mid.copy()
        rad = c.rad.copy()
        mid[0], rad[0] = 0.0, 0.0
        step = self._like(Balls(mid, rad))
        result = self._like(Balls(np.zeros_like(mid))) + series[self.order]
        for k in range(self.order - 1, -1, -1):
            result = result * step + series[k]
        return result

    def derivative(self, axis: int) -> "Taylor":
        """The derivative along an axis, one order less."""
        rows, factors = _shifts(self.dim, self.order, axis)
        return Taylor(self.coefficients[rows] * factors, self.dim, self.order - 1)

    def polynomial(self, coefficients: Sequence) -> Any:
        """A polynomial of this with coefficients given from the constant on, by Horner's rule."""
        result = self._like(Balls(np.zeros(self.coefficients.shape))) + coefficients[-1]
        for c in coefficients[-2::-1]:
            result = result * self + c
        return result


def _joined(parts):
    return Balls(
        np.concatenate([p.mid for p in parts], axis=1),
        np.concatenate([p.rad for p in parts], axis=1),
    )


def span(
    centre: Taylor, over: Taylor
) -> tuple[Float64[np.ndarray, " P"], Float64[np.ndarray, " P"]]:
    """Enclose a function over the boxes ``|s_i| <= 1`` from two expansions of it (``lem-taylor``).

    Parameters
    ----------
    centre, over : Taylor
        The coefficients at the middle of each box, and those found with the whole box for the
        middle.

    Returns
    -------
    lower, upper : float arrays (P,)
        The best over all orders ``q``: coefficients of degree below ``q`` from the first, ``q``
        from the second.
    """
    powers = exponents(centre.dim, centre.order)
    degree = powers.sum(1)
    even = (powers % 2 == 0).all(1)[:, None]

    def ends(c):
        low, high, size = c.lower, c.upper, c.size
        return np.where(even, np.minimum(low, 0), -size), np.where(even, np.maximum(high, 0), size)

    low, high = ends(centre.coefficients)
    low[0], high[0] = centre.coefficients.lower[0], centre.coefficients.upper[0]
    last_low, last_high = ends(over.coefficients)
    best_low = over.coefficients.lower[0]
    best_high = over.coefficients.upper[0]
    for q in range(1, centre.order + 1):
        below, here = degree < q, degree == q
        count = int(below.sum() + here.sum())
        total_low = low[below].sum(0) + last_low[here].sum(0)
        total_high = high[below].sum(0) + last_high[here].sum(0)
        with np.errstate(invalid="ignore"):
            slack = (
                (count + 8)
                * 2
                * UNIT
                * (
                    np.abs(low[below]).sum(0)
                    + np.abs(last_low[here]).sum(0)
                    + np.abs(high[below]).sum(0)
                    + np.abs(last_high[here]).sum(0)
                )
            )
            best_low = np.fmax(best_low, total_low - slack)
            best_high = np.fmin(best_high, total_high + slack)
    return best_low, best_high
