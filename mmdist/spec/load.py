"""Loads a job file: parse, overrides, validation, folders, and the checks between keys."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from mmdist.errors import JobFileError, Place
from mmdist.spec.checks import check_job
from mmdist.spec.describe import JOB_KINDS
from mmdist.spec.job import EvaluateJob, ImportJob, JobSpec, PredictJob, TrainJob
from mmdist.spec.overrides import apply_overrides
from mmdist.spec.problems import kind_error, raise_all, translate
from mmdist.spec.resolve import resolve_job
from mmdist.spec.yaml_source import Document, KeyPath, parse_document

__all__ = ["LoadedJob", "load_job", "parse_resolved"]


@dataclass(frozen=True)
class LoadedJob:
    """A job that passed every check the file alone allows, and the document that it came from."""

    spec: JobSpec
    document: Document

    @property
    def path(self) -> str:
        """The job file, as it was named."""
        return self.document.file

    def value_place(self, *path: str | int) -> Place:
        """Where a key's value stands: `loaded.value_place("data", "columns", "label")`."""
        where: KeyPath = path
        return self.document.value_place(where)


def load_job(path: str | Path, overrides: Sequence[str] = ()) -> LoadedJob:
    """Loads and checks a job file. Relative folders in it lie in the current directory.

    Args:
        path: The file.
        overrides: `key.path=value`, in order.

    Raises:
        JobFileError: with file, line and column; every error that was found.
    """
    document = apply_overrides(parse_document(_read(path), str(path)), overrides)
    job = resolve_job(_validated(document))
    raise_all(check_job(job, document))
    return LoadedJob(job, document)


def parse_resolved(text: str | bytes, file: str = "job.yaml") -> JobSpec:
    """The job of a run directory's job.yaml: validated, and otherwise as it stands.

    Raises:
        JobFileError: where it is not such a file.
    """
    return _validated(parse_document(text, file))


def _validated(document: Document) -> JobSpec:
    kind = document.value.get("kind")
    model = JOB_KINDS.get(kind) if isinstance(kind, str) else None
    if model is None:
        raise kind_error(document)
    try:
        job = model.model_validate(document.value, strict=True, by_alias=True, by_name=False)
    except ValidationError as error:
        # What pydantic says is translated whole; the chain would only repeat it.
        raise_all(translate(error.errors(include_url=False), model, document))
        raise
    if not isinstance(job, ImportJob | TrainJob | EvaluateJob | PredictJob):
        raise TypeError(f"{model.__name__} is not a job")
    return job


def _read(path: str | Path) -> bytes:
    try:
        return Path(path).read_bytes()
    except FileNotFoundError as error:
        raise JobFileError("there is no such job file", received=str(path), remedy=_look_around(Path(path))) from error
    except OSError as error:
        raise JobFileError(
            "the job file cannot be read", received=f"{error.strerror or error}", place=Place(str(path))
        ) from error


def _look_around(path: Path) -> str:
    folder = path.parent
    if not folder.is_dir():
        return f"there is no folder {folder} either; job files of mmdist's repository lie in jobs/"
    found = sorted(str(file) for pattern in ("*.yaml", "*.yml") for file in folder.glob(pattern))
    return f"there are: {', '.join(found[:8])}" if found else f"there is no YAML file in {folder.absolute()}"
