"""Claims of chapter 01: good in value, bad in slope."""

from functools import partial

import numpy as np
import torch

from lib import contrast, convresnet
from lib.claims._registry import EXACT, claim, grid, sampled
from lib.contrast import SIZES, TARGETS, classifier, errors, splines_of, steepness
from lib.convresnet import NEGATIVE, POSITIVE
from lib.norms import Norms
from lib.relu import exact


def _added(amplitude, levels, build):
    """What `steepened` adds to the zero network, in rational numbers: breakpoints and values."""
    zero = convresnet.Construction([convresnet.cube_chart(np.zeros(3), 2)], 2, 4, 2, 1).network
    chain = [c.to_layer() for c in build(zero, amplitude, levels).numbers()[-1]]
    t, channels = exact.run(chain, 0, 1, [(0, 1), (0, 0), (0, 0)])
    return t, [p - q for p, q in zip(channels[POSITIVE], channels[NEGATIVE])]


@claim(
    uses=(),
    evidence=EXACT,
    grid=grid(levels=(1, 2, 5, 9), amplitude=(0.125, 0.3)),
    honest=contrast.steepened,
    tampered=(
        "a sawtooth with one level too many, twice as steep as stated",
        lambda network, amplitude, k: contrast.steepened(network, amplitude, k + 1),
    ),
)
def prop_steep(build, levels, amplitude):
    """Number of pieces, in rational numbers, on which what is added leaves ``[-eps, eps]`` or has a
    slope other than ``+-2^(k+1) eps``; and of kinks where it is not ``+-eps``.
    """
    t, values = _added(amplitude, levels, build)
    kinks = [i for i, s in enumerate(t) if s * 2**levels % 1 == 0]
    eps, steep = exact.F(amplitude) / 2, exact.F(amplitude) * 2**levels
    wrong = (
        sum(abs(values[i]) != eps for i in kinks)
        + sum(abs(v) > eps for v in values)
        + abs(len(kinks) - 2**levels - 1)
    )
    slopes = [(v - u) / (b - a) for a, b, u, v in zip(t, t[1:], values, values[1:])]
    return 0, wrong + sum(abs(s) != steep for s in slopes)


def _rounded(target, count, lipschitz=1.0):
    x = torch.arange(count + 1, dtype=torch.float64)[:, None] / count
    return np.round(target(x).numpy() * count / lipschitz).astype(int)


@claim(
    uses=(),
    evidence=sampled("about every Lipschitz function; three, decided in rational numbers"),
    grid=grid(name=tuple(TARGETS), count=(4, 64, 4096)),
    honest=contrast.ladder,
    tampered=("the target rounded to the nearest step, where neighbours may be equal", _rounded),
)
def lem_ladder(build, name, count):
    """Number of neighbours that do not differ by one, and of values farther than ``h`` from the
    target (as rounded).
    """
    k = build(TARGETS[name], count)
    x = torch.arange(count + 1, dtype=torch.float64)[:, None] / count
    values = [exact.F(v) * count for v in TARGETS[name](x).tolist()]
    allowed = 1 + exact.F(count * 8, 2**53)  # values of the target are rounded
    return 0, int((np.abs(np.diff(k)) != 1).sum()) + sum(
        abs(int(i) - v) > allowed for i, v in zip(k, values)
    )


def _one_copy(target, cells, steps):
    """Three times the same copy: no median."""
    network = contrast.step_network(target, cells, steps)
    numbers = network.numbers()
    first = numbers[0][0]
    own = len(first.bias) // 3
    numbers[0][0] = convresnet.Convolution(first.weight, first.bias[own : 2 * own].repeat(3))
    return convresnet.ConvResNet(numbers, network.head.detach(), 1)


@claim(
    uses=("lem-ladder",),
    evidence=sampled(
        "about every Lipschitz function and point; at the ends of cells there are up to 2^M pieces"
    ),
    grid=[{"name": name, "cells": N, "steps": M} for name in TARGETS for N, M in SIZES[:6]],
    honest=contrast.step_network,
    tampered=("the same copy three times, so that the median corrects nothing", _one_copy),
)
def prop_steps(build, name, cells, steps):
    """The error over ``9/4 h`` at 4000 points and 16 a cell where cells change; and by how much
    slopes on ramps inside cells, at 4000 points, differ from ``+-8``, against 1e-6; infinity for
    too many parameters.
    """
    network = build(TARGETS[name], cells, steps)
    h = 1 / (cells * steps)
    bound = Norms(1 + 1e-9, 1e-6)
    if convresnet.count_parameters(network)[1] > 27 * cells + 108 * steps:
        return bound, Norms(np.inf, np.inf)
    error = errors(network, TARGETS[name], cells, steps)
    rng = np.random.default_rng(steps)
    step = rng.integers(0, cells, 4000) * steps + rng.integers(1, steps, 4000)
    x = torch.from_numpy((step - rng.uniform(0.01, 0.99, 4000) / 8) * h)[:, None]
    off = (network.value_and_gradient(x)[1].abs() - 8).abs().max()
    return bound, Norms(error / (2.25 * h), off)


def _all_at_once(target, cells, steps):
    """The cells change without being frozen: the first ramp does everything."""
    network = contrast.frozen_network(target, cells, steps)
    numbers = network.numbers()
    first = numbers[0][0]
    bias = first.bias.clone()
    bias[3::3] += 2  # the third ramp of each cell, the release, comes with the first
    numbers[0][0] = convresnet.Convolution(first.weight, bias)
    return convresnet.ConvResNet(numbers, network.head.detach(), 1)


@claim(
    uses=("lem-ladder", "prop-steps"),
    evidence=sampled(
        "about every Lipschitz function; three, decided in rational numbers for all points"
    ),
    grid=[
        {"name": name, "cells": N, "steps": M}
        for name in TARGETS
        for N, M in ((2, 4), (4, 4), (8, 2))
    ],
    honest=contrast.frozen_network,
    tampered=("steps that are released too early, while cells still change", _all_at_once),
)
def prop_frozen(build, name, cells, steps):
    """Number of pieces, in rational numbers, with a slope other than 0 and ``+-2``, of multiples of
    ``h`` where the value is not that of the ladder, and of sizes that are exceeded; and 1 for a
    total variation above that of the ladder.
    """
    network = build(TARGETS[name], cells, steps)
    h = exact.F(1, cells * steps)
    chain = [c.to_layer() for c in network.numbers()[0]]
    t, channels = exact.run(chain, 0, 1, [(0, 1), (0, 0), (0, 0)])
    values = [p - q for p, q in zip(channels[POSITIVE], channels[NEGATIVE])]
    slopes = {(v - u) / (b - a) for a, b, u, v in zip(t, t[1:], values, values[1:])}
    k = contrast.ladder(TARGETS[name], cells * steps)
    at = dict(zip(t, values))  # all multiples of h are breakpoints
    wrong = sum(abs(s) not in (0, 2) for s in slopes) + sum(
        at.get(i * h) != int(k[i]) * h for i in range(len(k))
    )
    wrong += sum(abs(v - u) for u, v in zip(values, values[1:])) != 1
    wrong += convresnet.count_parameters(network)[1] > 23 * cells + 40 * steps
    return 0, wrong + (len(chain) != 4 * steps + 5)


def _family(sizes, make, target):
    """The networks of these sizes, one after the other, with their cells and steps."""
    return ((N, M, make(target, N, M)) for N, M in sizes)


def _order(parameters, numbers):
    return -np.polyfit(np.log(parameters), np.log(numbers), 1)[0]


@claim(
    uses=("prop-steps", "prop-frozen"),
    evidence=sampled("asymptotic: orders are fitted"),
    grid=grid(name=("pitches", "wave")),
    honest=partial(_family, SIZES),
    tampered=(
        "networks with more and more cells, but hardly more digits in each",
        partial(_family, ((8, 4), (16, 4), (32, 4), (64, 8), (128, 4))),
    ),
)
def cor_contrast(build, name):
    """Violations among: fitted orders in the number of parameters, in value: both bit networks
    above 1.65, splines of order 2 below 1.1 on the zigzags; slopes: of the frozen network at most
    2, of the step network growing by more than 0.9 octaves a digit, our error on the wave falling
    with an order above 0.85.
    """
    wrong, slopes = 0, []
    for make in (contrast.step_network, contrast.frozen_network):
        found = []
        for N, M, network in build(make, TARGETS[name]):
            found.append(
                (convresnet.count_parameters(network)[1], errors(network, TARGETS[name], N, M))
            )
            if make is contrast.step_network:
                slopes.append((M, np.log2(steepness(network, N, M))))
        wrong += _order(*np.array(found).T) < 1.65
    wrong += np.polyfit(*np.array(slopes).T, 1)[0] < 0.9
    ours = splines_of(name)
    if name == "pitches":
        wrong += _order(ours[:, 0], ours[:, 1]) > 1.1
    else:
        wrong += (_order(ours[:, 0], ours[:, 1]) < 1.7) + (_order(ours[:, 0], ours[:, 2]) < 0.85)
    return 0, int(wrong)


@claim(
    uses=("prop-steep",),
    evidence=sampled("about every point of a band; random ones"),
    grid=grid(levels=(8, 16, 24), amplitude=(0.02, 0.1)),
    honest=contrast.steepened,
    tampered=(
        "a sawtooth of a quarter of the height",
        lambda network, amplitude, k: contrast.steepened(network, amplitude / 4, k),
    ),
)
def prop_flip(build, levels, amplitude):
    """Number of points, of 500 with ``|u| < eps - 2^(1-k)``, that have no two points with different
    labels on the segment of length ``2^-k`` towards the middle; and of points with ``|u| > eps``
    where the label is another.
    """
    network = classifier().requires_grad_(False)
    eps = amplitude / 2
    steep = build(network, amplitude, levels).requires_grad_(False)
    x = torch.from_numpy(np.random.default_rng(levels).random((30_000, 2)))
    value = network(x)
    near = x[value.abs() < eps - 2.0 ** (1 - levels)][:500]
    step = 2.0**-levels
    corner = torch.floor(near[:, 0] / step) * step  # the teeth turn at multiples of the step
    labels = [steep(torch.stack([corner + i * step, near[:, 1]], 1)) > 0 for i in (0, 1)]
    far = x[value.abs() > eps][:500]
    return 0, int((labels[0] == labels[1]).sum() + ((steep(far) > 0) != (network(far) > 0)).sum())
