"""Watching the nodes of a graph while they run."""

from minidl.engine.state import state, version


class Observer:
    """``with observer:`` shows it what the nodes inside make. A subclass looks at it, usually by calls of its own.

    Around a recorded step it makes a recording of its own, so a step is not slower for having been watched once.
    """

    def saw_outputs(self, node, outputs):
        """`node` has just made `outputs`, a tuple of tensors."""

    def saw_gradients(self, node, gradients):
        """`node` is about to pass on `gradients`, one array for each of its float outputs."""

    def saw_root(self, root):
        """A backward pass is about to begin at `root`, before anybody has looked whether it is finite."""

    def saw_leaves(self, leaves):
        """A backward pass has ended, and `leaves` have their gradients."""

    def __enter__(self):
        if state.observer is not None:
            raise RuntimeError(f"{type(self).__name__}: {type(state.observer).__name__} is watching already")
        state.observer = self
        version.count += 1  # recorded steps look up whether they were recorded under this observer
        return self

    def __exit__(self, *error):
        state.observer = None
        version.count += 1
