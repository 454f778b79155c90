"""Evaluates a run's model over a dataset, inside a worker process: the body of an `evaluate` job."""

from collections.abc import Mapping
from typing import Any

import numpy.typing as npt

from mmdist.data.batches import BadRow
from mmdist.data.collate import Collator
from mmdist.data.dataset import open_dataset
from mmdist.data.quarantine import BadRowBudget, QuarantineWriter
from mmdist.data.stream import default_threads
from mmdist.data.tabular import TabularEncoder
from mmdist.data.targets import make_target
from mmdist.data.tokenizer import read_tokenizer
from mmdist.errors import MmdistError, StopRequestedError
from mmdist.evaluation.evaluate import PredictFn, evaluate_model
from mmdist.evaluation.paths import REPORT_HTML
from mmdist.evaluation.report import render_report
from mmdist.models import ArtifactInfo, load_artifact
from mmdist.models.facts import absent_inputs
from mmdist.prediction.columns import columns_for_model
from mmdist.runtime.rundir import read_job
from mmdist.spec.data import ImageSpec
from mmdist.spec.job import EvaluateJob
from mmdist.spec.resources import ResourcesSpec
from mmdist.storage import EventWriter, Store
from mmdist.training.devices import set_up_devices
from mmdist.training.heartbeat import Heartbeat
from mmdist.training.watchdog import Watchdog

__all__ = ["evaluate"]

MODEL = "model"
SPLIT = "input"
"""What the report calls the rows of such a job."""


def evaluate(run: Store, model_run: Store, events: EventWriter) -> dict[str, Any]:
    """Evaluates and renders the report. It must be the first in its process to use TensorFlow.

    Args:
        run: The evaluate job's run.
        model_run: The train run whose model is evaluated.
        events: Gets `devices`.

    Returns:
        `split`, the rows' name, `metrics`, the report's headline, and `report`, where report.html lies.

    Raises:
        MmdistError: where the data does not suit the model, or too many rows cannot be read.
    """
    job = read_job(run)
    if not isinstance(job, EvaluateJob):
        raise MmdistError("an evaluation was started for a job of another kind", received=job.kind)
    artifact = load_artifact(model_run, MODEL)
    info = artifact.info
    dataset = open_dataset(job.data.input, job.data.cache)
    columns = columns_for_model(job.data.columns, info, dataset, label=info.task.has_label)
    with (
        Heartbeat(run, "worker-0", hang_timeout_s=job.resources.hang_timeout_s) as heartbeat,
        Watchdog(heartbeat, events),
    ):
        heartbeat.begin("build")
        devices = set_up_devices(ResourcesSpec(cpus_per_worker="auto"), workers=1, deterministic="auto", seed=job.seed)
        events.write("devices", kind=devices.kind, replicas=1, names=devices.names, threads=devices.threads)
        from mmdist.models.build import make_predict_fn

        model = artifact.build()
        image = info.image or ImageSpec()
        budget = BadRowBudget(
            job.data.max_bad_rows,
            dataset.rows,
            job.data.on_bad_row,
            quarantine=QuarantineWriter(run, events.attempt, "evaluate"),
        )

        def on_progress(rows: int, total_rows: int) -> None:
            heartbeat.note(rows=rows, total_rows=total_rows)
            if heartbeat.stop_requested:
                raise StopRequestedError("stopped as asked; nothing of the report is kept")

        def on_bad_rows(rows: Any) -> None:
            bad: list[BadRow] = list(rows)
            budget.add(bad)

        heartbeat.begin("evaluate")
        result = evaluate_model(
            _complete(make_predict_fn(model, artifact.build_task()), info),
            dataset,
            Collator(
                columns=columns,
                image_size=image.size,
                max_pixels=image.max_pixels,
                tokenizer=read_tokenizer(artifact.tokenizer) if artifact.tokenizer is not None else None,
                tabular=TabularEncoder.from_json(info.tabular) if info.tabular is not None else None,
                audio=info.audio,
                target=make_target(info.task, info.labels),
                threads=default_threads(),
            ),
            task=info.task,
            labels=info.labels,
            spec=job.evaluation,
            run=run,
            split=SPLIT,
            seed=job.seed,
            model={
                "run_id": info.run_id,
                "step": info.step,
                "epoch": info.epoch - 1,
                "parameters": int(model.count_params()),
            },
            on_bad_rows=on_bad_rows,
            on_progress=on_progress,
        )
        budget.flush()
        render_report(run)
    return {"split": SPLIT, "metrics": result["metrics"]["headline"], "report": f"{run.url}/{REPORT_HTML}"}


def _complete(predict_fn: PredictFn, info: ArtifactInfo) -> PredictFn:
    """Feeds a modality that the model reads and the job does not as absent in every row."""

    def complete(arrays: Mapping[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
        rows = len(next(iter(arrays.values())))
        return predict_fn({**absent_inputs(info.facts, rows), **arrays})

    return complete
