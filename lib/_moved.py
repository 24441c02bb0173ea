"""Old names of what lives in `lib.experiments` now, or has another name: they work for one release,
with a warning.
"""

import warnings
from importlib import import_module

_PLACE = "lib.experiments"


def moved(module, names, place=_PLACE):
    """The ``__getattr__`` of a module whose names have moved.

    Nothing is imported before an old name is used, so `lib.limits` and `lib.robustness` do not
    depend on the experiments that are made of them.

    Parameters
    ----------
    module : str
        The module that had the names.
    names : dict of str
        Old name -> new name.
    place : str
        The module that has them now.

    Returns
    -------
    callable
        Of a name; it raises `AttributeError` for all others.
    """

    def find(name):
        if name not in names:
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        warnings.warn(
            f"{module}.{name} is now {place}.{names[name]}", DeprecationWarning, stacklevel=2
        )
        return getattr(import_module(place), names[name])

    return find
