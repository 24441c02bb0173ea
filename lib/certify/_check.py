"""A second, slower proof of a certificate on the cube that takes nothing from it but its boxes, its
points and its claims.

Shared with `lib.certify.certify` are the construction of the network and the tables of the B-spline
and its folds; what is proved over one box is in `lib.certify._proof` (book: ``thm-certificate``).
"""

from fractions import Fraction
from itertools import product
from math import prod
from typing import Any

import numpy as np
from flint import ctx

from lib.certify._certificate import check_form
from lib.certify._digest import digest
from lib.certify._proof import Proof
from lib.certify._subject import subject
from lib.convresnet import Construction
from lib.domains import Cube
from lib.errors import require

# of the balls, 27 more than the numbers of a network have; halvings of a box where the claim does
# not follow at once
_BITS, _DEEPER = 80, 6
# at single points, where 40 levels double an error each and quotients lose the bits of a step
_POINT_BITS = 500


def check(certificate: Any, approximation: Any) -> int:
    """Prove once more what a certificate claims, both ends.

    Parameters
    ----------
    certificate : Certificate
    approximation : lib.Approximation
        On a cube, with an unchanged network and a formula.

    Returns
    -------
    int
        How many boxes were needed.

    Raises
    ------
    InputError
        If the certificate is about something else or its parts have another form, the boxes do not
        cover the cube, the network is not the construction, or an end does not follow.
    """
    check_form(certificate)  # a frozen object can be changed all the same
    s = subject(approximation)
    _same_subject(certificate, s)
    dim = s.domain.dim
    roots = (s.cells,) * dim
    require(
        certificate.roots == roots,
        "certificate",
        certificate.roots,
        f"of boxes of {s.cells} cells a side",
    )
    boxes = _boxes(certificate.level, certificate.index, dim)
    require(
        _cover(boxes, roots),
        "certificate",
        f"{len(boxes)} boxes",
        "boxes that cover the cube without overlap",
    )
    before, ctx.prec = ctx.prec, _BITS
    try:
        proof = Proof(s)
        count = _prove_upper_ends(proof, certificate, boxes)
        ctx.prec = _POINT_BITS
        _prove_lower_ends(proof, certificate)
        return count
    finally:
        ctx.prec = before


def _same_subject(certificate, s):
    """Refuse anything but a certificate of this formula on a cube by an unchanged network."""
    require(type(s.domain) is Cube, "approximation", s.domain, "on a cube")
    c = s.construction
    dim = s.domain.dim
    require(len(c.charts) == 1, "approximation", f"{len(c.charts)} charts", "with one chart")
    chart = c.charts[0]
    terms = chart.indices.tolist()
    require(
        chart.partition is None
        and chart.cells == s.cells
        and not chart.offset.any()
        and chart.matrix.tolist() == [[s.cells * (i == k) for i in range(dim)] for k in range(dim)],
        "approximation",
        "another chart",
        f"of the mesh of the cube, u = {s.cells} x, without a partition",
    )
    require(
        all(type(i) is int and -c.order < i < s.cells for j in terms for i in j)
        and len(set(map(tuple, terms))) == len(terms) == len(chart.coefficients),
        "approximation",
        "its indices",
        f"with one index from {1 - c.order} to {s.cells - 1} a term and axis, none twice",
    )
    require(
        Construction.built(c, s.network),
        "approximation",
        "changed weights",
        "the construction itself",
    )
    require(
        certificate.digest == digest(s),
        "certificate",
        certificate.digest,
        "of this formula, mesh and network (the digest is of something else)",
    )
    require(
        certificate.description == s.description,
        "certificate",
        certificate.description,
        f"described as {s.description!r}",
    )


def _boxes(level, index, dim):
    """The boxes as integers: list of (level, place)."""
    require(
        level.ndim == 1 and index.shape == (len(level), dim),
        "certificate",
        (level.shape, index.shape),
        f"with integers (B,) and (B, {dim})",
    )
    require(
        len(level) > 0 and 0 <= level.min() and level.max() <= 50,
        "certificate",
        "levels",
        "from 0 to 50",
    )
    return list(zip(level.tolist(), map(tuple, index.tolist())))


def _prove_upper_ends(proof, certificate, boxes):
    """Both upper ends on every box, halved where they do not follow at once, or by Theorem A;
    returns the boxes needed.
    """
    claims = certificate.value.upper, certificate.slope.upper
    theorem = None
    todo = [(box, 0) for box in boxes]
    count = 0
    while todo:
        (level, index), depth = todo.pop()
        count += 1
        value, slopes = proof.bounds(
            [Fraction(2 * i + 1, 2 ** (level + 1)) for i in index], Fraction(1, 2 ** (level + 1))
        )
        follow = [
            claim == np.inf or all(f <= claim for f in found)
            for found, claim in zip(([value], slopes), claims)
        ]
        if all(follow):
            continue
        if depth == _DEEPER and theorem is None:
            theorem = tuple(proof.subject.a_priori())
        if depth == _DEEPER:
            require(
                all(f or bound <= claim for f, claim, bound in zip(follow, claims, theorem)),
                "certificate",
                (level, index),
                f"a box with errors below {claims[0]:.6g} and {claims[1]:.6g}; found are "
                f"{float(value):.6g} and {', '.join(f'{float(f):.6g}' for f in slopes)}",
            )
            continue
        todo += [
            ((level + 1, tuple(2 * i + c for i, c in zip(index, corner))), depth + 1)
            for corner in product((0, 1), repeat=len(index))
        ]
    return count


def _prove_lower_ends(proof, certificate):
    """Both lower ends at their points."""
    for name, enclosure, place in (
        ("value", certificate.value, certificate.value_at),
        ("slope", certificate.slope, certificate.slope_at),
    ):
        require(
            len(place) == proof.dim and all(0 <= t <= 1 for t in place),
            "certificate",
            (f"{name}_at", place),
            "with points of the cube",
        )
        here = [Fraction(t) for t in place]
        found = abs(proof.error(here)) if name == "value" else max(proof.quotients(here), key=float)
        require(
            enclosure.lower == 0 or found >= enclosure.lower,
            "certificate",
            (name, enclosure.lower),
            f"a lower end that is reached at {place}; found is {float(found):.6g}",
        )


def _cover(boxes, roots):
    """Whether dyadic boxes fill ``[0, roots]`` and no two overlap."""
    seen = set(boxes)
    volume = Fraction(0)
    for level, index in boxes:
        if not all(0 <= i < r * 2**level for i, r in zip(index, roots)):
            return False
        if any((level - up, tuple(i >> up for i in index)) in seen for up in range(1, level + 1)):
            return False
        volume += Fraction(1, 2 ** (level * len(roots)))
    return len(seen) == len(boxes) and volume == prod(roots)
