"""One task, built and trained: labels on the rotations of two digits (book: chapter 09, "Built
and trained").
"""

from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from scipy.spatial import cKDTree
from torch import Tensor

from lib.errors import require
from lib.manifolds import Manifold
from lib.robustness import (
    ImageClassifier,
    attack_in_space,
    certified,
    evaluate,
    margins,
    radii,
    rotated_digits,
    train,
)

METHODS = ("built", "natural", "pgd")
AMBIENT = (0.1, 0.2, 0.4)  # Euclidean radii of attacks in the cube of pixels
PROVED = (0.005, 0.01, 0.02)  # radii of certificates in the maximum norm
RADIUS = 0.05
EPOCHS = 20
TRAINING = 4000
TEST = 500
DENSE = 8192


def nearest_change(points, labels, x, own):
    """For each point the distance to the nearest of many points with another label.

    Parameters
    ----------
    points : float64 array (Q, D)
    labels : bool array (Q,)
    x : float64 array (P, D)
    own : bool array (P,)

    Returns
    -------
    float64 array, shape (P,)
        Infinite where all have the same label.
    """
    found = np.full(len(x), np.inf)
    for label in (False, True):
        other = points[labels != label]
        if len(other) and (own == label).any():
            found[own == label] = cKDTree(other).query(x[own == label])[0]
    return found


def digits_run(method: str, seed: int) -> dict:
    """Measures of one classifier of the rotated digits.

    Parameters
    ----------
    method : str
        ``built``; or ``natural`` or ``pgd``: an `ImageClassifier` with 16 channels and 2 blocks,
        trained on 4000 labelled points of the manifold.
    seed : int
        Of weights, training points and attacks.

    Returns
    -------
    dict
        ``accuracy`` on the manifold; ``along``: median distance to the nearest point of the
        manifold with another label, among 8192; ``space r``: share of points that keep a right
        label under attack in the ball of radius r of pixel space; ``proved r``: share that is
        certified in the maximum norm (zonotopes, trained ones only); ``certified``: median
        certified radius along the manifold (built one only).

    Raises
    ------
    InputError
        For another method.
    """
    require(method in METHODS, "method", method, f"one of {METHODS}")
    a = rotated_digits()
    manifold, target = a.domain, a.target
    assert isinstance(manifold, Manifold) and target is not None
    side = round(manifold.ambient_dim**0.5)
    x, dense = manifold.draw(TEST, 1000), manifold.draw(DENSE, 1001)

    def labels(points):
        return target.values(points) > 0

    y = torch.from_numpy(labels(x).astype(np.int64))
    found = {}
    if method == "built":
        signed: Callable[[Tensor], Tensor] = partial(evaluate, a)
        predict: Callable[[np.ndarray], np.ndarray] = lambda p: (
            evaluate(a, torch.from_numpy(p)).numpy() > 0
        )
        found["certified"] = float(radii(a, torch.from_numpy(x)).median())
    else:
        points = manifold.draw(TRAINING, seed)
        model = ImageClassifier((1, side, side), 16, 2, classes=2, seed=seed)
        pictures = torch.from_numpy(points).float().view(-1, 1, side, side)
        train(
            model,
            pictures,
            torch.from_numpy(labels(points).astype(np.int64)),
            method,
            radius=RADIUS,
            epochs=EPOCHS,
            seed=seed,
        )
        model.double()

        def signed(p):
            return margins(model(p.view(-1, 1, side, side)), torch.ones(len(p), dtype=torch.int64))

        def predict(p):
            return (
                torch.cat(
                    [signed(part).detach() for part in torch.from_numpy(p).split(1024)]
                ).numpy()
                > 0
            )

    own = predict(x)
    right = torch.from_numpy(own == labels(x))
    change = nearest_change(dense, predict(dense), x, own)
    found |= {"accuracy": float(right.double().mean()), "along": float(np.median(change))}
    for radius in AMBIENT:
        changed = attack_in_space(
            signed, torch.from_numpy(x), torch.full((TEST,), radius, dtype=torch.float64), seed=seed
        )
        found[f"space {radius}"] = float((right & ~changed).double().mean())
    for radius in PROVED if method != "built" else ():
        proved = certified(model, torch.from_numpy(x).view(-1, 1, side, side), y, radius)
        found[f"proved {radius}"] = float(proved.double().mean())
    return found


def digits_cells() -> list[dict]:
    """The built network once, the trained ones for three seeds."""
    return [{"method": "built", "seed": 0}] + [
        {"method": m, "seed": seed} for m in METHODS[1:] for seed in (0, 1, 2)
    ]
