"""`approximate`: from a target to a network with a guaranteed error (book: ``thm-cube``,
``thm-manifold``).
"""

from collections.abc import Callable

from torch import Tensor

from lib.approximation._approximation import Approximation
from lib.convresnet import Construction, check_kernel_size
from lib.domains import CubeProblem, Setting, bound, choose_refinement, largest_coefficient
from lib.errors import integer, positive, refuse, require
from lib.norms import Norms
from lib.relu import MAXIMUM_REFINEMENT, check_refinement, minimum_refinement
from lib.splines import check_order
from lib.targets import Target

_POLYNOMIAL_REFINEMENT = 30
_MAXIMUM_TERMS = 8_000_000
_MAXIMUM_BLOCKS = 10_000  # where there are fewer terms


def approximate(
    target: Target | Callable[[Tensor], Tensor],
    domain: Setting,
    *,
    order: int = 4,
    cells: int | None = None,
    budget: int | None = None,
    tolerance: float | None = None,
    kernel_size: int = 2,
    blocks: int | None = None,
    terms_per_block: int | None = None,
    refinement: int | None = None,
) -> Approximation:
    """Build a ConvResNet that approximates a target in value and in slope, with a guaranteed error.

    Book: ``thm-cube``, ``thm-manifold``.

    Parameters
    ----------
    target : Target or callable
        On the cube a `Target`, with bounds of its derivatives.  On a manifold also any
        differentiable torch map (P, D) -> (P,): what the bound needs is estimated from samples in
        the charts.
    domain : Cube, Manifold or Atlas
        An `Atlas` fixes the charts; for a manifold they are chosen by `lib.manifolds.choose_atlas`.
    order : int
        ``m`` in 2..8, the spline order; the smoothness used is ``alpha = min(m, that of the
        target)``.
    cells : int, optional
        ``N >= m``, mesh cells per axis: of the cube, or across the ball of a chart (there at least
        the ``N_0`` of the atlas).
    budget : int, optional
        Instead of ``cells``: at most so many terms, ``M~ J~`` of the theorem, any positive number.
        ``N`` is the largest for which they suffice; below the ``(2m-1)^D`` terms of the coarsest
        mesh the network is zero (on the cube; on a manifold such a budget is refused).
    tolerance : float, optional
        Instead of both: the fewest parameters (terms times depth) whose *bound* is at most
        this, in value and in slope.
    kernel_size : int
        ``K >= 2`` (1 will do for ``D = 1``).
    blocks : int, optional
        ``M~``, the number of residual blocks; the function does not depend on it (``cor-budget``).
        Beyond the number of terms blocks are zero, as in the theorem. By default as many as there
        are charts: one on the cube.
    terms_per_block : int, optional
        ``J~``: with the blocks, ``M~ J~``, another way to give the budget.  With ``cells`` or a
        tolerance the terms must fit.
    refinement : int, optional
        ``n``; by default the least for which the network adds at most 1/8 to the bound of the
        spline, 40 if there is none below, and 30 for a polynomial that the spline reproduces.

    Returns
    -------
    Approximation

    Raises
    ------
    InputError
        For an argument outside these ranges, a target of another dimension, a budget that cannot
        hold the terms, a mesh too coarse for the gates or a tolerance that cannot be met; for a
        target whose gradients are not those of its values, or whose values refute a stated bound.
    """
    require(
        isinstance(domain, Setting) and not isinstance(domain, type),
        "domain",
        domain,
        "a lib.Cube, a manifold or an atlas of lib.manifolds",
    )
    order, kernel_size = check_order(order), check_kernel_size(kernel_size, domain.ambient_dim)
    blocks = None if blocks is None else integer("blocks", blocks, 1)
    require(
        cells is None or tolerance is None, "tolerance", tolerance, "left out where cells are given"
    )
    if cells is not None:
        cells = integer("cells", cells, order)
    problem = domain.problem(target, order, cells)
    least = problem.count_terms(problem.minimum_cells)
    named = "budget"
    if terms_per_block is not None:
        require(budget is None, "budget", budget, "left out where terms_per_block is given")
        named = "blocks * terms_per_block"
        budget = (blocks or 1) * integer("terms_per_block", terms_per_block, 1)
    if budget is not None:
        budget = integer("budget", budget, 1)
        if budget < least and cells is None and tolerance is None:
            return _zero(problem, named, budget, kernel_size, blocks, refinement)

    if tolerance is not None:
        tolerance = positive("tolerance", tolerance)
        require(refinement is None, "refinement", refinement, "left out where a tolerance is given")
        cells, refinement = _cheapest(problem, tolerance, kernel_size)
    elif cells is None:
        if budget is None:
            refuse("cells", cells, "given, or a budget, or a tolerance")
        cells = problem.minimum_cells
        while cells < problem.maximum_cells and problem.count_terms(cells + 1) <= budget:
            cells += 1
    require(cells >= problem.minimum_cells, "cells", cells, f"at least {problem.minimum_cells}")
    terms = problem.count_terms(cells)
    require(
        terms <= _MAXIMUM_TERMS,
        "cells",
        cells,
        f"so few that there are at most {_MAXIMUM_TERMS} terms, not {terms}",
    )
    most = max(terms, _MAXIMUM_BLOCKS)
    require(blocks is None or blocks <= most, "blocks", blocks, f"at most {most}")
    require(
        budget is None or terms <= budget, named, budget, f"at least the number of terms, {terms}"
    )

    charts = problem.charts(cells)
    blocks = len(charts) if blocks is None else blocks
    largest = largest_coefficient(charts)
    if refinement is None:
        error = problem.spline_error(cells).value
        if 0 < error < float("inf"):
            refinement = choose_refinement(problem, cells, largest) or MAXIMUM_REFINEMENT
        else:  # there is nothing to compare with
            refinement = _POLYNOMIAL_REFINEMENT
    refinement = check_refinement(refinement, minimum_refinement(order))
    return Approximation(
        construction=Construction(charts, order, refinement, kernel_size, blocks),
        bound=bound(problem, charts, cells, refinement),
        target=problem.target,
        domain=problem.domain,
        cells=cells,
        alpha=problem.alpha,
        derivative_bounds=problem.derivative_bounds,
    )


def _zero(problem, named, budget, kernel_size, blocks, refinement):
    """The zero network, for a budget below that of the coarsest mesh."""
    least = problem.count_terms(problem.minimum_cells)
    require(
        isinstance(problem, CubeProblem),
        named,
        budget,
        f"at least {least}, the terms of the coarsest mesh of order {problem.order}",
    )
    require(
        blocks is None or blocks <= _MAXIMUM_BLOCKS, "blocks", blocks, f"at most {_MAXIMUM_BLOCKS}"
    )
    charts, bound = problem.zero()
    require(
        max(bound) < float("inf"),
        named,
        budget,
        f"at least {least}, the terms of the coarsest mesh of order {problem.order}: with fewer the"
        " network is zero, and of this target no bounds of its values and slopes are known",
    )
    order = problem.order
    least = minimum_refinement(order)
    refinement = check_refinement(least if refinement is None else refinement, least)
    return Approximation(
        construction=Construction(charts, order, refinement, kernel_size, blocks or 1),
        bound=bound,
        target=problem.target,
        domain=problem.domain,
        cells=order,
        alpha=problem.alpha,
        derivative_bounds=problem.derivative_bounds,
    )


def _cheapest(problem, tolerance, kernel_size):
    """The pair ``(N, n)`` with the least terms times depth whose bound meets the tolerance."""

    def spline_fits(cells):
        found = problem.spline_error(cells)
        return max(found) < tolerance

    low = problem.minimum_cells - 1
    high = problem.minimum_cells
    while not spline_fits(high):
        low, high = high, 2 * high
        if problem.count_terms(low) > _MAXIMUM_TERMS or low >= problem.maximum_cells:
            refuse(
                "tolerance",
                tolerance,
                f"larger, or the order; {problem.count_terms(low)} terms do not suffice",
            )
        high = min(high, problem.maximum_cells)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if spline_fits(middle) else (middle, high)

    best = None
    for cells in range(high, min(high + max(2, high // 8), problem.maximum_cells) + 1):
        terms = problem.count_terms(cells)
        if terms > _MAXIMUM_TERMS or best is not None and terms * 6 >= best[0]:
            break  # even the shallowest network would cost more
        charts = problem.charts(cells)
        largest = largest_coefficient(charts)
        spline = problem.spline_error(cells)
        n = choose_refinement(
            problem, cells, largest, Norms(tolerance - spline.value, tolerance - spline.slope)
        )
        if n is None:
            continue
        depth = Construction(charts, problem.order, n, kernel_size).promised.L
        cost = terms * depth
        if best is not None and cost >= best[0]:
            continue
        guarantee = bound(problem, charts, cells, n)
        if max(guarantee) <= tolerance:
            best = (cost, cells, n)
    if best is None:
        refuse(
            "tolerance",
            tolerance,
            f"larger; {MAXIMUM_REFINEMENT} levels of refinement do not suffice",
        )
    return best[1], best[2]
