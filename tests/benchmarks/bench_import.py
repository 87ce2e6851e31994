"""Seconds that each start takes beyond a bare ``python -c pass``: median of several runs, after one to warm up.

Usage: python tests/benchmarks/bench_import.py [runs, default 9]
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

STARTS = {
    "import agentkit": ["-c", "import agentkit"],
    "from agentkit import Turn, Step": ["-c", "from agentkit import Turn, Step"],
    "from agentkit import Agent": ["-c", "from agentkit import Agent"],
    "agentkit --help": ["-m", "agentkit", "--help"],
}


def seconds(arguments: list[str], runs: int) -> float:
    """Return the median wall-clock seconds of `runs` runs of this Python with `arguments`."""
    times = []
    for _ in range(runs + 1):
        start = time.perf_counter()
        subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
        times.append(time.perf_counter() - start)
    return statistics.median(times[1:])


def main() -> None:
    """Print the table."""
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 9
    bare = seconds(["-c", "pass"], runs)
    print(f"{'bare Python':34}{bare:6.3f} s")
    for name, arguments in STARTS.items():
        print(f"{name:34}{seconds(arguments, runs) - bare:6.3f} s more")


if __name__ == "__main__":
    main()
