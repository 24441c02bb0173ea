"""The quasi-interpolant ``Q f = sum_j lambda_j(f) M_j`` on the unit cube."""

import numpy as np
from scipy.sparse import csr_matrix

from lib.errors import require
from lib.splines._bspline import check_order
from lib.splines._functionals import functional

_CHUNK = 1 << 18   # points of the target evaluated at once


class QuasiInterpolant:
    """Tensor-product spline quasi-interpolation of order ``m`` on ``N`` cells per axis.

    Parameters
    ----------
    order : int
        ``m`` in 2..5; the operator reproduces polynomials of degree below ``m`` in each variable
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
        For an order outside 2..5 or ``N < m``.
    """

    def __init__(self, order, cells):
        check_order(order)
        require(
            isinstance(cells, (int, np.integer)) and not isinstance(cells, bool) and cells >= order,
            "cells", cells, f"an integer, at least the order, {order}",
        )
        self.order, self.cells = int(order), int(cells)
        functionals = [functional(order, cells, j) for j in range(1 - order, cells)]
        nodes = sorted({t for points, _ in functionals for t in points})
        column = {t: k for k, t in enumerate(nodes)}
        entries = [
            (float(w), row, column[t])
            for row, (points, weights) in enumerate(functionals)
            for t, w in zip(points, weights)
        ]
        data, rows, columns = zip(*entries)
        self.nodes = np.array([float(t / cells) for t in nodes])
        self.matrix = csr_matrix((data, (rows, columns)), shape=(len(functionals), len(nodes)))

    def coefficients(self, function, dim):
        """The coefficients ``c_j = lambda_j(f)`` of a function.

        Parameters
        ----------
        function : callable
            Maps a float64 array (P, D) of points of the cube to values (P,); called on chunks of
            the tensor grid of `nodes`, each grid point once.
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
        samples = np.empty(count**dim)
        for start in range(0, count**dim, _CHUNK):
            index = np.arange(start, min(start + _CHUNK, count**dim))
            points = self.nodes[np.stack(np.unravel_index(index, (count,) * dim), axis=1)]
            samples[index] = function(points)
        return self.coefficients_from_samples(samples.reshape((count,) * dim))

    def coefficients_from_samples(self, samples):
        """The coefficients from values on the tensor grid of `nodes`.

        Parameters
        ----------
        samples : float64 array, shape (n,) * D

        Returns
        -------
        float64 array, shape (N + m - 1,) * D.
        """
        samples = np.asarray(samples, dtype=float)
        count = len(self.nodes)
        require(samples.ndim >= 1 and set(samples.shape) == {count}, "samples", samples.shape,
                f"an array with {count} entries along every axis")
        require(bool(np.isfinite(samples).all()), "samples", "values that are not finite", "finite")
        for axis in range(samples.ndim):
            moved = np.moveaxis(samples, axis, 0)
            moved = (self.matrix @ moved.reshape(count, -1)).reshape((-1,) + moved.shape[1:])
            samples = np.moveaxis(moved, 0, axis)
        return np.ascontiguousarray(samples)
