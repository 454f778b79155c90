"""What follows the last step: the best checkpoint's weights as the run's model, its evaluation and its report."""

import logging
from typing import Any

from mmdist.data.batches import BadRow
from mmdist.data.dataset import Dataset
from mmdist.errors import DataRefusedError, StopRequestedError
from mmdist.evaluation.evaluate import evaluate_model
from mmdist.evaluation.paths import REPORT_HTML
from mmdist.evaluation.report import render_report
from mmdist.models import ArtifactInfo, load_artifact, save_artifact
from mmdist.models.arrays import assign_arrays, read_variables
from mmdist.models.build import make_predict_fn
from mmdist.storage import CommitError, is_committed
from mmdist.training.checkpoint import read_checkpoint
from mmdist.training.parts import LoopParts
from mmdist.training.session import make_budget
from mmdist.training.state import TrainingState

__all__ = ["MODEL_FOLDER", "finish_training"]

MODEL_FOLDER = "model"

_log = logging.getLogger(__name__)


def finish_training(parts: LoopParts, state: TrainingState) -> dict[str, Any]:
    """Writes the model unless the run has one, evaluates it and renders the report.

    Returns:
        `split`, that was evaluated, `metrics`, the report's headline, and `report`, where report.html lies.

    Raises:
        StopRequestedError: where somebody asks to stop meanwhile; resumed, it begins here again.
        DataRefusedError: where the test data cannot be used.
    """
    if not is_committed(parts.run, MODEL_FOLDER):
        _save_best(parts, state)
    metrics = _evaluate(parts)
    render_report(parts.run)
    split, _ = _evaluated(parts)
    return {"split": split, "metrics": metrics["headline"], "report": f"{parts.run.url}/{REPORT_HTML}"}


def _save_best(parts: LoopParts, state: TrainingState) -> None:
    step, epoch = _assign_best(parts, state)
    parts.averages.take_over()
    job, data = parts.job, parts.data
    reads_image, reads_text = data.collator.image_size is not None, data.tokenizer is not None
    info = ArtifactInfo(
        run_id=parts.run.url.rstrip("/").rpartition("/")[2],
        step=step,
        epoch=epoch,
        columns=job.data.columns,
        image=job.data.image if reads_image else None,
        text=job.data.text if reads_text else None,
        vocabulary=data.tokenizer.size if data.tokenizer is not None else None,
        tokenizer_sha256=data.tokenizer.sha256 if data.tokenizer is not None else None,
        audio=data.collator.audio,
        tabular=data.tabular.to_json() if data.tabular is not None else None,
        labels=data.target.labels,
        label_weights=data.target.label_weights,
        target=(data.target.mean, data.target.deviation),
        task=job.task,
        model=job.model,
        seed=job.seed,
    )
    weights = parts.model.weights
    save_artifact(
        parts.run,
        MODEL_FOLDER,
        info,
        paths=[weight.path for weight in weights],
        weights=read_variables(weights),
        tokenizer=data.tokenizer_bytes,
    )
    parts.events.write("model-saved", path=MODEL_FOLDER, step=step, epoch=epoch)


def _assign_best(parts: LoopParts, state: TrainingState) -> tuple[int, int]:
    """Puts the best checkpoint that verifies into the model; returns its step and its number of finished epochs."""
    for entry in parts.keep_best.entries:
        try:
            best = read_checkpoint(parts.run, entry["folder"])
            assign_arrays(parts.variables, best.arrays, file=f"{parts.run.url}/{entry['folder']}")
        except (CommitError, DataRefusedError) as error:
            parts.events.write("checkpoint-refused", path=entry["folder"], reason=str(error))
            continue
        return int(entry["step"]), int(entry["epoch"]) + 1
    # Nothing better is left than where training ended.
    return state.step, state.epoch


def _evaluated(parts: LoopParts) -> tuple[str, Dataset]:
    """The split that the report is about."""
    if parts.data.test is not None:
        return "test", parts.data.test
    return "validation", parts.data.validation


def _evaluate(parts: LoopParts) -> dict[str, Any]:
    split, dataset = _evaluated(parts)
    budget = make_budget(parts.job, parts.run, parts.events, f"evaluate-{split}", dataset.rows)
    artifact = load_artifact(parts.run, MODEL_FOLDER)
    model = artifact.build()
    heartbeat = parts.heartbeat
    heartbeat.begin("evaluate")

    def on_progress(rows: int, total_rows: int) -> None:
        heartbeat.note(rows=rows, total_rows=total_rows)
        if heartbeat.stop_requested:
            raise StopRequestedError(
                "stopped as asked, while evaluating; the model is trained and kept",
                remedy="go on with `mmdist submit --resume RUN`",
            )

    def on_bad_rows(rows: Any) -> None:
        bad: list[BadRow] = list(rows)
        budget.add(bad)

    result = evaluate_model(
        make_predict_fn(model, parts.task),
        dataset,
        parts.data.collator,
        task=parts.job.task,
        labels=parts.data.target.labels,
        spec=parts.job.evaluation,
        run=parts.run,
        split=split,
        seed=parts.job.seed,
        model={
            "run_id": artifact.info.run_id,
            "step": artifact.info.step,
            "epoch": artifact.info.epoch - 1,
            "parameters": int(model.count_params()),
        },
        on_bad_rows=on_bad_rows,
        on_progress=on_progress,
    )
    budget.flush()
    metrics: dict[str, Any] = result["metrics"]
    _log.info("%s: %s", split, metrics["headline"])
    return metrics
