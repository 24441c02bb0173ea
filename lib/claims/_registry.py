"""The registry of claims: one entry per checkable statement of the book, under the statement's
label.
"""

import inspect
import time
from collections.abc import Callable
from concurrent.futures import as_completed
from dataclasses import dataclass

from lib.claims._processes import one_thread_each
from lib.claims._report import code_digest
from lib.errors import require
from lib.experiments import versions
from lib.norms import Norms

KINDS = ("exact", "certified", "sampled")  # of evidence, from the strongest to the weakest
REGISTRY = {}


@dataclass(frozen=True)
class Evidence:
    """What a check that has passed says about its statement.

    Attributes
    ----------
    kind : str
        ``exact`` (rational or symbolic arithmetic), ``certified`` (rigorous enclosure) or
        ``sampled`` (maximum over stated points: can refute, never prove).  What is about every
        function, matrix, network or atlas is sampled, however each of those tried is decided.
    reason : str or None
        What stands in the way of deciding a statement that is sampled.
    """

    kind: str
    reason: str | None = None


EXACT, CERTIFIED = Evidence("exact"), Evidence("certified")


def sampled(reason):
    """The evidence of a statement that is tried at some points only, for this reason."""
    return Evidence("sampled", reason)


@dataclass(frozen=True)
class Claim:
    """A statement of the book and its check.

    Attributes
    ----------
    id : str
        The label of the statement.
    chapter : int
    uses : tuple of str
        The statements its proof refers to.
    evidence : Evidence
    grid : tuple of dict
        Parameters of the points at which it is checked.
    full : tuple of dict
        Further, larger points, checked on demand.
    check : callable
        ``check(build, **params) -> (bound, measured)``, two numbers or two `Norms`; the claim holds
        if ``measured <= bound``.
    honest, tampered : callable
        Two values of ``build``, which constructs what is checked: as the book does, and in a way
        that the check must reject at one grid point at least.
    wrong : str
        What is wrong with the tampered construction, for the reader of the book.
    """

    id: str
    chapter: int
    uses: tuple
    evidence: Evidence
    grid: tuple
    full: tuple
    check: Callable
    honest: Callable
    tampered: Callable
    wrong: str

    @property
    def source(self):
        """``file:function`` of the check, relative to the project."""
        return f"lib/claims/{self.check.__module__.rsplit('.', 1)[1]}.py:{self.check.__name__}"

    def point(self, params, tampered=False):
        """Check one grid point.

        Returns
        -------
        list of dict
            ``params``, ``norm``, ``bound``, ``measured``, ``passed``: one row with the norm None
            where the check compares numbers; two, ``value`` and ``slope``, where it compares norms.
        """
        bound, measured = self.check(self.tampered if tampered else self.honest, **params)
        names = ("value", "slope")
        if not isinstance(bound, Norms):
            names, bound, measured = (None,), (bound,), (measured,)
        return [
            {
                "params": params,
                "norm": norm,
                "bound": float(most),
                "measured": float(found),
                "passed": float(found) <= float(most),
            }
            for norm, most, found in zip(names, bound, measured, strict=True)
        ]


def claim(*, uses, evidence, grid, honest, tampered, full=()):
    """Decorator: register a check; the label of its statement is its name, with hyphens.

    Parameters
    ----------
    tampered : pair
        What is wrong with the tampered construction, in words, and the construction.
    uses, evidence, grid, honest, full
        See `Claim`.
    """
    wrong, build = tampered

    def register(check):
        label = check.__name__.replace("_", "-")
        require(label not in REGISTRY, "label", label, "registered once")
        REGISTRY[label] = Claim(
            id=label,
            chapter=int(check.__module__[-2:]),
            uses=tuple(uses),
            evidence=evidence,
            grid=tuple(grid),
            full=tuple(full),
            check=check,
            honest=honest,
            tampered=build,
            wrong=wrong,
        )
        return check

    return register


def grid(**axes):
    """All combinations of the given values, as a list of dicts."""
    points = [{}]
    for name, values in axes.items():
        points = [{**p, name: v} for p in points for v in values]
    return points


def select(ids=None):
    """The claims with these ids, in the order of the book; all of them by default.

    Raises
    ------
    InputError
        For an unknown id.
    """
    for label in ids or ():
        require(label in REGISTRY, "claim", label, f"one of {' '.join(REGISTRY)}")
    return [c for c in REGISTRY.values() if not ids or c.id in ids]


def verify(claims, progress=lambda items: items, full=False, jobs=1):
    """Check claims at every grid point.

    Parameters
    ----------
    claims : list of Claim
    progress : callable
        Wraps a list with an item for each claim, for a progress bar.
    full : bool
        Check the larger grid points too.
    jobs : int
        Number of processes; each of several uses one thread.

    Returns
    -------
    dict
        ``{"versions": .., "code": .., "claims": [..]}``, ready for JSON.
    """
    made_by = {"versions": versions(), "code": code_digest()}
    if min(jobs, len(claims)) <= 1:
        return {**made_by, "claims": [_row(c, full) for c in progress(claims)]}
    with one_thread_each(jobs) as pool:
        # the last chapters first: their claims take longest
        tasks = {c.id: pool.submit(_row_of, c.id, full) for c in reversed(claims)}
        try:
            for _, done in zip(progress(claims), as_completed(tasks.values())):
                done.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return {**made_by, "claims": [tasks[c.id].result() for c in claims]}


def _row_of(label, full):
    """The row of a claim in a new process, where importing this module has imported the package,
    which fills the registry.
    """
    return _row(REGISTRY[label], full)


def _row(c, full):
    start = time.perf_counter()
    points = [row for p in c.grid + (c.full if full else ()) for row in c.point(p)]
    ratios = [p["measured"] / p["bound"] for p in points if p["bound"] > 0]
    return {
        "id": c.id,
        "chapter": c.chapter,
        "uses": list(c.uses),
        "evidence": c.evidence.kind,
        "reason": c.evidence.reason,
        "rests_on": rests_on(c),
        "points": points,
        "worst_ratio": max(ratios, default=None),
        "passed": all(p["passed"] for p in points),
        "seconds": round(time.perf_counter() - start, 3),
        "source": c.source,
        "line": inspect.getsourcelines(c.check)[1],
    }


def worst(points):
    """For each norm that occurs, the row of largest ratio, or of most violations.

    Parameters
    ----------
    points : list of dict
        The rows of a claim in the report of `verify`.

    Returns
    -------
    dict
        From value, slope and None, as far as they occur, to a row.
    """
    found = {}
    for row in points:
        found.setdefault(row["norm"], []).append(row)
    return {norm: max(rows, key=_size) for norm, rows in found.items()}


def _size(row):
    return row["measured"] / row["bound"] if row["bound"] > 0 else row["measured"]


def rests_on(c):
    """The weakest kind of evidence among a claim and all that its proof refers to, directly or
    not.
    """
    found = {c.id}
    todo = [c.id]
    while todo:
        new = set(REGISTRY[todo.pop()].uses) - found
        found |= new
        todo += new
    return max((REGISTRY[label].evidence.kind for label in found), key=KINDS.index)
