"""Arrays of balls ``mid +- rad``: float64 arithmetic that encloses what real arithmetic would give
(for ``lem-taylor``).

python-flint has rigorous balls, one number at a time; this is the vectorised counterpart for sums
and products, after Rump (*Fast and parallel interval arithmetic*, BIT 39, 1999).  Elementary
functions are evaluated by python-flint, element by element.

Rounding is to nearest with gradual underflow: a sum is off by a relative ``UNIT`` at most and exact
where it is subnormal, a product by a relative ``UNIT`` plus ``2^-1075``.  What overflows is
unknown: a ball of infinite radius.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np
from flint import arb, ctx
from jaxtyping import Float64

UNIT = 2.0**-53  # unit roundoff
_TINY = 2.0**-1070  # more than all underflows of an operation
_LEAST = 2.0**-1074  # the smallest float
_NORMAL = 2.0**-1022  # below it products lose digits
_BITS = 80  # of python-flint, so that its own rounding does not show


def up(x: Any, count: int = 0) -> Any:
    """An upper bound of a sum of ``count`` (or a dozen) non-negative numbers that was rounded to
    nearest on the way.

    Each of at most ``count + 12`` operations loses a factor ``1 - 2^-53`` and, if it is a product,
    ``2^-1075`` at most. Zero stays zero: whoever multiplies sees to products that underflow
    altogether.
    """
    return x * (1 + (count + 16) * 2 * UNIT) + (count + 16) * _LEAST * (x > 0)


class Balls:
    """An array of real numbers, each known to be within ``rad`` of ``mid``.

    Attributes
    ----------
    mid, rad : float64 arrays of one shape
        ``rad >= 0``; infinite where nothing is known.

    Notes
    -----
    ``+ - *`` with balls, floats and float arrays (which are exact), broadcasting as in numpy.
    """

    __array_ufunc__ = None  # so that an array on the left leaves the operation to us

    def __init__(self, mid: Any, rad: Any = 0.0) -> None:
        mid = np.asarray(mid, float)
        rad = np.asarray(rad, float)
        rad = rad if rad.shape == mid.shape else np.broadcast_to(rad, mid.shape)
        # an overflow: nothing is known
        if not (np.isfinite(mid).all() and np.isfinite(rad).all()):
            known = np.isfinite(mid) & ~np.isnan(rad)
            mid, rad = np.where(known, mid, 0.0), np.where(known, rad, np.inf)
        self.mid, self.rad = mid, rad

    @classmethod
    def between(cls, lower: Any, upper: Any) -> "Balls":
        """The smallest balls found around the intervals ``[lower, upper]``."""
        lower, upper = np.asarray(lower, float), np.asarray(upper, float)
        with np.errstate(over="ignore", invalid="ignore"):
            mid = np.where(lower == upper, lower, lower / 2 + upper / 2)
            return cls(mid, up(np.maximum(upper - mid, mid - lower)))

    @classmethod
    def from_flint(cls, numbers: Iterable[arb], shape: tuple) -> "Balls":
        """From a flat iterable of ``arb``; only what is exactly zero becomes an exact zero."""
        numbers = list(numbers)
        mid = np.array([float(a.mid()) for a in numbers]).reshape(shape)
        rad = np.array([float(a.rad()) for a in numbers]).reshape(shape)
        zero = np.array([a.is_zero() for a in numbers]).reshape(shape)
        with np.errstate(over="ignore", invalid="ignore"):
            return cls(mid, up(rad + np.abs(mid) * UNIT) + np.where(zero, 0.0, _TINY))

    @property
    def shape(self) -> tuple[int, ...]:
        """Of both arrays."""
        return self.mid.shape

    def __len__(self):
        return len(self.mid)

    def __getitem__(self, key):
        return Balls(self.mid[key], self.rad[key])

    def __setitem__(self, key, value):
        self.mid[key], self.rad[key] = value.mid, value.rad

    def flint(self) -> list[arb]:
        """A flat list of ``arb``."""
        return [arb(m, r) for m, r in zip(self.mid.ravel().tolist(), np.ravel(self.rad).tolist())]

    @property
    def upper(self) -> Float64[np.ndarray, "..."]:
        """Upper ends, rounded up; exact where the sum is a float."""
        return _sum_up(self.mid, self.rad)

    @property
    def lower(self) -> Float64[np.ndarray, "..."]:
        """Lower ends, rounded down; exact where the difference is a float."""
        return -_sum_up(-self.mid, self.rad)

    @property
    def size(self) -> Float64[np.ndarray, "..."]:
        """Upper bounds of the moduli."""
        with np.errstate(over="ignore"):
            return up(np.abs(self.mid) + self.rad)

    def __neg__(self):
        return Balls(-self.mid, self.rad)

    def __add__(self, other):
        other = _balls(other)
        with np.errstate(over="ignore", invalid="ignore"):
            mid = self.mid + other.mid
            return Balls(mid, up(self.rad + other.rad + UNIT * np.abs(mid)))

    __radd__ = __add__

    def __sub__(self, other):
        return self + (-_balls(other))

    def __rsub__(self, other):
        return -self + other

    def __mul__(self, other):
        other = _balls(other)
        with np.errstate(over="ignore", invalid="ignore"):
            mid = self.mid * other.mid
            a = np.abs(self.mid)
            b = np.abs(other.mid)
            rad = a * other.rad + self.rad * (b + other.rad) + UNIT * np.abs(mid)
            # zero times anything is zero, also times an unknown
            matters = (a + self.rad > 0) & (b + other.rad > 0)
            return Balls(np.where(matters, mid, 0.0), np.where(matters, up(rad) + _TINY, 0.0))

    __rmul__ = __mul__

    def square(self) -> "Balls":
        """``x^2``: never negative, which ``x * x`` does not know."""
        product = self * self
        most = self.size
        least = np.maximum(np.maximum(self.lower, -self.upper), 0.0)
        with np.errstate(over="ignore"):
            highest = np.where(most > 0, up(most**2) + _TINY, 0.0)
            ends = Balls.between(np.maximum(least**2 * (1 - 2 * UNIT) - _TINY, 0.0), highest)
        better = ends.rad < product.rad
        return Balls(
            np.where(better, ends.mid, product.mid), np.where(better, ends.rad, product.rad)
        )

    def sum(self, axis: int = 0) -> "Balls":
        """Sums along an axis."""
        count = self.shape[axis]
        with np.errstate(over="ignore", invalid="ignore"):
            rad = self.rad.sum(axis) + count * UNIT * np.abs(self.mid).sum(axis)
            return Balls(self.mid.sum(axis), up(rad, count))


def _sum_up(a, b):
    """``a + b`` rounded up, by the error of the rounded sum (Knuth's two-sum)."""
    with np.errstate(over="ignore", invalid="ignore"):
        total = a + b
        part = total - a
        error = (a - (total - part)) + (b - part)
        # no error is known near the largest float
        return np.where(error <= 0, total, np.nextafter(total, np.inf))


def _balls(x):
    return x if isinstance(x, Balls) else Balls(x)


def matmul(
    weight: Float64[np.ndarray, "*S O I"], x: Balls, bias: Float64[np.ndarray, "..."] | float = 0.0
) -> tuple[Balls, Float64[np.ndarray, "..."]]:
    """``weight x + bias`` for float arrays ``weight`` (.., O, I) and ``bias`` (.., O, 1) and balls
    ``x`` (.., I, P).

    Returns
    -------
    result : Balls, shape (.., O, P)
        Holds what any order of summation in float64 makes of floats within ``x``, too
        (``lem-interval-layer``).
    noise : float array, shape (.., O, P)
        What was allowed for rounding in it.
    """
    size = np.abs(weight)
    most = np.abs(x.mid) + x.rad
    terms = weight.shape[-1] + 2
    with np.errstate(over="ignore", invalid="ignore"):
        magnitude = size @ most + np.abs(bias)
        touched = magnitude != 0
        if _least(size) * _least(most) < _NORMAL:  # products that are not zero may vanish
            touched = touched | ((size > 0).astype(float) @ (most > 0).astype(float) > 0)
        # once for the midpoint computed here, once for whoever evaluates the same numbers
        noise = up(2 * terms * UNIT * magnitude, terms) + terms * _TINY * touched
        noise = np.where(np.isnan(noise), np.inf, noise)  # zero times something unknown
        return Balls(weight @ x.mid + bias, up(size @ x.rad + noise, terms)), noise


def _least(x):
    """The smallest positive entry."""
    return np.min(x, initial=np.inf, where=x > 0)


class precision:
    """Context: python-flint with so many bits."""

    def __init__(self, bits: int = _BITS) -> None:
        self._bits = bits

    def __enter__(self):
        self._before, ctx.prec = ctx.prec, self._bits

    def __exit__(self, *_):
        ctx.prec = self._before
