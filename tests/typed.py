"""Types of `lib` at run time: jaxtyping's import hook with beartype (see `conftest.py`).

What a function is given must have the annotated types, shapes and dtypes, or be refused by the
function itself: where it raises `InputError`, that is what its caller gets, as without the hook.
"""

import functools
import inspect
import sys

from beartype import BeartypeConf, beartype
from beartype.roar import BeartypeCallHintViolation

# all but the registry of claims, whose checks are functions of anything
PACKAGES = (
    "approximation",
    "certify",
    "contrast",
    "convresnet",
    "domains",
    "errors",
    "experiments",
    "formulas",
    "intervals",
    "limits",
    "manifolds",
    "norms",
    "relu",
    "robustness",
    "splines",
    "targets",
)
_CHECKED = beartype(conf=BeartypeConf(is_pep484_tower=True))  # an int will do for a float


def checked(stub):
    """The type checker that jaxtyping applies to the signature of a function, without its body."""
    check = _CHECKED(stub)

    @functools.wraps(stub)
    def checking(*args, **kwargs):
        try:
            return check(*args, **kwargs)
        except BeartypeCallHintViolation:
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
