"""What torch cannot do under fake tensors, left out; bound to torch's version."""

import contextlib
from collections.abc import Iterator

from torch import nn


@contextlib.contextmanager
def initial_values_left_out() -> Iterator[None]:
    """Let ``nn.init.trunc_normal_`` do nothing: it draws again until all numbers are in range, and there are none."""
    original = nn.init._no_grad_trunc_normal_
    nn.init._no_grad_trunc_normal_ = lambda tensor, *_, **__: tensor
    try:
        yield
    finally:
        nn.init._no_grad_trunc_normal_ = original
