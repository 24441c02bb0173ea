"""Whether a module is the construction, weight by weight (book: ``prop-realisation``)."""

import hashlib

import torch

from lib.convresnet._module import ConvResNet, OneSidedConv1d
from lib.convresnet._terms import head_weights, spline_blocks


def computes_its_weights(network):
    """Whether a module is a `ConvResNet` that nothing was added to, so that its weights say what it computes.

    False for subclasses and other layers, hooks, parametrizations, a replaced ``forward``, layers with another stride or
    padding, and weights that are not finite or not float64.
    """
    layers = [conv for block in getattr(network, "blocks", ()) for conv in block]
    if type(network) is not ConvResNet or any(type(conv) is not OneSidedConv1d for conv in layers):
        return False
    if any(m._forward_hooks or m._forward_pre_hooks or "forward" in vars(m) for m in network.modules()):
        return False
    if any((c.stride, c.padding, c.dilation) != ((1,), (0,), (1,)) for c in layers):
        return False
    return all(p.dtype == torch.float64 and bool(torch.isfinite(p).all()) for p in network.parameters())


def weights_digest(network):
    """SHA-256 of all weights, biases and ``FC``: str."""
    found = hashlib.sha256()
    for name, tensor in network.state_dict().items():
        found.update(f"{name}{tuple(tensor.shape)}{tensor.dtype}".encode())
        found.update(tensor.numpy().tobytes())
    return found.hexdigest()


def same_form(mine, ours):
    """Whether two lists of `Convolution` have the same shapes and groups."""
    return len(mine) == len(ours) and all((p.weight.shape, p.bias.shape, p.groups) == (q.weight.shape, q.bias.shape, q.groups)
                                          for p, q in zip(mine, ours))


def changed_layers(mine, ours):
    """Which layers of a block, a list of `Convolution` of the same form, have other numbers: list of int."""
    return [k for k, (p, q) in enumerate(zip(mine, ours))
            if not (torch.equal(p.weight, q.weight) and torch.equal(p.bias, q.bias))]


def is_construction(network, charts, order, refinement, kernel_size, blocks):
    """Whether a module is `spline_network` of these arguments, bit by bit, and nothing was added to it."""
    if not (computes_its_weights(network) and len(network.blocks) == blocks and network.dim == charts[0].ambient_dim
            and torch.equal(network.head.detach(), head_weights())):
        return False
    ideal = spline_blocks(charts, order, refinement, kernel_size, blocks)
    return all(same_form(mine, ours) and not changed_layers(mine, ours) for mine, ours in zip(network.numbers(), ideal))
