"""The Jackson bound of the quasi-interpolant in value and slope (book: ``thm-jackson``)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import sympy

from lib.errors import require
from lib.norms import Norms
from lib.splines._constants import (
    interior_operator_norm,
    interior_peano_constant,
    interior_slope_norm,
    operator_norm,
    peano_constant,
    slope_norm,
)


def _entry(number):
    """An entry of a multi-index: to the twelve decimals to which a smoothness is known, and an int
    if it is one.
    """
    found = round(number, 12)
    return int(found) if found == int(found) else found


def axis_index(dim: int, alpha: float, i: int, k: int) -> tuple[float, ...]:
    """The multi-index ``(alpha - 1) e_i + e_k`` of a derivative: ``axis_index(3, 3, 2, 0) == (1, 0,
    2)``.
    """
    found: list[float] = [0] * dim
    found[k] = 1
    found[i] = _entry(alpha if i == k else alpha - 1)
    return tuple(found)


def split_index(
    index: tuple[float, ...],
) -> tuple[tuple[int, ...], int | None, sympy.Rational | int]:
    """A multi-index as that of a derivative, and the axis and the exponent of its Hoelder seminorm:
    None and 0 without a fractional entry.
    """
    axis = next((i for i, k in enumerate(index) if k != int(k)), None)
    whole = tuple(int(k) for k in index)
    return whole, axis, 0 if axis is None else sympy.Rational(str(index[axis])) - whole[axis]


def needed_derivatives(dim: int, alpha: float) -> list[tuple[float, ...]]:
    """The multi-indices whose bounds ``thm-jackson`` asks for.

    Returns a list of tuples of length ``dim``: ``alpha e_i`` for every axis and
    ``(alpha - 1) e_i + e_k`` for every ordered pair of axes, without repetition.  An entry ``k +
    beta``, ``0 < beta < 1``, stands for the Hoelder seminorm with exponent ``beta`` along that axis
    of the derivative with ``k`` there (``thm-jackson-real``): ``(2.5, 0)`` for that of ``d_1^2 f``.
    """
    indices = [axis_index(dim, alpha, i, k) for i in range(dim) for k in range(dim)]
    return sorted(set(indices), reverse=True)


@dataclass(frozen=True)
class Jackson(Norms):
    """Bounds of ``f - Q f``: for the supremum norm, and for each partial derivative.

    Attributes
    ----------
    value, slope : float or array
        ``sup |f - Q f|`` and the largest of the partials.
    partials : tuple
        ``partials[k]`` bounds ``sup |d_k (f - Q f)|``.
    """

    partials: tuple

    @classmethod
    def of(cls, value: Any, partials: Sequence) -> "Jackson":
        """From the partials; arrays where the bounds of derivatives were arrays."""
        largest = np.max(partials, axis=0) if np.ndim(value) else max(partials)
        return cls(value, largest, tuple(partials))

    def at(self, s: float, dim: int | None = None) -> float:
        """As `Norms.at`, in the dimension of the partials."""
        return super().at(s, len(self.partials) if dim is None else dim)


def jackson_bound(
    order: int,
    cells: int,
    alpha: float,
    derivative_bounds: Mapping[tuple[float, ...], Any],
    interior: bool = False,
) -> Jackson:
    """Bound the error of the quasi-interpolant on the cube (book: ``thm-jackson``, and
    ``thm-jackson-real`` for a smoothness that is no integer).

    Parameters
    ----------
    order, cells : int
        ``m`` in 2..8 and ``N >= m``; ``h = 1/N``.
    alpha : float
        ``1 < alpha <= m``: the smoothness of the target that is used, to twelve decimals.
    derivative_bounds : dict
        Bounds of ``sup |d^nu f|``, or of Hoelder seminorms, on the cube for the multi-indices of
        `needed_derivatives`; keys are tuples of length ``D``.  Arrays of one shape give bounds
        point by point, if each is a bound over the neighbourhood that the error at its point
        depends on.
    interior : bool
        True for a function that vanishes near the boundary of the cube, so that only interior
        functionals matter.

    Returns
    -------
    Jackson

    Raises
    ------
    InputError
        ``alpha`` at most 1 or above m, a missing bound, or a bound that is not a non-negative
        finite number.

    Notes
    -----
    The axes may be taken in any order in the telescoping sum of the proof; the best one is used,
    for the value and for each partial derivative by itself.
    """
    require(1 < alpha <= order, "alpha", alpha, f"above 1 and at most the order, {order}")
    require(len(derivative_bounds) > 0, "derivative_bounds", derivative_bounds, "not empty")
    dim = len(next(iter(derivative_bounds)))
    for index in needed_derivatives(dim, alpha):
        bound = derivative_bounds.get(index)
        require(
            bound is not None,
            "derivative_bounds",
            sorted(derivative_bounds),
            f"given for {index} too",
        )
        good = np.all((0 <= np.asarray(bound)) & (np.asarray(bound) < np.inf))
        require(bool(good), "derivative_bounds", {index: bound}, "finite and not negative")

    h = 1 / cells
    if interior:
        q = interior_operator_norm(order)
        q1 = interior_slope_norm(order)
        peano = partial(interior_peano_constant, order)
    else:
        q = operator_norm(order, cells)
        q1 = slope_norm(order, cells)
        peano = partial(peano_constant, order, cells)
    value_constant = peano(alpha, 0)
    mixed_constant = peano(_entry(alpha - 1), 0)
    slope_constant = peano(alpha, 1)

    def pair(factors, bounds):  # the smallest factor with the largest bound
        return (
            sum(a * b for a, b in zip(sorted(factors), np.sort(bounds, axis=0)[::-1]))
            if bounds
            else 0.0
        )

    pure = [derivative_bounds[axis_index(dim, alpha, i, i)] for i in range(dim)]
    if not np.any(pure):  # of degree below alpha in each variable: reproduced
        return Jackson.of(0.0, (0.0,) * dim)
    value = h**alpha * value_constant * pair([q**i for i in range(dim)], pure)

    slopes = []
    for k in range(dim):
        mixed = [derivative_bounds[axis_index(dim, alpha, i, k)] for i in range(dim) if i != k]
        slopes.append(
            np.min(
                [
                    q**place * slope_constant * pure[k]
                    + mixed_constant
                    * pair(
                        [q**i for i in range(place)]
                        + [q1 * q ** (i - 1) for i in range(place + 1, dim)],
                        mixed,
                    )
                    for place in range(dim)
                ],
                axis=0,
            )
        )
    if np.ndim(value) == 0:
        value, slopes = float(value), [float(slope) for slope in slopes]
    return Jackson.of(value, [h ** (alpha - 1) * slope for slope in slopes])


def jackson_constants(
    order: int, alpha: float, derivative_bounds: Mapping[tuple[float, ...], float]
) -> tuple[Norms, Norms]:
    """``J_0 = N^alpha ||f - Q f||`` and ``J_1`` as `jackson_bound` has them: the smallest and the
    largest over all ``N >= m`` (``thm-cube``).

    Parameters
    ----------
    order : int
    alpha : float
    derivative_bounds : dict
        As for `jackson_bound`.

    Raises
    ------
    InputError
        As `jackson_bound`.
    """
    found = []
    for N in range(order, 2 * order + 1):
        bound = jackson_bound(order, N, alpha, derivative_bounds)
        found.append((bound.value * N**alpha, bound.slope * N ** (alpha - 1)))
    return Norms(*map(min, zip(*found))), Norms(*map(max, zip(*found)))


def rate_constants(
    order: int, alpha: float, derivative_bounds: Mapping[tuple[float, ...], float]
) -> Norms:
    """``C_0`` and ``C_1`` of Theorem A: for every budget of ``B >= (2m-1)^D`` terms the errors are
    at most ``C_0 B^(-alpha/D)`` and ``C_1 B^(-(alpha-1)/D)`` (``thm-cube``).

    Parameters and errors as for `jackson_constants`.

    Returns
    -------
    Norms
        ``9/8 2^alpha J_0`` and ``9/8 2^(alpha-1) J_1`` for the largest ``J_s``; ``at(s, D)`` is the
        constant ``C`` of the theorem.
    """
    _, largest = jackson_constants(order, alpha, derivative_bounds)
    return Norms(9 / 8 * 2**alpha * largest.value, 9 / 8 * 2 ** (alpha - 1) * largest.slope)
