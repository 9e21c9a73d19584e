"""Matrix products inside an operator, from the shapes that a capture writes down."""

import math
from dataclasses import dataclass

from fujimi_core.workload import Kernel, Trait

_PRODUCTS = {"mm", "addmm", "linear"}
_BATCHED = {"bmm", "baddbmm"}
_CONVOLUTION, _BACKWARD = "convolution", "convolution_backward"


@dataclass(frozen=True, slots=True, kw_only=True)
class Products:
    """Equal matrix products, (m, k) by (k, n).

    Args:
        count: How many.
        m: Rows of the result.
        n: Columns of the result.
        k: Length of the sums.
    """

    count: float
    m: float
    n: float
    k: float

    @property
    def flops(self) -> float:
        """Floating-point operations of all."""
        return 2 * self.count * self.m * self.n * self.k

    @property
    def extent(self) -> float:
        """Cube root of m·n·k."""
        return math.cbrt(self.m * self.n * self.k)


@dataclass(frozen=True, slots=True, kw_only=True)
class Attention:
    """Scaled dot-product attention in one operator.

    Args:
        heads: Of all samples together.
        queries: Of each.
        keys: Of each.
        width: Of a head.
        is_backward: Whether it makes gradients.
        is_causal: Whether queries see earlier keys only.
    """

    heads: int
    queries: int
    keys: int
    width: int
    is_backward: bool
    is_causal: bool

    @property
    def products(self) -> Products:
        """Those of a head: scores and output; backward scores again, and the gradients of four factors."""
        count = self.heads * (5 if self.is_backward else 2)
        return Products(count=count, m=self.queries, n=self.keys, k=self.width)


def attention_of(kernel: Kernel) -> Attention | None:
    """What attention an operator is, if it is one.

    Its first shapes are those of queries and keys, (batch, heads, tokens, width); backward, those of the output's
    gradient and of queries, keys.
    """
    name = kernel.op.rpartition(".")[2]
    if not name.startswith("_scaled_dot_product_") or len(kernel.shapes) < 2 or len(kernel.shapes[0]) != 4:
        return None
    batch, heads, queries, width = kernel.shapes[0]
    return Attention(
        heads=batch * heads,
        queries=queries,
        keys=kernel.shapes[-1][2],
        width=width,
        is_backward=name.endswith("_backward"),
        is_causal=Trait.CAUSAL in kernel.traits,
    )


def products_of(kernel: Kernel) -> Products:
    """The products of an operator; of one that is unknown, one that is as long as wide and has as many operations."""
    name = kernel.op.rpartition(".")[2]
    matrices = kernel.shapes[-2:]
    if name in _PRODUCTS and [len(shape) for shape in matrices] == [2, 2]:
        (m, k), (_, n) = matrices
        return Products(count=1, m=m, n=n, k=k)
    if name in _BATCHED and [len(shape) for shape in matrices] == [3, 3]:
        (count, m, k), (_, _, n) = matrices
        return Products(count=count, m=m, n=n, k=k)
    if name in (_CONVOLUTION, _BACKWARD) and len(kernel.shapes) >= 2:
        return _convolved(kernel, name)
    edge = math.cbrt(kernel.flops / 2)
    return Products(count=1, m=edge, n=edge, k=edge)


def _convolved(kernel: Kernel, name: str) -> Products:
    """The implicit product of a convolution: positions of the output by filters, sums over channels and the kernel.

    Backward there are as many operations for the gradient of the weight, and again for that of the input if it is
    wanted. Shapes are those of input and weight, (batch, channels, …) and (filters, channels, …); backward that of the
    output's gradient is before them.

    Source:
        Chetlur et al., "cuDNN: Efficient Primitives for Deep Learning", 2014, section 3.
    """
    filters, *sums = kernel.shapes[2 if name == _BACKWARD else 1]
    length = math.prod(sums)
    if name == _CONVOLUTION:
        return Products(count=1, m=kernel.flops / (2 * filters * length), n=filters, k=length)
    batch, _, *positions = kernel.shapes[0]
    rows = batch * math.prod(positions)
    return Products(count=kernel.flops / (2 * rows * filters * length), m=rows, n=filters, k=length)
