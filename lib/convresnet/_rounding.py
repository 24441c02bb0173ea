"""What float64 does to the value of a network (book: ``lem-rounding``)."""

from lib.norms import Norms
from lib.relu import fold_terms

UNIT = 2.0**-53  # unit roundoff


def rounding(order: int, refinement: int, dim: int, mesh_rounding: float) -> tuple[float, float]:
    """By how much float64 may miss the value of one term, and by how much times ``|c_j|`` their sum
    (``lem-rounding``).

    Parameters
    ----------
    order, refinement, dim : int
        ``m``, ``n <= 40`` and the number of factors of a term.
    mesh_rounding : float
        What the mesh coordinates may be off, in mesh units and units of ``u``: ``2 N`` on the cube.

    Returns
    -------
    term, total : float
        A term is off by at most ``term``; a sum of ``c_j`` times terms of which ``m^dim`` are alive
        by at most ``sum |c_j| (term + total)`` over those.
    """
    square, product = 3 * refinement + 12, 3 * refinement + 40

    def power(degree):
        if degree == 1:
            return 0
        if degree % 2:
            return 2 * power(degree - 1) + product
        return 2 * power(degree // 2) + square

    factor = sum(
        a * ((order - 1) * ((mesh_rounding + order) / scale + 1) + power(order - 1) + 6)
        for _, _, a, _, scale in fold_terms(order)
    )
    return UNIT * 1.01 * (dim * factor + (dim - 1) * product), UNIT * 1.01 * (2 * order**dim + 4)


def stored_folds(order: int) -> Norms:
    """How far a factor with the weights ``a_r`` rounded to float64 is from ``N~_m``, in value and
    slope: `lib.Norms`.

    For orders up to 3 these weights are floats.  The slope of ``p_{m-1}`` is at most ``m - 1``
    (``lem-power``).
    """
    if order <= 3:
        return Norms(0.0, 0.0)
    return Norms(
        UNIT * sum(a for _, _, a, _, _ in fold_terms(order)),
        UNIT * sum((order - 1) * a / scale for _, _, a, _, scale in fold_terms(order)),
    )
