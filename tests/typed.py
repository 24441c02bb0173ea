"""Types of `lib` at run time: public functions are checked by jaxtyping and beartype.

What a function is given must have the annotated types, shapes and dtypes, or be refused by the
function itself: where it raises `InputError`, that is what its caller gets, as without the check.

jaxtyping's own import hook wraps every function there is, which makes the tests several times as
slow; this one takes those that are public and annotated.
"""

import ast
import functools
import inspect
import sys
from importlib.abc import MetaPathFinder
from importlib.machinery import PathFinder, SourceFileLoader

import numpy as np
from beartype import BeartypeConf, FrozenDict, beartype
from beartype.roar import BeartypeCallHintParamViolation
from jaxtyping import jaxtyped

# the registry of claims, whose checks are functions of anything; compiled functions; and what is
# called for every single number; and old names, whose warnings name the line that asks for them
LEFT_OUT = (
    "lib.claims",
    "lib.__main__",
    "lib.convresnet._kernel",
    "lib.errors",
    "lib.formulas._",
    "lib._moved",
    "lib.bench",
    "lib.sweep",
)
# an int will do for a float, and numpy's numbers for both
_NUMBERS = FrozenDict({int: int | np.integer, float: float | int | np.number})
_CHECKED = beartype(conf=BeartypeConf(hint_overrides=_NUMBERS))
_DECORATOR = ast.parse("__import__('typed').typed", mode="eval").body


def install():
    """Check the modules of `lib` that are imported from now on."""
    sys.meta_path.insert(0, _Finder())


def typed(f):
    """A function, method or dataclass with its types checked."""
    return jaxtyped(f, typechecker=checked)


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


class _Finder(MetaPathFinder):
    def find_spec(self, fullname, path=None, target=None):
        if not fullname.startswith("lib.") or fullname.startswith(LEFT_OUT):
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and isinstance(spec.loader, SourceFileLoader):
            spec.loader = _Loader(spec.loader.name, spec.loader.path)
        return spec


class _Loader(SourceFileLoader):
    def get_code(self, fullname):
        path = self.get_filename(fullname)
        tree = ast.parse(self.get_data(path), path)
        for node in _public(tree):
            if isinstance(node, ast.ClassDef):
                node.decorator_list.insert(0, _DECORATOR)  # after @dataclass has made the class
            else:
                node.decorator_list.append(_DECORATOR)
        return compile(ast.fix_missing_locations(tree), path, "exec", dont_inherit=True)


def _public(node):
    """Annotated functions, methods and dataclasses that are public."""
    for part in node.body:
        named = not getattr(part, "name", "_").startswith("_")
        if isinstance(part, ast.ClassDef) and named:
            if any("dataclass" in ast.unparse(d) for d in part.decorator_list):
                yield part
            yield from _public(part)
        elif isinstance(part, ast.FunctionDef) and (named or part.name in ("__init__", "__call__")):
            if _checkable(part):
                yield part


def _checkable(f):
    """Whether there is something to check besides numbers and what may be anything."""
    a = f.args
    hints = [p.annotation for p in (*a.args, *a.kwonlyargs) if p.annotation] + [f.returns]
    return any(h is not None and ast.unparse(h) not in ("Any", "object", "None") for h in hints)
