"""Evaluation of a spline network through the terms that are alive at a point, exactly.

At most ``m^D`` of the ``(N+m-1)^D`` terms are not zero at a point (``prop-bspline-net``: supports are
exact), so only those are computed, with the closed forms of `lib.relu`.  The result is the function
of the module, up to rounding in the last sum.
"""

import torch

from lib import relu

_CHUNK_BYTES = 1 << 26


def sparse_values(coefficients, order, refinement, x):
    """The network function at ``x``.

    Parameters
    ----------
    coefficients : float64 tensor, shape (N + m - 1,) * D
    order, refinement : int
        ``m`` and ``n``.
    x : float64 tensor, shape (P, D), in the cube

    Returns
    -------
    float64 tensor, shape (P,), differentiable in ``x``.
    """
    dim = coefficients.ndim
    cells = coefficients.shape[0] - order + 1
    scaled = x * cells
    cell = torch.clamp(torch.floor(scaled.detach()).long(), 0, cells - 1)
    offsets = torch.arange(order)
    index = cell[..., None] + offsets                                     # (P, D, m): j + m - 1
    centre = index - (order - 1) + order / 2
    difference = scaled[..., None] - centre
    factors = relu.bspline_of_distance(torch.relu(difference) + torch.relu(-difference), order, refinement)
    result, flat = factors[:, 0], index[:, 0]
    for i in range(1, dim):
        result = relu.product(factors[:, i, None, :], result[..., None], refinement).flatten(1)
        flat = (flat[..., None] * coefficients.shape[0] + index[:, i, None, :]).flatten(1)
    return (result * coefficients.reshape(-1)[flat]).sum(1)


def sparse_value_and_gradient(coefficients, order, refinement, x):
    """Values (P,) and gradients (P, D) of the network function, in chunks of bounded memory."""
    chunk = max(256, _CHUNK_BYTES // (8 * 20 * order**coefficients.ndim))
    values, gradients = [], []
    for part in x.split(chunk):
        part = part.detach().clone().requires_grad_(True)
        value = sparse_values(coefficients, order, refinement, part)
        (gradient,) = torch.autograd.grad(value.sum(), part)
        values.append(value.detach())
        gradients.append(gradient)
    return torch.cat(values), torch.cat(gradients)
