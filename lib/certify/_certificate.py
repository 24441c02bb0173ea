"""What a certificate says, and its form on disk (book: ``thm-certificate``)."""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import numpy as np

from lib.certify._file import broken, read, write
from lib.certify._search import NORMS
from lib.errors import InputError, refuse, require
from lib.norms import Norms, renamed


class Enclosure(NamedTuple):
    """``lower <= sup <= upper``."""

    lower: float
    upper: float


@dataclass(frozen=True, eq=False)
class Certificate(Norms):
    """A rigorous enclosure of both norms of ``f - f~`` over a whole domain, ``f~`` the exact
    function of the stored weights.

    Attributes
    ----------
    value, slope : Enclosure
        Of ``sup |f - f~|`` and, on the cube, ``max_k sup |d_k (f - f~)|``, on a manifold ``sup
        |grad_M (f - f~)|``.  Lower ends are values at `value_at` and `slope_at`.  Slopes are
        those of ``f~`` wherever it has one.
    value_at, slope_at : tuple of float
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
    What is compared and added is `upper` or `lower`: of the intervals themselves ``<=``, sums and
    `at` are refused.  Two certificates are equal only if they are the same object.

    On the cube and for unchanged weights ``value.upper`` holds for what float64 returns at floats,
    too (``lem-rounding``): for ``network(x)``, each sum of products in any order, with or without
    fused multiply-add, rounded to nearest, and for the sparse evaluation.  Not for TF32, autocast,
    float32, Winograd or other fast convolutions, flush-to-zero; and not for changed weights, nor on
    manifolds, where floats are not points of the domain.
    """

    value_at: tuple
    slope_at: tuple
    level: np.ndarray
    index: np.ndarray
    roots: tuple
    description: str
    digest: str
    search_finished: bool
    seconds: float

    def __post_init__(self):
        check_form(self)

    def _by_its_ends(self, *_: Any, **__: Any) -> NoReturn:
        """Refused: tuples would be compared by their first entries, and strung together."""
        refuse("certificate", self.description, "compared and added by its .upper or .lower")

    __le__ = __ge__ = __add__ = __radd__ = __mul__ = __rmul__ = _by_its_ends
    steeper = maximum = at = _by_its_ends
    __eq__ = object.__eq__
    __hash__ = object.__hash__

    gradient_at = renamed("gradient_at", "slope_at")
    complete = renamed("complete", "search_finished")

    @property
    def upper(self) -> Norms:
        """The upper ends: proved, ``sup |f - f~|`` and the slope are at most these."""
        return Norms(self.value.upper, self.slope.upper)

    @property
    def lower(self) -> Norms:
        """The lower ends."""
        return Norms(self.value.lower, self.slope.lower)

    def save(self, path: str | Path) -> None:
        """Write to one file (numpy arrays and JSON; never pickle), beside its place and renamed."""
        facts = {k: v for k, v in vars(self).items() if k not in ("level", "index")}
        write(path, facts, {"level": self.level, "index": self.index})

    @classmethod
    def load(cls, path: str | Path) -> "Certificate":
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
    for name, kind in (("value_at", float), ("slope_at", float), ("roots", int)):
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
