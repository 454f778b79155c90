"""Test accuracy of the demo job with both modalities, and of the same job with one of them taken out of its columns.

    python benchmarks/modalities.py [--seeds 3] [--job jobs/train.yaml]

Each job runs as a user would run it, in the current folder; nine jobs take about ten minutes on two cores.
"""

import argparse
import json
import statistics
import subprocess
import sys

VARIANTS = {
    "picture and text": (),
    "text alone": ("--set", "data.columns.image=null"),
    "picture alone": ("--set", "data.columns.text=null"),
}


def accuracy(job: str, seed: int, changes: tuple[str, ...]) -> float:
    """The report's test accuracy of one job."""
    command = [sys.executable, "-m", "mmdist", "submit", job, "--json", "--set", f"seed={seed}", *changes]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return float(json.loads(done.stdout)["metrics"]["accuracy"])


def main() -> None:
    """Runs the jobs and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--job", default="jobs/train.yaml")
    options = parser.parse_args()
    found = {
        name: [accuracy(options.job, seed, changes) for seed in range(options.seeds)]
        for name, changes in VARIANTS.items()
    }
    print("| reads | " + " | ".join(f"seed {seed}" for seed in range(options.seeds)) + " | mean |")
    print("| --- |" + " --- |" * (options.seeds + 1))
    for name, values in found.items():
        cells = " | ".join(f"{value:.3f}" for value in values)
        print(f"| {name} | {cells} | {statistics.mean(values):.3f} |")


if __name__ == "__main__":
    main()
