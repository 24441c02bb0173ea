"""`approximate`: from a target to a network with a guaranteed error (book: ``thm-cube``)."""

import numpy as np

from lib.approximation._bound import bound, choose_refinement
from lib.approximation._result import Approximation
from lib.approximation._target import Target
from lib.convresnet import check_kernel_size, promised_architecture, spline_network
from lib.errors import InputError, require
from lib.relu import MAXIMUM_REFINEMENT, MINIMUM_REFINEMENT, check_refinement
from lib.splines import QuasiInterpolant, check_order, jackson_bound

MAXIMUM_TERMS = 200_000
_POLYNOMIAL_REFINEMENT = 30


class Cube:
    """The domain ``[0,1]^D``.

    Parameters
    ----------
    dim : int
        ``D >= 1``.
    """

    def __init__(self, dim):
        require(isinstance(dim, int) and not isinstance(dim, bool) and dim >= 1, "dim", dim, "an integer, at least 1")
        self.dim = dim

    def __repr__(self):
        return f"Cube({self.dim})"


def _integer(name, value, least):
    require(isinstance(value, (int, np.integer)) and not isinstance(value, bool) and value >= least,
            name, value, f"an integer, at least {least}")
    return int(value)


def approximate(target, domain, *, order=4, cells=None, tolerance=None, kernel_size=2, blocks=1,
                terms_per_block=None, refinement=None):
    """Build a ConvResNet that approximates a target in value and in slope, with a guaranteed error.

    Parameters
    ----------
    target : Target
    domain : Cube
    order : int
        ``m`` in 2..5, the spline order; the smoothness used is ``alpha = min(m, that of the target)``.
    cells : int, optional
        ``N >= m``, mesh cells per axis.
    tolerance : float, optional
        Instead of ``cells``: the fewest parameters (terms times depth) whose *bound* is at most this,
        in value and in every partial derivative.
    kernel_size : int
        ``K >= 2`` (1 will do for ``D = 1``).
    blocks : int
        ``M~``, the number of term blocks; the function does not depend on it (``cor-budget``).
    terms_per_block : int, optional
        ``J~``.  With neither ``cells`` nor ``tolerance``, ``N`` is the largest with
        ``(N+m-1)^D <= M~ J~``; otherwise the terms must fit into ``M~ J~``.
    refinement : int, optional
        ``n``; by default the least for which the network adds at most 1/8 to the bound of the spline,
        40 if there is none below, and 30 for a polynomial that the spline reproduces.

    Returns
    -------
    Approximation

    Raises
    ------
    InputError
        For an argument outside these ranges, a target of another dimension, a budget that cannot
        hold the terms or a tolerance that cannot be met.
    """
    require(isinstance(target, Target), "target", target, "a lib.Target (see lib.Target.from_sympy)")
    require(isinstance(domain, Cube), "domain", domain, "a lib.Cube")
    require(target.dim == domain.dim, "domain", domain, f"of the dimension of the target, {target.dim}")
    check_order(order)
    check_kernel_size(kernel_size, domain.dim)
    blocks = _integer("blocks", blocks, 1)
    dim, budget = domain.dim, None
    if terms_per_block is not None:
        budget = blocks * _integer("terms_per_block", terms_per_block, 1)
        require(budget >= (2 * order - 1) ** dim, "blocks * terms_per_block", budget,
                f"at least {(2 * order - 1) ** dim}, the terms of the coarsest mesh of order {order}")
    require(cells is None or tolerance is None, "tolerance", tolerance, "left out where cells are given")
    alpha, bounds = target.derivative_bounds(order)

    if tolerance is not None:
        require(isinstance(tolerance, (int, float)) and 0 < tolerance < float("inf"), "tolerance", tolerance,
                "a positive number")
        require(refinement is None, "refinement", refinement, "left out where a tolerance is given")
        cells, refinement = _cheapest(target, order, alpha, bounds, tolerance, kernel_size)
    elif cells is None:
        require(budget is not None, "cells", cells, "given, or a tolerance, or terms_per_block")
        cells = order
        while (cells + order) ** dim <= budget:
            cells += 1
    cells = _integer("cells", cells, order)
    terms = (cells + order - 1) ** dim
    require(terms <= MAXIMUM_TERMS, "cells", cells, f"so few that there are at most {MAXIMUM_TERMS} terms, not {terms}")
    require(blocks <= terms, "blocks", blocks, f"at most the number of terms, {terms}")
    require(budget is None or terms <= budget, "blocks * terms_per_block", budget, f"at least the number of terms, {terms}")

    coefficients = QuasiInterpolant(order, cells).coefficients(target.values, dim)
    largest = float(np.abs(coefficients).max())
    if refinement is None:
        jackson = jackson_bound(order, cells, alpha, bounds)
        refinement = choose_refinement(order, cells, jackson, largest)
        if refinement is None:
            refinement = _POLYNOMIAL_REFINEMENT if jackson.value == 0 else MAXIMUM_REFINEMENT
    check_refinement(refinement, MINIMUM_REFINEMENT)
    promised = promised_architecture(dim, order, cells, refinement, kernel_size, blocks, largest)
    return Approximation(
        network=spline_network(coefficients, order, refinement, kernel_size, blocks),
        promised=promised,
        bound=bound(order, cells, refinement, alpha, bounds, largest, promised.L),
        target=target, coefficients=coefficients, order=int(order), cells=cells, refinement=refinement,
        kernel_size=int(kernel_size), blocks=blocks, alpha=alpha, derivative_bounds=bounds,
    )


def _cheapest(target, order, alpha, bounds, tolerance, kernel_size):
    """The pair ``(N, n)`` with the least terms times depth whose bound meets the tolerance."""
    dim = target.dim

    def jackson(cells):
        return jackson_bound(order, cells, alpha, bounds)

    def spline_fits(cells):
        found = jackson(cells)
        return max(found.value, found.gradient) < tolerance

    low, high = order - 1, order
    while not spline_fits(high):
        low, high = high, 2 * high
        if (high + order - 1) ** dim > 2**dim * MAXIMUM_TERMS:
            raise InputError(f"tolerance = {tolerance}: must be larger, or the order; {MAXIMUM_TERMS} terms do not suffice")
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if spline_fits(middle) else (middle, high)

    best = None
    for cells in range(high, high + max(2, high // 8) + 1):
        if best is not None and (cells + order - 1) ** dim * 6 >= best[0]:
            break   # even the shallowest network would cost more
        largest = float(np.abs(QuasiInterpolant(order, cells).coefficients(target.values, dim)).max())
        found = jackson(cells)
        n = choose_refinement(order, cells, found, largest, tolerance - found.value, tolerance - found.gradient)
        if n is None:
            continue
        depth = promised_architecture(dim, order, cells, n, kernel_size, 1, largest).L
        guarantee = bound(order, cells, n, alpha, bounds, largest, depth)
        cost = (cells + order - 1) ** dim * depth
        if max(guarantee.value, guarantee.gradient) <= tolerance and (best is None or cost < best[0]):
            best = (cost, cells, n)
    if best is None:
        raise InputError(f"tolerance = {tolerance}: must be larger; {MAXIMUM_REFINEMENT} levels of refinement do not suffice")
    return best[1], best[2]
