"""Rows per second of training from Parquet shards against training from the same batches held in memory.

Question: how much of the speed of training does reading, decoding and checking rows cost, with the model at work on
the same machine? Both sides are mmdist's own loop with a CNN and a BiLSTM, concatenated; each epoch with augmentation,
validation and a checkpoint, of which the training alone is timed; they differ in where batches come from. Before an
epoch from memory its very batches are read. Epochs alternate within one process, and the ratio is paired round by
round, for machines drift.

    python benchmarks/input_efficiency.py [--rows 7680] [--batch 256] [--rounds 5] [--replicas 1] [--side 64]
        [--data FOLDER]

Without `--data` (a folder of shards with id, image, text and label) it makes JPEGs of 64 x 64 pixels with detail as in
photographs, and ten words for each.
"""

import argparse
import os
import statistics
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from input_contestants.pictures import picture
from train_step import demo_job

from mmdist.data.batches import Batch
from mmdist.data.order import EpochPlan
from mmdist.storage import EventWriter, open_store, read_events
from mmdist.training.devices import set_up_devices
from mmdist.training.heartbeat import Heartbeat
from mmdist.training.loop import Loop
from mmdist.training.prepare import prepare
from mmdist.training.session import close_parts, open_session

TARGET = 0.97
ROWS_PER_GROUP = 128
GROUPS_PER_SHARD = 16
PHASES = ("read_wait", "prepare_wait", "decode_wait", "handover", "step")


class HeldBatches:
    """An epoch's batches in memory, in place of a stream of them."""

    def __init__(self, batches: list[Batch]) -> None:
        self._batches = batches

    def __enter__(self) -> "HeldBatches":
        return self

    def __exit__(self, *_: object) -> None:
        self._batches = []

    def __iter__(self) -> Iterator[Batch]:
        return iter(self._batches)

    def timings(self) -> dict[str, float]:
        """Nothing was read."""
        return dict.fromkeys(("read_s", "prepare_s", "decode_s", "read_wait_s", "handover_wait_s", "input_wait_s"), 0.0)


class LoopFromMemory(Loop):
    """A loop over one epoch whose batches are read before it begins."""

    def hold(self) -> "LoopFromMemory":
        """Reads the next epoch."""
        with super()._open(self._plan()) as stream:
            self._held = HeldBatches(list(stream))
        return self

    def _open(self, plan: EpochPlan) -> Any:
        return self._held


def main() -> None:
    """Prints rates, phases and the ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data")
    parser.add_argument("--rows", type=int, default=7680)
    parser.add_argument("--side", type=int, default=64, help="pixels of the pictures made up; 64 are trained on")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--replicas", type=int, default=1)
    parser.add_argument("--batch", type=int, default=256)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        data = options.data or write_rows(Path(folder, "made-up"), options.rows, options.side)
        validation = write_rows(Path(folder, "validation"), options.batch, options.side, first=options.rows)
        measure(options, data, validation, Path(folder, "run"))


def measure(options: argparse.Namespace, train: str, validation: str, run_folder: Path) -> None:
    """Alternates epochs from shards and from memory."""
    job = demo_job(train, validation, options)
    run = open_store(str(run_folder))
    events = EventWriter(run, 1, "worker-0.0")
    devices = set_up_devices(job.resources, workers=1, deterministic=False, seed=0)
    data = prepare(job, run, threads=devices.threads, is_chief=True, on_progress=lambda *_: None)
    with Heartbeat(run, "worker-0") as heartbeat:
        parts, state = open_session(job, run, events, data, devices, heartbeat, rank=0, workers=1, restart=0)

        def epoch(*, from_memory: bool) -> dict[str, Any]:
            train_spec = job.train.model_copy(update={"epochs": state.epoch + 1})
            these = replace(parts, job=job.model_copy(update={"train": train_spec}))
            loop = LoopFromMemory(these, state).hold() if from_memory else Loop(these, state)
            loop.run()
            return next(event.facts for event in reversed(read_events(run)) if event.kind == "epoch-finished")

        epoch(from_memory=False), epoch(from_memory=True)  # the first step is traced
        rounds = []
        for number in range(options.rounds):
            found = {kind: epoch(from_memory=kind) for kind in ((False, True) if number % 2 else (True, False))}
            rounds.append((found[False], found[True]))
            shards, memory = rate(found[False]), rate(found[True])
            print(
                f"round {number + 1}: shards {shards:7.1f}  memory {memory:7.1f} rows/s  ratio {shards / memory:.3f}",
                flush=True,
            )
        close_parts(parts)
    print(f"\n{data.train.rows} rows, batch {options.batch}, {options.replicas} replicas on {devices.kind}\n")
    print(f"| training from | rows/s | {' | '.join(PHASES)} |\n| --- |{' ---: |' * (1 + len(PHASES))}")
    for name, side in (("shards", [shards for shards, _ in rounds]), ("memory", [memory for _, memory in rounds])):
        shares = [statistics.median(facts["metrics"][f"{phase}_share"] for facts in side) for phase in PHASES]
        cells = " | ".join(f"{share:.1%}" for share in shares)
        print(f"| {name} | {statistics.median(rate(facts) for facts in side):.1f} | {cells} |")
    ratios = [rate(shards) / rate(memory) for shards, memory in rounds]
    verdict = "met" if statistics.median(ratios) >= TARGET else "MISSED"
    print(
        f"\nratio {statistics.median(ratios):.3f} (paired median; {min(ratios):.3f} to {max(ratios):.3f}), "
        f"target {TARGET}: {verdict}"
    )


def rate(facts: dict[str, Any]) -> float:
    """Rows per second of an epoch's training."""
    return float(facts["metrics"]["rows_per_s"])


def write_rows(folder: Path, rows: int, side: int, *, first: int = 0) -> str:
    """Shards of JPEGs, ten words and one of eight labels."""
    rng = np.random.default_rng(first)
    folder.mkdir(parents=True)
    per_shard = ROWS_PER_GROUP * GROUPS_PER_SHARD
    for shard, start in enumerate(range(first, first + rows, per_shard)):
        numbers = range(start, min(start + per_shard, first + rows))
        table = pa.table(
            {
                "id": [str(number) for number in numbers],
                "image": pa.array([picture(number, side) for number in numbers], pa.binary()),
                "text": [" ".join(f"word{word}" for word in rng.integers(0, 2000, 10)) for _ in numbers],
                "label": [f"label-{number % 8}" for number in numbers],
            }
        )
        pq.write_table(
            table,
            folder / f"part-{shard:05d}.parquet",
            row_group_size=ROWS_PER_GROUP,
            use_dictionary=["label"],
            compression={"id": "zstd", "image": "none", "text": "zstd", "label": "zstd"},
            write_page_checksum=True,
        )
    return str(folder)


if __name__ == "__main__":
    main()
