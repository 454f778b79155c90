"""The phases of a job on a running Ray: import, train, evaluate, predict. No TensorFlow in this process."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import ray as typed_ray
from ray.train.v2.api.config import FailureConfig, RunConfig, ScalingConfig
from ray.train.v2.api.data_parallel_trainer import DataParallelTrainer

from mmdist.errors import MmdistError, StopRequestedError
from mmdist.runtime.attendance import Attendance
from mmdist.runtime.backend import WorkersConfig
from mmdist.runtime.cluster import Placement, place_workers
from mmdist.runtime.failures import unwrap
from mmdist.runtime.group_watch import GroupWatch
from mmdist.runtime.groups import Group, Groups
from mmdist.runtime.machines import answering_machines
from mmdist.runtime.pool_watch import PoolWatch
from mmdist.runtime.rundir import run_id_of
from mmdist.runtime.watchdog import Watch, end_on_machine
from mmdist.runtime.worker import evaluate_entry, failure_of, is_regrouped, train_entry
from mmdist.spec.importing import ImportSpec
from mmdist.spec.job import EvaluateJob, ImportJob, JobSpec, PredictJob, TrainJob
from mmdist.storage import EventWriter, Store, is_remote, open_store, stop_requested

__all__ = ["PhaseContext", "run_phases"]

# Ray tells mypy of parameters and results that are those of its older interface.
ray: Any = typed_ray
Trainer: Any = DataParallelTrainer

GROUP_START_TRIES = 2


@dataclass(frozen=True)
class PhaseContext:
    """What the phases work with: the run, its events, a folder for scraps, and where progress is told."""

    run: Store
    events: EventWriter
    scratch: str
    progress: Callable[..., None]
    give_up: Callable[[MmdistError], None]
    """Ends the attempt although a phase does not return."""


def run_phases(job: JobSpec, context: PhaseContext) -> dict[str, Any]:
    """Runs a job to its end; returns facts for its `finished` event (`metrics`, `report`, `output`).

    Raises:
        MmdistError: what ended the job. Ray's own errors come as they are.
    """
    match job:
        case ImportJob():
            return _import(job.import_, job, context)
        case TrainJob():
            if job.import_ is not None:
                _import(job.import_, job, context)
            return _train(job, context)
        case EvaluateJob():
            return _evaluate(job, context)
        case PredictJob():
            return _predict(job, context)


def _begin(context: PhaseContext, name: str) -> None:
    if stop_requested(context.run):
        raise StopRequestedError("stopped as asked, before the next phase began")
    context.events.write("phase", name=name)
    context.progress(phase=name)


def _import(spec: ImportSpec, job: JobSpec, context: PhaseContext) -> dict[str, Any]:
    from mmdist.importing import ImportProgress, run_import

    _begin(context, "import")
    tell = _stoppable_progress(context)
    attendance = _attendance(job, context, "import", is_patient=True)
    with _watching(PoolWatch, job, context) as watch:

        def on_progress(progress: ImportProgress) -> None:
            if progress.parts == progress.total_parts:
                watch.rest()
            tell(**asdict(progress))

        result = run_import(spec, name=job.name, on_progress=on_progress, attend=attendance)
    splits = {name: split.get("rows") for name, split in result.card.get("splits", {}).items()}
    bad = int(result.card.get("quarantined", 0))
    context.events.write("imported", output=spec.output, skipped=result.skipped, rows=splits, quarantined=bad)
    return {
        "output": spec.output,
        "metrics": {"rows": sum(int(rows or 0) for rows in splits.values()), "bad_rows": bad},
    }


def _train(job: TrainJob, context: PhaseContext) -> dict[str, Any]:
    _begin(context, "train")

    def start(group: Group) -> dict[str, Any] | None:
        trainer = Trainer(
            train_entry,
            train_loop_config={
                "run_url": context.run.url,
                "attempt": context.events.attempt,
                "group": group.number,
                "regroup_request": group.regroup_request,
                "resources": job.resources.model_dump(mode="json"),
            },
            backend_config=WorkersConfig(),
            scaling_config=ScalingConfig(
                num_workers=group.placement.workers,
                use_gpu=group.placement.gpus_per_worker > 0,
                resources_per_worker=group.placement.resources,
                placement_strategy="SPREAD",
            ),
            run_config=RunConfig(
                name=f"{run_id_of(context.run)}-{group.number}",
                storage_path=context.scratch,
                # Groups are started anew by us, who can do with fewer workers: Ray's own way to got stuck.
                failure_config=FailureConfig(max_failures=0, controller_failure_limit=GROUP_START_TRIES),
            ),
        )
        with _watching(GroupWatch, job, context):
            outcome = trainer.fit().return_value
            facts = _finished(outcome)
        return None if is_regrouped(outcome) else facts

    return Groups(job, context.run, context.events, machines=answering_machines, start=start).run()


def _evaluate(job: EvaluateJob, context: PhaseContext) -> dict[str, Any]:
    _begin(context, "evaluate")
    placement = _place(job)
    task = ray.remote(
        num_cpus=placement.cpus_per_worker, num_gpus=placement.gpus_per_worker, max_retries=job.resources.max_failures
    )(evaluate_entry)
    reference = task.remote({"run_url": context.run.url, "attempt": context.events.attempt, "model_run_url": job.model})
    with _watching(GroupWatch, job, context):
        return _finished(ray.get(reference))


def _predict(job: PredictJob, context: PhaseContext) -> dict[str, Any]:
    from mmdist.prediction.predict import predict

    _begin(context, "predict")
    placement = _place(job)
    is_patient = any(map(is_remote, (job.data.input, job.output or context.run.url, job.model, context.run.url)))
    tell = _stoppable_progress(context)
    with _watching(PoolWatch, job, context) as watch:

        def on_progress(**progress: Any) -> None:
            if progress["rows"] == progress["total_rows"]:
                watch.rest()
            tell(**progress)

        result = predict(
            job,
            context.run,
            open_store(job.model).child("model"),
            context.events,
            on_progress=on_progress,
            workers=placement.workers,
            cpus_per_worker=placement.cpus_per_worker,
            gpus_per_worker=placement.gpus_per_worker,
            attend=_attendance(job, context, "predict", is_patient=is_patient),
        )
    return {"output": result.output_url, "metrics": _numbers(asdict(result))}


def _place(job: JobSpec) -> Placement:
    return place_workers(job.resources, [node["Resources"] for node in ray.nodes() if node["Alive"]])


def _attendance(job: JobSpec, context: PhaseContext, phase: str, *, is_patient: bool) -> Attendance:
    limit_s = job.resources.hang_timeout_s
    return Attendance(context.run.url, context.events.attempt, phase, limit_s, is_patient)


@contextmanager
def _watching(kind: type[Watch], job: JobSpec, context: PhaseContext) -> Iterator[Watch]:
    """Waits inside for workers, and sees to it that this has an end."""
    watch = kind(
        context.run,
        context.events,
        hang_timeout_s=job.resources.hang_timeout_s,
        end=end_on_machine,
        give_up=context.give_up,
    )
    with watch:
        try:
            yield watch
        except MmdistError as error:
            raise watch.explain(error) from error.__cause__
        except Exception as error:
            raise watch.explain(unwrap(error)) from error


def _finished(outcome: Any) -> dict[str, Any]:
    failure = failure_of(outcome)
    if failure is not None:
        raise failure
    result = outcome["result"] if isinstance(outcome, dict) else None
    facts = result if isinstance(result, dict) else {}
    return {"split": facts.get("split"), "metrics": _numbers(facts.get("metrics")), "report": facts.get("report")}


def _numbers(metrics: Any) -> dict[str, Any]:
    """The single numbers among metrics; of one with a confidence interval, its value."""
    found = {}
    for name, value in (metrics if isinstance(metrics, dict) else {}).items():
        number = value.get("value") if isinstance(value, dict) else value
        if isinstance(number, int | float):
            found[name] = number
    return found


def _stoppable_progress(context: PhaseContext) -> Callable[..., None]:
    """Tells progress, and ends the phase when somebody asked to stop (looked up once a second)."""
    looked_s = 0.0

    def progress(**facts: Any) -> None:
        nonlocal looked_s
        context.progress(**facts)
        if time.monotonic() - looked_s > 1.0:
            looked_s = time.monotonic()
            if stop_requested(context.run):
                raise StopRequestedError("stopped as asked; submit again to go on with what is left")

    return progress
