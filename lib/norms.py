"""The two norms in which this book measures everything: of a function, and of its slope."""

import operator
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from lib.errors import refuse, require


def renamed(old: str, new: str) -> property:
    """A property under its old name, for one release: it warns and returns the one of the new
    name.
    """

    def get(self: Any) -> Any:
        warnings.warn(f".{old} is called .{new} now", DeprecationWarning, stacklevel=2)
        return operator.attrgetter(new)(self)

    return property(get, doc=f"The old name of `{new}`; it works for one release, with a warning.")


@dataclass(frozen=True)
class Norms:
    """A pair of norms: ``sup |g|`` and the norm of the slope of the same function.

    The slope is ``max_k sup |d_k g|`` on a cube and ``sup |grad_M g|`` on a manifold.  The entries
    are numbers, arrays with a pair for each point, which can be added and scaled, or the intervals
    of a `lib.Certificate`, which is compared by its ends.  `at` is what is between the two
    (``lem-interpolation``).

    >>> Norms(0.5, 3.0) + 2 * Norms(0.1, 1.0) <= Norms(0.7, 5.0)
    True
    """

    value: Any
    slope: Any
    gradient = renamed("gradient", "slope")

    def __iter__(self) -> Iterator:
        """Value, then slope."""
        return iter((self.value, self.slope))

    def __add__(self, other: "Norms") -> "Norms":
        return Norms(self.value + other.value, self.slope + other.slope)

    def __radd__(self, other: int) -> "Norms":
        """So that `sum` works, which begins with 0."""
        return self if other == 0 else NotImplemented

    def __mul__(self, factor: float) -> "Norms":
        return Norms(self.value * factor, self.slope * factor)

    __rmul__ = __mul__

    def __le__(self, other: "Norms") -> bool:
        """Whether both entries are at most those of the other pair: not a total order."""
        if not isinstance(other, Norms):
            return NotImplemented
        return bool(self.value <= other.value and self.slope <= other.slope)

    def steeper(self, factor: float) -> "Norms":
        """The norms of ``x -> g(factor x)``: the slope is ``factor`` times as large."""
        return Norms(self.value, self.slope * factor)

    def maximum(self, other: "Norms") -> "Norms":
        """The larger of both values, and of both slopes; NaN where one is."""
        return Norms(_larger(self.value, other.value), _larger(self.slope, other.slope))

    def at(self, s: float, dim: int | None = None) -> float:
        """Bound of ``||g||_{W^{s,inf}}`` on a convex domain, ``0 <= s <= 1``
        (``lem-interpolation``).

        Parameters
        ----------
        s : float
            For ``0 < s < 1`` the seminorm is ``sup |g(x) - g(y)| / |x - y|^s`` (Euclidean
            distance), at most ``(2 value)^(1-s) (sqrt(D) slope)^s``.
        dim : int, optional
            ``D``, the number of partial derivatives of which ``slope`` is the largest; 1 if it is
            a Lipschitz constant.  Needed for ``0 < s < 1``; a `lib.Bound` knows its own.

        Returns
        -------
        float
            The larger of the value and the bound of the seminorm; NaN for NaN.

        Raises
        ------
        InputError
            For ``s`` outside [0, 1], or without the dimension where it is needed.
        """
        require(0 <= s <= 1, "s", s, "between 0 and 1")
        if s == 0:
            return self.value
        if s == 1:
            return _larger(self.value, self.slope)
        if dim is None:
            refuse("dim", dim, "given: how many partial derivatives, 1 for a Lipschitz constant")
        return _larger(self.value, (2 * self.value) ** (1 - s) * (dim**0.5 * self.slope) ** s)


def _larger(first, second):
    """The larger of two numbers, NaN if one is: ``max`` would return the first."""
    return first if first >= second or first != first else second
