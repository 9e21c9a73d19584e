"""Matrix products on a V100 as others measured them, beside what the model of kernels says of Summit's."""

import pytest
from fujimi_core.plugins import Plugins
from fujimi_core.workload import Kernel

#: m, n, k, and milliseconds; every tenth or so of those that take 0.2 ms and longer.
#: Source: baidu-research/DeepBench, results/train/DeepBench_NV_V100.xlsx, "T N" or "N N"; CUDA 10.1.
MEASURED = {
    "float16": [  # to all of which one number was fitted
        (2048, 7000, 2048, 0.599),
        (4096, 7000, 4096, 2.092),
        (5124, 9124, 2560, 2.478),
        (7680, 24000, 2560, 9.009),
        (3072, 24000, 1024, 1.610),
        (512, 24000, 2048, 0.500),
        (1024, 48000, 2816, 2.571),
    ],
    "float32": [  # to which none was
        (2048, 7000, 2048, 4.387),
        (4096, 7000, 4096, 15.894),
        (5124, 9124, 2560, 18.587),
        (7680, 24000, 2560, 72.587),
        (3072, 24000, 1024, 11.491),
        (512, 24000, 2048, 3.858),
        (1024, 48000, 2816, 21.677),
    ],
}


@pytest.mark.parametrize(
    ("dtype", "m", "n", "k", "measured_ms"), [(dtype, *row) for dtype, rows in MEASURED.items() for row in rows]
)
def test_long_products_on_a_v100_take_what_was_measured_within_18_percent(
    dtype: str, m: int, n: int, k: int, measured_ms: float
) -> None:
    plugins = Plugins.installed(strict=True)
    itemsize = {"float16": 2, "float32": 4}[dtype]
    kernel = Kernel(
        op="aten.mm",
        shapes=((m, k), (k, n)),
        dtype=dtype,
        flops=2 * m * n * k,
        nbytes=itemsize * (m * k + k * n + m * n),
    )
    seconds = plugins.kernel_seconds(kernel, plugins.machine("summit").node.device)
    assert seconds == pytest.approx(measured_ms / 1e3, rel=0.18)
