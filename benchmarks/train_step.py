"""Rows per second of mmdist's train loop against Keras `fit` on the same model, strategy and rows.

Question: what do reading shards, decoding, augmenting, accounting for every row and watching the loss cost, beside the
step itself? Keras gets decoded pictures in memory and none of that. Rounds alternate within one process, and the
ratio is paired round by round, for machines drift.

    python benchmarks/train_step.py [--data FOLDER] [--rounds 8] [--replicas 2] [--batch 64]
        [--deterministic]

Without `--data` (a folder of shards with id, image, text and label) it uses datasets/openmoji/train where that was
imported, else pictures and words that it makes up.
"""

import argparse
import io
import os
import resource
import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from mmdist.data.stream import scan
from mmdist.spec.job import TrainJob
from mmdist.storage import EventWriter, open_store, read_events
from mmdist.training.devices import set_up_devices
from mmdist.training.heartbeat import Heartbeat
from mmdist.training.loop import Loop
from mmdist.training.prepare import Prepared, prepare
from mmdist.training.session import close_parts, open_session

TARGET = 0.97
DEMO = "datasets/openmoji/train"


def main() -> None:
    """Prints rates, ratio and peak memory."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default=DEMO if Path(DEMO, "_index.parquet").exists() else None)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--replicas", type=int, default=2)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--deterministic", action="store_true", help="repeatable operations, for both")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        data = options.data or write_rows(Path(folder, "made-up"), 2560)
        validation = write_rows(Path(folder, "validation"), options.batch)
        measure(options, data, validation, Path(folder, "run"))


def measure(options: argparse.Namespace, train: str, validation: str, run_folder: Path) -> None:
    """Alternates epochs of both."""
    job = demo_job(train, validation, options)
    run = open_store(str(run_folder))
    events = EventWriter(run, 1, "worker-0.0")
    devices = set_up_devices(job.resources, workers=1, deterministic=options.deterministic, seed=0)
    data = prepare(job, run, threads=devices.threads, is_chief=True, on_progress=lambda *_: None)
    with Heartbeat(run, "worker-0") as heartbeat:
        parts, state = open_session(job, run, events, data, devices, heartbeat, rank=0, workers=1, restart=0)

        def ours() -> float:
            train_spec = job.train.model_copy(update={"epochs": state.epoch + 1})
            Loop(replace(parts, job=job.model_copy(update={"train": train_spec})), state).run()
            finished = [event for event in read_events(run) if event.kind == "epoch-finished"]
            return float(finished[-1].facts["metrics"]["rows_per_s"])

        first = ours()
        peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        theirs = keras_epoch(data, job, devices)
        theirs()
        rates = []
        for number in range(options.rounds):
            pair = (ours(), theirs()) if number % 2 else tuple(reversed((theirs(), ours())))
            rates.append(pair)
            print(
                f"round {number + 1}: mmdist {pair[0]:7.1f}  Keras {pair[1]:7.1f} rows/s  ratio {pair[0] / pair[1]:.3f}"
            )
        close_parts(parts)
    ratios = [mine / other for mine, other in rates]
    print(
        f"\n{data.train.rows} rows from {train}, batch {options.batch}, {options.replicas} replicas on {devices.kind}"
    )
    print(
        f"mmdist {statistics.median(mine for mine, _ in rates):.1f} rows/s (first epoch, tracing included: {first:.1f})"
    )
    print(f"Keras  {statistics.median(other for _, other in rates):.1f} rows/s")
    verdict = "met" if statistics.median(ratios) >= TARGET else "MISSED"
    print(
        f"ratio  {statistics.median(ratios):.3f} (paired median; {min(ratios):.3f} to {max(ratios):.3f}), "
        f"target {TARGET}: {verdict}"
    )
    print(f"peak memory after the first epoch of mmdist: {peak_mib:.0f} MiB, TensorFlow's own among it")


def demo_job(train: str, validation: str, options: argparse.Namespace) -> TrainJob:
    """A CNN and a BiLSTM, concatenated, over given folders."""
    return TrainJob.model_validate(
        {
            "kind": "train",
            "name": "benchmark",
            "data": {
                "train": train,
                "validation": validation,
                "image": {"size": [64, 64], "augment": [{"type": "flip"}, {"type": "shift", "share": 0.1}]},
                "text": {"tokens": 16, "vocabulary": 4000},
                "max_bad_rows": 1000,
            },
            "model": {"regularization": {"dropout": 0.3}},
            "train": {"global_batch_size": options.batch, "tensorboard": False},
            "resources": {"replicas_per_worker": options.replicas},
        }
    )


def keras_epoch(data: Prepared, job: TrainJob, devices: Any) -> Any:
    """A function that fits one epoch and returns rows per second."""
    from mmdist.models.build import build_model
    from mmdist.models.tasks import build_task

    arrays: dict[str, Any] = {}
    with scan(data.train, data.collator, data.train.rows) as batches:
        [batch] = batches
    arrays["image"] = batch.image.astype(np.float32) / 255
    arrays |= {"image_present": batch.image_present, "text": batch.text, "text_present": batch.text_present}
    label = batch.label
    with devices.strategy.scope():
        task = build_task(job.task, data.facts, regularization=job.model.regularization, seed=0)
        model = build_model(job.model, task, data.facts, seed=0)
        # Under this strategy `fit` refuses inputs of type bool.
        inputs = {name: keras.Input(part.shape[1:], dtype=fit_type(part), name=name) for name, part in arrays.items()}
        ready = {name: keras.ops.cast(part, model.input[name].dtype) for name, part in inputs.items()}
        model = keras.Model(inputs, model(ready)["logits"])
        model.compile(
            keras.optimizers.Adam(0.001),
            keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            metrics=["accuracy"],
            jit_compile=False,
        )

    arrays = {name: part.astype(fit_type(part)) for name, part in arrays.items()}

    def epoch() -> float:
        # Two epochs, of which the second counts: `fit` sets its input up in the first.
        watch = _Watch()
        model.fit(
            arrays, label, batch_size=job.train.global_batch_size, epochs=2, verbose=0, shuffle=True, callbacks=[watch]
        )
        return len(label) / watch.last_epoch_s

    return epoch


class _Watch(keras.callbacks.Callback):
    """Times epochs without the set-up of `fit`."""

    last_epoch_s = 0.0

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._begun_s = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.last_epoch_s = time.perf_counter() - self._begun_s


def fit_type(array: np.ndarray) -> str:
    """The type that Keras is given an array in."""
    return "int32" if array.dtype == np.bool_ else str(array.dtype)


def write_rows(folder: Path, rows: int) -> str:
    """JPEG pictures of 64 x 64 pixels, four words and one of eight labels."""
    rng = np.random.default_rng(0)
    folder.mkdir(parents=True)
    records = []
    for number in range(rows):
        picture = io.BytesIO()
        coarse = Image.fromarray(rng.integers(0, 256, (8, 8, 3)).astype(np.uint8))
        coarse.resize((64, 64)).save(picture, "JPEG", quality=90)
        words = " ".join(f"word{word}" for word in rng.integers(0, 2000, 4))
        label = f"label-{number % 8}"
        records.append({"id": str(number), "image": picture.getvalue(), "text": words, "label": label})
    pq.write_table(
        pa.Table.from_pylist(records), folder / "part-00000.parquet", row_group_size=32, write_page_checksum=True
    )
    return str(folder)


if __name__ == "__main__":
    main()
