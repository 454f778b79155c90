"""A predict job: deals a dataset's ranges to a pool of workers on Ray Data, and proves that no row was lost."""

import json
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import mmdist
from mmdist.data.dataset import Dataset, open_dataset
from mmdist.data.ledger import EpochLedger
from mmdist.data.quarantine import BadRowBudget, QuarantineWriter
from mmdist.errors import DataRefusedError, MmdistError
from mmdist.models import ArtifactInfo, load_artifact
from mmdist.prediction.answers import answer_columns, numbers_per_row, predictions_schema
from mmdist.prediction.columns import columns_for_model
from mmdist.prediction.output import PredictionFolder, ShardRecord
from mmdist.prediction.predictor import Predictor, PredictorSetup, read_reply
from mmdist.prediction.ranges import PredictionRange, plan_ranges
from mmdist.spec.data import ColumnsSpec
from mmdist.spec.job import PredictJob
from mmdist.storage import Attend, EventWriter, Store, open_store, unattended
from mmdist.storage.commit import MANIFEST

__all__ = ["PredictionResult", "predict"]


@dataclass(frozen=True)
class PredictionResult:
    """What a predict job has done."""

    output_url: str
    rows: int
    errors: int
    """Rows without a prediction; the `error` column says why."""
    shards: int
    resumed_shards: int
    """Of these, shards that were there already."""
    rows_per_s: float
    """Over the rows predicted by this call, start-up included."""


def predict(
    job: PredictJob,
    run: Store,
    model: Store,
    events: EventWriter,
    *,
    on_progress: Callable[..., None],
    workers: int,
    cpus_per_worker: float,
    gpus_per_worker: int,
    attend: Attend = unattended,
) -> PredictionResult:
    """Predicts every row of the job's dataset once, taking up what an earlier call with the same inputs has left.

    Ray must be initialised in this process. The cluster must be able to hold the workers: nothing here asks.

    Args:
        job: The resolved job.
        run: The job's run directory; without `output` in the job, the predictions go to `predictions` in it.
        model: The model folder of a run.
        events: Gets `prediction-started` and `prediction-finished`.
        on_progress: Called after each range with `rows`, `total_rows`, `rows_per_s` and `eta_s`; may raise to stop.
        workers: Machines' worth of workers.
        cpus_per_worker: CPU cores of each.
        gpus_per_worker: GPUs of each; a worker with several becomes as many actors with one GPU.
        attend: Entered by a worker around each of its ranges, and told of each batch.

    Raises:
        JobFileError: when the job's columns do not suit the model or the dataset.
        DataRefusedError: when the dataset or the output folder is refused, more rows are bad than the job bears
            (the shards written so far stay), or the rows at the end are not those of the dataset.
        StopRequestedError: when the user asked to stop.
    """
    started_s = time.monotonic()
    dataset = open_dataset(job.data.input, job.data.cache)
    info = load_artifact(model, "").info
    columns = columns_for_model(job.data.columns, info, dataset)
    ranges = plan_ranges(dataset.index.rows.tolist(), labels=numbers_per_row(info.task, info.answer_labels))
    output = PredictionFolder(open_store(job.output) if job.output is not None else run.child("predictions"))
    inputs = _inputs(dataset, model, info, columns, ranges)
    is_fresh = output.claim(inputs)
    records = {} if is_fresh else output.committed(ranges)
    resumed = len(records)
    events.write("prediction-started", output=output.store.url, rows=dataset.rows, shards=len(ranges), resumed=resumed)

    progress = _Progress(on_progress, dataset.rows, sum(record.rows for record in records.values()))
    budget = BadRowBudget(
        job.data.max_bad_rows,
        dataset.rows,
        job.data.on_bad_row,
        quarantine=(quarantine := QuarantineWriter(run, events.attempt, "predict")),
    )
    for record in records.values():
        budget.add(record.bad)
    todo = [range_ for range_ in ranges if range_.number not in records]
    if todo:
        actors = workers * max(gpus_per_worker, 1)
        cpus = cpus_per_worker / max(gpus_per_worker, 1)
        setup = PredictorSetup(
            run_url=run.url,
            model_url=model.url,
            input_url=job.data.input,
            cache=job.data.cache,
            output_url=output.store.url,
            fingerprint=dataset.fingerprint,
            columns=columns,
            batch_size=job.batch_size,
            threads=max(int(cpus), 1),
            gpus=min(gpus_per_worker, 1),
            attend=attend,
        )
        numbers = {range_.shard: range_.number for range_ in todo}
        for record in _run_pool(setup, todo, actors=actors, cpus=cpus, max_failures=job.resources.max_failures):
            records[numbers[record.shard]] = record
            progress.add(record)
            budget.add(record.bad)
    quarantine.flush()

    _check_every_row(dataset, [records[range_.number] for range_ in ranges if range_.number in records])
    errors = sum(len(record.bad) for record in records.values())
    if output.card() is None:
        output.finish(_card(job, dataset, info, inputs, [records[range_.number] for range_ in ranges]))
    result = PredictionResult(
        output_url=output.store.url,
        rows=dataset.rows,
        errors=errors,
        shards=len(ranges),
        resumed_shards=resumed,
        rows_per_s=sum(range_.rows for range_ in todo) / (time.monotonic() - started_s),
    )
    events.write("prediction-finished", **asdict(result))
    return result


def _run_pool(
    setup: PredictorSetup, ranges: Sequence[PredictionRange], *, actors: int, cpus: float, max_failures: int
) -> Iterator[ShardRecord]:
    """The records of the ranges, each as it is done. A lost worker's range is predicted anew by another."""
    import ray.data

    logging.getLogger("ray.data").setLevel(logging.WARNING)
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    replies = ray.data.from_items([asdict(range_) for range_ in ranges], override_num_blocks=len(ranges)).map_batches(
        Predictor,
        fn_constructor_args=(setup,),
        batch_size=1,
        batch_format="numpy",
        compute=ray.data.ActorPoolStrategy(size=min(actors, len(ranges)), max_tasks_in_flight_per_actor=2),
        num_cpus=cpus,
        num_gpus=setup.gpus or None,
        max_restarts=max_failures,
        max_task_retries=max_failures,
    )
    for row in replies.iter_rows():
        yield read_reply(row["reply"])


def _inputs(
    dataset: Dataset, model: Store, info: ArtifactInfo, columns: ColumnsSpec, ranges: Sequence[PredictionRange]
) -> dict[str, Any]:
    manifest = json.loads(model.read_bytes(MANIFEST))
    return {
        "dataset_fingerprint": dataset.fingerprint,
        "model_run": info.run_id,
        "model_files": {name: facts["sha256"] for name, facts in sorted(manifest["files"].items())},
        "columns": columns.model_dump(include={"id", "image", "text"}),
        "shards": len(ranges),
    }


def _card(
    job: PredictJob, dataset: Dataset, info: ArtifactInfo, inputs: dict[str, Any], records: Sequence[ShardRecord]
) -> dict[str, Any]:
    schema = predictions_schema(answer_columns(info.task, info.labels), info.answer_labels)
    return {
        "version": 1,
        "mmdist": mmdist.__version__,
        "created_s": time.time(),
        "name": job.name,
        "inputs": inputs,
        "model": {"run": info.run_id, "step": info.step, "epoch": info.epoch},
        "dataset": {"url": dataset.store.url, "fingerprint": dataset.fingerprint},
        "rows": sum(record.rows for record in records),
        "errors": sum(len(record.bad) for record in records),
        "labels": list(info.labels),
        "columns": {field.name: str(field.type) for field in schema},
        "batch_size": job.batch_size,
        "shards": [
            {"name": record.shard, "rows": record.rows, "errors": len(record.bad), "sha256": record.sha256}
            for record in records
        ],
    }


def _check_every_row(dataset: Dataset, records: Sequence[ShardRecord]) -> None:
    """Every row once, with the content that was imported: by count, and by the ledger's sums where there are any."""
    ledger = EpochLedger(0)
    for record in records:
        ledger.add(EpochLedger.from_state(record.ledger).total)
    try:
        ledger.check(dataset.index, where=dataset.store.url)
    except MmdistError as error:
        raise DataRefusedError(
            "the predictions are not over every row of the dataset, once and as it was imported",
            expected=error.expected,
            received=error.received,
            place=error.place,
            remedy=error.remedy,
        ) from error


class _Progress:
    """Tells how far it is, after each range."""

    def __init__(self, tell: Callable[..., None], total_rows: int, rows_before: int) -> None:
        self._tell = tell
        self._total_rows = total_rows
        self._rows_before = self._rows = rows_before
        self._started_s = time.monotonic()
        self._tell(phase="predict", rows=self._rows, total_rows=total_rows)

    def add(self, record: ShardRecord) -> None:
        self._rows += record.rows
        rate = (self._rows - self._rows_before) / max(time.monotonic() - self._started_s, 1e-9)
        self._tell(
            phase="predict",
            rows=self._rows,
            total_rows=self._total_rows,
            rows_per_s=rate,
            eta_s=(self._total_rows - self._rows) / rate,
        )
