"""Domains of certificates, each the image of a box of roots; the cube's (book: chapter 10).

A patch has ``dim`` parameters ``s``, each from 0 to the number of its roots, and is cut into dyadic
boxes of them; a knot of the cube's mesh is a side of boxes, exactly.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from flint import arb
from jaxtyping import Bool, Float64, Int

from lib.intervals import Balls, Taylor, precision, span, up


@dataclass(frozen=True)
class Boxes:
    """Boxes of parameters: middles (P, p), exact, and the radii (P,) of all their sides."""

    middle: Float64[np.ndarray, "P p"]
    radius: Float64[np.ndarray, " P"]

    def __len__(self) -> int:
        return len(self.radius)

    def __getitem__(self, key: Any) -> "Boxes":
        return Boxes(self.middle[key], self.radius[key])


@dataclass(frozen=True)
class Local:
    """Expansions over boxes, at the middles and over the boxes (see `lib.intervals._taylor.span`).

    Attributes
    ----------
    boxes : Boxes
    at, over : lists of Taylor
        The ``D`` coordinates.
    own : pair of lists of Taylor
        At and over, of what the domain needs besides: mesh coordinates of the cube, ``y`` of a
        face.
    """

    boxes: Boxes
    at: list
    over: list
    own: tuple = ((), ())

    def __getitem__(self, part: Any) -> "Local":
        """Some of the boxes."""
        at, over, *own = ([x[part] for x in xs] for xs in (self.at, self.over, *self.own))
        return Local(self.boxes[part], at, over, tuple(own))


def box_variables(boxes: Boxes, order: int, over: bool) -> list[Taylor]:
    """The parameters as expansions, around (over) the middles of boxes: one for each."""
    dim = boxes.middle.shape[1]
    return [
        Taylor.variable(
            Balls(boxes.middle[:, k], boxes.radius if over else 0.0), boxes.radius, k, dim, order
        )
        for k in range(dim)
    ]


def _combine(row, offset, expansions):
    """``sum_i row_i x_i + offset`` of expansions, ``row`` and ``offset`` balls."""
    total = None
    for k, x in enumerate(expansions):
        if row.mid[k] or row.rad[k]:
            part = x * row[k]
            total = part if total is None else total + part
    return expansions[0] * 0.0 + offset if total is None else total + offset


class CubePatch:
    """``[0,1]^D`` by ``x = s / N``: boxes of cells, so that the mesh coordinate is ``s`` itself."""

    def __init__(self, dim: int, cells: int) -> None:
        self.dim = dim
        self.cells = cells
        self.roots = (cells,) * dim

    localisation = None

    def describe(self) -> str:
        return f"cube of dimension {self.dim}, {self.cells} cells"

    def counts(self, boxes: Boxes) -> Bool[np.ndarray, " P"]:
        """Which boxes meet the domain: all of them."""
        return np.ones(len(boxes), bool)

    def contains(self, s: Float64[np.ndarray, "P p"]) -> Bool[np.ndarray, " P"]:
        """Which parameters are those of points that count: all."""
        return np.ones(len(s), bool)

    def boxes_of(self, chart: int, local: Local) -> Int[np.ndarray, " P"]:
        """The boxes that belong to a chart, of which there is one."""
        return np.arange(len(local.boxes))

    def numbers(self) -> list:
        """What tells it from every other domain of its kind (`lib.certify._digest.digest`)."""
        return [self.dim, self.cells]

    def local(self, boxes: Boxes, order: int) -> Local:
        with precision():
            scale = Balls.from_flint([arb(1) / self.cells], ())
        at, over = (box_variables(boxes, order, o) for o in (False, True))
        return Local(boxes, [x * scale for x in at], [x * scale for x in over], (at, over))

    def mesh(self, local: Local, chart: Any) -> tuple:
        """The mesh coordinates of a chart: expansions at, over, and ends (P, d) of their ranges,
        exact where they can be.
        """
        boxes, (at, over) = local.boxes, local.own
        if (
            not chart.offset.mid.any()
            and not chart.matrix.rad.any()
            and (chart.matrix.mid == self.cells * np.eye(self.dim)).all()
        ):
            return (
                at,
                over,
                boxes.middle - boxes.radius[:, None],
                boxes.middle + boxes.radius[:, None],
            )
        return mesh_of_chart(local, chart)

    def slope(self, local: Local, sizes: Float64[np.ndarray, "p P"]) -> Float64[np.ndarray, " P"]:
        """Upper bounds of the largest partial derivative, from those in ``s`` (p, P)."""
        return up(np.max(sizes, axis=0) * self.cells)

    def points(self, s: Float64[np.ndarray, "P p"]) -> Float64[np.ndarray, "P D"]:
        """Points for parameters (P, p), in float64: (P, D)."""
        return s / self.cells

    def point(self, s: np.ndarray) -> list[arb]:
        """The point for parameters (p,), rounded to floats: list of arb."""
        return [arb(float(t)) for t in self.points(s[None])[0]]

    def neighbour(
        self, s: np.ndarray, x: list[arb], direction: np.ndarray, step: arb
    ) -> tuple[list[arb], arb]:
        """A point a step from ``x`` along the axis of the largest entry of a direction, inside,
        and its distance.
        """
        axis = int(np.argmax(np.abs(direction)))
        y = list(x)
        y[axis] = y[axis] + (step if y[axis] < arb(0.5) else -step)
        return y, step


def mesh_of_chart(local: Local, chart: Any) -> tuple:
    """The mesh coordinates of a chart, whose matrix and offset are balls: see `CubePatch.mesh`."""
    at, over = (
        [_combine(row, o, x) for row, o in zip(chart.matrix, chart.offset)]
        for x in (local.at, local.over)
    )
    ends = [span(a, o) for a, o in zip(at, over)]
    return at, over, np.stack([e[0] for e in ends], axis=1), np.stack([e[1] for e in ends], axis=1)
