"""Suprema of derivatives of a function in charts, over the boxes of a grid: enclosed for formulas,
estimated by divided differences for other functions (book: ``lem-chart-norms``).
"""

from collections.abc import Callable, Sequence
from math import ceil, factorial, floor, prod
from typing import Any, NamedTuple

import numpy as np
import sympy
from jaxtyping import Bool, Float64, Int
from numpy.lib.stride_tricks import sliding_window_view
from scipy.ndimage import binary_dilation, maximum_filter

from lib.formulas import variables
from lib.intervals import UNIT, Balls, Taylor, expand, exponents, hoelder_expand, span, up
from lib.manifolds._cells import ball_cells, inset
from lib.splines import axis_index, needed_derivatives, split_index

BOXES = {1: 128, 2: 16, 3: 6}  # across the ball of a chart, at most
SAMPLES = {1: 512, 2: 128, 3: 24}  # steps of the grid of divided differences across the ball
_BATCH = 4096  # boxes at once
_STEEP = 0.995  # of the reach: charts are not inverted further out
# frames are orthonormal, and weights of the network what is said here, up to a few roundings: a
# linear map of the coordinates that is off the identity by less than this
_FRAMES = 1e-12


class Grid(NamedTuple):
    """Boxes of side ``1 / boxes`` that cover the ball ``|y| < 1/2`` of a chart and the
    neighbourhood on which the error of a spline there depends.

    Attributes
    ----------
    boxes : int
        Across the ball.
    window : int
        The error in a box depends on boxes at most so many further on, in each direction.
    inside : bool array, shape (boxes + 2 window,) * d
        Which boxes meet the ball.
    needed : bool array of that shape
        Which boxes count for one of these.
    """

    boxes: int
    window: int
    inside: Bool[np.ndarray, "..."]
    needed: Bool[np.ndarray, "..."]

    @classmethod
    def of(cls, dim: int, order: int, cells: int, most: int | None = None) -> "Grid":
        """The grid for splines on ``cells`` cells: these themselves unless there are more than
        ``most``, by default the `BOXES` of the dimension.
        """
        boxes = min(cells, BOXES.get(dim, 4) if most is None else most)
        window = ceil((order - 1 - inset(order)) * boxes / cells - 1e-12)
        inside = np.zeros((boxes + 2 * window,) * dim, bool)
        inside[tuple(ball_cells(dim, boxes).T + window)] = True
        wide = np.ones((2 * window + 1,) * dim, bool)
        return cls(boxes, window, inside, binary_dilation(inside, wide))

    def _window(self, axes):
        return (1, *[2 * self.window + 1] * axes)

    def _padded(self, living):
        return np.pad(living, [(0, 0), *[(self.window,) * 2] * (living.ndim - 1)])

    def needed_by(self, living: Bool[np.ndarray, "A ..."]) -> Bool[np.ndarray, "A ..."]:
        """Which boxes count for some of ``living``, masks over the boxes across the ball of each
        chart (`Atlas.living`).
        """
        wide = np.ones(self._window(living.ndim - 1), bool)
        return binary_dilation(self._padded(living), wide)

    def nearby(
        self,
        suprema: Float64[np.ndarray, "A ..."],
        living: Bool[np.ndarray, "A ..."] | None = None,
        index: tuple[float, ...] = (),
    ) -> Float64[np.ndarray, " B"]:
        """The largest of suprema over boxes that counts for each of ``living``, of all charts one
        after the other; by default for each box that meets the ball.

        Seminorms, as a fractional entry of the multi-index says, are put together along their axis
        first: over neighbours with ``H_1, H_2, ..`` it is at most ``(sum_b H_b^(1/(1-beta)))
        ^(1-beta)`` (Hoelder's inequality; ``lem-hoelder``).
        """
        sizes = list(self._window(suprema.ndim - 1))
        _, axis, beta = split_index(index)
        if axis is not None:
            wide = np.pad(suprema, _widths(suprema.ndim, axis, self.window))
            parts = sliding_window_view(wide, 2 * self.window + 1, axis=1 + axis)
            suprema = _together(parts, float(beta))
            sizes[1 + axis] = 1
        found = maximum_filter(suprema, sizes, mode="constant")
        return found[:, self.inside].ravel() if living is None else found[self._padded(living)]

    def middles(self, index: Int[np.ndarray, "B d"]) -> Float64[np.ndarray, "B d"]:
        """The middles ``y`` of boxes by their places in the masks: float64 array (B, d)."""
        return (index - self.window + 0.5) / self.boxes - 0.5


def _together(parts, beta):
    """``(sum_b H_b^(1/(1-beta)))^(1-beta)`` over the last axis, from above; relative to the
    largest of each sum, as powers may be so large that others underflow.
    """
    largest = parts.max(-1)
    known = np.where((largest > 0) & np.isfinite(largest), largest, 1.0)
    with np.errstate(under="ignore", over="ignore"):
        shares = (parts / known[..., None]) ** (1 / (1 - beta))
        return up(largest * up(shares.sum(-1)) ** (1 - beta) * (1 + 2.0**-44), parts.shape[-1])


def _widths(ndim, axis, window):
    return [(window,) * 2 if i == 1 + axis else (0, 0) for i in range(ndim)]


def coordinate_expansions(
    atlas: Any,
    charts: Int[np.ndarray, " P"],
    middles: Float64[np.ndarray, "P d"],
    radius: float,
    order: int,
) -> tuple[list[Taylor], list[Taylor], Bool[np.ndarray, " P"]]:
    """The ambient coordinates of ``phi_i^{-1}`` around (and over) boxes ``|y - middle|_inf <=
    radius`` of charts, in variables that run from -1 to 1.

    Parameters
    ----------
    atlas : Atlas
    charts : int array, shape (P,)
        The number of the chart of each box.
    middles : float64 array, shape (P, d)
    radius : float
    order : int

    Returns
    -------
    at, over : lists of Taylor
    inverted : bool array (P,)
        Where the chart could be inverted all over the box.
    """
    manifold, scale = atlas.manifold, 2 * atlas.chart_radius
    dim = manifold.dim
    found = []
    for wide in (False, True):
        t = []
        for k in range(dim):
            place = Balls(scale * middles[:, k], up(4 * UNIT * np.abs(scale * middles[:, k])))
            rad = place.rad + (up(scale * radius) if wide else 0.0)
            slope = Balls(np.full(len(middles), scale * radius), 4 * UNIT * scale * radius)
            t.append(Taylor.variable(Balls(place.mid, up(rad)), slope, k, dim, order))
        found.append(manifold.expansion(atlas.centres[charts], atlas.frames[charts], t))
    inverted = np.logical_and.reduce([np.isfinite(v.coefficients.rad).all(0) for v in found[1]])
    return found[0], found[1], inverted


def enclosed_norms(
    atlas: Any,
    expression: sympy.Expr,
    grid: Grid,
    alpha: float,
    living: Bool[np.ndarray, "A ..."] | None = None,
) -> tuple[dict[tuple[float, ...], Float64[np.ndarray, "A ..."]], bool]:
    """Upper bounds of ``|d^nu (f o phi_i^{-1})|`` over boxes, for `needed_derivatives`: where an
    entry is fractional, of the seminorm inside each box.

    Parameters
    ----------
    living : bool array (A, N, .., N), optional
        The boxes of each chart near which they are wanted; by default all that meet the ball.

    Returns
    -------
    dict from multi-index to float64 array (A, ...)
        Over the boxes of the grid, zero where none is needed; infinite where nothing is known.
    smooth : bool
        Whether all are known wherever the chart could be inverted.
    """
    dim = atlas.dim
    indices = needed_derivatives(dim, alpha)
    needed = grid.needed[None] if living is None else grid.needed_by(living)
    needed = np.broadcast_to(needed, (len(atlas), *needed.shape[1:]))
    charts, *index = np.nonzero(needed)
    middles = grid.middles(np.stack(index, axis=1))
    bounds = {nu: np.zeros(needed.shape) for nu in indices}
    smooth = True
    radius = 1 / (2 * grid.boxes)
    symbols = variables(atlas.ambient_dim)
    for start in range(0, len(charts), _BATCH):
        part = slice(start, start + _BATCH)
        at, over, inverted = coordinate_expansions(
            atlas, charts[part], middles[part], radius, floor(alpha) + 1
        )
        rows = (charts[part], *(place[part] for place in index))
        known = [dict(zip(symbols, x)) for x in (at, over)]
        if alpha == int(alpha):
            found = _suprema(expression, known[0], known[1], dim, int(alpha))
        else:
            found = _seminorms(expression, known[1], dim, alpha)
        for nu in indices:
            bounds[nu][rows] = up(found[nu] * (1 / radius) ** alpha, ceil(alpha) + 2)
            smooth &= bool(np.isfinite(bounds[nu][rows][inverted]).all())
    return bounds, smooth


def _suprema(expression, at, over, dim, alpha):
    """Bounds of derivatives of an integer order over boxes, in their own variables."""
    at, over = (expand(expression, x) for x in (at, over))
    found = {nu: _supremum(at, over, nu) for nu in _all_of_order(dim, alpha)}
    slack = _FRAMES * np.max(list(found.values()), axis=0)
    return {nu: size + slack for nu, size in found.items()}


def _seminorms(expression, over, dim, alpha):
    """Bounds of seminorms of derivatives of order ``floor(alpha)`` over boxes, in their own
    variables.
    """
    k = floor(alpha)
    found = {}
    total = 0.0  # frames that are a little off lead from one axis to all
    for axis in range(dim):
        _, _, beta = split_index(axis_index(dim, alpha, axis, axis))
        known = hoelder_expand(expression, over, axis, beta)
        for nu, seminorm in zip(exponents(dim, k).tolist(), known.seminorms):
            if sum(nu) == k:
                size = up(prod(map(factorial, nu)) * seminorm)
                nu[axis] = round(nu[axis] + alpha - k, 12)
                found[tuple(nu)] = size
                total = total + size
    slack = dim * _FRAMES ** float(beta) * total
    return {nu: size + slack for nu, size in found.items()}


def _all_of_order(dim, alpha):
    return [tuple(nu) for nu in exponents(dim, alpha).tolist() if sum(nu) == alpha]


def _supremum(at, over, nu):
    """An upper bound of ``|d^nu|`` over boxes, in their own variables (the mean value form of
    ``lem-taylor``).
    """
    for axis, times in enumerate(nu):
        for _ in range(times):
            at, over = at.derivative(axis), over.derivative(axis)
    low, high = span(at, over)
    found = np.maximum(np.abs(low), np.abs(high))
    return np.where(np.isnan(found), np.inf, found)


def sampled_values(
    atlas: Any,
    i: int,
    function: Callable[[np.ndarray], np.ndarray],
    points: Float64[np.ndarray, "*S d"],
) -> Float64[np.ndarray, "*S"]:
    """``f o phi_i^{-1}`` at points ``y`` of a chart, NaN where it is not inverted: float64 array of
    their shape.
    """
    inside = (points**2).sum(-1) < (_STEEP * atlas.manifold.reach / (2 * atlas.chart_radius)) ** 2
    values = np.full(inside.shape, np.nan)
    values[inside] = function(atlas.inverse(i, points[inside]))
    return values


def estimated_norms(
    atlas: Any,
    function: Callable[[np.ndarray], np.ndarray],
    grid: Grid,
    alpha: int,
    charts: Sequence[int],
    steps: int,
) -> dict[tuple[float, ...], Float64[np.ndarray, "A ..."]]:
    """*Estimates* of what `enclosed_norms` encloses, from samples.

    With ``S_1`` and ``S_2`` the largest divided differences in a chart over one and two steps, the
    differences over one step are enlarged by the factor ``1 + |S_1 - S_2| / S_1``.

    Parameters
    ----------
    function : callable
        Maps points (P, D) to values (P,).
    charts : sequence of int
        Which charts.
    steps : int
        Of the grid of samples across the ball, rounded up to a multiple of the boxes.
    """
    dim = atlas.dim
    each = ceil(steps / grid.boxes)  # steps a box
    size = len(grid.needed)
    axis = (np.arange(size * each + 1) / each - grid.window) / grid.boxes - 0.5
    points = np.stack(np.meshgrid(*[axis] * dim, indexing="ij"), axis=-1)
    step = 1 / (grid.boxes * each)
    found: dict = {nu: [] for nu in needed_derivatives(dim, alpha)}
    for i in charts:
        values = sampled_values(atlas, i, function, points)
        fine, coarse = (differences(values, step, alpha, lag) for lag in (1, 2))
        for nu, array in fine.items():
            largest, other = np.nanmax(array, initial=0), np.nanmax(coarse[nu], initial=0)
            enlarged = 1 + abs(largest - other) / largest if largest > 0 else 1.0
            blocks = np.nan_to_num(array)[(slice(0, size * each),) * dim] * enlarged
            blocks = blocks.reshape((size, each) * dim)
            found[nu].append(blocks.max(tuple(range(1, 2 * dim, 2))) * grid.needed)
    return {nu: np.stack(arrays) for nu, arrays in found.items()}


def differences(
    values: Float64[np.ndarray, "*S"], step: float, alpha: int, lag: int = 1
) -> dict[tuple[float, ...], Float64[np.ndarray, "*S"]]:
    """The moduli of the divided differences that approach ``d^nu g``, for all ``nu`` of
    `needed_derivatives`.

    Each is a mean of the derivative over a box of at most ``alpha * lag`` steps, from its index on,
    so none exceeds the supremum.

    Parameters
    ----------
    values : float64 array
        On a grid with this step in every direction.
    step : float
    alpha : int
    lag : int
        Differences are taken over so many steps, from every grid point.

    Returns
    -------
    dict from multi-index to float64 array
        Of the shape of ``values``, zero where a box leaves the grid.
    """
    found = {}
    for nu in needed_derivatives(values.ndim, alpha):
        difference, index = values, [int(times) for times in nu]
        for axis, times in enumerate(index):
            for _ in range(times):
                moved = np.moveaxis(difference, axis, 0)
                difference = np.moveaxis(moved[lag:] - moved[:-lag], 0, axis)
        found[nu] = np.pad(
            np.abs(difference) / (step * lag) ** alpha, [(0, times * lag) for times in index]
        )
    return found


def lines(dim: int) -> tuple[Float64[np.ndarray, "L n d"], float]:
    """Points on lines through the ball of a chart, parallel to the axes: 8 for each axis for ``d =
    2``, 9 for ``d = 3``.

    Returns
    -------
    points : float64 array, shape (L, n, d)
        ``n`` equidistant points on each, 513 (257 for ``d >= 3``) on a diameter.
    step : float
    """
    count = 512 if dim < 3 else 256
    offsets = (np.arange(8) + 0.5) / 8 - 0.5 if dim == 2 else np.array([-0.3, 0.05, 0.25])
    found = []
    for axis in range(dim):
        place = (
            np.stack(np.meshgrid(*[offsets] * (dim - 1), indexing="ij"), axis=-1).reshape(
                -1, dim - 1
            )
            if dim > 1
            else np.zeros((1, 0))
        )
        along = np.broadcast_to(np.linspace(-0.5, 0.5, count + 1), (len(place), count + 1))
        found.append(
            np.insert(np.broadcast_to(place[:, None], (*along.shape, dim - 1)), axis, along, axis=2)
        )
    return np.concatenate(found), 1 / count


def smooth_along_lines(
    values: Float64[np.ndarray, "L n"], step: float, alpha: int, size: float
) -> bool:
    """Whether derivatives of order ``alpha`` along lines look bounded.

    The largest divided difference over one step must be at most 1.6 times the largest one over four
    steps, apart from what rounding explains.  (Where the derivative of order ``alpha - 1`` jumps,
    the ratio is at least 2, wherever between the points it does; where the derivative is continuous
    and resolved, it is nearly 1.)

    Parameters
    ----------
    values : float64 array, shape (L, n)
        NaN at points that are left out.
    size : float
        Of the function on the whole manifold: what is small beside its rounding does not count.
    """
    largest = []
    for lag in (1, 4):
        difference = values
        for _ in range(alpha):
            difference = difference[:, lag:] - difference[:, :-lag]
        largest.append(np.nanmax(np.abs(difference), initial=0) / (step * lag) ** alpha)
    rounding = 64 * 2.0**-53 * size * (2 / step) ** alpha
    return bool(largest[0] <= 1.6 * largest[1] + rounding)
