"""The result of `approximate`: network, bound, measurement, and its form on disk."""

import hashlib
import json
import os
import shutil
import tempfile
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from lib.approximation._bound import Bound
from lib.approximation._cube import Cube
from lib.approximation._target import Target
from lib.convresnet import (
    Architecture, Chart, Convolution, ConvResNet, Gate, SparseEvaluator, measure_architecture, spline_network,
)
from lib.errors import InputError, require

FORMAT = "convresnet-approximation 2"
_MODULE_TERMS, _MODULE_WORK = 50_000, 1 << 18


@dataclass(frozen=True)
class Measurement:
    """Sampled errors: lower estimates of the true suprema.

    Attributes
    ----------
    value, gradient : float
        ``max |f - f~|`` and, on the cube, ``max_k max |d_k (f - f~)|``, on a manifold
        ``max |grad_M (f - f~)|`` (Euclidean length of the tangential gradient) over the points.
    value_at, gradient_at : tuple of float
        Where they were found.
    points, seed : int
        Points sampled from the domain (scrambled Sobol points on the cube) and their seed.
    module_points : int
        On that many of the points the module itself was evaluated, and differed from the sparse
        evaluation (values) by at most ``module_difference``.
    module_difference : float
    """

    value: float
    gradient: float
    value_at: tuple
    gradient_at: tuple
    points: int
    seed: int
    module_points: int
    module_difference: float


@dataclass(frozen=True)
class _Sizes:
    measured: Architecture
    promised: Architecture


@dataclass(frozen=True, eq=False)
class Approximation:
    """A target, its network and the guarantee (book: ``thm-cube``, ``cor-cube-rate``, ``cor-selection``).

    Attributes
    ----------
    charts : list of Chart
        The terms and where they live; one chart on the cube.
    promised : Architecture
        The sizes of Theorem A or B for these parameters.
    bound : Bound
        A priori bound of the error, value and gradient.
    target : Target or None
        None after loading a network whose target was not a formula.
    domain : Cube, Manifold or None
        None after loading a network on a manifold (see `with_target`).
    order, cells, refinement, kernel_size, blocks, alpha : int
        ``m``, ``N``, ``n``, ``K``, ``M~`` and the smoothness used.
    derivative_bounds : dict
        The bounds of derivatives that entered the bound: of the target on the cube; on a manifold
        the largest over the charts (sampled), in the coordinates of a chart.
    """

    charts: list
    promised: Architecture
    bound: Bound
    target: object
    domain: object
    order: int
    cells: int
    refinement: int
    kernel_size: int
    blocks: int
    alpha: int
    derivative_bounds: dict

    @cached_property
    def network(self):
        """The ConvResNet, a float64 module (P, D) -> (P,); built when it is first asked for."""
        return spline_network(self.charts, self.order, self.refinement, self.kernel_size, self.blocks)

    @cached_property
    def sparse(self):
        """The same function, evaluated through the terms that are alive (`SparseEvaluator`)."""
        return SparseEvaluator(self.charts, self.order, self.refinement, self.kernel_size)

    @property
    def dim(self):
        """``D``."""
        return self.charts[0].ambient_dim

    @property
    def coefficients(self):
        """All coefficients ``c_j``, chart after chart: float64 array (T,)."""
        return np.concatenate([c.coefficients for c in self.charts])

    def with_coefficients(self, coefficients):
        """The approximation with other coefficients, float64 array (T,), and everything else unchanged."""
        parts = np.split(np.asarray(coefficients, float), np.cumsum([len(c.coefficients) for c in self.charts])[:-1])
        return replace(self, charts=[replace(c, coefficients=p) for c, p in zip(self.charts, parts)])

    @property
    def architecture(self):
        """``.measured`` on the module and ``.promised`` by the theorem, both `Architecture`."""
        return _Sizes(measure_architecture(self.network), self.promised)

    @property
    def constant(self):
        """``C`` of ``thm-cube`` or ``thm-manifold`` for ``s = 0`` and ``s = 1``.

        ``bound = C T^{-(alpha - s)/d}`` with ``T`` the number of terms.
        """
        edge = len(self.coefficients) ** (1 / self.charts[0].dim)
        return self.bound.value * edge**self.alpha, self.bound.gradient * edge ** (self.alpha - 1)

    def __call__(self, x):
        """The network at points of the domain.

        Parameters
        ----------
        x : float64 tensor, shape (P, D)
            In the cube or on the manifold.  (`network` itself takes any point, without a guarantee
            outside the domain.)

        Returns
        -------
        float64 tensor, shape (P,), differentiable.

        Raises
        ------
        InputError
            For points outside the domain, another shape or dtype.
        """
        require(isinstance(x, torch.Tensor), "x", x, "a float64 tensor")
        require(self.domain is not None, "domain", None, "known (set it after loading: see `with_target`)")
        value = self.network(x)
        self.domain.check(x)
        return value

    def measure(self, points=1 << 14, seed=0, module_points=None):
        """Sample the error of the network, in value and in slope, batch by batch: any number of points will do.

        Parameters
        ----------
        points : int
            Number of points of the domain; almost surely none is a kink of the network.
        seed : int
        module_points : int, optional
            The module is evaluated on the first so many points; the others use the exact sparse
            evaluation of the same function.  By default 256, fewer for more than 1024 terms (2^18 over
            their number, but 16), and none for more than 50 000, for which the module takes gigabytes.

        Returns
        -------
        Measurement

        Raises
        ------
        InputError
            Without a target or a domain.
        """
        require(None not in (self.target, self.domain), "target", None, "known (set it after loading: see `with_target`)")
        points = int(points)
        require(points >= 1, "points", points, "at least 1")
        if module_points is None:
            terms = len(self.coefficients)
            module_points = min(256, max(16, _MODULE_WORK // terms)) if terms <= _MODULE_TERMS else 0
        module_points = max(0, min(int(module_points), points))
        worst, difference, done = {}, 0.0, 0
        for x in map(torch.from_numpy, self.domain.batches(points, seed)):
            f, df = self.target.value_and_gradient(x)
            g, dg = self.sparse.value_and_gradient(x)
            subset = max(0, min(module_points - done, len(x)))
            if subset:
                h, dh = self.network.value_and_gradient(x[:subset])
                difference = max(difference, float((h - g[:subset]).abs().max()))
                g[:subset], dg[:subset] = h, dh
            for norm, errors in (("value", (f - g).abs()), ("gradient", self.domain.slope(x, df - dg))):
                i = int(errors.argmax())
                worst[norm] = max(worst.get(norm, (-1.0,)), (float(errors[i]), tuple(x[i].tolist())))
            done += len(x)
        return Measurement(worst["value"][0], worst["gradient"][0], worst["value"][1], worst["gradient"][1],
                           points, seed, module_points, difference)

    def certify(self, domain=None, **options):
        """A rigorous enclosure of both norms over the whole domain, rounding included: `lib.certify.certify`.

        Parameters
        ----------
        domain : optional
            By default the cube or the curve of the approximation; for a sphere a `lib.certify.SphereFace`.
        **options
            ``gap``, ``boxes``, ``progress``, ``checkpoint``.

        Returns
        -------
        lib.certify.Certificate
        """
        from lib.certify import certify   # a later chapter, which imports this one

        return certify(self, domain, **options)

    def save(self, path):
        """Write the network to the folder ``path`` (safetensors and JSON; never pickle).

        The folder is written beside its place and renamed; one that exists is replaced only if it
        holds a saved network.

        Raises
        ------
        InputError
            If ``path`` exists and is something else, or its parent folder does not exist.
        """
        path = Path(path)
        require(path.parent.is_dir(), "path", str(path), "in a folder that exists")
        require(not path.exists() or (path / "network.json").is_file(), "path", str(path),
                "new, or a folder with a saved network")
        beside = Path(tempfile.mkdtemp(dir=path.parent, prefix=".saving-"))
        try:
            tensors = {k: v.detach().contiguous() for k, v in self.network.state_dict().items()}
            for i, chart in enumerate(self.charts):
                arrays = {k: getattr(chart, k) for k in ("matrix", "offset", "indices", "coefficients")}
                if chart.gate is not None:
                    arrays["centre"] = chart.gate.centre
                tensors |= {f"charts.{i}.{k}": torch.from_numpy(np.array(v)) for k, v in arrays.items()}
            save_file(tensors, beside / "network.safetensors")
            digest = hashlib.sha256((beside / "network.safetensors").read_bytes()).hexdigest()
            description = {
                "format": FORMAT, "sha256": digest, "dim": self.dim,
                "domain": "cube" if isinstance(self.domain, Cube) else "manifold",
                "charts": [{"cells": c.cells, "gate": None if c.gate is None else
                            [c.gate.inner, c.gate.outer, c.gate.refinement]} for c in self.charts],
                "groups": [[conv.groups for conv in block] for block in self.network.blocks],
                "formula": self.target.formula if self.target is not None else None,
                "sizes": {k: getattr(self, k) for k in
                          ("order", "cells", "refinement", "kernel_size", "blocks", "alpha")},
                "bound": asdict(self.bound), "promised": asdict(self.promised),
                "derivative_bounds": [[list(k), v] for k, v in self.derivative_bounds.items()],
            }
            description["seal"] = _seal(description)
            (beside / "network.json").write_text(json.dumps(description, indent=1))
            beside.chmod(0o755)   # mkdtemp makes private folders
            old = beside.with_name(beside.name + "-old")
            if path.exists():
                os.replace(path, old)
            os.replace(beside, path)
            shutil.rmtree(old, ignore_errors=True)
        finally:
            shutil.rmtree(beside, ignore_errors=True)

    def with_target(self, target, domain=None):
        """The same approximation with a target to measure against, and a domain if that is unknown (after loading)."""
        require(isinstance(target, Target) and target.dim == self.dim, "target", target,
                f"a lib.Target of dimension {self.dim}")
        domain = self.domain if domain is None else domain
        require(domain is None or domain.ambient_dim == self.dim, "domain", domain, f"in dimension {self.dim}")
        result = replace(self, target=target, domain=domain)
        if "network" in self.__dict__:   # keep the weights that were loaded
            result.__dict__["network"] = self.network
        return result


def _seal(description):
    """Digest of a description: finds damage, not malice."""
    return hashlib.sha256(json.dumps(description, sort_keys=True).encode()).hexdigest()


def _chart(tensors, i, cells, gate):
    arrays = {k: tensors[f"charts.{i}.{k}"].numpy() for k in ("matrix", "offset", "indices", "coefficients")}
    return Chart(cells=cells, gate=gate and Gate(tensors[f"charts.{i}.centre"].numpy(), *gate), **arrays)


def load(path):
    """Read an approximation written by `Approximation.save`.

    Parameters
    ----------
    path : str or Path

    Returns
    -------
    Approximation
        With a target if that was a formula (parsed again by the whitelist).

    Raises
    ------
    InputError
        If the folder is missing, not ours, cut short or altered.
    """
    path = Path(path)

    def broken(what):
        return InputError(f"path = {str(path)!r}: must be a folder written by Approximation.save; {what}")

    try:
        description = json.loads((path / "network.json").read_text())
        if not isinstance(description, dict) or description.get("format") != FORMAT:
            raise broken("its format is another")
        if description.pop("seal", None) != _seal(description):
            raise broken("network.json was altered")
        raw = (path / "network.safetensors").read_bytes()
        if hashlib.sha256(raw).hexdigest() != description["sha256"]:
            raise broken("network.safetensors was cut short or altered")
        tensors = load_file(path / "network.safetensors")
        blocks = [
            [Convolution(tensors[f"blocks.{i}.{k}.weight"], tensors[f"blocks.{i}.{k}.bias"], groups)
             for k, groups in enumerate(block)]
            for i, block in enumerate(description["groups"])
        ]
        formula = description["formula"]
        result = Approximation(
            charts=[_chart(tensors, i, **chart) for i, chart in enumerate(description["charts"])],
            promised=Architecture(**description["promised"]), bound=Bound(**description["bound"]),
            target=None if formula is None else Target.from_sympy(formula, description["dim"]),
            domain=Cube(description["dim"]) if description["domain"] == "cube" else None,
            derivative_bounds={tuple(k): v for k, v in description["derivative_bounds"]},
            **description["sizes"],
        )
        result.__dict__["network"] = ConvResNet(blocks, tensors["head"], description["dim"])   # the stored weights
        return result
    except InputError:
        raise
    except (OSError, UnicodeDecodeError, json.JSONDecodeError, SafetensorError, KeyError, TypeError, ValueError,
            OverflowError, RuntimeError) as error:
        raise broken(f"{type(error).__name__}: {error}") from None
