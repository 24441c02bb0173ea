"""The boxes of a branch and bound: a table that is whole at every moment, so that it can be
interrupted and resumed.
"""

import numpy as np

from lib.domains import Boxes
from lib.errors import require

NORMS = ("value", "slope")
BITS = 50  # of the ends of a box: its middle needs one more, and must be a float
# Both are choices, which no bound depends on: halvings without gain before a box is left as it is,
# and what a halving must leave of a bound to count (where Taylor rules it leaves a half or less).
_STALLS = 3
_GAIN = 0.99


def _row(dim):
    """One box: its place, whether it was looked at, bounds, what they tend to, bounds before the
    last halving, stalls.
    """
    floats = [(name + end, float) for end in ("", "_seen", "_before") for name in NORMS]
    return np.dtype(
        [
            ("level", np.int64),
            ("index", np.int64, (dim,)),
            ("looked", bool),
            *floats,
            *((name + "_stalls", np.int64) for name in NORMS),
        ]
    )


class Search:
    """Dyadic boxes that cover a box of roots.

    Every change is one assignment of numpy's or of an attribute: an interruption leaves the table
    as it was before or after.

    Parameters
    ----------
    roots : tuple of int

    Attributes
    ----------
    table : structured array (B,)
    seconds : float
        Spent by earlier runs.
    """

    def __init__(self, roots):
        self.roots = tuple(int(r) for r in roots)
        self.seconds = 0.0
        self.table = self._fresh(
            0, np.stack(np.unravel_index(np.arange(int(np.prod(roots))), roots), axis=1)
        )

    def _fresh(self, level, index):
        table = np.zeros(len(index), _row(len(self.roots)))
        table["level"], table["index"] = level, index
        for name in NORMS:
            table[name], table[name + "_before"] = np.inf, np.inf
        return table

    def __len__(self):
        return len(self.table)

    def upper(self):
        """The two bounds over all boxes."""
        return tuple(float(self.table[name].max()) for name in NORMS)

    def boxes(self, rows):
        scale = 2.0 ** -self.table["level"][rows]
        return Boxes((self.table["index"][rows] + 0.5) * scale[:, None], scale / 2)

    def unlooked(self):
        """Rows that were not looked at."""
        return np.flatnonzero(~self.table["looked"])

    def excess(self, gap, at_most):
        """By which factor each bound exceeds what is good enough: (2, B), for value and slope.

        That is the largest value seen and the gap, or the bounds to be proved.
        """
        found = []
        for name, enough in zip(NORMS, at_most or (None, None)):
            bound, seen = self.table[name], self.table[name + "_seen"]
            if enough is None:
                enough = seen[np.isfinite(seen)].max(initial=0) * (1 + gap)
            with np.errstate(divide="ignore", invalid="ignore"):
                found.append(np.where((bound > 0) & ~np.isinf(enough), bound / enough, 0))
        return np.array(found)

    def worth(self, gap, at_most):
        """The larger excess of each box that may be halved: where three halvings in a row have each
        gained less than a hundredth it is left out, for there rounding rules, or a changed weight.
        """
        stalls = np.array([self.table[name + "_stalls"] for name in NORMS])
        deep = self.table["level"] >= BITS - max(self.roots).bit_length()
        return (self.excess(gap, at_most) * (stalls < _STALLS)).max(0) * ~deep

    def record(self, rows, found):
        """Keep what was found for boxes, an `lib.certify._error.Found`."""
        new = self.table[rows]
        for name, bound, seen in zip(NORMS, found[:2], found[2:]):
            gained = np.isinf(bound) | (bound < _GAIN * new[name + "_before"])
            new[name], new[name + "_seen"] = bound, seen
            new[name + "_stalls"] = np.where(gained, 0, new[name + "_stalls"] + 1)
        new["looked"] = True
        self.table[rows] = new

    def split(self, rows):
        """Replace boxes by their ``2^p`` halves."""
        dim = len(self.roots)
        old = self.table[rows]
        corners = np.stack(np.unravel_index(np.arange(2**dim), (2,) * dim), axis=1)
        new = self._fresh(
            np.repeat(old["level"] + 1, 2**dim),
            (2 * old["index"][:, None] + corners).reshape(-1, dim),
        )
        for name in NORMS:
            new[name + "_before"] = np.repeat(old[name], 2**dim)
            new[name + "_stalls"] = np.repeat(old[name + "_stalls"], 2**dim)
        kept = np.ones(len(self.table), bool)
        kept[rows] = False
        self.table = np.concatenate([self.table[kept], new])

    def resume(self, facts, arrays):
        """Take over the table of a file, if its boxes cover the roots.

        Raises
        ------
        InputError
            For a table of another form, or boxes that do not cover or overlap.
        """
        table = arrays.get("table")
        require(
            table is not None and table.dtype == self.table.dtype and table.ndim == 1,
            "checkpoint",
            None if table is None else table.dtype.names,
            "a table of boxes",
        )
        require(
            covers(table["level"], table["index"], self.roots),
            "checkpoint",
            f"{len(table)} boxes",
            "of boxes that cover the domain without overlap",
        )
        seconds = facts.get("seconds")
        require(
            isinstance(seconds, float) and 0 <= seconds < np.inf, "checkpoint", seconds, "of a time"
        )
        self.table, self.seconds = table, seconds


def covers(level, index, roots):
    """Whether dyadic boxes fill ``[0, roots]`` and no two overlap, by integers only.

    Parameters
    ----------
    level, index : int arrays, shapes (B,) and (B, p)
        The boxes ``index * 2^-level`` to ``(index + 1) * 2^-level``.
    roots : tuple of int
    """
    level, index = np.asarray(level), np.asarray(index)
    if (
        level.dtype.kind != "i"
        or index.dtype.kind != "i"
        or index.shape != (*level.shape, len(roots))
        or not len(level)
    ):
        return False
    if level.min() < 0 or level.max() > BITS or index.min() < 0:
        return False
    if (index >= np.array(roots) * 2 ** level[:, None]).any():
        return False
    volume = 0
    deepest = int(level.max())
    boxes = set()
    for k in np.unique(level)[::-1].tolist():  # from the smallest boxes on
        mine = list(map(tuple, index[level == k].tolist()))
        if len(set(mine)) < len(mine):
            return False
        volume += len(mine) << (len(roots) * (deepest - k))
        boxes.update((k, *place) for place in mine)
    for k, *place in boxes:  # no box within another
        if any((k - up, *(i >> up for i in place)) in boxes for up in range(1, k + 1)):
            return False
    total = 1
    for r in roots:
        total *= int(r)
    return volume == total << (len(roots) * deepest)
