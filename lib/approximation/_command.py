"""The command ``python -m lib approximate``: build, check and save the network of a formula (book:
chapters 05 and 07).
"""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lib.approximation._build import approximate
from lib.convresnet import threads
from lib.domains import Cube
from lib.errors import integer, require
from lib.manifolds import manifold
from lib.targets import Target

_NORMS = ("value", "slope")


def run(arguments: Any, progress: Callable) -> dict:
    """What ``python -m lib approximate`` does; returns the report, in which ``passed`` says whether
    all checks did.

    Parameters
    ----------
    arguments : argparse.Namespace
    progress : callable
        Wraps a list with an item for each step, for a progress bar.

    Raises
    ------
    InputError
        For bad input.
    """
    if arguments.out is not None:
        _check_folder(Path(arguments.out))
    mesh = (arguments.cells, arguments.budget, arguments.tolerance, arguments.terms_per_block)
    if mesh == (None,) * 4:
        arguments.cells = 16
    integer("--points", arguments.points, 1)
    integer("--seed", arguments.seed, 0)
    steps = iter(progress(["bound the derivatives", "build", "measure", "save"]))
    next(steps)
    start = time.perf_counter()
    place = None if arguments.on is None else manifold(arguments.on, arguments.dim)
    dim = arguments.dim if place is None else place.ambient_dim
    target = Target.from_sympy(arguments.formula.strip(), dim)
    next(steps)
    a = approximate(
        target,
        Cube(target.dim) if place is None else place,
        order=arguments.order,
        cells=arguments.cells,
        budget=arguments.budget,
        tolerance=arguments.tolerance,
        kernel_size=arguments.kernel_size,
        blocks=arguments.blocks,
        terms_per_block=arguments.terms_per_block,
    )
    next(steps)
    assert a.bound is not None  # it has just been built
    measured = a.measure(arguments.points, arguments.seed)
    next(steps)
    if arguments.out is not None:
        a.save(arguments.out)
    next(steps, None)
    built = measured.module_points > 0  # beyond 50 000 terms the module takes gigabytes
    sizes = a.architecture.measured if built else a.promised
    _say_what_was_built(a, measured, sizes, built, time.perf_counter() - start)
    certificate = a.certify() if arguments.certify else None
    if certificate is not None:
        for norm, (low, high) in zip(_NORMS, certificate):
            print(f"{norm:11} certified from {low:.4e} to {high:.4e} over the whole domain")
    failed = [what for what, held in _checks(a, measured, certificate, sizes) if not held]
    for what in failed:
        print(f"FAILED: {what}")
    return {
        "formula": target.formula,
        "dim": a.dim,
        "domain": repr(a.domain),
        "order": a.order,
        "cells": a.cells,
        "refinement": a.refinement,
        "alpha": a.alpha,
        "passed": not failed,
        "bound": dict(zip(_NORMS, a.bound)),
        "rigorous": a.bound.rigorous,
        "breakdown": a.bound.breakdown,
        "certified": certificate and dict(zip(_NORMS, certificate)),
        "measured": vars(measured),
        "module_built": built,
        "architecture": vars(sizes),
    }


def _check_folder(out):
    """Raise `InputError` unless a network can be saved there."""
    parent = out.resolve().parent
    require(parent.is_dir(), "--out", str(out), "in a folder that exists")
    require(os.access(parent, os.W_OK), "--out", str(out), "in a folder that can be written to")
    require(
        not out.exists() or (out / "network.json").is_file(),
        "--out",
        str(out),
        "new, or a folder with a saved network",
    )


def _how_sure(a):
    """What a bound on a manifold, for a formula, rests on."""
    if a.bound.rigorous:
        return "is rigorous"
    if not a.domain.reach_proved:
        return f"assumes that the reach is at least {a.bound.reach:.4g}"
    return "allows for rounding without proof"  # of a function too large to be enclosed


def _say_what_was_built(a, measured, sizes, built, seconds):
    place = f"[0,1]^{a.dim}" if a.bound.reach is None else a.domain
    print(f"target      {a.target.formula} on {place}, smoothness used: {a.alpha:g}")
    spline = (
        f"order {a.order}, {a.cells} cells per axis"
        + (f" of {len(a.charts)} charts" if a.bound.reach else "")
        + f", {a.coefficients.size} terms; refinement {a.refinement}"
    )
    if "largest slope" in a.bound.breakdown:
        spline = (
            f"none: with fewer than {a.rate.least} terms of order {a.order} the network is zero"
        )
    print(f"spline      {spline}")
    kept = "within the" if sizes.within(a.promised) else "OUTSIDE the"
    print(
        f"network     M={sizes.M} L={sizes.L} J={sizes.J} K={sizes.K} kappa1={sizes.kappa1:.4g}"
        f" kappa2={sizes.kappa2:g} ({kept if built else 'not built:'} promised sizes)"
    )
    for norm, bound, error in zip(_NORMS, a.bound, measured):
        ratio = bound / max(error, 5e-324)
        print(f"{norm:11} bound {bound:.3e}  sampled {error:.3e}  ratio {ratio:.2f}")
    if a.bound.reach is not None:
        seen = a.bound.breakdown
        print(
            f"target      sup|f| {seen['sup |f| seen']:.3e}  sup|grad f|"
            f" {seen['sup |grad f| seen']:.3e} (sampled); the bound {_how_sure(a)}"
        )
    print(
        f"constants   C'_0={a.constant[0]:.4g} C'_1={a.constant[1]:.4g}: bound = C'_s"
        f" T^(-({a.alpha:g}-s)/{a.bound.dim})"
    )
    if a.bound.reach is None and a.rate.levels < float("inf"):  # else f is reproduced
        rate = a.rate
        print(
            f"theorem     C_0={rate.constants.value:.4g} C_1={rate.constants.slope:.4g}: every"
            f" budget B >= {rate.least} has C_s B^(-({a.alpha:g}-s)/{a.dim}), with n of it at most"
            f" {a.alpha:g} log2 N + {rate.levels:.2f}"
        )
    print(
        f"sampled at {measured.points} points, seed {measured.seed}, {measured.module_points} of"
        f" them through the module; {seconds:.1f} s, threads: {threads()}"
    )


def _checks(a, measured, certificate, sizes):
    """What must hold, in words, and whether it does."""
    yield "sizes within the promised ones", sizes.within(a.promised)
    same = measured.module_difference <= 2 * a.bound.rounding.value
    yield "module and sparse evaluation the same up to rounding", same
    for norm, bound, error in zip(_NORMS, a.bound, measured):
        yield f"sampled {norm} at most the bound", error <= bound
    if certificate is not None:
        for norm, bound, error, (_, upper) in zip(_NORMS, a.bound, measured, certificate):
            yield f"sampled at most certified at most bound, {norm}", error <= upper <= bound
