"""`certify`: branch and bound over dyadic boxes, interrupted and resumed at will (book:
``thm-certificate``).
"""

import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from lib.certify._certificate import Certificate, Enclosure
from lib.certify._digest import digest
from lib.certify._error import ErrorOf
from lib.certify._file import read, write
from lib.certify._search import NORMS, Search
from lib.certify._stored import check_terms
from lib.certify._stored import read as read_stored
from lib.certify._subject import Subject, subject
from lib.certify._worst import exceeded, lower_ends
from lib.domains import CubePatch
from lib.errors import integer, positive, require
from lib.norms import Norms

_SAVE_EVERY = 20.0  # seconds
_AT_ONCE = 4096  # boxes between two looks at the clock


def certify(
    approximation: Any,
    *,
    gap: float = 0.02,
    at_most: Norms | tuple[float, float] | None = None,
    boxes: int = 200_000,
    progress: bool = False,
    checkpoint: str | Path | None = None,
) -> Certificate:
    """Enclose both norms of the error of a network over its whole domain (book:
    ``thm-certificate``).

    Parameters
    ----------
    approximation : lib.Approximation
        Its target must be a formula; its network is taken as it is, whatever its weights.
    gap : float
        Boxes are halved until no bound exceeds what further halving would lead to by more than this
        fraction.
    at_most : lib.Norms or pair of float, optional
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
        Without a formula or a domain, for a checkpoint of something else, or a
        network that is not the construction of its charts up to weights that can be read
        (`lib.certify._stored`).
    """
    start = time.perf_counter()
    goal = _Goal(
        positive("gap", gap), _pair("at_most", at_most), integer("boxes", boxes, 1), progress
    )
    s = subject(approximation)
    error = _error_of(s)
    if goal.at_most is not None:
        goal = replace(goal, shares=error.shares(goal.at_most))
    search = Search(s.patch.roots)
    record = _Checkpoint(checkpoint, digest(s), search, start)
    record.resume()
    try:
        _refine(s, error, search, goal, record)
    finally:
        record.keep()
    lower, at = lower_ends(s, error, search)
    upper = tuple(error.total(search.table))
    finished = bool(np.isfinite(upper).all() and (search.excess(gap, goal.shares) <= 1).all())
    if goal.at_most is None and _theorem_helps(s, error, upper):
        upper = tuple(map(min, upper, s.a_priori()))
    return Certificate(
        Enclosure(lower[0], upper[0]),
        Enclosure(lower[1], upper[1]),
        at[0],
        at[1],
        search.table["level"].copy(),
        search.table["index"].copy(),
        search.roots,
        s.description,
        record.digest,
        finished,
        record.seconds(),
    )


@dataclass(frozen=True)
class _Goal:
    """When the search ends; see `certify`."""

    gap: float
    at_most: tuple | None
    boxes: int
    progress: bool
    shares: tuple | None = None  # what the boxes must not exceed, so that nothing exceeds at_most


class _Checkpoint:
    """A file that is kept up to date with the table of a search, or none."""

    def __init__(self, path, mark, search, start):
        self.path = None if path is None else Path(path)
        self.digest = mark
        self._search = search
        self._start = start
        self._before = 0.0
        self._saved = start

    def seconds(self):
        """Spent until now, earlier runs included."""
        return self._before + time.perf_counter() - self._start

    def resume(self):
        """Take over a table that is there."""
        if self.path is None or not self.path.exists():
            return
        facts, arrays = read(self.path)
        require(
            facts.get("digest") == self.digest,
            "checkpoint",
            str(self.path),
            "of this network, formula and domain",
        )
        self._search.resume(facts, arrays)
        self._before = self._search.seconds

    def keep(self):
        """Write the table."""
        if self.path is not None:
            facts = {"digest": self.digest, "seconds": self.seconds()}
            write(self.path, facts, {"table": self._search.table})
        self._saved = time.perf_counter()

    def keep_now_and_then(self):
        """Write it if the last time is long ago."""
        if time.perf_counter() - self._saved > _SAVE_EVERY:
            self.keep()


def _pair(name, value):
    if value is None:
        return None
    allowed = "two positive numbers, for the value and the slope"
    require(isinstance(value, Iterable), name, value, allowed)
    found = tuple(value)
    ok = len(found) == 2 and all(isinstance(t, int | float | np.number) and t > 0 for t in found)
    require(ok, name, value, allowed)
    return tuple(map(float, found))


def _error_of(s: Subject) -> ErrorOf:
    """The error of a subject over boxes, from its stored weights."""
    c = s.construction
    check_terms(c.charts, c.order, s.cells)
    require(
        (c.charts[0].partition is None) == isinstance(s.patch, CubePatch),
        "charts",
        c.charts[0].partition,
        "with a partition of unity on a manifold, without on a cube",
    )
    pieces, damaged, unchanged = read_stored(c, s.network)
    return ErrorOf(
        s.expression, s.patch, pieces, damaged, c.order, c.refinement, s.network, unchanged
    )


def _theorem_helps(s, error, upper):
    """Whether a rigorous a priori bound is below what was found, for the network of the theorem."""
    return (
        error.unchanged
        and s.bound is not None
        and s.bound.rigorous
        and (upper[0] > s.bound.value or upper[1] > s.bound.slope)
    )


def _refine(s, error, search, goal, record):
    """Look at boxes and halve the worst until the search ends."""
    seen = len(search) - len(search.unlooked())
    with tqdm(disable=not goal.progress, unit="box", total=len(search), initial=seen) as bar:
        while True:
            unlooked = search.unlooked()
            for i in range(0, len(unlooked), _AT_ONCE):
                rows = unlooked[i : i + _AT_ONCE]
                search.record(rows, error.bounds(search.boxes(rows)))
                bar.update(len(rows))
                record.keep_now_and_then()
            found = dict(zip(NORMS, search.upper()))
            bar.set_postfix(**{name: f"{bound:.3g}" for name, bound in found.items()})
            if goal.at_most is not None and exceeded(s, error, search, goal.shares, goal.at_most):
                return
            worth = search.worth(goal.gap, goal.shares)
            rows = np.flatnonzero(worth > 1)
            room = (goal.boxes - len(search)) // (2**s.patch.dim - 1)
            if len(rows) > room:
                rows = rows[np.argsort(-worth[rows], kind="stable")[: max(room, 0)]]
            if not len(rows):
                return
            search.split(rows)
            bar.total = bar.n + len(search.unlooked())
