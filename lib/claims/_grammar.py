"""Random formulas, for checks on targets that nobody chose."""

import numpy as np

from lib.errors import InputError
from lib.targets import Target

_BOUNDED = ("sin", "cos", "tanh", "atan")


def formula(rng, dim, depth=3):
    """A random formula in ``x1 .. xD`` that is smooth and moderate on the cube.

    ``e := x_i | c | e + e | e * e | f(c e) | exp(e / 2) | 1 / (2 + e**2) | sqrt(1 + e**2) | log(2 +
    e**2) | |e - c|**p`` with ``f`` one of sin, cos, tanh, atan and ``p`` one of 2.5, 3, 4.5.
    """
    if depth == 0:
        return f"x{rng.integers(dim) + 1}" if rng.random() < 0.8 else f"{rng.uniform(-2, 2):.2f}"
    rule = rng.integers(9)
    a = formula(rng, dim, depth - 1)
    if rule < 3:
        return f"({a} {'+' if rule == 0 else '*'} {formula(rng, dim, depth - 1)})"
    if rule < 5:
        return f"{_BOUNDED[rng.integers(len(_BOUNDED))]}({rng.uniform(0.5, 4):.2f}*{a})"
    if rule == 8:
        return f"abs({a} - {rng.uniform(0, 1):.2f})**{(2.5, 3, 4.5)[rng.integers(3)]}"
    return (
        (f"exp({a}/2)", f"1/(2 + {a}**2)", f"sqrt(1 + {a}**2)")[rule - 5]
        if rng.random() < 0.8
        else f"log(2 + {a}**2)"
    )


def target(seed, dim):
    """The ``seed``-th random target: the first formula that depends on a variable, has bounded
    second derivatives, and is not huge.
    """
    rng = np.random.default_rng([seed, dim])
    while True:
        text = formula(rng, dim)
        try:
            found = Target.from_sympy(text, dim)
            if (
                found.expression.free_symbols
                and found.derivative_bounds(2)
                and found.derivative_bounds(2)[1]
            ):
                return found
        except InputError:
            continue
