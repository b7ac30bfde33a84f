"""Initial values of residual networks without normalisation."""

from minidl.nn.init.basic import ones_, zeros_
from minidl.tensor import Parameter


def fixup_(model):
    """Fixup: residual networks of any depth train without normalisation.

    In each of L residual branches with m layers, the last layer starts from 0, so that the network starts as its
    shortcuts alone, and the others from their usual values times L^(-1 / (2 m - 2)), so that a step changes its
    function by the same amount for any L. A learned scale starts from 1, the layer behind the last block, which
    classifies, from 0. The paper's scalar biases are those of `FixupBlock`; layers may also have their own.

    Parameters
    ----------
    model : Module
        With blocks of the kinds `FixupBlock`, `Residual` or `BasicBlock`, without normalisation in their branches
        (BasicBlock with ``norm=Identity``).

    Returns
    -------
    `model`

    Raises
    ------
    ValueError
        If there are no such blocks, or a branch has a normalisation; nothing has been changed then.

    References
    ----------
    Zhang, Dauphin and Ma, "Fixup initialization: Residual learning without normalization", 2019.
    """
    from minidl.nn.residual import Residual  # here: blocks need this package
    from minidl.nn.scale import Bias, Scale

    blocks = [module for module in model.modules() if _branch(module)]
    if not blocks:
        raise ValueError(f"fixup_: model: {type(model).__name__} has no residual blocks")
    branches = [_layers(_branch(block)) for block in blocks]
    for module in model.modules():
        if isinstance(module, (Scale, Bias)):
            module.reset_parameters()
    for block, branch in zip(blocks, branches, strict=True):
        for layer in branch[:-1]:
            layer.reset_parameters()
            layer.weight.array *= len(blocks) ** (-1 / (2 * len(branch) - 2))
        for layer in branch[-1:]:
            _clear(layer)
        if isinstance(block, Residual) and isinstance(block.scale, Parameter):
            ones_(block.scale)
    modules = list(model.modules())
    inside = {module for block in blocks for module in block.modules()}
    behind = [module for module in modules[modules.index(blocks[-1]) :] if module not in inside]
    for layer in _layers(behind)[-1:]:
        _clear(layer)
    return model


def _branch(block):
    """The modules in the branch of a residual block; none for other modules."""
    from minidl.nn.blocks import BasicBlock
    from minidl.nn.normalization import _Affine
    from minidl.nn.residual import Residual

    branch = []
    if isinstance(block, Residual):
        branch = list(block.body.modules())
    elif isinstance(block, BasicBlock) and block.residual:
        branch = [block.conv1, block.bn1, block.conv2, block.bn2]
    for module in branch:
        if isinstance(module, _Affine):
            where = ".".join(block._path) or type(block).__name__
            raise ValueError(f"fixup_: {where}: its branch has a {type(module).__name__}, expected no normalisation")
    return branch


def _layers(modules):
    """Those with a weight matrix."""
    return [module for module in modules if getattr(vars(module).get("weight"), "ndim", 0) >= 2]


def _clear(layer):
    zeros_(layer.weight)
    if layer.bias is not None:
        zeros_(layer.bias)
