"""What a list of layers computes, exactly: in rational numbers, in floats that do not round, or
as symbols (book: chapters 03 and 04).
"""

from fractions import Fraction as F
from math import comb, frexp, log2

import numpy as np

_HALVINGS = 40  # of an interval on which a sign is to be decided


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
    weight = layer.weight.tolist()
    bias = layer.bias.tolist()
    result = []
    for g in range(groups):
        for o in range(out):
            terms = [(F(w), channels[g * width + i]) for i, w in enumerate(weight[g][o]) if w]
            shift = F(bias[g][o])
            result.append(
                [sum((w * c[p] for w, c in terms), shift) for p in range(len(channels[0]))]
            )
    return result


def _relu(t, channels):
    """ReLU of every channel; where one changes its sign all get a breakpoint."""
    cuts = []  # for each interval the places, as fractions of it
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
    return [
        sum((c * comb(e, k) * start ** (e - k) for e, c in enumerate(polynomial) if e >= k), F(0))
        * width**k
        for k in range(len(polynomial))
    ]


def nonnegative(polynomial):
    """Whether a polynomial (rational coefficients, from the constant on) is nowhere negative on [0,
    1].

    By its Bernstein coefficients and, where they do not decide, those of the two halves.
    """
    degree = len(polynomial) - 1
    bernstein = [
        sum((polynomial[k] * F(comb(i, k), comb(degree, k)) for k in range(i + 1)), F(0))
        for i in range(degree + 1)
    ]
    todo = [(bernstein, 0)]
    while todo:
        b, depth = todo.pop()
        if min(b) >= 0:
            continue
        # negative at an end; undecided counts as no
        if b[0] < 0 or b[-1] < 0 or depth == _HALVINGS:
            return False
        left, right, row = [], [], b
        while row:  # de Casteljau at the middle
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
        gap = [-c for c in q] + [F(0)] * (2 - len(q))  # function minus polynomial, on [0, 1]
        gap[0] += u
        gap[1] += v - u
        steep = [k * c for k, c in enumerate(gap)][1:]
        allowed = (
            (gap, value, value if below is None else below),
            (steep, slope * width, slope * width),
        )
        for place, (d, up, down) in enumerate(allowed):
            wrong[place] += not (
                nonnegative([up - d[0], *(-c for c in d[1:])])
                and nonnegative([down + d[0], *d[1:]])
            )
    return tuple(wrong)


def _digits(x):
    """The least ``d >= 0`` for which all numbers are multiples of ``2^-d``."""
    mantissa, exponent = np.frexp(np.asarray(x, float)[np.asarray(x) != 0])
    odd = (mantissa * 2.0**53).astype(np.int64)
    return int((53 - exponent - np.log2(odd & -odd)).max(initial=0))


def on_cells(layers, corners):
    """A network on convex cells of a space of any dimension, given by their corners.

    It is affine on a cell if no ReLU changes its sign there; of an affine function that is seen at
    the corners.

    Parameters
    ----------
    layers : list of lib.relu.layers.Layer
    corners : float64 array, shape (in_channels, cells, corners)
        Dyadic numbers so short that float64 does not round anywhere.

    Returns
    -------
    values : float64 array, shape (out_channels, cells, corners)
        Exact.
    affine : bool array, shape (cells,)

    Raises
    ------
    ValueError
        If float64 might round.
    """
    z = corners
    affine = np.ones(corners.shape[1], bool)
    for layer in layers:
        weight = layer.weight.numpy()
        bias = layer.bias.numpy()
        flat = z.reshape(len(weight), weight.shape[2], -1)
        digits = max(_digits(weight) + _digits(z), _digits(bias))
        size = (np.abs(weight) @ np.abs(flat) + np.abs(bias)[..., None]).max()
        if digits + log2(max(size, 1)) > 52:  # a float has 53 bits; one for the logarithm
            raise ValueError(f"numbers of {digits} binary digits: shorter ones are exact")
        y = (weight @ flat + bias[..., None]).reshape(-1, *z.shape[1:])
        affine &= ((y >= 0).all(-1) | (y <= 0).all(-1)).all(0)
        z = np.maximum(y, 0)
    return z, affine


def vanishing(layers, inputs):
    """Which outputs of a network are zero, bitwise, in float64 arithmetic in any order.

    Channels are followed as symbols: a sum is zero if all its terms are, or if it is the difference
    of two that are equal, term by term; it is known to equal another if it has at most two terms,
    the same ones, whose weights are powers of two.  Three terms are known in one case, for ``0 <= A
    <= 1`` and ``B = sigma(A - 1/2)``: the tent ``2 A - 4 B`` and the tent minus 1/2.  Below 1/2,
    ``B = 0``; from there on sums of any of the three are exact, being multiples of ``2^-52`` that
    are at most 2, or of ``2^-51`` that are at most 4.

    Parameters
    ----------
    layers : list of lib.relu.layers.Layer
    inputs : list of str or None
        A name for each non-negative number that can be anything, None for zero.

    Returns
    -------
    list of bool
    """
    for layer in layers:
        groups, out, width = layer.weight.shape
        weight = layer.weight.tolist()
        bias = layer.bias.tolist()
        inputs = [
            _symbol(
                [
                    (w, z)
                    for w, z in zip(weight[g][o], inputs[g * width : (g + 1) * width])
                    if w and z is not None
                ],
                bias[g][o],
            )
            for g in range(groups)
            for o in range(out)
        ]
    return [z is None for z in inputs]


def _symbol(terms, bias):
    """The ReLU of a sum of terms, pairs of weight and symbol, as a symbol; None for zero."""
    if bias <= 0 and all(w < 0 for w, _ in terms):
        return None
    if bias == 0 and len(terms) == 2 and terms[0][1] == terms[1][1] and terms[0][0] == -terms[1][0]:
        return None
    if bias == 0 and len(terms) == 1 and terms[0][0] == 1:
        return terms[0][1]
    if (
        [w for w, _ in terms] == [2.0, -4.0]
        and bias in (0, -0.5)
        and terms[1][1] == (-0.5, (1.0, terms[0][1]))
    ):
        tent = ("tent", terms[0][1])
        return (-0.5, (1.0, tent)) if bias else tent
    if len(terms) + (bias != 0) <= 2 and all(frexp(abs(w))[0] == 0.5 for w, _ in terms):
        return (bias, *sorted(terms, key=repr))
    return object()  # like no other
