"""Interval propagation through the layers of a module: values and slopes over boxes (book:
``lem-interval-layer``).
"""

from typing import NamedTuple

import numpy as np

from lib.certify._pairs import NO_PAIRS, Pairs, Tents, find_pairs
from lib.convresnet import ConvResNet
from lib.intervals import Balls, matmul, up

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
    pairs : lib.certify._pairs.Pairs
        Channels that are treated together.
    """

    z: Balls
    slopes: Balls | None
    noise: np.ndarray
    pairs: Pairs


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


def _windows(balls, kernel, rows, groups):
    """What each output row reads, for a grouped matrix product: balls (groups, in * kernel, rows *
    ..).
    """

    def taps(z):
        missing = rows + kernel - 1 - z.shape[1]
        if missing > 0:
            z = np.concatenate([z, np.zeros((z.shape[0], missing, *z.shape[2:]))], axis=1)
        found = np.stack([z[:, k : k + rows] for k in range(kernel)], axis=1)
        return found.reshape(groups, z.shape[0] // groups * kernel, -1)

    return Balls(taps(balls.mid), taps(balls.rad))


def _reshaped(balls, *shape):
    return Balls(balls.mid.reshape(shape), balls.rad.reshape(shape))


def _grouped(x, groups):
    """The channels of each group, balls or an array: (groups, channels of one, ..)."""
    shape = groups, x.shape[0] // groups, *x.shape[1:]
    return _reshaped(x, *shape) if isinstance(x, Balls) else x.reshape(shape)


def layer(numbers, state, rows, first=False):
    """From one layer before its ReLU to the next one before its own (``lem-interval-layer``).

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
    together = not first and kernel == 1 and len(state.pairs.gaps) == groups
    pairs = state.pairs if together else NO_PAIRS
    single = pairs.without(weight)
    y, noise = matmul(single, _windows(value, kernel, rows, groups), bias[..., None])
    dy = None if slopes is None else matmul(single, _windows(slopes, kernel, rows, groups))[0]
    if len(pairs.first):
        both, rounding, steep = _of_pairs(weight, value, state, groups)
        y = y + both
        noise = noise + rounding
        dy = None if slopes is None else dy + steep
    return State(
        _reshaped(y, out, rows, -1),
        None if slopes is None else _reshaped(dy, out, rows, *slopes.shape[2:]),
        noise.reshape(out, rows, -1),
        find_pairs(weight, bias),
    )


def _of_pairs(weight, value, state, groups):
    """What a layer makes of the pairs of the one before it (``lem-interval-layer``): balls (groups,
    out, rows P), the rounding in them, and balls (groups, out, rows V P) or None.
    """
    pairs = state.pairs
    noise = _grouped(state.noise, groups)
    # half of a noise is for whoever evaluates the layer
    off = up(noise[:, pairs.first] + noise[:, pairs.second]) / 2
    flat = _grouped(value, groups)
    tents = Tents.of(weight, _reshaped(flat, *flat.shape[:2], -1), pairs)
    found, rounding = tents.ranges(off.reshape(*off.shape[:2], -1), weight.shape[2])
    rounding = up(rounding.sum(2), len(pairs.first))
    if state.slopes is None:
        return found.sum(2), rounding, None
    slopes = _grouped(state.slopes, groups)[:, pairs.first]  # (groups, n, rows, V, P)
    factor = tents.slopes()
    steep = _reshaped(factor, *factor.shape[:3], slopes.shape[2], 1, -1) * slopes[:, None]
    total = steep.sum(2)
    return found.sum(2), rounding, _reshaped(total, *total.shape[:2], -1)


def through(chain, counts, z, slopes):
    """A chain of convolutions with ReLUs: balls (out, rows, P) and (out, rows, V, P).

    Parameters
    ----------
    chain : list of lib.convresnet.Convolution
    counts : list of int
        Rows before the chain and after each layer.
    z, slopes : Balls, shapes (in, rows, P) and (in, rows, V, P); the latter may be None.
    """
    state = State(z, slopes, np.zeros(z.shape), NO_PAIRS)
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
    size = _boxes_at_once(network, gradient)
    found = [
        _at_once(network, x[start : start + size], gradient) for start in range(0, len(x), size)
    ]
    value = _joined([v for v, _ in found])
    return value, _joined([g for _, g in found]) if gradient else None


def _boxes_at_once(network, gradient):
    """How many boxes may be propagated together."""
    widest = max(
        c.weight.shape[0] * rows
        for block, counts in zip(network.numbers(), network.rows_needed())
        for c, rows in zip(block, counts[1:])
    )
    return max(1, _NUMBERS // (widest * (1 + network.dim * gradient)))


def _at_once(network, x, gradient):
    """The sum of the blocks and the head over boxes: balls (P,) and (P, D) or None."""
    head = network.head.detach().numpy()
    z, slopes = stream(Balls(x.mid.T, x.rad.T), network.channels, gradient)
    for block, counts in zip(network.numbers(), network.rows_needed()):
        y, dy = through(block, counts, z, slopes)
        z = z[:, : counts[-1]] + y
        slopes = slopes[:, : counts[-1]] + dy if gradient else None
    value = matmul(head[None], z[:, 0])[0][0]
    if not gradient:
        return value, None
    slope = matmul(head[None], _reshaped(slopes[:, 0], len(head), -1))[0][0]
    slope = _reshaped(slope, network.dim, -1)
    return value, Balls(slope.mid.T, slope.rad.T)


def _joined(parts):
    """Balls of one shape but for the first axis, one after the other."""
    return Balls(np.concatenate([p.mid for p in parts]), np.concatenate([p.rad for p in parts]))
