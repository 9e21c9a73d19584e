"""Ring attention: every rank has some tokens of a sample, keys and values go around.

Each rank keeps its queries. Keys and values are passed on from rank to rank while those at hand are attended to, and
results are merged by their log-sum-exp, in at least single precision and always in the same order. The backward pass
sends keys and values around once more, and behind them the sums of their gradients, which end where they belong.

On rank r of n a forward pass sends n - 1 messages, each with the keys and values of one rank; a backward pass sends
n - 1 of these and n - 1 with gradients, in the precision of the sums. Saved between the passes are this rank's queries,
keys, values and output, and one number a query and head: 1/n of what one rank would save. During a pass there are two
messages of each kind besides, one that leaves and one that comes.

Shapes: B samples, H heads, T tokens of this rank, D width of queries and keys, V width of values.

Source:
    Liu et al., "Ring Attention with Blockwise Transformers for Near-Infinite Context", ICLR 2024, section 3.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch.autograd.function import once_differentiable

from fujimi_parallel.chunk_attention import summed_in, way_for
from fujimi_parallel.sequence_split import SequenceSplit, Tile
from fujimi_parallel.sequence_tokens import rank_in
from fujimi_parallel.works import wait_for


@contextlib.contextmanager
def ring(group: dist.ProcessGroup, *, split: SequenceSplit) -> Iterator[None]:
    """Let every call of ``torch.nn.functional.scaled_dot_product_attention`` of this process be ring attention.

    Forward and backward pass both belong inside: what checkpointing leaves out is computed again in the latter.
    The function is replaced in its module, because torch's own way (`TorchFunctionMode`) is switched off inside of
    ``backward`` and of ``multi_head_attention_forward``. So it must be called as an attribute of the module.

    Args:
        group: Ranks to which the tokens of a sample are dealt.
        split: How they are dealt.

    Raises:
        ValueError: If the group has another number of ranks than ``split``.
        RuntimeError: If a backward pass runs outside, or nothing was attended to inside.
    """
    rank_in(group, split)
    inside = _Inside(group=group, split=split)
    original = F.scaled_dot_product_attention
    setattr(F, "scaled_dot_product_attention", inside.attend)  # noqa: B010 - a function that mypy guards
    try:
        yield
    finally:
        setattr(F, "scaled_dot_product_attention", original)  # noqa: B010 - as above
        inside.open = False
    if not inside.used:
        raise RuntimeError(
            "nothing was attended to inside of ring(): the model must call scaled_dot_product_attention as an "
            "attribute of torch.nn.functional, not a name imported from there, nor another function"
        )


def ring_attention(
    query_BHTD: torch.Tensor,
    key_BHTD: torch.Tensor,
    value_BHTV: torch.Tensor,
    *,
    group: dist.ProcessGroup,
    split: SequenceSplit,
    causal: bool,
    scale: float | None = None,
) -> torch.Tensor:
    """Attend to the tokens of all ranks of a group; all call it at the same time.

    Args:
        query_BHTD: Queries of this rank's tokens.
        key_BHTD: Keys of the same tokens.
        value_BHTV: Values of the same tokens.
        group: Ranks to which tokens were dealt.
        split: How they were dealt.
        causal: Whether a token sees itself and earlier tokens only, by their positions in the sample.
        scale: Factor of the scores; by default 1 / √D.

    Returns:
        Output for this rank's tokens, of shape (B, H, T, V).

    Raises:
        ValueError: If shapes do not fit ``split``, or it is not for causal attention and that is asked for.
    """
    rank = rank_in(group, split)
    tensors = _as_autocast_wants(query_BHTD, key_BHTD, value_BHTV)
    _require_tokens_of(rank, split, tensors)
    if causal and not split.causal:
        raise ValueError("attention is causal, but tokens are not dealt for it; use SequenceSplit(..., causal=True)")
    scale = query_BHTD.shape[-1] ** -0.5 if scale is None else scale
    call = _Call(group=group, split=split, rank=rank, causal=causal, scale=scale)
    out_BHTV: torch.Tensor = _RingAttention.apply(*tensors, call)  # type: ignore[no-untyped-call] # torch leaves it untyped
    return out_BHTV


@dataclass(slots=True, kw_only=True)
class _Inside:
    """Stands for torch's attention inside of `ring`."""

    group: dist.ProcessGroup
    split: SequenceSplit
    open: bool = True
    used: bool = False

    def attend(
        self,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        attn_mask: torch.Tensor | None = None,
        dropout_p: float = 0.0,
        is_causal: bool = False,
        scale: float | None = None,
        enable_gqa: bool = False,
    ) -> torch.Tensor:
        if attn_mask is not None:
            raise ValueError("ring attention takes no attn_mask; is_causal is the only mask it knows")
        if dropout_p:
            raise ValueError(f"ring attention takes no dropout_p, it is {dropout_p}; set the dropout of attention to 0")
        if enable_gqa:
            raise ValueError("ring attention takes no enable_gqa; repeat the heads of keys and values before")
        self.used = True
        out = ring_attention(query, key, value, group=self.group, split=self.split, causal=is_causal, scale=scale)
        if out.requires_grad:
            out.register_hook(self._refuse_outside)
        return out

    def _refuse_outside(self, _: torch.Tensor) -> None:
        if not self.open:
            raise RuntimeError(
                "backward runs after ring() has ended: what checkpointing computes again would attend to this rank's "
                "tokens only; put backward into the same ring() as forward"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Call:
    """What a forward and its backward pass have in common."""

    group: dist.ProcessGroup
    split: SequenceSplit
    rank: int
    causal: bool
    scale: float

    def source(self, step: int) -> int:
        """Whose keys are here at a step."""
        return (self.rank - step) % self.split.ranks

    def tile(self, step: int) -> Tile:
        return self.split.tile(self.rank, self.source(step), causal=self.causal)

    def pass_on(self, sent: torch.Tensor, step: int) -> "_Passing":
        """Start to send what came from the source of a step to the next rank, and to receive that of the next step."""
        batch, heads, _, width = sent.shape
        arriving = sent.new_empty(batch, heads, self.split.count(self.source(step + 1)), width)
        following, before = (self.rank + 1) % self.split.ranks, (self.rank - 1) % self.split.ranks
        works = dist.batch_isend_irecv(
            [
                dist.P2POp(dist.isend, sent, group=self.group, group_peer=following),
                dist.P2POp(dist.irecv, arriving, group=self.group, group_peer=before),
            ]
        )
        return _Passing(works=works, sent=sent, arriving=arriving)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Passing:
    """A message that leaves and one that comes; neither is to be touched before."""

    works: list[dist.Work]
    sent: torch.Tensor
    arriving: torch.Tensor

    def wait(self) -> torch.Tensor:
        for work in self.works:
            wait_for(work)
        return self.arriving


class _RingAttention(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, query_BHTD: torch.Tensor, key_BHTD: torch.Tensor, value_BHTV: torch.Tensor, call: _Call
    ) -> torch.Tensor:
        ctx.call = call
        out_BHTV, lse_BHT = _forward(call, query_BHTD, key_BHTD, value_BHTV)
        out_BHTV = out_BHTV.to(query_BHTD.dtype)
        ctx.save_for_backward(query_BHTD, key_BHTD, value_BHTV, out_BHTV, lse_BHT)
        return out_BHTV

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_BHTV: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, None]:
        query_BHTD, key_BHTD, value_BHTV, out_BHTV, lse_BHT = ctx.saved_tensors
        gradients = _backward(ctx.call, grad_BHTV, query_BHTD, key_BHTD, value_BHTV, out_BHTV, lse_BHT)
        query, key, value = (gradient.to(query_BHTD.dtype) for gradient in gradients)
        return query, key, value, None


def _forward(
    call: _Call, query_BHTD: torch.Tensor, key_BHTD: torch.Tensor, value_BHTV: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Output and log-sum-exp over the keys of all ranks, in the precision of sums."""
    way, last = way_for(query_BHTD, value_BHTV), call.split.ranks - 1
    packet, widths = _packed(key_BHTD, value_BHTV)
    out_BHTV, lse_BHT = _nothing_seen(query_BHTD, value_BHTV)
    for step in range(call.split.ranks):
        passing = call.pass_on(packet, step) if step < last else None
        tile = call.tile(step)
        seeing = slice(tile.first_query, None)
        key, value = packet[:, :, : tile.keys].split(widths, dim=-1)
        part, part_lse = way.forward(query_BHTD[:, :, seeing], key, value, causal=tile.diagonal, scale=call.scale)
        _merge(out_BHTV[:, :, seeing], lse_BHT[:, :, seeing], part, part_lse)
        if passing:
            packet = passing.wait()
    return out_BHTV, lse_BHT


def _backward(
    call: _Call,
    grad_BHTV: torch.Tensor,
    query_BHTD: torch.Tensor,
    key_BHTD: torch.Tensor,
    value_BHTV: torch.Tensor,
    out_BHTV: torch.Tensor,
    lse_BHT: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Gradients of queries, keys and values of this rank, in the precision of sums.

    What the ranks add to the gradient of a key travels one step behind the key: at step 1 the rank after its owner
    begins a sum, and the last hop brings it home, where that of step 0 has waited.
    """
    way, last = way_for(query_BHTD, value_BHTV), call.split.ranks - 1
    packet, widths = _packed(key_BHTD, value_BHTV)
    grad_query = torch.zeros_like(query_BHTD, dtype=lse_BHT.dtype)
    own = sums = torch.zeros_like(packet, dtype=lse_BHT.dtype)
    for step in range(call.split.ranks):
        passing_sums = call.pass_on(sums, step - 1) if step > 1 else None
        passing = call.pass_on(packet, step) if step < last else None
        tile = call.tile(step)
        seeing = slice(tile.first_query, None)
        key, value = packet[:, :, : tile.keys].split(widths, dim=-1)
        saved = (out_BHTV[:, :, seeing], lse_BHT[:, :, seeing])
        parts = way.backward(
            grad_BHTV[:, :, seeing],
            query_BHTD[:, :, seeing],
            key,
            value,
            *saved,
            causal=tile.diagonal,
            scale=call.scale,
        )
        grad_query[:, :, seeing] += parts[0]
        if step == 1:
            sums = torch.zeros_like(packet, dtype=lse_BHT.dtype)
        if passing_sums:
            sums = passing_sums.wait()
        for total, part in zip(sums[:, :, : tile.keys].split(widths, dim=-1), parts[1:], strict=True):
            total += part
        if passing:
            packet = passing.wait()
    if last:
        own += call.pass_on(sums, last).wait()
    grad_key, grad_value = own.split(widths, dim=-1)
    return grad_query, grad_key, grad_value


def _packed(key_BHTD: torch.Tensor, value_BHTV: torch.Tensor) -> tuple[torch.Tensor, list[int]]:
    """Keys and values side by side, which are one message; and their widths."""
    return torch.cat([key_BHTD, value_BHTV], dim=-1).contiguous(), [key_BHTD.shape[-1], value_BHTV.shape[-1]]


def _nothing_seen(query_BHTD: torch.Tensor, value_BHTV: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Output and log-sum-exp of queries that have seen no key; heads lie side by side, as the next layer wants them."""
    batch, heads, tokens, _ = query_BHTD.shape
    dtype = summed_in(query_BHTD.dtype)
    out_BTHV = query_BHTD.new_zeros(batch, tokens, heads, value_BHTV.shape[-1], dtype=dtype)
    return out_BTHV.transpose(1, 2), query_BHTD.new_full((batch, heads, tokens), -torch.inf, dtype=dtype)


def _merge(out: torch.Tensor, lse: torch.Tensor, part: torch.Tensor, part_lse: torch.Tensor) -> None:
    """Let ``out`` and ``lse`` be those over their keys and the keys of another part.

    Weights are ``exp(lse)`` and ``exp(part_lse)`` over their sum, written so that nothing overflows.
    """
    out.lerp_(part.to(out.dtype), torch.sigmoid(part_lse - lse).unsqueeze(-1))
    lse.copy_(torch.logaddexp(lse, part_lse))


def _as_autocast_wants(*tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Do what autocast does before torch's own attention; the kernels know one type at a time, with dense rows."""
    device = tensors[0].device.type
    if torch.is_autocast_enabled(device) and tensors[0].dtype != torch.float64:  # which it leaves alone
        tensors = tuple(tensor.to(torch.get_autocast_dtype(device)) for tensor in tensors)
    return tuple(tensor if tensor.stride(-1) == 1 else tensor.contiguous() for tensor in tensors)


def _require_tokens_of(rank: int, split: SequenceSplit, tensors: tuple[torch.Tensor, ...]) -> None:
    for name, tensor in zip(("query", "key", "value"), tensors, strict=True):
        if tensor.dim() != 4 or tensor.shape[2] != split.count(rank):
            raise ValueError(
                f"rank {rank} of the group holds {split.count(rank)} of {split.tokens} tokens, so {name} must be of "
                f"shape (samples, heads, {split.count(rank)}, width), not {tuple(tensor.shape)}; see split_tokens"
            )
