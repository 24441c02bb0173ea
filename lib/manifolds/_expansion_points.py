"""Single points of charts with many digits, by interval Newton in FLINT's balls (book:
``lem-chart``).

Nothing is shared with the expansions: derivatives are those of the formulas, not of Taylor
arithmetic.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import sympy
from flint import arb, arb_mat, ctx

from lib.errors import require
from lib.formulas import evaluate, variables
from lib.intervals import Balls
from lib.manifolds._expansion import stretch

_NEWTON = 30
_TRIES = 8
_MARGIN = 1e-9  # for rounding of centres and frames, as in `in_chart`


def point_of_zeros(manifold: Any, centre: Any, frame: Any, t: list[arb], reach: float) -> list[arb]:
    """`Geometry.chart_point` of a manifold that has ``equations``."""
    _check(manifold, centre, frame, t, reach)
    dim = manifold.dim
    c = _column(centre)
    v = _matrix(frame)
    basis = np.linalg.qr(frame, mode="complete")[0][:, dim:]
    tangent = v * (v.transpose() * v).inv()
    normal = _matrix(basis)
    normal = normal - tangent * (v.transpose() * normal)
    flat = arb_mat(dim, 1, t)
    equations, slopes = _differentiated(tuple(manifold.equations()))
    symbols = variables(manifold.ambient_dim)

    def place(along, z):
        return c + tangent * along + normal * z

    def value(along, z):
        known = dict(zip(symbols, place(along, z).entries()))
        return arb_mat(len(equations), 1, [evaluate(e, known) for e in equations])

    def slope(along, z):
        known = dict(zip(symbols, place(along, z).entries()))
        rows = [[evaluate(e, known) for e in row] for row in slopes]
        return arb_mat(rows) * normal

    near = _near(manifold, centre, frame, t)[0]
    z = _zero(value, slope, flat, _column(basis.T @ (near - centre)))
    x = place(flat, z).entries()
    _check_near(x, centre, reach)
    holds = manifold._holds(Balls.from_flint(x, (len(x), 1)))[0]
    require(holds, "t", t, "the coordinates of a point of the manifold; this zero is none")
    return x


def point_of_curve(curve: Any, centre: Any, frame: Any, t: list[arb], reach: float) -> list[arb]:
    """`Geometry.chart_point` of a `FourierCurve`."""
    y = _plane(curve, parameter_of_curve(curve, centre, frame, t, reach), 0)
    x = [
        sum((u * float(f) for u, f in zip(y, row)), arb(float(m)))
        for row, m in zip(curve.frame, curve.middle)
    ]
    _check_near(x, centre, reach)
    return x


def parameter_of_curve(curve: Any, centre: Any, frame: Any, t: list[arb], reach: float) -> arb:
    """The parameter of a point of a chart: the zero of one equation."""
    _check(curve, centre, frame, t, reach)
    direction = [arb(float(v)) for v in frame[:, 0]]
    # of the plane coordinates, and of the centre
    weights = [
        sum((arb(float(u)) * v for u, v in zip(column, direction)), arb(0))
        for column in curve.frame.T
    ]
    offset = sum(
        ((arb(float(m)) - float(c)) * v for m, c, v in zip(curve.middle, centre, direction)), arb(0)
    )

    def value(along, s):
        y = _plane(curve, s[0, 0], 0)
        return arb_mat([[sum((w * u for w, u in zip(weights, y)), offset) - along[0, 0]]])

    def slope(along, s):
        y = _plane(curve, s[0, 0], 1)
        return arb_mat([[sum((w * u for w, u in zip(weights, y)), arb(0))]])

    start = _column(curve.parameter(_near(curve, centre, frame, t)))
    return _zero(value, slope, arb_mat([t]), start)[0, 0]


def _plane(curve, s, order):
    """The curve, or its derivative, in the coordinates of its frame, without the centre."""
    found = []
    for a, b in zip(curve.cosine.T, curve.sine.T):
        total = arb(0)
        for k, (p, q) in enumerate(zip(a, b), 1):
            sine, cosine = (k * s).sin(), (k * s).cos()
            if order:
                sine, cosine = k * cosine, -k * sine
            total += cosine * float(p) + sine * float(q)
        found.append(total)
    return found


def _near(manifold, centre, frame, t):
    """The point in float64, (1, D)."""
    mu = float(stretch(frame))
    return manifold.inverse_chart(centre, frame / mu, np.array([[float(s.mid()) / mu for s in t]]))


def _zero(value: Callable, slope: Callable, t: arb_mat, z: arb_mat) -> arb_mat:
    """The zero near ``z`` of ``value(t, z)``, whose derivative by ``z`` is ``slope``: Newton's
    method, then Krawczyk's operator on boxes around what it finds.
    """
    small = arb(2) ** (-(3 * ctx.prec) // 5)
    middle = t.mid()
    for _ in range(_NEWTON):
        step = _solved(slope(middle, z).mid(), value(middle, z).mid())
        z = (z - step).mid()
        if _largest(step) < small:
            break
    inverse = _solved(slope(middle, z).mid(), None).mid()
    start = z - inverse * value(t, z)
    one = arb_mat([[int(i == j) for j in range(z.nrows())] for i in range(z.nrows())])
    radius = small + 4 * _largest(start - z)
    for _ in range(_TRIES):
        box = _around(z, radius)
        image = start + (one - inverse * slope(t, box)) * (box - z)
        if all(b.contains_interior(k) for b, k in zip(box.entries(), image.entries())):
            both = [k.union(m) for k, m in zip(image.entries(), z.entries())]
            rest = one - inverse * slope(t, arb_mat(z.nrows(), 1, both))
            return start + rest * (image - z)
        radius = 2 * _largest(image - z) + small
        if not radius < 1:
            break
    require(False, "t", t.entries(), "coordinates of one point of the chart; none was found")
    return z


def _solved(matrix, right):
    """The inverse, or the solution of a system."""
    try:
        return matrix.inv() if right is None else matrix.solve(right).mid()
    except ZeroDivisionError:
        require(False, "t", right, "inside the chart; a derivative vanishes")


def _around(z, radius):
    """The box of a half width around a column of numbers."""
    far = radius.abs_upper()
    return arb_mat(z.nrows(), 1, [arb.union(m - far, m + far) for m in z.entries()])


def _largest(column):
    """An upper bound of the largest modulus."""
    sizes = [e.abs_upper() for e in column.entries()]
    return max(sizes) if all(s.is_finite() for s in sizes) else arb("inf")


def _column(numbers):
    return arb_mat([[arb(float(u))] for u in np.ravel(numbers)])


def _matrix(numbers):
    return arb_mat([[arb(float(u)) for u in row] for row in numbers])


@cache
def _differentiated(equations):
    """The formulas, and their gradients."""
    dim = max(int(s.name[1:]) for e in equations for s in e.free_symbols)
    return equations, [[sympy.diff(e, s) for s in variables(dim)] for e in equations]


def _check(manifold, centre, frame, t, reach):
    shape = (manifold.ambient_dim, manifold.dim)
    require(np.shape(frame) == shape, "frame", np.shape(frame), f"of shape {shape}")
    require(np.shape(centre) == shape[:1], "centre", np.shape(centre), f"of shape {shape[:1]}")
    require(len(t) == manifold.dim, "t", t, f"{manifold.dim} numbers")
    square = sum((s * s for s in t), arb(0))
    allowed = f"shorter than the reach, {reach:.6g}"
    far = (arb(reach) * float(stretch(np.asarray(frame)))) ** 2 * (1 - _MARGIN)
    require(square < far, "t", t, allowed)


def _check_near(x, centre, reach):
    far = sum(((s - float(c)) ** 2 for s, c in zip(x, centre)), arb(0))
    near = far < 2 * arb(reach) ** 2 * (1 - _MARGIN)
    require(near, "t", x, "the coordinates of a point nearer than sqrt(2) times the reach")
