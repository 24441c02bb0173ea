"""What is certified: a formula, a construction, a network and a domain, read once (book:
chapter 10).

An approximation is any object with `target`, `construction`, `network`, `domain` and `bound`; each
is read once, and must be what it seems to the last type, so that an object that answers differently
the second time, or brings methods of its own, gains nothing.
"""

from dataclasses import dataclass, fields

import numpy as np
import sympy

from lib.convresnet import Chart, Construction, ConvResNet, PartitionFunction
from lib.domains import Bound, Cube, CubePatch, CubeProblem, Domain, Patch, Problem, bound
from lib.errors import require
from lib.formulas import parse_on_cube
from lib.manifolds import ChartsPatch
from lib.norms import Norms
from lib.targets import Target

_NOTHING = Norms(float("inf"), float("inf"))


@dataclass(frozen=True, eq=False)
class Subject:
    """What is certified.

    Attributes
    ----------
    formula : str
    expression : sympy.Expr
        The formula parsed.
    target : lib.Target
    construction : lib.convresnet.Construction
        What the network is compared with.
    network : lib.ConvResNet
        As it is stored.
    domain : lib.domains.Domain
    cells : int
        ``N``.
    patch : lib.domains.Patch
        The domain as the image of boxes, over which errors are enclosed.
    bound : lib.domains.Bound or None
        What the approximation says; it is used only to decide whether `a_priori` may help.
    """

    formula: str
    expression: sympy.Expr
    target: Target
    construction: Construction
    network: ConvResNet
    domain: Domain
    cells: int
    patch: Patch
    bound: Bound | None

    @property
    def description(self) -> str:
        """Formula and domain, for the reader."""
        return f"{self.formula} on {self.patch.describe()}"

    def a_priori(self) -> Norms:
        """The bounds of Theorems A and B, from the formula on: nothing of them is taken from the
        approximation but its charts; infinite if they are not rigorous, or about other terms.
        """
        c = self.construction
        target = Target.from_sympy(self.formula, self.domain.ambient_dim)
        problem: Problem
        if type(self.patch) is CubePatch:
            if not any(np.any(chart.coefficients) for chart in c.charts):
                return target.size  # the network is zero
            problem = CubeProblem(target, Cube(self.domain.dim), c.order)
        elif type(self.patch) is ChartsPatch:
            problem = self.patch.atlas.problem(target, c.order)
        else:
            return _NOTHING
        terms = problem.indices(self.cells)  # a bound reads coefficients in this order
        same = len(terms) == len(c.charts) and all(
            np.array_equal(chart.indices, mine) for chart, mine in zip(c.charts, terms)
        )
        if not same:
            return _NOTHING
        found = bound(problem, c.charts, self.cells, c.refinement)
        return Norms(*found) if found.rigorous else _NOTHING


def subject(approximation) -> Subject:
    """Read an approximation.

    Parameters
    ----------
    approximation : lib.Approximation

    Raises
    ------
    InputError
        Without a formula or a domain, or if a part is not what it seems.
    """
    parts = ("target", "construction", "network", "domain", "cells", "bound")
    require(
        all(hasattr(approximation, name) for name in parts),
        "approximation",
        approximation,
        "an Approximation",
    )
    target = approximation.target
    construction = approximation.construction
    network = approximation.network
    domain = approximation.domain
    cells = approximation.cells
    stated = approximation.bound
    require(
        type(target) is Target and target.expression is not None,
        "target",
        target,
        "a formula (Target.from_sympy)",
    )
    require(
        type(construction) is Construction
        and vars(construction).keys() - {"sparse"} == {f.name for f in fields(Construction)}
        and type(construction.charts) is list
        and len(construction.charts) > 0
        and all(map(_is_chart, construction.charts)),
        "construction",
        construction,
        "a lib.convresnet.Construction",
    )
    c = construction
    sizes = c.order, cells, c.refinement, c.kernel_size, c.blocks, target.dim
    require(
        all(type(t) is int for t in sizes), "approximation", sizes, "of sizes that are integers"
    )
    formula = target.formula
    require(type(formula) is str, "target", formula, "a formula")
    expression = parse_on_cube(formula, target.dim)  # that of the target can have a == of its own
    require(
        expression == target.expression, "target", formula, "the formula that its expression says"
    )
    require(domain is not None, "domain", None, "known (set it after loading: see `with_target`)")
    require(
        target.dim == domain.ambient_dim == c.charts[0].ambient_dim,
        "domain",
        domain,
        f"in the dimension of the formula, {target.dim}",
    )
    patch = _patch(domain, c.charts, cells)
    return Subject(formula, expression, target, c, network, domain, cells, patch, stated)


def _patch(domain, charts, cells):
    """The patch of a domain: a cube is what it seems, a domain of somebody's own is believed."""
    # not of a Cube what was set on it
    return CubePatch(charts[0].dim, cells) if type(domain) is Cube else domain.patch(charts, cells)


def _is_chart(chart):
    """Whether a chart and its arrays are what they seem: a subclass can tell its reader other
    numbers than the network has.
    """
    fields_of = {f.name for f in fields(Chart)}
    if type(chart) is not Chart or vars(chart).keys() != fields_of or type(chart.cells) is not int:
        return False
    partition = chart.partition
    arrays = [chart.matrix, chart.offset, chart.indices, chart.coefficients]
    if partition is not None:
        names = {f.name for f in fields(PartitionFunction)}
        if type(partition) is not PartitionFunction or vars(partition).keys() != names:
            return False
        if type(partition.refinement) is not int or not all(
            type(r) is float for r in (partition.inner, partition.outer)
        ):
            return False
        arrays += [partition.centre, partition.earlier]
    return all(type(array) is np.ndarray and array.dtype.kind in "fi" for array in arrays)
