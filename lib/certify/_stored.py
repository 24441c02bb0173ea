"""What the stored weights of a network say: its charts and coefficients, and which terms are of
another making.
"""

import numpy as np

from lib.certify._block import Block
from lib.certify._pieces import Piece, padded_table
from lib.convresnet import (
    COORDINATES,
    changed_layers,
    computes_its_weights,
    doublings,
    gather_charts,
    head_weights,
    linear_forms,
    same_form,
)
from lib.errors import require
from lib.intervals import Balls


def check_terms(charts, order, cells):
    """Raise `InputError` unless charts are what a certificate takes them for.

    Either all have gates, or there is a single one, the cube's: ``u = N x`` without an offset.
    Terms are distinct, within the mesh, and have finite coefficients.
    """
    gated = [c.gate is not None for c in charts]
    require(
        all(gated) or len(charts) == 1,
        "charts",
        f"{len(charts)}, of which {sum(gated)} have gates",
        "one without a gate, or all with gates",
    )
    chart = charts[0]
    require(
        all(gated)
        or chart.cells == cells
        and np.array_equal(chart.matrix, cells * np.eye(chart.ambient_dim))
        and not np.any(chart.offset),
        "charts",
        "another affine map",
        f"the mesh of the cube, u = {cells} x",
    )
    for c in charts:
        _check_indices(c, order)


def _check_indices(c, order):
    """Raise `InputError` unless the terms of a chart are distinct, within its mesh, and finite."""
    indices = np.asarray(c.indices)
    require(
        indices.dtype.kind == "i" and indices.shape == (len(c.coefficients), c.dim),
        "indices",
        (indices.dtype, indices.shape),
        f"integers, {c.dim} for each coefficient",
    )
    require(
        indices.size > 0 and indices.min() > -order and indices.max() < c.cells,
        "indices",
        "outside the mesh",
        f"from {1 - order} to {c.cells - 1}",
    )
    flat = np.ravel_multi_index(tuple((indices + order - 1).T), (c.cells + order - 1,) * c.dim)
    require(len(np.unique(flat)) == len(flat), "indices", "a term that occurs twice", "distinct")
    require(
        bool(np.isfinite(c.coefficients).all()),
        "coefficients",
        "numbers that are not finite",
        "finite",
    )


def read(construction, network):
    """Compare a module with the construction, weight by weight; what cannot be read is refused.

    A block can be read if it takes nothing but the coordinates from the stream and leaves them as
    they are, if its gather layers are a matrix (no bias, no negative weight), and if its last layer
    adds up terms (no bias, no negative weight). Whatever lies between is read as a term with other
    layers.

    Parameters
    ----------
    construction : lib.convresnet.Construction
        Its charts have passed `check_terms`.
    network : lib.convresnet.ConvResNet
        The module to be certified.

    Returns
    -------
    pieces : list of Piece
    damaged : list of Damaged
    unchanged : bool
        Whether every number is that of the construction.

    Raises
    ------
    InputError
        If the module is not the construction with some weights changed in a way that can be read.
    """
    require(
        computes_its_weights(network),
        "network",
        type(network).__name__,
        "a ConvResNet of finite float64 weights, without hooks, parametrizations or other layers",
    )
    mine = network.numbers()
    charts = construction.charts
    order = construction.order
    refinement = construction.refinement
    kernel_size = construction.kernel_size
    ours = list(construction.layers())
    _check_architecture(network, charts, mine, ours)
    changed = [changed_layers(*pair) for pair in zip(mine, ours)]
    head = network.head.detach()
    if not any(changed) and bool((head == head_weights()).all()):
        return _pieces_of_charts(charts, order, kernel_size), [], True
    require(
        charts[0].gate is None,
        "network",
        "changed weights",
        "the construction itself, behind gates",
    )
    head = head.numpy()
    require(
        head[COORDINATES] == 0,
        "network.head",
        head.tolist(),
        "without a weight for the coordinates",
    )
    pieces, damaged = [], []
    for number, run in enumerate(
        np.array_split(np.arange(len(charts[0].indices)), construction.blocks)
    ):
        name, layers = f"network.blocks[{number}]", changed[number]
        if not len(run):
            require(not layers, name, "a block without terms that is not zero", "zero")
            continue
        block = Block(charts[0], run, refinement, kernel_size, name, mine[number])
        pieces.append(block.piece(order, layers, head))
        damaged += block.damaged(layers, ours[number], head)
    return pieces, damaged, False


def _check_architecture(network, charts, mine, ours):
    """Raise `InputError` unless a module has the layers of the construction, with any numbers."""
    same = (
        network.dim == charts[0].ambient_dim
        and network.head.shape == head_weights().shape
        and len(mine) == len(ours)
        and all(map(same_form, mine, ours))
    )
    require(
        same,
        "network",
        "another architecture",
        "the construction of these charts, up to changed weights",
    )


def _pieces_of_charts(charts, order, kernel_size):
    """The pieces of an unchanged network: its charts, with the offsets that float64 makes."""
    return [
        Piece(
            Balls(c.matrix),
            offset,
            padded_table(c, order, c.indices, Balls(c.coefficients)),
            c.gate,
        )
        for c, offset in zip(charts, _exact_offsets(charts, kernel_size))
    ]


def _exact_offsets(charts, kernel_size):
    """The offsets of the charts as the biases of the gather layers add up to them, in mesh
    units.
    """
    if charts[0].gate is None:
        return [Balls(c.offset) for c in charts]  # zero
    scale = 2.0 ** doublings(charts[0].cells)
    found = []
    for c in charts:
        offset = linear_forms([c])[1]
        layers = gather_charts([c], kernel_size)[c.gate.refinement + 1 :]
        total = Balls(np.zeros(len(offset)))
        for layer in layers:
            total = total + Balls(layer.bias.numpy()[-len(offset) :])
        found.append(total[:-1] * scale)
    return found
