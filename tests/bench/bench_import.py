"""What all names of `import lorabook` cost beyond `import torch`, in fresh processes taken in turn.

    python tests/bench/bench_import.py [--rounds 7]

Prints the median difference in wall and in CPU seconds. Not a test.
"""

import argparse
import statistics
import subprocess
import sys

TIMED = """
import time
wall, cpu = time.perf_counter(), time.process_time()
{}
print(time.perf_counter() - wall, time.process_time() - cpu)
"""


def seconds(statement: str) -> tuple[float, float]:
    """Return (wall, CPU) seconds of a statement in a fresh process."""
    printed = subprocess.run(
        [sys.executable, "-c", TIMED.format(statement)], capture_output=True, text=True, check=True
    ).stdout
    wall, cpu = map(float, printed.split())
    return wall, cpu


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=7, help="processes of each kind, after one of each (7)")
    rounds = parser.parse_args().rounds
    all_names = "import torch, lorabook; [getattr(lorabook, name) for name in lorabook.__all__]"
    runs = [(seconds("import torch"), seconds(all_names)) for _ in range(rounds + 1)][1:]
    for place, name in enumerate(("wall", "CPU")):
        alone, both = (statistics.median(run[which][place] for run in runs) for which in (0, 1))
        print(f"{name:4s} import torch {alone:.2f} s, with lorabook {both:.2f} s: {both - alone:+.2f} s")


if __name__ == "__main__":
    main()
