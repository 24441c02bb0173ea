"""`certify`: branch and bound over dyadic boxes, interrupted and resumed at will (book:
``thm-certificate``).
"""

import time
import warnings
from dataclasses import dataclass, fields
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from tqdm import tqdm

from lib.approximation import Cube, CubeProblem, Target, bound
from lib.certify._digest import digest
from lib.certify._domains import CubeDomain, CurveDomain, SphereFace
from lib.certify._error import ErrorOf
from lib.certify._file import broken, read, write
from lib.certify._points import attained
from lib.certify._search import NORMS, Search
from lib.certify._stored import check_terms
from lib.certify._stored import read as read_stored
from lib.errors import InputError, integer, positive, require
from lib.formulas import parse_on_cube
from lib.manifolds import FourierCurve

_SAVE_EVERY = 20.0  # seconds
_AT_ONCE = 4096  # boxes between two looks at the clock
_HOPELESS = 1.05  # times a bound to be proved: where the error is so large at a point, give up
_WORST, _POINTS = 4, 128  # boxes looked at by each criterion, points in each, for lower ends


class Enclosure(NamedTuple):
    """``lower <= sup <= upper``."""

    lower: float
    upper: float


@dataclass(frozen=True, eq=False)
class Certificate:
    """A rigorous enclosure of both norms of ``f - f~`` over a whole domain, ``f~`` the exact
    function of the stored weights.

    Attributes
    ----------
    value, gradient : Enclosure
        Of ``sup |f - f~|`` and, on the cube, ``max_k sup |d_k (f - f~)|``, on a manifold ``sup
        |grad_M (f - f~)|``.  Lower ends are values at `value_at` and `gradient_at`.  Slopes are
        those of ``f~`` wherever it has one.
    value_at, gradient_at : tuple of float
        Points of the domain, rounded to float64 on a manifold.
    level, index : int arrays, shapes (B,) and (B, p)
        The boxes: ``index * 2^-level`` to ``(index + 1) * 2^-level`` in the parameters of the
        domain.
    roots : tuple of int
    description, digest : str
        What was certified: domain and formula, for the reader; and the digest of both, of all
        charts and of all weights.
    search_finished : bool
        Whether boxes were halved until no bound exceeds what further halving would lead to by more
        than the gap, or what was to be proved; False at the limit of boxes, and where halving no
        longer gains anything, since rounding or a changed weight rules.  It says nothing of how far
        apart the two ends are.
    seconds : float

    Notes
    -----
    On the cube and for unchanged weights ``value.upper`` holds for what float64 returns at floats,
    too (``lem-rounding``): for ``network(x)``, each sum of products in any order, with or without
    fused multiply-add, rounded to nearest, and for the sparse evaluation.  Not for TF32, autocast,
    float32, Winograd or other fast convolutions, flush-to-zero; and not for changed weights, nor on
    manifolds, where floats are not points of the domain.
    """

    value: Enclosure
    gradient: Enclosure
    value_at: tuple
    gradient_at: tuple
    level: np.ndarray
    index: np.ndarray
    roots: tuple
    description: str
    digest: str
    search_finished: bool
    seconds: float

    def __post_init__(self):
        check_form(self)

    @property
    def complete(self):
        """The old name of `search_finished`."""
        warnings.warn(
            "Certificate.complete is now search_finished", DeprecationWarning, stacklevel=2
        )
        return self.search_finished

    def save(self, path):
        """Write to one file (numpy arrays and JSON; never pickle), beside its place and renamed."""
        facts = {k: v for k, v in vars(self).items() if k not in ("level", "index")}
        write(path, facts, {"level": self.level, "index": self.index})

    @classmethod
    def load(cls, path):
        """Read what `save` wrote.

        A file is believed as far as its digest goes: damage is noticed, malice is not.
        `lib.certify.check` proves it.

        Raises
        ------
        InputError
            If the file is missing, not ours, cut short or altered.
        """
        facts, arrays = read(path)
        try:
            facts = {
                k: Enclosure(*v) if k in NORMS else tuple(v) if isinstance(v, list) else v
                for k, v in facts.items()
            }
            return cls(**facts, **arrays)
        except (TypeError, InputError) as error:
            raise broken(path, str(error)) from None


def check_form(certificate):
    """Raise `InputError` unless a certificate is one, to the last type, with ends in the right
    order.

    A function, and exact types: a forged object can bring methods of its own.
    """
    c = certificate
    require(
        type(c) is Certificate and vars(c).keys() == {f.name for f in fields(Certificate)},
        "certificate",
        type(c).__name__,
        "a Certificate",
    )
    for name in NORMS:
        ends = getattr(c, name)
        ok = type(ends) is Enclosure and len(ends) == 2 and all(type(t) is float for t in ends)
        # NaN compares False
        require(ok and 0 <= ends[0] <= ends[1], name, ends, "two floats, 0 <= lower <= upper")
    for name, kind in (("value_at", float), ("gradient_at", float), ("roots", int)):
        numbers = getattr(c, name)
        require(
            type(numbers) is tuple and all(type(t) is kind for t in numbers),
            name,
            numbers,
            f"a tuple of {kind.__name__}",
        )
    for name in ("level", "index"):
        require(
            type(getattr(c, name)) is np.ndarray and getattr(c, name).dtype.kind == "i",
            name,
            type(getattr(c, name)),
            "an array of integers",
        )
    kinds = [type(c.description), type(c.digest), type(c.search_finished), type(c.seconds)]
    require(
        kinds == [str, str, bool, float],
        "certificate",
        kinds,
        "with two texts, a truth value and a time",
    )


def _domain(approximation, domain):
    """The domain of a certificate from that of an approximation."""
    if isinstance(domain, SphereFace):
        require(
            domain.sphere is approximation.domain,
            "domain",
            domain,
            "a face of the sphere of the approximation",
        )
        return domain
    if isinstance(domain, Cube):
        require(
            domain.dim == approximation.dim, "domain", domain, f"of dimension {approximation.dim}"
        )
        return CubeDomain(domain.dim, approximation.cells)
    require(
        isinstance(domain, FourierCurve),
        "domain",
        domain,
        "a cube or a closed curve; of a sphere give a SphereFace (other manifolds have no chart in"
        " closed form here)",
    )
    require(domain is approximation.domain, "domain", domain, "the curve of the approximation")
    slope = max(float(np.linalg.norm(c.matrix)) for c in approximation.charts)
    return CurveDomain(domain, max(8, int(2 * slope * domain.volume)))  # two boxes a cell


def _worst(a, domain, error, search):
    """Errors in float64 at random points of the worst boxes: parameters, points, and both errors
    (n,).
    """
    columns = [search.table[name + end] for name in NORMS for end in ("", "_seen")]
    rows = np.unique([r for column in columns for r in np.argsort(-column)[:_WORST]])
    boxes = search.boxes(rows)
    s = (
        boxes.middle[:, None]
        + boxes.radius[:, None, None]
        * np.random.default_rng(0).uniform(-1, 1, (len(rows), _POINTS, domain.dim))
    ).reshape(-1, domain.dim)
    x = torch.from_numpy(np.clip(domain.points(s), 0, 1))
    # the same function, if no weight was changed
    network = a.sparse if error.unchanged else a.network
    (f, df), (g, dg) = a.target.value_and_gradient(x), network.value_and_gradient(x)
    return s, x, df - dg, ((f - g).abs(), a.domain.slope(x, df - dg))


def _attained(a, domain, error, search):
    """Lower ends: both errors in exact arithmetic where they are largest in float64."""
    s, x, slope, errors = _worst(a, domain, error, search)
    found = [int(e.argmax()) for e in errors]
    ends = [
        attained(error.expression, error.symbols, a.network, domain, s[i], slope[i].numpy())
        for i in found
    ]
    best = [max((0, 1), key=lambda i: ends[i][k]) for k in (0, 1)]
    return [ends[i][k] for k, i in enumerate(best)], [tuple(x[found[i]].tolist()) for i in best]


def _hopeless(a, domain, error, search, at_most):
    """Whether a bound that is to be proved is exceeded at a point, in float64, by more than
    rounding does.
    """
    if all(search.table[name + "_seen"].max() <= most for name, most in zip(NORMS, at_most)):
        return False
    return any(
        float(e.max()) > _HOPELESS * most
        for e, most in zip(_worst(a, domain, error, search)[-1], at_most)
    )


def _exceed(upper, bound):
    return (
        bound is not None
        and bound.rigorous
        and (upper[0] > bound.value or upper[1] > bound.gradient)
    )


def a_priori(approximation):
    """The two bounds of Theorem A, from the formula on: nothing of them is taken from the
    approximation but its charts.

    Parameters
    ----------
    approximation : lib.Approximation
        On a cube, of a formula.

    Returns
    -------
    value, slope : float
        Infinite if they are not rigorous.
    """
    a = approximation
    problem = CubeProblem(Target.from_sympy(a.target.formula, a.dim), Cube(a.dim), a.order)
    found = bound(problem, a.charts, a.cells, a.refinement)
    return (found.value, found.gradient) if found.rigorous else (np.inf, np.inf)


def certify(
    approximation,
    domain=None,
    *,
    gap=0.02,
    at_most=None,
    boxes=200_000,
    progress=False,
    checkpoint=None,
):
    """Enclose both norms of the error of a network over its whole domain (book:
    ``thm-certificate``).

    Parameters
    ----------
    approximation : lib.Approximation
        Its target must be a formula; its network is taken as it is, whatever its weights.
    domain : Cube, FourierCurve or SphereFace, optional
        By default that of the approximation; for a sphere a `SphereFace` must be given.
    gap : float
        Boxes are halved until no bound exceeds what further halving would lead to by more than this
        fraction.
    at_most : pair of float, optional
        Bounds of value and slope to be proved: instead of the gap, boxes are halved until none
        exceeds these, or until one is exceeded by five per cent at a point.
    boxes : int
        The halving stops at about so many boxes.
    progress : bool
        Show a bar.
    checkpoint : str or Path, optional
        A file that is kept up to date and from which the same call goes on after an interruption.
        Of a file the digest of what is certified, its own, and the cover are checked; bounds in it
        are believed as far as its digest goes.

    Returns
    -------
    Certificate
        Where the a priori bound is rigorous and the weights are those of the construction, an upper
        end is the smaller of what was found and that bound, unless bounds are to be proved.

    Raises
    ------
    InputError
        Without a formula, for a domain without closed form, a checkpoint of something else, or a
        network that is not the construction of its charts up to weights that can be read
        (`lib.certify._stored`).
    """
    start = time.perf_counter()
    a = approximation
    require(
        a.target is not None and a.target.expression is not None,
        "target",
        a.target,
        "a formula (Target.from_sympy)",
    )
    require(type(a.charts) is list and len(a.charts) > 0, "charts", a.charts, "a list of charts")
    formula = a.target.formula
    require(
        type(formula) is str and parse_on_cube(formula, a.dim) == a.target.expression,
        "target",
        formula,
        "the formula that its expression says",
    )
    require(a.domain is not None, "domain", None, "known (set it after loading: see `with_target`)")
    sizes = a.order, a.cells, a.refinement, a.kernel_size, a.blocks
    require(
        all(type(t) is int for t in sizes), "approximation", sizes, "of sizes that are integers"
    )
    gap, boxes = positive("gap", gap), integer("boxes", boxes, 1)
    require(
        at_most is None or len(at_most) == 2 and all(t > 0 for t in at_most),
        "at_most",
        at_most,
        "two positive numbers, for the value and the slope",
    )
    domain = _domain(a, a.domain if domain is None else domain)
    check_terms(a.charts, a.order, a.cells)
    require(
        (a.charts[0].gate is None) == isinstance(domain, CubeDomain),
        "charts",
        a.charts[0].gate,
        "without gates on a cube, with gates on a manifold",
    )
    pieces, damaged, unchanged = read_stored(
        a.charts, a.order, a.refinement, a.kernel_size, a.blocks, a.network
    )
    error = ErrorOf(
        a.target.expression, domain, pieces, damaged, a.order, a.refinement, a.network, unchanged
    )
    search = Search(domain.roots)
    mark = digest(a, domain)
    if checkpoint is not None and Path(checkpoint).exists():
        facts, arrays = read(checkpoint)
        require(
            facts.get("digest") == mark,
            "checkpoint",
            str(checkpoint),
            "of this network, formula and domain",
        )
        search.resume(facts, arrays)
    before = search.seconds

    def keep():
        if checkpoint is not None:
            write(
                checkpoint,
                {"digest": mark, "seconds": before + time.perf_counter() - start},
                {"table": search.table},
            )

    try:
        _refine(a, domain, error, search, gap, at_most, boxes, progress, keep)
    finally:
        keep()
    lower, at = _attained(a, domain, error, search)
    upper = search.upper()
    finished = bool(np.isfinite(upper).all() and (search.excess(gap, at_most) <= 1).all())
    if unchanged and at_most is None and isinstance(domain, CubeDomain) and _exceed(upper, a.bound):
        upper = tuple(map(min, upper, a_priori(a)))
    return Certificate(
        *map(Enclosure, lower, upper),
        *at,
        search.table["level"].copy(),
        search.table["index"].copy(),
        search.roots,
        f"{a.target.formula} on {domain.describe()}",
        mark,
        finished,
        before + time.perf_counter() - start,
    )


def _refine(a, domain, error, search, gap, at_most, boxes, progress, keep):
    """Look at boxes and halve the worst until the search ends."""
    saved = time.perf_counter()
    with tqdm(
        disable=not progress,
        unit="box",
        total=len(search),
        initial=len(search) - len(search.unlooked()),
    ) as bar:
        while True:
            unlooked = search.unlooked()
            for i in range(0, len(unlooked), _AT_ONCE):
                rows = unlooked[i : i + _AT_ONCE]
                search.record(rows, error.bounds(search.boxes(rows)))
                bar.update(len(rows))
                if time.perf_counter() - saved > _SAVE_EVERY:
                    keep()
                    saved = time.perf_counter()
            bar.set_postfix(
                **{name: f"{bound:.3g}" for name, bound in zip(("value", "slope"), search.upper())}
            )
            if at_most is not None and _hopeless(a, domain, error, search, at_most):
                return
            worth = search.worth(gap, at_most)
            rows = np.flatnonzero(worth > 1)
            room = (boxes - len(search)) // (2**domain.dim - 1)
            if len(rows) > room:
                rows = rows[np.argsort(-worth[rows], kind="stable")[: max(room, 0)]]
            if not len(rows):
                return
            search.split(rows)
            bar.total = bar.n + len(search.unlooked())
