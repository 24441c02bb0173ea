"""The result of `approximate`: network, bound, measurement, and its form on disk."""

import hashlib
import json
import math
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
from lib.approximation._show import card, line
from lib.approximation._target import Target
from lib.convresnet import (
    Architecture,
    Chart,
    Convolution,
    ConvResNet,
    Gate,
    SparseEvaluator,
    computes_its_weights,
    is_construction,
    measure_architecture,
    spline_network,
    weights_digest,
)
from lib.errors import InputError, integer, require
from lib.splines import QuasiInterpolant

FORMAT = "convresnet-approximation 3"
_READABLE = ("convresnet-approximation 2", FORMAT)  # the older one has no rigorous bounds
_MODULE_TERMS = 50_000
_MODULE_WORK = 1 << 18
_ASIDE = 2.0**-45  # more than rounding, less than the distance of kinks
_SAME = 1e-9  # relative difference of coefficients that evaluation in another way may make


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
        NaN if weights were changed: then the module was evaluated at all points, and there is
        nothing to compare it with.
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


@dataclass(frozen=True, eq=False, repr=False)
class Approximation:
    """A target, its network and the guarantee (book: ``thm-cube``, ``cor-cube-rate``,
    ``cor-selection``).

    Attributes
    ----------
    charts : list of Chart
        The terms and where they live; one chart on the cube.
    promised : Architecture
        The sizes of Theorem A or B for these parameters.
    bound : Bound or None
        A priori bound of the error of the construction, value and gradient.  Training the network,
        or changing a weight, does not change it: see `unchanged`.  None after loading a network
        whose weights had been changed, and with other coefficients or another target.
    target : Target or None
        None after loading a network whose target was not a formula.
    domain : Cube, Manifold or None
        None after loading a network on a manifold (see `with_target`).
    order, cells, refinement, kernel_size, blocks, alpha : int
        ``m``, ``N``, ``n``, ``K``, ``M~`` and the smoothness used.
    derivative_bounds : dict
        The bounds of derivatives that entered the bound: of the target on the cube; on a manifold
        the largest *estimates* over the charts, sampled in their coordinates.
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

    def __repr__(self):
        return line(self)

    def _repr_html_(self):
        return card(self)

    @cached_property
    def network(self):
        """The ConvResNet, a float64 module (P, D) -> (P,); built when it is first asked for.

        Its slopes by automatic differentiation are right almost everywhere, and wrong at kinks,
        such as knots and dyadic points of a regular grid: torch takes ``ReLU'(0) = 0`` in every
        layer, and what comes out need not be the slope of any linear piece.  `value_and_slope` is
        right there, too.
        """
        return spline_network(
            self.charts, self.order, self.refinement, self.kernel_size, self.blocks
        )

    @cached_property
    def sparse(self):
        """The construction, evaluated through the terms that are alive (`SparseEvaluator`).

        It is made from the charts: of changes of the weights of `network` it knows nothing.
        """
        return SparseEvaluator(self.charts, self.order, self.refinement, self.kernel_size)

    @property
    def unchanged(self):
        """Whether `network` is the construction of the charts, bit by bit, and nothing was added to
        it.

        Compared block by block, which costs about as much as building the network, whenever its
        digest is another than at the last time.
        """
        if "network" not in self.__dict__:
            return True
        if not computes_its_weights(self.network):
            return False
        sizes = self.order, self.refinement, self.kernel_size, self.blocks
        mark = (weights_digest(self.network), *map(id, self.charts), *sizes)
        known = self.__dict__.get("_compared")
        if known is None or known[0] != mark:
            known = self.__dict__["_compared"] = (
                mark,
                is_construction(self.network, self.charts, *sizes),
            )
        return known[1]

    @property
    def evaluator(self):
        """What computes values and slopes of the network: `sparse`, or the module itself if a
        weight was changed.
        """
        return self.sparse if self.unchanged else self.network

    @property
    def dim(self):
        """``D``."""
        return self.charts[0].ambient_dim

    @property
    def coefficients(self):
        """All coefficients ``c_j``, chart after chart: float64 array (T,)."""
        return np.concatenate([c.coefficients for c in self.charts])

    def with_coefficients(self, coefficients):
        """The construction with other coefficients, float64 array (T,); it has no bound, unless
        they are the same.
        """
        coefficients = np.asarray(coefficients, float)
        parts = np.split(coefficients, np.cumsum([len(c.coefficients) for c in self.charts])[:-1])
        bound = self.bound if np.array_equal(coefficients, self.coefficients) else None
        return replace(
            self,
            charts=[replace(c, coefficients=p) for c, p in zip(self.charts, parts)],
            bound=bound,
        )

    @property
    def architecture(self):
        """``.measured`` on the module and ``.promised`` by the theorem, both `Architecture`."""
        return _Sizes(measure_architecture(self.network), self.promised)

    @property
    def constant(self):
        """The numbers ``C'_s`` of this network, ``s = 0, 1``: ``bound = C'_s T^{-(alpha - s)/d}``,
        ``T`` the number of terms.

        Not the ``C`` of ``thm-cube``, which holds for every mesh and is larger.
        """
        require(
            self.bound is not None,
            "bound",
            None,
            "known: these are not the coefficients or weights of the theorem",
        )
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
        float64 tensor, shape (P,), differentiable: almost everywhere, not at kinks (see `network`
        and `value_and_slope`).

        Raises
        ------
        InputError
            For points outside the domain, another shape or dtype.
        """
        self._check_points(x)
        return self.network(x)

    def _check_points(self, x):
        """Raise `InputError` unless ``x`` is a float64 tensor (P, D) of points of the domain."""
        require(isinstance(x, torch.Tensor), "x", x, "a torch tensor of dtype float64")
        require(x.dtype == torch.float64, "x", x.dtype, "a torch tensor of dtype float64")
        require(
            x.ndim == 2 and x.shape[1] == self.dim, "x.shape", tuple(x.shape), f"(P, {self.dim})"
        )
        require(
            self.domain is not None,
            "domain",
            None,
            "known (set it after loading: see `with_target`)",
        )
        self.domain.check(x)

    def value_and_slope(self, x):
        """Values and slopes of the network, right at kinks, too.

        Parameters
        ----------
        x : float64 tensor, shape (P, D)
            Points of the domain.

        Returns
        -------
        values : float64 tensor, shape (P,)
        slopes : float64 tensor, shape (P, D)
            Gradients on the cube, tangential gradients on a manifold, on the linear piece of ``x +
            2^-45 w``: the limit of the gradient as ``x`` is approached along ``w``, unless there is
            a kink between the two.  On the cube ``w`` points to larger coordinates (to smaller ones
            where a coordinate is 1), in no special direction otherwise; on a manifold it is a
            tangent vector.  After a change of weights the module is differentiated there: where its
            rounding decides on which side of a kink a term is, slopes may be off.

        Raises
        ------
        InputError
            For points outside the domain, another shape or dtype.
        """
        self._check_points(x)
        x, evaluator = x.detach(), self.evaluator
        aside = x + _ASIDE * self.domain.towards(x)
        with torch.no_grad():
            values = evaluator(x)
        return values, self.domain.along(x, evaluator.value_and_gradient(aside)[1])

    def measure(self, points=1 << 14, seed=0, module_points=None):
        """Sample the error of the network, in value and in slope, batch by batch: any number of
        points will do.

        Parameters
        ----------
        points : int
            Number of points of the domain; almost surely none is a kink of the network.
        seed : int
        module_points : int, optional
            The module is evaluated on the first so many points; the others use the exact sparse
            evaluation of the same function.  By default 256, fewer for more than 1024 terms (2^18
            over their number, but 16), and none for more than 50 000, for which the module takes
            gigabytes. Where weights were changed the module is evaluated at all points.

        Returns
        -------
        Measurement

        Raises
        ------
        InputError
            Without a target or a domain.
        """
        require(
            None not in (self.target, self.domain),
            "target",
            None,
            "known (set it after loading: see `with_target`)",
        )
        points, seed = integer("points", points, 1), integer("seed", seed, 0)
        if module_points is None:
            terms = len(self.coefficients)
            module_points = (
                min(256, max(16, _MODULE_WORK // terms)) if terms <= _MODULE_TERMS else 0
            )
        unchanged = self.unchanged
        module_points = (
            max(0, min(integer("module_points", module_points, 0), points)) if unchanged else points
        )
        worst = {}
        difference = 0.0 if unchanged else math.nan
        done = 0
        for x in self.domain.batches(points, seed):
            f, df = self.target.value_and_gradient(x)
            g, dg = (self.sparse if unchanged else self.network).value_and_gradient(x)
            subset = max(0, min(module_points - done, len(x))) if unchanged else 0
            if subset:
                h, dh = self.network.value_and_gradient(x[:subset])
                difference = max(difference, float((h - g[:subset]).abs().max()))
                g[:subset], dg[:subset] = h, dh
            for norm, errors in (
                ("value", (f - g).abs()),
                ("gradient", self.domain.slope(x, df - dg)),
            ):
                i = int(errors.argmax())
                worst[norm] = max(
                    worst.get(norm, (-1.0,)), (float(errors[i]), tuple(x[i].tolist()))
                )
            done += len(x)
        return Measurement(
            worst["value"][0],
            worst["gradient"][0],
            worst["value"][1],
            worst["gradient"][1],
            points,
            seed,
            module_points,
            difference,
        )

    def certify(self, domain=None, **options):
        """A rigorous enclosure of both norms over the whole domain, rounding included:
        `lib.certify.certify`.

        Parameters
        ----------
        domain : optional
            By default the cube or the curve of the approximation; for a sphere a
            `lib.certify.SphereFace`.
        **options
            ``gap``, ``boxes``, ``progress``, ``checkpoint``.

        Returns
        -------
        lib.certify.Certificate
        """
        from lib.certify import certify  # a later chapter, which imports this one

        return certify(self, domain, **options)

    def save(self, path):
        """Write the network to the folder ``path`` (safetensors and JSON; never pickle).

        The folder is written beside its place and renamed; one that exists is replaced only if it
        holds a saved network.  Weights that were changed are kept; the bound, which is not theirs,
        is left out then.

        Raises
        ------
        InputError
            If ``path`` exists and is something else, or its parent folder does not exist.
        """
        path = Path(path)
        require(path.parent.is_dir(), "path", str(path), "in a folder that exists")
        require(
            not path.exists() or (path / "network.json").is_file(),
            "path",
            str(path),
            "new, or a folder with a saved network",
        )
        beside = Path(tempfile.mkdtemp(dir=path.parent, prefix=".saving-"))
        try:
            tensors = {
                k: v.detach().clone().contiguous() for k, v in self.network.state_dict().items()
            }
            for i, chart in enumerate(self.charts):
                arrays = {
                    k: getattr(chart, k) for k in ("matrix", "offset", "indices", "coefficients")
                }
                if chart.gate is not None:
                    arrays["centre"] = chart.gate.centre
                tensors |= {
                    f"charts.{i}.{k}": torch.from_numpy(np.array(v)) for k, v in arrays.items()
                }
            save_file(tensors, beside / "network.safetensors")
            digest = hashlib.sha256((beside / "network.safetensors").read_bytes()).hexdigest()
            description = {
                "format": FORMAT,
                "sha256": digest,
                "dim": self.dim,
                "domain": "cube" if isinstance(self.domain, Cube) else "manifold",
                "charts": [
                    {
                        "cells": c.cells,
                        "gate": None
                        if c.gate is None
                        else [c.gate.inner, c.gate.outer, c.gate.refinement],
                    }
                    for c in self.charts
                ],
                "groups": [[conv.groups for conv in block] for block in self.network.blocks],
                "formula": self.target.formula if self.target is not None else None,
                "sizes": {
                    k: getattr(self, k)
                    for k in ("order", "cells", "refinement", "kernel_size", "blocks", "alpha")
                },
                "bound": asdict(self.bound) if self.bound is not None and self.unchanged else None,
                "promised": asdict(self.promised),
                "derivative_bounds": [[list(k), v] for k, v in self.derivative_bounds.items()],
            }
            description["seal"] = _seal(description)
            (beside / "network.json").write_text(json.dumps(description, indent=1))
            beside.chmod(0o755)  # mkdtemp makes private folders
            old = beside.with_name(beside.name + "-old")
            if path.exists():
                os.replace(path, old)
            os.replace(beside, path)
            shutil.rmtree(old, ignore_errors=True)
        finally:
            shutil.rmtree(beside, ignore_errors=True)

    def with_target(self, target, domain=None):
        """The same approximation with a target to measure against, and a domain if that is unknown
        (after loading).

        The bound is kept only for the function it was made for: the same formula or, on the cube,
        one with the same coefficients.  (On a manifold without a formula it is taken to be that
        function.)
        """
        require(
            isinstance(target, Target) and target.dim == self.dim,
            "target",
            target,
            f"a lib.Target of dimension {self.dim}",
        )
        domain = self.domain if domain is None else domain
        require(
            domain is None or domain.ambient_dim == self.dim,
            "domain",
            domain,
            f"in dimension {self.dim}",
        )
        if domain is not None:
            target.check_slopes(domain)
        result = replace(
            self, target=target, domain=domain, bound=self.bound if self._is_of(target) else None
        )
        if "network" in self.__dict__:  # keep the weights that were loaded
            result.__dict__["network"] = self.network
        return result

    def _is_of(self, target):
        """Whether this approximation may be one of a target."""
        mine = self.target.formula if self.target is not None else None
        if mine is not None and target.formula is not None:
            return target.formula == mine
        if not isinstance(self.domain, Cube):
            return True
        found = (
            QuasiInterpolant(self.order, self.cells)
            .coefficients(target.values, self.dim)
            .reshape(-1)
        )
        return bool(np.abs(found - self.coefficients).max() <= _SAME * np.abs(found).max())


def _seal(description):
    """Digest of a description: finds damage, not malice."""
    return hashlib.sha256(json.dumps(description, sort_keys=True).encode()).hexdigest()


def _chart(tensors, i, cells, gate):
    arrays = {
        k: tensors[f"charts.{i}.{k}"].numpy()
        for k in ("matrix", "offset", "indices", "coefficients")
    }
    return Chart(
        cells=cells, gate=gate and Gate(tensors[f"charts.{i}.centre"].numpy(), *gate), **arrays
    )


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
        return InputError(
            f"path = {str(path)!r}: must be a folder written by Approximation.save; {what}"
        )

    try:
        description = json.loads((path / "network.json").read_text())
        if not isinstance(description, dict) or description.get("format") not in _READABLE:
            raise broken("its format is another")
        if description.pop("seal", None) != _seal(description):
            raise broken("network.json was altered")
        raw = (path / "network.safetensors").read_bytes()
        if hashlib.sha256(raw).hexdigest() != description["sha256"]:
            raise broken("network.safetensors was cut short or altered")
        tensors = load_file(path / "network.safetensors")
        blocks = [
            [
                Convolution(
                    tensors[f"blocks.{i}.{k}.weight"], tensors[f"blocks.{i}.{k}.bias"], groups
                )
                for k, groups in enumerate(block)
            ]
            for i, block in enumerate(description["groups"])
        ]
        formula = description["formula"]
        result = Approximation(
            charts=[_chart(tensors, i, **chart) for i, chart in enumerate(description["charts"])],
            promised=Architecture(**description["promised"]),
            bound=None if description["bound"] is None else Bound(**description["bound"]),
            target=None if formula is None else Target.from_sympy(formula, description["dim"]),
            domain=Cube(description["dim"]) if description["domain"] == "cube" else None,
            derivative_bounds={tuple(k): v for k, v in description["derivative_bounds"]},
            **description["sizes"],
        )
        # the stored weights
        result.__dict__["network"] = ConvResNet(blocks, tensors["head"], description["dim"])
        return result
    except InputError:
        raise
    except (
        OSError,
        UnicodeDecodeError,
        json.JSONDecodeError,
        SafetensorError,
        KeyError,
        TypeError,
        ValueError,
        OverflowError,
        RuntimeError,
    ) as error:
        raise broken(f"{type(error).__name__}: {error}") from None
