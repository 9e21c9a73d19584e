"""What torch cannot do under fake tensors, done here; bound to torch's version, and tested against real runs."""

import contextlib
from collections.abc import Callable, Iterator

import torch
import torch.distributed as dist
from torch import nn
from torch._C._distributed_c10d import _compute_bucket_assignment_by_size
from torch.autograd import Variable

from fujimi_parallel.collectives import all_reduce


class FakeDataParallel(nn.Module):
    """Does in Python what `DistributedDataParallel` does in C++, which needs tensors that hold numbers.

    The first backward pass finds the order in which gradients arrive; from the second on they are averaged in buckets
    of that order, each as soon as it and those before it are full. That is what the original does too.

    Args:
        module: To be wrapped; every parameter must get a gradient.
        bucket_bytes: Size of a bucket.

    Source:
        Li et al., "PyTorch Distributed", VLDB 2020, section 4; the C++ class ``Reducer`` of torch 2.13.
    """

    def __init__(self, module: nn.Module, *, bucket_bytes: int) -> None:
        super().__init__()
        self.module = module
        self._bucket_bytes = bucket_bytes
        self._in_backward = False
        self._arrived: list[nn.Parameter] = []
        self._buckets: list[_Bucket] = []
        self._bucket_of: dict[nn.Parameter, _Bucket] = {}
        self._launched: list[dist.Work] = []
        for parameter in module.parameters():
            if parameter.requires_grad:
                parameter.register_post_accumulate_grad_hook(self._gradient_ready)

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        """Call the wrapped module."""
        output: torch.Tensor = self.module(*inputs)
        return output

    def _gradient_ready(self, parameter: torch.Tensor) -> None:
        assert isinstance(parameter, nn.Parameter)
        if not self._in_backward:
            self._in_backward = True
            _at_end_of_backward(self._finish)
        if not self._buckets:
            self._arrived.append(parameter)
            return
        self._bucket_of[parameter].take(parameter)
        while len(self._launched) < len(self._buckets) and self._buckets[len(self._launched)].full:
            self._launched.append(self._buckets[len(self._launched)].all_reduce())

    def _finish(self) -> None:
        for work in self._launched:
            work.wait()
        self._launched.clear()
        self._in_backward = False
        if not self._buckets:
            self._make_buckets()

    def _make_buckets(self) -> None:
        gradients: list[torch.Tensor] = list(self._arrived)
        indices, _ = _compute_bucket_assignment_by_size(gradients, [self._bucket_bytes], [False] * len(gradients))
        self._buckets = [_Bucket([self._arrived[i] for i in bucket]) for bucket in indices]
        self._bucket_of = {parameter: bucket for bucket in self._buckets for parameter in bucket.views}


class _Bucket:
    """Gradients that travel together, in one buffer."""

    def __init__(self, parameters: list[nn.Parameter]) -> None:
        self.buffer = parameters[0].new_empty(sum(parameter.numel() for parameter in parameters))
        pieces = self.buffer.split([parameter.numel() for parameter in parameters])
        self.views = {parameter: piece.view_as(parameter) for parameter, piece in zip(parameters, pieces, strict=True)}
        self.taken = 0

    @property
    def full(self) -> bool:
        return self.taken == len(self.views)

    def take(self, parameter: nn.Parameter) -> None:
        assert parameter.grad is not None
        view = self.views[parameter]
        torch.mul(parameter.grad, 1 / dist.get_world_size(), out=view)
        parameter.grad = view
        self.taken += 1

    def all_reduce(self) -> dist.Work:
        self.taken = 0
        return all_reduce(self.buffer)


def _at_end_of_backward(function: Callable[[], None]) -> None:
    Variable._execution_engine.queue_callback(function)


@contextlib.contextmanager
def initial_values_left_out() -> Iterator[None]:
    """Let ``nn.init.trunc_normal_`` do nothing: it draws again until all numbers are in range, and there are none."""
    original = nn.init._no_grad_trunc_normal_
    nn.init._no_grad_trunc_normal_ = lambda tensor, *_, **__: tensor
    try:
        yield
    finally:
        nn.init._no_grad_trunc_normal_ = original
