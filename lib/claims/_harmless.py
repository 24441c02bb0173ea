"""Proofs that a mutant is the same function on the domain (book: the page of evidence)."""

from fractions import Fraction as F

import numpy as np
import torch

from lib.certify._layers import stream, through
from lib.claims._mutants import mutate, network, numbers_of
from lib.convresnet import COORDINATES, Convolution
from lib.intervals import Balls, matmul

_BOXES = {1: 128, 2: 48, 3: 16}  # a side, for proofs that a channel is dead
_HALVINGS = 6  # how often they are halved
_UNIT = 2.0**-53


def harmless(mutant):
    """A proof that a mutant is the same function on the cube (a billionth away from its faces), in
    words, or None.

    By interval propagation of the layers in front over boxes that cover it
    (``lem-interval-layer``).
    """
    blocks = numbers_of(mutant.network)
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
    if _renamed(chain, changed, mutant.layer):
        return "two factors change places"
    before, after, chain_before = _read_by(chain, before, after, mutant.layer, rows)
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
            if chain_before:
                z = through(chain_before, counts[: mutant.layer + 1], z, None)[0]
            silent, blind = _same(before, after, z, counts[mutant.layer + 1])
            silent &= not last  # of the last layer only the changed coefficients are here
            reasons |= {"its input is zero"} if blind.any() else set()
            reasons |= {"its output is zero before and after"} if (silent & ~blind).any() else set()
            left.append(part[~(silent | blind)])
        middles = np.concatenate(left)
        if not len(middles):
            return " or ".join(sorted(reasons))
        if len(middles) > 200_000:
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


def _renamed(chain, changed, layer):
    """Whether the changed layer is the old one with its channels in another order, and the next one
    reads them in either order alike, up to the order of its own channels, and so on.
    """
    order = _order(chain[layer], changed[layer])
    for c in chain[layer + 1 :]:
        if order is None:
            return False
        d = c.dense()
        read = Convolution(d.weight[:, np.argsort(order)], d.bias)
        order = _order(d, read)
    return order is not None and bool((order == np.arange(len(order))).all())


def _order(old, new):
    """An order of the channels with ``new = old[order]``, or None."""
    old, new = (np.c_[c.dense().weight.flatten(1).numpy(), c.bias.numpy()] for c in (old, new))
    places = [np.lexsort(rows.T) for rows in (old, new)]
    if not np.array_equal(old[places[0]], new[places[1]]):
        return None
    order = np.empty(len(old), int)
    order[places[1]] = places[0]
    return order


def _read_by(chain, before, after, layer, rows):
    """The changed rows before and after, and the chain in front of them, without the channels that
    they do not read: of the last layer they are coefficients, and only the changed ones count.
    """
    p, q = (Convolution(c.dense().weight[rows], c.bias[rows]) for c in (before, after))
    counts = p.weight != q.weight if layer == len(chain) - 1 else (p.weight != 0) | (q.weight != 0)
    if layer == 0:
        return p, q, []
    need = torch.nonzero(counts.any(2).any(0)).flatten()
    p, q = (Convolution(c.weight[:, need], c.bias) for c in (p, q))
    front = []
    for k, c in reversed(list(enumerate(chain[:layer]))):
        d = c.dense()
        weight = d.weight[need]
        every = torch.arange(weight.shape[1])
        read = torch.nonzero((weight != 0).any(2).any(0)).flatten() if k else every
        front.append(Convolution(weight[:, read], d.bias[need]))
        need = read
    return p, q, front[::-1]


def _same(before, after, z, count):
    """For inputs in ``z``, balls (in, rows, P): where changed rows return zero before and after,
    where they read zeros only.

    Two bool arrays (P,).
    """
    entries = torch.nonzero((before.weight != after.weight).any(2).any(0)).flatten().numpy()
    blind = (z.size[entries] == 0).all((0, 1)) & torch.equal(before.bias, after.bias)
    silent = np.ones(z.shape[2], bool)
    for numbers in (before, after):
        weight, bias = numbers.weight.numpy(), numbers.bias.numpy()
        for row in range(count):
            total = Balls(np.zeros((len(bias), z.shape[2])) + bias[:, None])
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
