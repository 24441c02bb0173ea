"""Interval propagation through the layers of a module: values and slopes over boxes (book:
``lem-interval-layer``).
"""

from typing import NamedTuple

import numpy as np

from lib.convresnet import ConvResNet
from lib.intervals import UNIT, Balls, matmul, up

_NUMBERS = 1 << 21  # activations held at once


class State(NamedTuple):
    """A layer before its ReLU.

    Attributes
    ----------
    z : Balls, shape (channels, rows, P)
    slopes : Balls, shape (channels, rows, V, P), or None
        Derivatives in ``V`` variables.
    noise : float array, shape (channels, rows, P)
        The part of ``z.rad`` that is rounding.
    pairs : int array, shape (n, 2)
        Channels of a group that are the same linear form but for the bias: ``t`` and ``t - d``.
    gaps : float array, shape (groups, n, 1)
        Their ``d > 0``.
    """

    z: Balls
    slopes: Balls | None
    noise: np.ndarray
    pairs: np.ndarray
    gaps: np.ndarray


_NO_PAIRS = np.zeros((0, 2), int)


def _positive_part(z):
    low, high = z.lower, z.upper
    on = low > 0
    hull = Balls.between(np.maximum(low, 0), np.maximum(high, 0))
    return Balls(np.where(on, z.mid, hull.mid), np.where(on, z.rad, hull.rad))


def _gated(z, slopes):
    """Slopes after the ReLU: kept where ``z`` is positive, joined with zero where it may change
    sign.
    """
    on, off = (z.lower > 0)[:, :, None], (z.upper <= 0)[:, :, None]
    hull = Balls.between(np.minimum(slopes.lower, 0), np.maximum(slopes.upper, 0))
    return Balls(
        np.where(on, slopes.mid, np.where(off, 0, hull.mid)),
        np.where(on, slopes.rad, np.where(off, 0, hull.rad)),
    )


def _pairs(weight, bias):
    """Pairs of rows that agree in every group, the one with the larger bias first, and the gaps
    (groups, n, 1).
    """
    free = list(range(weight.shape[1]))
    found = []
    gaps = []
    while free:
        i = free.pop(0)
        for j in free:
            gap = bias[:, i] - bias[:, j]
            if (
                np.array_equal(weight[:, i], weight[:, j])
                and weight[:, i].any()
                and ((gap > 0).all() or (gap < 0).all())
            ):
                found.append((i, j) if gap[0] > 0 else (j, i))
                gaps.append(np.abs(gap))
                free.remove(j)
                break
    return np.array(found, int).reshape(-1, 2), np.array(gaps).reshape(len(found), len(weight)).T[
        ..., None
    ]


def _windows(z, kernel, rows, groups):
    """What each output row reads, for a grouped matrix product: (groups, in * kernel, rows *
    ..).
    """
    missing = rows + kernel - 1 - z.shape[1]
    if missing > 0:
        z = np.concatenate([z, np.zeros((z.shape[0], missing, *z.shape[2:]))], axis=1)
    taps = np.stack([z[:, k : k + rows] for k in range(kernel)], axis=1)  # (in, kernel, rows, ..)
    return taps.reshape(groups, z.shape[0] // groups * kernel, -1)


def _reshaped(balls, *shape):
    return Balls(balls.mid.reshape(shape), balls.rad.reshape(shape))


def layer(numbers, state, rows, first=False):
    """From one layer before its ReLU to the next one before its own.

    Two channels ``sigma(t)`` and ``sigma(t - d)`` of the same form are treated together: what the
    next layer makes of them is a piecewise linear function of ``t`` alone, whose range and slopes
    over an interval are exact.  So a tent doubles a slope and does not multiply it by six.

    Parameters
    ----------
    numbers : lib.convresnet.Convolution
    state : State
    rows : int
        How many leading rows of the result are wanted.
    first : bool
        The input of a block, which has no ReLU in front of it.

    Returns
    -------
    State
    """
    groups = numbers.groups
    out, width, kernel = numbers.weight.shape
    weight = numbers.weight.numpy().reshape(groups, out // groups, width * kernel)
    bias = numbers.bias.numpy().reshape(groups, -1)
    value = state.z if first else _positive_part(state.z)
    slopes = state.slopes if first or state.slopes is None else _gated(state.z, state.slopes)
    pairs = state.pairs if not first and kernel == 1 and len(state.gaps) == groups else _NO_PAIRS
    single = weight
    if len(pairs):
        single = weight.copy()
        single[:, :, pairs.ravel()] = 0

    def windows(balls):
        return Balls(
            _windows(balls.mid, kernel, rows, groups), _windows(balls.rad, kernel, rows, groups)
        )

    y, noise = matmul(single, windows(value), bias[..., None])
    dy = None if slopes is None else matmul(single, windows(slopes))[0]
    if len(pairs):
        both, steep, extra = _of_pairs(weight, value, state, pairs, groups)
        y, noise = y + both, noise + extra
        if dy is not None:
            dy = dy + steep
    y, noise = _reshaped(y, out, rows, -1), noise.reshape(out, rows, -1)
    dy = None if dy is None else _reshaped(dy, out, rows, *state.slopes.shape[2:])
    return State(y, dy, noise, *_pairs(weight, bias))


def _of_pairs(weight, value, state, pairs, groups):
    """What the next layer makes of pairs: balls (groups, out, rows P), slopes (groups, out, rows
    V P), rounding.
    """

    def column(balls, k):
        parts = [
            p.reshape(groups, len(balls) // groups, -1)[:, pairs[:, k]]
            for p in (balls.mid, balls.rad)
        ]
        return Balls(*parts)

    a = column(value, 0)
    low, high = np.maximum(a.lower, 0)[:, None], a.upper[:, None]  # (groups, 1, n, rows P)
    v = weight[:, :, pairs[:, 0], None]
    w = weight[:, :, pairs[:, 1], None]  # (groups, out, n, 1)
    gap = state.gaps[:, None]
    ends = [v * t + w * np.maximum(t - gap, 0) for t in (low, high, np.clip(gap, low, high))]
    # where it may be positive
    second = state.noise.reshape(groups, len(state.noise) // groups, -1)[:, pairs[:, 1]][:, None]
    both = high + second > gap
    noise = (
        np.abs(w) * both * (second + 8 * UNIT * (high + gap))
        + 8 * UNIT * (np.abs(v) + np.abs(w)) * high
    )
    found = Balls.between(np.minimum.reduce(ends), np.maximum.reduce(ends))
    found = Balls(found.mid, up(found.rad + noise))
    extra = up(noise.sum(2), len(pairs))
    if state.slopes is None:
        return found.sum(2), None, extra
    near, far = gap * (1 - 2 * UNIT), gap * (1 + 2 * UNIT)  # a difference of two biases, rounded
    options = [
        (np.where(low <= 0, 0.0, np.nan), 0 * v),
        (np.where((low < far) & (high > 0), 1.0, np.nan), v),
        (np.where(high > near, 1.0, np.nan), v + w),
    ]
    factors = np.stack(
        [here * factor if k else here + 0 * factor for k, (here, factor) in enumerate(options)]
    )
    least = np.fmin.reduce(factors)
    most = np.fmax.reduce(factors)
    slack = 2 * UNIT * (np.abs(v) + np.abs(w))
    variables = state.slopes.shape[2]
    rows = state.slopes.shape[1]

    def spread(factor):  # (groups, out, n, rows P) to (groups, out, n, rows V P)
        shape = factor.shape[:3] + (rows, 1, factor.shape[3] // rows)
        return np.broadcast_to(factor.reshape(shape), shape[:4] + (variables, shape[5])).reshape(
            *factor.shape[:3], -1
        )

    t = column(state.slopes, 0)
    steep = Balls.between(spread(least - slack), spread(most + slack)) * Balls(
        t.mid[:, None], t.rad[:, None]
    )
    return found.sum(2), steep.sum(2), extra


def through(chain, counts, z, slopes):
    """A chain of convolutions with ReLUs: balls (out, rows, P) and (out, rows, V, P).

    Parameters
    ----------
    chain : list of lib.convresnet.Convolution
    counts : list of int
        Rows before the chain and after each layer.
    z, slopes : Balls, shapes (in, rows, P) and (in, rows, V, P); the latter may be None.
    """
    state = State(z, slopes, np.zeros(z.shape), _NO_PAIRS, np.zeros((0, 0, 1)))
    for k, numbers in enumerate(chain):
        state = layer(numbers, state, counts[k + 1], first=k == 0)
    return _positive_part(state.z), None if slopes is None else _gated(state.z, state.slopes)


def stream(x, channels, gradient=True):
    """The input of the first block: ``x`` (D, P) in channel 0, and the slopes of each
    coordinate.
    """
    dim, points = x.shape
    mid, rad = np.zeros((2, channels, dim, points))
    mid[0], rad[0] = x.mid, x.rad
    slopes = None
    if gradient:
        first = np.zeros((channels, dim, dim, points))
        first[0] = np.eye(dim)[..., None]
        slopes = Balls(first)
    return Balls(mid, rad), slopes


def propagate(network: ConvResNet, x: Balls, gradient: bool = True) -> tuple[Balls, Balls | None]:
    """The module over boxes, layer by layer.

    Parameters
    ----------
    network : lib.convresnet.ConvResNet
    x : Balls, shape (P, D)
        Boxes: every coordinate within ``rad`` of ``mid``.
    gradient : bool

    Returns
    -------
    values : Balls, shape (P,)
        Hold the exact values and whatever float64 makes of floats in the box, in any order of
        summation.
    gradients : Balls, shape (P, D), or None
        Hold every slope of a linear piece that meets the box.
    """
    blocks = network.numbers()
    head = network.head.detach().numpy()
    plan = network.rows_needed()
    widest = max(
        c.weight.shape[0] * rows
        for block, counts in zip(blocks, plan)
        for c, rows in zip(block, counts[1:])
    )
    size = max(1, _NUMBERS // (widest * (1 + network.dim * gradient)))
    values, gradients = [], []
    for start in range(0, len(x), size):
        part = x[start : start + size]
        z, slopes = stream(Balls(part.mid.T, part.rad.T), network.channels, gradient)
        for block, counts in zip(blocks, plan):
            y, dy = through(block, counts, z, slopes)
            z = z[:, : counts[-1]] + y
            slopes = slopes[:, : counts[-1]] + dy if gradient else None
        values.append(matmul(head[None], z[:, 0])[0][0])
        if gradient:
            last = _reshaped(slopes[:, 0], len(head), -1)
            gradients.append(_reshaped(matmul(head[None], last)[0][0], network.dim, -1))
    value = Balls(*(np.concatenate(p) for p in zip(*((v.mid, v.rad) for v in values))))
    if not gradient:
        return value, None
    return value, Balls(
        *(np.concatenate(p, axis=1).T for p in zip(*((g.mid, g.rad) for g in gradients)))
    )
