"""A second, slower proof of a certificate that takes nothing from it but its boxes, its points and
its claims.

Shared with `lib.certify.certify` are the construction of the network and the tables of the B-spline
and its folds, on a manifold also its charts and the constants of the partition; what is proved over
one box is in `lib.certify._proof` (book: ``thm-certificate``) and `lib.certify._proof_charts`
(``cor-certified-manifold``).
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
from lib.certify._proof_charts import ChartsProof
from lib.certify._subject import subject
from lib.convresnet import Construction
from lib.domains import Cube, CubePatch
from lib.errors import require
from lib.manifolds import ChartsPatch

# of the balls, 27 more than the numbers of a network have; halvings of a box where the claim does
# not follow at once
_BITS, _DEEPER = 80, 6
# at single points, where 40 levels double an error each and quotients lose the bits of a step
_POINT_BITS = 500
# what an error may change from a point of a manifold to the nearest float
_NEXT = 1e-6


def check(certificate: Any, approximation: Any) -> int:
    """Prove once more what a certificate claims, both ends.

    Parameters
    ----------
    certificate : Certificate
    approximation : lib.Approximation
        On a cube or a manifold, with an unchanged network and a formula.

    Returns
    -------
    int
        How many boxes were needed.

    Raises
    ------
    InputError
        If the certificate is about something else or its parts have another form, the boxes do not
        cover the domain, the network is not the construction, or an end does not follow.
    """
    check_form(certificate)  # a frozen object can be changed all the same
    s = subject(approximation)
    _same_subject(certificate, s)
    roots = s.patch.roots
    require(
        certificate.roots == roots,
        "certificate",
        certificate.roots,
        f"of boxes that begin at {roots}",
    )
    boxes = _boxes(certificate.level, certificate.index, len(roots))
    require(
        _cover(boxes, roots),
        "certificate",
        f"{len(boxes)} boxes",
        "boxes that cover the domain without overlap",
    )
    before, ctx.prec = ctx.prec, _BITS
    try:
        on_cube = type(s.domain) is Cube
        proof = Proof(s) if on_cube else ChartsProof(s)
        upper, lower = (
            (_prove_upper_ends, _prove_lower_ends)
            if on_cube
            else (_prove_upper_ends_of_charts, _prove_lower_ends_of_charts)
        )
        count = upper(proof, certificate, boxes)
        ctx.prec = _POINT_BITS
        lower(proof, certificate)
        return count
    finally:
        ctx.prec = before


def _same_subject(certificate, s):
    """Refuse anything but a certificate of this formula by an unchanged network, on a cube or on
    the charts of an atlas.
    """
    require(
        type(s.patch) in (CubePatch, ChartsPatch),
        "approximation",
        s.domain,
        "on a cube or manifold",
    )
    c = s.construction
    if type(s.patch) is CubePatch:
        _is_the_cube(c.charts, s.cells, s.domain.dim)
    for chart in c.charts:
        terms = chart.indices.tolist()
        require(
            chart.cells == s.cells
            and all(type(i) is int and -c.order < i < s.cells for j in terms for i in j)
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


def _is_the_cube(charts, cells, dim):
    require(len(charts) == 1, "approximation", f"{len(charts)} charts", "with one chart")
    chart = charts[0]
    require(
        chart.partition is None
        and not chart.offset.any()
        and chart.matrix.tolist() == [[cells * (i == k) for i in range(dim)] for k in range(dim)],
        "approximation",
        "another chart",
        f"of the mesh of the cube, u = {cells} x, without a partition",
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
        middle = [Fraction(2 * i + 1, 2 ** (level + 1)) for i in index]
        radius = Fraction(1, 2 ** (level + 1))
        value, slopes = proof.bounds(middle, radius)
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


def _bounds_of_charts(proof, level, index):
    """Both bounds of boxes, float array (B, 2), rounded up: zero outside the balls."""
    found = np.zeros((len(level), 2))
    for row, k, place in zip(found, level.tolist(), index.tolist()):
        middle = [Fraction(2 * i + 1, 2 ** (k + 1)) for i in place]
        radius = Fraction(1, 2 ** (k + 1))
        if not proof.outside(middle, radius):
            value, (slope,) = proof.bounds(middle, radius)
            ends = [float(v.upper()) if v.is_finite() else np.inf for v in (value, slope)]
            row[:] = np.nextafter(ends, np.inf)
    return found


def _prove_upper_ends_of_charts(proof, certificate, boxes):
    """Both upper ends from all boxes, those halved near which they do not follow, or by Theorem B;
    returns the boxes needed.
    """
    claims = certificate.value.upper, certificate.slope.upper
    level, index = certificate.level, certificate.index
    bounds = _bounds_of_charts(proof, level, index)
    count = len(level)
    for depth in range(_DEEPER + 1):
        near = proof.together(level, index, bounds)
        beyond = [f > claim for f, claim in zip(near, claims)]
        if not any(b.any() for b in beyond):
            return count
        if depth == _DEEPER:
            break
        cells = proof.patch.cells_of(level, index)
        rows = np.flatnonzero(proof.patch.together.cells_near(beyond[0] | beyond[1])[cells])
        rows = rows[bounds[rows].any(1)]
        corners = np.stack(
            np.unravel_index(np.arange(2 ** index.shape[1]), (2,) * index.shape[1]), axis=1
        )
        halves = (2 * index[rows][:, None] + corners).reshape(-1, index.shape[1])
        deeper = np.repeat(level[rows] + 1, len(corners))
        kept = np.ones(len(level), bool)
        kept[rows] = False
        # a bound of the whole is one of its halves: near the middle of a bump it is the better one
        found = np.minimum(
            _bounds_of_charts(proof, deeper, halves), np.repeat(bounds[rows], len(corners), axis=0)
        )
        bounds = np.concatenate([bounds[kept], found])
        level, index = np.append(level[kept], deeper), np.concatenate([index[kept], halves])
        count += len(halves)
    theorem = tuple(proof.subject.a_priori())
    ends = [float(f.max()) for f in near]
    require(
        all(min(end, t) <= claim for end, t, claim in zip(ends, theorem, claims)),
        "certificate",
        claims,
        f"errors that its boxes prove; these give {ends[0]:.6g} and {ends[1]:.6g}",
    )
    return count


def _prove_lower_ends_of_charts(proof, certificate):
    """Both lower ends, next to their points, which are floats: up to one part in ``1e6``."""
    ends = (
        ("value", certificate.value, certificate.value_at),
        ("slope", certificate.slope, certificate.slope_at),
    )
    for k, (name, enclosure, place) in enumerate(ends):
        require(
            len(place) == proof.subject.domain.ambient_dim and all(0 <= t <= 1 for t in place),
            "certificate",
            (f"{name}_at", place),
            "with points of the manifold",
        )
        if enclosure.lower == 0:
            continue
        found = proof.lower_ends(place)[k]
        require(
            found * (1 + _NEXT) >= enclosure.lower,
            "certificate",
            (name, enclosure.lower),
            f"a lower end that is reached next to {place}; found is {float(found):.6g}",
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
