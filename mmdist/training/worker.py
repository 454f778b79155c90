"""One worker's training, from the run directory to the model and its report. Called by Ray Train, or plainly.

Epochs are numbered from 1 in events and live notes, which people read, and from 0 in cursors, metrics and ledgers.
"""

import gc
import logging
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mmdist.errors import MmdistError, StopRequestedError
from mmdist.spec.job import TrainJob
from mmdist.spec.load import parse_resolved
from mmdist.spec.resources import ResourcesSpec
from mmdist.storage import EventWriter, Store, open_store

if TYPE_CHECKING:
    from mmdist.training.heartbeat import Heartbeat

__all__ = ["train_worker"]


@dataclass(frozen=True)
class _Worker:
    """Who this worker is, and what it works on."""

    run: Store
    job: TrainJob
    attempt: int
    restart: int = 0
    rank: int = 0
    workers: int = 1
    regroup_request: str | None = None
    events: EventWriter = field(kw_only=True)

    @property
    def is_chief(self) -> bool:
        """Whether this worker writes what there is once: checkpoints, metrics, model and report."""
        return self.rank == 0


def train_worker(config: Mapping[str, Any]) -> dict[str, Any]:
    """Trains, or goes on from the newest checkpoint that verifies; then writes the model and its report.

    It must be the first in its process to use TensorFlow.

    Args:
        config: `run_url` and `attempt`; further `restart`, `rank`, `world_size` (by default 0, 0 and 1), `events`
            (an EventWriter), `resources` (in place of the job's) and `regroup_request` (see Heartbeat).

    Returns:
        Of the chief, `metrics` (the report's headline) and `report` (the location of report.html); of others, an
        empty dict. Of all, `regroup` alone where they ended at a checkpoint for a larger group to go on.

    Raises:
        MmdistError: what ended it; StopRequestedError after a checkpoint.
    """
    # Before TensorFlow is imported: it reads this once.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    worker = _read_config(config)

    from mmdist.training.heartbeat import Heartbeat
    from mmdist.training.watchdog import Watchdog

    limit_s = worker.job.resources.hang_timeout_s
    identity = {"attempt": worker.attempt, "restart": worker.restart}
    with (
        Heartbeat(
            worker.run,
            f"worker-{worker.rank}",
            identity=identity,
            hang_timeout_s=limit_s,
            regroup_request=worker.regroup_request,
        ) as heartbeat,
        Watchdog(heartbeat, worker.events),
    ):
        return _work(worker, heartbeat)


def _read_config(config: Mapping[str, Any]) -> _Worker:
    run = open_store(config["run_url"])
    job = parse_resolved(run.read_bytes("job.yaml"), f"{run.url}/job.yaml")
    if not isinstance(job, TrainJob):
        raise MmdistError("a training was started for a job of another kind", received=job.kind)
    if config.get("resources") is not None:
        job = job.model_copy(update={"resources": ResourcesSpec.model_validate(config["resources"])})
    attempt, rank, restart = int(config["attempt"]), int(config.get("rank", 0)), int(config.get("restart", 0))
    events = config.get("events") or EventWriter(run, attempt, f"worker-{rank}.{restart}")
    return _Worker(
        run, job, attempt, restart, rank, int(config.get("world_size", 1)), config.get("regroup_request"), events=events
    )


def _work(worker: _Worker, heartbeat: "Heartbeat") -> dict[str, Any]:
    # Late, for these import TensorFlow.
    from mmdist.evaluation.evaluate import dataset_facts
    from mmdist.training.devices import set_up_devices
    from mmdist.training.divergence import RollBackError
    from mmdist.training.finish import finish_training
    from mmdist.training.loop import Loop
    from mmdist.training.prepare import prepare
    from mmdist.training.session import close_parts, open_session

    job = worker.job
    heartbeat.begin("build")
    with heartbeat.doing("collective"):  # the first to come waits for the last
        devices = set_up_devices(
            job.resources, workers=worker.workers, deterministic=job.train.exact_operations, seed=job.seed
        )
    worker.events.write(
        "devices",
        kind=devices.kind,
        replicas=devices.replicas,
        names=devices.names,
        threads=devices.threads,
        deterministic=devices.deterministic,
    )

    def on_progress(phase: str, rows: int, total_rows: int) -> None:
        heartbeat.begin(phase, rows=rows, total_rows=total_rows)
        if heartbeat.stop_requested:
            raise StopRequestedError("stopped as asked, before the first step")

    data = prepare(job, worker.run, threads=devices.threads, is_chief=worker.is_chief, on_progress=on_progress)
    if worker.is_chief:
        splits = {"train": data.train, "validation": data.validation, "test": data.test}
        facts = {split: dataset_facts(dataset) for split, dataset in splits.items() if dataset is not None}
        worker.events.write("datasets", **facts)
    heartbeat.begin("build")
    with heartbeat.doing("collective"):  # every variable is made by all workers together
        parts, state = open_session(
            job,
            worker.run,
            worker.events,
            data,
            devices,
            heartbeat,
            rank=worker.rank,
            workers=worker.workers,
            restart=worker.restart,
        )
    before = heartbeat.note_before or {}
    lost = int(before.get("step") or 0) - state.step
    # Groups that are lost within an attempt are the driver's to tell of.
    if worker.is_chief and lost > 0 and int(before.get("attempt") or 0) < worker.attempt:
        worker.events.write("work-lost", steps=lost, of_attempt=before.get("attempt"))
    # TensorFlow and the model stay: to look through their million objects for garbage takes 0.3 s each time.
    gc.collect()
    gc.freeze()
    try:
        loop = Loop(parts, state)
        loop.run()
    except RollBackError as reason:
        # New workers go on from the newest checkpoint, and find in the events which batch to leave out.
        logging.warning("back to the newest checkpoint: %s", reason)
        return {"regroup": True}
    finally:
        close_parts(parts)
    if not loop.is_over:
        return {"regroup": True}
    return finish_training(parts, state) if worker.is_chief else {}
