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
from lib.convresnet._terms import STREAM, distinct_centres, doublings, head_weights, term_block
from lib.errors import integer, require
from lib.relu import check_refinement, fold_terms, layers, power_size
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
        chain: list[Convolution] = []
        for mine, runs in self._runs():
            if not mine:
                yield [
                    Convolution(
                        torch.zeros(STREAM, STREAM, 1, **layers.NUMBERS),
                        torch.zeros(STREAM, **layers.NUMBERS),
                    )
                    for _ in chain
                ]
                continue
            chain = term_block(
                [self.charts[i] for i in mine], runs, self.order, self.refinement, self.kernel_size
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

    def _runs(self):
        """The terms of each block: lists of the numbers of its charts and of a slice of each."""
        charts = self.charts
        ends = np.cumsum([len(c.indices) for c in charts])
        for part in np.array_split(np.arange(ends[-1]), self.blocks):
            if not len(part):
                yield [], []
                continue
            low, high = part[0], part[-1] + 1
            first = int(np.searchsorted(ends, low, side="right"))
            last = int(np.searchsorted(ends, high, side="left"))
            mine = range(first, last + 1)
            starts = [ends[i] - len(charts[i].indices) for i in mine]
            yield (
                list(mine),
                [slice(max(low - s, 0), min(high, ends[i]) - s) for i, s in zip(mine, starts)],
            )

    @property
    def promised(self) -> Architecture:
        """The sizes that ``prop-realisation`` and ``prop-local-realisation`` promise, from their
        formulas (nothing is built).

        On the cube ``L = G + k + 3 + pi_m + (d-1)(n+3)`` with ``pi_2 = 0`` and else one more than
        the layers of a power (`lib.relu.power_size`); ``J = max(3, 1 + d, J~ max(d w_m, (d + 3) [d
        > 1]))`` with ``w_2 = 2`` and else the channels of a power for each fold, and ``J~`` the
        terms of a block; ``kappa1 = max(4, max a_r, max |c_j|)``.

        Behind a partition ``L`` has ``n_d + 1 + n + 3`` layers more and ``J = max(4, 2 + a d + b, 2
        d J~ + b, d J~ + 2 a, d J~ (w_m + 1), J~ (d + 4))``, ``a`` and ``b`` the most charts and
        centres of a block; ``kappa1`` is also at least ``beta max(2, K, r_1^2)`` and ``sqrt(K) b_1
        + b_2``, ``b_1`` the slope of the charts over ``2^k`` and ``b_2`` that slope times ``r_1``
        plus the mesh coordinate of the centre over ``2^k``.  ``kappa2 = 1``.
        """
        order, kernel_size, n = self.order, self.kernel_size, self.refinement
        chart = self.charts[0]
        dim = chart.dim
        localised = chart.partition is not None
        refinement = 0 if chart.partition is None else chart.partition.refinement
        terms = -(-sum(len(c.indices) for c in self.charts) // self.blocks)
        power_depth, width = power_size(order - 1, n)
        power_depth += order > 2  # the signed sum
        width = max(2, width * len(fold_terms(order)))
        k = doublings(chart.cells, localised)
        depth = k + 3 + power_depth + gather_depth(chart.ambient_dim, kernel_size)
        kappa1 = [
            4.0,
            max(a for _, _, a, _, _ in fold_terms(order)),
            max(float(np.abs(c.coefficients).max()) for c in self.charts),
        ]
        if localised:
            depth += refinement + 1 + dim * (n + 3)
            met = [m for m, _ in self._runs() if m]
            a = max(map(len, met))
            b = max(len(distinct_centres([self.charts[i] for i in m])[0]) for m in met)
            channels = max(
                4,
                2 + a * dim + b,
                2 * dim * terms + b,
                dim * terms + 2 * a,
                dim * terms * (width + 1),
                terms * (dim + 4),
            )
            kappa1 += [self._largest_of(c, 2.0**-k) for c in self.charts]
        else:
            depth += (dim - 1) * (n + 3)
            channels = max(STREAM, 1 + dim, terms * max(dim * width, dim + 3 if dim > 1 else 0))
        return Architecture(
            M=self.blocks, L=depth, J=channels, K=kernel_size, kappa1=max(kappa1), kappa2=1.0
        )

    def _largest_of(self, chart, scale):
        """A bound of the weights that gather for a chart and its partition function."""
        p = chart.partition
        slope = np.linalg.norm(chart.matrix, axis=1).max() * scale
        centred = np.abs(chart.matrix @ p.centre + chart.offset).max() * scale
        return max(
            slope * (self.kernel_size**0.5 + p.outer**0.5) + centred,
            p.gain * max(2, self.kernel_size, p.outer),
            p.gain * float((p.centre**2).sum()) if chart.ambient_dim == 1 else 0.0,
        )
