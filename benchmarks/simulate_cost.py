"""What one simulation of a job costs, capture included: CPU seconds and peak memory of the whole command.

Run: python benchmarks/simulate_cost.py
"""

import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
RUNS = 5


def measure(job, machine, nodes):
    """CPU seconds and peak memory [B] of each run, as the kernel counts them, and what each printed."""
    command = [str(Path(sys.executable).with_name("fujimi")), "simulate", str(ROOT / job)]
    command += ["--machine", machine, "--nodes", nodes, "--json"]
    costs, reports = [], []
    for _ in range(RUNS):
        process = subprocess.Popen(command, stdout=subprocess.PIPE)
        report = json.loads(process.stdout.read())
        _, status, usage = os.wait4(process.pid, 0)
        if status:
            sys.exit(f"{command} failed")
        costs.append((usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024))
        report.pop("simulation")
        reports.append(json.dumps(report))
    return costs, reports


def main():
    jobs = [("examples/vit_base_visualatom.toml", "fugaku", "158976")]
    jobs += [("examples/vit_base_visualatom.toml", "fugaku", "1,64,1024,13824,158976")]
    jobs += [("examples/demo.toml", "fugaku", "158976")]
    for job, machine, nodes in jobs:
        costs, reports = measure(job, machine, nodes)
        cpu, rss = zip(*costs, strict=True)
        same = "same" if len(set(reports)) == 1 else "DIFFERENT"
        print(f"{job} on {nodes} node(s) of {machine}, {RUNS} runs:")
        print(f"  CPU s min {min(cpu):.2f}  median {statistics.median(cpu):.2f}  max {max(cpu):.2f}")
        print(f"  peak memory {max(rss) / 1e6:.0f} MB; {same} figures each time")


if __name__ == "__main__":
    main()
