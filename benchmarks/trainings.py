"""Trains a job of a benchmark in a process of its own, without Ray, and tells which rows its model gets right.

A program of this folder calls `in_own_process`, which starts the same program with `--run FOLDER`; there it calls
`train` and prints what it found as one line of JSON.
"""

import hashlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from mmdist.spec.dump import dump_job
from mmdist.spec.job import TrainJob
from mmdist.spec.load import load_job

Arrays = Mapping[str, npt.NDArray[Any]]


class Trained(NamedTuple):
    """A trained model, in the process that trained it."""

    predict: Callable[[Arrays], dict[str, npt.NDArray[Any]]]
    splits: dict[str, Any]
    """By name (`train`, `validation`, and `test` where the job has one), the datasets."""
    collator: Any
    epochs: int
    seconds: float
    """Of the training alone."""


def in_own_process(
    program: str, path: str, changes: list[str], name: str, *, kept: Path | None = None
) -> dict[str, Any]:
    """What the program prints of one training.

    Args:
        program: The calling file, which takes `--run FOLDER`.
        path: The job file.
        changes: Of the job, as `--set` takes them.
        name: What the training is called where it fails.
        kept: Folder for what is found, by the job's hash: a training that it knows is not done again.
    """
    job = load_job(path, changes).spec
    assert isinstance(job, TrainJob)
    text = dump_job(job).encode()
    sha256 = hashlib.sha256(text).hexdigest()
    known = kept / f"{sha256[:16]}.json" if kept is not None else None
    if known is not None and known.exists():
        earlier: dict[str, Any] = json.loads(known.read_text())
        return earlier
    with tempfile.TemporaryDirectory(prefix="mmdist-benchmark-") as folder:
        Path(folder, "job.yaml").write_bytes(text)
        Path(folder, "job.sha256").write_text(sha256)
        words = [sys.executable, program, "--run", folder]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{name}: {done.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    if known is not None:
        known.parent.mkdir(parents=True, exist_ok=True)
        known.write_text(json.dumps(found))
    return found


def train(run: Path) -> Trained:
    """Trains the job of a run directory, in this process."""
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
    splits = {"train": data.train, "validation": data.validation, "test": data.test}
    history, _ = read_history(store)
    return Trained(
        predict=make_predict_fn(artifact.build(), artifact.build_task()),
        splits={name: split for name, split in splits.items() if split is not None},
        collator=data.collator,
        epochs=len(history),
        seconds=seconds,
    )


def right_rows(
    trained: Trained, split: str, change: Callable[[Arrays], Arrays] = lambda inputs: inputs
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.int32]]:
    """By row of a split, in its order, whether its most likely label is its own; and its label.

    Args:
        trained: The model.
        split: Name of the split.
        change: From what the model would be shown of a batch to what it is shown.
    """
    from mmdist.data.stream import scan

    right, labels = [], []
    with scan(trained.splits[split], trained.collator, 256) as batches:
        for batch in batches:
            answers = trained.predict(change(batch.inputs()))["probabilities"].argmax(axis=1)
            counts = batch.mask > 0
            right.append((answers == batch.label)[counts])
            labels.append(batch.label[counts])
    return np.concatenate(right), np.concatenate(labels)
