"""The ensemble of attacks of the Adversarial Robustness Toolbox, as a check of our own (book:
chapter 09).
"""

import numpy as np
import torch
from jaxtyping import Bool
from torch import Tensor, nn

from lib.errors import InputError, positive
from lib.robustness._attacks import project
from lib.robustness._model import scored
from lib.robustness._pixels import UNIT, labels, pictures, radius_of


def ensemble(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    radius: float,
    *,
    iterations: int = 100,
    queries: int = 1000,
    seed: int = 0,
    limits: tuple[float, float] = UNIT,
) -> Bool[Tensor, " P"]:
    """Which pictures keep their label under four kept attacks, one after the other, within a ball
    of the maximum norm.

    Auto-PGD on the cross entropy and on the difference of logits ratio (Croce and Hein 2020),
    DeepFool, and Square (queries only), as implemented by ``adversarial-robustness-toolbox``; each
    attacks what has withstood the ones before.

    Parameters
    ----------
    model : nn.Module
    x, y : tensors (P, C, H, W) and (P,)
    radius : float
    iterations : int
        Of Auto-PGD, with two restarts.
    queries : int
        Of Square.
    seed : int
        Of numpy's global generator, which these attacks use.
    limits : pair of float
        The declared range of pixel values.

    Returns
    -------
    bool tensor, shape (P,)

    Raises
    ------
    InputError
        As `attack`, and if the toolbox is not installed (it comes with the extra ``attacks``).
    """
    low, high = pictures("x", x, limits)
    radius = radius_of(positive("radius", radius), x, "linf", (low, high))
    with torch.no_grad():
        classes = scored(model, x).shape[1]
    labels("y", y, len(x), classes)
    try:
        from art.attacks.evasion import (
            AutoAttack,
            AutoProjectedGradientDescent,
            DeepFool,
            SquareAttack,
        )
        from art.estimators.classification import PyTorchClassifier
    except ImportError:
        raise InputError(
            "ensemble: must be called with adversarial-robustness-toolbox installed, "
            "as by the extra `attacks`"
        ) from None
    np.random.seed(seed)
    classifier = PyTorchClassifier(
        model,
        loss=torch.nn.CrossEntropyLoss(),
        input_shape=tuple(x.shape[1:]),
        nb_classes=classes,
        clip_values=(low, high),
        device_type="cpu",
    )
    gradient = dict(
        estimator=classifier,
        norm=np.inf,
        eps=radius,
        eps_step=radius / 4,
        max_iter=iterations,
        nb_random_init=2,
        batch_size=500,
        verbose=False,
    )
    attacks = [
        AutoProjectedGradientDescent(loss_type="cross_entropy", **gradient),
        AutoProjectedGradientDescent(loss_type="difference_logits_ratio", **gradient),
        DeepFool(
            classifier=classifier,
            max_iter=iterations,
            epsilon=1e-3,
            nb_grads=classes,
            batch_size=500,
            verbose=False,
        ),
        SquareAttack(
            estimator=classifier,
            norm=np.inf,
            max_iter=queries,
            eps=radius,
            nb_restarts=1,
            batch_size=500,
            verbose=False,
        ),
    ]
    auto = AutoAttack(
        estimator=classifier,
        norm=np.inf,
        eps=radius,
        eps_step=radius / 4,
        attacks=attacks,
        batch_size=500,
    )
    found = torch.from_numpy(auto.generate(x.numpy(), y.numpy()))
    # what the toolbox lets out by rounding does not count
    found = project(found, x, radius, "linf", limits)
    with torch.no_grad():
        return scored(model, found).argmax(1) == y
