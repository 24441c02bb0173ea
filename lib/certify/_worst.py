"""The error at points of the worst boxes: lower ends, and whether a bound can still be proved
(book: ``thm-certificate``).
"""

from typing import NamedTuple

import numpy as np
import torch

from lib.certify._points import attained
from lib.certify._search import NORMS
from lib.domains import Boxes

_HOPELESS = 1.05  # times a bound to be proved: where the error is so large at a point, give up
_WORST, _POINTS = 4, 128  # boxes looked at by each criterion, points in each
_ANYWHERE = 4096  # other points


class _Seen(NamedTuple):
    """Errors in float64 at points: parameters (n, p), points (n, D), gradients of the error
    (n, D), and the errors in value and in slope, each (n,).
    """

    parameters: np.ndarray
    points: torch.Tensor
    gradients: torch.Tensor
    errors: tuple


def _look(subject, error, search):
    """At random points of the worst boxes and of the whole domain."""
    patch = subject.patch
    columns = [search.table[name + end] for name in NORMS for end in ("", "_seen")]
    rows = np.unique([r for column in columns for r in np.argsort(-column)[:_WORST]])
    boxes = search.boxes(rows)
    shape = (len(rows), _POINTS, patch.dim)
    rng = np.random.default_rng(0)
    off = boxes.radius[:, None, None] * rng.uniform(-1, 1, shape)
    anywhere = rng.uniform(0, search.roots, (_ANYWHERE, patch.dim))
    anywhere = anywhere[patch.counts(Boxes(anywhere, np.zeros(_ANYWHERE)))]
    s = np.concatenate([(boxes.middle[:, None] + off).reshape(-1, patch.dim), anywhere])
    x = torch.from_numpy(np.clip(patch.points(s), 0, 1))
    # the same function, if no weight was changed
    network = subject.construction.sparse if error.unchanged else subject.network
    f, df = subject.target.value_and_gradient(x)
    g, dg = network.value_and_gradient(x)
    return _Seen(s, x, df - dg, ((f - g).abs(), subject.domain.slope(x, df - dg)))


def lower_ends(subject, error, search):
    """Both errors in exact arithmetic where they are largest in float64.

    Returns
    -------
    ends : list of two floats
    points : list of two tuples of float
        Where they are attained.
    """
    seen = _look(subject, error, search)
    place = [int(e.argmax()) for e in seen.errors]
    ends = [
        attained(
            error.expression,
            error.symbols,
            subject.network,
            subject.patch,
            seen.parameters[i],
            seen.gradients[i].numpy(),
        )
        for i in place
    ]
    best = [max((0, 1), key=lambda i: ends[i][k]) for k in (0, 1)]
    points = [tuple(seen.points[place[i]].tolist()) for i in best]
    return [ends[i][k] for k, i in enumerate(best)], points


def exceeded(subject, error, search, shares, at_most):
    """Whether a bound that is to be proved is exceeded at a point, in float64, by more than
    rounding does.
    """
    if all(search.table[name + "_seen"].max() <= most for name, most in zip(NORMS, shares)):
        return False
    errors = _look(subject, error, search).errors
    return any(float(e.max()) > _HOPELESS * most for e, most in zip(errors, at_most))
