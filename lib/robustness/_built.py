"""Certified radii of the networks of Theorems A and B, and attacks on them (book: ``thm-radius``).

A network ``f~`` classifies by its sign.  Points are float64 tensors (P, D).
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import product
from math import pi

import numpy as np
import sympy
import torch
from jaxtyping import Bool, Float64
from torch import Tensor

from lib.approximation import Approximation
from lib.domains import Cube
from lib.errors import refuse, require
from lib.formulas import bound_on_cube, variables
from lib.manifolds import Manifold
from lib.robustness._attacks import pgd
from lib.robustness._pixels import NORMS, UNIT, finite, pictures
from lib.targets import Target


def target_slope(target: Target, norm: str) -> float:
    """An upper bound of ``sup |grad f|`` over the cube, in the norm dual to ``norm``.

    Parameters
    ----------
    target : Target
        Made from a formula.
    norm : str
        ``l2``: Euclidean length of the gradient; ``linf``: sum of the moduli of its entries.

    Returns
    -------
    float
        Rigorous, by interval arithmetic with subdivision.

    Raises
    ------
    InputError
        For another norm, or a target without a formula.
    """
    require(norm in NORMS, "norm", norm, f"one of {NORMS}")
    require(
        target.expression is not None, "target", target.formula, "one that was made from a formula"
    )
    return _slope(target.expression, target.dim, norm)


@lru_cache
def _slope(expression, dim, norm):
    slopes = [sympy.diff(expression, x) for x in variables(dim)]
    if norm == "l2":
        return float(np.nextafter(bound_on_cube(sum(s**2 for s in slopes), dim) ** 0.5, np.inf))
    # the sum of moduli is the largest of the sums with signs, and those come in pairs
    return max(
        bound_on_cube(sum(e * s for e, s in zip((1, *signs), slopes)), dim)
        for signs in product((-1, 1), repeat=dim - 1)
    )


def lipschitz(approximation: Approximation, norm: str) -> float:
    """A Lipschitz constant of the network of Theorem A on the cube, with respect to a norm of
    perturbations (``thm-radius``).

    Parameters
    ----------
    approximation : Approximation
        On a cube, of a target with a formula.
    norm : str
        ``l2`` or ``linf``.

    Returns
    -------
    float
        `target_slope` plus ``sqrt(D) eps`` or ``D eps``, ``eps`` the bound of every partial
        derivative of the error.

    Raises
    ------
    InputError
        For an approximation that is not on a cube, or has no target or bound.
    """
    domain = approximation.domain
    require(isinstance(domain, Cube), "approximation", domain, "an approximation on a cube")
    target, bound = _known(approximation)
    dim = approximation.dim
    return target_slope(target, norm) + {"l2": dim**0.5, "linf": dim}[norm] * bound.slope


def _known(approximation):
    """The target and the bound of an approximation."""
    target, bound = approximation.target, approximation.bound
    if target is None or bound is None:
        refuse("approximation", approximation, "one with a target and a bound")
    return target, bound


def lipschitz_along(approximation: Approximation, points: int = 1 << 14) -> float:
    """The largest tangential slope of the network of Theorem B: of the target at sample points,
    plus the bound of the error.

    The first part is sampled, so this is no proof; on circles and spheres slopes of targets can be
    had exactly.

    Raises
    ------
    InputError
        For an approximation that is not on a manifold, or has no target or bound.
    """
    domain = approximation.domain
    if not isinstance(domain, Manifold):
        refuse("approximation", domain, "an approximation on a manifold")
    target, bound = _known(approximation)
    largest = 0.0
    for x in domain.batches(points):
        largest = max(largest, float(domain.slope(x, target.value_and_gradient(x)[1]).max()))
    return largest + bound.slope


def radii(approximation: Approximation, x: Tensor, norm: str = "l2") -> Float64[Tensor, " P"]:
    """How far each point can be moved without a change of the sign of the network: certified radii
    (``thm-radius``).

    Parameters
    ----------
    approximation : Approximation
        On a cube or on a manifold.
    x : float64 tensor (P, D)
        Points of the domain; outside the cube they are refused.
    norm : str
        On a cube ``l2`` or ``linf``, and moves within the cube; on a manifold ``l2``, and moves to
        points of it.

    Returns
    -------
    float64 tensor, shape (P,)
    """
    require(
        approximation.bound is not None and approximation.unchanged,
        "approximation",
        "changed weights",
        "the construction: its bound holds for no other network",
    )
    values = approximation.sparse.value_and_gradient(x)[0].abs()
    if isinstance(approximation.domain, Cube):
        pictures("x", x, UNIT)
        return values / lipschitz(approximation, norm)
    require(norm == "l2", "norm", norm, "l2 on a manifold")
    domain = approximation.domain
    if not isinstance(domain, Manifold):
        refuse("approximation", domain, "an approximation on a cube or on a manifold")
    length = values / lipschitz_along(approximation)
    tau = domain.reach
    return 2 * tau * torch.sin((length / (2 * tau)).clamp_max(pi / 2))


class _WithSlopes(torch.autograd.Function):
    """An evaluator of values and gradients as a differentiable function, for attacks of first
    order.
    """

    @staticmethod
    def forward(ctx, x, evaluator):
        value, gradient = evaluator.value_and_gradient(x.detach())
        ctx.save_for_backward(gradient)
        return value

    @staticmethod
    def backward(ctx, upstream):
        return upstream[:, None] * ctx.saved_tensors[0], None


def evaluate(approximation: Approximation, x: Float64[Tensor, "P D"]) -> Float64[Tensor, " P"]:
    """The network at points (P, D), with first derivatives for torch."""
    return _WithSlopes.apply(x, approximation.evaluator)


def attack_in_space(
    function: Callable[[Tensor], Tensor],
    x: Tensor,
    radius: Tensor,
    norm: str = "l2",
    steps: int = 20,
    seed: int = 0,
    limits: tuple[float, float] = UNIT,
) -> Bool[Tensor, " P"]:
    """Look for a change of sign within a ball around each point and within a cube, by projected
    gradient ascent.

    Parameters
    ----------
    function : callable
        Points (P, D) to values (P,), differentiable; for `evaluate` with an approximation
        `functools.partial` will do.
    x : float64 tensor (P, D)
        Within ``limits``.
    radius : float64 tensor (P,)
    norm : str
    steps : int
        From ``x`` and from a random point of the ball.
    seed : int
    limits : pair of float
        The cube, the same in all coordinates.

    Returns
    -------
    bool tensor, shape (P,)
        Where the sign changes.

    Raises
    ------
    InputError
        As `pgd`, and for a value that is not finite, which has no sign.
    """

    def signs(point):
        values = function(point).detach()
        finite("function(x)", values)
        return torch.sign(values)

    pictures("x", x, limits)
    sign = signs(x)
    found = torch.zeros(len(x), dtype=torch.bool)
    for generator in (None, torch.Generator().manual_seed(seed)):
        point = pgd(
            lambda p: -sign * function(p),
            x,
            radius,
            norm=norm,
            steps=steps,
            generator=generator,
            limits=limits,
        )
        found |= signs(point) != sign
    return found


def attack_along(
    approximation: Approximation,
    x: Float64[Tensor, "P D"],
    radius: Float64[Tensor, " P"],
    steps: int = 20,
    seed: int = 0,
) -> Bool[Tensor, " P"]:
    """Look for a change of sign at points of the manifold within a Euclidean distance of each
    point.

    Gradient ascent along the manifold: a step in the tangent space, back to the manifold, and
    towards ``x`` where it has gone too far; points farther away than the radius do not count.

    Parameters
    ----------
    approximation : Approximation
        On a manifold.
    x : float64 tensor (P, D)
    radius : float64 tensor (P,)
    steps, seed : int

    Returns
    -------
    bool tensor, shape (P,)

    Raises
    ------
    InputError
        For an approximation that is not on a manifold.
    """
    manifold = approximation.domain
    if not isinstance(manifold, Manifold):
        refuse("approximation", manifold, "an approximation on a manifold")
    rng = np.random.default_rng(seed)
    centre = x.numpy()
    far = radius.numpy()
    evaluator = approximation.evaluator
    sign = np.sign(evaluator.value_and_gradient(x)[0].numpy())
    found = np.zeros(len(x), bool)

    def moved(point, direction, length):
        basis = manifold.tangent_basis(point)
        along = (basis @ (np.swapaxes(basis, 1, 2) @ direction[..., None]))[..., 0]
        size = np.maximum(np.linalg.norm(along, axis=1, keepdims=True), 1e-300)
        point = manifold.project(point + length[:, None] * along / size)
        # back to just inside the ball: returning to the manifold leads outwards again
        for _ in range(3):
            away = np.linalg.norm(point - centre, axis=1)
            out = away > far
            shrink = (0.998 * far[out] / away[out])[:, None]
            point[out] = manifold.project(centre[out] + shrink * (point[out] - centre[out]))
        return point

    for start in (False, True):
        point = (
            moved(centre, rng.normal(size=centre.shape), far * rng.random(len(x)))
            if start
            else centre
        )
        for _ in range(steps + 1):
            value, gradient = evaluator.value_and_gradient(torch.from_numpy(point))
            near = np.linalg.norm(point - centre, axis=1) <= far
            found |= near & (np.sign(value.numpy()) != sign)
            point = moved(point, -sign[:, None] * gradient.numpy(), 2.5 * far / steps)
    return torch.from_numpy(found)


def first_success(
    attack: Callable[[Tensor], Tensor], radius: Float64[Tensor, " P"], multiples: Sequence[float]
) -> Float64[Tensor, " P"]:
    """For each point the smallest multiple of the radius at which an attack succeeds.

    Parameters
    ----------
    attack : callable
        Radii (P,) to a bool tensor (P,).
    radius : float64 tensor (P,)
    multiples : sequence of float
        Increasing.

    Returns
    -------
    float64 tensor, shape (P,)
        Infinite where none of them suffices.
    """
    first = torch.full_like(radius, torch.inf)
    for factor in multiples:
        first = torch.where(
            attack(radius * factor) & torch.isinf(first),
            torch.full_like(first, float(factor)),
            first,
        )
    return first
