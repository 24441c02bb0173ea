"""Proofs that a mutant is the same function on the domain (book: the page of evidence)."""

from fractions import Fraction as F

import numpy as np
import torch

from lib.certify._layers import stream, through
from lib.claims._mutants import mutate, network, numbers_of
from lib.convresnet import COORDINATES
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
