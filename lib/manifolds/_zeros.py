"""Boxes that may hold zeros of formulas, with what is known of curvature and bottlenecks in them
(book: "Where the reach comes from").

On a box with centre ``c`` the equations are multiplied by the matrix that makes the rows of the
Jacobian at ``c`` orthonormal; from there to any point of the box Taylor's theorem, with rigorous
bounds of second and third derivatives, says how far Jacobian and second derivatives move.
"""

from itertools import product

import numpy as np

_ANGLES = 32  # directions of a tangent plane in which curvature vectors are looked at
_CHUNK = 1 << 14
FINEST = 2.0**-22  # half width of a box


def largest_bend(forms):
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
            largest_bend(flat)[1] + 2 * turn * _size(steep) + turn**2 * _size(across) + _size(moved)
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


def boxes_of(surface, width):
    """The `Boxes` of at most a width that may hold zeros of a level set."""
    return Boxes(surface, *surface.boxes(width))
