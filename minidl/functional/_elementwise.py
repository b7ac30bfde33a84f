"""What the nodes of elementwise operations share: broadcasting forward, and sums over what was repeated backward."""

from minidl.engine import Node, memory
from minidl.functional import _backward as B
from minidl.functional._shapes import broadcast_shapes, passes, plan_of
from minidl.kernels import elementwise, reduce


class Elementwise(Node):
    """One operation per element; operands of different shapes are repeated as in NumPy."""

    def map(self, kernel, *inputs, dtype=None):
        """Output of a broadcasting kernel; `dtype` is that of the output."""
        shape = broadcast_shapes(self.name, *(x.shape for x in inputs))
        y = self.new(shape, dtype or inputs[-1].dtype)
        arrays = [x.array for x in inputs]
        self.call(kernel, [y], arrays, plan_of(y.array, *arrays), dtype=arrays[-1].dtype)
        return y

    def unary(self, kernel, x):
        """Output of a kernel of one operand."""
        y = self.new(x.shape)
        self.call(kernel, [y], [x], [x.array.size])
        return y

    def flow(self, i, dy, kernel=None, factor=None, scale=1.0):
        """Write the gradient of input `i`: a kernel of `dy` and `factor`, summed over what was repeated.

        Parameters
        ----------
        i : int
        dy : ndarray
            Gradient of the output.
        kernel : Kernel, optional
            ``kernel(dx, dy, factor)`` with the broadcast plan; by default dx = scale dy.
        factor : ndarray, optional
            What `dy` is multiplied with, of any shape that broadcasts.
        scale : float
            A further factor.
        """
        dx = self.grad(i)
        if dx is None:
            return
        repeated = dx.shape != dy.shape
        if factor is None and scale == 1.0:
            product = dy
        else:
            product = memory.empty(dy.shape, dy.dtype) if repeated else dx
            sources = [dy] if factor is None else [dy, factor]
            kernel = B.elementwise.scale if factor is None else kernel
            self.call(kernel, [product], sources, plan_of(product, *sources), [scale])
        if repeated:
            sum_to(self, dx, product)
        elif product is dy:
            self.call(elementwise.copy, [dx], [dy], [dy.size])

    def flow_partial(self, i, dy, kernel, a, b):
        """Write the gradient of input `i` of f(a, b); `kernel` gives the derivative."""
        if self.inputs[i].requires_grad:
            derivative = memory.empty(dy.shape, dy.dtype)
            self.call(kernel, [derivative], [a, b], plan_of(derivative, a, b))
            self.flow(i, dy, B.elementwise.multiply, derivative)


def sum_to(caller, y, x):
    """Write into `y` the sums of `x` over the dimensions in which `y` has size 1 or none."""
    aligned = (1,) * (x.ndim - y.ndim) + y.shape
    dims = tuple(d for d, size in enumerate(aligned) if size == 1)
    reduce_passes(caller, reduce.sum, y, x, passes(x.shape, dims), 1.0)


def reduce_passes(caller, kernel, y, x, steps, *scalars):
    """Reduce `x` into `y` step by step; the scalars count at the last step, the others get ones."""
    for step in steps[:-1]:
        outer, _, inner, _ = step
        partial = memory.empty(outer * inner, x.dtype)
        caller.call(kernel, [partial], [x], step, [1.0] * len(scalars))
        x = partial
    caller.call(kernel, [y], [x], steps[-1], scalars)
