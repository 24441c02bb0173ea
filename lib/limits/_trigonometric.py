"""Trigonometric polynomials of period 1: functions that are as steep as they can be (book:
``lem-bernstein``, ``thm-trigonometric``).
"""

import numpy as np
from jaxtyping import Float64

from lib.errors import integer


def trigonometric_matrix(
    n: int, x: Float64[np.ndarray, " P"], derivative: int = 0
) -> Float64[np.ndarray, "P k"]:
    """The basis ``1, cos 2 pi x, sin 2 pi x, .., cos 2 pi n x, sin 2 pi n x``, or its derivatives.

    Parameters
    ----------
    n : int
        Degree, at least 0.
    x : float64 array, shape (P,)
    derivative : int
        At least 0.

    Returns
    -------
    float64 array, shape (P, 2 n + 1)

    Raises
    ------
    InputError
        For a negative degree or derivative.
    """
    n = integer("n", n, 0)
    derivative = integer("derivative", derivative, 0)
    x = np.asarray(x, dtype=float)
    steps = 2 * np.pi * np.arange(1, n + 1)
    turned = x[:, None] * steps + derivative * np.pi / 2  # a derivative is a quarter of a turn
    result = np.empty((len(x), 2 * n + 1))
    result[:, 0] = float(derivative == 0)
    result[:, 1::2] = steps**derivative * np.cos(turned)
    result[:, 2::2] = steps**derivative * np.sin(turned)
    return result
