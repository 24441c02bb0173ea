"""The quasi-interpolant ``Q f = sum_j lambda_j(f) M_j`` on the unit cube."""

from collections.abc import Callable
from math import lcm
from typing import Any

import numpy as np
from jaxtyping import Float64
from scipy.sparse import csr_matrix

from lib.errors import integer, require
from lib.splines._bspline import check_order
from lib.splines._functionals import functional, weight_sum

_CHUNK = 1 << 18  # points of the target evaluated at once
_UNIT = 2.0**-53
_TINY = 2.0**-1000  # more than all underflows


class QuasiInterpolant:
    """Tensor-product spline quasi-interpolation of order ``m`` on ``N`` cells per axis.

    Parameters
    ----------
    order : int
        ``m`` in 2..8; the operator reproduces polynomials of degree below ``m`` in each variable
        (book: ``lem-marsden``).
    cells : int
        ``N >= m``.

    Attributes
    ----------
    nodes : float64 array, shape (n,)
        All sample points of one axis, ascending, in ``[0, 1]``.
    matrix : scipy.sparse.csr_matrix, shape (N + m - 1, n)
        Row ``j + m - 1`` holds the weights of ``lambda_j``.

    Raises
    ------
    InputError
        For an order outside 2..8 or ``N < m``.
    """

    def __init__(self, order: int, cells: int) -> None:
        self.order = order = check_order(order)
        self.cells = cells = integer("cells", cells, order)
        interior = cells - order + 1  # lambda_0, .., lambda_{N-m} are translates of one another
        boundary = [
            (j, *functional(order, cells, j))
            for j in (*range(1 - order, 0), *range(interior, cells))
        ]
        nodes, weights = functional(order, cells, 0)
        unit = lcm(
            *(t.denominator for _, points, _ in boundary for t in points),
            *(t.denominator for t in nodes),
        )
        place = (np.arange(interior)[:, None] * unit + [int(t * unit) for t in nodes]).reshape(-1)
        rows = np.concatenate(
            [
                np.repeat(np.arange(interior), len(nodes)),
                *(np.full(len(t), j) for j, t, _ in boundary),
            ]
        )
        place = np.concatenate(
            [place, *([int(t * unit) for t in points] for _, points, _ in boundary)]
        )
        data = np.concatenate(
            [
                np.tile(np.array(weights, float), interior),
                *(np.array(w, float) for *_, w in boundary),
            ]
        )
        distinct, columns = np.unique(place, return_inverse=True)
        self.nodes = distinct / (unit * cells)
        self.matrix = csr_matrix(
            (data, (rows + order - 1, columns)), shape=(cells + order - 1, len(distinct))
        )

    def coefficients(
        self, function: Callable[[np.ndarray], np.ndarray], dim: int
    ) -> Float64[np.ndarray, "..."]:
        """The coefficients ``c_j = lambda_j(f)`` of a function.

        Parameters
        ----------
        function : callable
            Maps a float64 array (P, D) of points of the cube to values (P,); called on chunks of
            the tensor grid of `nodes`, each grid point once.  The samples are contracted slab by
            slab and never held together.
        dim : int
            ``D >= 1``.

        Returns
        -------
        float64 array, shape (N + m - 1,) * D.

        Raises
        ------
        InputError
            If a value is not finite.
        """
        count = len(self.nodes)
        rest = count ** (dim - 1)
        result: Any = 0
        by_column = self.matrix.tocsc()
        for first, last in self._slabs(dim):
            slab = np.empty((last - first) * rest)
            for start in range(0, len(slab), _CHUNK):
                flat = first * rest + np.arange(start, min(start + _CHUNK, len(slab)))
                points = self.nodes[np.stack(np.unravel_index(flat, (count,) * dim), axis=1)]
                slab[start : start + _CHUNK] = function(points)
            slab = self._contract(
                slab.reshape((last - first,) + (count,) * (dim - 1)), range(1, dim), self.matrix
            )
            result = result + by_column[:, first:last] @ slab.reshape(last - first, -1)
        return result.reshape((self.matrix.shape[0],) * dim)

    def coefficient_error(
        self,
        enclosure: Callable[[list[np.ndarray]], tuple[np.ndarray, np.ndarray]],
        coefficients: Float64[np.ndarray, "..."],
    ) -> float:
        """An upper bound of ``max_j |lambda_j(f) - c_j|``, all rounding included
        (``prop-rounding``).

        Parameters
        ----------
        enclosure : callable
            Maps a list of D float64 arrays, the coordinates of a part of the grid, to two arrays
            over that part: ``f`` at every point within a relative ``2^-53`` of each coordinate is
            within the second of the first.
        coefficients : float64 array, shape (N + m - 1,) * D
            ``c_j``.

        Returns
        -------
        float
            Infinite if a value is not known.
        """
        dim = coefficients.ndim
        result: list[Any] = [0, 0]
        by_column = [self.matrix.tocsc(), abs(self.matrix).tocsc()]
        # in an axis: a rounding of each weight, product and sum that is not with zero
        operations = dim * (int(np.diff(self.matrix.indptr).max()) + 2)
        for first, last in self._slabs(dim):
            mid, rad = enclosure([self.nodes[first:last]] + [self.nodes] * (dim - 1))
            if not np.isfinite(rad).all():
                return float("inf")
            rad = rad + 1.01 * operations * _UNIT * np.abs(mid)
            for k, samples in enumerate((mid, rad)):
                matrix = abs(self.matrix) if k else self.matrix
                slab = self._contract(samples, range(1, dim), matrix)
                result[k] = result[k] + by_column[k][:, first:last] @ slab.reshape(last - first, -1)
        off = np.abs(result[0].reshape(coefficients.shape) - coefficients)
        return (
            float(
                (off + result[1].reshape(coefficients.shape)).max()
                * (1 + 2 * (operations + 8) * _UNIT)
            )
            + _TINY
        )

    def _slabs(self, dim):
        """The tensor grid of nodes in slabs of about equal size: first and last node of the
        first axis.
        """
        thick = max(1, _CHUNK // len(self.nodes) ** (dim - 1))
        for first in range(0, len(self.nodes), thick):
            yield first, min(first + thick, len(self.nodes))

    def _contract(self, samples, axes, matrix):
        """A matrix of functionals along some axes of an array of samples."""
        require(bool(np.isfinite(samples).all()), "samples", "values that are not finite", "finite")
        for axis in axes:
            moved = np.moveaxis(samples, axis, 0)
            moved = (matrix @ moved.reshape(len(self.nodes), -1)).reshape((-1,) + moved.shape[1:])
            samples = np.moveaxis(moved, 0, axis)
        return np.ascontiguousarray(samples)

    def coefficients_from_samples(self, samples: Any) -> Float64[np.ndarray, "..."]:
        """The coefficients from values on the tensor grid of `nodes`.

        Parameters
        ----------
        samples : float64 array, shape (n,) * D

        Returns
        -------
        float64 array, shape (N + m - 1,) * D.

        Raises
        ------
        InputError
            For an array of another shape, or samples that are not finite.
        """
        samples = np.asarray(samples, dtype=float)
        count = len(self.nodes)
        require(
            samples.ndim >= 1 and set(samples.shape) == {count},
            "samples",
            samples.shape,
            f"an array with {count} entries along every axis",
        )
        return self._contract(samples, (*range(1, samples.ndim), 0), self.matrix)


def allowance(order: int, dim: int, coefficients: Float64[np.ndarray, "..."]) -> float:
    """How far coefficients in float64 may be off if samples are within eight roundings: an
    estimate, not an enclosure.

    Weights of a functional add up to ``Lambda_m`` in modulus, so rounding is some ``Lambda_m^D max
    |c_j|`` units of roundoff times the operations, at most ``m + 10`` an axis.
    """
    return (
        float(weight_sum(order)) ** dim
        * (dim * (order + 10) + 8)
        * _UNIT
        * float(np.abs(coefficients).max())
    )
