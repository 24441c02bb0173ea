"""Upper bounds of ``|f - f~|`` and of its slope over boxes (book: ``thm-certificate``).

``f - f~ = (f - S) + (S - f~)``, ``S`` the spline with the stored coefficients: the first is one
expansion, the second is summed term by term.
"""

from functools import cached_property
from typing import NamedTuple

import numpy as np

from lib.certify._cells import place
from lib.certify._changed import changed_terms
from lib.certify._deviation import alive_terms, factor_deviations, term_deviations
from lib.certify._search import NORMS
from lib.certify._seen import missing, samples
from lib.certify._spline import cell_polynomial, composed, spline_knots
from lib.convresnet import rounding
from lib.formulas import torch_function, variables
from lib.intervals import Balls, Taylor, expand, span, up
from lib.norms import Norms
from lib.relu import bspline_error, bspline_slope

_BATCH = 4096  # boxes at once


class Found(NamedTuple):
    """What is known of boxes, float arrays (P,).

    Attributes
    ----------
    value, slope : upper bounds of the two errors
    value_seen, slope_seen : what they would tend to if the boxes were refined; not rigorous
    """

    value: np.ndarray
    slope: np.ndarray
    value_seen: np.ndarray
    slope_seen: np.ndarray


class _Sums(NamedTuple):
    """What is added to ``f`` minus polynomials, up to a sign (value, slopes: the sums of
    ``thm-certificate``) or with it (knots, knot_slopes: those of ``lem-knots``).
    """

    value: np.ndarray
    slopes: np.ndarray
    knots: Balls
    knot_slopes: Balls

    @classmethod
    def zero(cls, dim, boxes):
        one, each = (boxes,), (dim, boxes)
        return cls(np.zeros(one), np.zeros(each), _nothing(one), _nothing(each))

    @property
    def has_knots(self):
        """Boxes that reach over knots: their corners may be on other polynomials."""
        return self.knots.size + self.knot_slopes.size.sum(0) > 0


def _nothing(shape):
    return Balls(np.zeros(shape), np.zeros(shape))


class ErrorOf:
    """``f - f~`` for a formula and the stored weights of a network, on a domain.

    Parameters
    ----------
    expression : sympy.Expr
        ``f``, in the ambient coordinates.
    domain : lib.domains.Patch
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
        self.localisation = domain.localisation
        self._rounding = (0.0, 0.0)  # floats are not points of a manifold
        if self.localisation is None:
            self._rounding = _rounding_of_a_term(pieces, order, refinement)

    def bounds(self, boxes):
        """`Found` for `Boxes`, in batches."""
        parts = [self._bounds(boxes[i : i + _BATCH]) for i in range(0, len(boxes), _BATCH)]
        return Found(*(np.concatenate(p) for p in zip(*parts)))

    def _bounds(self, boxes):
        counts = self.domain.counts(boxes)
        found = Found(*np.zeros((4, len(boxes))))
        if counts.any():
            for whole, part in zip(found, self._errors(boxes[counts])):
                whole[counts] = part
        return found

    def _errors(self, boxes):
        local = self.domain.local(boxes, self.expansion)
        error = [
            expand(self.expression, dict(zip(self.symbols, x))) for x in (local.at, local.over)
        ]
        lacking = missing(self.function, self.domain, boxes, error[0])
        sums = _Sums.zero(self.domain.dim, len(boxes))
        for piece in self.pieces:
            error = self._minus_piece(piece, local, error, sums)
        seen = self._tends_to(local, error, sums, lacking)
        for changed in self.damaged:
            value, slopes = changed_terms(changed, boxes, self.domain.cells, self.order)
            sums.value[:] += value
            sums.slopes[:] += slopes
        return Found(*self._upper(local, error, sums), *seen)

    def total(self, table):
        """The two bounds on the whole domain from those of boxes, `lib.Norms`: on a manifold put
        together near each point of a net, with what localising costs (``cor-certified-manifold``).

        Parameters
        ----------
        table : structured array (B,)
            Of a `lib.certify._search.Search`.
        """
        if self.localisation is None:
            return Norms(*(float(table[name].max()) for name in NORMS))
        cells = [
            self.domain.in_cells(table["level"], table["index"], table[name]) for name in NORMS
        ]
        found = self.domain.together.bounds(*cells)
        # a little more, so that a second proof with other roundings finds it
        return (1 + 2.0**-40) * (Norms(*(float(b.max()) for b in found)) + self.localised)

    def shares(self, at_most):
        """Bounds for the boxes, from which bounds on the whole domain follow: `lib.Norms`."""
        if self.localisation is None:
            return Norms(*at_most)
        value, slope = (a - b for a, b in zip(at_most, self.localised))
        value = min(value, slope / (2 * self.localisation.lipschitz))
        return Norms(max(value, 0.0), max(slope - self.localisation.lipschitz * value, 0.0))

    @cached_property
    def localised(self):
        """By how much localised terms ``mu_n(rho_i, M~_j)`` miss ``rho_i M~_j``, times their
        coefficients, in value and slope (``lem-localised-term``).
        """
        local = self.localisation
        largest = max(float(p.table.size.max()) for p in self.pieces)
        dim = self.domain.dim
        eps, delta = 4.0 ** (-self.refinement - 1), 2.0**-self.refinement
        steep = bspline_slope(self.order) + bspline_error(self.order, self.refinement).slope
        slope = delta * (local.lipschitz + local.overlap * steep * self.domain.steepness)
        # a dozen roundings, and those of the weights that make the partition
        return ((1 + 2.0**-40) * self.order**dim * largest) * Norms(local.overlap * eps, slope)

    # ---- the right sides of the theorem

    def _upper(self, local, error, sums):
        """Upper bounds of value and slope: the right sides of ``thm-certificate`` on the boxes."""
        count = self.domain.dim * len(self.pieces) + len(self.damaged)  # of what is in a sum
        value = _largest(span(*error), sums.knots, sums.value, count)
        sizes = []
        for k in range(self.domain.dim):
            ends = [end / local.boxes.radius for end in span(*(e.derivative(k) for e in error))]
            sizes.append(_largest(ends, sums.knot_slopes[k], sums.slopes[k], count))
        with np.errstate(invalid="ignore"):
            slope = self.domain.slope(local, np.array(sizes))
        value, slope = (np.where(np.isnan(v), np.inf, v) for v in (value, slope))
        return value, np.where(np.isinf(value), np.inf, slope)  # where terms were left out

    def _tends_to(self, local, error, sums, lacking):
        """What the upper bounds tend to, from the middle and the corners of the boxes; not
        rigorous.
        """
        at, inner = error[0], sums.has_knots
        middle = self.domain.contains(local.boxes.middle)
        values = samples(at, lacking[0], inner, middle) + sums.value
        corners = np.array(
            [
                samples(at.derivative(k), lacking[1 + k], inner, middle) / local.boxes.radius
                + sums.slopes[k]
                for k in range(self.domain.dim)
            ]
        )
        with np.errstate(invalid="ignore"):
            slopes = [self.domain.slope(local, corners[:, i]) for i in range(corners.shape[1])]
        return values.max(0), np.max(slopes, axis=0)

    # ---- one piece

    def _minus_piece(self, piece, local, error, sums):
        """``f - S`` (``lem-taylor``): take the polynomials of a piece from the expansions; and add
        what is between them and the network to the sums.
        """
        placed, undecided = place(piece, self.domain, local, self.order)
        sums.value[undecided] = np.inf  # to be refined
        if placed is None:
            return error
        self._add_terms(placed, local.boxes.radius, sums)
        polynomial = cell_polynomial(placed.inner, self.order)
        return [
            _minus(e, composed(polynomial, mesh), placed.part)
            for e, mesh in zip(error, (placed.at, placed.over))
        ]

    def _add_terms(self, placed, radius, sums):
        """``S - f~``: the terms of the network against those of the spline, and where boxes reach
        over knots these against the polynomials.
        """
        part, beyond = placed.part, placed.beyond_knots
        positions = range(-1, self.order + 1) if beyond else range(self.order)
        axes = [
            factor_deviations(self.order, self.refinement, low, high, positions)
            for low, high in zip(placed.low.T, placed.high.T)
        ]
        size = (placed.window if beyond else placed.inner).size.reshape(len(part), -1)
        value, slopes = self._deviation(size, axes)
        sums.value[part] += up(value)
        speeds = placed.speeds(radius)
        for k, speed in enumerate(speeds):
            for s, v in zip(slopes, speed):
                sums.slopes[k, part] += up(s * v.size)
        if beyond:
            self._add_knots(placed, axes, speeds, sums)

    def _deviation(self, size, axes):
        """``sum_j |c_j| E_j`` with rounding, and ``sum_j |c_j| F_{j,i}`` for each axis, in mesh
        units (``thm-certificate``, from ``lem-deviation`` and ``lem-rounding``).
        """
        value, slopes = term_deviations(self.order, self.refinement, axes)

        def weighted(numbers):
            return up((size * numbers).sum(1), size.shape[1])

        rounded = weighted(alive_terms(axes)) * sum(self._rounding)
        return weighted(value) + rounded, [weighted(s) for s in slopes]

    def _add_knots(self, placed, axes, speeds, sums):
        """What the spline is more than the polynomials, over boxes that reach over knots
        (``lem-knots``).
        """
        part = placed.part
        sizes = [f.size for f in axes], [f.steep for f in axes]
        value, slopes = spline_knots(self.order, placed.low, placed.high, *sizes, placed.window)
        sums.knots[part] = sums.knots[part] - value
        for k, speed in enumerate(speeds):
            for a, v in enumerate(speed):
                sums.knot_slopes[k, part] = sums.knot_slopes[k, part] - slopes[:, a] * v


def _rounding_of_a_term(pieces, order, refinement):
    """``lem-rounding`` for a term on a cube, and for its share of the sums.

    Mesh coordinates are one product of a weight and a coordinate, off by ``2 N`` units with the
    distance from the centre.
    """
    largest = max(float((np.abs(p.matrix.mid).sum(1) + np.abs(p.offset.mid)).max()) for p in pieces)
    return rounding(order, refinement, len(pieces[0].matrix), 2 * largest)


def _largest(ends, shift, more, terms):
    """The largest modulus of an interval, shifted by balls and widened by ``more``, a sum of so
    many terms, rounded up.
    """
    low, high = ends
    size = np.maximum(np.abs(low + shift.lower), np.abs(high + shift.upper))
    return up(size + more, terms)


def _minus(taylor, other, part):
    """An expansion minus another one that is about some of the boxes."""
    c = taylor.coefficients
    mid, rad = c.mid.copy(), c.rad.copy()
    found = c[:, part] - other.coefficients
    mid[:, part], rad[:, part] = found.mid, found.rad
    return Taylor(Balls(mid, rad), taylor.dim, taylor.order)
