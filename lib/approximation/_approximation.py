"""The result of `approximate`: a construction, its network, bound and measurement."""

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor

from lib.approximation._describe import describe
from lib.approximation._measure import Measurement, measure
from lib.approximation._show import card, line
from lib.approximation._store import write_folder
from lib.certify import Certificate, certify
from lib.convresnet import (
    Architecture,
    Chart,
    Construction,
    ConvResNet,
    SparseEvaluator,
    computes_its_weights,
    measure_architecture,
    weights_digest,
)
from lib.domains import Bound, Cube, Domain, Rate
from lib.errors import refuse, require
from lib.splines import QuasiInterpolant
from lib.targets import Target

_ASIDE = 2.0**-45  # more than rounding, less than the distance of kinks
_SAME = 1e-9  # relative difference of coefficients that evaluation in another way may make


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
    construction : Construction
        The charts with their terms, ``m``, ``n``, ``K`` and the number of blocks; also as
        ``charts``, ``order``, ``refinement``, ``kernel_size``, ``blocks``.
    bound : Bound or None
        A priori bound of the error of the construction.  Training the network, or changing a
        weight, does not change it: see `unchanged`.  None after loading a network whose weights had
        been changed, and with other coefficients or another target.
    target : Target or None
        None after loading a network whose target was not a formula.
    domain : Cube, Manifold or None
        None after loading a network on a manifold (see `with_target`).
    cells : int
        ``N``.
    alpha : int or float
        The smoothness used.
    derivative_bounds : dict
        The bounds of derivatives that entered the bound, with fractional multi-indices those of
        Hoelder seminorms: of the target on the cube; on a manifold the largest over the charts in
        their coordinates, without a formula *estimates* from samples.
    """

    construction: Construction
    bound: Bound | None
    target: Target | None
    domain: Domain | None
    cells: int
    alpha: float
    derivative_bounds: dict

    def __repr__(self):
        return line(self)

    def _repr_html_(self):
        return card(self)

    @property
    def charts(self) -> list[Chart]:
        """The terms and where they live; one chart on the cube."""
        return self.construction.charts

    @property
    def order(self) -> int:
        """``m``."""
        return self.construction.order

    @property
    def refinement(self) -> int:
        """``n``."""
        return self.construction.refinement

    @property
    def kernel_size(self) -> int:
        """``K``."""
        return self.construction.kernel_size

    @property
    def blocks(self) -> int:
        """``M~``."""
        return self.construction.blocks

    @property
    def promised(self) -> Architecture:
        """The sizes of Theorem A or B for these parameters."""
        return self.construction.promised

    @cached_property
    def network(self) -> ConvResNet:
        """The ConvResNet, a float64 module (P, D) -> (P,); built when it is first asked for.

        Its slopes by automatic differentiation are right almost everywhere, and wrong at kinks,
        such as knots and dyadic points of a regular grid: torch takes ``ReLU'(0) = 0`` in every
        layer, and what comes out need not be the slope of any linear piece.  `value_and_slope` is
        right there, too.
        """
        return self.construction.network

    @property
    def sparse(self) -> SparseEvaluator:
        """The construction, evaluated through the terms that are alive
        (`lib.convresnet.SparseEvaluator`).

        It is made from the charts: of changes of the weights of `network` it knows nothing.
        """
        return self.construction.sparse

    @property
    def unchanged(self) -> bool:
        """Whether `network` is the construction of the charts, bit by bit, and nothing was added to
        it.

        Compared block by block, which costs about as much as building the network, whenever its
        digest is another than at the last time.
        """
        if "network" not in self.__dict__:
            return True
        if not computes_its_weights(self.network):
            return False
        mark = weights_digest(self.network)
        known = self.__dict__.get("_compared")
        if known is None or known[0] != mark:
            known = self.__dict__["_compared"] = mark, self.construction.built(self.network)
        return known[1]

    @property
    def evaluator(self) -> SparseEvaluator | ConvResNet:
        """What computes values and slopes of the network: `sparse`, or the module itself if a
        weight was changed.
        """
        return self.sparse if self.unchanged else self.network

    @property
    def dim(self) -> int:
        """``D``."""
        return self.charts[0].ambient_dim

    @property
    def coefficients(self) -> Float64[np.ndarray, " T"]:
        """All coefficients ``c_j``, chart after chart: float64 array (T,)."""
        return np.concatenate([c.coefficients for c in self.charts])

    def with_coefficients(self, coefficients: np.ndarray) -> "Approximation":
        """The construction with other coefficients, float64 array (T,); it has no bound, unless
        they are the same.

        Raises
        ------
        InputError
            For another number of coefficients.
        """
        coefficients = np.asarray(coefficients, float)
        shape = self.coefficients.shape
        require(coefficients.shape == shape, "coefficients.shape", coefficients.shape, f"{shape}")
        parts = np.split(coefficients, np.cumsum([len(c.coefficients) for c in self.charts])[:-1])
        bound = self.bound if np.array_equal(coefficients, self.coefficients) else None
        return replace(
            self,
            construction=replace(
                self.construction,
                charts=[replace(c, coefficients=p) for c, p in zip(self.charts, parts)],
            ),
            bound=bound,
        )

    @property
    def architecture(self) -> _Sizes:
        """``.measured`` on the module and ``.promised`` by the theorem, both `Architecture`."""
        return _Sizes(measure_architecture(self.network), self.promised)

    @property
    def constant(self) -> tuple[float, float]:
        """The numbers ``C'_s`` of this network, ``s = 0, 1``: ``bound = C'_s T^{-(alpha - s)/d}``,
        ``T`` the number of terms.

        Not the ``C`` of ``thm-cube``, which holds for every mesh and is larger (`rate`).

        Raises
        ------
        InputError
            Without a bound.
        """
        if self.bound is None:
            refuse("bound", None, "known: these are not the coefficients or weights of the theorem")
        edge = len(self.coefficients) ** (1 / self.charts[0].dim)
        return self.bound.value * edge**self.alpha, self.bound.slope * edge ** (self.alpha - 1)

    @property
    def rate(self) -> Rate:
        """What Theorem A says of this target at every budget, with all its constants.

        Raises
        ------
        InputError
            On a manifold, and without a target.
        """
        if self.target is None:
            refuse("target", None, "known (set it after loading: see `with_target`)")
        require(isinstance(self.domain, Cube), "domain", self.domain, "a cube")
        return Rate.of(self.target, self.order)

    def __call__(self, x: Float64[Tensor, "P D"]) -> Float64[Tensor, " P"]:
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
        self._place_of(x)
        return self.network(x)

    def _place_of(self, x: Any) -> Domain:
        """The domain; raises `InputError` unless ``x`` is a float64 tensor (P, D) of points of
        it.
        """
        require(isinstance(x, torch.Tensor), "x", x, "a torch tensor of dtype float64")
        require(x.dtype == torch.float64, "x", x.dtype, "a torch tensor of dtype float64")
        require(
            x.ndim == 2 and x.shape[1] == self.dim, "x.shape", tuple(x.shape), f"(P, {self.dim})"
        )
        if self.domain is None:
            refuse("domain", None, "known (set it after loading: see `with_target`)")
        self.domain.check(x)
        return self.domain

    def value_and_slope(
        self, x: Float64[Tensor, "P D"]
    ) -> tuple[Float64[Tensor, " P"], Float64[Tensor, "P D"]]:
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
        domain = self._place_of(x)
        x, evaluator = x.detach(), self.evaluator
        aside = x + _ASIDE * domain.towards(x)
        with torch.no_grad():
            values = evaluator(x)
        return values, domain.along(x, evaluator.value_and_gradient(aside)[1])

    def measure(
        self, points: int = 1 << 14, seed: int = 0, module_points: int | None = None
    ) -> Measurement:
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
            Without a target or a domain, and for a network that is not finite (NaN would pass
            for no error).
        """
        return measure(self, points, seed, module_points)

    def certify(self, **options: Any) -> Certificate:
        """A rigorous enclosure of both norms over the whole domain: `lib.certify.certify`.

        Parameters
        ----------
        **options
            ``gap``, ``boxes``, ``progress``, ``checkpoint``.

        Returns
        -------
        lib.certify.Certificate
        """
        return certify(self, **options)

    def save(self, path: str | Path) -> None:
        """Write the network to the folder ``path`` (safetensors and JSON; never pickle).

        The folder is written beside its place and renamed; one that exists is replaced only if it
        holds a saved network.  Weights that were changed are kept; the bound, which is not theirs,
        is left out then.

        Raises
        ------
        InputError
            If ``path`` exists and is something else, or its parent folder does not exist.
        """
        write_folder(path, *describe(self))

    def with_target(self, target: Target, domain: Any = None) -> "Approximation":
        """The same approximation with a target to measure against, and a domain if that is unknown
        (after loading).

        The bound is kept only on the domain and for the function it was made for: the same formula
        or, on the cube, one with the same coefficients; on a manifold without a formula the same
        torch map, or any where that is unknown, after loading.  It is rigorous only for a formula:
        functions with the same coefficients can differ between the nodes.

        Raises
        ------
        InputError
            For a target or a domain of another dimension.
        """
        require(
            isinstance(target, Target) and target.dim == self.dim,
            "target",
            target,
            f"a lib.Target of dimension {self.dim}",
        )
        domain = self.domain if domain is None else domain
        require(
            domain is None
            or isinstance(domain, Domain)
            and not isinstance(domain, type)
            and domain.ambient_dim == self.dim,
            "domain",
            domain,
            f"a lib.Cube or a manifold in dimension {self.dim}",
        )
        if domain is not None:
            target.check_slopes(domain)
        bound = self.bound if self._is_on(domain) and self._is_of(target) else None
        if bound is not None and target.expression is None:
            bound = replace(bound, rigorous=False)
        result = replace(self, target=target, domain=domain, bound=bound)
        if "network" in self.__dict__:  # keep the weights that were loaded
            result.__dict__["network"] = self.network
        return result

    def _is_on(self, domain):
        """Whether this approximation may be one on a domain: its own, any manifold after loading
        one.
        """
        cube = isinstance(domain, Cube)
        if self.domain is None:
            return domain is None or cube == (self.charts[0].partition is None)
        return domain is self.domain or cube and isinstance(self.domain, Cube)

    def _is_of(self, target):
        """Whether this approximation may be one of a target."""
        mine = self.target.formula if self.target is not None else None
        if mine is not None and target.formula is not None:
            return target.formula == mine
        if self.target is not None and target.function is self.target.function:
            return True
        if not isinstance(self.domain, Cube):
            return self.target is None
        if len(self.coefficients) == 1 and self.cells > 1:  # the zero network may be of any target
            return False
        found = (
            QuasiInterpolant(self.order, self.cells)
            .coefficients(target.values, self.dim)
            .reshape(-1)
        )
        return bool(np.abs(found - self.coefficients).max() <= _SAME * np.abs(found).max())
