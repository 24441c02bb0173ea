"""An approximation in words and tensors, and back: what its folder holds (book: chapter 05)."""

from dataclasses import asdict

import numpy as np
import torch

from lib.convresnet import Chart, Construction, Convolution, ConvResNet, PartitionFunction
from lib.domains import Bound, Cube
from lib.norms import Norms

_ARRAYS = ("matrix", "offset", "indices", "coefficients")  # of a chart
_PARTITION = ("inner", "outer", "refinement")  # of all functions of a partition
_SIZES = ("order", "cells", "refinement", "kernel_size", "blocks", "alpha")
_PARTS = ("spline", "network", "rounding")  # of a bound


def describe(a):
    """The tensors and the description, ready for JSON, of an `Approximation`.

    The bound, which is that of the construction, is left out if weights were changed.
    """
    tensors = {k: v.detach().clone().contiguous() for k, v in a.network.state_dict().items()}
    for i, chart in enumerate(a.charts):
        arrays = {k: getattr(chart, k) for k in _ARRAYS}
        if chart.partition is not None:
            arrays |= {k: getattr(chart.partition, k) for k in ("centre", "earlier")}
        tensors |= {
            f"charts.{i}.{k}": torch.from_numpy(np.array(v, order="C")) for k, v in arrays.items()
        }
    partition = a.charts[0].partition
    return tensors, {
        "dim": a.dim,
        "domain": "cube" if type(a.domain) is Cube else "manifold",
        "charts": [{"cells": c.cells} for c in a.charts],
        "partition": partition and [getattr(partition, k) for k in _PARTITION],
        "groups": [[conv.groups for conv in block] for block in a.network.blocks],
        "formula": a.target.formula if a.target is not None else None,
        "sizes": {k: getattr(a, k) for k in _SIZES},
        "bound": _facts(a.bound) if a.bound is not None and a.unchanged else None,
        "derivative_bounds": [[list(k), v] for k, v in a.derivative_bounds.items()],
    }


def construction_of(tensors, description):
    """The `Construction` that was described."""
    partition = description.get("partition")
    charts = [
        _chart(tensors, i, partition, chart["cells"])
        for i, chart in enumerate(description["charts"])
    ]
    sizes = description["sizes"]
    return Construction(
        charts, sizes["order"], sizes["refinement"], sizes["kernel_size"], sizes["blocks"]
    )


def _chart(tensors, i, partition, cells):
    if type(cells) is not int:
        raise TypeError(f"cells must be an integer, not {cells!r}")
    arrays = {k: tensors[f"charts.{i}.{k}"].numpy() for k in _ARRAYS}
    if partition is not None:
        mine = (tensors[f"charts.{i}.{k}"].numpy() for k in ("centre", "earlier"))
        arrays["partition"] = PartitionFunction(*mine, *partition)
    return Chart(cells=cells, **arrays)


def network_of(tensors, description):
    """The `ConvResNet` with the stored weights."""
    if not description["groups"] or not all(description["groups"]):
        raise ValueError("a network must have blocks, and blocks layers")
    blocks = [
        [
            Convolution(tensors[f"blocks.{i}.{k}.weight"], tensors[f"blocks.{i}.{k}.bias"], groups)
            for k, groups in enumerate(block)
        ]
        for i, block in enumerate(description["groups"])
    ]
    return ConvResNet(blocks, tensors["head"], description["dim"])


def _facts(bound):
    """A bound for a description, where the breakdown has the name that it had in format 2."""
    facts = asdict(bound)
    return facts | {"factors": facts.pop("breakdown")}


def bound_of(description):
    """The bound that was described, or None; before format 4 it was written as six numbers."""
    if description["bound"] is None:
        return None
    facts = dict(description["bound"])
    facts["breakdown"] = facts.pop("factors", {})
    if "spline" in facts:
        del facts["value"], facts["slope"]
        parts = [Norms(**facts.pop(part)) for part in _PARTS]
    else:
        parts = [Norms(facts.pop(f"{p}_value"), facts.pop(f"{p}_gradient")) for p in _PARTS]
    numbers = [t for part in parts for t in part]
    if not all(type(t) is float for t in numbers) or type(facts.get("rigorous", False)) is not bool:
        raise TypeError("a bound must be of numbers, and rigorous or not")
    return Bound.of(*parts, **facts)
