"""The result of `approximate`: network, bound, measurement, and its form on disk."""

import hashlib
import json
import os
import shutil
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from scipy.stats import qmc

from lib.approximation._bound import Bound
from lib.approximation._sparse import sparse_value_and_gradient
from lib.approximation._target import Target
from lib.convresnet import (
    Architecture, Convolution, ConvResNet, measure_architecture,
)
from lib.errors import InputError, require

FORMAT = "convresnet-approximation 1"


@dataclass(frozen=True)
class Measurement:
    """Sampled errors: lower estimates of the true suprema.

    Attributes
    ----------
    value, gradient : float
        ``max |f - f~|`` and ``max_k max |d_k (f - f~)|`` over the points.
    value_at, gradient_at : tuple of float
        Where they were found.
    points, seed : int
        Scrambled Sobol points of the cube and their seed.
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
    """A target, its network and the guarantee.

    Attributes
    ----------
    network : ConvResNet
        float64 module, (P, D) -> (P,).
    promised : Architecture
        The sizes of Theorem A for these parameters.
    bound : Bound
        A priori bound of the error, value and gradient.
    target : Target or None
        None after loading a network whose target was not a formula.
    coefficients : float64 array, shape (N + m - 1,) * D
    order, cells, refinement, kernel_size, blocks, alpha : int
        ``m``, ``N``, ``n``, ``K``, ``M~`` and the smoothness used.
    derivative_bounds : dict
        The bounds of the target's derivatives that entered the bound.
    """

    network: ConvResNet
    promised: Architecture
    bound: Bound
    target: object
    coefficients: np.ndarray
    order: int
    cells: int
    refinement: int
    kernel_size: int
    blocks: int
    alpha: int
    derivative_bounds: dict

    @property
    def dim(self):
        """``D``."""
        return self.network.dim

    @property
    def architecture(self):
        """``.measured`` on the module and ``.promised`` by Theorem A, both `Architecture`."""
        return _Sizes(measure_architecture(self.network), self.promised)

    @property
    def constant(self):
        """``C`` of ``thm-cube`` for ``s = 0`` and ``s = 1``.

        ``bound = C T^{-(alpha - s)/D}`` with ``T = (N + m - 1)^D`` the number of terms.
        """
        edge = self.cells + self.order - 1
        return self.bound.value * edge**self.alpha, self.bound.gradient * edge ** (self.alpha - 1)

    def __call__(self, x):
        """The network at points of the cube.

        Parameters
        ----------
        x : float64 tensor, shape (P, D)
            In ``[0,1]^D``.  (`network` itself takes any point, without a guarantee outside the cube.)

        Returns
        -------
        float64 tensor, shape (P,), differentiable.

        Raises
        ------
        InputError
            For points outside the cube, another shape or dtype.
        """
        require(isinstance(x, torch.Tensor), "x", x, "a float64 tensor")
        outside = x[~((x >= 0) & (x <= 1))]
        require(len(outside) == 0, "x", outside[:1].tolist(), f"points of the cube [0,1]^{self.dim}")
        return self.network(x)

    def measure(self, points=1 << 14, seed=0, module_points=256):
        """Sample the error of the network, in value and in slope.

        Parameters
        ----------
        points : int
            Number of scrambled Sobol points of 53 bits; almost surely none is a kink of the network.
        seed : int
        module_points : int
            The module is evaluated on the first so many points; the others use the exact sparse
            evaluation of the same function.

        Returns
        -------
        Measurement

        Raises
        ------
        InputError
            Without a target.
        """
        require(self.target is not None, "target", None, "known (set it after loading: see `with_target`)")
        points = int(points)
        require(points >= 1, "points", points, "at least 1")
        module_points = min(int(module_points), points)
        sobol = qmc.Sobol(self.dim, bits=53, seed=seed)   # the default, 30 bits, would hit the kinks of 30 levels
        x = torch.from_numpy(sobol.random_base2(max(0, (points - 1).bit_length()))[:points])
        coefficients = torch.from_numpy(self.coefficients)
        f, df = self.target.value_and_gradient(x)
        g, dg = sparse_value_and_gradient(coefficients, self.order, self.refinement, x)
        difference = 0.0
        if module_points:
            h, dh = self.network.value_and_gradient(x[:module_points])
            difference = float((h - g[:module_points]).abs().max())
            g[:module_points], dg[:module_points] = h, dh
        error, slopes = (f - g).abs(), (df - dg).abs().amax(1)
        i, k = int(error.argmax()), int(slopes.argmax())
        return Measurement(float(error[i]), float(slopes[k]), tuple(x[i].tolist()), tuple(x[k].tolist()),
                           points, seed, module_points, difference)

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
            tensors["coefficients"] = torch.from_numpy(self.coefficients)
            save_file(tensors, beside / "network.safetensors")
            digest = hashlib.sha256((beside / "network.safetensors").read_bytes()).hexdigest()
            description = {
                "format": FORMAT, "sha256": digest, "dim": self.dim,
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

    def with_target(self, target):
        """The same approximation with a target to measure against (after loading)."""
        require(isinstance(target, Target) and target.dim == self.dim, "target", target,
                f"a lib.Target of dimension {self.dim}")
        return Approximation(**{**self.__dict__, "target": target})


def _seal(description):
    """Digest of a description: finds damage, not malice."""
    return hashlib.sha256(json.dumps(description, sort_keys=True).encode()).hexdigest()


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
        coefficients = tensors.pop("coefficients").numpy()
        blocks = [
            [Convolution(tensors[f"blocks.{i}.{k}.weight"], tensors[f"blocks.{i}.{k}.bias"], groups)
             for k, groups in enumerate(block)]
            for i, block in enumerate(description["groups"])
        ]
        formula = description["formula"]
        return Approximation(
            network=ConvResNet(blocks, tensors["head"], description["dim"]),
            promised=Architecture(**description["promised"]), bound=Bound(**description["bound"]),
            target=None if formula is None else Target.from_sympy(formula, description["dim"]),
            coefficients=coefficients,
            derivative_bounds={tuple(k): v for k, v in description["derivative_bounds"]},
            **description["sizes"],
        )
    except InputError:
        raise
    except (OSError, UnicodeDecodeError, json.JSONDecodeError, SafetensorError, KeyError, TypeError, ValueError,
            OverflowError, RuntimeError) as error:
        raise broken(f"{type(error).__name__}: {error}") from None
