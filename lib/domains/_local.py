"""The Jackson bound cell by cell on the cube: derivatives near a cell, and the best number of them
(book: ``cor-local``).
"""

from functools import cached_property
from math import ceil

import numpy as np
import sympy
from jaxtyping import Float64
from scipy.ndimage import maximum_filter

from lib.formulas import variables
from lib.intervals import Balls, Taylor, expand, exponents, span, up
from lib.splines import Jackson, jackson_bound, needed_derivatives

BOXES = {1: 256, 2: 32, 3: 10}  # along each axis, about; no more dimensions


class LocalBounds:
    """Suprema of the derivatives of a formula over boxes that cover the cube.

    Parameters
    ----------
    expression : sympy.Expr
    dim : int
        ``D``, at most 3.
    order : int
        ``m``: derivatives of orders 2 to ``m`` are looked at.
    boxes : int
        Along each axis.
    """

    def __init__(self, expression: sympy.Expr, dim: int, order: int, boxes: int) -> None:
        self._expression = expression
        self._dim = dim
        self._order = order
        self._boxes = boxes

    @cached_property
    def suprema(self) -> dict[int, dict[tuple[float, ...], Float64[np.ndarray, "..."]]]:
        """For each ``alpha`` and each of `needed_derivatives` upper bounds over the boxes, an array
        of the shape ``(boxes,) * D``; infinite where nothing is known.
        """
        dim, boxes = self._dim, self._boxes
        side = (np.arange(boxes) + 0.5) / boxes
        middles = np.stack(np.meshgrid(*[side] * dim, indexing="ij"), axis=-1).reshape(-1, dim)
        radius = up(0.5 / boxes + 2.0**-52)  # of every box, with the rounding of its middle
        count = len(middles)
        found = []
        for wide in (0.0, radius):
            known = {
                symbol: Taylor.variable(
                    Balls(middles[:, i], np.full(count, wide)),
                    np.full(count, radius),
                    i,
                    dim,
                    self._order + 1,
                )
                for i, symbol in enumerate(variables(dim))
            }
            with np.errstate(over="ignore", invalid="ignore"):
                found.append(expand(self._expression, known))
        return {
            alpha: {
                nu: self._supremum(found[0], found[1], nu, alpha, radius)
                for nu in needed_derivatives(dim, alpha)
            }
            for alpha in range(2, self._order + 1)
        }

    def _supremum(self, at, over, nu, alpha, radius):
        """An upper bound of ``|d^nu f|`` over boxes, by the mean value form of ``lem-taylor``."""
        count = len(exponents(self._dim, alpha + 1))
        at, over = (Taylor(e.coefficients[:count], self._dim, alpha + 1) for e in (at, over))
        for axis, times in enumerate(nu):
            for _ in range(int(times)):
                at, over = at.derivative(axis), over.derivative(axis)
        with np.errstate(over="ignore", invalid="ignore"):
            low, high = span(at, over)
            size = up(np.maximum(np.abs(low), np.abs(high)) * (1 / radius) ** alpha, alpha + 2)
        return np.where(np.isnan(size), np.inf, size).reshape((self._boxes,) * self._dim)

    @classmethod
    def count(cls, dim: int, cells: int) -> int:
        """How many boxes along each axis go with a mesh: some for each cell, or one for some."""
        return cells * max(1, BOXES[dim] // cells) if cells <= BOXES[dim] else BOXES[dim]

    def _over_cells(self, array, cells):
        """Suprema over boxes, or over the cells where these are made of boxes."""
        each = self._boxes // cells
        if each <= 1:
            return array
        blocks = array.reshape((cells, each) * self._dim)
        return blocks.max(tuple(range(1, 2 * self._dim, 2)))

    def _places(self, cells):
        """How many boxes (or cells, if smaller) further on the error in one depends on, and in
        which all cells have interior functionals only.
        """
        order, boxes = self._order, min(self._boxes, cells)
        cut = cells % boxes != 0  # boxes that cut cells see one cell more
        window = ceil((order - 1 + cut) * boxes / cells - 1e-12)
        first = np.arange(boxes) * cells // boxes
        last = -(-(np.arange(boxes) + 1) * cells // boxes) - 1
        inside = (first >= order - 1) & (last <= cells - order)
        return window, np.logical_and.reduce(np.meshgrid(*[inside] * self._dim, indexing="ij"))

    def errors(self, cells: int, everywhere: Jackson) -> Jackson:
        """The bound of each cell, the smallest for ``alpha = 2, .., m`` and the one that holds
        everywhere; in value, and for each partial derivative by itself.

        Parameters
        ----------
        cells : int
            ``N``, of which the number of boxes is a multiple unless it is smaller.
        everywhere : Jackson

        Returns
        -------
        Jackson
            Of arrays ``(N,) * D``, or with a box for some cells if there are fewer boxes.
        """
        window, inside = self._places(cells)
        value = np.full(inside.shape, everywhere.value)
        partials = [np.full(inside.shape, partial) for partial in everywhere.partials]
        for alpha, suprema in self.suprema.items():
            near = {
                nu: maximum_filter(self._over_cells(array, cells), 2 * window + 1, mode="nearest")
                for nu, array in suprema.items()
            }
            known = np.logical_and.reduce([np.isfinite(array) for array in near.values()])
            for interior, here in ((True, known & inside), (False, known & ~inside)):
                if not here.any():
                    continue
                found = jackson_bound(
                    self._order,
                    cells,
                    alpha,
                    {nu: array[here] for nu, array in near.items()},
                    interior,
                )
                value[here] = np.minimum(value[here], found.value)
                for partial, mine in zip(partials, found.partials):
                    partial[here] = np.minimum(partial[here], mine)
        return Jackson.of(value, partials)

    def bound(self, cells: int, everywhere: Jackson) -> Jackson:
        """The largest of `errors`."""
        found = self.errors(cells, everywhere)
        return Jackson.of(float(found.value.max()), [float(p.max()) for p in found.partials])
