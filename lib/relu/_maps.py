"""The functions of the ReLU calculus as differentiable torch maps.

Each map is the function that a ReLU network realises, written in closed form: ``sq_n`` is the
piecewise linear interpolant of the square on ``2^n`` cells, and everything else is built from it.
`lib.relu.layers` holds the networks; tests compare the two.  Autograd through these maps gives the
slopes of the networks (almost everywhere; at kinks the right-hand slope of ``sq_n``).
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from lib.errors import require
from lib.relu._errors import check_refinement, fold_terms


def tent(t: Float[Tensor, "*S"]) -> Float[Tensor, "*S"]:
    """``g(t) = 2 sigma(t) - 4 sigma(t - 1/2)``: the tent on ``[0,1]`` (``lem-sawtooth``)."""
    return 2 * torch.relu(t) - 4 * torch.relu(t - 0.5)


def square(z: Float[Tensor, "*S"], n: int) -> Float[Tensor, "*S"]:
    """``sq_n(z)``: the interpolant of ``z^2`` at the multiples of ``2^-n`` (``lem-square``).

    Parameters
    ----------
    z : float64 tensor, any shape, values in [0, 1]
    n : int
        0 to 40.

    Returns
    -------
    float64 tensor of the same shape.
    """
    n = check_refinement(n)
    cells = 2.0**n
    left = torch.clamp(torch.floor(z.detach() * cells), max=cells - 1) / cells
    return left * left + (2 * left + 1 / cells) * (z - left)


def product(a: Float[Tensor, "..."], b: Float[Tensor, "..."], n: int) -> Float[Tensor, "..."]:
    """``mu_n(a, b) = sq_n((a+b)/2) - sq_n(|a-b|/2)`` on ``[0,1]^2`` (``lem-product``).

    Exactly zero where ``a`` or ``b`` is zero.  Shapes broadcast.
    """
    difference = a - b
    # |.| by where, not torch.abs: its slope at 0 must be +-1, as almost everywhere
    distance = torch.where(difference >= 0, difference, -difference)
    return torch.relu(square((a + b) / 2, n) - square(distance / 2, n))


def power(z: Float[Tensor, "*S"], degree: int, n: int) -> Float[Tensor, "*S"]:
    """``p_degree(z)``: ``p_1 = z``, ``p_{2k} = sq_n(p_k)``, ``p_{2k+1} = mu_n(z, p_{2k})``
    (``lem-power``).

    Raises
    ------
    InputError
        For a degree below 1.
    """
    require(degree >= 1, "degree", degree, "at least 1")
    if degree == 1:
        return z
    if degree % 2:
        return product(z, power(z, degree - 1, n), n)
    return square(power(z, degree // 2, n), n)


def bspline_of_distance(distance: Float[Tensor, "*S"], order: int, n: int) -> Float[Tensor, "*S"]:
    """``N~_m`` as a function of ``|x - m/2|`` (``prop-bspline-net``); exactly zero from ``m/2``
    on.
    """
    result = torch.zeros_like(distance)
    for _, sign, a, width, scale in fold_terms(order):
        z = torch.relu(width - distance) / scale
        result = result + sign * a * power(z, order - 1, n)
    return torch.relu(result)


def bspline(x: Float[Tensor, "*S"], order: int, n: int) -> Float[Tensor, "*S"]:
    """``N~_m(x)``: the network for the cardinal B-spline, any real ``x`` (``prop-bspline-net``).

    Parameters
    ----------
    x : float64 tensor, any shape
    order : int
        ``m`` in 2..8.
    n : int

    Returns
    -------
    float64 tensor of the same shape, non-negative, bitwise zero outside ``(0, m)``.
    """
    centred = x - order / 2
    return bspline_of_distance(torch.relu(centred) + torch.relu(-centred), order, n)


def tensor_product(factors: Sequence[Float[Tensor, "..."]], n: int) -> Float[Tensor, "..."]:
    """``P_1 = v_1``, ``P_k = mu_n(v_k, P_{k-1})`` for a sequence of tensors in [0, 1]
    (``prop-tensor-net``).
    """
    result = factors[0]
    for v in factors[1:]:
        result = product(v, result, n)
    return result


def tensor_bspline(x: Float[Tensor, "*S D"], order: int, n: int) -> Float[Tensor, "*S"]:
    """``prod_i N_m(x_i)`` as a network; ``x`` has shape (..., D), the result (...)."""
    return tensor_product(list(bspline(x, order, n).unbind(-1)), n)
