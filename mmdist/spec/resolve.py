"""Fills in what a job leaves open and the file alone decides: absolute folders, lanes, replicas."""

import math
from pathlib import Path
from typing import Any, TypeVar

from mmdist.spec.base import Spec
from mmdist.spec.data import CacheSpec, InputDataSpec, LanesOrderSpec, TrainDataSpec
from mmdist.spec.importing import FolderSourceSpec, ImportSpec, TableSourceSpec, TfdsSourceSpec
from mmdist.spec.job import EvaluateJob, ImportJob, JobSpec, PredictJob, TrainJob
from mmdist.spec.metrics import resolved_rule
from mmdist.spec.model import ModelSpec, PretrainedSpec
from mmdist.spec.model.pretrained import is_weight_path
from mmdist.spec.optimizer import PlateauSpec
from mmdist.spec.resources import ResourcesSpec
from mmdist.spec.task import TaskSpec
from mmdist.spec.text import FileTokenizerSpec, TextSpec
from mmdist.spec.train import TrainSpec

__all__ = ["DEFAULT_LANES", "absolute", "known_replicas", "resolve_job", "resolved_lanes"]

DEFAULT_LANES = 32

_Section = TypeVar("_Section", bound=Spec)


def resolved_lanes(data: TrainDataSpec, train: TrainSpec) -> int:
    """The lanes that a job reads in: those that it names, else gcd(32, global_batch_size); 1 in global order."""
    if not isinstance(data.order, LanesOrderSpec):
        return 1
    return data.order.lanes or math.gcd(DEFAULT_LANES, train.global_batch_size)


def known_replicas(resources: ResourcesSpec) -> int | None:
    """Model replicas over all workers; None where only the machines can tell."""
    if resources.replicas_per_worker != "auto":
        return resources.workers * resources.replicas_per_worker
    if resources.gpus_per_worker != "auto":
        return resources.workers * max(resources.gpus_per_worker, 1)
    return None


def absolute(location: str) -> str:
    """A local folder as an absolute path; a URL as it stands."""
    return location if "://" in location else str(Path(location).expanduser().absolute())


def resolve_job(job: JobSpec) -> JobSpec:
    """The job with absolute folders (relative ones lie in the current directory) and its lanes filled in."""
    job = _with(job, storage=absolute(job.storage))
    match job:
        case ImportJob():
            return _with(job, import_=_resolve_import(job.import_))
        case TrainJob():
            return _with(
                job,
                import_=_resolve_import(job.import_) if job.import_ is not None else None,
                data=_resolve_train_data(job.data, job.train),
                train=_resolve_train(job.train, job.task),
                model=_resolve_model(job.model),
            )
        case EvaluateJob():
            return _with(job, model=_resolve_run(job.model), data=_resolve_input(job.data))
        case PredictJob():
            output = absolute(job.output) if job.output is not None else None
            return _with(job, model=_resolve_run(job.model), data=_resolve_input(job.data), output=output)


def _with(section: _Section, **changes: Any) -> _Section:
    return section.model_copy(update=changes)


def _resolve_import(spec: ImportSpec) -> ImportSpec:
    source = spec.source
    match source:
        case FolderSourceSpec() | TableSourceSpec():
            source = _with(source, path=absolute(source.path))
        case TfdsSourceSpec() if source.data_dir is not None:
            source = _with(source, data_dir=absolute(source.data_dir))
        case _:
            pass
    return _with(spec, source=source, output=absolute(spec.output))


def _resolve_train_data(data: TrainDataSpec, train: TrainSpec) -> TrainDataSpec:
    order = data.order
    if isinstance(order, LanesOrderSpec):
        order = _with(order, lanes=resolved_lanes(data, train))
    return _with(
        data,
        train=absolute(data.train),
        validation=absolute(data.validation),
        test=absolute(data.test) if data.test is not None else None,
        order=order,
        text=_resolve_text(data.text),
        cache=_resolve_cache(data.cache),
    )


def _resolve_text(text: TextSpec) -> TextSpec:
    tokenizer = text.tokenizer
    if not isinstance(tokenizer, FileTokenizerSpec) or not is_weight_path(tokenizer.path):
        return text
    return _with(text, tokenizer=_with(tokenizer, path=absolute(tokenizer.path)))


def _resolve_train(train: TrainSpec, task: TaskSpec) -> TrainSpec:
    stopping, optimizer = train.early_stopping, train.optimizer
    if isinstance(optimizer.schedule, PlateauSpec):
        optimizer = _with(optimizer, schedule=resolved_rule(optimizer.schedule, task))
    return _with(
        train,
        optimizer=optimizer,
        checkpoint=_with(train.checkpoint, keep_best=resolved_rule(train.checkpoint.keep_best, task)),
        early_stopping=resolved_rule(stopping, task) if stopping is not None else None,
    )


def _resolve_model(model: ModelSpec) -> ModelSpec:
    changes = {}
    for name in type(model).model_fields:
        tower = getattr(model, name)
        if isinstance(tower, PretrainedSpec) and tower.weights is not None and is_weight_path(tower.weights):
            changes[name] = _with(tower, weights=absolute(tower.weights))
    return _with(model, **changes)


def _resolve_input(data: InputDataSpec) -> InputDataSpec:
    return _with(data, input=absolute(data.input), cache=_resolve_cache(data.cache))


def _resolve_cache(cache: CacheSpec | None) -> CacheSpec | None:
    return _with(cache, path=absolute(cache.path)) if cache is not None else None


def _resolve_run(model: str) -> str:
    """A run given as a folder becomes absolute; a run id or `NAME@latest` stays."""
    return absolute(model) if "/" in model and Path(model).expanduser().exists() else model
