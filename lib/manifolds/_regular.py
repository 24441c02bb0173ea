"""Zeros of formulas where gradients are linearly dependent (book: "Where the reach comes from")."""

import numpy as np

from lib.errors import require
from lib.manifolds._zeros import FINEST, boxes_of

_CLOSE = 0.01  # what is called regular is so, rounding included
_MANY = 4000  # boxes after which they are followed no further


def singular_point(surface):
    """A zero where the gradients are linearly dependent, as far as boxes can tell, or None.

    Boxes that may hold a zero and dependent gradients are halved until there are none, or very
    many, or they are tiny. From those that are left Gauss and Newton's method looks for a solution
    of ``F = 0``, ``J' l = 0``, ``|l| = 1``.

    Returns
    -------
    point : float64 array, shape (D,), or None
    """
    boxes = boxes_of(surface, 1 / 16)
    while True:
        boxes = boxes.take(boxes.regular <= _CLOSE)
        if len(boxes.centres) == 0:
            return None
        if len(boxes.centres) > _MANY and boxes.half < 1 / 100 or boxes.half < FINEST:
            break
        boxes = boxes.split()[0]
    order = np.argsort(np.linalg.norm(surface.values(boxes.centres), axis=1), kind="stable")
    for x in boxes.centres[order[:8]]:
        point = _dependent(surface, x)
        if point is not None:
            return point
    return None


def _dependent(surface, x):
    """Newton's method from one point; None if it does not arrive at a zero with dependent
    gradients.
    """
    left = np.linalg.svd(surface.jacobian(x[None])[0])[0][:, -1]
    for _ in range(60):
        value, jacobian, second = (
            f(x[None])[0] for f in (surface.values, surface.jacobian, surface.hessian)
        )
        residual = np.concatenate([value, jacobian.T @ left, [(left @ left - 1) / 2]])
        if np.abs(residual).max() <= 1e-13 * surface.scale:
            break
        top = np.hstack([jacobian, np.zeros((len(value), len(value)))])
        middle = np.hstack([np.einsum("a,aij->ij", left, second), jacobian.T])
        bottom = np.append(np.zeros(len(x)), left)[None]
        step = np.linalg.lstsq(np.vstack([top, middle, bottom]), residual, rcond=1e-10)[0]
        x, left = x - step[: len(x)], left - step[len(x) :]
        if not ((x > 0) & (x < 1)).all():
            return None
    good = (
        np.abs(value).max() <= 1e-12 * surface.scale
        and np.linalg.norm(jacobian.T @ left) <= 1e-6 * surface.scale
    )
    return x if good else None


def require_regular(surface, formulas):
    """Raise `InputError` at a zero where the gradients are dependent."""
    point = singular_point(surface)
    where = "" if point is None else ", ".join(f"{t:.6g}" for t in point)
    several = len(surface.second) > 1
    require(
        point is None,
        "formulas",
        formulas,
        f"with {'linearly independent gradients' if several else 'a gradient that is not zero'} on"
        f" the set; {'they are dependent' if several else 'it vanishes'} at about ({where})",
    )
