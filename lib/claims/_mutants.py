"""A mutation run: networks of both theorems with one thing changed, and what notices it (book: the
page of evidence).

A mutant that is not noticed must be proved to be the same function on the domain; otherwise it has
survived.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from fractions import Fraction as F
from functools import cache

import numpy as np
import torch
from flint import arb

from lib.approximation import approximate
from lib.certify._layers import stream, through
from lib.certify._points import network_value
from lib.claims._manifolds import atlas
from lib.claims._report import code_digest
from lib.convresnet import COORDINATES, Convolution, ConvResNet, OneSidedConv1d, term_block
from lib.domains import Cube
from lib.intervals import Balls, matmul, precision
from lib.targets import Target

# at this level every change is larger than rounding, in value or in slope
COUNT, REFINEMENT = 240, 8
_POINTS = 1500
_BOXES = {1: 128, 2: 48, 3: 16}
_HALVINGS = 6  # a side, for proofs that a channel is dead; how often they are halved
_UNIT = 2.0**-53


@dataclass(frozen=True)
class Mutant:
    """One change.

    Attributes
    ----------
    number : int
    theorem : str
        ``A`` or ``B``.
    network, kind : str
        See `NETWORKS` and `KINDS`.
    block, layer, row, entry : int
        Where; ``entry`` counts the weights of a row, or is another row.
    """

    number: int
    theorem: str
    network: str
    kind: str
    block: int
    layer: int
    row: int
    entry: int


def _cube(formula, D, m, N, blocks, K=2):
    return approximate(
        Target.from_sympy(formula, D),
        Cube(D),
        order=m,
        cells=N,
        refinement=REFINEMENT,
        blocks=blocks,
        kernel_size=K,
    )


def _manifold(name, m, N, formula):
    a = atlas(name, m + 1)
    return approximate(
        Target.from_sympy(formula, a.ambient_dim),
        a,
        order=m,
        cells=N,
        refinement=REFINEMENT,
        kernel_size=3,
    )


NETWORKS = {
    "line, m=2": ("A", lambda: _cube("cos(2*pi*x1)+x1", 1, 2, 7, 2)),
    "line, m=3": ("A", lambda: _cube("cos(2*pi*x1)+x1", 1, 3, 8, 2)),
    "line, m=4": ("A", lambda: _cube("exp(x1)", 1, 4, 6, 1)),
    "line, m=5": ("A", lambda: _cube("cos(5*x1)", 1, 5, 6, 3)),
    "square, m=3": ("A", lambda: _cube("sin(2*pi*x1)*exp(x2)", 2, 3, 4, 3, 3)),
    "square, m=4": ("A", lambda: _cube("cos(3*x1*x2)+x2", 2, 4, 4, 2)),
    "circle, m=3": ("B", lambda: _manifold("circle", 3, 16, "sin(3*x1)*exp(x2)")),
    "circle, m=4": ("B", lambda: _manifold("circle", 4, 20, "cos(4*x1)+x2")),
    "sphere, m=2": ("B", lambda: _manifold("sphere", 2, 12, "sin(3*x1)*exp(x2)+x3")),
}
KINDS = (
    "flip a sign",
    "scale a weight by 1.001",
    "drop a term",
    "shift a bias by 1e-4",
    "remove a refinement level",
    "swap two channels",
)


@cache
def network(name):
    """The approximation of this name, built once."""
    return NETWORKS[name][1]()


@cache
def _numbers(name):
    return network(name).network.numbers()


def mutants(seed=0, count=COUNT):
    """The list for a seed: networks and kinds in turn, places at random.

    Returns
    -------
    list of Mutant
    """
    rng = np.random.default_rng(seed)
    found = []
    names = list(NETWORKS)
    for number in range(count):
        name = names[number % len(names)]
        kind = KINDS[number // len(names) % len(KINDS)]
        blocks = _numbers(name)
        b = int(rng.integers(len(blocks)))
        layer = len(blocks[b]) - 1 if kind == "drop a term" else int(rng.integers(len(blocks[b])))
        c = blocks[b][layer]
        rows = torch.nonzero(c.weight.flatten(1).abs().sum(1)).flatten()
        row = int(rows[rng.integers(len(rows))])
        if kind == "swap two channels":
            per = len(c.weight) // c.groups
            while per < 2:
                layer = int(rng.integers(len(blocks[b])))
                c = blocks[b][layer]
                per = len(c.weight) // c.groups
            row = int(rng.integers(len(c.weight)))
            entry = row - row % per + (row + 1 + int(rng.integers(per - 1))) % per
        else:
            entries = torch.nonzero(c.weight[row].flatten()).flatten()
            entry = int(entries[rng.integers(len(entries))])
        found.append(Mutant(number, NETWORKS[name][0], name, kind, b, layer, row, entry))
    return found


def mutate(mutant):
    """The network with the change, a ConvResNet."""
    a = network(mutant.network)
    blocks = [list(b) for b in _numbers(mutant.network)]
    if mutant.kind == "remove a refinement level":
        blocks[mutant.block] = _coarser(a, mutant.block)
    else:
        c = blocks[mutant.block][mutant.layer]
        weight = c.weight.clone()
        bias = c.bias.clone()
        if mutant.kind == "swap two channels":
            pair, back = [mutant.row, mutant.entry], [mutant.entry, mutant.row]
            weight[pair], bias[pair] = weight[back], bias[back]
        elif mutant.kind == "shift a bias by 1e-4":
            bias[mutant.row] += 1e-4
        else:
            factor = {"flip a sign": -1.0, "scale a weight by 1.001": 1.001, "drop a term": 0.0}[
                mutant.kind
            ]
            weight[mutant.row].view(-1)[mutant.entry] *= factor
        blocks[mutant.block][mutant.layer] = Convolution(weight, bias, c.groups)
    return ConvResNet(blocks, a.network.head.detach(), a.dim)


def _coarser(a, block):
    """The block with one level less."""
    ends = np.cumsum([len(c.indices) for c in a.charts])
    part = np.array_split(np.arange(ends[-1]), a.blocks)[block]
    low = part[0]
    high = part[-1] + 1
    mine = [i for i, end in enumerate(ends) if end > low and end - len(a.charts[i].indices) < high]
    starts = [ends[i] - len(a.charts[i].indices) for i in mine]
    runs = [slice(max(low - s, 0), min(high, ends[i]) - s) for i, s in zip(mine, starts)]
    return term_block([a.charts[i] for i in mine], runs, a.order, a.refinement - 1, a.kernel_size)


@cache
def _points(name, block):
    """Points of the domain, around it and of the cube, with values and slopes by `prop-sparse`.

    On the cube the others are beside knots; on a manifold all are near the chart of the block, up
    to where its gate closes.
    """
    a = network(name)
    rng = np.random.default_rng(2)
    if NETWORKS[name][0] == "A":
        x = a.domain.sample(_POINTS, 1).numpy()
        beside = rng.choice((-1, 1), x.shape) * 10.0 ** rng.uniform(-7, -3, x.shape)
        others = rng.integers(0, a.cells + 1, x.shape) / a.cells + beside
    else:  # a block is a chart
        gate = a.charts[block].gate
        x = a.domain.project(
            gate.centre + 0.3 * gate.outer**0.5 * rng.normal(size=(_POINTS, a.dim))
        )
        others = gate.centre + gate.outer**0.5 * rng.uniform(-1, 1, x.shape)
    x = torch.from_numpy(
        np.concatenate([x, np.clip(others, 0, 1), rng.random((_POINTS // 2, a.dim))])
    )
    return x, *a.sparse.value_and_gradient(x)


def noticed(mutant, points=None):
    """Which statement notices a mutant, or None.

    ``thm-cube`` or ``thm-manifold``: the error exceeds the a priori bound at a point of the domain;
    ``prop-sparse``: the module is not the sum of its terms, in value at a point of the cube or in
    slope at half of them.
    """
    a = network(mutant.network)
    changed = mutate(mutant)
    x, value, gradient = _points(mutant.network, mutant.block) if points is None else points
    blocks = changed.numbers()
    last = blocks[mutant.block][-1]
    if last.weight[COORDINATES].any() or last.bias[COORDINATES]:
        found, slopes = changed.value_and_gradient(x)  # later blocks read something else
    else:  # blocks add up (lem-skip): one of them is enough
        parts = [
            ConvResNet([b[mutant.block]], changed.head.detach(), a.dim).value_and_gradient(x)
            for b in (blocks, _numbers(mutant.network))
        ]
        found = value + (parts[0][0] - parts[1][0])
        slopes = gradient + (parts[0][1] - parts[1][1])
    inside = slice(0, _POINTS if points is None else 0)
    f, df = a.target.value_and_gradient(x[inside])
    errors = (f - found[inside]).abs(), a.domain.slope(x[inside], df - slopes[inside])
    if points is None and (errors[0].max() > a.bound.value or errors[1].max() > a.bound.slope):
        return "thm-cube" if mutant.theorem == "A" else "thm-manifold"
    chart = a.charts[mutant.block if mutant.theorem == "B" else 0]
    scale = np.abs(chart.coefficients).max() * a.order**chart.dim
    if (found - value).abs().max() > 64 * _UNIT * len(changed.blocks[0]) * scale:
        return "prop-sparse, value"
    if (slopes - gradient).abs().amax(1).median() > 1e-9 * scale * a.cells:
        return "prop-sparse, slope"
    return None


def hunted(mutant):
    """`noticed`, at points where the changed rows come as near as possible to doing something else.

    A climb on their arguments: a changed bias may matter on a set that random points miss.
    """
    a = network(mutant.network)
    chain = _numbers(mutant.network)[mutant.block]
    changed = mutate(mutant).numbers()[mutant.block]
    if len(chain) != len(changed):
        return None
    before, after = chain[mutant.layer], changed[mutant.layer]
    rows = torch.nonzero(
        (before.weight != after.weight).flatten(1).any(1) | (before.bias != after.bias)
    ).flatten()

    def arguments(x):  # (rows, P): how much the row changes, or its argument where it is silent
        z = torch.cat(
            [x[:, None], torch.zeros(len(x), a.network.channels - 1, a.dim)], dim=1
        ).double()
        for c in chain[: mutant.layer]:
            z = torch.relu(OneSidedConv1d.from_numbers(c)(z)).detach()
        p, q = (OneSidedConv1d.from_numbers(c)(z).detach()[:, rows, 0] for c in (before, after))
        gap = (torch.relu(p) - torch.relu(q)).abs()
        return torch.where(gap > 0, 1 + gap, torch.maximum(p, q)).amax(1)

    rng = np.random.default_rng(mutant.number)
    x = _points(mutant.network, mutant.block)[0]
    x = x[arguments(x).argsort(descending=True)[:40]]
    for step in np.geomspace(0.1, 1e-7, 60):
        moved = (x[:, None] + step * torch.from_numpy(rng.normal(size=(len(x), 8, a.dim)))).clamp(
            0, 1
        )
        everything = torch.cat([x, moved.flatten(0, 1)])
        x = everything[arguments(everything).argsort(descending=True)[:40]]
    if _differ(a, chain, changed, x[:10]):
        return "prop-realisation, in 400 bits"
    spread = x[:, None] + torch.from_numpy(
        10.0 ** rng.uniform(-8, -2, (40, 50, 1)) * rng.normal(size=(40, 50, a.dim))
    )
    x = torch.cat([x, spread.clamp(0, 1).flatten(0, 1)])
    return noticed(mutant, (x, *a.sparse.value_and_gradient(x)))


def _differ(a, chain, changed, x):
    """Whether two blocks are different functions: exactly, at one of some points (P, D)."""
    with precision(400):
        for row in x.tolist():
            values = [
                network_value(
                    ConvResNet([block], a.network.head.detach(), a.dim), [arb(t) for t in row]
                )
                for block in (chain, changed)
            ]
            if abs(values[0] - values[1]) > 0:
                return True
    return False


def harmless(mutant):
    """A proof that a mutant is the same function on the cube (a billionth away from its faces), in
    words, or None.

    By interval propagation of the layers in front over boxes that cover it
    (``lem-interval-layer``).
    """
    blocks = _numbers(mutant.network)
    chain = blocks[mutant.block]
    changed = mutate(mutant).numbers()[mutant.block]
    if len(chain) == len(changed) and all(
        torch.equal(p.weight, q.weight) and torch.equal(p.bias, q.bias)
        for p, q in zip(chain, changed)
    ):
        return "the same weights"
    if len(chain) != len(changed):
        return None
    before, after = chain[mutant.layer], changed[mutant.layer]
    rows = (
        torch.nonzero(
            (before.weight != after.weight).flatten(1).any(1) | (before.bias != after.bias)
        )
        .flatten()
        .tolist()
    )
    last = mutant.layer == len(chain) - 1
    if last and mutant.block == len(blocks) - 1 and set(rows) == {COORDINATES}:
        return "the coordinates are not read any more"
    if not _reaches(chain, mutant.layer, rows):
        return "it only enters with the coefficient zero"
    a = network(mutant.network)
    side = _BOXES[a.dim]
    middles = (
        np.stack(np.unravel_index(np.arange(side**a.dim), (side,) * a.dim), axis=1) + 0.5
    ) / side
    middles, radius = 1e-9 + (1 - 2e-9) * middles, 0.5 / side
    counts = a.network.rows_needed()[mutant.block]
    reasons = set()
    corners = np.stack(np.unravel_index(np.arange(2**a.dim), (2,) * a.dim), axis=1) - 0.5
    for _ in range(_HALVINGS):  # halve the boxes on which nothing is proved
        left = []
        for part in np.array_split(middles, max(1, len(middles) // 512)):
            z, _ = stream(Balls(part.T, radius), a.network.channels, gradient=False)
            y = (
                through(chain[: mutant.layer], counts[: mutant.layer + 1], z, None)[0]
                if mutant.layer
                else z
            )
            silent, blind = _same(before, after, rows, y, counts[mutant.layer + 1])
            reasons |= {"its input is zero"} if blind.any() else set()
            reasons |= {"its output is zero before and after"} if (silent & ~blind).any() else set()
            left.append(part[~(silent | blind)])
        middles = np.concatenate(left)
        if not len(middles):
            return " or ".join(sorted(reasons))
        if len(middles) > 20_000:
            return None
        middles, radius = (middles[:, None] + radius * corners).reshape(-1, a.dim), radius / 2
    if a.dim > 1:
        return None
    places = [(F(float(m)) - F(2 * radius), F(float(m)) + F(2 * radius)) for m in middles[:, 0]]
    if all(_equal(chain, changed, max(p, F(0)), min(q, F(1))) for p, q in places):
        return "the same piecewise linear function, compared in rational numbers"
    return None


def _reaches(chain, layer, rows):
    """Whether rows of a layer reach an output of the block through weights that are not zero."""
    touched = np.zeros(len(chain[layer].weight), bool)
    touched[rows] = True
    for c in chain[layer + 1 :]:
        touched = ((c.dense().weight != 0).any(2).numpy() & touched).any(1)
    return bool(touched.any())


def _same(before, after, rows, z, count):
    """For inputs in ``z``, balls (in, rows, P): where changed rows return zero before and after,
    where they read zeros only.

    Two bool arrays (P,).
    """
    silent, blind = np.ones((2, z.shape[2]), bool)
    for r in rows:
        first = r // (len(before.weight) // before.groups) * before.weight.shape[1]
        entries = torch.nonzero((before.weight[r] != after.weight[r]).any(1)).flatten().numpy()
        blind &= bool(before.bias[r] == after.bias[r]) & (z.size[first + entries] == 0).all((0, 1))
    for numbers in (before, after):
        dense = numbers.dense()
        weight, bias = dense.weight.numpy()[rows], dense.bias.numpy()[rows]
        for row in range(count):
            total = Balls(np.zeros((len(rows), z.shape[2])) + bias[:, None])
            for k in range(weight.shape[2]):
                if row + k < z.shape[1]:
                    total = total + matmul(weight[:, :, k], z[:, row + k])[0]
            silent &= (total.mid + total.rad <= 0).all(0)
    return silent, blind


def _equal(chain, changed, low, high):
    """Whether two blocks are the same function of one variable on an interval, in rational numbers.

    The interval is cut where a ReLU of either has its kink; between kinks both are affine and
    compared at the ends.
    """
    todo = [(low, high)]
    while todo:
        p, q = todo.pop()
        ends, cut = [], None
        for block in (chain, changed):
            at = [{COORDINATES: t} for t in (p, q)]
            for c in block:
                at = [_row(c, z) for z in at]
                for key in at[0].keys() | at[1].keys():
                    s, t = (z.get(key, F(0)) for z in at)
                    if s * t < 0:
                        cut = p + (q - p) * s / (s - t)
                        break
                if cut is not None:
                    break
                at = [{k: v for k, v in z.items() if v > 0} for z in at]
            if cut is not None:
                break
            ends.append(at)
        if cut is not None:
            todo += [(p, cut), (cut, q)]
        elif ends[0] != ends[1]:
            return False
    return True


def _row(c, z):
    """One layer in dimension one, for inputs that are not zero, before the ReLU: a dict from
    channels to Fractions.
    """
    weight = c.weight[..., 0].numpy()
    bias = c.bias.numpy()
    per = len(weight) // c.groups
    width = weight.shape[1]
    found = {int(o): F(float(bias[o])) for o in np.flatnonzero(bias)}
    for channel, value in z.items():
        rows = range(channel // width * per, (channel // width + 1) * per)
        for o in rows:
            w = weight[o, channel % width]
            if w:
                found[o] = found.get(o, F(0)) + F(float(w)) * value
    return found


def run(seed=0, count=COUNT, progress: Callable = lambda items: items):
    """The mutation run.

    Returns
    -------
    dict
        ``{"code", "seed", "count", "score", "mutants": [{.., "outcome", "by"}]}``; ``outcome`` is
        caught, harmless or survived, ``score`` the share of those that are not harmless and were
        caught.
    """
    rows = []
    for m in progress(mutants(seed, count)):
        by = noticed(m)
        outcome = "caught"
        if by is None:
            by = harmless(m)
            outcome = "harmless"
        if by is None:
            by = hunted(m)
            outcome = "survived" if by is None else "caught"
        rows.append({**asdict(m), "outcome": outcome, "by": by})
    caught, survived = (sum(r["outcome"] == o for r in rows) for o in ("caught", "survived"))
    return {
        "code": code_digest(),
        "seed": seed,
        "count": count,
        "score": caught / max(caught + survived, 1),
        "mutants": rows,
    }
