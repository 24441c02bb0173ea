"""Enclosed expansions of inverse charts: what level sets and curves have in common (book:
``lem-chart``, ``lem-taylor``).

Centres and frames are taken for the numbers they are: a frame ``V`` is orthonormal only up to
rounding, so the points with ``V^T (x - c) = t`` are ``c + P t + W z`` with ``V^T P = 1`` and ``V^T
W = 0``, of which balls are found.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from operator import add, mul
from typing import Any

import numpy as np

from lib.intervals import Balls, Taylor, exponents, up

MARGIN = 1e-9  # relatively, within the domain of a chart: what rounding of centres and frames needs
_NARROW = 2.0**-30  # boxes of a radius below this, in units of the reach, count as points
_BATCH = 2048  # boxes at once


@dataclass(frozen=True)
class Charts:
    """One chart for each of ``P`` boxes.

    Attributes
    ----------
    centre : float64 array, shape (D, P)
    tangent, normal : Balls, shapes (D, d, P) and (D, D - d, P)
        ``P = V (V^T V)^-1`` and ``W``.
    """

    centre: np.ndarray
    tangent: Balls
    normal: Balls

    def __getitem__(self, part: Any) -> "Charts":
        return Charts(self.centre[..., part], self.tangent[..., part], self.normal[..., part])

    def place(self, t: Balls, z: Balls) -> Balls:
        """The points ``c + P t + W z``: balls (d, P) and (D - d, P) to (D, P)."""
        return Balls(self.centre) + product(self.tangent, t) + product(self.normal, z)


def rows(b: Balls) -> list[Balls]:
    """Along the first axis."""
    return [b[i] for i in range(len(b))]


def stack(parts: list[Balls]) -> Balls:
    """Balls of one shape along a new first axis."""
    return Balls(np.stack([p.mid for p in parts]), np.stack([p.rad for p in parts]))


def joined(a: Balls, b: Balls, axis: int = 0) -> Balls:
    """Balls along an axis."""
    return Balls(np.concatenate([a.mid, b.mid], axis), np.concatenate([a.rad, b.rad], axis))


def total(parts: list) -> Any:
    """A sum from left to right, the same for every number of boxes."""
    return reduce(add, parts)


def product(a: Any, b: Balls) -> Balls:
    """``sum_j a_ij b_j..`` for balls or an array (m, n, P) and balls (n, .., P): (m, .., P)."""
    extra = (None,) * (b.mid.ndim - 2)
    return total([a[:, j][(slice(None), *extra)] * b[j][None] for j in range(a.shape[1])])


def each_chart(centres: Any, frames: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The distinct charts, as centres (A, D) and frames (A, D, d), and which box has which (P,)."""
    both = np.concatenate(
        [centres, frames.reshape(len(frames), frames.shape[1] * frames.shape[2])], axis=1
    )
    first, place = np.unique(both, axis=0, return_index=True, return_inverse=True)[1:]
    return centres[first], frames[first], place.reshape(-1)


def stretch(frames: Any) -> Any:
    """``mu`` of frames (A, D, d) that are ``mu`` times orthonormal ones up to rounding, a float:
    the mean length of their columns; (A,).
    """
    return np.sqrt((frames**2).sum(-2).mean(-1))


def charts_of(centres: Any, frames: Any) -> Charts:
    """`Charts` of float64 arrays (P, D) and (P, D, d).

    With ``mu`` the `stretch` of ``V`` and ``V^T V = mu^2 (1 + E)``, ``|E| <= e``: ``(1 + E)^-1 = 1
    - E + R``, ``|R| <= e^2 / (1 - e)``; and ``W = W_0 - P V^T W_0`` for a basis ``W_0`` of the
    complement, orthonormal up to rounding.
    """
    centres, frames, place = each_chart(centres, frames)
    dim = frames.shape[2]
    complement = np.linalg.qr(frames, mode="complete")[0][:, :, dim:]
    v, w = (np.moveaxis(m, 0, -1) for m in (frames, complement))
    shrink = reciprocal(Balls(stretch(frames)).square())
    gram = product(Balls(np.swapaxes(v, 0, 1)), Balls(v)) * shrink
    off = gram - np.eye(dim)[:, :, None]
    e = up(off.size.sum(1).max(0), dim)
    with np.errstate(divide="ignore", invalid="ignore"):
        rest = np.where(e < 0.5, up(up(e**2) / (1 - e)), np.inf)
    inverse = np.eye(dim)[:, :, None] - off + Balls(np.zeros(off.shape), rest)
    tangent = product(Balls(v), inverse * shrink)
    normal = Balls(w) - product(tangent, product(Balls(np.swapaxes(v, 0, 1)), Balls(w)))
    return Charts(centres.T, tangent, normal)[place]


def intersection(a: Balls, b: Balls) -> Balls:
    """What is in both; at least as small as ``a``."""
    found = Balls.between(np.maximum(a.lower, b.lower), np.minimum(a.upper, b.upper))
    better = found.rad < a.rad
    return Balls(np.where(better, found.mid, a.mid), np.where(better, found.rad, a.rad))


def sharpened(over: Balls, at: Balls, half: Any, dim: int, order: int) -> Balls:
    """Coefficients over boxes from those at their middles, by the mean-value form, from the highest
    degree down.

    ``x_nu(t) = x_nu(m) + sum_k (t - m)_k (nu_k + 1) x_{nu + e_k}(xi)``.

    Parameters
    ----------
    over, at : Balls, shape (D, n, P)
        Coefficients in powers of ``t`` minus the point of expansion.
    half : float64 array, shape (d, P)
        Half the widths of the boxes.
    """
    powers = exponents(dim, order)
    place = {tuple(nu): i for i, nu in enumerate(powers)}
    mid, rad = over.mid.copy(), over.rad.copy()
    for i in range(int((powers.sum(1) < order).sum()) - 1, -1, -1):
        change = np.zeros_like(mid[:, i])
        with np.errstate(over="ignore", invalid="ignore"):
            for k, step in enumerate(np.eye(dim, dtype=int)):
                row = place[tuple(powers[i] + step)]
                size = Balls(mid[:, row], rad[:, row]).size
                change = change + np.where(size > 0, (powers[i][k] + 1) * half[k] * size, 0.0)
            mean = Balls(at.mid[:, i], up(at.rad[:, i] + up(change)))
        better = intersection(Balls(mid[:, i], rad[:, i]), mean)
        mid[:, i], rad[:, i] = better.mid, better.rad
    return Balls(mid, rad)


def substituted(x: Balls, t: list[Taylor]) -> list[Taylor]:
    """``sum_nu x_nu (t - t_0)^nu`` with ``t_0`` the constants of ``t``: coefficients (D, n, P) to
    ``D`` expansions.
    """
    first = t[0]
    powers = exponents(len(t), first.order)
    moves = [u - u.coefficients[0] for u in t]
    for u in moves:
        u.coefficients.rad[0] = 0.0
    if first.order == 0:
        return [Taylor(c, first.dim, 0) for c in rows(x)]
    if first.dim == len(t) and all(_is_along(u, k) for k, u in enumerate(moves)):
        slopes = [u.coefficients[1 + k] for k, u in enumerate(moves)]
        factor = stack([_power(slopes, nu, Balls(np.ones(len(slopes[0])))) for nu in powers])
        return [Taylor(c * factor, first.dim, first.order) for c in rows(x)]
    place = {tuple(nu): i for i, nu in enumerate(powers)}
    known: list[Taylor] = []
    for nu in powers[1:]:
        k = int(np.flatnonzero(nu)[0])
        before = place[tuple(nu - np.eye(len(t), dtype=int)[k])]
        known.append(known[before - 1] * moves[k] if before else moves[k])
    return [total([u * c for u, c in zip(known, rows(row[1:]))]) + row[0] for row in rows(x)]


def _is_along(u, axis):
    """Whether an expansion without a constant is linear, in the variable of this number."""
    rest = np.arange(len(u.coefficients)) != 1 + axis
    return not (u.coefficients.mid[rest].any() or u.coefficients.rad[rest].any())


def _power(numbers, nu, one):
    return reduce(mul, [a for a, n in zip(numbers, nu) for _ in range(n)], one)


def reciprocal(b: Balls) -> Balls:
    """``1 / b``; unknown where ``b`` may be zero."""
    low, high = b.lower, b.upper
    with np.errstate(divide="ignore", invalid="ignore"):
        ends = np.nextafter(1 / high, -np.inf), np.nextafter(1 / low, np.inf)
    apart = (low > 0) | (high < 0)
    return Balls.between(np.where(apart, ends[0], -np.inf), np.where(apart, ends[1], np.inf))


def in_chart(x: Balls, centre: Any, reach: float) -> Any:
    """Whether ``|x - c| < sqrt(2) tau``, with a margin. If ``|t| < tau``, too, there is by
    ``lem-chart`` no other point of the manifold with these coordinates.

    The lemma is about an exact tangent space at an exact point. Two points of the manifold with the
    same ``t`` differ by a vector on which ``V`` vanishes, and an exact frame at a point next to
    ``c`` stretches it by at least ``sqrt(1 - t^2 / tau^2)``: more than the ``MARGIN`` leaves to a
    frame and a centre that are off by 1e-8.

    Parameters
    ----------
    x : Balls, shape (D, P)
    centre : float64 array, shape (D, P)
    """
    return total(rows((x - centre).square())).upper < 2 * reach**2 * (1 - MARGIN)


def expansion(
    solver: Callable,
    centres: Any,
    frames: Any,
    t: list[Taylor],
    reach: float,
    holds: Callable = lambda x: True,
) -> list[Taylor]:
    """Expansions of the points with coordinates ``t``, in batches of boxes.

    Parameters
    ----------
    solver : callable
        ``solver(part)`` is, for the boxes with these numbers, a function of balls ``T`` (d, P), an
        order, and ``None`` or coefficients found before. It returns coefficients (D, n, P), for all
        ``t`` in ``T``, of the expansion around ``t``, and whether they are proved; after the ``D``
        rows of ``x`` may come those of other functions of ``t``. Indexed, it is one of some of the
        boxes.
    centres, frames : float64 arrays, shapes (P, D) and (P, D, d)
    t : list of Taylor
    reach : float
    holds : callable
        Whether zeros (D, P) of the equations are points of the manifold.
    """
    dim, order = len(t), t[0].order
    start = stack([u.coefficients[0] for u in t])
    far = (reach * stretch(frames)) ** 2 * (1 - MARGIN)  # of V^T (x - c), squared
    count, ambient = centres.shape
    mid = np.zeros((ambient, len(exponents(dim, order)), count))
    rad = np.full(mid.shape, np.inf)
    for i in range(0, count, _BATCH):
        part = np.arange(i, min(i + _BATCH, count))
        # outside charts nothing is looked for
        part = part[total(rows(start[:, part].square())).upper < far[part]]
        if not len(part):
            continue
        box = start[:, part]
        wide = (box.rad > _NARROW * reach).any(0)
        solve = solver(part)
        at, good = solve(Balls(box.mid, np.where(wide, 0.0, box.rad)), order, None)
        x = at[:ambient]
        good = good & in_chart(x[:, 0], centres[part].T, reach) & holds(x[:, 0])
        mid[..., part[good]], rad[..., part[good]] = x.mid[..., good], x.rad[..., good]
        wide &= good
        part, at, box = part[wide], at[..., wide], box[:, wide]
        rad[..., part] = np.inf
        if len(part):
            found, good = _over(solve[wide], at, box, order, centres[part].T, reach)
            x = found[:ambient]
            mid[..., part[good]], rad[..., part[good]] = x.mid[..., good], x.rad[..., good]
    found = substituted(Balls(mid, rad), t)
    unknown = ~np.isfinite(rad[:, 0]).all(0)
    for u in found:
        u.coefficients.rad[:, unknown] = np.inf  # also those of zero times something
    return found


def _over(solve, at, box, order, centre, reach):
    """Over boxes that are more than points: sharpened by what is known of the middles, and once
    more by what the sharper coefficients of lower degree make of the higher.
    """
    found, good = solve(box, order, None)
    # so that it is what was found at the middle
    good = good & in_chart(found[: len(centre), 0], centre, reach)
    found = sharpened(found, at, box.rad, len(box), order)
    once, again = solve(box, order, found)
    if once is not found:
        once = sharpened(once, at, box.rad, len(box), order)
    return once, good & again
