"""Networks that store a Lipschitz function in the bits of their weights: better than any spline in
value, useless in slope.

The unit interval is cut into ``N`` cells of ``M`` steps, ``h = 1 / (N M)``.  A ladder of values,
neighbours differing by ``+-h``, follows the target; a cell needs its first value and ``M`` bits,
which are the binary digits of one weight. Digits are taken out one after the other by ramps as
steep as the weight is long.  All sizes are powers of two, so that float64 does not round where a
digit is decided.  Sources: book, chapter 01.
"""

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from lib.contrast._steep import block
from lib.convresnet import NEGATIVE, POSITIVE, ConvResNet
from lib.errors import integer, positive, require
from lib.relu.layers import NUMBERS, Layer

_MOST_STEPS = 32  # digits: of the 53 of a float there must be room for the cells


def ladder(
    target: Callable[[Tensor], Tensor], count: int, lipschitz: float = 1.0
) -> Int[np.ndarray, " n"]:
    """Integers ``k_0, .., k_count`` whose neighbours differ by 1, with ``|k_i - f(i h) / (lip h)|
    <= 1``, ``h = 1 / count``.

    Greedy: up if the value there is at least the last one, else down (book: ``lem-ladder``).

    Parameters
    ----------
    target : callable
        From a float64 tensor (P, 1) to values (P,), with this Lipschitz constant on [0, 1].
    count : int
    lipschitz : float

    Returns
    -------
    int64 array, shape (count + 1,)

    Raises
    ------
    InputError
        If two neighbouring values differ by more than the Lipschitz constant allows.
    """
    x = torch.arange(count + 1, **NUMBERS)[:, None] / count
    values = target(x).detach().numpy() * count / positive("lipschitz", lipschitz)
    steep = np.abs(np.diff(values)).max()
    require(
        steep <= 1 + 1e-9,
        "lipschitz",
        lipschitz,
        f"at least {steep * lipschitz:.6g}, a quotient of the target",
    )
    k = [int(np.round(values[0]))]
    for value in values[1:]:
        k.append(k[-1] + (1 if value >= k[-1] else -1))
    return np.array(k)


def frozen_network(
    target: Callable[[Tensor], Tensor], cells: int, steps: int, lipschitz: float = 1.0
) -> ConvResNet:
    """The ladder as a network with slopes 0 and ``+-2 lipschitz`` only (book: ``prop-frozen``,
    ``prop-jump``).

    Between two cells nothing is left to chance: the steps are frozen, one after the other the
    value, the digits and the position change to those of the next cell, and the steps are released.

    Parameters
    ----------
    target : callable
        From a float64 tensor (P, 1) to values (P,).
    cells, steps : int
        ``N >= 2`` and ``M`` from 2 to 32, powers of two.
    lipschitz : float
        Of the target on [0, 1].

    Returns
    -------
    ConvResNet
        One block of ``4 M + 5`` layers.

    Raises
    ------
    InputError
        For sizes that are no powers of two, or a target that is steeper.
    """
    k, low, unit = _heights(target, cells, steps, lipschitz)
    chain, names = _copy(k, cells, steps, 0.0, frozen=True)
    rows = {
        "x": ({}, 0.0),
        "plus": ({"B": unit, "a": 2 * unit}, max(low, 0) * unit),
        "minus": ({"V": unit}, max(-low, 0) * unit),
    }
    last, _ = _layer(names, rows)
    return _network([*chain, last])


def step_network(
    target: Callable[[Tensor], Tensor], cells: int, steps: int, lipschitz: float = 1.0
) -> ConvResNet:
    """The ladder as a step function, and the median of three shifted copies to be right everywhere
    (book: ``prop-steps``).

    Parameters, returned and raised as for `frozen_network`; one block of ``4 M + 5`` layers.
    """
    k, low, unit = _heights(target, cells, steps, lipschitz)
    shift = 1 / (4 * cells * steps)
    copies = [_copy(k, cells, steps, s, frozen=False) for s in (-shift, 0.0, shift)]
    names = copies[0][1]
    ends = [
        [*chain, _layer(names, {"y": ({"B": 1.0, "a": 2.0, "V": -1.0}, 0.0)})[0]]
        for chain, _ in copies
    ]
    first, *rest = zip(*ends)
    chain = [Layer(torch.cat([c.weight for c in first], 1), torch.cat([c.bias for c in first], 1))]
    chain += [
        Layer(torch.cat([c.weight for c in group]), torch.cat([c.bias for c in group]))
        for group in rest
    ]
    names = ["y1", "y2", "y3"]
    for rows in (
        {
            "y1": ({"y1": 1.0}, 0.0),
            "y2": ({"y2": 1.0}, 0.0),
            "y3": ({"y3": 1.0}, 0.0),
            "d": ({"y1": 1.0, "y2": -1.0}, 0.0),
        },
        {
            "least": ({"y1": 1.0, "d": -1.0}, 0.0),
            "most": ({"y2": 1.0, "d": 1.0}, 0.0),
            "over": ({"y2": 1.0, "d": 1.0, "y3": -1.0}, 0.0),
        },
        {"least": ({"least": 1.0}, 0.0), "gain": ({"most": 1.0, "over": -1.0, "least": -1.0}, 0.0)},
        {
            "x": ({}, 0.0),
            "plus": ({"least": unit, "gain": unit}, max(low, 0) * unit),
            "minus": ({}, max(-low, 0) * unit),
        },
    ):
        layer, names = _layer(names, rows)
        chain.append(layer)
    return _network(chain)


def _heights(target, cells, steps, lipschitz):
    """Positive integers of the ladder, what was subtracted, and the unit."""
    for name, number, most in (("cells", cells, 2**12), ("steps", steps, _MOST_STEPS)):
        number = integer(name, number, 2, most)
        require(number & (number - 1) == 0, name, number, f"a power of two from 2 to {most}")
    k = ladder(target, cells * steps, lipschitz)
    low = int(k.min()) - 1
    return k - low, low, lipschitz / (cells * steps)


def _copy(k, cells, steps, shift, frozen):
    """The layers that form the ladder at ``x + shift``: value ``B + 2 a - V`` in units."""
    h = 1 / (cells * steps)
    width = h / 8
    digits = steps if frozen else steps - 1
    bits = ((np.diff(k) + 1) // 2).reshape(cells, steps)[:, :digits]
    code = (bits * 2.0 ** -np.arange(1, digits + 1)).sum(1)
    base = k[:-1:steps].astype(float)
    # ramps in front of the end of each cell: before it value, then digits and position, then the
    # release; or all at once
    stages = (1, 2, 3) if frozen else (3,)
    switches = [(n, s) for n in range(1, cells) for s in stages]
    p, q, r = ({(n, s): f"{letter}{n}.{s}" for n, s in switches} for letter in "pqr")
    passed = {"x": ({"x": 1.0}, 0.0)}
    chain, names = [], ["x"]

    def append(rows):
        nonlocal names
        layer, names = _layer(names, rows)
        chain.append(layer)

    starts = {(n, s): (shift - n / cells) / width + 4 - s for n, s in switches}
    append({"x": ({"x": 1.0}, shift), **{p[e]: ({"x": 1 / width}, starts[e]) for e in switches}})
    append({**passed, **{q[e]: ({p[e]: -1.0}, 1.0) for e in switches}})
    # exactly 0, then a ramp, then exactly 1
    append({**passed, **{r[e]: ({q[e]: -1.0}, 1.0) for e in switches}})

    def switched(values, stage):
        return {
            r[n, stage]: values[n] - values[n - 1]
            for n in range(1, cells)
            if values[n] != values[n - 1]
        }

    value, digit, release = (1, 2, 3) if frozen else (3, 3, 3)
    rows = {
        "B": (switched(base, value), base[0]),
        "code": (switched(code, digit), code[0]),
        "t": ({"x": 1.0, **switched(-np.arange(cells) / cells, digit)}, 0.0),
        "V": ({}, 0.0),
    }
    if frozen:
        rows["c"] = (
            {
                **{r[n, value]: -1.0 for n in range(1, cells)},
                **{r[n, release]: 1.0 for n in range(1, cells)},
            },
            1.0,
        )
    append(rows)
    for j in range(1, digits + 1):
        gap = 2.0 ** (j - digits - 1)  # the code is a multiple of this
        ramp = ({"t": 2 / h}, -2.0 * (j - 1)) if frozen else ({"t": 1 / width}, 1 - j * h / width)
        ceiling = ({"c": 1.0}, 0.0) if frozen else ({}, 1.0)
        kept = {
            name: ({name: 1.0}, 0.0) for name in ("code", "t", "B", "V", *(["c"] if frozen else []))
        }
        append(
            {
                **kept,
                "B": ({"B": 1.0, **({"a": 2.0} if j > 1 else {})}, 0.0),
                "p": ({"code": 1 / gap}, (gap - 0.5) / gap),
                "u": ramp,
            }
        )
        append({**kept, "q": ({"p": -1.0}, 1.0), "e": ({**ceiling[0], "u": -1.0}, ceiling[1])})
        append({**kept, "bit": ({"q": -1.0}, 1.0), "v": ({**ceiling[0], "e": -1.0}, ceiling[1])})
        append(
            {
                **kept,
                "code": ({"code": 2.0, "bit": -1.0}, 0.0),
                "V": ({"V": 1.0, "v": 1.0}, 0.0),
                "a": ({"bit": 1.0, "v": 1.0}, -1.0),
            }
        )
    return chain, names


def _layer(before, rows):
    """A layer from rows ``{name: ({name of an input: weight}, bias)}``; and the names of its
    outputs.
    """
    weight = torch.zeros(1, len(rows), len(before), **NUMBERS)
    place = {name: i for i, name in enumerate(before)}
    for o, (terms, _) in enumerate(rows.values()):
        for name, w in terms.items():
            weight[0, o, place[name]] = float(w)
    return Layer(weight, torch.tensor([[float(b) for _, b in rows.values()]], **NUMBERS)), list(
        rows
    )


def _network(chain):
    head = torch.zeros(3, **NUMBERS)
    head[POSITIVE], head[NEGATIVE] = 1.0, -1.0
    return ConvResNet([block(chain)], head, 1)
