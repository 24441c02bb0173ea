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
    """``p_degree(z)``, degree 1 to 7, and its slope (``lem-power``)."""
    if degree == 1:
        return z, 1.0
    r, dr = _square(z, cells)
    if degree == 2:
        return r, dr
    if degree == 3 or degree >= 6:
        r, da, db = _product(z, r, cells)
        dr = da + db * dr
        if degree == 3:
            return r, dr
    r, outer = _square(r, cells)  # 4 or 6
    dr = outer * dr
    if degree == 4 or degree == 6:
        return r, dr
    r, da, db = _product(z, r, cells)
    return r, da + db * dr


@njit(nogil=True, error_model="numpy")
def _factors(u, cell, order, folds, cells, values, slopes):
    """``N~_m(u - j)`` for the terms ``j`` alive in a cell: values and slopes in ``u``.

    ``u``, ``cell`` have shape (LANES,), the other two, which are written, (m, LANES).
    """
    for k in range(order):
        value, slope = values[k], slopes[k]
        centre = k - (order - 1) + order / 2
        value[:] = 0.0
        slope[:] = 0.0
        for r in range(len(folds)):
            factor, width, scale = folds[r]
            for p in range(LANES):
                distance = abs(u[p] - (cell[p] + centre))
                y, dy = _power(max(width - distance, 0.0) / scale, order - 1, cells)
                value[p] += factor * y
                slope[p] -= factor * dy / scale if width >= distance else 0.0
        for p in range(LANES):
            alive = slope[p] if value[p] >= 0.0 else 0.0
            value[p] = max(value[p], 0.0)
            slope[p] = alive if u[p] >= cell[p] + centre else -alive


@njit(nogil=True, error_model="numpy")
def _contract(
    v, dv, rho, localised, table, base, edge, cells, kept, da, db, handed, value, gradient
):
    """``sum_j c_j P_d`` over the terms of a cell, ``P_k = mu_n(v_k, P_{k-1})`` and ``P_1 = v_1``,
    or ``sum_j c_j mu_n(rho, P_d)`` where ``localised``; with derivatives.

    Read: the factors ``v`` (d, m, LANES) and their slopes ``dv``; ``rho`` (LANES,); ``base``
    (LANES,), where the coefficients of a cell begin in ``table``, whose axes have ``edge`` entries.
    Written: ``value`` (LANES,), ``gradient`` (d + 1, LANES), its last row in ``rho``.  The others
    are room to work in, (d, LANES): products, their two derivatives, what is handed on.
    """
    dim, order = v.shape[:2]
    last = dim - 1
    digits = np.zeros(dim, np.int64)
    weight = np.empty(LANES)
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
            factor, slope = v[last, k], dv[last, k]
            if last == 0:
                kept[0] = factor
            else:
                for p in range(LANES):
                    kept[last, p], da[last, p], db[last, p] = _product(
                        factor[p], kept[last - 1, p], cells
                    )
            for p in range(LANES):
                weight[p] = table[base[p] + place + k]
            if localised:
                for p in range(LANES):
                    y, drho, dterm = _product(rho[p], kept[last, p], cells)
                    value[p] += weight[p] * y
                    gradient[dim, p] += weight[p] * drho
                    weight[p] *= dterm
            else:
                for p in range(LANES):
                    value[p] += weight[p] * kept[last, p]
            if last == 0:
                for p in range(LANES):
                    gradient[0, p] += weight[p] * slope[p]
            else:
                for p in range(LANES):
                    gradient[last, p] += weight[p] * da[last, p] * slope[p]
                    handed[last - 1, p] += weight[p] * db[last, p]
        turned = last - 1
        while turned >= 0:
            slope = dv[turned, digits[turned]]
            if turned == 0:
                for p in range(LANES):
                    gradient[0, p] += handed[0, p] * slope[p]
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
def sum_alive(u, rho, localised, chart, tables, order, mesh, refinement, folds, values, gradients):
    """What a chart contributes at a point, for many pairs of both.

    Parameters
    ----------
    u : float64 array, shape (Q, d)
        Mesh coordinates, finite.
    rho : float64 array, shape (Q,)
        Values of the partition functions, in ``[0, 1]``.
    localised : bool
        Whether the terms are multiplied by them.
    chart : int64 array, shape (Q,)
        Which row of ``tables``.
    tables : float64 array, shape (charts, (N + m - 1)^d)
        Coefficients; zero where there is no term.
    order, mesh, refinement : int
        ``m``, ``N`` and ``n``.
    folds : float64 array, shape (F, 3)
        ``sign * a_r``, ``w_r`` and the scale of `lib.relu.fold_terms`.
    values, gradients : float64 arrays, shapes (Q,) and (Q, d + 1)
        Written: the sums, and their derivatives in ``u`` and ``rho``.
    """
    pairs, dim = u.shape
    edge, cells = mesh + order - 1, 2.0**refinement
    table = tables.reshape(-1)
    here = np.empty(LANES)
    cell = np.empty(LANES)
    share = np.empty(LANES)
    base = np.empty(LANES, np.int64)
    v = np.empty((dim, order, LANES))
    dv = np.empty((dim, order, LANES))
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
                cell[p] = min(max(np.floor(here[p]), 0.0), mesh - 1.0)
                base[p] = base[p] * edge + np.int64(cell[p])
            _factors(here, cell, order, folds, cells, v[i], dv[i])
        for p in range(LANES):
            q = start + min(p, count - 1)
            base[p] += chart[q] * tables.shape[1]
            share[p] = rho[q]
        _contract(
            v, dv, share, localised, table, base, edge, cells, kept, da, db, handed, value, gradient
        )
        for p in range(count):
            values[start + p] = value[p]
            for i in range(dim + 1):
                gradients[start + p, i] = gradient[i, p]
