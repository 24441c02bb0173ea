"""Slopes at kinks: the gradient on the linear piece that a point enters when it moves in a direction (book: ``prop-sparse``).

Every number is a pair: its value and its derivative in that direction.  Where a ReLU or a break of ``sq_n`` is met exactly,
the derivative decides.  Arrays of points, vectorised over the terms that are alive.
"""

import numpy as np

from lib.convresnet._terms import doublings

_CHUNK = 1 << 20   # numbers held at once


def _positive(value, slope):
    """Where a ReLU lets through: above zero, or at zero and rising."""
    return (value > 0) | (value == 0) & (slope > 0)


def _square(z, dz, cells):
    """``sq_n(z)`` and its slope (``lem-square``)."""
    place = z * cells
    left = np.floor(place)
    left = np.clip(left - ((left == place) & (dz < 0)), 0, cells - 1)
    t = place - left
    return z * z + t * (1 - t) / cells**2, (2 * left + 1) / cells


def _product(a, da, b, db, cells):
    """``mu_n(a, b)`` and its two partial derivatives (``lem-product``)."""
    r, dr = a - b, da - db
    side = np.where(_positive(r, dr) | (r == 0) & (dr == 0), 1.0, -1.0)
    p, sp = _square((a + b) / 2, (da + db) / 2, cells)
    q, sq = _square(np.abs(r) / 2, side * dr / 2, cells)
    to_a, to_b = (sp - side * sq) / 2, (sp + side * sq) / 2
    on = _positive(p - q, to_a * da + to_b * db)
    return np.maximum(p - q, 0), on * to_a, on * to_b


def _power(z, dz, degree, cells):
    """``p_degree(z)`` and its slope (``lem-power``)."""
    if degree == 1:
        return z, np.ones_like(z)
    s, ds = _square(z, dz, cells)
    if degree == 2:
        return s, ds
    if degree == 3:
        r, to_z, to_s = _product(z, dz, s, ds * dz, cells)
        return r, to_z + to_s * ds
    r, dr = _square(s, ds * dz, cells)
    return r, dr * ds


def _factors(u, du, closing, dclosing, cell, order, folds, cells):
    """The ``m`` factors alive in a cell: values (Q, m), derivatives in ``u`` and in ``closing``, and in the direction."""
    away = u[:, None] - (cell[:, None] + np.arange(order) - (order - 1) + order / 2)
    du, closing, dclosing = du[:, None], closing[:, None], dclosing[:, None]
    right, left = _positive(closing + away, dclosing + du), _positive(closing - away, dclosing - du)
    distance = np.where(right, closing + away, 0) + np.where(left, closing - away, 0)
    ddistance = right * (dclosing + du) + left * (dclosing - du)
    value, slope = np.zeros_like(away), np.zeros_like(away)
    for factor, width, scale in folds:
        on = _positive(width - distance, -ddistance)
        p, dp = _power(np.where(on, width - distance, 0) / scale, on * -ddistance / scale, order - 1, cells)
        value += factor * p
        slope -= on * factor * dp / scale
    on = _positive(value, slope * ddistance)
    slope = on * slope
    return np.maximum(value, 0), slope * (right.astype(float) - left), slope * (right.astype(float) + left), slope * ddistance


def _alive(u, du, omega, domega, coefficients, order, folds, cells, mesh):
    """What charts contribute: values (Q,) and derivatives in ``u`` and ``omega``, (Q, d + 1).

    ``coefficients(cell)`` holds those of the terms alive in cells (Q, d), shape (Q, m, .., m).
    """
    dim = u.shape[1]
    cell = np.floor(u)
    cell = np.clip(cell - ((cell == u) & (du < 0)), 0, mesh - 1)
    product = gradient = along = None   # (Q, m, .., m), one axis more, (Q, m, .., m)
    for axis in range(dim):
        closing, dclosing = (order * omega, order * domega) if axis == 0 else np.zeros((2, len(u)))
        v, to_u, to_closing, dv = _factors(u[:, axis], du[:, axis], closing, dclosing, cell[:, axis], order, folds, cells)
        if axis == 0:
            gradient = np.zeros((*v.shape, dim + 1))
            gradient[..., 0], gradient[..., dim] = to_u, order * to_closing
            product, along = v, dv
            continue
        v, to_u, dv = (t.reshape(len(u), *[1] * axis, order) for t in (v, to_u, dv))
        product, to_v, to_rest = _product(v, dv, product[..., None], along[..., None], cells)
        along = to_v * dv + to_rest * along[..., None]
        gradient = to_rest[..., None] * gradient[..., None, :]
        gradient[..., axis] += to_v * to_u
    c, axes = coefficients(cell.astype(int)), tuple(range(1, dim + 1))
    return (c * product).sum(axes), (c[..., None] * gradient).sum(axes)


def value_and_slope(evaluator, x, towards):
    """The function of a `SparseEvaluator` and the gradient on the piece that ``x + t w`` enters as ``t`` grows from 0.

    Parameters
    ----------
    evaluator : SparseEvaluator
    x : float64 array, shape (P, D)
        Points of the unit cube.
    towards : float64 array, shape (P, D)
        ``w``; where it is tangent to a kink, one of the sides.

    Returns
    -------
    values (P,), slopes (P, D) : float64 arrays
    """
    e = evaluator
    size = max(1, _CHUNK // (len(e.charts) * e.order**e.dim * (e.dim + 2)))
    parts = [_of_chunk(e, x[i:i + size], towards[i:i + size]) for i in range(0, len(x), size)]
    return tuple(np.concatenate(p) for p in zip(*parts))


def _of_chunk(e, x, w):
    scale, charts, cells = 2.0 ** doublings(e.cells), len(e.charts), 2.0**e.refinement
    channels, slopes = [x], [np.ones_like(x)]
    if e.gate is not None:
        square, slope = _square(x, w, 2.0**e.gate.refinement)
        channels, slopes = [square, x], [slope, np.ones_like(x)]
    z, dz = np.stack(channels, axis=1), np.stack(slopes, axis=1)   # (P, C, D)
    forms = e.forms
    flat = forms.reshape(len(forms), -1)
    sums, rises = z.reshape(len(x), -1) @ flat.T + e.offset, (dz * w[:, None]).reshape(len(x), -1) @ flat.T
    on = _positive(sums, rises)
    pairs, rises = (np.where(on, t, 0).reshape(len(x) * charts, -1) for t in (sums, rises))
    if e.gate is None:
        alive, omega, domega = np.arange(len(pairs)), *np.zeros((2, len(pairs)))
    else:
        alive = np.flatnonzero((pairs[:, -1] < 1) | (pairs[:, -1] == 1) & (rises[:, -1] < 0))
        omega, domega = pairs[alive, -1], rises[alive, -1]
    u, du = pairs[alive, :e.dim] * scale, rises[alive, :e.dim] * scale
    value, back = _alive(u, du, omega, domega, lambda cell: e.window(alive % charts, cell), e.order, e.folds, cells, e.cells)
    to_sums = np.zeros_like(pairs)
    to_sums[alive] = np.hstack([back[:, :e.dim] * scale, back[:, e.dim:]])[:, :pairs.shape[1]]
    gradient = (to_sums.reshape(len(x), -1) * on) @ flat
    return np.bincount(alive // charts, value, len(x)), (gradient.reshape(dz.shape) * dz).sum(1)
