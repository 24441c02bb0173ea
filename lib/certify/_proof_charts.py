"""`lib.certify._proof` on a manifold: bounds over boxes of the charts, and the error at single
points (``cor-certified-manifold``).
"""

from fractions import Fraction
from functools import cached_property
from itertools import product

import numpy as np
from flint import arb, arb_mat

from lib.certify._jets import Jet, chart_jets, expand, indices
from lib.certify._proof import Proof, as_arb, fold_sum, network_product, network_square
from lib.errors import InputError, require
from lib.formulas import variables
from lib.norms import Norms
from lib.relu import bspline_error, bspline_slope

_STORED = 2.0**-40  # relative: far more than the roundings of stored weights
_STEP = arb(2) ** -120  # of a difference quotient


class ChartsProof(Proof):
    """Bounds over one box, for an approximation on a manifold.

    Its charts, which `lib.manifolds.ChartsPatch` compares with an atlas that is made anew, and the
    constants ``A`` and ``Lambda`` of the partition are shared with `lib.certify.certify`.
    """

    def __init__(self, s):
        c = s.construction
        self.subject = s
        self.patch = s.patch
        self.order = c.order
        self.cells = s.cells
        self.n = c.refinement
        self.dim = s.patch.dim
        self.symbols = variables(s.domain.ambient_dim)
        self.of_chart = [
            {tuple(j): arb(v) for j, v in zip(k.indices.tolist(), k.coefficients.tolist())}
            for k in c.charts
        ]
        self.polynomials_of: list[dict] = [{} for _ in c.charts]
        self.indices = indices(self.dim, self.order)
        self.rounding = 0  # floats are not points of a manifold
        self.unit, self.columns, self.middles, self.slack = s.patch.maps()

    def _chart(self, number):
        """Take the coefficients of a chart for those of `Proof`."""
        self.coefficients = self.of_chart[number]
        self.polynomials = self.polynomials_of[number]

    # ---- one box

    def outside(self, middle, radius):
        """Whether a box lies beyond the ball of its chart, or where its function of the partition
        vanishes.
        """
        number, place = self._place(middle)
        if not self.patch.atlas.living(self.cells)[(number, *(int(u) for u in place))]:
            return True
        half = Fraction(self.cells, 2)
        gaps = [max(Fraction(0), abs(u - half) - radius) for u in place]
        return sum(g * g for g in gaps) >= half * half

    def _place(self, middle):
        number = int(middle[0] // self.cells)
        return number, [middle[0] - number * self.cells, *middle[1:]]

    def bounds(self, middle, radius):
        """Upper bounds of what a chart contributes and of the length of its gradient, for ``|s -
        middle| <= radius``; infinite where a chart is not inverted.
        """
        number, u = self._place(middle)
        self._chart(number)
        cell = tuple(int(v) for v in u)
        place = [v - i for v, i in zip(u, cell)]
        value_off, slope_off = self.deviation(cell, place, radius)
        polynomial = self.polynomial(cell)
        coefficients = {}
        for over in (False, True):
            r = as_arb(radius) if over else arb(0)
            try:
                g = expand(
                    self.subject.expression, dict(zip(self.symbols, self._points(number, u, r)))
                )
            except InputError:
                return arb("inf"), [arb("inf")]
            at = [arb(as_arb(p).mid(), r) for p in place]
            for nu in self.indices:
                here = g.c[nu] if isinstance(g, Jet) else g * (not any(nu))
                term = here - self.taylor(polynomial, at, nu)
                coefficients[nu, over] = term * as_arb(radius) ** sum(nu)
        value = self.largest(coefficients, None) + value_off
        slopes = [
            self.largest(coefficients, k) / as_arb(radius) + slope_off[k] for k in range(self.dim)
        ]
        length = sum((s * s for s in slopes), arb(0)).sqrt()
        scale = arb(float(self.cells)) / (2 * arb(self.patch.atlas.chart_radius))
        return value, [length * scale * (1 + _STORED)]

    def _points(self, number, u, radius):
        """The coordinates over a box as expansions in ``u`` minus its middle."""
        t = []
        for k, v in enumerate(u):
            off = arb(float(self.middles[number, k]), float(self.slack[number, k]))
            constant = (arb(as_arb(v).mid(), radius) - off) * self.unit
            first = tuple(int(k == axis) for axis in range(self.dim))
            t.append(Jet(self.dim, self.order, {(0,) * self.dim: constant, first: arb(self.unit)}))
        atlas = self.patch.atlas
        return chart_jets(self.subject.domain, atlas.centres[number], self.columns[number], t)

    # ---- the whole manifold

    @cached_property
    def beside(self) -> Norms:
        """By how much localised terms miss the products, as `lib.certify._error` has it."""
        local, charts = self.patch.localisation, self.subject.construction.charts
        largest = max(float(np.abs(c.coefficients).max()) for c in charts)
        steep = bspline_slope(self.order) + bspline_error(self.order, self.n).slope
        delta = 2.0**-self.n
        slope = delta * (local.lipschitz + local.overlap * steep * self.patch.steepness)
        size = (1 + 2.0**-41) * self.order**self.dim * largest
        return Norms(size * local.overlap * 4.0 ** (-self.n - 1), size * slope)

    def together(self, level, index, bounds):
        """Bounds of value and slope near the points of a net from those of boxes, (B, 2): two
        float arrays (P,), with what localising costs.
        """
        cells = [self.patch.in_cells(level, index, b) for b in bounds.T]
        found = self.patch.together.bounds(*cells)
        return tuple(f + b for f, b in zip(found, self.beside))

    # ---- single points

    def _at(self, x):
        """The point of the manifold next to a float64 point, with the number of a chart and its
        coordinates ``t``.
        """
        atlas = self.patch.atlas
        number = int(np.linalg.norm(atlas.centres - np.array(x), axis=1).argmin())
        frame = self.columns[number]
        t = [
            sum((arb(float(v)) * (arb(p) - float(c)) for v, p, c in rows), arb(0))
            for rows in (zip(column, x, atlas.centres[number]) for column in frame.T)
        ]
        return number, t

    def _on(self, number, t):
        atlas = self.patch.atlas
        return self.subject.domain.chart_point(atlas.centres[number], self.columns[number], t)

    def error_at(self, x):
        """``f - f~`` at a point of the manifold in balls: the formula, minus the terms that are
        alive, in closed form.
        """
        total = arb(0)
        for number, rho in self._partition(x):
            chart = self.subject.construction.charts[number]
            u = [
                sum((arb(float(a)) * v for a, v in zip(row, x)), arb(float(o)))
                for row, o in zip(chart.matrix, chart.offset)
            ]
            cell = [int(float(v.mid().floor())) for v in u]
            for k in product(range(self.order), repeat=self.dim):
                j = tuple(i - p for i, p in zip(cell, k))
                c = self.of_chart[number].get(j)
                if c is not None:
                    factors = [fold_sum(self.order, self.n, v - i) for v, i in zip(u, j)]
                    term = factors[0]
                    for f in factors[1:]:
                        term = network_product(self.n, f, term)
                    total += c * network_product(self.n, rho, term)
        return expand(self.subject.expression, dict(zip(self.symbols, x))) - total

    def _partition(self, x):
        """The functions of the partition that are positive at a point: pairs (number, rho)."""
        place = np.array([float(v.mid()) for v in x])
        atlas = self.patch.atlas
        beta, outer = (
            arb(v) for v in (1 / (atlas.chart_radius**2 - atlas.inner), atlas.chart_radius**2)
        )
        squares = [network_square(atlas.refinement, v) for v in x]
        near = np.flatnonzero(
            np.linalg.norm(atlas.centres - place, axis=1) < atlas.chart_radius * (1 + 1e-6)
        )
        left = arb(1)
        for i in near.tolist():
            c = [arb(float(v)) for v in atlas.centres[i]]
            square = sum((s - 2 * a * v + a * a for s, a, v in zip(squares, c, x)), arb(0))
            w = beta * (outer - square)
            if not w > 0 or not left > 0:
                continue
            yield i, w if w < left else left
            left = left - w

    def lower_ends(self, place):
        """``|f - f~|`` and the quotient along its steepest direction next to a float64 point, of
        the manifold up to rounding.
        """
        number, t = self._at(place)
        here = self._on(number, t)
        require(
            all(abs(x - p) < _STORED for x, p in zip(here, place)),
            "certificate",
            place,
            "with points of the manifold",
        )
        error = self.error_at(here)
        steps = [
            [arb(self.unit) * _STEP * (k == a) for a in range(self.dim)] for k in range(self.dim)
        ]
        moves, changes = [], []
        for step in steps:
            moved = self._on(number, [a + b for a, b in zip(t, step)])
            moves.append([a - b for a, b in zip(moved, here)])
            changes.append(self.error_at(moved) - error)
        gram = arb_mat([[sum((a * b for a, b in zip(p, q)), arb(0)) for q in moves] for p in moves])
        weights = (gram.inv() * arb_mat(self.dim, 1, changes)).entries()
        size = max((abs(w).mid() for w in weights), key=float)
        along = [w.mid() / size if size > 0 else arb(0) for w in weights]
        moved = self._on(number, [a + arb(self.unit) * _STEP * w for a, w in zip(t, along)])
        chord = sum(((a - b) ** 2 for a, b in zip(moved, here)), arb(0)).sqrt()
        twice = 2 * arb(float(self.subject.domain.reach))
        slope = abs(self.error_at(moved) - error) / (twice * (chord / twice).asin())
        return abs(error), slope
