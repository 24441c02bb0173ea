"""The construction of chapter 04 as a value: charts and sizes, from which networks are built."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch

from lib.convresnet._architecture import Architecture
from lib.convresnet._chart import Chart
from lib.convresnet._compare import changed_layers, computes_its_weights, same_form
from lib.convresnet._gather import check_kernel_size, gather_depth
from lib.convresnet._module import Convolution, ConvResNet
from lib.convresnet._sparse import SparseEvaluator
from lib.convresnet._terms import STREAM, doublings, head_weights, term_block
from lib.errors import integer, require
from lib.relu import check_refinement, fold_terms, layers
from lib.splines import check_order


@dataclass(frozen=True, eq=False)
class Construction:
    """The network for a sum of splines behind charts (book: ``prop-realisation``, ``lem-skip``,
    ``lem-grouped``).

    Attributes
    ----------
    charts : list of Chart
        With the same ``d``, ``D`` and ``cells``; a single one for the cube (`cube_chart`).
    order, refinement : int
        ``m`` and ``n``.
    kernel_size : int
        ``K >= 2``; 1 will do for ``D = 1``.
    blocks : int
        ``M``, the residual blocks.  The terms are dealt out in the order of the charts, in runs
        whose lengths differ by at most one; with more blocks than terms the last ones are zero.

    Raises
    ------
    InputError
        For sizes outside these ranges, and for what is no list of charts.
    """

    charts: list[Chart]
    order: int
    refinement: int
    kernel_size: int = 2
    blocks: int = 1

    def __post_init__(self):
        charts = self.charts
        ok = type(charts) is list and len(charts) > 0 and all(isinstance(c, Chart) for c in charts)
        require(ok, "charts", charts, "a list of charts")
        sizes = {
            "order": check_order(self.order),
            "refinement": check_refinement(self.refinement),
            "kernel_size": check_kernel_size(self.kernel_size, charts[0].ambient_dim),
            "blocks": integer("blocks", self.blocks, 1),
        }
        for name, size in sizes.items():
            object.__setattr__(self, name, int(size))

    @property
    def network(self) -> ConvResNet:
        """The module, float64, (P, D) -> (P,); a new one whenever it is asked for."""
        return ConvResNet(list(self.layers()), head_weights(), self.charts[0].ambient_dim)

    @cached_property
    def sparse(self) -> SparseEvaluator:
        """The same function through the terms that are alive (``prop-sparse``)."""
        return SparseEvaluator(self.charts, self.order, self.refinement, self.kernel_size)

    def layers(self) -> Iterator[list[Convolution]]:
        """The layers of the residual blocks, one block after the other.

        Where there are more blocks than terms the last ones are zero: layers of the stream alone,
        as many as in the others.
        """
        charts = self.charts
        ends = np.cumsum([len(c.indices) for c in charts])
        chain: list[Convolution] = []
        for part in np.array_split(np.arange(ends[-1]), self.blocks):
            if not len(part):
                yield [
                    Convolution(
                        torch.zeros(STREAM, STREAM, 1, **layers.NUMBERS),
                        torch.zeros(STREAM, **layers.NUMBERS),
                    )
                    for _ in chain
                ]
                continue
            low = part[0]
            high = part[-1] + 1
            mine = [
                i for i, end in enumerate(ends) if end > low and end - len(charts[i].indices) < high
            ]
            starts = [ends[i] - len(charts[i].indices) for i in mine]
            runs = [slice(max(low - s, 0), min(high, ends[i]) - s) for i, s in zip(mine, starts)]
            chain = term_block(
                [charts[i] for i in mine], runs, self.order, self.refinement, self.kernel_size
            )
            yield chain

    def built(self, network: Any) -> bool:
        """Whether a module is `network`, bit by bit, and nothing was added to it."""
        if not (
            computes_its_weights(network)
            and len(network.blocks) == self.blocks
            and network.dim == self.charts[0].ambient_dim
            and torch.equal(network.head.detach(), head_weights())
        ):  # of the same shape
            return False
        return all(
            same_form(mine, ours) and not changed_layers(mine, ours)
            for mine, ours in zip(network.numbers(), self.layers())
        )

    @property
    def promised(self) -> Architecture:
        """The sizes that ``prop-realisation`` promises, from its formulas (nothing is built).

        ``L = [n_d + 1] + G + k + 3 + pi_m + (d-1)(n+3)`` with ``pi_2, .., pi_5 = 0, n+2, 2n+4,
        2n+3``, the bracket only with gates; ``J = max(3, [4], C + a F, J~ max(d w_m, (d + 3) [d >
        1]))`` with ``w_2, .., w_5 = 2, 6, 10, 9``, ``J~`` the terms of a block, ``a`` the charts
        that a block may meet, and ``C = 1, F = d`` without gates, ``C = 2, F = d + 1`` with them;
        ``kappa2 = 1``; ``kappa1 = max(4, a_0 [m > 2], max |c_j|)`` and, with gates, ``sqrt(K) b +
        beta`` and ``max(2, K
        - 1, R_1^2 + K) / (R_2^2 - R_1^2)``, ``b`` the slope of the charts over ``2^k`` and ``beta``
        that slope times ``R_2`` plus the mesh coordinate of the centre over ``2^k``.
        """
        charts = self.charts
        order = self.order
        kernel_size = self.kernel_size
        n = self.refinement
        sizes = [len(c.indices) for c in charts]
        terms = -(-sum(sizes) // self.blocks)
        chart = charts[0]
        dim = chart.dim
        gates = [c.gate for c in charts if c.gate is not None]  # all are gated, or none
        gated = len(gates) > 0
        power_depth = {2: 0, 3: n + 2, 4: 2 * n + 4, 5: 2 * n + 3}[order]
        width = {2: 2, 3: 6, 4: 10, 5: 9}[order]
        depth = (
            doublings(chart.cells)
            + 3
            + power_depth
            + (dim - 1) * (n + 3)
            + gather_depth(chart.ambient_dim, kernel_size)
        )
        met = min(len(charts), -(-(terms - 1) // min(sizes)) + 1)
        kappa1 = [
            4.0,
            max(a for _, _, a, _, _ in fold_terms(order)),
            max(float(np.abs(c.coefficients).max()) for c in charts),
        ]
        if gated:
            depth += gates[0].refinement + 1
            scale = 2.0 ** -doublings(chart.cells)
            for c, gate in zip(charts, gates):
                slope = np.linalg.norm(c.matrix, axis=1).max() * scale
                centred = np.abs(c.matrix @ gate.centre + c.offset).max() * scale
                kappa1 += [
                    slope * (kernel_size**0.5 + gate.outer**0.5) + centred,
                    max(2, kernel_size - 1) * gate.gain,
                    gate.gain * (gate.inner + kernel_size),
                ]
        return Architecture(
            M=self.blocks,
            L=depth,
            J=max(
                4 if gated else STREAM,
                1 + gated + met * (dim + gated),
                terms * max(dim * width, dim + 3 if dim > 1 else 0),
            ),
            K=kernel_size,
            kappa1=max(kappa1),
            kappa2=1.0,
        )
