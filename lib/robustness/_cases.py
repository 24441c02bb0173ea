"""The binary classifiers of chapter 09 that are built, for formulas on the cube and functions on
manifolds. A label is the sign of the network.
"""

from functools import cache

import numpy as np
import torch

from lib.approximation import Approximation, approximate
from lib.domains import Cube
from lib.errors import require
from lib.manifolds import Atlas, Sphere, Union, circle, ellipse, image_rotations
from lib.targets import Target

U, V = "(x1-1/2)", "(x2-1/2)"
SPACE = {
    "waves": "sin(5*x1)*cos(4*x2)-x1/4",
    # a circle against what is inside and outside of it
    "ring": f"exp(-40*({U}**2+{V}**2-1/16)**2)-3/5",
    # sin 3 t on circles, nearly constant along radii
    "tube": f"(3*{U}**2*{V}-{V}**3)/({U}**2+{V}**2+1/20)**1.5",
    "ambient": "sin(6*x1)*x2-x3/3",  # the label of the sphere, on the cube
}
ALONG = ("sphere", "curves", "pictures")
DIGITS = (2, 7)


@cache
def in_space(name: str) -> Approximation:
    """Our network for a formula on the cube.

    Parameters
    ----------
    name : str
        One of `SPACE`.

    Returns
    -------
    Approximation

    Raises
    ------
    InputError
        For another name.
    """
    require(name in SPACE, "name", name, f"one of {', '.join(SPACE)}")
    target = Target.from_sympy(SPACE[name])
    return approximate(target, Cube(target.dim), order=4, cells={2: 16, 3: 8}[target.dim])


@cache
def rotated_digits() -> Approximation:
    """All rotations of a 2 and of a 7 of scikit-learn's digits, as one manifold, and our network
    for a label on it.

    Two linear functions of the pixels are the cosine and the sine of the angle on both curves, a
    third one is 1 on one and -1 on the other; the label is the sign of ``sin 3 t`` on the first and
    of ``-sin 3 t`` on the second.

    Returns
    -------
    Approximation
    """
    from sklearn.datasets import load_digits

    found = load_digits()
    curves = [
        image_rotations(
            found.images[np.flatnonzero(found.target == k)[0]] / 16, name=f"rotations of a {k}"
        )
        for k in DIGITS
    ]
    t = np.arange(256) / 256 * 2 * np.pi
    points = np.concatenate([c.points(t) for c in curves])
    wanted = np.concatenate(
        [np.stack([np.cos(t), np.sin(t), np.full_like(t, s)], axis=1) for s in (1.0, -1.0)]
    )
    middle = points.mean(0)
    weights = torch.from_numpy(
        np.linalg.lstsq(np.c_[points - middle, np.ones(len(points))], wanted, rcond=1e-9)[0]
    )

    def label(x):
        c, s, which = (
            torch.cat([x - torch.from_numpy(middle), torch.ones_like(x[:, :1])], 1) @ weights
        ).T
        return which * s * (4 * c**2 - 1)  # sin 3 t = sin t (4 cos^2 t - 1)

    return approximate(label, Union(curves), order=4, cells=32)


@cache
def along(name: str) -> Approximation:
    """Our network for a function on a manifold.

    Parameters
    ----------
    name : str
        One of `ALONG`.

    Returns
    -------
    Approximation

    Raises
    ------
    InputError
        For another name.
    """
    require(name in ALONG, "name", name, f"one of {', '.join(ALONG)}")
    if name == "sphere":
        atlas = Atlas(Sphere(), 0.18, 0.225)  # fewer charts than would be chosen: 86
        return approximate(Target.from_sympy(SPACE["ambient"]), atlas, order=4, cells=12)
    if name == "curves":  # a circle inside an ellipse, with labels that turn
        curves = Union([circle(0.15), ellipse(0.45, 0.35)])
        return approximate(
            lambda x: torch.sin(9 * x[:, 0]) * torch.cos(7 * x[:, 1]) - 0.1,
            curves,
            order=4,
            cells=64,
        )
    return rotated_digits()
