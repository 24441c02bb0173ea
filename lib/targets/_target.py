"""Targets: a function on the cube together with bounds of its derivatives (book: chapter 05)."""

import math
import re
from collections.abc import Callable, Mapping
from functools import cached_property
from itertools import islice
from typing import Any

import numpy as np
import sympy
import torch
from jaxtyping import Float, Float64
from torch import Tensor

from lib.errors import integer, refuse, require
from lib.formulas import (
    bound_on_cube,
    fractional_smoothness,
    gathered,
    has_bounded_parts,
    hoelder_on_cube,
    parse_on_cube,
    torch_function,
    variables,
)
from lib.norms import Norms
from lib.splines import needed_derivatives, split_index
from lib.targets._refute import refute_slopes

MAXIMUM_DIM = 16
_MAXIMUM_SIZE = 1500  # nodes of an expression tree; larger derivatives are not looked at


def _derivative(expression, index):
    """The mixed derivative of an expression, or None where it grows beyond a sensible size."""
    for symbol, times in zip(variables(len(index)), index):
        for _ in range(times):
            expression = gathered(sympy.diff(expression, symbol))
            if (
                sum(1 for _ in islice(sympy.preorder_traversal(expression), _MAXIMUM_SIZE + 1))
                > _MAXIMUM_SIZE
            ):
                return None
    return expression


def _decimal(exponent):
    """A rational smoothness to the twelve decimals to which it is used, rounded down."""
    return int(exponent * 10**12) / 10**12


def _checked(bounds):
    """Dimension and bounds from a dict of derivative bounds."""
    require(
        isinstance(bounds, dict) and len(bounds) > 0,
        "derivative_bounds",
        bounds,
        "a non-empty dict from multi-indices to bounds",
    )
    lengths = {len(k) if isinstance(k, tuple) else 0 for k in bounds}
    require(
        len(lengths) == 1 and 0 not in lengths,
        "derivative_bounds",
        list(bounds),
        "keyed by tuples of one length, the dimension",
    )
    for key, bound in bounds.items():
        require(
            all(_is_number(k) and 0 <= k < math.inf for k in key)
            and sum(k != int(k) for k in key) <= 1,
            "derivative_bounds",
            {key: bound},
            "keyed by tuples of numbers, at least 0 and integers but for one at most",
        )
        require(
            _is_number(bound) and 0 <= bound < math.inf,
            "derivative_bounds",
            {key: bound},
            "numbers, finite and not negative",
        )
    return lengths.pop(), {tuple(map(_entry, k)): float(v) for k, v in bounds.items()}


def _is_number(k):
    return isinstance(k, (int, float, np.integer, np.floating)) and not isinstance(k, bool)


def _entry(k):
    """An entry of a multi-index: an int if it is one, else to twelve decimals."""
    return int(k) if k == int(k) else round(float(k), 12)


class Target:
    """A function on ``[0,1]^D``, for Theorem A with bounds of derivatives.

    Parameters
    ----------
    function : callable
        Differentiable torch map of a float64 tensor (P, D) to (P,); automatic differentiation must
        see all of it (`check_slopes`).
    derivative_bounds : dict, optional
        ``{multi-index: bound}`` with ``sup |d^nu f| <= bound`` on the cube; for smoothness
        ``alpha`` the multi-indices of `lib.splines.needed_derivatives` are required.  A fractional
        entry asks for a Hoelder seminorm: ``(2.5, 0)`` for that of ``d_1^2 f`` along the first axis
        with exponent 1/2.
        `lib.approximate` refuses bounds that divided differences refute, and on a manifold, where
        norms are sampled in the charts, any.
    formula : str, optional
        A formula that says the same, kept for saving.
    dim : int, optional
        ``D``; needed where no bounds are given.

    Attributes
    ----------
    dim : int
    formula : str or None
    expression : sympy.Expr or None
        The formula parsed, where the target was made from one.

    Raises
    ------
    InputError
        If the keys are not multi-indices of one length, ``dim`` if given, or a bound is no number,
        negative or not finite.
    """

    def __init__(
        self,
        function: Callable[[Tensor], Tensor],
        derivative_bounds: Mapping | None = None,
        formula: str | None = None,
        dim: int | None = None,
    ) -> None:
        require(callable(function), "function", function, "callable")
        self.function, self.formula = function, formula
        dim = None if dim is None else integer("dim", dim, 1)
        if derivative_bounds is None and dim is not None:
            self.dim = dim
            self._bounds = {}
        else:
            self.dim, self._bounds = _checked(derivative_bounds)
        require(
            dim in (None, self.dim),
            "dim",
            dim,
            f"the length of the multi-indices of derivative_bounds, {self.dim}",
        )
        self.expression = None

    @classmethod
    def from_sympy(cls, formula: str | sympy.Expr, dim: int | None = None) -> "Target":
        """A target from a formula; every derivative bound is derived, rigorously.

        Parameters
        ----------
        formula : str or sympy.Expr
            See `lib.formulas.parse` for what a formula may hold.
        dim : int, optional
            ``D``, at most 16; by default the largest index of a variable.

        Notes
        -----
        Derivatives are taken symbolically and bounded by interval arithmetic with subdivision, and
        so are Hoelder seminorms (`lib.formulas.hoelder_on_cube`).  The largest ``alpha`` whose
        bounds are all finite is used, and `derivative_bounds` says which: an integer, or one that a
        fractional power in the formula suggests, 5/2 for ``abs(x1-1/3)**2.5``.
        A derivative of more than 1500 nodes counts as one for which no bound is known.

        Raises
        ------
        InputError
            For a formula outside the whitelist or a function that is not finite on the cube.
        """
        text = formula if isinstance(formula, str) else str(formula)
        if dim is None:
            dim = max((int(i) for i in re.findall(r"(?<![\w.])x(\d{1,3})\b", text)), default=1)
        dim = integer("dim", dim, 1, MAXIMUM_DIM)
        expression = parse_on_cube(text, dim)
        size = bound_on_cube(expression, dim)
        if not math.isfinite(size):
            refuse(
                "formula", text[:60], f"finite on the cube [0,1]^{dim}; no finite bound was found"
            )
        target = cls(torch_function(expression, dim), {(0,) * dim: size}, formula=text)
        target.expression = expression
        return target

    @cached_property
    def _continuous(self):
        return has_bounded_parts(self.expression, self.dim)

    def _bound(self, index):
        if index not in self._bounds and self.expression is not None and self._continuous:
            whole, axis, beta = split_index(index)
            derivative = _derivative(self.expression, whole)
            self._bounds[index] = (
                math.inf
                if derivative is None
                else bound_on_cube(derivative, self.dim)
                if axis is None
                else hoelder_on_cube(derivative, self.dim, axis, beta)
            )
        return self._bounds.get(index, math.inf)

    def smoothness(self, order: int) -> list[float]:
        """Which ``alpha`` are tried for splines of order ``m``, the largest first: the integers
        from 2 on, and what is not one and may be the smoothness of the formula, or for which bounds
        are stated.
        """
        found: set[float] = set(range(2, order + 1))
        if self.expression is not None:
            found |= set(map(_decimal, fractional_smoothness(self.expression, self.dim)))
        else:
            found |= {max(index) for index in self._bounds}
        return sorted((alpha for alpha in found if 1 < alpha <= order), reverse=True)

    def derivative_bounds(self, order: int) -> tuple[float, dict[tuple[float, ...], float]]:
        """The smoothness that can be used with splines of order ``m`` and the bounds that go with
        it.

        Returns
        -------
        alpha : int or float
            The largest of `smoothness` for which every needed bound is known and finite.
        bounds : dict
            ``{multi-index: bound}`` for `lib.splines.needed_derivatives`.

        Raises
        ------
        InputError
            If there is none.
        """
        for alpha in self.smoothness(order):
            bounds = self.bounds_of_order(alpha)
            if bounds is not None:
                return alpha, bounds
        unknown = [nu for nu in needed_derivatives(self.dim, alpha) if self._bound(nu) == math.inf]
        refuse(
            "target",
            self.formula or self.function,
            "a function with bounded derivatives of order 2 at least, or with first derivatives"
            f" that are Hoelder continuous; found no finite bound of the derivative {unknown[0]}",
        )

    def bounds_of_order(self, alpha: float) -> dict[tuple[float, ...], float] | None:
        """The bounds that go with one smoothness, above 1; None where one of them is not known."""
        if alpha < 2 and alpha == int(alpha):
            return None
        bounds: dict = {}
        for index in needed_derivatives(self.dim, alpha):
            bounds[index] = self._bound(index)
            if not math.isfinite(bounds[index]):
                return None
        return bounds

    @property
    def size(self) -> Norms:
        """Bounds of ``sup |f|`` and of ``max_k sup |d_k f|`` on the cube; infinite where neither a
        formula nor what was stated says one.
        """
        axes = np.eye(self.dim, dtype=int).tolist()
        return Norms(self._bound((0,) * self.dim), max(self._bound(tuple(nu)) for nu in axes))

    def __call__(self, x: Tensor) -> Float[Tensor, " P"]:
        """Values at ``x``, float64 tensor (P, D); returns (P,).

        Raises
        ------
        InputError
            For values that are not finite, of another shape, or no real numbers.
        """
        values = self.function(x)
        require(
            isinstance(values, torch.Tensor) and values.shape == x.shape[:1],
            "function",
            getattr(values, "shape", type(values)),
            f"a map to a tensor of shape ({len(x)},)",
        )
        require(
            values.is_floating_point(),
            "function",
            values.dtype,
            "a map to a tensor of real floating-point numbers",
        )
        require(
            bool(torch.isfinite(values).all()),
            "function",
            "values that are not finite",
            "finite on the cube",
        )
        return values

    def values(self, points: Float64[np.ndarray, "P D"]) -> Float[np.ndarray, " P"]:
        """Values at a float64 array (P, D), as a float64 array (P,)."""
        with torch.no_grad():
            return self(torch.from_numpy(np.ascontiguousarray(points))).detach().numpy()

    @property
    def stated(self) -> dict:
        """The bounds of derivatives that were given, none of them derived from a formula:
        ``{multi-index: bound}``.
        """
        return {} if self.expression is not None else dict(self._bounds)

    def check_slopes(self, domain: Any) -> None:
        """Raise `InputError` if automatic differentiation does not see all of the function on a
        domain.

        Values through numpy, under ``torch.no_grad`` or detached, wholly or in part, roundings and
        wrong ``backward`` methods give gradients that are not those of the values
        (`refute_slopes`).  A formula needs no check; without a domain there is none.
        """
        if self.expression is None and domain is not None:
            refute_slopes(self, domain)

    def slopes(
        self, x: Float64[np.ndarray, "P D"]
    ) -> tuple[Float64[np.ndarray, " P"], Float64[np.ndarray, "P D"]]:
        """What automatic differentiation says, right or not: float64 arrays of values (P,) and
        gradients (P, D) at a float64 array (P, D); zero where it sees nothing.
        """
        with torch.inference_mode(False), torch.enable_grad():
            points = torch.tensor(np.ascontiguousarray(x), requires_grad=True, device="cpu")
            values, gradient = self._differentiated(points)
        gradient = torch.zeros_like(points) if gradient is None else gradient
        return values.double().numpy(), gradient.numpy()

    def _differentiated(self, x):
        """Values and gradients at ``x``, which requires them; None for gradients that do not
        depend on ``x``.
        """
        values = self(x)
        gradient = None
        if values.requires_grad:
            (gradient,) = torch.autograd.grad(values.sum(), x, allow_unused=True)
        return values.detach(), gradient

    def value_and_gradient(self, x: Tensor) -> tuple[Float[Tensor, " P"], Float[Tensor, "P D"]]:
        """Values (P,) and gradients (P, D) by automatic differentiation.

        Raises
        ------
        InputError
            If one of them is not finite, or automatic differentiation sees nothing of values that
            vary.
        """
        with torch.inference_mode(False), torch.enable_grad():
            x = x.detach().clone().requires_grad_(True)
            values, gradient = self._differentiated(x)
        if gradient is None:
            gradient = torch.zeros_like(x)
            if len(values):
                low = values.min()
                high = values.max()
                rounding = 64 * torch.finfo(values.dtype).eps * max(abs(low), abs(high))
                require(
                    high - low <= rounding,
                    "function",
                    self.function,
                    "differentiable by torch.autograd, which "
                    f"sees nothing of values from {float(low):.6g} to {float(high):.6g}",
                )
        require(
            bool(torch.isfinite(gradient).all()),
            "function",
            "slopes that are not finite",
            "of finite slopes",
        )
        return values, gradient
