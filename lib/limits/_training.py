"""Training a network on the value, or on value and slope, of a target (book: chapter 08, "From
proof to training").
"""

from collections.abc import Iterable

import numpy as np
import torch
from jaxtyping import Float64
from torch import nn

from lib.errors import positive
from lib.targets import Target

WARM_UP = 0.05  # part of the training in which the step size grows


def fit(
    network: nn.Module,
    target: Target,
    spent: Iterable[float],
    *,
    rate: float,
    slopes: bool,
    batch: int = 256,
    seed: int = 0,
) -> Float64[np.ndarray, " steps"]:
    """Train all parameters of a network by Adam, step size by warm-up and cosine, with new random
    points in every step.

    The loss is the mean squared error of the value over the mean square of the target; with
    ``slopes`` the same for the gradient is added.  The norm of the gradient of the loss is cut at
    1.

    Parameters
    ----------
    network : nn.Module
        (P, D) -> (P,), changed in place; points have the dtype of its parameters.
    target : lib.Target
    spent : iterable of float
        What part of the training is behind, from 0 to 1: one step for each number.
    rate : float
        Largest step size.
    slopes : bool
    batch : int
        Points a step.
    seed : int
        Of the points.

    Returns
    -------
    float64 array, shape (steps,)
        The losses; the network is left as after the last step.
    """
    positive("rate", rate)
    generator = torch.Generator().manual_seed(seed)
    dtype = next(network.parameters()).dtype
    x = torch.rand(4096, target.dim, generator=generator, dtype=torch.float64)
    size = [float((g**2).mean()) for g in target.value_and_gradient(x)]
    optimizer = torch.optim.Adam(network.parameters(), lr=rate)
    losses = []
    for part in spent:
        for group in optimizer.param_groups:
            group["lr"] = rate * min(1, (part + 1e-3) / WARM_UP) * (1 + np.cos(np.pi * part)) / 2
        x = torch.rand(batch, target.dim, generator=generator, dtype=torch.float64)
        f, df = (g.to(dtype) for g in target.value_and_gradient(x))
        x = x.to(dtype).requires_grad_(slopes)
        value = network(x)
        loss = ((value - f) ** 2).mean() / size[0]
        if slopes:
            (gradient,) = torch.autograd.grad(value.sum(), x, create_graph=True)
            loss = loss + ((gradient - df) ** 2).mean() / size[1]
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        losses.append(float(loss.detach()))
    return np.array(losses)
