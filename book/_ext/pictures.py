"""The data of the living pictures, computed with ``lib``: ``python book/_ext/pictures.py FOLDER``
writes one JSON file each.

The scripts of the page (``book/_static/living.js``) only draw; whatever is a number of the book is
computed here.
"""

import json
import sys
from pathlib import Path

import numpy as np
import torch

import lib
from lib import experiments, relu, splines
from lib.domains import CubeProblem
from lib.manifolds import Atlas, Sphere

CURVES = {
    "sin(2πx) eˣ": "sin(2*pi*x1)*exp(x1)",
    "|x − 1/3|³": "abs(x1-1/3)**3",
    "1/(1 + 25(2x − 1)²)": "1/(1+25*(2*x1-1)**2)",
}
CELLS = (8, 11, 16, 23, 32, 45, 64)
LEVELS = range(8)
RADII = (0.4, 0.45, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9)  # r_1, over the reach


def rounded(values, digits=6):
    """Significant digits that a picture can show."""
    return [float(f"{v:.{digits}g}") for v in np.asarray(values, float).ravel()]


def quasi():
    """Chapter 02: a function, its quasi-interpolants as coefficients, their errors (sampled) and
    Jackson's bounds.
    """
    x = (np.arange(4000) + 0.5) / 4000 + 1e-7
    curves = []
    for name, formula in CURVES.items():
        target = lib.Target.from_sympy(formula)
        value, gradient = (
            t.numpy() for t in target.value_and_gradient(torch.from_numpy(x[:, None]))
        )
        splines_of = {}
        for m in splines.ORDERS:
            problem = CubeProblem(target, lib.Cube(1), m)
            for N in CELLS:
                q = splines.QuasiInterpolant(m, N)
                c = q.coefficients(target.values, 1)
                bound = problem.spline_error(N)
                j = np.arange(1 - m, N)[:, None]
                error = c @ splines.bspline(m, N * x - j) - value
                slope = N * c @ splines.bspline(m, N * x - j, derivative=1) - gradient[:, 0]
                splines_of[f"{m},{N}"] = {
                    "c": rounded(c, 9),
                    "value": rounded([abs(error).max(), bound.value], 4),
                    "slope": rounded([abs(slope).max(), bound.slope], 4),
                    "alpha": problem.alpha,
                }
        shown = slice(10, None, 20)
        curves.append(
            {
                "name": name,
                "x": rounded(x[shown]),
                "f": rounded(value[shown], 9),
                "df": rounded(gradient[shown, 0], 9),
                "splines": splines_of,
            }
        )
    return {"orders": list(splines.ORDERS), "cells": list(CELLS), "curves": curves}


def square():
    """Chapter 03: the square network at its breakpoints, between which it is linear."""
    levels = []
    for n in LEVELS:
        z = torch.arange(2**n + 1, dtype=torch.float64) / 2**n
        levels.append(
            {
                "n": n,
                "z": z.tolist(),
                "sq": relu.square(z, n).tolist(),
                "epsilon": 4.0 ** (-n - 1),
                "delta": 2.0**-n,
            }
        )
    return {"levels": levels}


def blocks():
    """Chapter 04: what the head reads after each block of networks with the same terms in more
    or fewer blocks.
    """
    target = lib.Target.from_sympy("sin(2*pi*x1)*exp(x1)")
    x = (torch.arange(160, dtype=torch.float64)[:, None] + 0.5) / 160 + 1e-7
    f, gradient = target.value_and_gradient(x)
    networks = []
    for count in (1, 2, 3, 4, 6, 10, 19):
        a = lib.approximate(target, lib.Cube(1), order=4, cells=16, kernel_size=2, blocks=count)
        points = x.clone().requires_grad_(True)
        states = []
        z = torch.cat(
            [points[:, None, :], points.new_zeros(len(x), a.network.channels - 1, 1)], dim=1
        )
        for block in a.network.blocks:
            y = z
            for convolution in block:
                y = torch.relu(convolution(y))
            z = z + y
            value = z[:, :, 0] @ a.network.head
            slope = (
                torch.autograd.grad(value.sum(), points, retain_graph=True)[0]
                if value.grad_fn
                else x * 0
            )
            states.append({"value": rounded(value.detach(), 5), "slope": rounded(slope, 5)})
        assert abs(value.detach() - a.network(x)).max() < 1e-12
        networks.append({"blocks": count, "first": len(a.network.blocks) - count, "states": states})
    return {"x": rounded(x), "f": rounded(f), "df": rounded(gradient), "networks": networks}


def charts():
    """Chapter 06: atlases of the sphere by the radius of their balls, and the partition of unity
    along a great circle.
    """
    sphere = Sphere()
    angle = (np.arange(120) + 0.5) * 2 * np.pi / 120
    tilt = np.array([np.cos(0.4), 0, np.sin(0.4)])
    circle = 0.5 + 0.5 * (
        np.cos(angle)[:, None] * tilt + np.sin(angle)[:, None] * np.array([0, 1.0, 0])
    )
    atlases = []
    for ratio in RADII:
        atlas = Atlas(sphere, 0.7 * ratio * sphere.reach, ratio * sphere.reach)
        rho = atlas.partition(circle).T
        positive = {i: np.flatnonzero(rho[i]) for i in range(len(atlas)) if rho[i].any()}
        atlases.append(
            {
                "ratio": ratio,
                "centres": [rounded(2 * c - 1, 5) for c in atlas.centres],
                "outer": atlas.chart_radius**2,
                "inner": atlas.inner,
                "overlap": atlas.overlap,
                "steepness": rounded([atlas.lipschitz * sphere.reach], 3)[0],
                "earlier": max(map(len, atlas.earlier)),
                "mesh": atlas.smallest_mesh(4),
                "partition": {
                    i: [at.tolist(), rounded(rho[i, at], 4)] for i, at in positive.items()
                },
            }
        )
    return {
        "radius": 0.5,
        "angle": rounded(np.degrees(angle), 5),
        "circle": [rounded(2 * p - 1, 5) for p in circle],
        "atlases": atlases,
    }


def widthdepth():
    """Chapter 09: means and standard errors over the seeds of the sweep."""
    records = experiments.read(experiments.RECORDS / "robustness", experiments.sweep_cells())
    rows = []
    for (method, epochs, width, depth), found in experiments.sweep_summary(records).items():
        rows.append(
            {
                "method": method,
                "epochs": epochs,
                "width": width,
                "depth": depth,
                **{name: rounded(pair, 4) for name, pair in found.items()},
            }
        )
    return {"radius": experiments.RADIUS, "seeds": len(experiments.SEEDS), "rows": rows}


PICTURES = {
    "quasi": quasi,
    "square": square,
    "blocks": blocks,
    "charts": charts,
    "widthdepth": widthdepth,
}


def main(folder):
    folder.mkdir(parents=True, exist_ok=True)
    for name, compute in PICTURES.items():
        (folder / f"{name}.json").write_text(json.dumps(compute(), separators=(",", ":")))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
