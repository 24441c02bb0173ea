"""Sizes of a network, read off the module."""

from dataclasses import asdict, dataclass

from torch import nn

from lib.convresnet._module import ConvResNet


@dataclass(frozen=True)
class Architecture:
    """The parameters of the class ``C(M, L, J, K, kappa1, kappa2)`` (book: ``def-convresnet``).

    Attributes
    ----------
    M : int
        Number of residual blocks.
    L : int
        Largest number of convolution layers in a block.
    J : int
        Largest number of channels, the residual stream included.
    K : int
        Largest filter size.
    kappa1 : float
        Largest modulus of a weight or bias of a convolution.
    kappa2 : float
        Largest modulus of a weight of ``FC``.
    """

    M: int
    L: int
    J: int
    K: int
    kappa1: float
    kappa2: float

    def within(self, other: "Architecture") -> bool:
        """True if this network lies in the class with the sizes ``other``."""
        mine, theirs = asdict(self), asdict(other)
        return all(mine[k] <= theirs[k] for k in mine)


def measure_architecture(network: ConvResNet) -> Architecture:
    """The smallest sizes of a class that holds a `ConvResNet`, from its modules and weights."""
    convs = [c for block in network.blocks for c in block]
    return Architecture(
        M=len(network.blocks),
        L=max(len(block) for block in network.blocks),
        J=max([network.channels] + [c.out_channels for c in convs]),
        K=max(c.kernel_size[0] for c in convs),
        kappa1=max(
            max(float(c.weight.detach().abs().max()), float(c.bias.detach().abs().max()))
            for c in convs
        ),
        kappa2=float(network.head.detach().abs().max()),
    )


def count_parameters(network: nn.Module) -> tuple[int, int]:
    """Number of stored weights and biases, and how many of them are not zero: ``(stored,
    nonzero)``.
    """
    parameters = [p.detach() for p in network.parameters()]
    return sum(p.numel() for p in parameters), sum(int(p.count_nonzero()) for p in parameters)
