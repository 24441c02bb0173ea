"""Manifolds by name, or by the formulas of a level set, as the command line takes them (book:
chapter 06).
"""

import re
from collections.abc import Callable

from lib.errors import require
from lib.manifolds._base import Manifold
from lib.manifolds._closed_forms import RotationGroup, Sphere
from lib.manifolds._curves import circle, ellipse, trefoil
from lib.manifolds._level_sets import LevelSet, ellipsoid, peanut, torus

NAMES: dict[str, Callable[[], Manifold]] = {
    "circle": circle,
    "ellipse": ellipse,
    "trefoil": trefoil,
    "sphere": Sphere,
    "ellipsoid": ellipsoid,
    "torus": torus,
    "peanut": peanut,
    "so3": RotationGroup,
}


def manifold(text: str, dim: int | None = None) -> Manifold:
    """The manifold of a name, or the zeros of formulas.

    Parameters
    ----------
    text : str
        One of `NAMES`, or formulas in ``x1 .. xD`` separated by semicolons, whose common zeros in
        the open unit cube are meant (`LevelSet`).
    dim : int, optional
        ``D`` of the formulas; by default that of the last coordinate in them.  That of the manifold
        for a name.

    Raises
    ------
    InputError
        For another name, a formula that cannot be read, or zeros that are no manifold.
    """
    name = text.strip().lower()
    if name in NAMES:
        found = NAMES[name]()
        require(dim in (None, found.ambient_dim), "dim", dim, f"{found.ambient_dim} for {name}")
        return found
    coordinates = [int(k) for k in re.findall(r"\bx([1-9]\d*)\b", text)]
    require(
        len(coordinates) > 0, "manifold", text, f"one of {', '.join(NAMES)}, or a formula in x1, x2"
    )
    formulas = [part.strip() for part in text.split(";")]
    return LevelSet(formulas, max(coordinates) if dim is None else dim, f"zeros of {text.strip()}")
