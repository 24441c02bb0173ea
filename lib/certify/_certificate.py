"""`certify`: branch and bound over dyadic boxes, interrupted and resumed at will (book: ``thm-certificate``)."""

import hashlib
import json
import os
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from tqdm import tqdm

from lib.approximation import Cube
from lib.certify._domains import Boxes, CubeDomain, CurveDomain, SphereFace
from lib.certify._error import ErrorOf
from lib.certify._points import attained
from lib.certify._stored import read
from lib.errors import InputError, require
from lib.manifolds import FourierCurve

FORMAT = "convresnet-certificate 1"
_BITS = 50             # of the middle of a box: it must be a float
_SAVE_EVERY = 20.0     # seconds
_AT_ONCE = 4096        # boxes between two looks at the clock
_ARRAYS = ("level", "index", "value", "gradient", "value_seen", "gradient_seen",
           "value_before", "gradient_before", "value_stalls", "gradient_stalls")
_HOPELESS = 1.05   # times a bound to be proved: where the error is so large at a point, give up
_STALLS = 3   # halvings without gain before a box is left as it is
_WORST, _POINTS = 4, 128   # boxes looked at by each criterion, points in each, for lower ends


class Enclosure(NamedTuple):
    """``lower <= sup <= upper``."""

    lower: float
    upper: float


@dataclass(frozen=True, eq=False)
class Certificate:
    """A rigorous enclosure of both norms of ``f - f~`` over a whole domain.

    Attributes
    ----------
    value, gradient : Enclosure
        Of ``sup |f - f~|`` and, on the cube, ``max_k sup |d_k (f - f~)|``, on a manifold
        ``sup |grad_M (f - f~)|``.  Lower ends are values at `value_at` and `gradient_at`.  The upper end
        of the first holds for what float64 returns too, in any order of summation; slopes are those of the exact
        function of the stored weights, wherever it has one.
    value_at, gradient_at : tuple of float
        Points of the domain, rounded to float64 on a manifold.
    level, index : int arrays, shapes (B,) and (B, p)
        The boxes: ``index * 2^-level`` to ``(index + 1) * 2^-level`` in the parameters of the domain.
    roots : tuple of int
    description, digest : str
        What was certified: domain and formula; and the digest of both and of all weights.
    complete : bool
        Whether the boxes were refined until no bound exceeded the gap, or what was to be proved.
    seconds : float
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
    complete: bool
    seconds: float

    def save(self, path):
        """Write to one file (numpy arrays and JSON; never pickle), beside its place and renamed."""
        facts = {k: v for k, v in vars(self).items() if k not in ("level", "index")}
        _write(path, facts, {"level": self.level, "index": self.index})

    @classmethod
    def load(cls, path):
        """Read what `save` wrote.

        Raises
        ------
        InputError
            If the file is missing, not ours or cut short.
        """
        facts, arrays = _read(path)
        try:
            facts = {k: Enclosure(*v) if k in ("value", "gradient") else tuple(v) if isinstance(v, list) else v
                     for k, v in facts.items()}
            return cls(**facts, **arrays)
        except TypeError as error:
            raise _broken(path, str(error)) from None


def _broken(path, what):
    return InputError(f"path = {str(path)!r}: must be a file written by a certificate; {what}")


def _write(path, facts, arrays):
    path = Path(path)
    require(path.parent.is_dir(), "path", str(path), "in a folder that exists")
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".certificate-")
    with os.fdopen(handle, "wb") as file:
        np.savez_compressed(file, facts=np.array(json.dumps({"format": FORMAT, **facts})), **arrays)
    os.chmod(name, 0o644)
    os.replace(name, path)


def _read(path):
    try:
        with np.load(path, allow_pickle=False) as file:
            facts = json.loads(str(file["facts"]))
            arrays = {k: file[k] for k in file.files if k != "facts"}
    except Exception as error:   # zip, zlib, json, numpy: each has errors of its own
        raise _broken(path, f"{type(error).__name__}: {error}") from None
    if not isinstance(facts, dict) or facts.pop("format", None) != FORMAT:
        raise _broken(path, "its format is another")
    return facts, arrays


def _domain(approximation, domain):
    """The domain of a certificate from that of an approximation."""
    if isinstance(domain, SphereFace):
        require(domain.sphere is approximation.domain, "domain", domain, "a face of the sphere of the approximation")
        return domain
    if isinstance(domain, Cube):
        return CubeDomain(domain.dim, approximation.cells)
    require(isinstance(domain, FourierCurve), "domain", domain,
            "a cube or a closed curve; of a sphere give a SphereFace (other manifolds have no chart in closed form here)")
    slope = max(float(np.linalg.norm(c.matrix)) for c in approximation.charts)
    return CurveDomain(domain, max(8, int(2 * slope * domain.volume)))   # two boxes a cell


def digest(approximation, formula, domain):
    """SHA-256 of the weights, the charts, the formula and the domain."""
    found = hashlib.sha256(f"{formula} | {domain.describe()}".encode())
    for name, tensor in approximation.network.state_dict().items():
        found.update(name.encode())
        found.update(tensor.numpy().tobytes())
    return found.hexdigest()


def _worst(a, domain, error, search):
    """Errors in float64 at random points of the worst boxes: parameters, points, and both errors (n,)."""
    rows = np.unique([r for name in _ARRAYS[2:6] for r in np.argsort(-getattr(search, name))[:_WORST]])
    boxes = search.boxes(rows)
    s = (boxes.middle[:, None] + boxes.radius[:, None, None]
         * np.random.default_rng(0).uniform(-1, 1, (len(rows), _POINTS, domain.dim))).reshape(-1, domain.dim)
    x = torch.from_numpy(np.clip(domain.points(s), 0, 1))
    network = a.network if error.damaged else a.sparse   # the same function, if no weight was changed
    (f, df), (g, dg) = a.target.value_and_gradient(x), network.value_and_gradient(x)
    return s, x, df - dg, ((f - g).abs(), a.domain.slope(x, df - dg))


def _attained(a, domain, error, search):
    """Lower ends: both errors in exact arithmetic where they are largest in float64."""
    s, x, slope, errors = _worst(a, domain, error, search)
    found = [int(e.argmax()) for e in errors]
    ends = [attained(error.expression, error.symbols, a.network, domain, s[i], slope[i].numpy()) for i in found]
    best = [max((0, 1), key=lambda i: ends[i][k]) for k in (0, 1)]
    return [ends[i][k] for k, i in enumerate(best)], [tuple(x[found[i]].tolist()) for i in best]


def _hopeless(a, domain, error, search, at_most):
    """Whether a bound that is to be proved is exceeded at a point, in float64, by more than rounding does."""
    if search.value_seen.max() <= at_most[0] and search.gradient_seen.max() <= at_most[1]:
        return False
    return any(float(e.max()) > _HOPELESS * most for e, most in zip(_worst(a, domain, error, search)[-1], at_most))


class _Search:
    """The boxes of a branch and bound; `_ARRAYS` with one row for each, NaN where it was not looked at."""

    def __init__(self, roots):
        self.index = np.stack(np.unravel_index(np.arange(int(np.prod(roots))), roots), axis=1)
        self.level = np.zeros(len(self.index), int)
        self.value, self.gradient, self.value_seen, self.gradient_seen = np.full((4, len(self.index)), np.nan)
        self.value_before, self.gradient_before = np.full((2, len(self.index)), np.inf)
        self.value_stalls, self.gradient_stalls = np.zeros((2, len(self.index)), int)
        self.seconds = 0.0

    def boxes(self, rows):
        scale = 2.0 ** -self.level[rows]
        return Boxes((self.index[rows] + 0.5) * scale[:, None], scale / 2)

    def excess(self, gap, at_most):
        """By which factor each bound exceeds what is good enough: (2, B), for value and slope.

        That is the largest value seen and the gap, or the bounds to be proved.
        """
        found = []
        for name, enough in zip(("value", "gradient"), at_most or (None, None)):
            bound, seen = getattr(self, name), getattr(self, name + "_seen")
            if enough is None:
                enough = seen[np.isfinite(seen)].max(initial=0) * (1 + gap)
            with np.errstate(divide="ignore", invalid="ignore"):
                found.append(np.where(bound > 0, bound / enough, 0))
        return np.array(found)

    def worth(self, gap, at_most):
        """The larger excess of each box: where three halvings in a row have each gained less than a hundredth it is left
        out, for there rounding rules, or a changed weight."""
        stalls = np.array([self.value_stalls, self.gradient_stalls])
        return (self.excess(gap, at_most) * (stalls < _STALLS)).max(0)

    def record(self, rows, found):
        """Keep what was found for boxes."""
        for name in _ARRAYS[2:6]:
            getattr(self, name)[rows] = getattr(found, name)
        for name in ("value", "gradient"):
            bound, before, stalls = (getattr(self, name + end) for end in ("", "_before", "_stalls"))
            gained = np.isinf(bound[rows]) | (bound[rows] < 0.99 * before[rows])
            stalls[rows] = np.where(gained, 0, stalls[rows] + 1)

    def split(self, rows):
        """Replace boxes by their ``2^p`` halves."""
        dim = self.index.shape[1]
        corners = np.stack(np.unravel_index(np.arange(2**dim), (2,) * dim), axis=1)
        index = (2 * self.index[rows][:, None] + corners).reshape(-1, dim)
        level = np.repeat(self.level[rows] + 1, 2**dim)
        kept = np.ones(len(self.level), bool)
        kept[rows] = False
        self.index, self.level = np.concatenate([self.index[kept], index]), np.concatenate([self.level[kept], level])
        new = {name: np.full(len(level), np.nan) for name in _ARRAYS[2:6]}
        for name in ("value", "gradient"):
            new[name + "_before"] = np.repeat(getattr(self, name)[rows], 2**dim)
            new[name + "_stalls"] = np.repeat(getattr(self, name + "_stalls")[rows], 2**dim)
        for name, values in new.items():
            setattr(self, name, np.concatenate([getattr(self, name)[kept], values]))


def certify(approximation, domain=None, *, gap=0.02, at_most=None, boxes=200_000, progress=False, checkpoint=None):
    """Enclose both norms of the error of a network over its whole domain (book: ``thm-certificate``).

    Parameters
    ----------
    approximation : lib.Approximation
        Its target must be a formula; its network is taken as it is, whatever its weights.
    domain : Cube, FourierCurve or SphereFace, optional
        By default that of the approximation; for a sphere a `SphereFace` must be given.
    gap : float
        Boxes are halved until no bound exceeds what further halving would lead to by more than this fraction.
    at_most : pair of float, optional
        Bounds of value and slope to be proved: instead of the gap, boxes are halved until none exceeds these, or
        until one is exceeded by five per cent at a point.
    boxes : int
        The halving stops at about so many boxes.
    progress : bool
        Show a bar.
    checkpoint : str or Path, optional
        A file that is kept up to date and from which the same call goes on after an interruption.

    Returns
    -------
    Certificate

    Raises
    ------
    InputError
        Without a formula, for a domain without closed form, a checkpoint of something else, or a network that is not
        the construction of its charts up to weights that can be read (`lib.certify._stored`).
    """
    start, a = time.perf_counter(), approximation
    require(a.target is not None and a.target.expression is not None, "target", a.target, "a formula (Target.from_sympy)")
    require(0 < gap < np.inf, "gap", gap, "positive")
    require(boxes >= 1, "boxes", boxes, "at least 1")
    require(at_most is None or len(at_most) == 2 and all(t > 0 for t in at_most), "at_most", at_most,
            "two positive numbers, for the value and the slope")
    domain = _domain(a, a.domain if domain is None else domain)
    pieces, damaged = read(a.charts, a.order, a.refinement, a.kernel_size, a.blocks, a.network)
    error = ErrorOf(a.target.expression, domain, pieces, damaged, a.order, a.refinement, a.network)
    search, mark = _Search(domain.roots), digest(a, a.target.formula, domain)
    if checkpoint is not None and Path(checkpoint).exists():
        facts, arrays = _read(checkpoint)
        require(facts.get("digest") == mark and set(arrays) == set(_ARRAYS), "checkpoint", str(checkpoint),
                "of this network, formula and domain")
        vars(search).update(arrays, seconds=facts["seconds"])

    def keep():
        if checkpoint is not None:
            search_seconds = search.seconds + time.perf_counter() - start
            _write(checkpoint, {"digest": mark, "seconds": search_seconds}, {k: getattr(search, k) for k in _ARRAYS})

    saved = time.perf_counter()
    with tqdm(disable=not progress, unit="box", total=len(search.level), initial=int((~np.isnan(search.value)).sum())) as bar:
        try:
            while True:
                open_rows = np.flatnonzero(np.isnan(search.value))
                for i in range(0, len(open_rows), _AT_ONCE):
                    rows = open_rows[i:i + _AT_ONCE]
                    search.record(rows, error.bounds(search.boxes(rows)))
                    bar.update(len(rows))
                    if time.perf_counter() - saved > _SAVE_EVERY:
                        keep()
                        saved = time.perf_counter()
                bar.set_postfix(value=f"{search.value.max():.3g}", slope=f"{search.gradient.max():.3g}")
                worth = search.worth(gap, at_most)
                if at_most is not None and _hopeless(a, domain, error, search, at_most):
                    break
                rows = np.flatnonzero((worth > 1) & (search.level < _BITS - max(domain.roots).bit_length()))
                room = (boxes - len(search.level)) // (2 ** domain.dim - 1)
                if len(rows) > room:
                    rows = rows[np.argsort(-worth[rows], kind="stable")[:max(room, 0)]]
                if not len(rows):
                    break
                search.split(rows)
                bar.total = bar.n + int(np.isnan(search.value).sum())
        except BaseException:
            keep()
            raise
    keep()
    lower, at = _attained(a, domain, error, search)
    upper = float(search.value.max()), float(search.gradient.max())
    done = bool(np.isfinite(upper).all() and (search.excess(gap, at_most) <= 1).all())
    return Certificate(*map(Enclosure, lower, upper), *at, search.level, search.index, domain.roots,
                       f"{a.target.formula} on {domain.describe()}", mark, done,
                       search.seconds + time.perf_counter() - start)
