"""The gather block: any affine map of the coordinates, delivered to row 0 (book: ``lem-gather``)."""

import numpy as np
import torch

from lib.convresnet._module import Convolution
from lib.errors import require


def check_kernel_size(kernel_size, dim):
    """Raise `InputError` unless filters of this size can see all coordinates."""
    require(isinstance(kernel_size, (int, np.integer)) and not isinstance(kernel_size, bool)
            and kernel_size >= (1 if dim == 1 else 2), "kernel_size", kernel_size,
            "an integer, at least 2 (1 will do only in dimension 1)")


def gather_depth(dim, kernel_size):
    """``max(1, ceil((D-1)/(K-1)))``: the layers row 0 needs to see ``D`` rows."""
    check_kernel_size(kernel_size, dim)
    return max(1, -((1 - dim) // max(kernel_size - 1, 1)))


def gather(matrix, offset, kernel_size):
    """Convolution layers that put ``sigma(A x + b)`` into row 0, for every ``x`` in the unit cube.

    Channel 0 carries ``x``, moving up by ``K - 1`` rows a layer; one channel per row of ``A``
    accumulates its linear form.  Negative entries are kept harmless by a bias ``|a_i|`` added with
    ``a_i x_i`` and taken back in the last layer.

    Parameters
    ----------
    matrix : float64 array, shape (d, D)
    offset : float64 array, shape (d,)
    kernel_size : int
        ``K >= 2`` (or 1 when ``D = 1``).

    Returns
    -------
    list of Convolution
        `gather_depth` layers from 1 channel (holding ``x``) to ``d`` channels.  What the rows behind
        row 0 hold is not specified.
    """
    matrix, offset = np.atleast_2d(np.asarray(matrix, float)), np.atleast_1d(np.asarray(offset, float))
    forms, dim = matrix.shape
    depth, step = gather_depth(dim, kernel_size), max(kernel_size - 1, 1)
    padded = np.zeros((forms, step * depth + kernel_size))
    padded[:, :dim] = matrix
    convolutions = []
    for layer in range(depth):
        last = layer == depth - 1
        taps = kernel_size if last else kernel_size - 1
        columns = padded[:, step * layer:step * layer + taps]
        weight = np.zeros((1 + forms, 1 if layer == 0 else 1 + forms, kernel_size))
        weight[1:, 0, :taps] = columns
        if layer > 0:
            weight[1:, 1:, 0] = np.eye(forms)
        if last:
            guard = np.maximum(-padded[:, :step * layer], 0).sum(1)
            weight, bias = weight[1:], offset - guard
        else:
            weight[0, 0, kernel_size - 1] = 1.0
            bias = np.concatenate([[0.0], np.maximum(-columns, 0).sum(1)])
        convolutions.append(Convolution(torch.from_numpy(weight), torch.from_numpy(np.ascontiguousarray(bias))))
    return convolutions


def embed(convolutions, inputs, outputs, channels):
    """Let a chain of ungrouped layers read and write given channels of a residual stream.

    Parameters
    ----------
    convolutions : list of Convolution
    inputs, outputs : lists of int
        The stream channels that the first layer reads and the last layer writes.
    channels : int
        Width of the stream; the channels not in ``outputs`` receive zero.
    """
    result = list(convolutions)
    first = result[0]
    weight = torch.zeros(first.weight.shape[0], channels, first.weight.shape[2], dtype=torch.float64)
    weight[:, inputs] = first.weight
    result[0] = Convolution(weight, first.bias)
    last = result[-1]
    weight = torch.zeros(channels, *last.weight.shape[1:], dtype=torch.float64)
    bias = torch.zeros(channels, dtype=torch.float64)
    weight[outputs], bias[outputs] = last.weight, last.bias
    result[-1] = Convolution(weight, bias)
    return result
