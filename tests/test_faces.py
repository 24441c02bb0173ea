"""The public faces of `lib`: docstrings, annotations, protocols, imports, and the page of notation.

Public is what a package lists in `__all__`, and the public methods of such classes.
"""

import ast
import inspect
import re
import warnings
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest

import lib

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ["lib", *(f"lib.{p.parent.name}" for p in sorted((ROOT / "lib").glob("*/__init__.py")))]
FILES = sorted((ROOT / "lib").rglob("*.py"))


def module_of(path):
    """The dotted name of a file of `lib`; a package for its ``__init__``."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def plain(f):
    """The function behind a method, property or wrapper; None if there is none of ours."""
    f = getattr(f, "__func__", None) or getattr(f, "fget", None) or getattr(f, "func", None) or f
    f = inspect.unwrap(f) if callable(f) else f
    ours = inspect.isfunction(f) and f.__module__.startswith("lib.")
    return f if ours and "<locals>" not in f.__qualname__ else None


def faces():
    """Functions, classes and methods that are public: name -> (object, function or None)."""
    found = {}
    for package in PACKAGES:
        for name in import_module(package).__all__:
            face = getattr(import_module(package), name)
            if not callable(face) or not getattr(face, "__module__", "").startswith("lib."):
                continue
            found[f"{face.__module__}.{face.__qualname__}"] = (face, plain(face))
            if not inspect.isclass(face):
                continue
            for key, member in vars(face).items():
                f = plain(member)
                if f is not None and (not key.startswith("_") or key in ("__init__", "__call__")):
                    found[f"{f.__module__}.{f.__qualname__}"] = (face, f)
    return found


FACES = faces()


def said(face, f):
    """What a reader sees of a function: its docstring, or that of a parent's method; of a
    constructor that of the class.
    """
    if f is None or f.__name__ == "__init__":
        return inspect.getdoc(face) or ""
    text = inspect.getdoc(f)
    return text or (_of_a_parent(face, f.__name__) if inspect.isclass(face) else "")


def _of_a_parent(face, name):
    protocols = [lib.domains.Domain, lib.domains.Problem, lib.domains.Patch]
    for parent in (*face.__mro__, *protocols):
        text = inspect.getdoc(vars(parent).get(name)) if name in vars(parent) else None
        if text:
            return text
    return ""


def test_there_are_faces():
    assert len(FACES) > 400
    assert "lib.domains._cube.Cube.sample" in FACES and "lib.relu._maps.square" in FACES


@pytest.mark.parametrize("package", PACKAGES)
def test_all_is_what_a_package_exports(package):
    module = import_module(package)
    assert len(set(module.__all__)) == len(module.__all__) and inspect.getdoc(module)
    for name in module.__all__:
        assert hasattr(module, name), name


def test_every_face_has_a_docstring():
    assert [name for name, (face, f) in FACES.items() if not said(face, f)] == []


def test_every_face_is_annotated():
    """All parameters and what is returned; but the checks of claims, which are functions of
    anything.
    """
    missing = []
    for name, (_, f) in FACES.items():
        if f is None or name.startswith("lib.claims"):
            continue
        signature = inspect.signature(f)
        missing += [
            f"{name}({p.name})"
            for p in signature.parameters.values()
            if p.annotation is p.empty and p.name not in ("self", "cls", "ctx")
        ]
        if signature.return_annotation is signature.empty:
            missing.append(f"{name} -> ?")
    assert missing == []


def _calls(f):
    """Names of what is called in the body of a function itself, not in functions within it."""
    tree = ast.parse(_dedented(f))
    found = set()
    left = list(ast.iter_child_nodes(tree.body[0]))
    while left:
        node = left.pop()
        if isinstance(node, (ast.FunctionDef, ast.Lambda)):
            continue
        if isinstance(node, ast.Call):
            found.add(getattr(node.func, "id", getattr(node.func, "attr", "")))
        left += ast.iter_child_nodes(node)
    return found


def _dedented(f):
    lines = inspect.getsource(f).split("\n")
    margin = len(lines[0]) - len(lines[0].lstrip())
    return "\n".join(line[margin:] for line in lines)


def test_what_is_raised_is_said():
    silent = []
    for name, (face, f) in FACES.items():
        if f is None or name.startswith("lib.claims") or "<string>" in f.__code__.co_filename:
            continue
        if _calls(f) & {"require", "refuse", "InputError"}:
            text = said(face, f) + (inspect.getdoc(face) or "" if f.__name__ == "__init__" else "")
            if not re.search(r"Raises|InputError|[Rr]efuse|raised|errors as for", text):
                silent.append(name)
    assert silent == []


SOURCE = re.compile(
    r"(?i)chapters? \d|\b(?:thm|lem|prop|cor|def|eq)-[a-z]|book[:)]|et al|, \d{4}\)"
    r"| (?:19|20)\d\d[);,]"
)


# what is of no chapter: the package, the command line, bad input and old names; and the modules of
# two packages whose docstrings name the chapter for all of them
OF_NO_CHAPTER = {"lib", "lib.__main__", "lib.errors", "lib._moved", "lib.bench", "lib.sweep"}
OF_THEIR_PACKAGE = {
    "lib.certify._file",
    "lib.certify._search",
    "lib.certify._stored",
    "lib.claims",
    "lib.claims._grammar",
    "lib.claims._registry",
}


@pytest.mark.parametrize("path", FILES, ids=module_of)
def test_every_module_names_its_source(path):
    """A chapter, a label or the literature, somewhere in a docstring or a comment."""
    if module_of(path) not in OF_NO_CHAPTER | OF_THEIR_PACKAGE:
        assert SOURCE.search(path.read_text()), "no source"


# ---- imports

# from below; what stands in one row does not import one another, but for the packages named with <
LEVELS = (
    ("errors", "norms", "_moved"),
    ("formulas", "intervals", "splines", "relu"),
    ("convresnet",),
    ("targets", "domains", "manifolds"),
    ("certify",),
    ("approximation",),
    ("contrast", "limits", "robustness"),
    ("experiments",),
    ("claims",),
    ("__main__",),
)
# modules that find old names elsewhere, when they are asked for: `lib._moved`
SHIMS = {"lib.bench", "lib.sweep"}


def imports():
    """The graph of modules: name -> modules that it imports, within functions, too."""
    modules = {module_of(path): path for path in FILES}
    graph = {}
    for name, path in modules.items():
        graph[name] = set()
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                targets = [a.name for a in node.names]
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{name}: a relative import"
                joined = [f"{node.module}.{a.name}" for a in node.names]
                targets = [t if t in modules else node.module for t in joined]
            else:
                continue
            graph[name] |= {t for t in targets if t in modules} - {name}
    return graph


def circle(graph):
    """A circle of a graph as a list, or None."""
    state = {}

    def visit(node, trail):
        state[node] = "open"
        for other in sorted(graph[node]):
            if state.get(other) == "open":
                return [*trail[trail.index(other) :], other] if other in trail else [node, other]
            if other not in state:
                found = visit(other, [*trail, other])
                if found:
                    return found
        state[node] = "done"
        return None

    for node in sorted(graph):
        if node not in state:
            found = visit(node, [node])
            if found:
                return found
    return None


def package_of(name):
    """The part of `lib` that a module belongs to."""
    return (name.split(".") + [""])[1]


def between_packages(graph):
    found = {}
    for name, others in graph.items():
        found.setdefault(package_of(name), set()).update(
            {package_of(t) for t in others} - {package_of(name)}
        )
    return found


def test_circles_are_found():
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c", "b"]
    assert circle({"a": {"b", "c"}, "b": {"c"}, "c": set()}) is None


def test_modules_import_one_another_without_a_circle():
    graph = imports()
    assert "lib.convresnet" in graph["lib.domains._cube"]
    # a package imports its modules, and its modules one another: of the package they know nothing
    assert circle(graph) is None


def test_packages_import_one_another_without_a_circle():
    graph = between_packages(imports())
    del graph[""]
    graph = {name: others - {""} for name, others in graph.items()}
    assert circle(graph) is None


def test_packages_import_what_is_below():
    level = {name: i for i, names in enumerate(LEVELS) for name in names}
    graph = between_packages(imports())
    assert set(graph) - {""} - {s.removeprefix("lib.") for s in SHIMS} == set(level)
    for name, others in graph.items():
        if name in level:
            above = {o for o in others - {""} if level[o] > level[name]}
            assert not above, f"{name} imports {above}"


def test_old_names_are_found_when_asked_for():
    """`lib.bench` and `lib.sweep` import nothing of `lib` but `lib._moved`."""
    graph = imports()
    for name in SHIMS:
        assert graph[name] == {"lib._moved"}


# ---- protocols


def _domains():
    from lib import manifolds

    yield lib.Cube(2)
    yield manifolds.Sphere(0.4)
    yield manifolds.RotationGroup(0.5)
    yield manifolds.circle(0.3)
    yield manifolds.torus()
    yield manifolds.Union([manifolds.circle(0.1), manifolds.circle(0.4)])


def _problems():
    target = lib.Target.from_sympy("x1*x2")
    yield lib.Cube(2).problem(target, 2)
    yield lib.manifolds.circle(0.3).problem(target, 3)


def _patches():
    target = lib.Target.from_sympy("x1*x2")
    yield lib.Cube(2).patch(lib.Cube(2).problem(target, 2).charts(4), 4)
    circle = lib.manifolds.circle(0.3)
    yield circle.patch(circle.problem(target, 2, 8).charts(8), 8)


KINDS = {"Domain": _domains, "Problem": _problems, "Patch": _patches}


def compatible(promised, own):
    """Whether calls that a signature allows are allowed by another one."""
    mine = list(inspect.signature(own).parameters.values())
    theirs = list(inspect.signature(promised).parameters.values())
    if [p.name for p in mine[: len(theirs)]] != [p.name for p in theirs]:
        return False
    optional = all(p.default is not p.empty for p in mine[len(theirs) :])
    return optional and all(
        m.default is not m.empty for m, t in zip(mine, theirs) if t.default is not t.empty
    )


def test_signatures_are_compared():
    assert compatible(lambda x, y=1: 0, lambda x, y=2, z=3: 0)
    assert not compatible(lambda x, y=1: 0, lambda x, y: 0)
    assert not compatible(lambda x: 0, lambda y: 0) and not compatible(lambda x: 0, lambda x, y: 0)


@pytest.mark.parametrize("kind", KINDS)
def test_classes_keep_the_protocols(kind):
    protocol = getattr(lib.domains, kind)
    members = {
        name: f
        for base in reversed(protocol.__mro__)
        for name, f in vars(base).items()
        if inspect.isfunction(f) and not name.startswith("_")
    }
    assert members
    for example in KINDS[kind]():
        assert isinstance(example, protocol), example
        for name, f in members.items():
            own = inspect.unwrap(getattr(type(example), name))
            assert compatible(inspect.unwrap(f), own), f"{type(example).__name__}.{name}"
    assert not isinstance(object(), protocol)


PROTOCOLS = """
from lib.domains import Cube, CubePatch, CubeProblem, Domain, Patch, Problem, Setting
from lib.manifolds import (
    Atlas, ChartsPatch, FourierCurve, LevelSet, Manifold, ManifoldProblem, RotationGroup, Sphere,
    Union,
)

def of(
    cube: Cube, manifold: Manifold, curve: FourierCurve, level: LevelSet, group: RotationGroup,
    sphere: Sphere, union: Union, atlas: Atlas, first: CubeProblem, second: ManifoldProblem,
    patch: CubePatch, other: ChartsPatch,
) -> None:
    domains: list[Domain] = [cube, manifold, curve, level, group, sphere, union]
    settings: list[Setting] = [cube, manifold, atlas]
    problems: list[Problem] = [first, second]
    patches: list[Patch] = [patch, other]
"""


@pytest.mark.skipif(not find_spec("mypy"), reason="mypy is not installed")
def test_mypy_sees_the_protocols(tmp_path):
    from mypy import api

    kept = tmp_path / "kept.py"
    kept.write_text(PROTOCOLS)
    broken = tmp_path / "broken.py"
    broken.write_text("from lib.domains import Cube, Patch\n\nwrong: Patch = Cube(2)\n")
    found = api.run([f"--config-file={ROOT / 'pyproject.toml'}", str(kept), str(broken)])[0]
    assert "kept.py" not in found, found
    assert "broken.py:3: error: Incompatible types in assignment" in found, found


# ---- old names


def test_old_names_warn_and_work():
    a = lib.approximate(lib.Target.from_sympy("x1*x2"), lib.Cube(2), order=2, cells=4)
    problem = a.domain.problem(a.target, 2)
    circle = lib.manifolds.circle(0.3)
    other = circle.problem(a.target, 2, 8)
    for holder, old, new in (
        (a.bound, "factors", a.bound.breakdown),
        (a.bound, "network_value", a.bound.network.value),
        (problem, "factors", problem.breakdown),
        (problem, "terms", problem.count_terms),
        (other, "factors", other.breakdown),
        (other, "terms", other.count_terms),
    ):
        with pytest.warns(DeprecationWarning, match=f".{old} is called"):
            assert getattr(holder, old) == new
    with pytest.warns(DeprecationWarning, match="mesh_of_chart"):
        assert lib.domains.mesh_of_piece is lib.domains.mesh_of_chart


# ---- one name, one meaning


def test_letters_that_stand_for_objects():
    """``a`` is a factor of a product or a semi-axis; an approximation is called one."""
    found = {
        name
        for name, (_, f) in FACES.items()
        if f is not None
        and not name.startswith("lib.claims")
        and "a" in inspect.signature(f).parameters
    }
    assert {name.split(".")[-1] for name in found} == {"product", "ellipse", "peanut"}


def test_words_with_one_meaning():
    """Factors are those of a tensor product, terms those of a spline, the reach is a number of a
    manifold, pieces are those of a B-spline, and slopes are norms: what multiplies squared
    distances is the gain, and cells are living in charts.
    """
    for word, allowed in {
        "factors": set(),
        "terms": set(),
        "reach": set(),
        "pieces": {"lib.splines._bspline.pieces"},
        "gain": {"lib.convresnet._chart.PartitionFunction.gain"},
        "living": {"lib.manifolds._atlas.Atlas.living"},
        "slope": {
            f"lib.{name}.slope"
            for name in (
                "domains._cube.Cube",
                "domains._domain.Domain",
                "domains._domain.Patch",
                "domains._patch.CubePatch",
                "manifolds._base.Manifold",
                "manifolds._patches.ChartsPatch",
            )
        },
    }.items():
        assert {name for name in FACES if name.split(".")[-1] == word} == allowed, word


# ---- the page of notation

NOTATION = (ROOT / "book" / "notation.md").read_text()


def code_column():
    """The identifiers in backticks of the third column of the tables, once each."""
    found = []
    for line in NOTATION.split("\n"):
        cells = re.split(r"(?<!\\)\|", line)
        if line.startswith("|") and len(cells) == 6 and "---" not in line:
            found += re.findall(r"(?<!\{prf:ref\})(?<!\{eq\})`([^`]+)`", cells[3])
    return list(dict.fromkeys(found))


def known_words():
    """Names of functions, classes, parameters and attributes of `lib`, and of its constants."""
    words = {"len"}
    for path in FILES:
        tree = ast.parse(path.read_text())
        for node in ast.walk(tree):
            if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
                words.add(node.name)
            if isinstance(node, ast.arg):
                words.add(node.arg)
            if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
                words.add(node.attr)
            if isinstance(node, (ast.Module, ast.ClassDef)):
                for line in node.body:
                    targets = getattr(line, "targets", [getattr(line, "target", None)])
                    words |= {t.id for t in targets if isinstance(t, ast.Name)}
    return words | {p.removeprefix("lib.") for p in PACKAGES}


def resolves(text, words):
    """Whether an entry of the code column names something: a path from `lib` on, or from an object
    whose class has the attribute, or a single word.
    """
    names = re.findall(r"[A-Za-z_][A-Za-z_0-9.]*", text)
    for name in names:
        first, *rest = name.split(".")
        place = getattr(lib, first, None) if rest else None
        if inspect.ismodule(place) or inspect.isclass(place):
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                if not _has(place, rest):
                    return False
        elif not {first, *rest} <= words:
            return False
    return bool(names)


def _has(place, rest):
    if not rest:
        return True
    fields = getattr(place, "__dataclass_fields__", {})
    if rest[0] in fields:
        return len(rest) == 1
    return hasattr(place, rest[0]) and _has(getattr(place, rest[0]), rest[1:])


def test_the_column_is_read():
    assert len(code_column()) > 60 and "Architecture" in code_column()
    words = known_words()
    assert resolves("splines.bspline", words) and not resolves("splines.bspine", words)
    assert resolves("bound.slope", words) and not resolves("no_such_word", words)


@pytest.mark.parametrize("text", code_column())
def test_notation_and_code_agree(text):
    assert resolves(text, WORDS), text


WORDS = known_words()
