"""Rows of the table of costs: building and measuring a network, and the orders that come out
(book: "Speed").
"""

import numpy as np
from scipy.interpolate import make_interp_spline

from lib.approximation import approximate
from lib.domains import Cube
from lib.experiments._bench import ORDER, SMOOTH, WAVE, row, single
from lib.experiments._timing import paired, peak_memory
from lib.splines import QuasiInterpolant
from lib.targets import Target


@row("construction")
@single
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
