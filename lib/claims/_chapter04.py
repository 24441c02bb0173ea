"""Claims of chapter 04: the class of networks and what is realised in it."""

from dataclasses import replace

import numpy as np
import torch

from lib import convresnet, relu
from lib.claims._registry import EXACT, claim, grid, sampled
from lib.convresnet import Convolution, ConvResNet
from lib.relu import exact
from lib.splines import ORDERS

_UNIT = 2.0**-53


def _spline(D=2, m=3, N=5, n=6, K=2, blocks=3, seed=0):
    coefficients = np.random.default_rng(seed).uniform(-1, 1, (N + m - 1,) * D)
    return convresnet.Construction(
        [convresnet.cube_chart(coefficients, m)], m, n, K, blocks
    ).network


def _points(count, D, seed=1):
    return torch.from_numpy(np.random.default_rng(seed).random((count, D)))


def _rounding(network):
    """Rounding allowance: unit roundoff x operations on a path x size of the numbers."""
    layers = [c for block in network.blocks for c in block]
    return 64 * _UNIT * len(layers) * max(c.in_channels // c.groups for c in layers)


def _by_loops(network, x, side=1):
    """The definition written out with loops, numpy only; ``side=-1`` pads in front instead."""
    result = []
    for point in x.numpy():
        z = np.zeros((network.dim, network.channels))
        z[:, 0] = point
        for block in network.numbers():
            y = z
            for conv in block:
                dense = conv.dense()
                weight = dense.weight.numpy()
                new = np.tile(dense.bias.numpy(), (network.dim, 1))
                for i in range(network.dim):
                    for k in range(weight.shape[2]):
                        if 0 <= i + side * k < network.dim:
                            new[i] += weight[:, :, k] @ y[i + side * k]
                y = np.maximum(new, 0)
            z = z + y
        result.append(z[0] @ network.head.detach().numpy())
    return torch.tensor(result, dtype=torch.float64)


@claim(
    uses=(),
    evidence=sampled("two programs for the same formula, compared in float64"),
    grid=grid(D=(1, 2, 3), K=(2, 3)),
    honest=_by_loops,
    tampered=(
        "convolutions that read earlier coordinates instead of later ones",
        lambda network, x: _by_loops(network, x, -1),
    ),
)
def def_convresnet(build, D, K):
    """The module, every row computed, against the definition written out with loops at 20
    points.
    """
    network = _spline(D=D, N=3, K=K)
    x = _points(20, D)
    return _rounding(network), (network(x, all_rows=True).detach() - build(network, x)).abs().max()


def _forms(chain, dim):
    """What a chain of gather layers computes in row 0, if no ReLU but the last cuts: affine forms
    (channels, D + 1).

    The constant comes last.  With weights that are multiples of 2^-20 below 2^10 float64 is exact
    here.  Also counts the numbers on the way to row 0 that are negative somewhere on the cube.
    """
    rows = [1]
    for c in reversed(chain):
        rows.append(min(dim, rows[-1] + c.weight.shape[2] - 1))
    z = np.zeros((1, rows[-1], dim + 1))
    cuts = 0
    z[0, np.arange(rows[-1]), np.arange(rows[-1])] = 1
    for c, count in zip(chain, rows[-2::-1]):
        weight = c.weight.numpy()
        y = np.zeros((len(c.bias), count, dim + 1))
        y[..., -1] = c.bias.numpy()[:, None]
        for k in range(weight.shape[2]):
            part = z[:, k : k + count]
            y[:, : part.shape[1]] += np.einsum("oi,ird->ord", weight[:, :, k], part)
        z = y
        if c is not chain[-1]:
            cuts += int((y[..., -1] + np.minimum(y[..., :-1], 0).sum(-1) < 0).sum())
    return z[:, 0], cuts


def _gather_too_much(matrix, offset, kernel_size):
    chain = convresnet.gather(matrix, offset, kernel_size)
    last = chain[-1]
    return [*chain[:-1], Convolution(last.weight * (1 + 2.0**-30), last.bias)]


@claim(
    uses=("def-convresnet",),
    evidence=sampled(
        "about every affine map; random ones, decided without rounding for all points"
    ),
    grid=grid(D=(1, 2, 7, 64), K=(2, 3, 9)),
    honest=convresnet.gather,
    tampered=(
        "a last layer whose weights are too large by one part in a billion",
        _gather_too_much,
    ),
)
def lem_gather(build, D, K):
    """For a random affine map with entries of both signs, multiples of 2^-20: number of wrong
    coefficients, of ReLUs that cut somewhere on the cube, and of violated sizes.
    """
    rng = np.random.default_rng(D)
    matrix, offset = (np.round(rng.normal(size=s) * 2**20) / 2**20 for s in ((4, D), 4))
    chain = build(matrix, offset, K)
    forms, wrong = _forms(chain, D)
    wrong += int((forms != np.concatenate([matrix, offset[:, None]], axis=1)).sum())
    weights = max(float(c.weight.abs().max()) for c in chain) > max(1, np.abs(matrix).max())
    most = (np.abs(offset) + np.abs(matrix).sum(1)).max()
    wrong += (
        (len(chain) != max(1, -((1 - D) // (K - 1))))
        + weights
        + any(float(c.bias.abs().max()) > most for c in chain)
    )
    return 0, wrong + any(c.weight.shape[0] > 5 or c.weight.shape[2] > K for c in chain)


def _overwriting(blocks, head, D):
    (*layers, last), *others = blocks
    bias = last.bias.clone()
    bias[0] = 0.25
    first = [*layers, Convolution(last.weight, bias, last.groups)]
    return ConvResNet([first, *others], head, D)


@claim(
    uses=("def-convresnet",),
    evidence=sampled("equality of two networks up to rounding"),
    grid=grid(D=(1, 2), m=(2, 4)),
    honest=ConvResNet,
    tampered=(
        "a first block that adds a quarter to every coordinate, which the second one reads",
        _overwriting,
    ),
)
def lem_skip(build, D, m):
    """Two blocks in one network, in either order, against the sum of two networks with one each,
    at 500 points.
    """
    whole = _spline(D=D, m=m, blocks=2)
    x = _points(500, D)
    a, b = whole.numbers()
    head = whole.head.detach()
    parts = sum(ConvResNet([block], head, D)(x) for block in (a, b))
    both = [build(order, head, D)(x) for order in ((a, b), (b, a))]
    return _rounding(whole), max((together - parts).detach().abs().max() for together in both)


def _chain(m, N):
    """The layers of one block in dimension one."""
    return _spline(D=1, m=m, N=N, blocks=1).numbers()[0]


def _in_one_layer(m, N):
    chain = _chain(m, N)
    doubling = chain[2]  # behind the gather layer and the first differences
    return [
        *chain[:2],
        Convolution(1024 * doubling.weight, doubling.bias, doubling.groups),
        *chain[3:],
    ]


@claim(
    uses=("lem-gather",),
    evidence=EXACT,
    grid=[{"m": m, "N": N} for m in ORDERS for N in sorted({max(m, 5), 8, 128, 500})],
    honest=_chain,
    tampered=("a first doubling that multiplies by 2048 instead of 2", _in_one_layer),
)
def lem_doubling(build, m, N):
    """Number of violations in the layers that form ``|N x - c|``: dyadic numbers on which float64
    does not round.

    Counted: a gather weight that is not ``N / 2^k``; weights above 2 or biases above 3/2; cells
    between multiples of ``2^-(k+1)`` on which a channel is not affine, and ends at which it is not
    ``|2^k u - c|``.  For what float64 makes of other points: channels that depend on more than
    ``+-(u - c 2^-k)``, where rounding is monotone, and doublings, which are exact.
    """
    chain = build(m, N)
    k = convresnet.doublings(N)
    # one gather layer in dimension 1
    wrong = int(float(chain[0].weight[0, 0, 0]) != N / 2**k) + len(chain[0].bias) - 1
    layers = [c.to_layer() for c in chain[1 : k + 2]]
    wrong += sum(float(c.weight.abs().max()) > 2 or float(c.bias.abs().max()) > 1.5 for c in layers)
    centres = np.arange(1 - m, N) + m / 2
    pair = torch.from_numpy(np.outer(centres / 2**k, [-1, 1]).ravel())
    wrong += int((layers[0].weight.ravel() != torch.tensor([1.0, -1.0]).repeat(len(centres))).sum())
    wrong += int((layers[0].bias.ravel() != pair).sum()) + sum(
        int((c.weight != 2).sum()) for c in layers[1:]
    )
    u = np.arange(2 * N + 1) / 2.0 ** (k + 1)
    values, affine = exact.on_cells(layers, np.stack([u[:-1], u[1:]], axis=-1)[None])
    wrong += int((~affine).sum())
    for end, at in enumerate((u[:-1], u[1:])):
        wrong += int((values[..., end] != np.abs(2**k * at - centres[:, None])).sum())
    return 0, wrong


def _rolled(network):
    dense = network.dense()
    numbers = dense.numbers()
    c = numbers[-1][-2]
    numbers[-1][-2] = Convolution(c.weight.roll(1, 0), c.bias, 1)
    return ConvResNet(numbers, network.head.detach(), network.dim)


@claim(
    uses=("def-convresnet",),
    evidence=sampled(
        "about every grouped convolution; those of our networks, compared number by number"
    ),
    grid=grid(D=(1, 2, 3), m=(2, 3, 4, 5)) + grid(D=(1,), m=(6, 7, 8)),
    honest=ConvResNet.dense,
    tampered=("a dense form in which the rows of one layer are shifted by one channel", _rolled),
)
def lem_grouped(build, D, m):
    """Number of wrong numbers in the dense form: those of the groups on the block diagonal, zero
    elsewhere, equal biases.
    """
    network = _spline(D=D, m=m, N=m, n=4)
    wrong = 0
    for grouped, dense in zip(network.numbers(), build(network).numbers()):
        for c, whole in zip(grouped, dense):
            blocks = c.weight.reshape(c.groups, -1, *c.weight.shape[1:])
            expected = torch.stack(
                [torch.block_diag(*blocks[..., k]) for k in range(c.weight.shape[2])], dim=-1
            )
            wrong += int((whole.weight != expected).sum() + (whole.bias != c.bias).sum()) + (
                whole.groups != 1
            )
    return 0, wrong


@claim(
    uses=("def-convresnet",),
    evidence=sampled("equality of two evaluations up to rounding"),
    grid=grid(D=(2, 3, 5), K=(2, 3, 9)),
    honest=lambda network, x: network(x),
    tampered=(
        "an evaluation that ignores the last coordinate",
        lambda network, x: network(torch.cat([x[:, :-1], 0 * x[:, -1:]], dim=1)),
    ),
)
def lem_rows(build, D, K):
    """Only the rows that can reach row 1 against all rows, at 50 points."""
    network = _spline(D=D, m=2, N=2, n=4, K=K)
    x = _points(50, D)
    return _rounding(network), (build(network, x) - network(x, all_rows=True)).detach().abs().max()


def _sum_of_terms(D, m, N, n, x):
    """``sum_j c_j M~_j(x)`` over all terms, with the coefficients of `_spline`."""
    coefficients = torch.from_numpy(np.random.default_rng(0).uniform(-1, 1, (N + m - 1,) * D))
    factors = relu.bspline(N * x[..., None] - torch.arange(1 - m, N), m, n)  # (P, D, N + m - 1)
    terms = factors[:, 0]
    for i in range(1, D):
        terms = relu.product(factors[:, i].reshape(len(x), *[1] * i, -1), terms[..., None], n)
    return (terms * coefficients).flatten(1).sum(1)


@claim(
    uses=("lem-power", "prop-tensor-net", "lem-gather", "lem-skip", "lem-doubling"),
    evidence=sampled("sizes are exact; the function is compared in float64"),
    grid=grid(D=(1, 2, 3), m=(2, 3, 4, 5), K=(2, 5), blocks=(1, 4))
    + grid(D=(1, 2), m=(6, 7, 8), K=(2,), blocks=(1, 4)),
    honest=lambda *sizes: convresnet.Construction(*sizes).promised,
    tampered=(
        "the sizes of a network with one refinement level less",
        lambda charts, m, n, K, blocks: (
            convresnet.Construction(charts, m, n - 1, K, blocks).promised
        ),
    ),
)
def prop_realisation(build, D, m, K, blocks):
    """The module against the sum of ``c_j M~_j`` by the maps of chapter 03, at 50 points; infinity
    for a wrong size.

    Depth, blocks, filters and ``kappa_2`` must be those of the promise, channels and ``kappa_1`` at
    most those.
    """
    N = m + 1
    n = 5
    network = _spline(D=D, m=m, N=N, n=n, K=K, blocks=blocks)
    chart = convresnet.cube_chart(np.ones((N + m - 1,) * D), m)
    found = convresnet.measure_architecture(network)
    promised = build([chart], m, n, K, blocks)
    equal = all(getattr(found, k) == getattr(promised, k) for k in ("M", "L", "K", "kappa2"))
    if not (equal and found.J <= promised.J and found.kappa1 <= promised.kappa1):
        return _rounding(network), np.inf
    x = _points(50, D)
    return _rounding(network), (network(x).detach() - _sum_of_terms(D, m, N, n, x)).abs().max()


def _several(D, m, blocks):
    return _spline(D=D, m=m, N=max(6, m), n=9, K=3, blocks=blocks)


def _without_the_last_block(D, m, blocks):
    network = _several(D, m, blocks)
    return ConvResNet(network.numbers()[:-1], network.head.detach(), D)


@claim(
    uses=("lem-skip", "prop-realisation"),
    evidence=sampled("equality of two networks up to rounding"),
    grid=grid(D=(1, 2), m=(2, 3, 4, 5), blocks=(2, 5, 7))
    + grid(D=(1, 2), m=(6, 7, 8), blocks=(5,)),
    honest=_several,
    tampered=("several blocks, of which the last is left out", _without_the_last_block),
)
def cor_budget(build, D, m, blocks):
    """The same spline in one term block and in several, with another kernel size, at 300 points."""
    x = _points(300, D)
    one = _spline(D=D, m=m, N=max(6, m), n=9, K=2, blocks=1)
    several = build(D, m, blocks)
    return min(_rounding(one), 1e-12), (one(x) - several(x)).detach().abs().max()


def _everywhere(D, m, N):
    """Random points of the cube and around it, knots, points on faces of cells, and points just
    beside them.
    """
    rng = np.random.default_rng(D)
    knots = rng.integers(-2, N + m + 2, (100, D)) / N
    faces = np.where(rng.random((100, D)) < 0.5, knots, rng.random((100, D)))
    beside = [np.nextafter(knots, 9), np.nextafter(knots, -9)]
    return torch.from_numpy(
        np.concatenate([rng.random((100, D)), rng.uniform(-1, 2, (100, D)), knots, faces, *beside])
    )


def _without_a_term(charts, *sizes):
    coefficients = np.where((charts[0].indices == 1).all(1), 0, charts[0].coefficients)
    return convresnet.Construction([replace(charts[0], coefficients=coefficients)], *sizes).sparse


@claim(
    uses=("prop-realisation", "lem-gather", "prop-bspline-net", "lem-product", "lem-square"),
    evidence=sampled("equality of two programs up to rounding, everywhere in space"),
    grid=[
        p for K, n in ((2, 17), (3, 4)) for p in grid(D=(1, 2, 3), m=(2, 3, 4, 5), K=(K,), n=(n,))
    ]
    + grid(D=(1, 2), m=(6, 7, 8), K=(2,), n=(9, 17)),
    honest=lambda *sizes: convresnet.Construction(*sizes).sparse,
    tampered=("an evaluation that forgets one of the terms", _without_a_term),
)
def prop_sparse(build, D, m, K, n):
    """Module against terms alive at 600 points: random, knots, faces of cells, inside the cube and
    out; and 1 for a gradient that is not that of the module at a random point.
    """
    N = m + 1
    chart = convresnet.cube_chart(np.random.default_rng(n).uniform(-1, 1, (N + m - 1,) * D), m)
    network = convresnet.Construction([chart], m, n, K, 2).network
    x = _everywhere(D, m, N)
    sparse = build([chart], m, n, K)
    value, gradient = sparse.value_and_gradient(x)
    slopes = network.value_and_gradient(x[:50])[1]
    wrong = (slopes - gradient[:50]).abs().max() > 1e-9 * N
    return min(_rounding(network), 1e-12), float((network(x).detach() - value).abs().max()) + int(
        wrong
    )
