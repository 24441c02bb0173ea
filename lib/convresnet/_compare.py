"""Whether a module is the construction, weight by weight (book: ``prop-realisation``)."""

import hashlib
from typing import Any

import torch
from torch import nn

from lib.convresnet._module import Convolution, ConvResNet, OneSidedConv1d


def computes_its_weights(network: Any) -> bool:
    """Whether a module is a `ConvResNet` that nothing was added to, so that its weights say what it
    computes.

    False for subclasses and other layers, hooks, parametrizations, buffers, attributes or methods
    that were set or replaced, of modules and of weights, layers with another stride, padding or
    size than that of their weights, and weights that are no parameters, not finite or not float64
    numbers in the memory of the CPU.
    """
    if (
        type(network) is not ConvResNet
        or not _as_made(network, _MADE)
        or not _is_weight(network.head, 1)
    ):
        return False
    chains: list = list(network.blocks) if type(network.blocks) is nn.ModuleList else [None]
    if any(type(chain) is not nn.ModuleList for chain in chains):
        return False
    if any(not _as_made(m, _MADE.blocks) for m in (network.blocks, *chains)):
        return False
    return (
        type(network.dim) is type(network.channels) is int
        and network.channels == len(network.head)
        and all(
            type(conv) is OneSidedConv1d
            and _as_made(conv, _MADE.blocks[0][0])
            and _has_the_sizes_of_its_weight(conv)
            for chain in chains
            for conv in chain
        )
    )


_TABLES = ("_parameters", "_modules", "_buffers")  # of a module, where its attributes are looked up
_MADE = ConvResNet(
    [
        [
            Convolution(
                torch.zeros(1, 1, 1, dtype=torch.float64, device="cpu"),
                torch.zeros(1, dtype=torch.float64, device="cpu"),
            )
        ]
    ],
    [0.0],
    1,
)


def _as_made(module, made):
    """Whether a module has the attributes and parameters of another one of its class, and no
    hooks or buffers.
    """
    return (
        vars(module).keys() == vars(made).keys()
        and all(type(vars(module)[name]) is type(vars(made)[name]) for name in _TABLES)
        and module._parameters.keys() == made._parameters.keys()
        and not any(
            held for name, held in vars(module).items() if "_hooks" in name or name == "_buffers"
        )
        and (type(module) is nn.ModuleList or module._modules.keys() == made._modules.keys())
    )


def _is_weight(t, dims):
    return (
        type(t) is nn.Parameter
        and not vars(t)  # methods of its own: its numbers would not be what it computes with
        and t.dtype == torch.float64
        and t.ndim == dims
        and t.device.type == "cpu"
        and t.layout == torch.strided
        and not t.is_neg()
        and bool(torch.isfinite(t).all())
    )


def _has_the_sizes_of_its_weight(conv):
    if not (_is_weight(conv.weight, 3) and _is_weight(conv.bias, 1)):
        return False
    out, width, kernel = conv.weight.shape
    if type(conv.groups) is not int or len(conv.bias) != out:
        return False
    sizes = {
        "in_channels": width * conv.groups,
        "out_channels": out,
        "kernel_size": (kernel,),
        "stride": (1,),
        "padding": (0,),
        "dilation": (1,),
        "padding_mode": "zeros",
        "transposed": False,
    }
    return all(_is(getattr(conv, name), size) for name, size in sizes.items())


def _is(found, size):
    """Whether a size is what it should be, of the same types: others have a ``==`` of their own."""
    return (
        type(found) is type(size)
        and (type(size) is not tuple or len(found) == 1 and type(found[0]) is type(size[0]))
        and found == size
    )


def weights_digest(network: nn.Module) -> str:
    """SHA-256 of all weights, biases and ``FC``: str."""
    found = hashlib.sha256()
    for name, tensor in network.state_dict().items():
        found.update(f"{name}{tuple(tensor.shape)}{tensor.dtype}".encode())
        found.update(tensor.numpy().tobytes())
    return found.hexdigest()


def same_form(mine: list[Convolution], ours: list[Convolution]) -> bool:
    """Whether two lists of `Convolution` have the same shapes and groups."""
    return len(mine) == len(ours) and all(
        (p.weight.shape, p.bias.shape, p.groups) == (q.weight.shape, q.bias.shape, q.groups)
        for p, q in zip(mine, ours)
    )


def changed_layers(mine: list[Convolution], ours: list[Convolution]) -> list[int]:
    """Which layers of a block, a list of `Convolution` of the same form, have other numbers:
    list of int.
    """
    return [
        k
        for k, (p, q) in enumerate(zip(mine, ours))
        if not (torch.equal(p.weight, q.weight) and torch.equal(p.bias, q.bias))
    ]
