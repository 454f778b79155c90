"""What each measure against overfitting does to the demo job: alone, over the job without any, and all of the job's.

    python benchmarks/regularization.py [--epochs 12] [--seeds 1] [--first-seed 0] [--only NAME,...]
        [--job jobs/train.yaml] [--set KEY=VALUE ...]

The measures are those of jobs/ablation/regularization.yaml. The dataset must have been imported
(`mmdist submit jobs/import.yaml`, or the job itself). Each training is a process of its own, without Ray. All three
accuracies are the model's, on pictures and texts as they are: the gap is what it knows of its training rows and not
of others. Numbers go to stdout as a table, progress to stderr.
"""

import argparse
import hashlib
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import yaml

from mmdist.spec.dump import dump_job
from mmdist.spec.job import TrainJob
from mmdist.spec.load import load_job

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
        print(json.dumps(train(Path(options.run))))
        return
    ablation = yaml.safe_load(ABLATION.read_text(encoding="utf-8"))
    variants = {name: [*ablation["without"], *changes] for name, changes in ablation["measures"].items()}
    variants[OF_THE_JOB] = []
    given = [*options.changes, f"train.epochs={options.epochs}"]
    wanted = [name.strip() for name in options.only.split(",") if name.strip()] or list(variants)
    print("| measure | train | validation | test | gap (train - test) | test, mean over labels | epochs | seconds |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for name in wanted:
        rows = [
            in_own_process(options.job, [*variants[name], *given, f"seed={seed}"], f"{name}, seed {seed}")
            for seed in range(options.first_seed, options.first_seed + options.seeds)
        ]
        mean = {key: statistics.mean(row[key] for row in rows) for key in rows[0]}
        gap = mean["train"] - mean["test"]
        print(
            f"| {name} | {mean['train']:.3f} | {mean['validation']:.3f} | {mean['test']:.3f} | {gap:.3f} "
            f"| {mean['by label']:.3f} | {mean['epochs']:g} | {mean['seconds']:.0f} |",
            flush=True,
        )


def in_own_process(path: str, changes: list[str], name: str) -> dict[str, float]:
    """Accuracies by split, epochs and seconds of one training."""
    job = load_job(path, changes).spec
    assert isinstance(job, TrainJob)
    with tempfile.TemporaryDirectory(prefix="mmdist-regularization-") as folder:
        text = dump_job(job).encode()
        Path(folder, "job.yaml").write_bytes(text)
        Path(folder, "job.sha256").write_text(hashlib.sha256(text).hexdigest())
        words = [sys.executable, __file__, "--run", folder]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{name}: {done.stderr[-2000:]}")
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    print(name, found, file=sys.stderr, flush=True)
    return found


def train(run: Path) -> dict[str, float]:
    """Trains the job of a run directory, in this process, and judges its model."""
    begun_s = time.monotonic()
    from mmdist.training.worker import train_worker

    train_worker({"run_url": str(run), "attempt": 1})

    from mmdist.evaluation.history import read_history
    from mmdist.models import load_artifact
    from mmdist.models.build import make_predict_fn
    from mmdist.spec.load import parse_resolved
    from mmdist.storage import open_store
    from mmdist.training.prepare import prepare

    store = open_store(str(run))
    job = parse_resolved(store.read_bytes("job.yaml"))
    assert isinstance(job, TrainJob)
    seconds = time.monotonic() - begun_s
    data = prepare(job, store, threads=2, is_chief=False, on_progress=lambda *_: None)
    artifact = load_artifact(store, "model")
    predict = make_predict_fn(artifact.build(), artifact.build_task())
    splits = {"train": data.train, "validation": data.validation, "test": data.test}
    found = {name: accuracies(predict, split, data.collator) for name, split in splits.items() if split is not None}
    history, _ = read_history(store)
    return {
        **{name: of_rows for name, (of_rows, _) in found.items()},
        "by label": found["test"][1],
        "epochs": float(len(history)),
        "seconds": seconds,
    }


def accuracies(predict: Any, dataset: Any, collator: Any) -> tuple[float, float]:
    """Share of a split's rows whose most likely label is theirs; and the mean over the labels of that share."""
    import numpy as np

    from mmdist.data.stream import scan

    right, labels = [], []
    with scan(dataset, collator, 256) as batches:
        for batch in batches:
            answers = predict(batch.inputs())["probabilities"].argmax(axis=1)
            counts = batch.mask > 0
            right.append((answers == batch.label)[counts])
            labels.append(batch.label[counts])
    is_right, label = np.concatenate(right), np.concatenate(labels)
    return float(is_right.mean()), float(np.mean([is_right[label == each].mean() for each in np.unique(label)]))


if __name__ == "__main__":
    main()
