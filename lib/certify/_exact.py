"""Exact piecewise linear functions of one variable: what a list of layers computes, in rational numbers."""

from fractions import Fraction as F
from math import comb

_HALVINGS = 40   # of an interval on which a sign is to be decided


def run(layers, low, high, inputs=None):
    """The network of a list of layers on an interval, exactly.

    Parameters
    ----------
    layers : list of lib.relu.layers.Layer
        Their float64 weights are taken as the rational numbers they are.
    low, high : Fraction
    inputs : list of pairs of Fraction, optional
        ``(a, b)`` for the input channel ``a + b t``; by default one channel, ``t``.

    Returns
    -------
    t : list of Fraction
        Ascending; between two of them every channel is affine.
    channels : list of lists of Fraction
        The values at ``t`` of each channel of the last layer.
    """
    t = [F(low), F(high)]
    channels = [[a + b * s for s in t] for a, b in inputs or [(F(0), F(1))]]
    for layer in layers:
        t, channels = _relu(t, _affine(layer, channels))
    return t, channels


def before_relu(layer, channels):
    """The arguments of a layer's ReLUs at the same points."""
    return _affine(layer, channels)


def _affine(layer, channels):
    groups, out, width = layer.weight.shape
    weight, bias = layer.weight.tolist(), layer.bias.tolist()
    result = []
    for g in range(groups):
        for o in range(out):
            terms = [(F(w), channels[g * width + i]) for i, w in enumerate(weight[g][o]) if w]
            shift = F(bias[g][o])
            result.append([sum((w * c[p] for w, c in terms), shift) for p in range(len(channels[0]))])
    return result


def _relu(t, channels):
    """ReLU of every channel; where one changes its sign all get a breakpoint."""
    cuts = []   # for each interval the places, as fractions of it
    for p in range(len(t) - 1):
        here = {c[p] / (c[p] - c[p + 1]) for c in channels if c[p] * c[p + 1] < 0}
        cuts.append(sorted(here))

    def filled(values):
        result = [values[0]]
        for p, places in enumerate(cuts):
            step = values[p + 1] - values[p]
            result += [values[p] + s * step for s in places] + [values[p + 1]]
        return result

    return filled(t), [[max(v, F(0)) for v in filled(c)] for c in channels]


def shifted(polynomial, start, width):
    """Coefficients of ``q(s) = p(start + width s)``, from the constant on."""
    return [sum((c * comb(e, k) * start ** (e - k) for e, c in enumerate(polynomial) if e >= k), F(0)) * width**k
            for k in range(len(polynomial))]


def nonnegative(polynomial):
    """Whether a polynomial (rational coefficients, from the constant on) is nowhere negative on [0, 1].

    By its Bernstein coefficients and, where they do not decide, those of the two halves.
    """
    degree = len(polynomial) - 1
    bernstein = [sum((polynomial[k] * F(comb(i, k), comb(degree, k)) for k in range(i + 1)), F(0)) for i in range(degree + 1)]
    todo = [(bernstein, 0)]
    while todo:
        b, depth = todo.pop()
        if min(b) >= 0:
            continue
        if b[0] < 0 or b[-1] < 0 or depth == _HALVINGS:   # negative at an end; undecided counts as no
            return False
        left, right, row = [], [], b
        while row:   # de Casteljau at the middle
            left.append(row[0])
            right.append(row[-1])
            row = [(p + q) / 2 for p, q in zip(row, row[1:])]
        todo += [(left, depth + 1), (right[::-1], depth + 1)]
    return True


def violations(t, values, polynomial, value, slope, below=None):
    """On how many pieces a piecewise linear function misses a polynomial by more than allowed.

    Parameters
    ----------
    t, values : lists of Fraction
        From `run`.
    polynomial : callable
        From an interval ``(a, b)`` to coefficients of the polynomial there, from the constant on.
    value, slope : Fraction
        What is allowed for the difference and for that of the slopes.
    below : Fraction, optional
        How far the function may be below the polynomial; as far as above it by default.

    Returns
    -------
    wrong_value, wrong_slope : int
    """
    wrong = [0, 0]
    for a, b, u, v in zip(t, t[1:], values, values[1:]):
        width = b - a
        q = shifted(polynomial(a, b), a, width)
        gap = [-c for c in q] + [F(0)] * (2 - len(q))   # function minus polynomial, on [0, 1]
        gap[0] += u
        gap[1] += v - u
        steep = [k * c for k, c in enumerate(gap)][1:]
        allowed = ((gap, value, value if below is None else below), (steep, slope * width, slope * width))
        for place, (d, up, down) in enumerate(allowed):
            wrong[place] += not (nonnegative([up - d[0], *(-c for c in d[1:])]) and nonnegative([down + d[0], *d[1:]]))
    return tuple(wrong)
