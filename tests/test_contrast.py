"""Chapter 01: sawtooth, ladder, steps, frozen steps, and steep places."""

import numpy as np
import pytest
import torch

from lib import InputError, contrast, convresnet
from lib.claims._chapter01 import _one_copy
from lib.contrast import TARGETS, pitches, wave
from lib.convresnet import ConvResNet

SIZES = [(2, 2), (4, 8), (16, 4), (32, 16)]
NETWORKS = {"steps": (contrast.step_network, 2.25), "frozen": (contrast.frozen_network, 2.0)}


def _points(N, M, count=6000):
    """Random points, and many in the last step of each cell."""
    rng = np.random.default_rng(N)
    ends = rng.integers(1, N + 1, count) / N - rng.random(count) / (N * M)
    return torch.from_numpy(np.concatenate([rng.random(count), ends]))[:, None]


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize("N, M", SIZES)
@pytest.mark.parametrize("kind", NETWORKS)
def test_values_are_as_close_as_promised(kind, N, M, name):
    make, steps = NETWORKS[kind]
    network = make(TARGETS[name], N, M)
    x = _points(N, M)
    assert (
        isinstance(network, ConvResNet)
        and len(network.blocks) == 1
        and len(network.blocks[0]) == 4 * M + 5
    )
    assert (network(x) - TARGETS[name](x)).abs().max() <= steps / (N * M) * (1 + 1e-9)


@pytest.mark.parametrize("kind", NETWORKS)
def test_a_lipschitz_constant_scales_all(kind):
    make, steps = NETWORKS[kind]
    network, x = make(lambda x: torch.sin(20 * x[:, 0]), 16, 8, 20.0), _points(16, 8)
    assert (network(x) - torch.sin(20 * x[:, 0])).abs().max() <= 20 * steps / 128 * (1 + 1e-9)


def _interpreted(target, N, M, y):
    """The step function ``phi`` away from ramps, from the ladder."""
    k = contrast.ladder(target, N * M)
    return k[np.clip(np.floor(y * N * M).astype(int), 0, N * M - 1)] / (N * M)


def test_steps_are_those_of_the_ladder():
    N, M = 8, 8
    x = (np.arange(N * M) + 0.5) / (N * M)  # in the middle of each step all three copies are on it
    found = contrast.step_network(wave, N, M)(torch.from_numpy(x)[:, None]).detach().numpy()
    assert np.abs(found - _interpreted(wave, N, M, x)).max() < 1e-14


def test_frozen_steps_pass_through_the_ladder_with_bounded_slopes():
    N, M = 32, 16
    network = contrast.frozen_network(pitches, N, M)
    k = contrast.ladder(pitches, N * M)
    x = torch.arange(N * M + 1, dtype=torch.float64)[:, None] / (N * M)
    assert np.abs(network(x).detach().numpy() - k / (N * M)).max() < 1e-14
    x = _points(N, M)
    slopes = network.value_and_gradient(x)[1].abs().ravel()
    assert ((slopes < 1e-9) | ((slopes - 2).abs() < 1e-9)).all() and (slopes > 1).any()


def test_steps_are_steep_and_steeper_with_more_digits():
    found = []
    for M in (4, 8, 16):
        network = contrast.step_network(pitches, 16, M)
        part = 1 / (16 * M * 64)  # 32 parts of the last half step of each cell
        low = (
            torch.arange(1, 16, dtype=torch.float64)[:, None] / 16 - torch.arange(1, 33) * part
        ).ravel()
        found.append(float(contrast.steepest(network, low, low + part).max()))
    assert found[0] > 64 and found[1] > 2**4 * found[0] and found[2] > 2**8 * found[1]


@pytest.mark.parametrize("M, steps", [(4, 2.4375), (8, 5.4375), (16, 13.4375), (32, 29.4375)])
def test_without_the_median_errors_grow_with_the_steps(M, steps):
    # middles of the ramps, as in ex-no-median
    x = torch.from_numpy(np.arange(1, 16) / 16 - 1 / (16 * 16 * M))[:, None]
    error = (_one_copy(pitches, 16, M)(x) - pitches(x)).abs().max()
    assert float(error.detach()) * 16 * M == pytest.approx(steps)


@pytest.mark.parametrize("slope", [0.0, 3.0, 1e6, 1e12])
def test_steep_places_are_found_and_never_overestimated(slope):
    def ramp(x):
        return torch.clamp(slope * (x[:, 0] - 1 / 3), 0, 1)

    low = torch.arange(10, dtype=torch.float64) / 10
    found = float(contrast.steepest(ramp, low, low + 0.1).max())
    assert 0.98 * slope <= found + 1e-12 and found <= slope * (1 + 1e-3)


def test_a_sawtooth_goes_on_top_of_any_network_of_any_dimension():
    chart = convresnet.cube_chart(np.random.default_rng(0).normal(size=(6, 6)), 3)
    network = convresnet.Construction([chart], 3, 8, 2, 2).network
    steep = contrast.steepened(network, 0.5, 4)
    x = torch.from_numpy(np.random.default_rng(1).random((500, 2)))
    phase = 8 * x[:, 0] % 1
    tooth = 0.5 * (torch.minimum(2 * phase, 2 - 2 * phase) - 0.5)
    assert (steep(x) - network(x) - tooth).abs().max() < 1e-13
    assert (steep(x) - steep(x, all_rows=True)).abs().max() < 1e-13
    assert len(steep.blocks) == 3 and len(steep.blocks[2]) == 5


def test_ladder_by_hand():
    assert contrast.ladder(lambda x: x[:, 0], 4).tolist() == [0, 1, 2, 3, 4]
    assert contrast.ladder(lambda x: 0 * x[:, 0], 4).tolist() == [0, 1, 0, 1, 0]
    assert contrast.ladder(lambda x: -x[:, 0] * 3, 3, 3.0).tolist() == [0, -1, -2, -3]


@pytest.mark.parametrize(
    "call, name",
    [
        (lambda: contrast.frozen_network(wave, 3, 4), "cells"),
        (lambda: contrast.frozen_network(wave, 4, 64), "steps"),
        (lambda: contrast.step_network(wave, 4, 1), "steps"),
        (lambda: contrast.step_network(wave, 4.0, 4), "cells"),
        (lambda: contrast.ladder(lambda x: 2 * x[:, 0], 8), "lipschitz"),
        (lambda: contrast.ladder(wave, 8, 0.0), "lipschitz"),
        (lambda: contrast.steepened(contrast.frozen_network(wave, 2, 2), -1.0, 3), "amplitude"),
        (lambda: contrast.steepened(contrast.frozen_network(wave, 2, 2), 1.0, 0), "levels"),
    ],
)
def test_bad_input_is_named(call, name):
    with pytest.raises(InputError, match=name):
        call()
