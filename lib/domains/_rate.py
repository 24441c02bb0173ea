"""Theorem A for every budget: the constant ``C``, and how many levels it takes (book:
``thm-cube``, ``thm-cube-real``).
"""

from dataclasses import dataclass
from functools import cached_property
from math import inf, log2

from lib import relu, splines
from lib.domains._bound import SHARE
from lib.errors import integer, require
from lib.norms import Norms
from lib.splines import check_order
from lib.targets import Target


@dataclass(frozen=True)
class Rate:
    """What Theorem A promises of a function at every budget of ``B`` terms.

    Attributes
    ----------
    order, dim : int
        ``m`` and ``D``.
    alpha : int or float
        The smoothness that is used.
    derivative_bounds : dict
        As for `lib.splines.jackson_bound`.
    size : Norms
        Bounds of ``sup |f|`` and ``max_k sup |d_k f|``; infinite where nothing is known.
    """

    order: int
    dim: int
    alpha: float
    derivative_bounds: dict
    size: Norms

    @classmethod
    def of(cls, target: Target, order: int) -> "Rate":
        """Of a target on the cube for splines of order ``m``; `InputError` if it is not smooth
        enough, or its bounds are not known.
        """
        alpha, bounds = target.derivative_bounds(order)
        return cls(check_order(order), target.dim, alpha, bounds, target.size)

    @property
    def least(self) -> int:
        """``(2m - 1)^D``: with fewer terms the network is zero."""
        return (2 * self.order - 1) ** self.dim

    @cached_property
    def constants(self) -> Norms:
        """``C_0`` and ``C_1`` for ``B >= (2m-1)^D``, of every mesh and not of one
        (`lib.splines.rate_constants`).
        """
        return splines.rate_constants(self.order, self.alpha, self.derivative_bounds)

    @cached_property
    def levels(self) -> float:
        """``n_0``: the refinement of the theorem is at most ``alpha log2 N + n_0``; where bounds
        cell by cell are smaller, `lib.approximate` may take more levels to get below an eighth of
        those.

        ``max(n_m, 1 + log2(8 m^D gamma_0 c / J_0) / 2, 1 + log2(8 m^D gamma_1 c / J_1))`` with ``c
        = Lambda_m^D sup |f|``, ``gamma_s`` the largest ``4^n E_0`` and ``2^n E_1``, those of the
        fewest levels, and ``J_s`` the smallest of all meshes; infinite if ``f`` is reproduced, or
        no bound of it is known.
        """
        smallest, _ = splines.jackson_constants(self.order, self.alpha, self.derivative_bounds)
        n = relu.minimum_refinement(self.order)
        if smallest.value == 0:
            return inf
        largest = float(splines.weight_sum(self.order)) ** self.dim * self.size.value
        error = relu.tensor_error(self.order, self.dim, n)
        share = self.order**self.dim * largest / SHARE
        quotients = (
            share * error.value * 4.0**n / smallest.value,
            share * error.slope * 2.0**n / smallest.slope,
        )
        value, slope = (log2(q) if q > 0 else -inf for q in quotients)
        return max(n, 1 + value / 2, 1 + slope) + 1e-9

    def bound(self, budget: int, s: float = 1) -> float:
        """The right side of the theorem: of the ``W^{s,inf}`` norm of the error, ``0 <= s <= 1``,
        with ``budget`` terms.

        Raises
        ------
        InputError
            For a budget that is no positive integer, and for ``s`` outside [0, 1].
        """
        budget = integer("budget", budget, 1)
        require(0 <= s <= 1, "s", s, "between 0 and 1")
        if budget < self.least:
            return self.size.at(s, self.dim)
        return self.constants.at(s, self.dim) * budget ** (-(self.alpha - s) / self.dim)

    def constant(self, s: float = 1) -> float:
        """``max(C, C')``, with which ``C B^{-(alpha-s)/D}`` bounds the error at every budget."""
        small = self.least ** ((self.alpha - s) / self.dim) * self.size.at(s, self.dim)
        return max(self.constants.at(s, self.dim), small)
