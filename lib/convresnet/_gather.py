"""The gather layers: affine maps of the coordinates, delivered to row 0 (book: ``lem-gather``)."""

from typing import Any

import numpy as np
import torch
from jaxtyping import Float64

from lib.convresnet._module import Convolution
from lib.errors import integer, require


def check_kernel_size(kernel_size: int, dim: int) -> int:
    """``K`` as an int; raises `InputError` unless filters of this size can see all coordinates."""
    least = 1 if dim == 1 else 2
    require(
        integer("kernel_size", kernel_size, 1) >= least,
        "kernel_size",
        kernel_size,
        "an integer, at least 2 (1 will do only in dimension 1)",
    )
    return int(kernel_size)


def gather_depth(dim: int, kernel_size: int) -> int:
    """``max(1, ceil((D-1)/(K-1)))``: the layers row 0 needs to see ``D`` rows."""
    kernel_size = check_kernel_size(kernel_size, dim)
    return max(1, -((1 - dim) // max(kernel_size - 1, 1)))


def gather_rows(dim: int, kernel_size: int) -> list[slice]:
    """The rows that each gather layer adds to the linear forms: a list of slices."""
    depth = gather_depth(dim, kernel_size)
    stride = max(kernel_size - 1, 1)
    return [
        slice(stride * layer, dim if layer == depth - 1 else stride * (layer + 1))
        for layer in range(depth)
    ]


def gather(
    matrix: Any,
    offset: Any,
    kernel_size: int,
    steps: Float64[np.ndarray, "F D"] | None = None,
    start: Float64[np.ndarray, " F"] | None = None,
) -> list[Convolution]:
    """Convolution layers that put ``sigma(A z + b)`` into row 0, for every ``z`` with entries in
    [0, 1].

    Book: ``lem-gather``.

    The carried channels move up by ``K - 1`` rows a layer; one channel per row of ``A`` accumulates
    its linear form.  What keeps the partial sums from being cut by the ReLU is a bias: by default
    ``|a_i|`` is added with every negative ``a_i z_i``; all biases are taken back in the last layer.

    Parameters
    ----------
    matrix : float64 array, shape (F, D) or (F, C, D)
        ``F`` linear forms of ``C`` channels (one by default) of ``D`` rows.
    offset : float64 array, shape (F,)
    kernel_size : int
        ``K >= 2`` (or 1 when ``D = 1``).
    steps : float64 array, shape (F, D), optional
        Biases added with each row, instead of the moduli of negative coefficients.
    start : float64 array, shape (F,), optional
        Biases added in the first layer.  With ``steps`` or ``start`` given, the map is exact for
        those ``z`` for which ``start + sum_{i <= I} (A_i z_i + steps_i) >= 0`` for all ``I``.

    Returns
    -------
    list of Convolution
        `gather_depth` layers from ``C`` channels to ``F`` channels.  What the rows behind row 0
        hold is not specified.
    """
    matrix, offset = (
        np.atleast_2d(np.asarray(matrix, float)),
        np.atleast_1d(np.asarray(offset, float)),
    )
    if matrix.ndim == 2:
        matrix = matrix[:, None]
    forms, carried, dim = matrix.shape
    steps = np.maximum(-matrix, 0).sum(1) if steps is None else steps
    start = np.zeros(forms) if start is None else np.asarray(start, float)
    rows = gather_rows(dim, kernel_size)
    convolutions = []
    for layer, columns in enumerate(rows):
        last = layer == len(rows) - 1
        weight = np.zeros((carried + forms, carried + (forms if layer > 0 else 0), kernel_size))
        weight[carried:, :carried, : columns.stop - columns.start] = matrix[..., columns]
        if layer > 0:
            weight[carried:, carried:, 0] = np.eye(forms)
        if last:
            before = steps[:, : columns.start].sum(1) + (start if layer > 0 else 0)
            weight, bias = weight[carried:], offset - before
        else:
            weight[:carried, :carried, kernel_size - 1] = np.eye(carried)
            bias = np.concatenate(
                [np.zeros(carried), steps[:, columns].sum(1) + (start if layer == 0 else 0)]
            )
        convolutions.append(
            Convolution(torch.from_numpy(weight), torch.from_numpy(np.ascontiguousarray(bias)))
        )
    return convolutions
