"""Mutants: networks of both theorems with one thing changed (book: the page of evidence)."""

from copy import copy
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from scipy.spatial import cKDTree

from lib.approximation import approximate
from lib.claims._manifolds import atlas
from lib.convresnet import Convolution, ConvResNet, term_block
from lib.domains import Cube
from lib.targets import Target

# at this level every change is larger than rounding, in value or in slope
COUNT, REFINEMENT = 240, 8


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
    a = copy(atlas(name))  # with a finer net, by which few terms are kept that are always zero
    a.manifold = copy(a.manifold)
    points, radius = a.manifold.net(a.fine_net[1] / 8)
    a.manifold.__dict__["_fine"] = points, radius, cKDTree(points)
    a._living = {}
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
    "sphere, m=2": ("B", lambda: _manifold("sphere", 2, 8, "sin(3*x1)*exp(x2)+x3")),
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
def numbers_of(name):
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
        blocks = numbers_of(name)
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
    blocks = [list(b) for b in numbers_of(mutant.network)]
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


def runs_of(a, block):
    """The numbers of the charts whose terms a block has, and which terms of each: slices."""
    ends = np.cumsum([len(c.indices) for c in a.charts])
    part = np.array_split(np.arange(ends[-1]), a.blocks)[block]
    low = part[0]
    high = part[-1] + 1
    mine = [i for i, end in enumerate(ends) if end > low and end - len(a.charts[i].indices) < high]
    starts = [ends[i] - len(a.charts[i].indices) for i in mine]
    return mine, [slice(max(low - s, 0), min(high, ends[i]) - s) for i, s in zip(mine, starts)]


def _coarser(a, block):
    """The block with one level less."""
    mine, runs = runs_of(a, block)
    return term_block([a.charts[i] for i in mine], runs, a.order, a.refinement - 1, a.kernel_size)
