"""Reverse mode: which nodes, in which order, and where their gradients go."""

import numpy as np

from minidl.engine import memory
from minidl.engine.node import Caller
from minidl.engine.origin import UNKNOWN, origin, origin_in_graph
from minidl.engine.state import no_grad, state
from minidl.engine.tensor import as_array
from minidl.kernels.elementwise import accumulate, check_finite, copy, fill, set_flags


def backward(root, gradient=None, retain_graph=False, on_nonfinite="raise"):
    """Write the gradient of `root` into every leaf that requires one.

    Parameters
    ----------
    root : Tensor
        Usually the loss.
    gradient : array of the shape of `root`, optional
        Gradient to start from; 1 for a tensor with one element.
    retain_graph : bool
        Keep what a second backward needs.
    on_nonfinite : {"raise", "ignore"}
        What to do when `root` holds a NaN or an Inf.

    Raises
    ------
    RuntimeError
        If `root` does not require a gradient, is no scalar (and no `gradient` is given), or its graph was freed.
    NonFiniteError
        If `root` is not finite; names the node that made the first NaN or Inf.
    """
    if on_nonfinite not in ("raise", "ignore"):
        raise ValueError(f"backward: on_nonfinite: got {on_nonfinite!r}, expected 'raise' or 'ignore'")
    if not root.requires_grad:
        raise RuntimeError("backward: the tensor does not require a gradient (was it made under no_grad, or detached?)")
    if root.node is not None and root.recording not in (None, state.recording):
        raise RuntimeError(
            "backward: the tensor was made in a recorded step, and only there it has a graph; call backward in the step"
        )
    if gradient is not None:
        gradient = as_array(gradient, root.dtype)
    elif root.array.size != 1:
        raise RuntimeError(f"backward: only a scalar has an implicit gradient, got shape {root.shape}; pass gradient=")
    if gradient is not None and gradient.shape != root.shape:
        raise ValueError(f"backward: gradient: got shape {gradient.shape}, expected {root.shape}")
    Backward(root, gradient).run(retain_graph, on_nonfinite == "raise")


class Backward(Caller):
    """One backward pass.

    Attributes
    ----------
    nodes : list of Node
        All that the root depends on, newest first. A node is made after its inputs, so this is a topological order.
    written : set of Tensor or Edge
        Leaves and edges whose gradient buffer already holds a contribution: the first is written, later ones are added.
    """

    def __init__(self, root, gradient):
        super().__init__()
        self.root, self.gradient = root, gradient
        self.nodes = reachable(root)
        leaves = (x for node in self.nodes for x in node.inputs if x.requires_grad and x.is_leaf)
        self.leaves = list(dict.fromkeys(leaves)) if self.nodes else [root]
        self.written = {leaf for leaf in self.leaves if leaf.has_grad()}

    def run(self, retain_graph, check):
        """Call every node's backward, newest first."""
        phase, state.phase = state.phase, "backward"
        try:
            with no_grad():
                if state.observer is not None:
                    state.observer.saw_root(self.root)
                if check:
                    self.call(check_finite, [], [self.root], [self.root.array.size], dtype=self.root.dtype)
                self.seed()
                for node in self.nodes:
                    node.run_backward([self.gradient_of(output) for output in node.outputs], self.written)
                    if not retain_graph:
                        node.release()  # at once, so that what it saved makes room for the next gradients
                self.mark_leaves()
                if state.observer is not None:
                    state.observer.saw_leaves(self.leaves)
        finally:
            state.phase = phase
            if not retain_graph:
                for node in self.nodes:
                    node.release()

    def seed(self):
        """Gradient of the root with respect to itself."""
        size, target = [self.root.array.size], self.root.edge or self.root
        buffer = target.gradient_buffer()
        if self.gradient is None:
            self.gradient = np.ones(self.root.shape, self.root.dtype)
        kernel = accumulate if target in self.written else copy
        self.call(kernel, [buffer], [self.gradient], size)
        self.written.add(target)

    def gradient_of(self, output):
        """Gradient of a node's output, which nobody else needs any more; zeros if the root does not depend on it."""
        shape, dtype, reference = output
        edge = reference()
        if edge is not None and edge in self.written:
            gradient, edge.buffer = edge.buffer, None
            return gradient
        zeros = memory.empty(shape, dtype)
        self.call(fill, [zeros], [], [zeros.size], [0.0])
        return zeros

    def mark_leaves(self):
        """Let the leaves know that they have gradients now."""
        mark(self, self.leaves, True)

    def explain_nonfinite(self, call, recording):
        """Who made the NaN or Inf."""
        eager = recording is None
        finding = origin_in_graph(self.root, self.nodes) if eager else origin(call.inputs, recording, call)
        return f"the tensor to differentiate is NaN or Inf. {finding or UNKNOWN}", finding


def mark(caller, leaves, present):
    """Set or clear the flag that says that a leaf has a gradient."""
    leaves = list(leaves)
    if not leaves:
        return
    if state.gate is not None:
        raise RuntimeError(
            f"{caller.title}: called in a block that runs in some steps only, but whether there are gradients must not "
            "differ from step to step; call it outside the block"
        )
    flags = [leaf.gradient_flag() for leaf in leaves]
    if state.recording is not None:
        state.recording.decides_flags(leaves)
    caller.call(set_flags, flags, [], [len(flags)], [float(present)], dtype=np.dtype(np.uint8))


def zero_gradients(caller, leaves, set_to_none):
    """Remove the gradients of leaves, or fill those that are there with zeros."""
    if set_to_none:
        mark(caller, leaves, False)
        return
    for leaf in leaves:
        if leaf.has_grad():
            caller.call(fill, [leaf.buffer], [], [leaf.buffer.size], [0.0])


def reachable(root):
    """All nodes that `root` depends on, newest first; no recursion, so chains may be long."""
    found, stack = set(), [root.node] if root.node else []
    while stack:
        node = stack.pop()
        if node in found:
            continue
        if node.freed:
            raise RuntimeError(
                f"backward: the graph of {node} was freed by an earlier backward; "
                "compute the forward pass again, detach() a state that is carried on, or pass retain_graph=True there"
            )
        found.add(node)
        stack.extend(x.node for x in node.inputs if x.node is not None)
    return sorted(found, key=lambda node: -node.serial)
