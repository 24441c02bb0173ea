"""A mutation run: what notices each mutant (book: the page of evidence).

A mutant that is not noticed must be proved to be the same function on the domain; otherwise it has
survived.
"""

from collections.abc import Callable
from dataclasses import asdict
from functools import cache

import numpy as np
import torch
from flint import arb

from lib.certify._points import network_value
from lib.claims._harmless import harmless
from lib.claims._mutants import COUNT, NETWORKS, mutants, mutate, network, numbers_of, runs_of
from lib.claims._processes import one_thread_each
from lib.claims._report import code_digest
from lib.convresnet import COORDINATES, ConvResNet, OneSidedConv1d
from lib.intervals import precision

_POINTS = 1500
_UNIT = 2.0**-53


@cache
def _points(name, block):
    """Points of the domain, around it and of the cube, with values and slopes by `prop-sparse`.

    On the cube the others are beside knots; on a manifold all are near the charts of the block.
    """
    a = network(name)
    rng = np.random.default_rng(2)
    if NETWORKS[name][0] == "A":
        x = a.domain.sample(_POINTS, 1).numpy()
        beside = rng.choice((-1, 1), x.shape) * 10.0 ** rng.uniform(-7, -3, x.shape)
        others = rng.integers(0, a.cells + 1, x.shape) / a.cells + beside
    else:
        found = [_around(a, i, rng) for i in runs_of(a, block)[0]]
        x, others = (np.concatenate(part) for part in zip(*found))
    x = torch.from_numpy(
        np.concatenate([x, np.clip(others, 0, 1), rng.random((_POINTS // 2, a.dim))])
    )
    return x, *a.sparse.value_and_gradient(x)


def _around(a, i, rng):
    """Points of a manifold near a chart, and others where its partition function is positive."""
    ball = a.charts[i].partition
    x = a.domain.project(ball.centre + 0.6 * ball.outer**0.5 * rng.normal(size=(_POINTS, a.dim)))
    others = ball.centre + ball.outer**0.5 * rng.uniform(-1, 1, (40 * _POINTS, a.dim))
    others = others[((others >= 0) & (others <= 1)).all(1)]
    return x, others[ball(torch.from_numpy(others)).numpy() > 0][:_POINTS]


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
            for b in (blocks, numbers_of(mutant.network))
        ]
        found = value + (parts[0][0] - parts[1][0])
        slopes = gradient + (parts[0][1] - parts[1][1])
    inside = slice(0, _POINTS if points is None else 0)  # points of the domain
    f, df = a.target.value_and_gradient(x[inside])
    errors = (f - found[inside]).abs(), a.domain.slope(x[inside], df - slopes[inside])
    if points is None and (errors[0].max() > a.bound.value or errors[1].max() > a.bound.slope):
        return "thm-cube" if mutant.theorem == "A" else "thm-manifold"
    chart = a.charts[runs_of(a, mutant.block)[0][0]]
    scale = np.abs(a.coefficients).max() * a.order**chart.dim
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
    chain = numbers_of(mutant.network)[mutant.block]
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


def outcome_of(mutant):
    """A row of the report: what notices a mutant, or why it is harmless."""
    by = noticed(mutant)
    outcome = "caught"
    if by is None:
        by = harmless(mutant)
        outcome = "harmless"
    if by is None:
        by = hunted(mutant)
        outcome = "survived" if by is None else "caught"
    return {**asdict(mutant), "outcome": outcome, "by": by}


def run(seed=0, count=COUNT, progress: Callable = lambda items: items, jobs=1):
    """The mutation run.

    Parameters
    ----------
    seed, count : int
        Which mutants.
    progress : callable
        Wraps the list of mutants, for a progress bar.
    jobs : int
        Number of processes; each of several uses one thread.

    Returns
    -------
    dict
        ``{"code", "seed", "count", "score", "mutants": [{.., "outcome", "by"}]}``; ``outcome`` is
        caught, harmless or survived, ``score`` the share of those that are not harmless and were
        caught.
    """
    todo = mutants(seed, count)
    if jobs == 1:
        rows = [outcome_of(m) for m in progress(todo)]
    else:
        with one_thread_each(jobs) as pool:
            rows = [row for _, row in zip(progress(todo), pool.map(outcome_of, todo, chunksize=4))]
    caught, survived = (sum(r["outcome"] == o for r in rows) for o in ("caught", "survived"))
    return {
        "code": code_digest(),
        "seed": seed,
        "count": count,
        "score": caught / max(caught + survived, 1),
        "mutants": rows,
    }
