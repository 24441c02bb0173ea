"""The class ``C(M, L, J, K, kappa1, kappa2)`` of convolutional residual networks as a torch
module.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from lib.errors import require
from lib.relu.layers import NUMBERS, Layer

# activations of two layers for one chunk of points: beyond the caches it runs at half the speed
_CACHE_BYTES = 1 << 23
_GRAPH_BYTES = 1 << 28  # activations of all layers for one chunk, kept for a gradient


@dataclass(frozen=True)
class Convolution:
    """The numbers of one convolution layer, before it becomes a module (book: ``lem-grouped``).

    Attributes
    ----------
    weight : float64 tensor, shape (out, in / groups, kernel size)
    bias : float64 tensor, shape (out,)
    groups : int
    """

    weight: Float[Tensor, "o i K"]
    bias: Float[Tensor, " o"]
    groups: int = 1

    @classmethod
    def from_layer(cls, layer: Layer) -> "Convolution":
        """A `lib.relu.layers.Layer` as a grouped convolution with filters of size one."""
        groups, out, width = layer.weight.shape
        return cls(layer.weight.reshape(groups * out, width, 1), layer.bias.reshape(-1), groups)

    def to_layer(self) -> Layer:
        """What it does to a single row: the `Layer` of its first filter entries."""
        return Layer(
            self.weight[..., 0].reshape(self.groups, -1, self.weight.shape[1]),
            self.bias.reshape(self.groups, -1),
        )

    def dense(self) -> "Convolution":
        """The same map with one group: the block diagonal written out (book: ``lem-grouped``)."""
        if self.groups == 1:
            return self
        out, width, kernel = self.weight.shape
        rows = out // self.groups
        weight = self.weight.new_zeros(out, width * self.groups, kernel)
        for g in range(self.groups):
            weight[g * rows : (g + 1) * rows, g * width : (g + 1) * width] = self.weight[
                g * rows : (g + 1) * rows
            ]
        return Convolution(weight, self.bias, 1)


class OneSidedConv1d(nn.Conv1d):
    """Convolution of book ``def-convresnet``: stride one, zeros appended behind the last row
    only.
    """

    @classmethod
    def from_numbers(cls, numbers: Convolution) -> "OneSidedConv1d":
        """The module with these numbers."""
        out, width, kernel = numbers.weight.shape
        # nothing is initialised
        conv = cls(width * numbers.groups, out, kernel, groups=numbers.groups, device="meta")
        conv.weight = nn.Parameter(numbers.weight)
        conv.bias = nn.Parameter(numbers.bias)
        return conv

    def forward(self, z: Float[Tensor, "P i rows"]) -> Float[Tensor, "P o rows"]:
        """``z`` of shape (P, in, rows) to (P, out, rows), without the ReLU."""
        return super().forward(functional.pad(z, (0, self.kernel_size[0] - 1)))

    def leading_rows(self, z: Float[Tensor, "i rows0 P"], rows: int) -> Float[Tensor, "o rows P"]:
        """The first ``rows`` rows of the output, from ``z`` of shape (in, rows', P); returns (out,
        rows, P).

        The same numbers as `forward`, laid out channels first so that a grouped layer is one
        batched matrix product.
        """
        kernel, points = self.kernel_size[0], z.shape[2]
        missing = rows + kernel - 1 - z.shape[1]
        if missing > 0:
            z = functional.pad(z, (0, 0, 0, missing))
        taps = z.view(self.groups, self.in_channels // self.groups, z.shape[1], points)
        weight = self.weight.view(self.groups, self.out_channels // self.groups, -1, kernel)
        bias: Tensor = self.bias  # type: ignore[assignment]  # there always is one
        y = bias.view(self.groups, -1, 1)
        for k in range(kernel):
            y = torch.baddbmm(y, weight[..., k], taps[:, :, k : k + rows].flatten(2))
        return y.view(self.out_channels, rows, points)


class ConvResNet(nn.Module):
    """``x -> FC o (Conv_M + id) o ... o (Conv_1 + id) o P`` (book: ``def-convresnet``,
    ``lem-rows``).

    ``P`` puts the ``D`` coordinates of a point into the rows of channel 0 and zeros into the other
    channels; every block is a chain of one-sided convolutions with a ReLU after *each* of them, and
    its output is added to its input; ``FC`` is a linear form of row 0.

    Parameters
    ----------
    blocks : list of lists of Convolution
        The first layer of a block reads, and the last one writes, ``len(head)`` channels.
    head : float64 tensor, shape (channels,)
        The weights of ``FC``.
    dim : int
        ``D``: the number of rows.

    Raises
    ------
    InputError
        If the channel numbers of consecutive layers do not fit.
    """

    # a ModuleList of ModuleLists of OneSidedConv1d, into which type checkers do not see
    blocks: Any
    head: nn.Parameter

    def __init__(self, blocks: Sequence[Sequence[Convolution]], head: Any, dim: int) -> None:
        super().__init__()
        self.dim = int(dim)
        self.channels = len(head)
        for block in blocks:
            widths = [self.channels, *[c.weight.shape[0] for c in block]]
            inputs = [c.weight.shape[1] * c.groups for c in block]
            require(
                widths[:-1] == inputs and widths[-1] == self.channels,
                "blocks",
                (widths, inputs),
                f"chains of layers from {self.channels} channels to {self.channels} channels",
            )
        self.blocks = nn.ModuleList(
            nn.ModuleList(OneSidedConv1d.from_numbers(c) for c in block) for block in blocks
        )
        head = head if isinstance(head, torch.Tensor) else torch.tensor(head, **NUMBERS)
        self.head = nn.Parameter(head.to(torch.float64).clone())

    def forward(self, x: Float[Tensor, "P D"], all_rows: bool = False) -> Float[Tensor, " P"]:
        """Evaluate at the points ``x``.

        Parameters
        ----------
        x : float64 tensor, shape (P, D)
            Points of the unit cube; outside it the network is still defined, without a guarantee.
            (After ``float()`` the module takes float32, and no statement of the book holds.)
        all_rows : bool
            False computes only the rows that can reach row 0 (book: ``lem-rows``), batched over
            groups; True evaluates the definition literally, every row through ``torch.conv1d``.

        Returns
        -------
        float64 tensor, shape (P,).

        Raises
        ------
        InputError
            For another shape or dtype.
        """
        self._check(x)
        if all_rows:
            return self._definition(x)
        # a graph for any number of points
        if torch.compiler.is_compiling() or torch.jit.is_tracing():
            return self._leading_row(x)
        size = self.chunk()
        if len(x) <= size:
            return self._leading_row(x)
        if torch.is_grad_enabled():  # what a gradient needs of a chunk is computed again, not kept
            return torch.cat(
                [checkpoint(self._leading_row, part, use_reentrant=False) for part in x.split(size)]
            )
        return torch.cat([self._leading_row(part) for part in x.split(size)])

    def _check(self, x):
        dtype = self.head.dtype
        require(
            isinstance(x, torch.Tensor) and x.dtype == dtype,
            "x",
            getattr(x, "dtype", type(x)),
            f"a torch tensor of dtype {str(dtype).removeprefix('torch.')}",
        )
        require(
            x.ndim == 2 and x.shape[1] == self.dim, "x.shape", tuple(x.shape), f"(P, {self.dim})"
        )

    def _definition(self, x):
        z = torch.cat([x[:, None, :], x.new_zeros(len(x), self.channels - 1, self.dim)], dim=1)
        for block in self.blocks:
            y = z
            for conv in block:
                y = torch.relu(conv(y))
            z = z + y
        return z[:, :, 0] @ self.head

    def _leading_row(self, x):
        plan = self.rows_needed()
        z = self._stream(x, plan)
        for block, rows in zip(self.blocks, plan):
            z = self._after(block, rows, z)
        return self.head @ z[:, 0]

    def _stream(self, x, plan):
        """What the first block reads, by rows: (channels, rows, P)."""
        first = plan[0][0]
        return torch.cat([x.T[None, :first], x.new_zeros(self.channels - 1, first, x.shape[0])])

    def _after(self, block, rows, z):
        """The stream after a block."""
        y = z
        for conv, count in zip(block, rows[1:]):
            y = torch.relu_(conv.leading_rows(y, count))
        return z[:, : rows[-1]] + y

    def rows_needed(self) -> list[list[int]]:
        """For each block the number of leading rows at its input and after each of its layers.

        Row ``i`` of a layer's output reads rows ``i .. i + K - 1`` of its input, and ``FC`` reads
        row 0: counting backwards gives what must be computed (book: ``lem-rows``).
        """
        need, plan = 1, []
        for block in reversed(self.blocks):
            counts = [need]
            for conv in reversed(block):
                counts.append(min(self.dim, counts[-1] + conv.kernel_size[0] - 1))
            need = counts[-1]
            plan.append(counts[::-1])
        return plan[::-1]

    def dense(self) -> "ConvResNet":
        """The same network with every grouped convolution written out as a dense one
        (``lem-grouped``).
        """
        return ConvResNet(
            [[c.dense() for c in block] for block in self.numbers()], self.head.detach(), self.dim
        )

    def numbers(self) -> list[list[Convolution]]:
        """The weights as nested lists of `Convolution` (detached copies)."""
        return [
            [
                Convolution(c.weight.detach().clone(), c.bias.detach().clone(), c.groups)
                for c in block
            ]
            for block in self.blocks
        ]

    def chunk(self, gradient: bool = False) -> int:
        """Number of points that are evaluated together, by the size of their activations."""
        sizes = [
            [c.out_channels * rows for c, rows in zip(block, counts[1:])]
            for block, counts in zip(self.blocks, self.rows_needed())
        ]
        points = max(4, min(1 << 14, _CACHE_BYTES // (16 * max(map(max, sizes)))))
        # of one block the activations are kept
        return (
            max(1, min(points, _GRAPH_BYTES // (8 * max(map(sum, sizes))))) if gradient else points
        )

    def value_and_gradient(
        self, x: Float[Tensor, "P D"]
    ) -> tuple[Float[Tensor, " P"], Float[Tensor, "P D"]]:
        """Values and gradients with respect to the input, in chunks of bounded memory: activations
        are kept of one block at a time and computed again on the way back.

        Parameters
        ----------
        x : float64 tensor, shape (P, D)

        Returns
        -------
        values (P,), gradients (P, D) : detached float64 tensors.
        """
        self._check(x)
        found = [self._backwards(part) for part in x.detach().split(self.chunk(gradient=True))]
        values, gradients = zip(*found)
        return torch.cat(values), torch.cat(gradients)

    def _backwards(self, x):
        plan = self.rows_needed()
        head = self.head.detach()
        with torch.no_grad():
            streams = [self._stream(x, plan)]
            for block, rows in zip(self.blocks, plan):
                streams.append(self._after(block, rows, streams[-1]))
        slope = torch.zeros_like(streams[-1])
        slope[:, 0] = head[:, None]
        for block, rows, z in zip(reversed(self.blocks), plan[::-1], streams[-2::-1]):
            with torch.enable_grad():  # whatever surrounds the call
                z = z.requires_grad_(True)
                (slope,) = torch.autograd.grad(self._after(block, rows, z), z, slope)
        gradient = x.new_zeros(x.shape)
        gradient[:, : slope.shape[1]] = slope[0].T
        return head @ streams[-1].detach()[:, 0], gradient
