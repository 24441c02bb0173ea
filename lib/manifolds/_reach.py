"""The reach of a manifold: Federer's quotients, and bounds for zeros of formulas (book: "Where the
reach comes from").

The reach of a compact manifold of class ``C^2`` is the smaller of its smallest radius of curvature
and half its shortest bottleneck.  Both are bounded from below over boxes that cover the zeros.  On
a box with centre ``c`` the equations are multiplied by the matrix that makes the rows of the
Jacobian at ``c`` orthonormal; from there to any point of the box Taylor's theorem, with rigorous
bounds of second and third derivatives, says how far Jacobian and second derivatives move.
"""

from itertools import product
from typing import Any

import numpy as np
from jaxtyping import Float64
from scipy.spatial import cKDTree

from lib.errors import require

# by dimension: the bounds from below and above are to differ by so much, relatively
GAP = {1: 0.1, 2: 0.15, 3: 0.2}
SMALLEST = 1e-4  # a reach below this is refused: nets are too fine
_POINTS = 400  # between which quotients are taken to begin with
_LOOKED = 4000  # boxes, or pieces of normals, in which the upper bound is improved at a time
_CLOSE = 0.01  # what is called regular is so, rounding included
_ANGLES = 32  # directions of a tangent plane in which curvature vectors are looked at
_MAXIMUM = 300_000  # boxes, or ten times as many pairs of boxes, that may be undecided at a time
_FINEST = 2.0**-22  # half width of a box
_CHUNK = 1 << 14


def federer_quotients(
    x: Float64[np.ndarray, "P D"],
    basis: Float64[np.ndarray, "P D d"],
    y: Float64[np.ndarray, "Q D"],
) -> Float64[np.ndarray, "P Q"]:
    """``|y - x|^2 / (2 dist(y - x, T_x M))``, at least the reach for points of a manifold
    (``lem-federer``).

    Parameters
    ----------
    x, y : float64 arrays, shapes (P, D) and (R, D)
    basis : float64 array, shape (P, D, d)
        Orthonormal bases of the tangent spaces at ``x``.

    Returns
    -------
    float64 array, shape (P, R); infinite where ``y - x`` is tangential.
    """
    difference = y[None] - x[:, None]
    square = (difference**2).sum(-1)
    along = ((difference @ basis) ** 2).sum(-1)
    off = np.sqrt(np.maximum(square - along, 0))
    # off has a rounding of about 1e-16: nearer points say nothing
    return np.where(off > 1e-7, square / (2 * np.maximum(off, 1e-300)), np.inf)


def _largest_bend(forms):
    """``max |(a^T Q_k a)_k|`` over unit vectors, for symmetric matrices ``Q`` (P, c, d, d): lower
    and upper bound, (P,) each.

    Exact for curves and for one equation.  On surfaces with two equations 32 directions are looked
    at; a trigonometric polynomial of degree 2 stays within ``cos 2x`` of its maximum (M. Riesz).
    """
    count, d = forms.shape[1:3]
    if d == 1:
        found = np.linalg.norm(forms[:, :, 0, 0], axis=1)
        return found, found
    if count == 1:
        found = np.abs(np.linalg.eigvalsh(forms[:, 0])).max(1)
        return found, found
    angle = np.arange(_ANGLES) / _ANGLES * np.pi
    a = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    found = np.linalg.norm(np.einsum("ai,pkij,aj->pka", a, forms, a), axis=1).max(1)
    return found, found / np.cos(np.pi / _ANGLES)


def _size(entries):
    """Euclidean norms over all axes but the first."""
    return np.sqrt((entries**2).sum(tuple(range(1, entries.ndim))))


def _sign(normal, jacobian):
    """The sign (P, 1) with which the first normal (P, D, c) points along the first gradient."""
    return np.where(np.einsum("pi,pi->p", normal[:, :, 0], jacobian[:, 0]) < 0, -1.0, 1.0)[:, None]


class Boxes:
    """What is known about zeros of formulas in boxes of one size.

    Attributes
    ----------
    centres : float64 array, shape (P, D)
    half : float
        Half width of the boxes.
    regular : float64 array, shape (P,)
        ``s``: lower bound of the smallest singular value of the (normalised) Jacobian over a box;
        if it is not positive, the gradients may be dependent in the box.
    turn : float64 array, shape (P,)
        The largest sine of an angle between a tangent space in the box and the kernel of the
        Jacobian at its centre.
    radius : float64 array, shape (P,)
        Lower bound of the radii of curvature of the zeros in the box.
    tangent : float64 array, shape (P, D, d)
        Orthonormal bases of the kernels of the Jacobian at the centres.
    normal : float64 array, shape (P, D)
        Unit vectors along the first gradient.
    """

    def __init__(self, surface, centres, half):
        self.surface = surface
        self.centres = centres
        self.half = half
        self.diagonal = half * np.sqrt(centres.shape[1])
        parts = [
            self._look(centres[i : i + _CHUNK]) for i in range(0, max(len(centres), 1), _CHUNK)
        ]
        (
            self.regular,
            self.turn,
            self.radius,
            self.tangent,
            self.normal,
            self._foot,
            self._lift,
            self._second,
            self._limit,
            self._third,
        ) = (np.concatenate(p) for p in zip(*parts))

    def _look(self, x):
        surface, half = self.surface, self.half
        jacobian = surface.jacobian(x)
        second = surface.hessian(x)
        values, vectors = np.linalg.eigh(jacobian @ np.swapaxes(jacobian, 1, 2))
        # the rows of `scale` times the Jacobian are orthonormal; where they cannot be, nothing is
        # decided
        independent = values[:, 0] > 1e-24 * np.maximum(values[:, -1], 1e-200)
        root = 1 / np.sqrt(np.where(independent[:, None], values, 1))
        scale = np.swapaxes(vectors * root[:, None], 1, 2)
        frame = np.linalg.qr(np.swapaxes(jacobian, 1, 2), mode="complete")[0]
        normal = frame[:, :, : jacobian.shape[1]]
        tangent = frame[:, :, jacobian.shape[1] :]
        here = np.einsum("pab,pbij->paij", scale, second)
        limit = np.einsum("pab,bij->paij", np.abs(scale), surface.second)
        third = np.einsum("pab,bij->paij", np.abs(scale), surface.third)
        moved = np.minimum(half * third, limit + np.abs(here))
        everywhere = _size(np.minimum(np.abs(here) + moved, limit))
        # a zero in the box is so far from the centre at most, and so far in normal directions
        far = self.diagonal
        value = np.linalg.norm(np.einsum("pab,pb->pa", scale, surface.values(x)), axis=1)
        lift = np.minimum(value + everywhere * far**2 / 2, far)
        flat, steep = (
            np.einsum("pik,paij,pjl->pakl", tangent, here, other) for other in (tangent, normal)
        )
        across = np.einsum("pik,paij,pjl->pakl", normal, here, normal)
        sloped = _size(steep) * far + _size(across) * lift + _size(moved) * far
        regular = np.where(independent, 1 - np.minimum(sloped, everywhere * far), -1.0)
        turned = np.minimum(
            _size(flat) * far + _size(steep) * lift + _size(moved) * far, everywhere * far
        )
        turn = np.minimum(np.where(regular > 0, turned / np.maximum(regular, 1e-300), 1), 1)
        bend = (
            _largest_bend(flat)[1]
            + 2 * turn * _size(steep)
            + turn**2 * _size(across)
            + _size(moved)
        )
        radius = np.maximum(regular, 0) / np.maximum(np.minimum(bend, everywhere), 1e-300)
        normal = normal[:, :, 0] * _sign(normal, jacobian)
        foot = x - value[:, None] * np.sign(surface.values(x)[:, :1]) * normal
        return (
            regular,
            turn,
            radius,
            tangent,
            normal,
            foot,
            everywhere * far**2 / 2,
            here,
            limit,
            third,
        )

    def take(self, which):
        """Some of the boxes."""
        other = object.__new__(Boxes)
        other.__dict__ = {
            k: v[which] if isinstance(v, np.ndarray) else v for k, v in self.__dict__.items()
        }
        return other

    def split(self):
        """The halves of the boxes that may hold a zero, and a table (P, 2^D) of their numbers,
        -1 for the others.
        """
        table = np.full((len(self.centres), 2 ** self.centres.shape[1]), -1)
        corners = np.array(list(product((-1, 1), repeat=self.centres.shape[1])))
        children = (self.centres[:, None] + self.half / 2 * corners).reshape(
            -1, self.centres.shape[1]
        )
        kept = self.surface.may_vanish(children, self.half / 2)
        table.reshape(-1)[kept] = np.arange(kept.sum())
        return Boxes(self.surface, children[kept], self.half / 2), table

    def too_short(self, which, length, reached):
        """Whether a bottleneck that starts in a box cannot be so long (P,) yet; it stays within
        ``reached`` in coordinates.

        ``0 = F(y) - F(x) = J v + v' H v / 2`` with ``v = y - x`` normal at ``x``, so that ``|J v|
        >= s |v|``.
        """
        third = np.multiply(reached.reshape(-1, 1, 1, 1), self._third[which])
        bent = _size(np.minimum(np.abs(self._second[which]) + third, self._limit[which]))
        return bent * length < 2 * self.regular[which]

    def pairs_left(self, first, second, goal):
        """Which pairs of boxes (index arrays) may hold the ends of a bottleneck shorter than ``2
        goal``.
        """
        move = self.centres[second] - self.centres[first]
        longest = np.linalg.norm(move, axis=1) + 2 * self.diagonal
        left = np.sqrt((np.maximum(np.abs(move) - 2 * self.half, 0) ** 2).sum(1)) < 2 * goal
        for i in (first, second):  # a bottleneck is normal at both ends
            along = np.linalg.norm(np.einsum("pi,pij->pj", move, self.tangent[i]), axis=1)
            left &= along - 2 * self.diagonal <= self.turn[i] * longest
        place = np.nonzero(left)[0]
        reached = np.abs(move[place]).max(1) + self.half
        left[place] = ~self.too_short(first[place], longest[place], reached)
        return left

    def rays_left(self, which, goal):
        """For one equation: where along the normals through a box the manifold may be met again,
        nearer than ``2 goal``.

        The normals at points ``x`` of the box are compared with the one at the foot of its centre,
        piece by piece: ``x`` is off it by half a diagonal at most along the tangent space and by a
        square of that across, and its normal leans by the angle that the tangent space turns.  A
        piece is free of zeros if ``F`` in its middle is larger than it can change by that.

        Returns
        -------
        box, place : int64 array (R,) and float64 array (R,)
            Boxes, and signed distances of the middles of the pieces that are left.
        """
        count = int(np.ceil(2 * goal / self.diagonal))
        length = 2 * goal / count
        boxes = np.arange(len(self.centres))[which]
        free = np.zeros(len(boxes))
        for part in 2.0 ** np.arange(-8, 1) * 2 * goal:
            free[self.too_short(boxes, part, np.full(len(boxes), part + self.diagonal))] = part
        box, piece = (
            a.ravel() for a in np.meshgrid(np.arange(len(boxes)), np.arange(count), indexing="ij")
        )
        kept = (piece + 1) * length > free[box]
        box, middle = np.tile(boxes[box[kept]], 2), (piece[kept] + 0.5) * length
        middle, reached = np.append(middle, -middle), np.tile(middle + length / 2, 2)
        lean = np.where(self.regular[box] > 0, np.arcsin(self.turn[box]), np.pi)
        along = self.diagonal + np.sin(np.minimum(lean, np.pi / 2)) * reached
        across = self._lift[box] + (1 - np.cos(lean)) * reached + length / 2
        aim = self._foot[box] + middle[:, None] * self.normal[box]
        inside = np.clip(aim, self.surface.low, self.surface.high)  # the manifold is in this box
        slope = self.surface.jacobian(inside)[:, 0]
        normal = (slope * self.normal[box]).sum(1)
        level = np.sqrt(np.maximum((slope**2).sum(1) - normal**2, 0))
        out = np.linalg.norm(aim - inside, axis=1)
        off = along**2 + across**2
        change = np.where(
            out > 0,
            np.linalg.norm(slope, axis=1) * np.sqrt(off),
            level * along + np.abs(normal) * across,
        )
        left = (
            np.abs(self.surface.values(inside)[:, 0])
            <= change + np.linalg.norm(self.surface.second) / 2 * off
        )
        left &= out**2 <= off
        return box[left], middle[left]


def _attained(surface, points):
    """The smallest radius of curvature at points (P, D) of the manifold."""
    jacobian = surface.jacobian(points)
    basis = surface.tangent_basis(points)
    flat = np.einsum("pik,paij,pjl->pakl", basis, surface.hessian(points), basis)
    # the curvature vector w solves J w = -(a' H a)
    gram = np.linalg.cholesky(jacobian @ np.swapaxes(jacobian, 1, 2))
    bend = np.linalg.solve(gram, flat.reshape(*flat.shape[:2], surface.dim**2)).reshape(flat.shape)
    return float(1 / max(_largest_bend(bend)[0].max(initial=0), 1e-300))


def _arrived(surface, points):
    """Which points lie on the manifold: in the open cube, and the next Newton step would be
    tiny.
    """
    good = np.isfinite(points).all(1) & (points > 0).all(1) & (points < 1).all(1)
    slope = np.linalg.norm(surface.jacobian(points[good]), axis=2)
    good[good] = (np.abs(surface.values(points[good])) <= 1e-11 * slope).all(1)
    return good


def _on(surface, boxes):
    """The projections of those centres that arrive on the manifold, and which do; none from
    irregular boxes.
    """
    good = boxes.regular > 0.5
    points = surface.project(boxes.centres[good])
    good[good] = arrived = _arrived(surface, points)
    return points[arrived], good


def _pairs(surface, points, others):
    """The smallest quotient of ``points[i]`` and ``others[i]``, both ways."""
    found = np.inf
    for x, y in ((points, others), (others, points)):
        basis = surface.tangent_basis(x)
        step = y - x
        square = (step**2).sum(1)
        off = np.sqrt(np.maximum(square - (np.einsum("pi,pij->pj", step, basis) ** 2).sum(1), 0))
        found = min(found, (square[off > 1e-7] / (2 * off[off > 1e-7])).min(initial=np.inf))
    return float(found)


def reach_of_zeros(surface: Any) -> tuple[float, float]:
    """A lower and an upper bound of the reach of the zeros of formulas, by subdivision.

    From below, every box that may hold a zero is bounded in curvature and shown to hold no end of a
    bottleneck shorter than twice the bound; what is undecided is subdivided.  From above: radii of
    curvature and Federer's quotients at points. In float64, without outward rounding.

    Parameters
    ----------
    surface : LevelSet
        Without singular points.

    Returns
    -------
    below, above : float
        In a ratio of 0.9 (0.8 in dimension three) unless too many boxes would be needed; ``below``
        is 0 if nothing was shown.
    """
    points = surface.draw(_POINTS, 1)
    points = points[_arrived(surface, points)]
    if len(points) == 0:
        return 0.0, 0.0
    above = min(
        _attained(surface, points),
        federer_quotients(points, surface.tangent_basis(points), points).min(),
    )
    share = 1 - GAP[surface.dim]
    curved, above = _curvature(surface, above, share)
    apart, above = (_rays if surface.codim == 1 else _bottlenecks)(surface, above, share)
    return float(min(curved, apart, share * above)), float(above)


def _start(surface, width):
    return Boxes(surface, *surface.boxes(width))


def _curvature(surface, above, share):
    """A lower bound of the radii of curvature (infinite if all are above the goal), and the
    upper bound improved.
    """
    boxes = _start(surface, 1 / 16)
    while True:
        points = _on(surface, boxes.take(np.argsort(boxes.radius, kind="stable")[:_LOOKED]))[0]
        above = min(above, _attained(surface, points))
        boxes = boxes.take(boxes.radius < share * above)
        if len(boxes.centres) == 0:
            return np.inf, above
        if len(boxes.centres) > _MAXIMUM or boxes.half < _FINEST or above < SMALLEST:
            return float(boxes.radius.min()), above
        boxes = boxes.split()[0]


def _coarse(surface, above):
    """Boxes about as wide as the reach."""
    return _start(surface, min(max(2.0 ** np.floor(np.log2(above)), 1 / 64), 1 / 4))


def _rays(surface, above, share):
    """A lower bound of half the distances to the next zero along normals, for one equation; the
    upper bound improved.

    Half such a distance is a Federer quotient, and a bottleneck is one.
    """
    boxes = _coarse(surface, above)
    while True:
        size = max(1, int(4 * _CHUNK * boxes.diagonal / above))
        found = [
            boxes.rays_left(slice(i, i + size), share * above)
            for i in range(0, len(boxes.centres), size)
        ]
        box, place = (
            (np.concatenate(f) for f in zip(*found)) if found else (np.zeros(0, int), np.zeros(0))
        )
        if len(box) == 0:
            return np.inf, above
        some = np.unique(np.linspace(0, len(box) - 1, _LOOKED).astype(int))
        ends = [
            surface.project(x)
            for x in (
                boxes.centres[box[some]],
                boxes.centres[box[some]] + place[some, None] * boxes.normal[box[some]],
            )
        ]
        good = _arrived(surface, ends[0]) & _arrived(surface, ends[1])
        above = min(above, _pairs(surface, ends[0][good], ends[1][good]))
        used = np.unique(box)
        if len(used) > _MAXIMUM or boxes.half < _FINEST or above < SMALLEST:
            return float(np.maximum(np.abs(place) - boxes.diagonal / 2, 0).min() / 2), above
        boxes = boxes.take(used).split()[0]


def _bottlenecks(surface, above, share):
    """A lower bound of half the length of bottlenecks, from pairs of boxes, and the upper bound
    improved.
    """
    boxes = _coarse(surface, above)
    first, second = (
        cKDTree(boxes.centres).query_pairs(2 * above + 2 * boxes.diagonal, output_type="ndarray").T
    )
    own = np.arange(len(boxes.centres))
    first, second = np.append(first, own), np.append(second, own)
    while len(first):
        keep = np.concatenate(
            [
                boxes.pairs_left(first[i : i + _CHUNK], second[i : i + _CHUNK], share * above)
                for i in range(0, len(first), _CHUNK)
            ]
        )
        first, second = first[keep], second[keep]
        used, place = np.unique(np.append(first, second), return_inverse=True)
        boxes, (first, second) = boxes.take(used), place.reshape(2, -1)
        points, good = _on(surface, boxes)
        number = np.cumsum(good) - 1
        both = good[first] & good[second] & (first != second)
        above = min(
            above, _pairs(surface, points[number[first[both]]], points[number[second[both]]])
        )
        if len(first) > 10 * _MAXIMUM or boxes.half < _FINEST or above < SMALLEST:
            shortest = np.maximum(
                np.abs(boxes.centres[first] - boxes.centres[second]) - 2 * boxes.half, 0
            )
            return float(np.linalg.norm(shortest, axis=1).min() / 2), above
        boxes, table = boxes.split()
        first, second = _children(first, second, table)
    return np.inf, above


def _children(first, second, table):
    """All pairs of halves of pairs of boxes, each once."""
    a, b = np.broadcast_arrays(table[first][:, :, None], table[second][:, None])
    once = (a >= 0) & (b >= 0) & ((first != second)[:, None, None] | (a <= b))
    return a[once], b[once]


def singular_point(surface):
    """A zero where the gradients are linearly dependent, as far as boxes can tell, or None.

    Boxes that may hold a zero and dependent gradients are halved until there are none, or very
    many, or they are tiny. From those that are left Gauss and Newton's method looks for a solution
    of ``F = 0``, ``J' l = 0``, ``|l| = 1``.

    Returns
    -------
    point : float64 array, shape (D,), or None
    """
    boxes = _start(surface, 1 / 16)
    while True:
        boxes = boxes.take(boxes.regular <= _CLOSE)
        if len(boxes.centres) == 0:
            return None
        if len(boxes.centres) > _LOOKED and boxes.half < 1 / 100 or boxes.half < _FINEST:
            break
        boxes = boxes.split()[0]
    order = np.argsort(np.linalg.norm(surface.values(boxes.centres), axis=1), kind="stable")
    for x in boxes.centres[order[:8]]:
        point = _dependent(surface, x)
        if point is not None:
            return point
    return None


def _dependent(surface, x):
    """Newton's method from one point; None if it does not arrive at a zero with dependent
    gradients.
    """
    left = np.linalg.svd(surface.jacobian(x[None])[0])[0][:, -1]
    for _ in range(60):
        value, jacobian, second = (
            f(x[None])[0] for f in (surface.values, surface.jacobian, surface.hessian)
        )
        residual = np.concatenate([value, jacobian.T @ left, [(left @ left - 1) / 2]])
        if np.abs(residual).max() <= 1e-13 * surface.scale:
            break
        top = np.hstack([jacobian, np.zeros((len(value), len(value)))])
        middle = np.hstack([np.einsum("a,aij->ij", left, second), jacobian.T])
        bottom = np.append(np.zeros(len(x)), left)[None]
        step = np.linalg.lstsq(np.vstack([top, middle, bottom]), residual, rcond=1e-10)[0]
        x, left = x - step[: len(x)], left - step[len(x) :]
        if not ((x > 0) & (x < 1)).all():
            return None
    good = (
        np.abs(value).max() <= 1e-12 * surface.scale
        and np.linalg.norm(jacobian.T @ left) <= 1e-6 * surface.scale
    )
    return x if good else None


def require_regular(surface, formulas):
    """Raise `InputError` at a zero where the gradients are dependent."""
    point = singular_point(surface)
    where = "" if point is None else ", ".join(f"{t:.6g}" for t in point)
    several = len(surface.second) > 1
    require(
        point is None,
        "formulas",
        formulas,
        f"with {'linearly independent gradients' if several else 'a gradient that is not zero'} on"
        f" the set; {'they are dependent' if several else 'it vanishes'} at about ({where})",
    )
