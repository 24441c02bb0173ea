"""The error at single points, in balls of many digits: the lower ends of certificates
(book: ``thm-certificate``).
"""

import numpy as np
from flint import arb

from lib.convresnet import ConvResNet
from lib.formulas import evaluate
from lib.intervals import precision

# 40 levels of refinement double an error each, and quotients lose the bits of a step
BITS = 400
STEP = arb(2) ** -100  # between the points of a difference quotient


def network_value(network: ConvResNet, x: list[arb]) -> arb:
    """The exact function of the stored weights at a point.

    Parameters
    ----------
    network : lib.convresnet.ConvResNet
    x : list of arb
        ``D`` coordinates.

    Returns
    -------
    arb
        Of radius zero for dyadic coordinates, at the precision in force.
    """
    # (channel, row) -> value; what is missing is zero
    z = {(0, r): value for r, value in enumerate(x)}
    for block, counts in zip(network.numbers(), network.rows_needed()):
        y = z
        for numbers, rows in zip(block, counts[1:]):
            y = {
                key: v if v > 0 else _positive_part(v)
                for key, v in _affine(numbers, y, rows).items()
                if not v <= 0
            }
        for key, v in y.items():
            z[key] = z.get(key, arb(0)) + v
    return sum((w * z.get((c, 0), arb(0)) for c, w in enumerate(network.head.tolist())), arb(0))


def _affine(numbers, z, rows):
    """A convolution of the entries that are not zero."""
    by_channel: dict[int, list] = {}
    for (c, r), value in z.items():
        by_channel.setdefault(c, []).append((r, value))
    weight = numbers.weight.numpy()
    bias = numbers.bias.numpy()
    new = {(int(c), r): arb(float(bias[c])) for c in np.flatnonzero(bias) for r in range(rows)}
    per_group = len(weight) // numbers.groups
    o, i, k = np.nonzero(weight)
    read = i + (o // per_group) * weight.shape[1]
    for out, channel, tap, w in zip(
        o.tolist(), read.tolist(), k.tolist(), weight[o, i, k].tolist()
    ):
        for r, value in by_channel.get(channel, ()):
            if 0 <= r - tap < rows:
                new[out, r - tap] = new.get((out, r - tap), arb(0)) + value * w
    return new


def _positive_part(v):
    top = v.upper()
    return arb(top / 2, top / 2)


def attained(expression, symbols, network, domain, s, direction):
    """Lower bounds of the two errors from a point and a neighbour.

    Parameters
    ----------
    expression, symbols
        ``f``.
    network : lib.convresnet.ConvResNet
    domain
        A `lib.domains.Patch`.
    s : float array (p,)
        Parameters of the point.
    direction : float array (D,)
        Roughly the gradient of the error there.

    Returns
    -------
    value, slope : float
        ``|f - f~|`` at the point, and a difference quotient along a path of length ``2^-100`` or
        so.
    """
    with precision(BITS):
        x = domain.point(s)
        y, length = domain.neighbour(s, x, direction, STEP)

        def error(point):
            return evaluate(expression, dict(zip(symbols, point))) - network_value(network, point)

        here = error(x)
        ends = here, (error(y) - here) / length
        return tuple(
            max(float(np.nextafter(float(t.abs_lower()), 0)), 0.0) if t.is_finite() else 0.0
            for t in ends
        )
