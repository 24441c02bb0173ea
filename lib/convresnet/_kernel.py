"""The loop over the terms that are alive, compiled (book: ``prop-sparse``).

Points are taken `LANES` at a time, and every innermost loop runs over them without a branch, so
that it becomes vector instructions.  Around it turns an odometer over the ``m^d`` terms of a cell
whose last axis is the fastest: the products of the other factors are kept until their axes turn,
and so is the derivative of what the faster axes have added, which is handed on to the slower axis
then.
"""

import numpy as np
from numba import njit

LANES = 64


@njit(inline="always")
def _square(z, cells):
    """``sq_n(z)`` and its slope, ``cells = 2^n`` (``lem-square``): ``z^2 + t (1 - t) / 4^n``,
    ``t`` the place in the cell.
    """
    left = min(np.floor(z * cells), cells - 1.0)
    t = z * cells - left
    return z * z + t * (1.0 - t) / (cells * cells), (2.0 * left + 1.0) / cells


@njit(inline="always")
def _product(a, b, cells):
    """``mu_n(a, b)`` and its partial derivatives (``lem-product``)."""
    p, dp = _square(0.5 * (a + b), cells)
    q, dq = _square(0.5 * abs(a - b), cells)
    dq = dq if a >= b else -dq
    half = 0.5 if p >= q else 0.0
    return max(p - q, 0.0), half * (dp - dq), half * (dp + dq)


@njit(inline="always")
def _power(z, degree, cells):
    """``p_degree(z)``, degree 1 to 4, and its slope (``lem-power``)."""
    if degree == 1:
        return z, 1.0
    s, ds = _square(z, cells)
    if degree == 2:
        return s, ds
    if degree == 3:
        r, da, db = _product(z, s, cells)
        return r, da + db * ds
    r, dr = _square(s, cells)
    return r, dr * ds


@njit(nogil=True, error_model="numpy")
def _factors(u, cell, closing, order, folds, cells, values, slopes, closes):
    """``N~_m(u - j)`` for the terms ``j`` alive in a cell: values, slopes in ``u`` and in
    ``closing``.

    ``u``, ``cell``, ``closing`` have shape (LANES,), the other three, which are written, (m,
    LANES). ``closing`` is added to the distance from the centre of a B-spline (``lem-gate``).
    """
    for k in range(order):
        value, slope, close = values[k], slopes[k], closes[k]
        centre = k - (order - 1) + order / 2
        value[:] = 0.0
        slope[:] = 0.0
        for r in range(len(folds)):
            factor, width, scale = folds[r]
            for p in range(LANES):
                difference = u[p] - (cell[p] + centre)
                distance = max(closing[p] + difference, 0.0) + max(closing[p] - difference, 0.0)
                y, dy = _power(max(width - distance, 0.0) / scale, order - 1, cells)
                value[p] += factor * y
                slope[p] -= factor * dy / scale if width >= distance else 0.0
        for p in range(LANES):
            difference = u[p] - (cell[p] + centre)
            alive = slope[p] if value[p] >= 0.0 else 0.0
            right = alive if closing[p] + difference >= 0.0 else 0.0
            left = alive if closing[p] - difference > 0.0 else 0.0
            value[p] = max(value[p], 0.0)
            slope[p] = right - left
            close[p] = right + left


@njit(nogil=True, error_model="numpy")
def _contract(v, dv, table, base, edge, cells, kept, da, db, handed, value, gradient):
    """``sum_j c_j mu_n(v_d, .. mu_n(v_2, v_1))`` over the terms of a cell, with derivatives.

    Read: the factors ``v`` (d, m, LANES) and their slopes ``dv`` (d + 1, m, LANES), the last row
    that of the first factor in ``closing``; ``base`` (LANES,), where the coefficients of a cell
    begin in ``table``, whose axes have ``edge`` entries.  Written: ``value`` (LANES,), ``gradient``
    (d + 1, LANES). The others are room to work in, (d, LANES): products, their two derivatives,
    what is handed on.
    """
    dim, order = v.shape[:2]
    last = dim - 1
    digits = np.zeros(dim, np.int64)
    coefficient = np.empty(LANES)
    value[:] = 0.0
    gradient[:] = 0.0
    handed[:] = 0.0
    turned = 0  # the slowest axis that has moved
    while turned >= 0:
        place = 0
        for i in range(last):
            place = (place + digits[i]) * edge
            factor = v[i, digits[i]]
            if i == 0:
                kept[0] = factor
            elif i >= turned:
                for p in range(LANES):
                    kept[i, p], da[i, p], db[i, p] = _product(factor[p], kept[i - 1, p], cells)
        for k in range(order):
            factor, slope, close = v[last, k], dv[last, k], dv[dim, k]
            for p in range(LANES):
                coefficient[p] = table[base[p] + place + k]
            if last == 0:
                for p in range(LANES):
                    value[p] += coefficient[p] * factor[p]
                    gradient[0, p] += coefficient[p] * slope[p]
                    gradient[1, p] += coefficient[p] * close[p]
            else:
                for p in range(LANES):
                    y, dfactor, dkept = _product(factor[p], kept[last - 1, p], cells)
                    value[p] += coefficient[p] * y
                    gradient[last, p] += coefficient[p] * dfactor * slope[p]
                    handed[last - 1, p] += coefficient[p] * dkept
        turned = last - 1
        while turned >= 0:
            slope, close = dv[turned, digits[turned]], dv[dim, digits[turned]]
            if turned == 0:
                for p in range(LANES):
                    gradient[0, p] += handed[0, p] * slope[p]
                    gradient[dim, p] += handed[0, p] * close[p]
            else:
                for p in range(LANES):
                    gradient[turned, p] += handed[turned, p] * da[turned, p] * slope[p]
                    handed[turned - 1, p] += handed[turned, p] * db[turned, p]
            handed[turned] = 0.0
            digits[turned] += 1
            if digits[turned] < order:
                break
            digits[turned] = 0
            turned -= 1


@njit(nogil=True, cache=True, error_model="numpy")
def sum_alive(u, omega, chart, tables, order, mesh, refinement, folds, values, gradients):
    """What a chart contributes at a point, for many pairs of both.

    Parameters
    ----------
    u : float64 array, shape (Q, d)
        Mesh coordinates, finite.
    omega : float64 array, shape (Q,)
        How far the gate is closed, in ``[0, 1)``; zero where there is none.
    chart : int64 array, shape (Q,)
        Which row of ``tables``.
    tables : float64 array, shape (charts, (N + m - 1)^d)
        Coefficients; zero where there is no term.
    order, mesh, refinement : int
        ``m``, ``N`` and ``n``.
    folds : float64 array, shape (F, 3)
        ``sign * a_r``, ``w_r`` and the scale of `lib.relu.fold_terms`.
    values, gradients : float64 arrays, shapes (Q,) and (Q, d + 1)
        Written: the sums, and their derivatives in ``u`` and ``omega``.
    """
    pairs, dim = u.shape
    edge, cells = mesh + order - 1, 2.0**refinement
    table = tables.reshape(-1)
    here = np.empty(LANES)
    cell = np.empty(LANES)
    closing = np.empty(LANES)
    base = np.empty(LANES, np.int64)
    v = np.empty((dim, order, LANES))
    dv = np.empty((dim + 1, order, LANES))
    unused = np.empty((order, LANES))
    kept = np.empty((dim, LANES))
    da = np.empty((dim, LANES))
    db = np.empty((dim, LANES))
    handed = np.empty((dim, LANES))
    value, gradient = np.empty(LANES), np.empty((dim + 1, LANES))
    for start in range(0, pairs, LANES):
        count = min(LANES, pairs - start)
        base[:] = 0
        for i in range(dim):
            for p in range(LANES):
                q = start + min(p, count - 1)  # the last batch repeats its last point
                here[p] = u[q, i]
                closing[p] = order * omega[q] if i == 0 else 0.0
                cell[p] = min(max(np.floor(here[p]), 0.0), mesh - 1.0)
                base[p] = base[p] * edge + np.int64(cell[p])
            _factors(
                here, cell, closing, order, folds, cells, v[i], dv[i], dv[dim] if i == 0 else unused
            )
        for p in range(LANES):
            base[p] += chart[start + min(p, count - 1)] * tables.shape[1]
        _contract(v, dv, table, base, edge, cells, kept, da, db, handed, value, gradient)
        for p in range(count):
            values[start + p] = value[p]
            for i in range(dim):
                gradients[start + p, i] = gradient[i, p]
            gradients[start + p, dim] = order * gradient[dim, p]
