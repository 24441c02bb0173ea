"""What the stored weights of a network say: its charts and coefficients, and which terms are of
another making.
"""

import numpy as np

from lib.certify._block import Block, added_up, check_sums
from lib.certify._pieces import Piece, padded_table
from lib.convresnet import (
    COORDINATES,
    changed_layers,
    computes_its_weights,
    head_weights,
    same_form,
)
from lib.errors import require
from lib.intervals import Balls


def check_terms(charts, order, cells):
    """Raise `InputError` unless charts are what a certificate takes them for.

    Either all have partition functions, or there is a single one, the cube's: ``u = N x`` without
    an offset. Terms are distinct, within the mesh, and have finite coefficients.
    """
    localised = [c.partition is not None for c in charts]
    require(
        all(localised) or len(charts) == 1,
        "charts",
        f"{len(charts)}, of which {sum(localised)} have partition functions",
        "one without, or all with partition functions",
    )
    chart = charts[0]
    require(
        all(localised)
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
        return _pieces_of_charts(charts, order, [Balls(c.coefficients) for c in charts]), [], True
    head = head.numpy()
    require(
        head[COORDINATES] == 0,
        "network.head",
        head.tolist(),
        "without a weight for the coordinates",
    )
    if charts[0].partition is not None:
        found = _stored_coefficients(charts, mine, changed, head)
        return _pieces_of_charts(charts, order, found), [], False
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


def _pieces_of_charts(charts, order, coefficients):
    """The pieces of charts, with these coefficients (balls) of their terms."""
    return [
        Piece(Balls(c.matrix), Balls(c.offset), padded_table(c, order, c.indices, values), number)
        for number, (c, values) in enumerate(zip(charts, coefficients))
    ]


def _stored_coefficients(charts, blocks, changed, head):
    """The coefficients of the terms of each chart, as the last layers and ``FC`` have them: a list
    of balls (T,).

    Raises
    ------
    InputError
        If another layer has changed: behind a partition of unity only coefficients can be read.
    """
    found = []
    for number, (block, layers) in enumerate(zip(blocks, changed)):
        name = f"network.blocks[{number}]"
        last = len(block) - 1
        require(
            all(k == last for k in layers),
            name,
            f"changed weights in layer {min(layers, default=last)}",
            "changed in its last layer only, on a manifold",
        )
        check_sums(name, block[last])
        found.append(added_up(block[last], head))
    total = Balls(np.concatenate([f.mid for f in found]), np.concatenate([f.rad for f in found]))
    ends = np.cumsum([len(c.indices) for c in charts])
    return [total[end - len(c.indices) : end] for c, end in zip(charts, ends)]
