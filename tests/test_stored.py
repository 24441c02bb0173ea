"""What a certificate believes: stored weights, files, charts. Every kind of entry is changed,
and every part is forged.
"""

import copy
import dataclasses
import pickle

import numpy as np
import pytest
import sympy
import torch
from flint import arb
from torch import nn
from torch.nn.utils import parametrize

import lib
from lib import certify, manifolds
from lib.certify import _certify, _digest, _error, _file, _proof, _search
from lib.certify._points import network_value
from lib.certify._subject import subject
from lib.intervals import precision


def _approximation(formula="sin(2*pi*x1)", D=1, m=4, N=8, **options):
    return lib.approximate(
        lib.Target.from_sympy(formula, D), lib.Cube(D), order=m, cells=N, **options
    )


# ---- changed weights


def _points(rng, a):
    """Random points, and points beside knots, no two coordinates equally far from theirs."""
    D, N = a.dim, a.cells
    knots = rng.integers(1, N * 64, (300, D)) / (N * 64)
    off = rng.uniform(0.5, 1.5, (300, D))
    ends = rng.random((100, D)) * 1e-3
    x = np.concatenate(
        [rng.random((800, D)), knots + 1e-7 * off, knots - 1e-8 * off, ends, 1 - ends]
    )
    return torch.from_numpy(x.clip(1e-9, 1 - 1e-9))


def _tells_no_lie(a, rng, **options):
    """Whether a network is certified (False: refused); whatever is certified holds at points."""
    try:
        c = a.certify(boxes=150, gap=0.2, **options)
    except lib.InputError:
        return False
    x = _points(rng, a)
    (f, df), (g, dg) = a.target.value_and_gradient(x), a.network.value_and_gradient(x)
    assert c.value.lower <= c.value.upper and c.slope.lower <= c.slope.upper
    assert float((f - g).abs().max()) <= c.value.upper * (1 + 1e-9) + 1e-12
    assert float((df - dg).abs().max()) <= c.slope.upper * (1 + 1e-9) + 1e-10
    return True


SIZES = [
    ("cos(5*x1)*x1", 1, 3, 5, 1),
    ("sin(2*x1)", 1, 3, 4, 3),
    ("exp(x1)", 1, 5, 5, 2),
    ("x1**3", 1, 2, 4, 2),
    ("sin(2*x1)*exp(x2/2)", 2, 2, 2, 1),
    ("x1*x2", 2, 3, 3, 3),
    ("cos(3*x1+x2)", 2, 4, 4, 2),
    ("sin(x1+x2*x3)", 3, 2, 2, 2),
]


def _change(rng, a):
    """One number of a network: of a random parameter, a zero or not, to something else."""
    parameters = dict(a.network.named_parameters())
    names = [name for name in parameters if name != "head"]
    entries = parameters[
        "head" if rng.random() < 0.08 else names[rng.integers(len(names))]
    ].data.view(-1)
    pools = [p for p in (torch.nonzero(entries == 0)[:, 0], torch.nonzero(entries)[:, 0]) if len(p)]
    pool = pools[0] if rng.random() < 0.6 else pools[-1]
    i = int(pool[rng.integers(len(pool))])
    old = float(entries[i])
    new = [
        old + rng.choice([-1, 1]) * 10.0 ** rng.uniform(-6, 0),
        old * (1 + 10.0 ** rng.uniform(-9, -1)),
        -old,
        abs(old) + 10.0 ** rng.uniform(-8, 0.5),
        0.0,
    ][rng.integers(5)]
    entries[i] = new if new != old else old + 0.1


@pytest.mark.parametrize("part", range(8))
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_no_change_makes_a_certificate_lie(size, part):
    formula, D, m, N, blocks = size
    certified = 0
    for number in range(9):
        rng = np.random.default_rng([part, number, D, m, N])
        a = _approximation(
            formula,
            D,
            m,
            N,
            blocks=blocks,
            refinement=int(rng.integers(4, 9)),
            kernel_size=2 + number % 2,
        )
        for _ in range((1, 1, 2)[number % 3]):
            _change(rng, a)
        certified += _tells_no_lie(a, rng)
    assert certified >= 2  # what is refused is no news


def test_a_gather_layer_that_reads_the_sums_is_refused():
    a = _approximation("sin(2*x1)", m=3, N=4, refinement=8, blocks=3)
    a.network.blocks[2][0].weight.data[0, 1, 0] = 0.05
    with pytest.raises(lib.InputError, match="S\\+ or S-"):
        a.certify()


def test_a_new_edge_to_another_factor_is_followed():
    a = _approximation("sin(2*x1)*exp(x2/2)", 2, 2, 2, refinement=4)
    a.network.blocks[0][-8].weight.data[24, 4, 0] = 0.5
    c = a.certify(boxes=500)
    x = _points(np.random.default_rng(0), a)
    found = float((a.target(x) - a.network(x).detach()).abs().max())
    assert 1.0 < found <= c.value.upper < 3


def test_each_entry_of_a_small_network():
    """Not a sample: every number of a network with two blocks, raised by a tenth."""
    made = _approximation("x1**2", m=2, N=3, refinement=4, blocks=2)
    certified = 0
    count = 0
    weights = {name: p.detach().clone() for name, p in made.network.named_parameters()}
    for name, p in made.network.named_parameters():
        for i in range(p.numel()):
            p.data.view(-1)[i] += 0.1
            certified += _tells_no_lie(made, np.random.default_rng(i))
            count += 1
            p.data.copy_(weights[name])
    assert count > 60 and certified > count / 3
    assert made.unchanged


@pytest.mark.parametrize("change", ["weight", "bias", "gather"])
def test_on_a_manifold_only_coefficients_may_be_changed(change):
    a = lib.approximate(
        lib.Target.from_sympy("sin(3*x1)", 2), manifolds.circle(), order=3, cells=12
    )
    if change == "gather":
        i = next(k for k, conv in enumerate(a.network.blocks[0]) if conv.weight.shape[2] > 1)
        a.network.blocks[0][i].bias.data[-1] += 1e-9
    else:
        getattr(a.network.blocks[-1][4], change).data.view(-1)[0] += 1e-12
    assert not a.unchanged
    with pytest.raises(lib.InputError, match="in its last layer only"):
        a.certify()


def test_changed_coefficients_on_a_manifold_are_certified():
    a = lib.approximate(
        lib.Target.from_sympy("sin(3*x1)", 2), manifolds.circle(), order=3, cells=12
    )
    before = a.certify(gap=0.5)
    weight = a.network.blocks[2][-1].weight.data
    weight[1:][weight[1:] > 0] += 0.01
    found, after = a.measure(2000), a.certify(gap=0.5)
    assert found.value > before.value.upper  # the change is seen
    assert after.value.lower <= after.value.upper and found <= after.upper


def _hooked(network):
    network.blocks[0][0].register_forward_hook(lambda module, inputs, output: output + 1)


def _parametrized(network):
    parametrize.register_parametrization(network.blocks[0][0], "bias", nn.Identity())


def _subclassed(network):
    network.__class__ = type("Other", (type(network),), {})


def _replaced(network):
    network.forward = lambda x: x[:, 0]


def _strided(network):
    network.blocks[0][0].dilation = (2,)


def _another_layer(network):
    network.blocks[0][1] = nn.Conv1d(3, 3, 1).double()


def _infinite(network):
    network.blocks[0][2].weight.data.view(-1)[0] = np.inf


def _plain_tensor(network):
    conv = network.blocks[0][0]
    weight = conv.weight.detach().clone()
    del conv.weight
    conv.weight = weight


def _buffer(network):
    conv = network.blocks[0][0]
    weight = conv.weight.detach().clone()
    del conv.weight
    conv.register_buffer("weight", weight)


def _frozen_numbers(network):
    numbers = network.numbers()
    network.numbers = lambda: numbers
    network.blocks[0][-1].weight.data *= 5


def _another_method(network):
    network._leading_row = lambda x: 7 * x[:, 0]


def _another_method_of_a_layer(network):
    network.blocks[0][0].leading_rows = lambda z, rows: z[:, :rows]


def _another_kernel_size(network):
    network.blocks[0][0].kernel_size = (5,)


def _no_bias(network):
    network.blocks[0][1].bias = None


def _no_blocks(network):
    del network.blocks


def _linear(network):
    network.blocks[0].append(nn.Linear(3, 3))


def _another_head(shape):
    def wrap(network):
        network.head = nn.Parameter(torch.ones(shape, dtype=torch.float64))

    return wrap


def _complex(network):
    conv = network.blocks[0][0]
    conv.weight = nn.Parameter(conv.weight.detach().to(torch.complex128))


def _meta(network):
    network.to("meta")


def _another_detach(network):
    weight = network.blocks[0][-1].weight
    before = weight.detach().clone()
    weight.data *= 3
    weight.detach = lambda: before


def _another_detach_of_the_head(network):
    before = network.head.detach().clone()
    network.head.data *= 3
    network.head.detach = lambda: before


class _Same(tuple):
    """Equal to every tuple."""

    def __eq__(self, other):
        return True

    __hash__ = tuple.__hash__


def _dilated(network):
    network.blocks[0][0].dilation = _Same((2,))


class _Table(dict):
    """Where a module can find another weight than it shows."""


def _another_table(network):
    conv = network.blocks[0][0]
    conv.__dict__["_parameters"] = _Table(conv._parameters)


WRAPS = [
    _hooked,
    _another_detach,
    _another_detach_of_the_head,
    _dilated,
    _another_table,
    _parametrized,
    _subclassed,
    _replaced,
    _strided,
    _another_layer,
    _infinite,
    nn.Module.float,
    _plain_tensor,
    _buffer,
    _frozen_numbers,
    _another_method,
    _another_method_of_a_layer,
    _another_kernel_size,
    _no_bias,
    _no_blocks,
    _linear,
    _complex,
    _meta,
    *map(_another_head, ((1, 3), (3, 1), (), (5,), (0,))),
]


@pytest.mark.parametrize("wrap", WRAPS)
def test_a_module_that_computes_something_else_than_its_weights_is_refused(wrap):
    a = _approximation(m=3, N=4)
    wrap(a.network)
    assert not a.unchanged
    with pytest.raises(lib.InputError, match="network"):
        a.certify()
    with pytest.raises(lib.InputError, match="changed weights"):
        certify.check(_approximation(m=3, N=4).certify(), a)


def test_lower_ends_are_those_of_the_changed_function():
    a, b = _approximation(N=16), _approximation(N=16)
    weight = b.network.blocks[0][-1].weight.data
    weight[1, torch.argmax(weight[1, :, 0])] *= 1.5
    c = b.certify()
    before = a.certify()
    sampled = b.measure(1 << 13)
    assert c.value.lower > 0.9 * sampled.value > 10 * before.value.upper
    assert c.slope.lower > 0.8 * sampled.slope
    with precision(400):  # the point is one of the changed function
        x = c.value_at[0]
        assert (
            abs(arb(x) * 0 + (2 * arb.pi() * arb(x)).sin() - network_value(b.network, [arb(x)]))
            >= c.value.lower
        )


# ---- charts that are not those of the cube

CHARTS = {
    "matrix": lambda c: [dataclasses.replace(c, matrix=c.matrix / 2)],
    "offset": lambda c: [dataclasses.replace(c, offset=c.offset + 0.25)],
    "indices twice": lambda c: [
        dataclasses.replace(c, indices=np.concatenate([c.indices[:1], c.indices[:-1]]))
    ],
    "outside": lambda c: [dataclasses.replace(c, indices=c.indices - 1)],
    "two charts": lambda c: [c, c],
    "cells": lambda c: [dataclasses.replace(c, cells=c.cells + 1)],
}


@pytest.mark.parametrize("kind", CHARTS)
def test_another_chart_is_refused_by_both(kind):
    a = _approximation("cos(x1)*x2", 2, 3, 4)
    other = dataclasses.replace(a.construction, charts=CHARTS[kind](a.charts[0]))
    b = dataclasses.replace(a, construction=other)
    for refuses in (b.certify, lambda: certify.check(a.certify(), b)):
        with pytest.raises(lib.InputError, match="chart|indices"):
            refuses()


def test_charts_cannot_be_changed_in_place():
    a = _approximation()
    for name in ("matrix", "offset", "indices", "coefficients"):
        with pytest.raises(ValueError, match="read-only"):
            getattr(a.charts[0], name)[0] = 7
        with pytest.raises(ValueError, match="WRITEABLE"):
            getattr(a.charts[0], name).setflags(write=True)
    coefficients = a.coefficients
    b = a.with_coefficients(coefficients)
    coefficients *= 0
    assert np.array_equal(b.coefficients, a.coefficients) and b.unchanged


def test_a_formula_that_is_not_its_expression_is_refused():
    a = _approximation(m=3, N=4)
    other = lib.Target.from_sympy("x1**2")
    a.target.expression = other.expression
    with pytest.raises(lib.InputError, match="expression"):
        a.certify()


class _Two(np.ndarray):
    """Tells its readers other numbers than a network is built from."""

    def tolist(self):
        return self.told


class _Equal(sympy.Mul):
    """Equal to every expression."""

    def __eq__(self, other):
        return True

    __hash__ = sympy.Mul.__hash__


def test_arrays_that_show_other_numbers_than_they_hold_are_refused():
    a, c = _approximation(m=3, N=4), _approximation(m=3, N=4).certify()
    chart = a.charts[0]
    false = (0 * chart.coefficients + 5).view(_Two)
    false.told = chart.coefficients.tolist()
    object.__setattr__(chart, "coefficients", false)
    for refuses in (a.certify, lambda: certify.check(c, a)):
        with pytest.raises(lib.InputError, match="construction"):
            refuses()


def test_an_expression_that_equals_everything_gains_nothing():
    a = _approximation("2*x1", m=3, N=4)
    a.target.formula = "5*x1"
    a.target.expression = sympy.Basic.__new__(_Equal, *a.target.expression.args)
    assert a.target.expression == sympy.Integer(7)
    assert subject(a).expression == lib.Target.from_sympy("5*x1").expression
    assert type(subject(a).expression) is sympy.Mul
    assert a.certify(boxes=50).value.upper >= 3  # of 5 x and 2 x


def test_what_was_set_on_a_cube_is_not_certified():
    a = _approximation(m=3, N=4)
    mark = a.certify().digest
    a.domain.patch = lambda charts, cells: lib.Cube(1).patch(charts, 7)
    assert a.certify().digest == mark and certify.check(a.certify(), a) > 0


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda a: pickle.loads(pickle.dumps(a))])
def test_copies_of_charts_cannot_be_changed_in_place_either(copied):
    a = _approximation(m=3, N=4)
    b = copied(a)
    assert np.array_equal(b.coefficients, a.coefficients) and b.charts[0].partition is None
    with pytest.raises(ValueError, match="read-only"):
        b.charts[0].coefficients[0] = 7


@pytest.mark.parametrize(
    "name, value",
    [("cells", 4.0), ("order", 3.0), ("blocks", "1"), ("charts", []), ("charts", None)],
)
def test_sizes_of_another_type_are_refused(name, value):
    a = _approximation(m=3, N=4)
    a.network(torch.zeros(1, 1, dtype=torch.float64))
    object.__setattr__(a if name == "cells" else a.construction, name, value)
    with pytest.raises(lib.InputError, match="sizes|construction"):
        a.certify()


def test_tied_weights_are_saved(tmp_path):
    a = _approximation(m=3, N=4, blocks=2)
    x = torch.linspace(0, 1, 9, dtype=torch.float64)[:, None]
    a.network.blocks[1][3].weight = a.network.blocks[0][3].weight
    a.save(tmp_path / "a")
    assert torch.equal(lib.load(tmp_path / "a").network(x), a.network(x))


# ---- what a certificate is about


def _curves():
    """Two curves with the default name and their networks."""
    found = []
    for radius in (0.4, 0.35):
        curve = manifolds.FourierCurve([[radius, 0.0]], [[0.0, radius]], [0.5, 0.5], np.eye(2))
        found.append(lib.approximate(lib.Target.from_sympy("x1*x2", 2), curve, order=2, cells=8))
    return found


def test_a_checkpoint_of_another_curve_is_refused(tmp_path):
    a, b = _curves()
    a.certify(checkpoint=tmp_path / "state")
    assert a.domain.name == b.domain.name
    with pytest.raises(lib.InputError, match="checkpoint"):
        b.certify(checkpoint=tmp_path / "state")
    other = b.domain  # the same weights, charts and formula, only another curve to measure on
    with pytest.raises(lib.InputError, match="centres.*points of the manifold"):
        a.with_target(a.target, other).certify(checkpoint=tmp_path / "state")


@pytest.mark.parametrize(
    "part", ["formula", "weight", "head", "refinement", "cells", "kernel_size", "coefficient"]
)
def test_the_digest_sees_every_part(part):
    a = _approximation("cos(9*x1)*x1", m=3, N=6)

    def mark(approximation):
        return _digest.digest(subject(approximation))

    if part == "formula":
        b = a.with_target(lib.Target.from_sympy("cos(9*x1)*x1+1/10**9", 1))
    elif part == "cells":
        b = dataclasses.replace(a, cells=a.cells + 1)
        b.__dict__["network"] = a.network
    elif part in ("refinement", "kernel_size"):
        other = dataclasses.replace(a.construction, **{part: getattr(a, part) + 1})
        b = dataclasses.replace(a, construction=other)
        b.__dict__["network"] = a.network
    else:
        b = a.with_coefficients(a.coefficients * (1 + 2**-52 if part == "coefficient" else 1))
        if part == "weight":
            b.network.blocks[0][3].weight.data.view(-1)[0] *= 1 + 2**-52
        if part == "head":
            b.network.head.data[0] = 5e-324
    assert mark(a) != mark(b)
    assert mark(a) == mark(_approximation("x1*cos(9*x1)", m=3, N=6))
    elsewhere = dataclasses.replace(subject(a), patch=lib.domains.CubePatch(1, 7))
    assert mark(a) != _digest.digest(elsewhere)


def test_the_same_number_in_the_name_of_another_is_another_digest():
    """Strings and arrays cannot flow into one another."""
    one, two = np.array([1]), np.array([1, 2])
    kinds = [
        ("ab", one),
        ("a", one),
        ("a", two),
        ("a", two[None]),
        ("a", two.astype(float)),
        ("a", two.astype(bool)),
    ]
    digests = set()
    for text, array in kinds:
        digests |= {
            _digest.digest_of_arrays(text, {"b": array}),
            _digest.digest_of_arrays(text, {"c": array}),
        }
    assert len(digests) == 12


# ---- files


def _interrupted(monkeypatch, where, at):
    """Raise KeyboardInterrupt at the n-th call of a function."""
    owner, name = where
    original = getattr(owner, name)
    calls = []

    def function(*args, **options):
        calls.append(1)
        if len(calls) == at:
            raise KeyboardInterrupt
        return original(*args, **options)

    monkeypatch.setattr(owner, name, function)


PLACES = [
    ((_search.Search, "split"), 2),
    ((_search.np, "concatenate"), 2),
    ((_search.np, "repeat"), 5),
    ((_search.Search, "record"), 3),
    ((_error.ErrorOf, "bounds"), 4),
]


@pytest.mark.parametrize("where, at", PLACES, ids=str)
def test_an_interruption_anywhere_can_be_resumed(tmp_path, monkeypatch, where, at):
    a = _approximation("cos(9*x1)*x1", N=32)
    file = tmp_path / "state"
    whole = a.certify()
    with monkeypatch.context() as patch:
        patch.setattr(_certify, "_AT_ONCE", 16)
        _interrupted(patch, where, at)
        with pytest.raises(KeyboardInterrupt):
            a.certify(checkpoint=file)
    c = a.certify(checkpoint=file)
    assert (c.value, c.slope, c.search_finished) == (whole.value, whole.slope, True)


def _tamper(file, change):
    """Rewrite a file of ours with a valid digest of its own."""
    facts, arrays = _file.read(file)
    change(facts, arrays)
    _file.write(file, facts, arrays)


def _drop_a_box(facts, arrays):
    arrays["table"] = arrays["table"][:-1]


def _twice(facts, arrays):
    arrays["table"] = np.concatenate([arrays["table"], arrays["table"][:1]])


def _moved(facts, arrays):
    arrays["table"]["index"][0] += 1


def _negative_level(facts, arrays):
    arrays["table"]["level"][0] = -1


def _another_type(facts, arrays):
    arrays["table"] = arrays["table"]["value"]


def _no_time(facts, arrays):
    facts["seconds"] = None


@pytest.mark.parametrize(
    "change", [_drop_a_box, _twice, _moved, _negative_level, _another_type, _no_time]
)
def test_the_cover_is_proved_again_after_a_resume(tmp_path, change):
    a = _approximation("cos(9*x1)*x1", N=16)
    file = tmp_path / "state"
    a.certify(checkpoint=file, boxes=20)
    _tamper(file, change)
    with pytest.raises(lib.InputError, match="checkpoint"):
        a.certify(checkpoint=file)


def test_damage_of_a_file_is_noticed(tmp_path):
    a = _approximation("cos(9*x1)*x1", N=16)
    file = tmp_path / "state"
    a.certify(checkpoint=file)
    with np.load(file) as parts:
        parts = {k: parts[k] for k in parts.files}
    parts["table"]["value"] = 1e-9  # better bounds, and the old digest
    with open(file, "wb") as out:
        np.savez_compressed(out, **parts)
    with pytest.raises(lib.InputError, match="altered"):
        a.certify(checkpoint=file)
    for junk in (b"", b"PK", file.read_bytes()[:-50], pickle.dumps(a.coefficients)):
        file.write_bytes(junk)
        with pytest.raises(lib.InputError, match="path"):
            a.certify(checkpoint=file)


def test_covers():
    box = [0, 0, 1, 1], [[0, 0], [1, 0], [0, 2], [1, 2]]
    rest = [1, 1, 0], [[0, 3], [1, 3], [1, 1]]
    level, index = np.array(box[0] + rest[0]), np.array(box[1] + rest[1])
    assert _search.covers(level, index, (2, 2)) and not _search.covers(
        level[:-1], index[:-1], (2, 2)
    )
    assert not _search.covers(level, index, (2, 3)) and not _search.covers(
        level.astype(float), index, (2, 2)
    )
    twice = np.append(level, 2), np.vstack([index, [0, 8]])
    assert not _search.covers(*twice, (2, 2))
    # as much volume, and a hole: a box within another
    assert not _search.covers(np.array([0, 1]), np.array([[0], [0]]), (2,))
    assert not _search.covers(np.array([0, 0]), np.array([[0], [0]]), (2,))
    assert not _search.covers(np.zeros(2, int), np.array([[0, 0], [1, 0]]), (2,))


# ---- forged certificates


def _with(c, kind=certify.Certificate, **changes):
    """A certificate with other parts, whatever its constructor says."""
    found = object.__new__(kind)
    for k, v in {**vars(c), **changes}.items():
        object.__setattr__(found, k, v)
    return found


@pytest.fixture(scope="module")
def honest():
    a = _approximation("sin(2*pi*x1)*exp(x2)", 2, 3, 4)
    return a, a.certify(boxes=300)


class _Agreeable(tuple):
    def __eq__(self, other):
        return True

    def __ne__(self, other):
        return False

    __hash__ = None


class _AgreeableText(str):
    __eq__ = _Agreeable.__eq__
    __ne__ = _Agreeable.__ne__
    __hash__ = str.__hash__


class _AgreeableNumber(float):
    __eq__ = _Agreeable.__eq__
    __ge__ = _Agreeable.__eq__
    __hash__ = float.__hash__


class _AgreeableEnclosure(certify.Enclosure):
    @property
    def upper(self):
        return 10.0


FORGERIES = {
    "a column too many": (lambda c: {"index": np.hstack([c.index, c.index[:, :1]])}, "integers"),
    "copies of the best box": (
        lambda c: {"index": np.repeat(c.index[:1], len(c.index), 0)},
        "cover",
    ),
    "a hole": (lambda c: {"level": c.level[1:], "index": c.index[1:]}, "cover"),
    "floats": (lambda c: {"index": c.index.astype(float)}, "integers"),
    "levels of another length": (lambda c: {"level": c.level[1:]}, "integers"),
    "no boxes": (lambda c: {"level": c.level[:0], "index": c.index[:0]}, "levels"),
    "huge levels": (lambda c: {"level": c.level + 60}, "levels"),
    "value lower": (
        lambda c: {"value": certify.Enclosure(0.0, 0.95 * c.value.upper)},
        "errors below",
    ),
    "slope lower": (
        lambda c: {"slope": certify.Enclosure(0.0, 0.9 * c.slope.upper)},
        "errors below",
    ),
    "value lower end": (
        lambda c: {"value": certify.Enclosure(c.value.upper, c.value.upper)},
        "lower end",
    ),
    "slope lower end": (
        lambda c: {"slope": certify.Enclosure(c.slope.upper, c.slope.upper)},
        "lower end",
    ),
    "another point": (lambda c: {"value_at": (0.25, 0.3)}, "lower end"),
    "a point outside": (lambda c: {"value_at": (0.25, 1.3)}, "points of the cube"),
    "a point of another dimension": (lambda c: {"slope_at": (0.25,)}, "points of the cube"),
    "NaN": (lambda c: {"value": certify.Enclosure(0.0, np.nan)}, "0 <= lower"),
    "None": (lambda c: {"value": certify.Enclosure(None, None)}, "0 <= lower"),
    "strings": (lambda c: {"value": certify.Enclosure("0", "1")}, "0 <= lower"),
    "a bare pair": (lambda c: {"value": (0.0, 1.0)}, "0 <= lower"),
    "no value": (lambda c: {"value": None}, "0 <= lower"),
    "ends exchanged": (
        lambda c: {"value": certify.Enclosure(c.value.upper, c.value.lower)},
        "0 <= lower",
    ),
    "another digest": (lambda c: {"digest": c.digest[::-1]}, "digest"),
    "no digest": (lambda c: {"digest": None}, "two texts"),
    "another description": (
        lambda c: {"description": "sin(x1) on cube of dimension 2, 4 cells"},
        "described",
    ),
    "roots": (lambda c: {"roots": (3, 3)}, "begin at .4, 4."),
    "a list of roots": (lambda c: {"roots": [4, 4]}, "tuple"),
    "roots that equal everything": (lambda c: {"roots": _Agreeable((7, 7))}, "tuple"),
    "a text that equals everything": (lambda c: {"digest": _AgreeableText("00")}, "two texts"),
    "a number that is below everything": (
        lambda c: {"value": certify.Enclosure(0.0, _AgreeableNumber(1e-30))},
        "0 <= lower",
    ),
    "an enclosure with an opinion": (
        lambda c: {"value": _AgreeableEnclosure(0.0, 1e-30)},
        "0 <= lower",
    ),
    "a point with an opinion": (lambda c: {"value_at": _Agreeable((5.0, 5.0))}, "tuple"),
    "a method": (lambda c: {"__post_init__": lambda: None}, "a Certificate"),
    "a masked index": (lambda c: {"index": np.ma.array(c.index)}, "integers"),
    "a list of levels": (lambda c: {"level": c.level.tolist()}, "integers"),
    "no time": (lambda c: {"seconds": None}, "a time"),
    "index of text": (lambda c: {"index": np.array([["a", "b"]])}, "integers"),
    "index missing": (lambda c: {"index": None}, "integers"),
}


@pytest.mark.parametrize("kind", FORGERIES)
def test_the_second_proof_rejects_forgeries(honest, kind):
    a, c = honest
    change, message = FORGERIES[kind]
    with pytest.raises(lib.InputError, match=message):
        certify.check(_with(c, **change(c)), a)


def test_the_second_proof_accepts_what_is_weaker(honest):
    a, c = honest
    weaker = {
        k: certify.Enclosure(0.9 * getattr(c, k).lower, 1.1 * getattr(c, k).upper)
        for k in ("value", "slope")
    }
    assert certify.check(c, a) > 0 and certify.check(_with(c, **weaker), a) > 0


def test_a_certificate_of_another_network_or_formula_is_rejected(honest):
    a, c = honest
    for b in (
        _approximation("sin(2*pi*x1)*exp(x2)", 2, 3, 4, blocks=2),
        a.with_target(lib.Target.from_sympy("x1*x2", 2)),
    ):
        with pytest.raises(lib.InputError, match="digest"):
            certify.check(c, b)
    lying = lib.Target.from_sympy("x1*x2", 2)
    lying.expression = a.target.expression
    with pytest.raises(lib.InputError, match="formula"):
        certify.check(c, a.with_target(lying))
    for forged in (vars(c), _with(c, type("Certificate", (certify.Certificate,), {})), None):
        with pytest.raises(lib.InputError, match="Certificate"):
            certify.check(forged, a)
    with pytest.raises(lib.InputError, match="Approximation"):
        certify.check(c, None)
    incomplete = _with(c)
    object.__delattr__(incomplete, "level")
    with pytest.raises(lib.InputError, match="Certificate"):
        certify.check(incomplete, a)


def test_fractional_powers_of_a_base_that_may_be_zero():
    """``d^3 |u|^2.01`` is unbounded at 0: a claim of .001213 is false, the truth is .00125."""
    a = _approximation("abs(x1-0.246)**2.01", 1, 4, 5)
    c = a.certify()
    x = torch.linspace(0, 1, 200_001, dtype=torch.float64)[:, None]
    truth = float((a.target(x) - a.sparse(x)).abs().max())
    assert truth <= c.value.upper
    with pytest.raises(lib.InputError, match="errors below|lower end|0 <= lower"):
        certify.check(_with(c, value=certify.Enclosure(0.0, 0.97 * truth)), a)
    assert _proof._of_modulus(False, arb(0, 1), arb(-0.5)).is_finite() is False
    assert _proof._of_modulus(True, arb(0, 1), arb(-0.5)).is_finite() is False
    x1 = sympy.Symbol("x1", real=True)
    negative = _proof._value(x1 ** sympy.Rational(1, 2), {x1: arb(-2, 1)}, {})
    assert not negative.is_finite()


def test_certificates_are_neither_compared_nor_added_as_tuples(honest):
    _, c = honest
    wide = _with(c, value=certify.Enclosure(0.0, 9.0), slope=certify.Enclosure(0.0, 9.0))
    assert not wide.upper <= c.upper
    for combined in (
        lambda: wide <= c,
        lambda: c <= c.upper,
        lambda: c.lower <= c,
        lambda: c + c,
        lambda: c.upper + c,
        lambda: 2 * c,
        lambda: c.at(0),
        lambda: c.maximum(wide),
        lambda: c.steeper(2.0),
    ):
        with pytest.raises(lib.InputError, match="upper or .lower"):
            combined()
    other = _with(c, digest="0" * 64)
    assert other != c and c == c and len({c, other}) == 2


def test_an_unknown_function_is_refused_by_the_second_proof():
    x1 = sympy.Symbol("x1", real=True)
    with pytest.raises(lib.InputError, match="sech"):
        _proof._value(sympy.sech(x1), {x1: arb(0, 1)}, {})


def test_a_saved_certificate_is_believed_as_far_as_its_digest(tmp_path, honest):
    a, c = honest
    c.save(tmp_path / "c")
    assert certify.check(certify.Certificate.load(tmp_path / "c"), a) > 0
    _tamper(tmp_path / "c", lambda facts, arrays: facts.update(value=[0.0, "1"]))
    with pytest.raises(lib.InputError, match="path"):
        certify.Certificate.load(tmp_path / "c")
    c.save(tmp_path / "c")
    _tamper(tmp_path / "c", lambda facts, arrays: facts.update(slope=[0.0, 0.5 * c.slope.upper]))
    # with a valid digest: only the proof finds out
    forged = certify.Certificate.load(tmp_path / "c")
    with pytest.raises(lib.InputError, match="errors below"):
        certify.check(forged, a)


def test_the_old_name_of_a_finished_search_warns(honest):
    with pytest.warns(DeprecationWarning, match="search_finished"):
        assert honest[1].complete == honest[1].search_finished


# ---- crashes

STEEP = [
    ("tanh(60*(x1-0.3))", 1),
    ("tanh(30*(x1-x2))", 2),
    ("exp(40*x1)/10**17", 1),
    ("1/(x1+1/1000)", 1),
    ("log(x1+1/1000)", 1),
]


@pytest.mark.parametrize("formula, D", STEEP)
def test_steep_formulas_are_certified(formula, D):
    a = _approximation(formula, D, 4, 4)
    c = a.certify(boxes=5000, gap=0.2)
    s = a.measure(1 << 13)
    assert s.value <= c.value.upper < 1.5 * s.value and s.slope <= c.slope.upper < 3 * s.slope


@pytest.mark.parametrize("formula", ["x1**2.5", "(1-x1)**2.5", "5", "x1**2+x1", "0.1*x1+0.2"])
def test_certified_is_at_most_the_bound(formula):
    a = _approximation(formula, 1, 4, 16)
    c = a.certify()
    assert a.bound.rigorous and c.value.upper <= a.bound.value and c.slope.upper <= a.bound.slope
    assert a.measure().value <= c.value.upper
    assert certify.check(c, a) > 0


def test_a_function_that_underflows_is_not_zero():
    """Evaluated from left to right it is 0; the truth at x1 = 1 is about 1."""
    formula = "(1e-61)**10*(1e61*x1+1)**5*(1e61*x1+2)**5"
    try:
        a = _approximation(formula, 1, 4, 8)
    except lib.InputError:
        return  # refused: there is a constant that float64 does not have
    c = a.certify()
    assert c.value.upper >= c.value.lower and c.value.upper > 0.1 or a.measure().value < 0.1


def test_an_approximation_that_claims_a_rigorous_bound_is_not_believed():
    a = _approximation(m=3, N=6)
    nothing = lib.Bound.of(*[lib.Norms(0.0, 0.0)] * 3, dim=1, rigorous=True)
    c = dataclasses.replace(a, bound=nothing).certify()
    honest = a.certify()
    assert c.value.upper == honest.value.upper > 0 and c.slope.upper == honest.slope.upper > 0


def test_what_is_to_be_proved_is_proved_by_boxes():
    a = _approximation(m=3, N=6)
    low = a.certify(at_most=(0.9 * a.certify().value.lower, 1e9))
    assert not low.search_finished and low.value.upper > 0.9 * a.certify().value.lower
