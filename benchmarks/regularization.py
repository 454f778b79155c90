"""What each measure against overfitting does to the demo job: alone, over the job without any, and all of the job's.

    python benchmarks/regularization.py [--epochs 12] [--seeds 1] [--first-seed 0] [--only NAME,...]
        [--job jobs/train.yaml] [--set KEY=VALUE ...]

The measures are those of jobs/ablation/regularization.yaml. The dataset must have been imported
(`mmdist submit jobs/import.yaml`, or the job itself). Each training is a process of its own, without Ray. All three
accuracies are the model's, on pictures and texts as they are: the gap is what it knows of its training rows and not
of others. Numbers go to stdout as a table, progress to stderr.
"""

import argparse
import json
import statistics
import sys
from pathlib import Path

import numpy as np
import yaml
from trainings import Trained, in_own_process, right_rows, train

ABLATION = Path(__file__).parents[1] / "jobs" / "ablation" / "regularization.yaml"
OF_THE_JOB = "the job as it is"


def main() -> None:
    """Trains one job per measure and seed, and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--only", default="", help="names of measures, with commas between them")
    parser.add_argument("--job", default="jobs/train.yaml")
    parser.add_argument("--set", dest="changes", action="append", default=[], help="a further change of every job")
    parser.add_argument("--run", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run is not None:
        print(json.dumps(judge(train(Path(options.run)))))
        return
    ablation = yaml.safe_load(ABLATION.read_text(encoding="utf-8"))
    variants = {name: [*ablation["without"], *changes] for name, changes in ablation["measures"].items()}
    variants[OF_THE_JOB] = []
    given = [*options.changes, f"train.epochs={options.epochs}"]
    wanted = [name.strip() for name in options.only.split(",") if name.strip()] or list(variants)
    print("| measure | train | validation | test | gap (train - test) | test, mean over labels | epochs | seconds |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for name in wanted:
        rows = []
        for seed in range(options.first_seed, options.first_seed + options.seeds):
            title = f"{name}, seed {seed}"
            rows.append(in_own_process(__file__, options.job, [*variants[name], *given, f"seed={seed}"], title))
            print(title, rows[-1], file=sys.stderr, flush=True)
        mean = {key: statistics.mean(row[key] for row in rows) for key in rows[0]}
        gap = mean["train"] - mean["test"]
        print(
            f"| {name} | {mean['train']:.3f} | {mean['validation']:.3f} | {mean['test']:.3f} | {gap:.3f} "
            f"| {mean['by label']:.3f} | {mean['epochs']:g} | {mean['seconds']:.0f} |",
            flush=True,
        )


def judge(trained: Trained) -> dict[str, float]:
    """Accuracies by split, of the test split also as the mean over the labels; epochs and seconds."""
    found = {name: right_rows(trained, name) for name in trained.splits}
    is_right, label = found["test"]
    return {
        **{name: float(of_rows.mean()) for name, (of_rows, _) in found.items()},
        "by label": float(np.mean([is_right[label == each].mean() for each in np.unique(label)])),
        "epochs": float(trained.epochs),
        "seconds": trained.seconds,
    }


if __name__ == "__main__":
    main()
