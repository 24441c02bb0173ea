"""What is certified: a formula, a construction, a network and a domain, read once (book:
chapter 10).

An approximation is any object with `target`, `construction`, `network`, `domain` and `bound`; each
is read once, and must be what it seems to the last type, so that an object that answers differently
the second time, or brings methods of its own, gains nothing.
"""

from dataclasses import dataclass, fields

import numpy as np
import sympy

from lib.convresnet import Chart, Construction, ConvResNet, Gate
from lib.domains import Bound, Cube, CubePatch, CubeProblem, Domain, Patch, bound
from lib.errors import require
from lib.formulas import parse_on_cube
from lib.manifolds import SphereFace
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
        The part of the domain over which errors are enclosed.
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
        """The bounds of Theorem A, from the formula on: nothing of them is taken from the
        approximation but its charts; infinite if they are not rigorous.

        On a cube.
        """
        c = self.construction
        target = Target.from_sympy(self.formula, self.domain.dim)
        problem = CubeProblem(target, Cube(self.domain.dim), c.order)
        found = bound(problem, c.charts, self.cells, c.refinement)
        return Norms(*found) if found.rigorous else _NOTHING


def subject(approximation, place=None) -> Subject:
    """Read an approximation.

    Parameters
    ----------
    approximation : lib.Approximation
    place : Cube, FourierCurve or SphereFace, optional
        By default the domain of the approximation.

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
    patch = _patch(domain, c.charts, cells, domain if place is None else place)
    return Subject(formula, expression, target, c, network, domain, cells, patch, stated)


def _patch(domain, charts, cells, place):
    """The patch of a place on the domain of an approximation.

    A cube and a face of a sphere are what they seem; a domain of somebody's own is believed.
    """
    if type(place) is SphereFace:
        require(
            place.sphere is domain, "domain", place, "a face of the sphere of the approximation"
        )
        return place
    same = place is domain or type(place) is type(domain) is Cube and place.dim == domain.dim
    require(same, "domain", place, f"that of the approximation, {domain!r}, or a SphereFace of it")
    # not of a Cube what was set on it
    return CubePatch(charts[0].dim, cells) if type(domain) is Cube else place.patch(charts, cells)


def _is_chart(chart):
    """Whether a chart and its arrays are what they seem: a subclass can tell its reader other
    numbers than the network has.
    """
    fields_of = {f.name for f in fields(Chart)}
    if type(chart) is not Chart or vars(chart).keys() != fields_of or type(chart.cells) is not int:
        return False
    gate = chart.gate
    arrays = [chart.matrix, chart.offset, chart.indices, chart.coefficients]
    if gate is not None:
        if type(gate) is not Gate or vars(gate).keys() != {f.name for f in fields(Gate)}:
            return False
        arrays.append(gate.centre)
    return all(type(array) is np.ndarray and array.dtype.kind in "fi" for array in arrays)
