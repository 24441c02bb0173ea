"""What a certificate is about, as one number: everything that the two errors depend on, in one
order (book: chapter 10).
"""

import hashlib

import numpy as np
import sympy

FORMAT = "convresnet-certificate 4"


def digest(subject):
    """SHA-256 of the format, the formula, the domain, the charts, the sizes and the weights.

    Parameters
    ----------
    subject : lib.certify._subject.Subject

    Returns
    -------
    str
        64 hexadecimal digits.
    """
    c = subject.construction
    patch = subject.patch
    kind = f"{type(patch).__module__}.{type(patch).__qualname__}"
    found = hashlib.sha256()
    _put(found, FORMAT, sympy.srepr(subject.expression), kind, *patch.numbers())
    _put(found, c.order, subject.cells, c.refinement, c.kernel_size, c.blocks, len(c.charts))
    for chart in c.charts:
        _put(found, chart.cells, chart.matrix, chart.offset, chart.indices, chart.coefficients)
        p = chart.partition
        if p is None:
            _put(found, "no partition")
        else:
            _put(found, p.centre, p.earlier, p.inner, p.outer, p.refinement)
    for name, tensor in subject.network.state_dict().items():
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
