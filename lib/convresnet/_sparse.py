"""Evaluation of a spline network through the terms that are alive at a point, exactly (book:
``prop-sparse``).
"""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from jaxtyping import Float64
from scipy.sparse import csr_matrix
from torch import Tensor

from lib.convresnet._chart import Chart
from lib.convresnet._gather import gather_rows
from lib.convresnet._kernel import sum_alive
from lib.convresnet._terms import distinct_centres, doublings, linear_forms
from lib.errors import require
from lib.relu import check_refinement, fold_terms, minimum_refinement
from lib.splines import check_order

_CHUNK_BYTES = 1 << 22  # about the size of a cache: four times as much is slower
_LEAST = 64  # points of a chunk


def _squares(x, n):
    """What the layers of ``sq_n`` make of any real ``x``, and its slope (``lem-square``)."""
    z = np.clip(x, 0, 1)
    cells = 2.0**n
    left = np.minimum(np.floor(z * cells), cells - 1)
    t = z * cells - left
    above = x > 1  # only the first level of the refinement sees it
    value = np.where(above, 1.5 * x - 0.5, z * z + t * (1 - t) / cells**2)
    return value, np.where(above, 1.5, np.where(x >= 0, (2 * left + 1) / cells, 0))


def threads() -> int:
    """How many threads are used: ``torch.get_num_threads()``, from OMP_NUM_THREADS or the number
    of cores.
    """
    return torch.get_num_threads()


class SparseEvaluator:
    """The function of a `Construction`, through the terms that are alive.

    Book: ``prop-sparse``.

    At most ``m^d`` terms of a chart are not zero at a point (``prop-bspline-net``: supports are
    exact), and no term of a chart whose partition function vanishes there
    (``lem-partition-net``); only those are computed, compiled, with ``sq_n`` in closed form.  This
    is the function of the module on all of ``R^D``, up to rounding: outside the cube its gather
    layers cut partial sums, and so does this class.  Slopes may differ at kinks and within rounding
    of them, where each is made from one-sided slopes of the factors.

    Parameters
    ----------
    charts : list of Chart
    order, refinement, kernel_size : int
        ``m``, ``n >= 2`` and ``K``; the last one matters only outside the cube.

    Raises
    ------
    InputError
        For another order or refinement, or an index of a term outside ``1 - m .. N - 1``.
    """

    def __init__(
        self, charts: list[Chart], order: int, refinement: int, kernel_size: int = 2
    ) -> None:
        order = check_order(order)
        # with one level N~_5 exceeds 1, where the product is another function
        refinement = check_refinement(refinement, 2 if order <= 5 else minimum_refinement(order))
        self.charts = charts
        self.order = order
        self.refinement = refinement
        first = charts[0]
        self.partition = first.partition
        self.dim = first.dim
        self.ambient_dim = first.ambient_dim
        self.cells = first.cells
        edge = self.cells + order - 1
        self._tables = np.zeros((len(charts), edge**self.dim))
        for row, chart in zip(self._tables, charts):
            low = int(chart.indices.min(initial=0))
            high = int(chart.indices.max(initial=0))
            require(
                -order < low and high < self.cells,
                "indices",
                (low, high),
                f"from {1 - order} to {self.cells - 1}",
            )
            np.add.at(
                row,
                np.ravel_multi_index((chart.indices + order - 1).T, (edge,) * self.dim),
                chart.coefficients,
            )
        self._forms, self._offset, self._steps, self._start = linear_forms(charts)
        self._scale = 2.0 ** doublings(self.cells, self.partition is not None)
        if self.partition is not None:
            centres, rows = distinct_centres(charts)
            self._own = np.array([r[-1] for r in rows])
            self._height = self.partition.gain * self.partition.outer
            # which distances each chart looks at before its own
            self._earlier = csr_matrix(
                (
                    np.ones(sum(len(r) - 1 for r in rows)),
                    np.concatenate([r[:-1] for r in rows]),
                    np.cumsum([0] + [len(r) - 1 for r in rows]),
                ),
                shape=(len(charts), len(centres)),
            )
        self._rows = gather_rows(self.ambient_dim, kernel_size)
        self._folds = np.array(
            [[sign * a, width, scale] for _, sign, a, width, scale in fold_terms(order)]
        )

    def _channels(self, x):
        """What the gather layers read, and its slope, arrays (P, C, D): ``x``, or its squares
        and ``x``.
        """
        positive = x >= 0
        if self.partition is None:
            # read before the first ReLU
            positive |= np.arange(self.ambient_dim) < self._rows[0].stop
        channels = [(np.where(positive, x, 0), positive.astype(float))]
        if self.partition is not None:
            channels.insert(0, _squares(x, self.partition.refinement))
        return (np.stack(part, axis=1) for part in zip(*channels))

    def _sums(self, z, rows):
        """The linear forms of ``z``, cut at zero after each slice of rows: (P, F), and which
        slice is the first to count.
        """
        forms = len(self._start)
        total = self._start
        first = None
        for layer, part in enumerate(rows):
            shift = self._steps[:, part].sum(1)
            if layer == len(rows) - 1:
                shift = shift + self._offset - self._steps.sum(1) - self._start
            total = z[..., part].reshape(len(z), -1) @ self._forms[..., part].reshape(
                forms, -1
            ).T + (total + shift)
            cut = total < 0
            if cut.any():
                total[cut] = 0
                first = np.where(cut, layer + 1, 0 if first is None else first)
        return total, first

    def _evaluate(self, x, rows):
        """Values (P,) and gradients (P, D) at an array (P, D); ``rows`` are the slices between
        two cuts.
        """
        z, dz = self._channels(x)
        sums, first = self._sums(z, rows)
        charts = len(self.charts)
        along = charts * self.dim  # the forms that are mesh coordinates
        pairs = sums[:, :along].reshape(-1, self.dim)
        if self.partition is None:
            alive = np.arange(len(pairs))
            rho = np.ones(len(pairs))
        else:
            shares, handed = self._partition(sums[:, along:])
            alive = np.flatnonzero(shares)
            rho = shares.reshape(-1)[alive]
        values = np.empty(len(alive))
        slopes = np.empty((len(alive), self.dim + 1))
        sum_alive(
            pairs[alive] * self._scale,
            rho,
            self.partition is not None,
            alive % charts,
            self._tables,
            self.order,
            self.cells,
            self.refinement,
            self._folds,
            values,
            slopes,
        )
        back = np.zeros((len(pairs), self.dim))
        back[alive] = self._scale * slopes[:, :-1]
        back = back.reshape(len(x), -1)
        if self.partition is not None:
            in_rho = np.zeros(len(pairs))
            in_rho[alive] = slopes[:, -1]
            back = np.concatenate([back, handed(in_rho.reshape(len(x), charts))], axis=1)
        gradient = np.empty_like(z)
        for layer, part in enumerate(rows):
            share = back if first is None else back * (first <= layer)
            gradient[..., part] = (
                share @ self._forms[..., part].reshape(back.shape[1], -1)
            ).reshape(len(x), z.shape[1], -1)
        gradient *= dz
        return np.bincount(alive // charts, values, len(x)), gradient[
            :, 0
        ] if self.partition is None else gradient.sum(1)

    def _partition(self, v):
        """The partition functions (P, charts) from ``beta d~^2`` (P, centres), and the map that
        hands derivatives in them on to these distances (``lem-partition-net``).
        """
        w = np.maximum(self._height - v, 0)
        own = w[:, self._own]
        left = np.maximum(1 - (self._earlier @ w.T).T, 0)
        free = own <= left  # rho = w_i, else what the earlier ones leave

        def handed(in_rho):
            in_w = -((in_rho * (~free & (left > 0))) @ self._earlier)
            rows = np.arange(len(in_w))[:, None]
            np.add.at(in_w, (rows, self._own[None]), in_rho * free)
            return -in_w * (w > 0)

        return np.minimum(own, left), handed

    def value_and_gradient(self, x: Tensor) -> tuple[Float64[Tensor, " P"], Float64[Tensor, "P D"]]:
        """Values and gradients, in chunks of bounded memory, shared among the `threads`.

        Parameters
        ----------
        x : float64 tensor, shape (P, D)
            Any points up to 1e300.

        Returns
        -------
        values (P,), gradients (P, D) : float64 tensors
            Without a graph.

        Raises
        ------
        InputError
            For another shape or dtype, or a point that is not finite.
        """
        require(
            isinstance(x, torch.Tensor) and x.dtype == torch.float64,
            "x",
            getattr(x, "dtype", type(x)),
            "a torch tensor of dtype float64",
        )
        require(
            x.ndim == 2 and x.shape[1] == self.ambient_dim,
            "x.shape",
            tuple(x.shape),
            f"(P, {self.ambient_dim})",
        )
        require(bool(torch.isfinite(x).all()), "x", "points that are not finite", "finite")
        points = np.ascontiguousarray(x.detach().numpy())
        values = np.empty(len(points))
        gradients = np.empty_like(points)
        width = 6 * len(self._forms) + 12 * self.ambient_dim + 16 * self.dim
        size = max(_LEAST, _CHUNK_BYTES // (8 * width))

        def run(start):
            here = slice(start, start + size)
            if points[here].min() >= 0 and points[here].max() <= 1:  # the rule
                values[here], gradients[here] = self._evaluate(
                    points[here], [slice(0, self.ambient_dim)]
                )
                return
            outside = ((points[here] < 0) | (points[here] > 1)).any(1)
            for places, rows in ((~outside, [slice(0, self.ambient_dim)]), (outside, self._rows)):
                part = start + np.flatnonzero(places)
                if len(part):
                    values[part], gradients[part] = self._evaluate(points[part], rows)

        starts = range(0, len(points), size)
        if min(len(starts), threads()) > 1:
            with ThreadPoolExecutor(threads()) as pool:
                list(pool.map(run, starts))
        else:
            list(map(run, starts))
        return torch.from_numpy(values), torch.from_numpy(gradients)

    def __call__(self, x: Tensor) -> Float64[Tensor, " P"]:
        """Values (P,) at ``x`` (P, D): see `value_and_gradient`."""
        return self.value_and_gradient(x)[0]
