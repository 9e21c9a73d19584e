"""Operators on a GPU: measured times beside those of the simulator's model.

    python benchmarks/gpu_kernels.py --measure kernels.jsonl                          # where the GPU is
    python benchmarks/gpu_kernels.py --page docs/gpu_kernels.md kernels.jsonl         # anywhere

Operators are repeated in a CUDA graph, where they can be, on random numbers; the median of three turns. A row is a
kernel as a capture writes it down, so the model is asked for exactly what was measured.
"""

import argparse
import json
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

TURN_S, MOST_REPEATS = 0.02, 200
#: Whose device is the one that was measured, but for its memory.
MACHINE, MEMORY_BYTES_PER_S = "tsubame4", 3.35e12
BYTES = {"bfloat16": 2, "float16": 2, "float32": 4, "float64": 8}

Row = dict[str, Any]


def row(
    op: str, shapes: list[tuple[int, ...]], dtype: str, *, flops: int = 0, nbytes: int, traits: tuple[str, ...] = ()
) -> Row:
    return {"op": op, "shapes": shapes, "dtype": dtype, "flops": flops, "nbytes": nbytes, "traits": traits}


def products(torch: Any) -> Iterator[tuple[Row, Callable[[], object]]]:
    """Matrix products of transformers, square ones, batches as in attention, and a vocabulary of odd size."""
    squares = [(1, s, s, s) for s in (64, 128, 256, 512, 768, 1024, 1536, 2048, 3072, 4096, 6144, 8192, 12288, 16384)]
    layers = [
        (1, m, n, k)
        for m in (128, 512, 1024, 2048, 4096, 8192, 16384)
        for h in (512, 768, 1024, 1280, 1600, 2048, 2560, 4096, 5120, 6144, 8192, 12288)
        for n, k in ((3 * h, h), (h, h), (4 * h, h), (h, 4 * h))
        if m * n * k < 3e12
    ]
    odd = [(1, m, 50257, h) for m in (2048, 8192) for h in (768, 1600, 4096)]
    heads = [
        (b, s, *extents)
        for b in (16, 64, 256, 1024)
        for s in (128, 512, 1024, 2048)
        for d in (64, 128)
        for extents in ((s, d), (d, s))
        if b * s * s < 2**31
    ]
    for dtype, cases in (
        ("bfloat16", squares + layers + odd + heads),
        ("float16", squares[3:12:2]),
        ("float32", squares[3:12:2]),
    ):
        for b, m, n, k in cases:
            kind = getattr(torch, dtype)
            left = torch.randn(b, m, k, device="cuda", dtype=kind)
            right = torch.randn(b, n, k, device="cuda", dtype=kind).transpose(1, 2)
            shapes = [(b, m, k), (b, k, n)] if b > 1 else [(m, k), (k, n)]
            if b == 1:
                left, right = left[0], right[0]
            nbytes = b * (m * k + k * n + m * n) * BYTES[dtype]
            op = "aten.bmm" if b > 1 else "aten.mm"
            told = row(
                op, shapes, dtype, flops=2 * b * m * n * k, nbytes=nbytes, traits=("unaligned",) if n % 2 else ()
            )
            yield told, lambda left=left, right=right: left @ right


def streaming(torch: Any) -> Iterator[tuple[Row, Callable[[], object]]]:
    """Element-wise operators, norms, sums and losses."""
    functional, aten = torch.nn.functional, torch.ops.aten
    for power in range(10, 32, 2):
        x = torch.empty(2**power // 4, device="cuda")
        y = torch.empty_like(x)
        yield row("aten.add", [(x.numel(),)], "float32", nbytes=3 * x.nbytes), lambda x=x, y=y: torch.add(x, y, out=y)
    for dtype in ("bfloat16", "float32"):
        for m in (1024, 8192, 32768):
            for h in (768, 2048, 4096, 12288):
                kind = getattr(torch, dtype)
                x, g = (torch.randn(m, h, device="cuda", dtype=kind) for _ in range(2))
                w = torch.ones(h, device="cuda", dtype=kind)
                _, mean, rstd = aten.native_layer_norm(x, [h], w, w, 1e-5)
                each = {
                    "aten.gelu": (2, lambda x=x: functional.gelu(x)),
                    "aten.gelu_backward": (3, lambda x=x, g=g: aten.gelu_backward(g, x)),
                    "aten.native_layer_norm": (2, lambda x=x, w=w, h=h: functional.layer_norm(x, (h,), w, w)),
                    "aten.native_layer_norm_backward": (
                        3,
                        lambda x=x, g=g, w=w, h=h, mean=mean, rstd=rstd: aten.native_layer_norm_backward(
                            g, x, [h], mean, rstd, w, w, [True, True, True]
                        ),
                    ),
                    "aten.sum": (1, lambda g=g: g.sum(0)),
                }
                for op, (passes, call) in each.items():
                    yield row(op, [(m, h)], dtype, nbytes=passes * x.nbytes), call
        for b, s in ((16, 1024), (64, 1024), (16, 2048)):
            x = torch.randn(b, s, s, device="cuda", dtype=getattr(torch, dtype))
            yield row("aten._softmax", [(b, s, s)], dtype, nbytes=2 * x.nbytes), lambda x=x: functional.softmax(x, -1)


def attention(torch: Any) -> Iterator[tuple[Row, Callable[[], object]]]:
    """Fused attention, forward and backward."""
    shapes = (
        (8, 12, 1024, 64),
        (8, 16, 2048, 64),
        (4, 16, 2048, 128),
        (2, 32, 2048, 128),
        (64, 12, 197, 64),
        (1, 32, 8192, 128),
    )
    for shape in shapes:
        for causal in (False, True):
            q, k, v = (torch.randn(shape, device="cuda", dtype=torch.bfloat16).requires_grad_() for _ in range(3))
            attend = torch.nn.functional.scaled_dot_product_attention
            out = attend(q, k, v, is_causal=causal)
            gradient = torch.randn_like(out)
            b, h, s, d = shape
            flops, traits = 4 * b * h * s * s * d, ("causal",) if causal else ()
            name = "aten._scaled_dot_product_flash_attention"

            def forward(q=q, k=k, v=v, causal=causal, attend=attend):
                with torch.no_grad():
                    return attend(q, k, v, is_causal=causal)

            def backward(out=out, q=q, k=k, v=v, gradient=gradient):
                return torch.autograd.grad(out, (q, k, v), gradient, retain_graph=True)

            yield row(name, [shape] * 3, "bfloat16", flops=flops, nbytes=4 * q.nbytes, traits=traits), forward
            told = row(
                name + "_backward", [shape] * 3, "bfloat16", flops=5 * flops // 2, nbytes=8 * q.nbytes, traits=traits
            )
            yield told, backward


def seconds(torch: Any, call: Callable[[], object], *, in_graph: bool) -> float:
    """Median of three turns."""
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))

    def timed(run: Callable[[], object]) -> float:
        begin.record()
        run()
        end.record()
        torch.cuda.synchronize()
        return float(begin.elapsed_time(end)) / 1e3

    for _ in range(2):
        call()
    repeats = max(3, min(MOST_REPEATS, int(TURN_S / max(timed(call), 1e-6))))

    def repeated() -> None:
        for _ in range(repeats):
            call()

    run: Callable[[], object] = repeated
    if in_graph:
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            repeated()
        run = graph.replay
    run()
    torch.cuda.synchronize()
    return sorted(timed(run) for _ in range(3))[1] / repeats


def measure(path: Path) -> None:
    import torch

    rows = [{"device": torch.cuda.get_device_name(), "torch": torch.__version__}]
    for source, in_graph in ((products, True), (streaming, True), (attention, False)):
        for told, call in source(torch):
            rows.append(told | {"seconds": seconds(torch, call, in_graph=in_graph)})
    path.write_text("".join(json.dumps(each) + "\n" for each in rows))
    print(f"{len(rows) - 1} operators", file=sys.stderr)


def page(path: Path) -> str:
    from fujimi_core.plugins import Plugins
    from fujimi_core.workload import Kernel, Trait

    plugins = Plugins.installed()
    device = replace(plugins.machine(MACHINE).node.device, memory_bandwidth_bytes_per_s=MEMORY_BYTES_PER_S)
    head, *rows = (json.loads(line) for line in path.read_text().splitlines())
    errors: dict[tuple[str, str, str], list[float]] = defaultdict(list)
    for each in rows:
        took = each.pop("seconds")
        shapes = tuple(tuple(shape) for shape in each.pop("shapes"))
        traits = tuple(Trait(trait) for trait in each.pop("traits"))
        kernel = Kernel(shapes=shapes, traits=traits, **each)
        size = "shorter than 20 us" if took < 20e-6 else "longer"
        errors[kernel.op, kernel.dtype, size].append(plugins.kernel_seconds(kernel, device) / took - 1)
    lines = [
        "# Operators on a GPU",
        "",
        "Made by `python benchmarks/gpu_kernels.py` (which says how) from "
        f"[what was measured](../benchmarks/{path.name}) on one {head['device']}, torch {head['torch']}. The model is "
        f"that of the device of `{MACHINE}` with this memory, whose efficiencies are fitted to such measurements: "
        "these errors tell how well the model's shape holds, not how well it predicts another device. Error: model "
        "over measured, less 1.",
        "",
        "| operator | type | measured | number | mean absolute error | mean error |",
        "|---|---|---|---|---|---|",
    ]
    for (op, dtype, size), found in sorted(errors.items()):
        mean, bias = sum(map(abs, found)) / len(found), sum(found) / len(found)
        lines.append(f"| `{op.removeprefix('aten.')}` | {dtype} | {size} | {len(found)} | {mean:.1%} | {bias:+.1%} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--measure", metavar="FILE", type=Path)
    parser.add_argument("--page", metavar="FILE", type=Path)
    parser.add_argument("measured", metavar="FILE", type=Path, nargs="?")
    arguments = parser.parse_args()
    if arguments.measure:
        measure(arguments.measure)
    elif arguments.measured:
        text = page(arguments.measured)
        if arguments.page:
            arguments.page.write_text(text)
        print(text)
    else:
        parser.error("give --measure FILE, or a file that was measured")


if __name__ == "__main__":
    main()
