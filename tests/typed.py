"""Types of `lib` at run time: jaxtyping's import hook with beartype (see `conftest.py`).

What a function is given must have the annotated types, shapes and dtypes, or be refused by the
function itself: where it raises `InputError`, that is what its caller gets, as without the hook.
"""

import functools
import inspect
import sys
from pathlib import Path

import numpy as np
from beartype import BeartypeConf, FrozenDict, beartype
from beartype.roar import BeartypeCallHintParamViolation

_LIB = Path(__file__).resolve().parent.parent / "lib"
# without the registry of claims, whose checks are functions of anything, compiled functions, and old
# names, whose warnings name the line that asks for them
_UNTYPED = ("__init__", "__main__", "_kernel", "_moved", "bench", "sweep")
MODULES = [
    ".".join(path.relative_to(_LIB.parent).with_suffix("").parts)
    for path in sorted(_LIB.rglob("*.py"))
    if "claims" not in path.parts and path.stem not in _UNTYPED
]
# an int will do for a float, and numpy's numbers for both
_NUMBERS = FrozenDict({int: int | np.integer, float: float | int | np.number})
_CHECKED = beartype(conf=BeartypeConf(hint_overrides=_NUMBERS))


def checked(stub):
    """The type checker that jaxtyping applies to the signature of a function, without its body."""
    check = _CHECKED(stub)

    @functools.wraps(stub)
    def checking(*args, **kwargs):
        try:
            return check(*args, **kwargs)
        except BeartypeCallHintParamViolation:
            if not _refused(stub, args, kwargs):
                raise

    return checking


def _refused(stub, args, kwargs):
    """Whether the function with this signature raises `InputError` for these arguments."""
    from lib.errors import InputError

    found = sys.modules[stub.__module__]
    for name in stub.__qualname__.split("."):
        found = inspect.getattr_static(found, name, None)
        found = getattr(found, "__func__", found)
    if not callable(found):
        return False
    try:
        inspect.unwrap(found)(*args, **kwargs)
    except InputError:
        return True
    return False
