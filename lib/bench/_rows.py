"""The rows of the table: each is a ratio of two costs, or an exponent, measured in one run."""

import inspect
import os
import platform
import shutil
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version

import numpy as np
import torch
from scipy.interpolate import BSpline, NdBSpline, make_interp_spline
from threadpoolctl import threadpool_limits
from torch import nn

from lib import relu
from lib.approximation import approximate
from lib.bench._timing import REPEATS, exponent, paired, peak_memory
from lib.bench._training import errors, smallest, train
from lib.convresnet import Construction, count_parameters, cube_chart, threads
from lib.convresnet._kernel import sum_alive
from lib.domains import Cube
from lib.splines import QuasiInterpolant
from lib.targets import Target

WAVE, SMOOTH = "sin(2*pi*x1)*exp(x2)", "sin(2*x1)*exp(x2/2)*cos(2*x3)"
ORDER = 4
CELLS = 32
REFINEMENT = 20
POINTS = 100_000
ROWS = {}


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes
    ----------
    id, case : str
    ratio : float
        ``other / ours``, or an exponent.
    ours, other : float
    unit : str
        Of ``ours`` and ``other``.
    """

    id: str
    case: str
    ratio: float
    ours: float
    other: float
    unit: str


def row(label):
    """Decorator: register a generator of ``(case, ratio, ours, other, unit)``; its first line
    says what is compared.
    """

    def register(function):
        ROWS[label] = function
        return function

    return register


def run(ids=None, training=60.0, report=lambda row: None):
    """Measure.

    Parameters
    ----------
    ids : list of str, optional
        Some of `ROWS`; all by default.
    training : float
        Seconds for each of the trained networks.
    report : callable
        Called with each `Row` when it is known.

    Returns
    -------
    dict
        ``{"machine": .., "meaning": .., "rows": [..]}``, ready for JSON.
    """
    rows = []
    for label in ids or ROWS:
        function = ROWS[label]
        for found in function(training) if inspect.signature(function).parameters else function():
            rows.append(Row(label, *found))
            report(rows[-1])
    meaning = {label: inspect.getdoc(ROWS[label]) for label in ids or ROWS}
    return {"machine": machine(), "meaning": meaning, "rows": [asdict(r) for r in rows]}


def machine():
    """Processor, threads and versions."""
    try:
        model = (
            next(line for line in open("/proc/cpuinfo") if line.startswith("model name"))
            .split(":")[1]
            .strip()
        )
    except (OSError, StopIteration):
        model = platform.processor() or platform.machine()
    found = {
        "processor": model,
        "cores": os.cpu_count(),
        "threads": threads(),
        "python": platform.python_version(),
    }
    for package in ("torch", "numpy", "scipy", "numba", "interpn"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = None
    return found


def _chart(D, N, m=ORDER):
    return cube_chart(np.random.default_rng(0).standard_normal((N + m - 1,) * D), m)


def _sparse(D, N, m=ORDER):
    return Construction([_chart(D, N, m)], m, REFINEMENT).sparse


def _module(D, N):
    return Construction([_chart(D, N)], ORDER, REFINEMENT, 2, 1).network


def _points(count, D):
    return torch.from_numpy(np.random.default_rng(1).random((count, D)))


def _nano(seconds, count):
    return seconds / count * 1e9


def _per_point(case, ours, other, points, repeats=REPEATS):
    """A row that compares two calls at the same points."""
    ours, other, ratio = paired(ours, other, repeats)
    return case, ratio, _nano(ours, points), _nano(other, points), "ns a point"


def _single(function):
    """Decorator: measured on one thread."""

    def on_one_thread(*args):
        before = threads()
        torch.set_num_threads(1)
        try:
            with threadpool_limits(1):  # the BLAS of numpy
                yield from function(*args)
        finally:
            torch.set_num_threads(before)

    on_one_thread.__doc__ = function.__doc__
    on_one_thread.__signature__ = inspect.signature(function)
    return on_one_thread


@row("module")
@_single
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
        ours, other = _nano(ours, len(x)), _nano(other, len(few))
        yield f"D={D} N={N}", ratio * len(x) / len(few), ours, other, "ns a point"


@row("dense")
@_single
def _grouped_against_dense():
    """Values of the module: every grouped convolution written out as a dense one, over the
    grouped form.
    """
    for D, N in ((1, 32), (2, 4), (2, 8)):
        module = _module(D, N)
        x = _points(256, D)
        dense = module.dense()
        with torch.no_grad():
            yield _per_point(f"D={D} N={N}", lambda: module(x), lambda: dense(x), len(x), 3)


@row("growth")
@_single
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
            _nano(times[0], POINTS),
            _nano(times[-1], POINTS),
            "ns a point",
        )
    x = _points(512, 2)
    sizes = (8, 16, 32)
    found, times = exponent(
        sizes, [lambda s=_module(2, N): s.value_and_gradient(x) for N in sizes], 3
    )
    yield "module, N, D=2", found, _nano(times[0], 512), _nano(times[-1], 512), "ns a point"
    sparse = _sparse(2, CELLS)
    sizes = (10_000, 100_000, 1_000_000)
    found, times = exponent(
        sizes, [lambda x=_points(P, 2): sparse.value_and_gradient(x) for P in sizes], 3
    )
    yield (
        "sparse, points, D=2",
        found,
        _nano(times[0], sizes[0]),
        _nano(times[-1], sizes[-1]),
        "ns a point",
    )
    calls = [
        lambda s=_sparse(D, 16), x=_points(POINTS, D): s.value_and_gradient(x) for D in (1, 2, 3)
    ]
    found, times = exponent([ORDER**D for D in (1, 2, 3)], calls)
    yield "sparse, m^D", found, _nano(times[0], POINTS), _nano(times[-1], POINTS), "ns a point"


@row("scipy")
@_single
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
        jobs = {
            "value": lambda: spline(x.numpy()),
            "gradient": lambda: [spline(x.numpy(), nu=e) for e in units],
        }
        jobs["both"] = lambda: (jobs["value"](), jobs["gradient"]())
        if D == 1:
            line = BSpline(knots, sparse.charts[0].coefficients, ORDER - 1)
            jobs["value by BSpline"] = lambda: line(x[:, 0].numpy())
            jobs["both by BSpline"] = lambda: (line(x[:, 0].numpy()), line(x[:, 0].numpy(), nu=1))
        for name, job in jobs.items():
            yield _per_point(f"{name}, D={D}", lambda: sparse.value_and_gradient(x), job, POINTS)


@row("interpn")
@_single
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
        jobs = {
            "value": lambda: spline.eval(columns),
            "gradient": lambda: spline.eval_grad(columns),
        }
        jobs["both"] = lambda: (jobs["value"](), jobs["gradient"]())
        for name, job in jobs.items():
            yield _per_point(f"{name}, D={D}", lambda: sparse.value_and_gradient(x), job, POINTS)


@row("kernel")
@_single
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
        yield _per_point(
            f"D={D}",
            lambda: sum_alive(
                u,
                shut,
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
@_single
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
                yield _per_point(
                    f"{name}, D={D}", lambda: sparse.value_and_gradient(x), job, POINTS
                )


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
            yield _per_point(f"D={D}, {count} threads", lambda: on(count), lambda: on(1), len(x), 3)
        finally:
            torch.set_num_threads(count)


@row("construction")
@_single
def _construction():
    """scipy's spline fit (make_interp_spline along each axis, from samples at its nodes) over
    our coefficients.
    """
    for D, N in ((1, 16384), (2, 256), (3, 32)):
        target = Target.from_sympy({1: "sin(2*pi*x1)", 2: WAVE, 3: SMOOTH}[D], D)
        nodes = np.linspace(0, 1, N + ORDER - 1)

        def fit():
            grid = np.stack(np.meshgrid(*[nodes] * D, indexing="ij"), axis=-1).reshape(-1, D)
            c = target.values(grid).reshape((len(nodes),) * D)
            for axis in range(D):
                c = np.moveaxis(
                    make_interp_spline(nodes, np.moveaxis(c, axis, 0), ORDER - 1).c, 0, axis
                )
            return c

        ours, other, ratio = paired(
            lambda: QuasiInterpolant(ORDER, N).coefficients(target.values, D), fit, 3
        )
        yield f"D={D} N={N}", ratio, 1e3 * ours, 1e3 * other, "ms"


_MEASURE = """
import json, time, lib
start = time.perf_counter()
a = lib.approximate(lib.Target.from_sympy({formula!r}, {D}), lib.Cube({D}), order={m}, cells={N})
m = a.measure({points})
seconds = time.perf_counter() - start
print(json.dumps([seconds, len(a.coefficients), m.value, m.slope, m.module_points]))
"""


@row("large")
def _large():
    """Build, bound and measure in a process of its own: eight bytes for each term and point,
    over the peak memory.
    """
    for formula, D, m, N, points in (
        (SMOOTH, 3, 3, 32, 10**6),
        (SMOOTH, 3, 3, 32, 4 * 10**6),
        (WAVE, 2, 4, 256, 10**6),
        (SMOOTH, 3, 4, 128, 10**6),
    ):
        peak, (seconds, terms, *_, by_module) = peak_memory(
            _MEASURE.format(formula=formula, D=D, m=m, N=N, points=points)
        )
        case = f"D={D} m={m} N={N}, {points} points, {by_module} by the module: {seconds:.1f} s"
        yield case, 8 * terms * points / peak, peak / 2**30, 8 * terms * points / 2**30, "GiB"


@row("orders")
def _orders():
    """D = 3, m = 3, a million points: the orders fitted over N = 8, 16, 32; ours and other are
    the errors at 8 and 32.
    """
    target = Target.from_sympy(SMOOTH, 3)
    sizes = (8, 16, 32)
    found = [
        approximate(target, Cube(3), order=3, cells=N).measure(10**6, module_points=16)
        for N in sizes
    ]
    for norm in ("value", "gradient"):
        measured = [getattr(m, norm) for m in found]
        yield (
            norm,
            -np.polyfit(np.log(sizes), np.log(measured), 1)[0],
            measured[0],
            measured[-1],
            "error",
        )


@row("trained")
def _against_training(seconds):
    """Training an MLP, over building and measuring (not searching) our smallest network with no
    larger errors.
    """
    target = Target.from_sympy(WAVE, 2)
    for activation in (nn.Tanh, nn.ReLU):
        trained = train(target, activation, seconds)
        worst = errors(target, trained)
        a, measured, ours = smallest(target, worst)
        parameters, (_, nonzero) = (
            sum(p.numel() for p in trained.parameters()),
            count_parameters(a.network),
        )
        name = activation.__name__
        yield (
            (
                f"{name}, {parameters} parameters: errors {worst[0]:.1e}, {worst[1]:.1e}; ours"
                f" N={a.cells}: {measured.value:.1e}, {measured.slope:.1e}"
            ),
            seconds / ours,
            ours,
            seconds,
            "s",
        )
        yield (
            f"{name}: its weights over our non-zero ones",
            parameters / nonzero,
            nonzero,
            parameters,
            "numbers",
        )
        terms = len(a.coefficients)
        yield (
            f"{name}: its weights over our coefficients",
            parameters / terms,
            terms,
            parameters,
            "numbers",
        )
