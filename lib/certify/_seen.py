"""What the bounds of boxes would tend to if these were refined: from their middles and corners, not
rigorous.  It tells a search where halving is worth it (chapter 10, branch and bound).
"""

import numpy as np
import torch

from lib.intervals import exponents

# of the radius of a box: how far its corners are within, and the step of differences there
_ASIDE = 2.0**-10


def _corners(dim):
    """The corners of a box, a little within: float array (2^p, p)."""
    signs = np.meshgrid(*[(-1.0, 1.0)] * dim, indexing="ij")
    return (1 - 2 * _ASIDE) * np.stack(signs, axis=-1).reshape(-1, dim)


def _polynomial(taylor, s):
    """The middles of the coefficients as polynomials at points (n, p) of the boxes, NaN where
    one is not known: (n, P).
    """
    middle = np.where(np.isfinite(taylor.coefficients.rad), taylor.coefficients.mid, np.nan)
    return (s[:, None] ** exponents(taylor.dim, taylor.order)).prod(2) @ middle


def missing(function, domain, boxes, at):
    """What the Taylor polynomials of the target lack at the corners of the boxes.

    In float64, by differences: on wide boxes a polynomial can be far off, and then nothing is
    seen there.

    Parameters
    ----------
    function : callable
        ``f`` at points, float64 tensor (n, D).
    domain : lib.domains.Patch
    boxes : lib.domains.Boxes
    at : Taylor
        Of ``f``, around the middles.

    Returns
    -------
    float array, shape (1 + p, 2^p, P)
        Values and slopes; NaN at corners outside the domain.
    """
    dim = at.dim
    corners = _corners(dim)
    steps = np.concatenate([np.zeros((1, dim)), _ASIDE * np.eye(dim), -_ASIDE * np.eye(dim)])
    s = (corners + steps[:, None]).reshape(-1, dim)
    places = boxes.middle[:, None] + boxes.radius[:, None, None] * s
    x = torch.from_numpy(np.ascontiguousarray(domain.points(places.reshape(-1, dim))))
    found = function(x).numpy().reshape(len(boxes), -1).T - _polynomial(at, s)
    found = found.reshape(1 + 2 * dim, len(corners), -1)
    found = np.concatenate([found[:1], (found[1 : 1 + dim] - found[1 + dim :]) / (2 * _ASIDE)])
    at_corners = places[:, : len(corners)].reshape(-1, dim)
    inside = domain.contains(at_corners).reshape(len(boxes), -1).T
    return np.where(inside, found, np.nan)


def samples(taylor, lacking, inner, middle):
    """Moduli at the middles and (unless ``inner``) at the corners of the boxes: (1 + 2^p, P).

    ``lacking`` (2^p, P) is what the polynomials of the target lack at the corners; ``middle`` (P,)
    says which middles lie in the domain: elsewhere nothing is seen.
    """
    found = np.abs(_polynomial(taylor, _corners(taylor.dim)) + lacking)
    centre = np.where(middle, np.abs(taylor.coefficients.mid[0]), 0.0)
    return np.concatenate([centre[None], np.where(np.isnan(found) | inner, centre, found)])
