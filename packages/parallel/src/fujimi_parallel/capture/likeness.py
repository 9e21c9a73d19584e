"""Likeness: which modules surely run the same operators, so that one of them stands for all."""

from collections.abc import Hashable, Mapping
from enum import Enum

import torch
from torch import nn

_PLAIN = (int, float, complex, str, bytes, bool, type(None), Enum)


def likeness(value: object) -> Hashable:
    """A key that two modules of one network have in common only if they run the same operators on the same shapes.

    Classes, shapes and types of tensors, plain attributes and submodules count; what numbers tensors hold does not.
    Anything else is like itself only.

    Args:
        value: A module, or an attribute of one; has to live as long as the key.
    """
    if isinstance(value, _PLAIN):
        return type(value), value
    if isinstance(value, torch.Tensor):
        return type(value), value.shape, value.stride(), value.dtype, value.requires_grad
    if isinstance(value, nn.Module):
        return type(value), likeness(vars(value))
    if isinstance(value, Mapping):
        return type(value), tuple((likeness(key), likeness(each)) for key, each in value.items())
    if isinstance(value, list | tuple):
        return type(value), tuple(likeness(each) for each in value)
    if isinstance(value, set | frozenset):
        return type(value), frozenset(likeness(each) for each in value)
    return type(value), id(value)
