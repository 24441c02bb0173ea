"""Estimates of derivatives of functions in charts, by divided differences (book:
``lem-partition``).
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Float64
from scipy.ndimage import maximum_filter

from lib.splines import needed_derivatives

GRID = {1: 512, 2: 128, 3: 24}  # cells across the ball of a chart, for sampling derivatives


def ball_grid(
    dim: int, grid: int, pad: int
) -> tuple[Float64[np.ndarray, " n"], Bool[np.ndarray, "..."]]:
    """Coordinates in ``[-1/2, 1/2]`` with ``pad`` steps more on each side, and which grid points
    lie in the open ball.

    Returns
    -------
    axis : float64 array, shape (grid + 2 pad + 1,)
    inside : bool array, that shape in every direction
    """
    axis = (np.arange(-pad, grid + pad + 1) - grid / 2) / grid
    square = np.sum(np.meshgrid(*[axis**2] * dim, indexing="ij"), axis=0)
    return axis, square < 1 / 4


def samples(
    atlas: Any,
    i: int,
    function: Callable[[np.ndarray], np.ndarray] | None,
    axis: Float64[np.ndarray, " n"],
    inside: Bool[np.ndarray, "*S"],
) -> Float64[np.ndarray, "*S"]:
    """``(f rho_i) o phi_i^{-1}`` on a tensor grid of chart ``i``, zero outside the ball.

    Parameters
    ----------
    function : callable or None
        Maps points (P, D) to values (P,); None is the constant 1.
    axis : float64 array, shape (n,)
    inside : bool array, shape (n,) * d

    Returns
    -------
    float64 array, shape (n,) * d.
    """
    values = np.zeros(inside.shape)
    x = atlas.inverse(i, axis[np.stack(np.nonzero(inside), axis=1)])
    values[inside] = atlas.partition(i, x) * (1 if function is None else function(x))
    return values


def differences(
    values: Float64[np.ndarray, "*S"], step: float, alpha: int, lag: int = 1
) -> dict[tuple[int, ...], Float64[np.ndarray, "*S"]]:
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
    for index in needed_derivatives(values.ndim, alpha):
        difference = values
        for axis, times in enumerate(index):
            for _ in range(times):
                moved = np.moveaxis(difference, axis, 0)
                difference = np.moveaxis(moved[lag:] - moved[:-lag], 0, axis)
        found[index] = np.pad(
            np.abs(difference) / (step * lag) ** alpha, [(0, times * lag) for times in index]
        )
    return found


def derivative_norms(
    values: Float64[np.ndarray, "..."], grid: int, alpha: int, lags: Sequence[int] = (1, 2)
) -> dict[tuple[int, ...], tuple[float, ...]]:
    """Sampled norms of the derivatives of a function on the grid of `ball_grid`: lower estimates of
    the suprema.

    Returns
    -------
    dict from multi-index to a tuple of floats
        The largest divided difference for each of the lags.
    """
    found = [differences(values, 1 / grid, alpha, lag) for lag in lags]
    return {k: tuple(float(f[k].max()) for f in found) for k in found[0]}


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


def largest_nearby(
    array: Float64[np.ndarray, "..."], places: Float64[np.ndarray, "P d"], half_width: float
) -> Float64[np.ndarray, " P"]:
    """The largest entry of a non-negative array within ``half_width`` index steps of given places.

    Parameters
    ----------
    array : float64 array, shape (n,) * d
    places : float64 array, shape (P, d)
        In index units; places outside the array are moved to its boundary, which can only enlarge
        the result.
    half_width : float

    Returns
    -------
    float64 array, shape (P,).
    """
    size = 2 * int(np.ceil(half_width + 0.5)) + 1
    index = np.clip(np.rint(places), 0, np.array(array.shape) - 1).astype(int)
    return maximum_filter(array, size, mode="constant")[tuple(index.T)]
