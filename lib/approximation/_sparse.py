"""Evaluation of a spline network through the terms that are alive at a point, exactly.

At most ``m^d`` of the terms of a chart are not zero at a point (``prop-bspline-net``: supports are
exact), and no term of a chart whose gate is closed there (``lem-gate``), so only those are computed,
with the closed forms of `lib.relu`.  The result is the function of the module, up to rounding in the
last sums.
"""

import numpy as np
import torch

from lib import relu
from lib.convresnet import value_and_gradient

_CHUNK_BYTES = 1 << 26


class SparseEvaluator:
    """The function of ``spline_network(charts, order, refinement, ..)``, term by living term.

    Parameters
    ----------
    charts : list of Chart
    order, refinement : int
        ``m`` and ``n``.
    """

    def __init__(self, charts, order, refinement):
        self.charts, self.order, self.refinement = charts, order, refinement
        self.dim = charts[0].dim
        self.edge = charts[0].cells + order - 1
        self.tables = torch.zeros(len(charts), self.edge**self.dim, dtype=torch.float64)
        for row, chart in enumerate(charts):
            flat = np.ravel_multi_index((chart.indices + order - 1).T, (self.edge,) * self.dim)
            self.tables[row, torch.from_numpy(flat)] = torch.from_numpy(chart.coefficients)
        self.matrix = torch.from_numpy(np.stack([c.matrix for c in charts]))
        self.offset = torch.from_numpy(np.stack([c.offset for c in charts]))

    def _meetings(self, x):
        """Which point meets which chart, and there ``omega``: index tensors (Q,), (Q,) and (Q,) or None."""
        gate = self.charts[0].gate
        if gate is None:
            point = torch.arange(len(x)).repeat(len(self.charts))
            return point, torch.arange(len(self.charts)).repeat_interleave(len(x)), None
        centres = torch.from_numpy(np.stack([c.gate.centre for c in self.charts]))
        # the sum over the coordinates first: what is left is linear in the centre
        squares = relu.square(x, gate.refinement).sum(1, keepdim=True)
        distance = squares - 2 * x @ centres.T + (centres**2).sum(1)
        inner = torch.tensor([c.gate.inner for c in self.charts], dtype=torch.float64)
        slope = torch.tensor([c.gate.slope for c in self.charts], dtype=torch.float64)
        omega = torch.relu((distance - inner) * slope)
        point, chart = torch.nonzero(omega.detach() < 1, as_tuple=True)
        return point, chart, omega[point, chart]

    def __call__(self, x):
        """Values (P,) at the points ``x`` (P, D) of the cube, differentiable."""
        m, n, cells = self.order, self.refinement, self.charts[0].cells
        point, chart, omega = self._meetings(x)
        u = torch.addmm(self.offset.reshape(-1), x, self.matrix.flatten(0, 1).T)
        u = u.view(len(x), -1, self.dim)[point, chart]
        cell = torch.clamp(torch.floor(u.detach()).long(), 0, cells - 1)
        index = cell[..., None] + torch.arange(m)                                  # (Q, d, m): j + m - 1
        difference = u[..., None] - (index - (m - 1) + m / 2)
        closing = 0 if omega is None else torch.cat(
            [(m * omega)[:, None, None], torch.zeros(len(u), self.dim - 1, 1)], dim=1)
        distance = torch.relu(difference + closing) + torch.relu(closing - difference)
        factors = relu.bspline_of_distance(distance, m, n)
        result, flat = factors[:, 0], index[:, 0]
        for i in range(1, self.dim):
            result = relu.product(factors[:, i, None, :], result[..., None], n).flatten(1)
            flat = (flat[..., None] * self.edge + index[:, i, None, :]).flatten(1)
        terms = (result * self.tables[chart[:, None], flat]).sum(1)
        return torch.zeros(len(x), dtype=torch.float64).index_add(0, point, terms)

    def value_and_gradient(self, x):
        """Values (P,) and gradients (P, D), detached, in chunks of bounded memory."""
        alive = 20 * self.order**self.dim * (1 if self.charts[0].gate is None else 8)
        width = alive + (self.dim + 4) * len(self.charts) + 8 * x.shape[1]
        return value_and_gradient(self, x, max(64, _CHUNK_BYTES // (8 * width)))
