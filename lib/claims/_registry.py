"""The registry of claims: one entry per checkable statement of the book, under the statement's
label.
"""

import inspect
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context

import torch
from threadpoolctl import threadpool_limits

from lib.claims._reasons import REASONS
from lib.errors import require
from lib.experiments import versions

EVIDENCE = ("exact", "certified", "sampled")
REGISTRY = {}


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
    evidence : str
        ``exact`` (rational or symbolic arithmetic), ``certified`` (rigorous enclosure) or
        ``sampled`` (maximum over stated points: can refute, never prove).  What is about every
        function, matrix, network or atlas is sampled, however each of those tried is decided;
        `REASONS` says how.
    grid : tuple of dict
        Parameters of the points at which it is checked.
    full : tuple of dict
        Further, larger points, checked on demand.
    check : callable
        ``check(build, **params) -> (bound, measured)``; the claim holds if ``measured <= bound``.
    honest, tampered : callable
        Two values of ``build``: the construction of the book, and one that the check must reject
        at one grid point at least.
    """

    id: str
    chapter: int
    uses: tuple
    evidence: str
    grid: tuple
    full: tuple
    check: Callable
    honest: Callable
    tampered: Callable

    @property
    def source(self):
        """``file:function`` of the check, relative to the project."""
        return f"lib/claims/{self.check.__module__.rsplit('.', 1)[1]}.py:{self.check.__name__}"

    def point(self, params, tampered=False):
        """Check one grid point; returns a dict with ``params``, ``bound``, ``measured``,
        ``passed``.
        """
        bound, measured = self.check(self.tampered if tampered else self.honest, **params)
        bound, measured = float(bound), float(measured)
        return {
            "params": params,
            "bound": bound,
            "measured": measured,
            "passed": bool(measured <= bound),
        }


def claim(label, *, uses, evidence, grid, honest, tampered, full=()):
    """Decorator: register a check under the label of its statement."""

    def register(check):
        chapter = int(check.__module__[-2:])
        require(evidence in EVIDENCE, "evidence", evidence, f"one of {EVIDENCE}")
        require(label not in REGISTRY, "label", label, "registered once")
        REGISTRY[label] = Claim(
            label, chapter, tuple(uses), evidence, tuple(grid), tuple(full), check, honest, tampered
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
        require(label in REGISTRY, "claim", label, f"one of {', '.join(REGISTRY)}")
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
        ``{"versions": .., "claims": [..]}``, ready for JSON.
    """
    if min(jobs, len(claims)) <= 1:
        return {"versions": versions(), "claims": [_row(c, full) for c in progress(claims)]}
    with ProcessPoolExecutor(jobs, get_context("spawn"), _one_thread) as pool:
        # the last chapters first: their claims take longest
        tasks = {c.id: pool.submit(_row_of, c.id, full) for c in reversed(claims)}
        try:
            for _, done in zip(progress(claims), as_completed(tasks.values())):
                done.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return {"versions": versions(), "claims": [tasks[c.id].result() for c in claims]}


def _one_thread():
    torch.set_num_threads(1)
    threadpool_limits(1)  # the BLAS of numpy


def _row_of(label, full):
    import lib.claims  # noqa: F401  (fills the registry of a new process)

    return _row(REGISTRY[label], full)


def _row(c, full):
    start = time.perf_counter()
    points = [c.point(p) for p in c.grid + (c.full if full else ())]
    ratios = [p["measured"] / p["bound"] for p in points if p["bound"] > 0]
    return {
        "id": c.id,
        "chapter": c.chapter,
        "uses": list(c.uses),
        "evidence": c.evidence,
        "reason": REASONS.get(c.id),
        "rests_on": rests_on(c),
        "points": points,
        "worst_ratio": max(ratios, default=None),
        "passed": all(p["passed"] for p in points),
        "seconds": round(time.perf_counter() - start, 3),
        "source": c.source,
        "line": inspect.getsourcelines(c.check)[1],
    }


def rests_on(c):
    """The weakest evidence among a claim and all that its proof refers to, directly or not."""
    found = {c.id}
    todo = [c.id]
    while todo:
        new = set(REGISTRY[todo.pop()].uses) - found
        found |= new
        todo += new
    return max((REGISTRY[label].evidence for label in found), key=EVIDENCE.index)
