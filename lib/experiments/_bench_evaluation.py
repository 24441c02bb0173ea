"""Rows of the table of costs: evaluating a network, against the module and other libraries."""

import shutil
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from scipy.interpolate import BSpline, NdBSpline

from lib import relu
from lib.convresnet import Construction, cube_chart, threads
from lib.convresnet._kernel import sum_alive
from lib.experiments._bench import ORDER, nano, per_point, row, single
from lib.experiments._timing import exponent, paired

CELLS = 32
REFINEMENT = 20
POINTS = 100_000


def _chart(D, N, m=ORDER):
    return cube_chart(np.random.default_rng(0).standard_normal((N + m - 1,) * D), m)


def _sparse(D, N, m=ORDER):
    return Construction([_chart(D, N, m)], m, REFINEMENT).sparse


def _module(D, N):
    return Construction([_chart(D, N)], ORDER, REFINEMENT, 2, 1).network


def _points(count, D):
    return torch.from_numpy(np.random.default_rng(1).random((count, D)))


@row("module")
@single
def _against_the_module():
    """Value and gradient: the module, layer by layer, over the sparse evaluator."""
    for D, N in ((1, 32), (1, 128), (2, 8), (2, 16), (2, 32), (3, 8)):
        sparse = _sparse(D, N)
        module = _module(D, N)
        x = _points(POINTS, D)
        few = x[: max(64, module.chunk(gradient=True))]
        ours, other, ratio = paired(
            lambda: sparse.value_and_gradient(x), lambda: module.value_and_gradient(few), 5
        )
        ours, other = nano(ours, len(x)), nano(other, len(few))
        yield f"D={D} N={N}", ratio * len(x) / len(few), ours, other, "ns a point"


@row("dense")
@single
def _grouped_against_dense():
    """Values of the module: every grouped convolution written out as a dense one, over the
    grouped form.
    """
    for D, N in ((1, 32), (2, 4), (2, 8)):
        module = _module(D, N)
        x = _points(256, D)
        dense = module.dense()
        with torch.no_grad():
            yield per_point(f"D={D} N={N}", lambda: module(x), lambda: dense(x), len(x), 3)


@row("growth")
@single
def _growth():
    """Exponents of the cost (the ratio), with N, with the number of points, and of m^D; ours and
    other: smallest, largest.
    """
    for D, sizes in ((1, (32, 512, 8192, 131072)), (2, (8, 32, 128, 512)), (3, (8, 16, 32, 64))):
        x = _points(POINTS, D)
        calls = [lambda s=_sparse(D, N): s.value_and_gradient(x) for N in sizes]
        found, times = exponent(sizes, calls)
        yield (
            f"sparse, N, D={D}",
            found,
            nano(times[0], POINTS),
            nano(times[-1], POINTS),
            "ns a point",
        )
    x = _points(512, 2)
    cells = (8, 16, 32)
    found, times = exponent(
        cells, [lambda s=_module(2, N): s.value_and_gradient(x) for N in cells], 3
    )
    yield "module, N, D=2", found, nano(times[0], 512), nano(times[-1], 512), "ns a point"
    sparse = _sparse(2, CELLS)
    counts = (10_000, 100_000, 1_000_000)
    found, times = exponent(
        counts, [lambda x=_points(P, 2): sparse.value_and_gradient(x) for P in counts], 3
    )
    yield (
        "sparse, points, D=2",
        found,
        nano(times[0], counts[0]),
        nano(times[-1], counts[-1]),
        "ns a point",
    )
    calls = [partial(_sparse(D, 16).value_and_gradient, _points(POINTS, D)) for D in (1, 2, 3)]
    found, times = exponent([ORDER**D for D in (1, 2, 3)], calls)
    yield "sparse, m^D", found, nano(times[0], POINTS), nano(times[-1], POINTS), "ns a point"


@row("scipy")
@single
def _against_scipy():
    """NdBSpline (for D = 1 also BSpline) over the sparse evaluator, which always returns value
    and gradient.
    """
    for D in (1, 2, 3):
        sparse = _sparse(D, CELLS)
        x = _points(POINTS, D)
        knots = np.arange(1 - ORDER, CELLS + ORDER) / CELLS
        spline = NdBSpline(
            (knots,) * D, sparse.charts[0].coefficients.reshape((CELLS + ORDER - 1,) * D), ORDER - 1
        )
        units = [tuple(e) for e in np.eye(D, dtype=int)]
        jobs: dict[str, Callable] = {
            "value": lambda: spline(x.numpy()),
            "gradient": lambda: [spline(x.numpy(), nu=e) for e in units],
        }
        jobs["both"] = lambda: (jobs["value"](), jobs["gradient"]())
        if D == 1:
            line = BSpline(knots, sparse.charts[0].coefficients, ORDER - 1)
            jobs["value by BSpline"] = lambda: line(x[:, 0].numpy())
            jobs["both by BSpline"] = lambda: (line(x[:, 0].numpy()), line(x[:, 0].numpy(), nu=1))
        for name, job in jobs.items():
            yield per_point(f"{name}, D={D}", lambda: sparse.value_and_gradient(x), job, POINTS)


@row("interpn")
@single
def _against_interpn():
    """interpn's cubic B-splines (Rust) over the sparse evaluator; rows are missing where interpn
    or pydantic is.
    """
    try:
        from interpn import MultiBsplineRegular
    except ImportError:
        return
    for D in (1, 2, 3):
        sparse = _sparse(D, CELLS)
        x = _points(POINTS, D)
        values = np.random.default_rng(0).standard_normal((CELLS + 1,) * D)
        spline = MultiBsplineRegular.new(
            [CELLS + 1] * D, np.zeros(D), np.full(D, 1 / CELLS), values
        )
        columns = [np.ascontiguousarray(c) for c in x.numpy().T]
        jobs: dict[str, Callable] = {
            "value": lambda: spline.eval(columns),
            "gradient": lambda: spline.eval_grad(columns),
        }
        jobs["both"] = lambda: (jobs["value"](), jobs["gradient"]())
        for name, job in jobs.items():
            yield per_point(f"{name}, D={D}", lambda: sparse.value_and_gradient(x), job, POINTS)


@row("kernel")
@single
def _where_the_rest_goes():
    """The whole sparse evaluator over its compiled loop: what numpy does around it (gathering,
    scaling, copies).
    """
    for D in (1, 2, 3):
        sparse = _sparse(D, CELLS)
        x = _points(POINTS, D)
        u = x.numpy() * CELLS
        values = np.empty(POINTS)
        gradients = np.empty((POINTS, D + 1))
        shut, chart = np.zeros(POINTS), np.zeros(POINTS, np.int64)
        yield per_point(
            f"D={D}",
            lambda: sum_alive(
                u,
                shut,
                False,
                chart,
                sparse._tables,
                ORDER,
                CELLS,
                REFINEMENT,
                sparse._folds,
                values,
                gradients,
            ),
            lambda: sparse.value_and_gradient(x),
            POINTS,
        )


def _torch_sum(D, table):
    """The sum of ``prop-sparse`` at points of the cube by the torch maps of chapter 03."""
    edge = CELLS + ORDER - 1
    k = torch.arange(ORDER)

    def value(x):
        u = x * CELLS
        cell = torch.floor(u).clamp(0, CELLS - 1)
        distance = ((u - cell)[..., None] - (k - (ORDER - 1) + ORDER / 2)).abs()
        factors = relu.bspline_of_distance(distance, ORDER, REFINEMENT)
        index = cell.long()[..., None] + k
        product, place = factors[:, 0], index[:, 0]
        for i in range(1, D):
            product = relu.product(factors[:, i, None, :], product[..., None], REFINEMENT).flatten(
                1
            )
            place = (place[..., None] * edge + index[:, i, None, :]).flatten(1)
        return (product * table[place]).sum(1)

    return value


@row("torch")
@single
def _against_torch():
    """Values by torch, eager and by torch.compile (missing without a C++ compiler), over value
    and gradient by ours.
    """
    for D in (1, 2, 3):
        sparse = _sparse(D, CELLS)
        x = _points(POINTS, D)
        eager = _torch_sum(D, torch.from_numpy(sparse.charts[0].coefficients))
        jobs = {"eager": lambda: torch.cat([eager(part) for part in x.split(4096)])}
        if shutil.which("g++"):
            compiled = torch.compile(eager)
            jobs["compiled"] = lambda: compiled(x)
        with torch.no_grad():
            for name, job in jobs.items():
                assert float((job() - sparse(x)).abs().max()) < 1e-12
                yield per_point(f"{name}, D={D}", lambda: sparse.value_and_gradient(x), job, POINTS)


@row("threads")
def _threads():
    """The sparse evaluator on one thread over all threads, a million points."""
    count = threads()
    for D in (1, 2, 3):
        sparse = _sparse(D, CELLS)
        x = _points(10 * POINTS, D)

        def on(number):
            torch.set_num_threads(number)
            sparse.value_and_gradient(x)

        try:
            yield per_point(f"D={D}, {count} threads", lambda: on(count), lambda: on(1), len(x), 3)
        finally:
            torch.set_num_threads(count)
