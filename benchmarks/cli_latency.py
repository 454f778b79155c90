"""CPU seconds (user + system) and wall seconds of commands that must answer at once.

    python benchmarks/cli_latency.py

Each command runs in processes of its own; the best and the median of several are printed, beside Python alone.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

REPEATS = 9
LIMIT_CPU_S = 0.5
BAD_JOB = "kind: train\nname: demo\ndata: {train: a, validation: b}\ntrain: {epoch: 3}\n"


def measure(command: list[str], expected_code: int) -> tuple[list[float], list[float]]:
    """CPU and wall seconds of each run."""
    cpu, wall = [], []
    for _ in range(REPEATS):
        before, start = os.times(), time.perf_counter()
        code = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False).returncode
        after = os.times()
        if code != expected_code:
            raise SystemExit(f"{' '.join(command)} ended with {code}, expected {expected_code}")
        wall.append(time.perf_counter() - start)
        cpu.append(after.children_user + after.children_system - before.children_user - before.children_system)
    return cpu, wall


def main() -> None:
    """Measures and prints; exit 1 where a limit is passed."""
    with tempfile.TemporaryDirectory() as folder:
        job = Path(folder, "job.yaml")
        job.write_text(BAD_JOB)
        mmdist = [sys.executable, "-m", "mmdist"]
        cases = [
            ("python -c pass", [sys.executable, "-c", "pass"], 0),
            ("mmdist --help", [*mmdist, "--help"], 0),
            ("mmdist check, unknown key", [*mmdist, "check", str(job)], 2),
            ("mmdist schema", [*mmdist, "schema"], 0),
        ]
        failed = False
        print(f"{'command':<28}{'CPU s best':>12}{'median':>9}{'wall s median':>15}")
        for name, command, code in cases:
            cpu, wall = measure(command, code)
            median = statistics.median(cpu)
            failed = failed or median > LIMIT_CPU_S
            print(f"{name:<28}{min(cpu):>12.3f}{median:>9.3f}{statistics.median(wall):>15.3f}")
    if failed:
        raise SystemExit(f"slower than {LIMIT_CPU_S} s of CPU time")


if __name__ == "__main__":
    main()
