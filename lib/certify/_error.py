"""Upper bounds of ``|f - f~|`` and of its slope over boxes (book: ``thm-certificate``)."""

from typing import NamedTuple

import numpy as np
import torch
from flint import arb

from lib.certify._deviation import factors, terms
from lib.certify._spline import piece_table, spline_knots
from lib.convresnet import rounding
from lib.formulas import torch_function, variables
from lib.intervals import UNIT, Balls, Taylor, expand, exponents, precision, span, up

_BATCH = 4096
# of the radius of a box: how far its corners are within, and the step of differences there
_ASIDE = 2.0**-10
_MARGIN = 1e-9  # by which a gate must be open or closed, so that it is so in float64 too


class Found(NamedTuple):
    """What is known of boxes, float arrays (P,).

    Attributes
    ----------
    value, gradient : upper bounds of the two errors
    value_seen, gradient_seen : what they would tend to if the boxes were refined; not rigorous
    """

    value: np.ndarray
    gradient: np.ndarray
    value_seen: np.ndarray
    gradient_seen: np.ndarray


def _corners(dim):
    """The corners of a box, a little within: float array (2^p, p)."""
    return (1 - 2 * _ASIDE) * np.stack(
        np.meshgrid(*[(-1.0, 1.0)] * dim, indexing="ij"), axis=-1
    ).reshape(-1, dim)


def _polynomial(taylor, s):
    """The middles of the coefficients as polynomials at points (n, p) of the boxes, NaN where
    one is not known: (n, P).
    """
    middle = np.where(np.isfinite(taylor.coefficients.rad), taylor.coefficients.mid, np.nan)
    return (s[:, None] ** exponents(taylor.dim, taylor.order)).prod(2) @ middle


def _samples(taylor, missing, inner):
    """Moduli at the middles and (unless ``inner``) at the corners of the boxes: (1 + 2^p, P).

    ``missing`` (2^p, P) is what the polynomials of the target lack at the corners.
    """
    found = np.abs(_polynomial(taylor, _corners(taylor.dim)) + missing)
    centre = np.abs(taylor.coefficients.mid[0])
    return np.concatenate([centre[None], np.where(np.isnan(found) | inner, centre, found)])


class _Sums(NamedTuple):
    """What is added to ``f`` minus polynomials, up to a sign (value, slopes) or with it (knots,
    knot_slopes).
    """

    value: np.ndarray
    slopes: np.ndarray
    knots: Balls
    knot_slopes: Balls


def _largest(ends, shift, more):
    """The largest modulus of an interval, shifted by balls and widened by ``more``, rounded up."""
    low, high = ends
    size = np.maximum(np.abs(low + shift.lower), np.abs(high + shift.upper))
    return up(size + 4 * UNIT * (np.abs(low) + np.abs(high) + shift.size) + more)


class ErrorOf:
    """``f - f~`` for a formula and the stored weights of a network, on a domain.

    Parameters
    ----------
    expression : sympy.Expr
        ``f``, in the ambient coordinates.
    domain : CubeDomain, CurveDomain or SphereFace
    pieces, damaged : lists
        From `lib.certify._stored.read`.
    order, refinement : int
    network : lib.convresnet.ConvResNet
    unchanged : bool
        Whether every weight is that of the construction.
    """

    def __init__(
        self, expression, domain, pieces, damaged, order, refinement, network, unchanged=True
    ):
        self.expression = expression
        self.domain = domain
        self.network = network
        self.unchanged = unchanged
        self.pieces = pieces
        self.damaged = damaged
        self.order = order
        self.refinement = refinement
        self.expansion = order + (domain.dim == 1)
        self.symbols = variables(network.dim)
        self.function = torch_function(expression, network.dim)
        mesh = max(
            float((np.abs(p.matrix.mid).sum(1) + np.abs(p.offset.mid)).max()) for p in pieces
        )
        layers = network.dim + sum(len(b) for b in network.numbers()) / len(network.blocks)
        gated = pieces[0].gate is not None
        # one product of a weight and a coordinate on the cube; behind gates sums of D of them and
        # of biases
        self._rounding = rounding(
            order, refinement, len(pieces[0].matrix), (4 * layers if gated else 2) * mesh
        )

    def bounds(self, boxes):
        """`Found` for `Boxes`, in batches."""
        parts = [self._bounds(boxes[i : i + _BATCH]) for i in range(0, len(boxes), _BATCH)]
        return Found(*(np.concatenate(p) for p in zip(*parts)))

    def _bounds(self, boxes):
        local = self.domain.local(boxes, self.expansion)
        at, over = (
            expand(self.expression, dict(zip(self.symbols, x))) for x in (local.at, local.over)
        )
        dim = self.domain.dim
        missing = self._missing(boxes, at)
        shapes = (len(boxes),), (dim, len(boxes))
        sums = _Sums(
            *(np.zeros(shape) for shape in shapes),
            *(Balls(*np.zeros((2, *shape))) for shape in shapes),
        )
        for piece in self.pieces:
            at, over = self._subtract(piece, local, at, over, sums)
        seen = sums.value.copy()
        seen_slopes = sums.slopes.copy()
        for broken in self.damaged:
            self._damage(broken, local, sums)
        value = _largest(span(at, over), sums.knots, sums.value)
        derivatives = [(at.derivative(k), over.derivative(k)) for k in range(dim)]
        sizes = [
            _largest([end / boxes.radius for end in span(*d)], sums.knot_slopes[k], sums.slopes[k])
            for k, d in enumerate(derivatives)
        ]
        # what the bounds tend to, from the middle and the corners of the boxes
        # there the corners may be on other polynomials
        knots = sums.knots.size + sums.knot_slopes.size.sum(0) > 0
        values = _samples(at, missing[0], knots) + seen
        corners = np.array(
            [
                _samples(d[0], missing[1 + k], knots) / boxes.radius + seen_slopes[k]
                for k, d in enumerate(derivatives)
            ]
        )
        with np.errstate(invalid="ignore"):
            gradient = self.domain.slope(local, np.array(sizes))
            gradients = [self.domain.slope(local, corners[:, i]) for i in range(corners.shape[1])]
        value, gradient = (np.where(np.isnan(v), np.inf, v) for v in (value, gradient))
        gradient = np.where(np.isinf(value), np.inf, gradient)  # where terms were left out
        return Found(value, gradient, values.max(0), np.max(gradients, axis=0))

    def _missing(self, boxes, at):
        """What the Taylor polynomials of the target lack at the corners of the boxes: values and
        slopes, (1 + p, 2^p, P).

        In float64, by differences: on wide boxes a polynomial can be far off, and then nothing is
        seen there.
        """
        corners = _corners(at.dim)
        dim = at.dim
        steps = np.concatenate([np.zeros((1, dim)), _ASIDE * np.eye(dim), -_ASIDE * np.eye(dim)])
        s = (corners + steps[:, None]).reshape(-1, dim)
        places = boxes.middle[:, None] + boxes.radius[:, None, None] * s
        x = torch.from_numpy(np.ascontiguousarray(self.domain.points(places.reshape(-1, dim))))
        found = self.function(x).numpy().reshape(len(boxes), -1).T - _polynomial(at, s)
        found = found.reshape(1 + 2 * dim, len(corners), -1)
        return np.concatenate([found[:1], (found[1 : 1 + dim] - found[1 + dim :]) / (2 * _ASIDE)])

    def _subtract(self, piece, local, at, over, sums):
        """Take a piece's polynomials from the expansions and add what is between them and the
        network to the sums.
        """
        m, n, boxes = self.order, self.refinement, local.boxes
        here = self._meets(piece, local)
        if not here.any():
            return at, over
        part = np.flatnonzero(here)
        mesh_at, mesh_over, low, high = self.domain.mesh(local[part], piece)
        dim = len(mesh_at)
        edge = piece.table.shape[0] - m - 1
        cell = np.clip(np.floor((low + high) / 2), 0, edge - 1)
        place = [(cell[:, a].astype(int)[:, None] - np.arange(-1, m + 1) + m) for a in range(dim)]
        window = piece.table[
            tuple(
                p.reshape(len(part), *[1] * a, m + 2, *[1] * (dim - 1 - a))
                for a, p in enumerate(place)
            )
        ]
        gate = self._gate(piece, local[part])
        wide = ((low - cell < -0.5) | (high - cell > 1.5)).any(1)
        first, last = piece.reach
        # a term next to the cell counts only where the box reaches over the knot
        touched = window.size > 0
        for a in range(dim):
            beyond = np.ones((len(part), m + 2), bool)
            beyond[:, 0], beyond[:, -1] = high[:, a] > cell[:, a] + 1, low[:, a] < cell[:, a]
            touched &= beyond.reshape(len(part), *[1] * a, m + 2, *[1] * (dim - 1 - a))
        living = np.where(
            wide, ((high > first - m) & (low < last)).all(1), touched.reshape(len(part), -1).any(1)
        )
        undecided = living & (wide | (gate == 0.5)) & (gate < 1)
        sums.value[part[undecided]] = np.inf  # to be refined
        keep = living & ~wide & (gate == 0)
        if not keep.any():
            return at, over
        part, cell, window = part[keep], cell[keep], window[keep]
        low, high = low[keep] - cell, high[keep] - cell
        inner = window[(slice(None),) + (slice(1, m + 1),) * dim]
        polynomial = _power_basis(inner, m, dim)
        mesh_at, mesh_over = (
            [t[keep] + Balls(-cell[:, a]) for a, t in enumerate(x)] for x in (mesh_at, mesh_over)
        )
        at = _minus(at, _nested(polynomial, mesh_at), part)
        over = _minus(over, _nested(polynomial, mesh_over), part)
        # the terms of the network against those of the spline
        overshoot = (low < 0).any() or (high > 1).any()
        positions = range(-1, m + 1) if overshoot else range(m)
        axes = [factors(m, n, low[:, a], high[:, a], positions) for a in range(dim)]
        size = (window if overshoot else inner).size.reshape(len(part), -1)
        value, slopes = terms(m, n, axes)
        alive = np.ones((len(part), 1))
        for f in axes:
            alive = (alive[:, :, None] * f.alive[:, None, :]).reshape(len(part), -1)
        term, total = self._rounding
        value = up((size * value).sum(1), size.shape[1]) + up(
            (size * alive).sum(1), size.shape[1]
        ) * (term + total)
        slopes = np.stack([up((size * s).sum(1), size.shape[1]) for s in slopes])  # in mesh units
        if overshoot:
            wide_axes = [factors(m, n, low[:, a], high[:, a], range(-1, m + 1)) for a in range(dim)]
            knots, knot_slopes = spline_knots(
                m, low, high, [f.size for f in wide_axes], [f.steep for f in wide_axes], window
            )
        else:
            knots = Balls(np.zeros(len(part)))
            knot_slopes = Balls(np.zeros((len(part), dim)))
        sums.value[part] += up(value)
        sums.knots[part] = sums.knots[part] - knots
        for k in range(self.domain.dim):
            for a in range(dim):
                speed = Balls.between(
                    *span(mesh_at[a].derivative(k), mesh_over[a].derivative(k))
                ) * (1 / boxes.radius[part])
                sums.slopes[k, part] += up(slopes[a] * speed.size)
                sums.knot_slopes[k, part] = sums.knot_slopes[k, part] - knot_slopes[:, a] * speed
        return at, over

    def _meets(self, piece, local):
        """Boxes that may meet a term of a piece: quickly."""
        if piece.gate is None:
            return np.ones(len(local.boxes), bool)
        square = 0.0
        for x, c in zip(local.over, piece.gate.centre):
            value = x.coefficients[0]
            square = square + np.maximum(np.maximum(value.lower - c, c - value.upper), 0) ** 2
        return square <= piece.gate.outer * 1.001

    def _gate(self, piece, local):
        """0 where the gate is open, 1 where it is closed, 1/2 where it cannot be decided."""
        if piece.gate is None:
            return np.zeros(len(local.boxes))
        gate, squares = piece.gate, []
        for x in (local.at, local.over):
            parts = [(t + float(-c)) * (t + float(-c)) for t, c in zip(x, gate.centre)]
            squares.append(sum(parts[1:], parts[0]))
        low, high = span(*squares)
        high = high + len(gate.centre) * 4.0 ** (-gate.refinement - 1)
        return np.where(
            high + _MARGIN <= gate.inner, 0.0, np.where(low - _MARGIN >= gate.outer, 1.0, 0.5)
        )

    def _damage(self, broken, local, sums):
        """Terms whose layers are not those of the construction: propagated as they are, against
        their B-splines.
        """
        boxes, scale = local.boxes, self.domain.cells
        with precision():
            mesh = Balls.from_flint([arb(1) / scale], ())  # 1 / N
        x = [
            Balls(boxes.middle / scale, up(t + np.abs(boxes.middle) * UNIT / scale))
            for t in (
                np.zeros_like(boxes.middle),
                np.broadcast_to(boxes.radius[:, None] / scale, boxes.middle.shape),
            )
        ]
        middle, _ = broken.values_and_slopes(x[0])
        _, slopes = broken.values_and_slopes(x[1])
        dim = boxes.middle.shape[1]
        cell = np.floor(boxes.middle)
        exact = [self._factor(broken.indices[:, a], boxes, cell, a) for a in range(dim)]
        size = broken.coefficients.size[:, None]
        point = exact[0][0]
        for a in range(1, dim):
            point = point * exact[a][0]
        total = up(((middle - point).size * size).sum(0), len(size))
        for k in range(dim):
            slope = exact[0][2] if k == 0 else exact[0][1]
            for a in range(1, dim):
                slope = slope * exact[a][2 if a == k else 1]
            gap = (Balls(slopes.mid[:, k], slopes.rad[:, k]) * mesh - slope).size * (1 + 4 * UNIT)
            per_unit = up((gap * size).sum(0), len(size))
            sums.slopes[k] += per_unit
            total = total + per_unit * boxes.radius
        sums.value[:] += up(total)

    def _factor(self, indices, boxes, cell, axis):
        """``N_m(s - j)`` at the middles, over the boxes, and its slope over them: balls (T, P)."""
        m = self.order
        place = cell[None, :, axis].astype(int) - indices[:, None]
        inside = (place >= 0) & (place < m)
        row = np.where(inside, place, 0)
        t = boxes.middle[:, axis] - cell[:, axis]
        found = []
        for rad, derivative in ((0.0, 0), (boxes.radius, 0), (boxes.radius, 1)):
            table = piece_table(m, derivative)
            u = Balls(t, np.broadcast_to(rad, t.shape))
            value = Balls(np.zeros(place.shape))
            for k in range(table.shape[1] - 1, -1, -1):
                value = value * u + table[row, k]
            found.append(value * inside.astype(float))
        return found


def _minus(taylor, other, part):
    c = taylor.coefficients
    mid = c.mid.copy()
    rad = c.rad.copy()
    found = c[:, part] - other.coefficients
    mid[:, part], rad[:, part] = found.mid, found.rad
    return Taylor(Balls(mid, rad), taylor.dim, taylor.order)


def _power_basis(window, order, dim):
    """The polynomial of a cell from its ``m^d`` coefficients, at positions 0..m-1: balls (P, m,
    .., m).
    """
    table = piece_table(order)
    mid = window.mid
    size = np.abs(window.mid)
    rad = window.rad
    for _ in range(dim):  # contract the first axis after the points, append the powers at the end
        mid = np.tensordot(mid, table.mid, (1, 0))
        rad = np.tensordot(rad, np.abs(table.mid) * (1 + 4 * UNIT), (1, 0))
        size = np.tensordot(size, np.abs(table.mid), (1, 0))
    return Balls(mid, up(rad + (order + 4) * dim * UNIT * 2 * size, 64))


def _nested(coefficients, mesh):
    """Horner's rule in several variables."""
    if len(mesh) == 1:
        return mesh[0].polynomial([coefficients[:, k] for k in range(coefficients.shape[1])])
    result = _nested(coefficients[:, -1], mesh[1:])
    for k in range(coefficients.shape[1] - 2, -1, -1):
        result = result * mesh[0] + _nested(coefficients[:, k], mesh[1:])
    return result
