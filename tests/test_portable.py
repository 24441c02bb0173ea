"""Where networks go: other processes, exported graphs, dtypes, devices, many points, many
blocks, numpy's numbers.
"""

import copy
import io
import json
import operator
import pickle
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

import lib
from lib import convresnet, manifolds

WAVE = "sin(2*pi*x1)*exp(x2)"


def _approximation(formula=WAVE, D=2, **options):
    options = {"order": 3, "cells": 6, "blocks": 3} | options
    return lib.approximate(lib.Target.from_sympy(formula, D), lib.Cube(D), **options)


def _points(count, D=2, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).random((count, D)))


# ---- pickled, copied

WAYS = {
    "pickle": lambda a: pickle.loads(pickle.dumps(a)),
    "deepcopy": copy.deepcopy,
    "torch.save": lambda a: torch.load(_saved(a), weights_only=False),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("changed", [False, True])
def test_an_approximation_travels(way, changed):
    a = _approximation()
    x = _points(20)
    if changed:
        a.network.head.data[1] *= 1.5
    b = WAYS[way](a)
    assert torch.equal(b.network(x), a.network(x)) and b.unchanged == a.unchanged == (not changed)
    assert b.bound == a.bound and b.measure(200).value == a.measure(200).value
    assert b.certify(boxes=20).digest == a.certify(boxes=20).digest


def _saved(a):
    file = io.BytesIO()
    torch.save(a, file)
    file.seek(0)
    return file


def test_a_network_on_a_manifold_travels():
    surface = manifolds.LevelSet("x1**2+x2**2-x1-x2+0.4", 2, reach=0.3)
    a = lib.approximate(lib.Target.from_sympy("x1*x2", 2), surface, order=2, cells=8)
    b = pickle.loads(pickle.dumps(a))
    assert b.measure(100) == a.measure(100)


# ---- graphs for any number of points


@pytest.mark.parametrize("count", [1, 7, 30_000])
def test_a_traced_module_takes_any_number_of_points(count):
    a = _approximation()
    with warnings.catch_warnings():  # of sizes of layers, which are fixed
        warnings.simplefilter("ignore", torch.jit.TracerWarning)
        traced = torch.jit.trace(a.network, _points(5), check_trace=False)
    x = _points(count, seed=1)
    assert float((traced(x) - a.network(x)).detach().abs().max()) < 1e-13


def test_an_exported_module_takes_any_number_of_points():
    a = _approximation()
    exported = torch.export.export(
        a.network, (_points(5),), dynamic_shapes={"x": {0: torch.export.Dim("points")}}
    ).module()
    for count in (2, 7, 30_000):
        x = _points(count, seed=1)
        assert (
            exported(x).shape == (count,)
            and float((exported(x) - a.network(x)).detach().abs().max()) < 1e-13
        )


# ---- bounded memory, the same numbers


def test_many_points_need_little_memory():
    """A forward pass with gradients of the weights allowed: what was 5.6 GB must stay below one."""
    script = (
        "import resource, torch, lib\n"
        "a = lib.approximate(lib.Target.from_sympy('x1'), lib.Cube(1), order=4, cells=16)\n"
        "x = torch.rand(100_000, 1, dtype=torch.float64)\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "a.network(x).sum().backward()\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)"
    )
    found = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=300, check=True
    )
    assert int(found.stdout) < 1_000_000  # kB


def test_chunks_change_nothing(monkeypatch):
    a = _approximation()
    x = _points(50)
    whole = [*torch.autograd.grad(a.network(x).square().sum(), list(a.network.parameters()))]
    y = x.clone().requires_grad_(True)
    (slope,) = torch.autograd.grad(a.network(y).sum(), y, create_graph=True)
    second = torch.autograd.grad(slope.square().sum(), a.network.head)[0]
    monkeypatch.setattr(convresnet.ConvResNet, "chunk", lambda self, gradient=False: 7)
    assert float((a.network(x) - a.network(x, all_rows=True)).detach().abs().max()) < 1e-13
    parts = [*torch.autograd.grad(a.network(x).square().sum(), list(a.network.parameters()))]
    assert all(torch.allclose(p, q, rtol=1e-12, atol=1e-12) for p, q in zip(whole, parts))
    y = x.clone().requires_grad_(True)
    (slope,) = torch.autograd.grad(a.network(y).sum(), y, create_graph=True)
    assert torch.allclose(
        torch.autograd.grad(slope.square().sum(), a.network.head)[0], second, rtol=1e-12
    )


# ---- dtypes and devices


def test_single_precision_takes_single_precision():
    a = _approximation()
    x = _points(20)
    exact = a.network(x).detach()
    single = copy.deepcopy(a.network).float()
    found = single(x.float()).detach()
    assert found.dtype == torch.float32 and 0 < float((found.double() - exact).abs().max()) < 1e-2
    with pytest.raises(lib.InputError, match="dtype float32"):
        single(x)


def test_a_default_device_does_not_matter():
    x = _points(20)
    exact = _approximation().network(x).detach()
    torch.set_default_device("meta")
    try:
        a = _approximation()
        assert a.network.head.device.type == "cpu" and torch.equal(a.network(x).detach(), exact)
        assert a.measure(100).value <= a.bound.value and a.certify(boxes=20).value.upper > 0
    finally:
        torch.set_default_device(None)


# ---- more blocks than terms


@pytest.mark.parametrize("blocks", [5, 9, 40])
def test_blocks_beyond_the_terms_are_zero(blocks, tmp_path):
    few, many = (_approximation("x1**2", 1, cells=3, blocks=b) for b in (5, blocks))
    x = _points(50, 1)
    assert torch.equal(many.network(x), few.network(x)) and len(many.network.blocks) == blocks
    sizes = many.architecture
    assert sizes.measured.M == sizes.promised.M == blocks and sizes.measured.within(sizes.promised)
    c = many.certify()
    assert many.unchanged and lib.certify.check(c, many) > 0 and c.value == few.certify().value
    assert (
        float((convresnet.rescaled(many.network)(x) - many.network(x)).detach().abs().max()) < 1e-12
    )
    many.save(tmp_path / "a")
    assert torch.equal(lib.load(tmp_path / "a").network(x), many.network(x))
    if blocks > 5:
        many.network.blocks[-1][0].bias.data[1] = 0.1
        with pytest.raises(lib.InputError, match="without terms"):
            many.certify()


# ---- numpy's numbers


@pytest.mark.parametrize("kind", [np.int64, np.int8, np.uint8, np.int32])
def test_integers_of_numpy(kind):
    a = lib.approximate(
        lib.Target.from_sympy(WAVE, kind(2)),
        lib.Cube(kind(2)),
        order=kind(3),
        cells=kind(6),
        blocks=kind(3),
        kernel_size=kind(2),
        refinement=kind(9),
    )
    b = _approximation(refinement=9)
    assert torch.equal(a.network(_points(9)), b.network(_points(9))) and a.bound == b.bound
    assert all(
        type(getattr(a, name)) is int
        for name in ("order", "cells", "refinement", "kernel_size", "blocks")
    )
    assert a.measure(kind(100), kind(1)) == b.measure(100, 1)
    assert a.certify(boxes=kind(20)).value == b.certify(boxes=20).value


def test_floats_of_numpy():
    a = lib.approximate(
        lib.Target.from_sympy(WAVE, 2), lib.Cube(2), order=3, tolerance=np.float32(0.5)
    )
    assert max(a.bound.value, a.bound.slope) <= 0.5
    target = lib.Target(lambda x: torch.sin(x[:, 0]), {(k,): np.int64(1) for k in range(4)})
    assert lib.approximate(target, lib.Cube(1), order=3, cells=4).bound.value > 0


@pytest.mark.parametrize(
    "options",
    [
        {"cells": 4.0},
        {"cells": True},
        {"cells": "4"},
        {"order": 3.0, "cells": 4},
        {"blocks": np.float64(2), "cells": 4},
        {"tolerance": True},
        {"tolerance": "1"},
    ],
    ids=str,
)
def test_what_is_no_number_is_refused(options):
    with pytest.raises(lib.InputError, match="|".join(options)):
        _approximation(**{"cells": None} | options)


# ---- shown


def test_an_approximation_shows_itself_in_a_line():
    a = _approximation()
    assert repr(a) == (
        "Approximation(sin(2*pi*x1)*exp(x2) on Cube(2): order 3, 6 cells, 64 terms; "
        f"M=3 L={a.promised.L} J={a.promised.J} K=2; bound value {a.bound.value:.3g}, slope "
        f"{a.bound.slope:.3g} (proved))"
    )
    assert "bound none" in repr(a.with_coefficients(2 * a.coefficients))
    b = lib.approximate(lambda x: x[:, 0], manifolds.circle(), order=2, cells=8)
    assert (
        "circle of radius 0.4" in repr(b)
        and "charts" in repr(b)
        and "(an estimate)" in repr(b)
        and "\n" not in repr(b)
    )


def test_an_approximation_shows_itself_as_a_card():
    card = _approximation("x1*x2")._repr_html_()
    assert card.startswith("<table>") and card.count("<tr>") == 5 and "x1*x2" in card
    a = _approximation()
    a.target.formula = "<script>"
    assert "<script>" not in a._repr_html_() and "&lt;script&gt;" in a._repr_html_()


# ---- what earlier versions saved

SAVED = Path(__file__).parent / "saved"


@pytest.mark.parametrize("version", [2, 3])
def test_networks_of_earlier_formats_load(version):
    """2 is the first edition's; the numbers are those that the versions printed when they saved."""
    a = lib.load(SAVED / f"format{version}-cube")
    x = torch.tensor([[0.3], [0.71]], dtype=torch.float64)
    assert a.network(x).tolist() == [0.8680606933709872, -0.8827185776926845] and a.unchanged
    assert (a.bound.value, a.bound.slope) == {
        2: (0.18225272597949493, 2.329449850149387),
        3: (0.18225272597968015, 2.3294498501514926),
    }[version]
    assert a.bound.rigorous == (version == 3) and a.measure(2000) <= a.bound


@pytest.mark.parametrize("version", [2, 3])
def test_networks_on_manifolds_of_earlier_formats_are_refused(version):
    """They have gates, and this version has no evaluator for them."""
    with pytest.raises(lib.InputError, match="has gates"):
        lib.load(SAVED / f"format{version}-circle")


def test_what_is_saved_now_is_of_the_new_format(tmp_path):
    a = lib.load(SAVED / "format2-cube")
    a.save(tmp_path / "again")
    assert '"convresnet-approximation 5"' in (tmp_path / "again" / "network.json").read_text()
    again = lib.load(tmp_path / "again")
    assert again.bound == a.bound and torch.equal(again.network.head, a.network.head)


@pytest.mark.parametrize("version", [1, 2])
def test_certificates_of_earlier_formats_are_refused_by_name(version):
    """They vouched for what later versions check more strictly."""
    with pytest.raises(lib.InputError, match=f"convresnet-certificate {version}.*certify again"):
        lib.Certificate.load(SAVED / f"format{version}.certificate")


@pytest.mark.parametrize(
    "old, new",
    [
        ("gradient", "slope"),
        ("spline_value", "spline.value"),
        ("spline_gradient", "spline.slope"),
        ("network_value", "network.value"),
        ("network_gradient", "network.slope"),
        ("rounding_value", "rounding.value"),
        ("rounding_gradient", "rounding.slope"),
    ],
)
def test_old_names_of_a_bound_warn(old, new):
    bound = lib.load(SAVED / "format3-cube").bound
    with pytest.warns(DeprecationWarning, match=f".{old} is called .{new} now"):
        assert getattr(bound, old) == operator.attrgetter(new)(bound)


def test_old_names_of_measurements_and_certificates_warn():
    a = lib.load(SAVED / "format3-cube")
    m, c = a.measure(64), a.certify()
    for thing, old, new in (
        (m, "gradient", m.slope),
        (m, "gradient_at", m.slope_at),
        (c, "gradient", c.slope),
        (c, "gradient_at", c.slope_at),
        (c, "complete", c.search_finished),
    ):
        with pytest.warns(DeprecationWarning, match=old):
            assert getattr(thing, old) == new


def _resealed(path, change):
    """Change the description of a folder, and give it a valid seal."""
    from lib.approximation import _store

    description = json.loads((path / "network.json").read_text())
    del description["seal"]
    change(description)
    description["seal"] = _store._seal(description)
    (path / "network.json").write_text(json.dumps(description))


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d["bound"].update(rigorous="no"),
        lambda d: d["bound"]["spline"].update(value="0"),
        lambda d: d.update(groups=[]),
        lambda d: d["charts"][0].update(cells="q"),
        lambda d: d["charts"][0].update(cells=4.0),
    ],
    ids=["rigorous", "a number", "no blocks", "cells", "cells that are no integer"],
)
def test_descriptions_of_other_types_are_refused(change, tmp_path):
    _approximation().save(tmp_path / "a")
    _resealed(tmp_path / "a", change)
    with pytest.raises(lib.InputError, match="path = .*written by Approximation.save"):
        lib.load(tmp_path / "a")


@pytest.mark.parametrize("path", [None, 5, "a\0b"])
def test_paths_that_are_none_are_refused(path):
    with pytest.raises(lib.InputError, match="path"):
        _approximation().save(path)


def test_a_certificate_is_not_written_over_a_folder(tmp_path):
    c = _approximation(cells=4).certify(boxes=50)
    with pytest.raises(lib.InputError, match="path"):
        c.save(tmp_path)


def test_norms_can_be_summed():
    parts = [lib.Norms(0.5, 1.0), lib.Norms(0.25, 3.0)]
    assert sum(parts) == lib.Norms(0.75, 4.0)
    with pytest.raises(TypeError):
        1 + parts[0]
