"""Moving the size of the weights from the blocks into ``FC`` (book: chapter 04, "Two ways to
keep weights small").
"""

from lib.convresnet._module import Convolution, ConvResNet
from lib.errors import require


def rescaled(network: ConvResNet) -> ConvResNet:
    """The same function with every weight and bias of the blocks at most 1 in modulus.

    ReLU is positively homogeneous: dividing the weights of layer ``l`` by ``s_l`` and its biases by
    ``s_1 .. s_l`` divides the output of a block by ``prod s_l``, which ``FC`` makes good.

    Parameters
    ----------
    network : ConvResNet
        As made by `Construction`: the blocks have equal depth and write only channels that ``FC``
        reads.

    Returns
    -------
    ConvResNet
        ``kappa1 <= 1``; ``kappa2 = prod s_l`` with ``s_l = max(1, largest weight or bias of layer
        l)``, times the old ``kappa2``.

    Raises
    ------
    InputError
        If the blocks differ in depth.
    """
    blocks = network.numbers()
    depths = {len(block) for block in blocks}
    require(len(depths) == 1, "network", sorted(depths), "a network whose blocks have equal depth")
    total, layers = 1.0, []
    for layer in zip(*blocks):
        scale = max(1.0, *[float(max(c.weight.abs().max(), c.bias.abs().max())) for c in layer])
        total *= scale
        layers.append([Convolution(c.weight / scale, c.bias / total, c.groups) for c in layer])
    return ConvResNet(
        [list(block) for block in zip(*layers)], total * network.head.detach(), network.dim
    )
