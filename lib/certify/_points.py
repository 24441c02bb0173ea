"""Value and slope of a module at a single point, in balls of many digits: the lower ends of certificates."""

import numpy as np
from flint import arb

from lib.certify._balls import precision

BITS = 400   # 40 levels of refinement double an error each; coordinates of a curve are not dyadic


def _sparse(numbers):
    """The non-zero weights of a grouped convolution: lists (output, input, tap, weight)."""
    weight = numbers.weight.numpy()
    out, width, _ = weight.shape
    rows = out // numbers.groups
    o, i, k = np.nonzero(weight)
    return o, i + (o // rows) * width, k, weight[o, i, k]


def value_and_gradient(network, x):
    """The exact function of the stored weights at a point.

    Parameters
    ----------
    network : lib.convresnet.ConvResNet
    x : list of arb
        ``D`` coordinates.

    Returns
    -------
    value : arb
    gradient : list of arb
        Wider than usual where a ReLU may be at its kink: then it holds the slopes of both sides.
    """
    with precision(BITS):
        return _run(network, x)


def _run(network, x):
    z = [{(0, r): value for r, value in enumerate(x)}]   # (channel, row) -> value, zeros left out
    tapes = []
    for block, counts in zip(network.numbers(), network.rows_needed()):
        y, tape = z[-1], []
        for numbers, rows in zip(block, counts[1:]):
            new = {}
            by_input = {}
            for (c, r), value in y.items():
                by_input.setdefault(c, []).append((r, value))
            bias = numbers.bias.numpy()
            for c in np.flatnonzero(bias):
                for r in range(rows):
                    new[int(c), r] = arb(float(bias[c]))
            for o, i, k, w in zip(*(part.tolist() for part in _sparse(numbers))):
                for r, value in by_input.get(i, ()):
                    if 0 <= r - k < rows:
                        new[o, r - k] = new.get((o, r - k), arb(0)) + value * w
            gates = {key: arb(1) if v > 0 else arb(0.5, 0.5) for key, v in new.items() if not v <= 0}
            y = {key: new[key] if new[key] > 0 else _positive_part(new[key]) for key in gates}
            tape.append((numbers, gates))
        total = dict(z[-1])
        for key, v in y.items():
            total[key] = total.get(key, arb(0)) + v
        z.append(total)
        tapes.append(tape)
    head = network.head.detach().tolist()
    value = sum((w * z[-1].get((c, 0), arb(0)) for c, w in enumerate(head)), arb(0))
    back = {(c, 0): arb(w) for c, w in enumerate(head) if w}
    for tape in reversed(tapes):
        through = back
        for numbers, gates in reversed(tape):
            gated = {key: v * gates[key] for key, v in through.items() if key in gates}
            by_output = {}
            for (c, r), v in gated.items():
                by_output.setdefault(c, []).append((r, v))
            through = {}
            for o, i, k, w in zip(*(part.tolist() for part in _sparse(numbers))):
                for r, v in by_output.get(o, ()):
                    if r + k < network.dim:
                        through[i, r + k] = through.get((i, r + k), arb(0)) + v * w
        joined = dict(back)
        for key, v in through.items():
            joined[key] = joined.get(key, arb(0)) + v
        back = joined
    return value, [back.get((0, r), arb(0)) for r in range(network.dim)]


def _positive_part(v):
    top = v.upper()
    return arb(top / 2, top / 2)
