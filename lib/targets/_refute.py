"""What a target says of its derivatives, held against its values: gradients and stated bounds.

Both tests refute, neither proves.  Gradients are tested by the fundamental theorem of calculus,
``f(y) - f(x) = int grad f . dx``, along short paths in the domain; bounds by divided differences,
which are means of derivatives (``lem-peano``).
"""

from math import factorial
from typing import Any

import numpy as np
from jaxtyping import Float64

from lib.errors import refuse, require
from lib.splines import split_index

_WALKS, _SEGMENTS = 16, 16  # paths through the domain, and the segments of each
_LEVELS = 18  # halvings of a segment
# relative jumps of values that are let pass: of softplus in torch, where it turns linear
_JUMP = 2.0**-20
_LINES, _LINE = 64, 33  # lines on which rounding is measured, and their points,
_SPACING = 2.0**-20  # which float32 still tells apart
_MARGIN = 32  # rounding errors: the largest over the typical one
# median of |sixth difference| of noise of size 1: 0.67 sqrt(binom(12, 6))
_MEDIAN = 20.0
_FLAT, _SLACK = 2.0**-40, 2.0**-40  # a change that float32 does not see; rounding of stated bounds


def _tangents(domain, x, seed):
    """Random unit tangents (P, D) at points of a domain; on the cube they point into it."""
    random = np.random.default_rng(seed).standard_normal((len(x), domain.dim))
    random /= np.linalg.norm(random, axis=1, keepdims=True)
    if domain.dim == domain.ambient_dim:
        return np.abs(random) * np.where(x < 0.5, 1.0, -1.0)
    return (domain.tangent_basis(x) @ random[:, :, None])[:, :, 0]


def _onto(domain, x):
    """The points (.., D), on the manifold; the cube is convex and leaves them as they are."""
    if domain.dim == domain.ambient_dim:
        return x
    return domain.project(x.reshape(-1, x.shape[-1])).reshape(x.shape)


def _walks(domain):
    """Paths through the domain: float64 array (16, 17, D), segments in the cube, near geodesics
    on a manifold.
    """
    if domain.dim == domain.ambient_dim:
        start = domain.sample(_WALKS).numpy()[:, None]
        end = np.random.default_rng(0).permutation(domain.sample(_WALKS, 1).numpy())[:, None]
        return start + np.linspace(0, 1, _SEGMENTS + 1)[:, None] * (end - start)
    walk = [domain.draw(_WALKS)]
    walk.append(_onto(domain, walk[0] + domain.reach / 8 * _tangents(domain, walk[0], 0)))
    while len(walk) <= _SEGMENTS:
        walk.append(_onto(domain, 2 * walk[-1] - walk[-2]))
    return np.stack(walk, axis=1)


def _roughness(values):
    """The size of noise in values along lines (P, 33): (P,)."""
    return np.median(np.abs(np.diff(values, 6)), axis=1) / _MEDIAN


def evaluation_noise(target: Any, domain: Any) -> tuple[float, float]:
    """The size of rounding errors in the values of a target.

    Sixth differences over steps of ``2^-20`` hold nothing else where the function is smooth; their
    median along a line is blind to single kinks and jumps.  A target that varies along the lines,
    but not with changes of relative size ``2^-40``, is taken to compute in single precision.

    Returns
    -------
    noise : float
        The largest over 64 lines.
    unit : float
        ``2^-53``, or ``2^-24`` for single precision.
    """
    x = domain.sample(_LINES, 1).numpy()
    steps = _SPACING * np.arange(_LINE)[:, None] * _tangents(domain, x, 1)[:, None]
    values = target.values(
        _onto(domain, x[:, None] + steps).reshape(-1, domain.ambient_dim)
    ).reshape(_LINES, _LINE)
    noise = float(_roughness(values).max())
    varies = values.max(1) > values.min(1)
    sees = (target.values(x) != target.values(x * (1 - _FLAT)))[varies]
    return noise, (
        2.0**-24 if values.dtype == np.float32 or sees.sum() <= len(sees) / 8 else 2.0**-53
    )


class _Segments:
    """Pieces of paths: 3 or 5 points each (P, n, D), values (P, n), gradients (P, n, D)."""

    def __init__(self, x, f, g):
        self.x, self.f, self.g = x, f, g
        self.chord = x[:, -1] - x[:, 0]
        self.slopes = np.einsum("pnd,pd->pn", g, self.chord)  # times the length

    def part(self, which, points):
        """Some points of some segments, as segments."""
        return _Segments(self.x[which, points], self.f[which, points], self.g[which, points])

    def defect(self):
        """``|f(y) - f(x) - int grad f . dx|`` by Simpson's rule: (P,)."""
        middle = self.slopes.shape[1] // 2
        integral = (self.slopes[:, 0] + 4 * self.slopes[:, middle] + self.slopes[:, -1]) / 6
        return np.abs(self.f[:, -1] - self.f[:, 0] - integral)

    def explained(self, reach):
        """The defect that gradients explain which vary along the segment, or a segment that leaves
        its tangent: (P,).
        """
        spread = self.slopes.max(1) - self.slopes.min(1)
        length = np.linalg.norm(self.chord, axis=1)
        largest = np.linalg.norm(self.g, axis=2).max(1)
        return 2 * spread + (length**2 / reach + 16 * 2.0**-24 * length) * largest

    def shown(self):
        """What a message shows, a row a segment: first point, gradient there, chord, difference of
        the values.
        """
        return np.concatenate(
            [self.x[:, 0], self.g[:, 0], self.chord, self.f[:, -1:] - self.f[:, :1]], axis=1
        )


class _Probe:
    """A target on a domain, scaled to values of size one, with its rounding errors."""

    def __init__(self, target, domain):
        self.target = target
        self.domain = domain
        self.reach = getattr(domain, "reach", np.inf)
        self.scale = 1.0
        self.noise, self.unit = evaluation_noise(target, domain)

    def segments(self):
        """The segments of all paths, three points each."""
        walks = _walks(self.domain)
        ends = np.stack([walks[:, :-1], walks[:, 1:]], axis=2).reshape(-1, 2, walks.shape[2])
        x = np.stack([ends[:, 0], _onto(self.domain, ends.mean(1)), ends[:, 1]], axis=1)
        f, g = self._evaluated(x)
        self.scale = float(np.abs(f).max()) or 1.0
        self.noise = self.noise / self.scale + self.unit
        return _Segments(x, f / self.scale, g / self.scale)

    def _evaluated(self, x):
        f, g = self.target.slopes(x.reshape(-1, x.shape[-1]))
        return f.reshape(x.shape[:-1]) / self.scale, g.reshape(x.shape) / self.scale

    def refined(self, segments):
        """Five points where there were three."""
        x = _onto(self.domain, (segments.x[:, 1:] + segments.x[:, :-1]) / 2)
        new = (x, *self._evaluated(x))
        return _Segments(
            *(
                np.stack([a[:, 0], b[:, 0], a[:, 1], b[:, 1], a[:, 2]], axis=1)
                for a, b in zip((segments.x, segments.f, segments.g), new)
            )
        )

    def rounding(self, segments):
        """The defect that rounding explains, of values, and of coordinates times gradients:
        (P,).
        """
        values = self.noise + self.unit * np.abs(segments.f).max(1)
        return _MARGIN * values + 4 * self.unit * np.abs(segments.g).sum(2).max(1)

    def verdict(self, segments, rounding, halves, before):
        """Whether gradients are wrong on segments: (P,), as ``before`` where rounding hides the
        defects.

        A defect that gradients do not explain is hidden as well if it is a small jump (it sits in
        one of the ``halves``), or below noise that is larger here than where it was measured.
        """
        defect = segments.defect()
        size = np.abs(segments.f).max(1)
        explained = defect <= rounding + segments.explained(self.reach)
        jump = (4 * halves.min(0) < halves.max(0)) & (defect <= rounding + _JUMP * size)
        wrong = np.where(defect <= rounding, before, ~explained & (~jump | before))
        doubtful = np.nonzero(wrong & ~before)[0]
        if len(doubtful):
            steps = np.linspace(0, 1, _LINE)[:, None]
            line = _onto(
                self.domain, segments.x[doubtful, :1] + steps * segments.chord[doubtful, None]
            )
            values = (
                self.target.values(line.reshape(-1, line.shape[2])).reshape(line.shape[:2])
                / self.scale
            )
            wrong[doubtful] = defect[doubtful] > rounding[doubtful] + _MARGIN * _roughness(values)
        return wrong


def refute_slopes(target, domain):
    """Refuse a target whose gradients are not those of its values.

    Each of 256 segments of paths is halved again and again, towards the half with the larger defect
    (`_Segments.defect`), until rounding hides it.  The defect of a differentiable function vanishes
    faster than the length of the segment; at a kink it is at most the length times the jump of the
    slope.  A wrong gradient leaves a defect proportional to the length, a jump one that does not
    shrink.  The shortest segment whose defect is not hidden decides whether its gradients explain
    it.

    Parameters
    ----------
    target : Target
    domain : Cube or Manifold

    Raises
    ------
    InputError
        With a point, the gradient there and the difference quotient next to it.
    """
    probe = _Probe(target, domain)
    segments = probe.segments()
    wrong = np.zeros(len(segments.x), bool)
    shown = segments.shown()
    for level in range(_LEVELS):
        segments = probe.refined(segments)
        halves = np.stack([segments.part(slice(None), slice(k, k + 3)).defect() for k in (0, 2)])
        rounding = probe.rounding(segments)
        before, wrong = wrong, probe.verdict(segments, rounding, halves, wrong)
        shown = np.where((wrong & ~before)[:, None], segments.shown(), shown)
        goes_on = (halves.max(0) > rounding) & (level < _LEVELS - 1)
        for row in shown[wrong & ~goes_on][:1]:
            _refuse_slope(target, row, probe.scale)
        if not goes_on.any():
            return
        first = np.where(halves[0] >= halves[1], 0, 2)
        segments = segments.part(
            np.nonzero(goes_on)[0][:, None], first[goes_on][:, None] + np.arange(3)
        )
        wrong, shown = wrong[goes_on], shown[goes_on]


def _shown(vector):
    """A vector, shortened."""
    entries = [f"{v:.6g}" for v in vector[:4]]
    return f"[{', '.join(entries)}{', ..' if len(vector) > 4 else ''}]"


def _refuse_slope(target, row, scale):
    x, gradient, chord = row[:-1].reshape(3, -1)
    length = np.linalg.norm(chord)
    refuse(
        "function",
        target.function,
        f"differentiable by torch.autograd, all of it; at x = {_shown(x)} it returns the gradient"
        f" {_shown(gradient * scale)}, that is the slope {gradient @ chord / length * scale:.6g}"
        f" along {_shown(chord / length)}, where its values have the difference quotient"
        f" {row[-1] / length * scale:.6g} over the distance {length:.2g}",
    )


# ---- bounds of derivatives


def _weights(axis, times):
    """``k! f[t_i, .., t_{i+k}] = sum_j w[i, j] f(t_{i+j})`` on an ascending axis (n,): array (n
    - k, k + 1).
    """
    nodes = np.stack([axis[j : len(axis) - times + j] for j in range(times + 1)], axis=1)
    gaps = nodes[:, :, None] - nodes[:, None] + np.eye(times + 1)
    return factorial(times) / gaps.prod(2)


def _differences(values, axis, index):
    """Divided differences on a tensor grid that are means of the derivative ``index``, and the
    factor by which they enlarge errors of the values (both arrays of one shape).
    """
    enlarged = np.ones((1,) * values.ndim)
    for k, times in enumerate(index):
        weights = _weights(axis, times)
        moved = np.moveaxis(values, k, -1)
        total = sum(weights[:, j] * moved[..., j : len(axis) - times + j] for j in range(times + 1))
        values = np.moveaxis(total, -1, k)
        enlarged = enlarged * np.abs(weights).sum(1).reshape(
            [-1 if i == k else 1 for i in range(values.ndim)]
        )
    return values, np.broadcast_to(enlarged, values.shape)


def _quotients(found, error, axis, along, times, beta):
    """Lower bounds of a Hoelder seminorm along an axis from divided differences and their errors,
    arrays of one shape.
    """
    found, error = np.moveaxis(found, along, -1), np.moveaxis(error, along, -1)
    steps = (axis[times + 1 :] - axis[: -times - 1]) / (times + 1)
    apart = np.abs(np.diff(found, axis=-1)) - error[..., 1:] - error[..., :-1]
    return np.moveaxis(apart / steps ** float(beta), -1, along)


def refute_bounds(
    target: Any, axis: Float64[np.ndarray, " n"], bounds: dict, noise: float, unit: float
) -> None:
    """Refuse bounds of derivatives below what the values show.

    ``k! f[t_0, .., t_k]`` is the mean of ``f^(k)`` against a B-spline of integral one, along two
    axes that of a mixed derivative; so its modulus, less what rounding makes of it, is at most the
    supremum.  For a Hoelder seminorm with exponent ``beta`` two neighbours are compared: the mean
    is that of ``f^(k)(sum_j s_j t_j)`` over ``s >= 0`` with sum one, and the next one has
    ``t_{j+1}`` for ``t_j``; so they differ by at most the seminorm times
    ``((t_{k+1} - t_0) / (k + 1))^beta``, as ``d -> d^beta`` is concave.  Wider stencils, on every
    second point again and again, see through rounding.

    Parameters
    ----------
    target : Target
    axis : float64 array, shape (n,)
        Ascending in [0, 1]; the target is evaluated on the tensor grid.
    bounds : dict
        ``{multi-index: bound}``.
    noise, unit : float
        `evaluation_noise`.

    Raises
    ------
    InputError
        With the derivative, its stated bound, what was seen and where.
    """
    dim = target.dim
    grid = np.stack(np.meshgrid(*[axis] * dim, indexing="ij"), axis=-1)
    values = np.asarray(target.values(grid.reshape(-1, dim)), float).reshape(grid.shape[:-1])
    scale = float(np.abs(values).max()) or 1.0
    # weights and sums are off by less than 32 u
    values, error = values / scale, _MARGIN * (noise / scale + unit)
    while len(axis) > 1:
        for index, bound in bounds.items():
            whole, along, beta = split_index(index)
            if max(whole) + (along is not None) >= len(axis):
                continue
            found, enlarged = _differences(values, axis, whole)
            least = np.abs(found) - error * enlarged
            if along is not None:
                least = _quotients(found, error * enlarged, axis, along, whole[along], beta)
            place = np.unravel_index(int(least.argmax()), least.shape)
            near = [axis[i : i + k + 1].mean() for i, k in zip(place, whole)]
            require(
                least[place] <= bound / scale * (1 + _SLACK),
                "derivative_bounds",
                {index: bound},
                f"at least {least[place] * scale:.6g}: a divided difference near x = {_shown(near)}"
                " is so large",
            )
        axis, values = axis[::2], values[(slice(None, None, 2),) * dim]


def thinned(
    axis: Float64[np.ndarray, " n"], dim: int, points: int, least: int
) -> Float64[np.ndarray, " k"]:
    """At most ``points^(1/D)`` entries of an axis, as evenly as they come, but ``least`` if it
    has so many.
    """
    most = min(len(axis), max(int(points ** (1 / dim) + 1e-9), least))
    return axis[np.linspace(0, len(axis) - 1, most).round().astype(int)]
