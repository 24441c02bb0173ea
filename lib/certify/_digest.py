"""What a certificate is about, as one number: everything that the two errors depend on, in one
order.
"""

import hashlib

import numpy as np
import sympy

FORMAT = "convresnet-certificate 2"


def digest(approximation, domain):
    """SHA-256 of the format, the formula, the domain, the charts, the sizes and the weights.

    Parameters
    ----------
    approximation : lib.Approximation
        With a formula.
    domain
        One of `lib.certify._domains`.

    Returns
    -------
    str
        64 hexadecimal digits.
    """
    a = approximation
    found = hashlib.sha256()
    _put(found, FORMAT, sympy.srepr(a.target.expression), type(domain).__name__, *domain.numbers())
    _put(found, a.order, a.cells, a.refinement, a.kernel_size, a.blocks, len(a.charts))
    for chart in a.charts:
        _put(found, chart.cells, chart.matrix, chart.offset, chart.indices, chart.coefficients)
        gate = chart.gate
        _put(
            found,
            *(
                ("no gate",)
                if gate is None
                else (gate.centre, gate.inner, gate.outer, gate.refinement)
            ),
        )
    for name, tensor in a.network.state_dict().items():
        _put(found, name, tensor.numpy())
    return found.hexdigest()


def digest_of_arrays(facts, arrays):
    """SHA-256 of a text and of named arrays: finds damage of a file, not malice."""
    found = hashlib.sha256()
    _put(found, facts, *(part for name in sorted(arrays) for part in (name, arrays[name])))
    return found.hexdigest()


def _put(found, *things):
    """Add strings, numbers and arrays, each with its kind and its length, so that none can be
    taken for another.
    """
    for thing in things:
        if isinstance(thing, str):
            kind = "text"
            shape = ()
            raw = thing.encode()
        else:
            array = np.ascontiguousarray(thing)
            kind = str(array.dtype)
            shape = array.shape
            raw = array.tobytes()
        found.update(f"{kind}{shape}{len(raw)}:".encode())
        found.update(raw)
