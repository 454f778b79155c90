"""Makes run directories, adopts those that are there, and reads their job back."""

import hashlib
import secrets
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from platform import python_version
from typing import Any, TypeVar

from mmdist.errors import ResourceError, UsageError
from mmdist.runtime.lease import live_attempt
from mmdist.runtime.state import SUBMIT, RunState, run_state
from mmdist.spec.dump import dump_job, job_hash
from mmdist.spec.job import JobSpec
from mmdist.spec.load import load_job, parse_resolved
from mmdist.spec.resources import ResourcesSpec
from mmdist.storage import EventWriter, Store, claims, open_store, read_events, write_first

__all__ = [
    "NewRun",
    "change_resources",
    "create_run",
    "new_run_id",
    "read_job",
    "read_run_state",
    "run_id_of",
    "versions",
    "work_hash",
]

JOB = "job.yaml"
JOB_HASH = "job.sha256"
WRITTEN_WITHIN_S = 2.0
T = TypeVar("T")
LIBRARIES = ("mmdist", "tensorflow", "keras", "ray", "pyarrow", "numpy")


@dataclass(frozen=True)
class NewRun:
    """A run directory; `adopted` where it was there before with the same job."""

    run: Store
    adopted: bool


def new_run_id(name: str) -> str:
    """A fresh id: the job's name, the time, and four random hex digits."""
    return f"{name}-{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(2)}"


def run_id_of(run: Store) -> str:
    """The id of a run: the last part of its location."""
    return run.url.rstrip("/").rsplit("/", 1)[-1]


def work_hash(job: JobSpec) -> str:
    """Identifies the work of a job, whatever it is given to do it with and wherever it is kept."""
    return job_hash(job.model_copy(update={"resources": ResourcesSpec(), "storage": ""}))


def create_run(job: JobSpec, run_id: str, *, resolved: JobSpec) -> NewRun:
    """Makes the run directory of a job, or adopts the one that holds the same job.

    Args:
        job: The job as submitted, which a later submission is compared with.
        run_id: Name of the run directory in the job's storage.
        resolved: The job as it will run (the model of an evaluate or predict job pinned to one run).

    Raises:
        UsageError: when the directory holds another job.
        StorageError: when storage refuses.
    """
    run = open_store(job.storage).child(run_id)
    facts = {"run_id": run_id, "kind": job.kind, "name": job.name, "work": work_hash(job), "versions": versions()}
    adopted = not write_first(run, 0, SUBMIT, "submitted", **facts)
    if adopted:
        submitted = _soon(lambda: next((event for event in read_events(run) if event.kind == "submitted"), None))
        if submitted is not None and submitted.facts.get("work") != work_hash(job):
            raise UsageError(
                f"the run {run_id} is there already, with another job",
                received=run.url,
                remedy="choose another --run-id, or leave it out",
            )
        if _soon(lambda: _is_whole(run)) or claims(run):
            return NewRun(run, adopted=True)
        # A submission was killed before the run was whole. Nobody has begun with it, so that this one completes it.
        EventWriter(run, 0, SUBMIT).write("submitted", **facts)
    text = dump_job(resolved).encode()
    run.write_bytes(JOB, text)
    run.write_bytes(JOB_HASH, hashlib.sha256(text).hexdigest().encode())
    return NewRun(run, adopted=adopted)


def _is_whole(run: Store) -> bool:
    """Whether the job is there and agrees with its hash; another submission may be writing them."""
    try:
        _, received, expected = _read_hashed(run)
    except FileNotFoundError:
        return False
    return received == expected


def _read_hashed(run: Store) -> tuple[bytes, str, str]:
    """The job, its SHA-256, and the one that was written beside it."""
    text = run.read_bytes(JOB)
    return text, hashlib.sha256(text).hexdigest(), run.read_bytes(JOB_HASH).decode().strip()


def _soon(look: Callable[[], T]) -> T:
    """What another process is just writing; what there is, once it should have come."""
    deadline = time.monotonic() + WRITTEN_WITHIN_S
    while not (found := look()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return found


def read_job(run: Store) -> JobSpec:
    """The resolved job of a run directory, its hash checked.

    Raises:
        ResourceError: when this machine does not see the run directory, or its job was changed.
    """
    try:
        # What does not agree may be in the middle of being written.
        text, received, expected = _read_hashed(run)
        if received != expected and _soon(lambda: _is_whole(run)):
            text, received, expected = _read_hashed(run)
    except FileNotFoundError as error:
        raise ResourceError(
            "there is no run directory there",
            expected=f"{run.url}/{JOB}, as `mmdist submit` wrote it",
            received="no such file, seen from this machine",
            remedy="with --address, `storage` must be seen by every machine of the cluster: a shared folder or a URL "
            "such as s3://BUCKET/runs",
        ) from error
    if received != expected:
        raise ResourceError(
            "job.yaml was changed after it was submitted",
            expected=f"SHA-256 {expected[:12]}...",
            received=f"SHA-256 {received[:12]}... in {run.url}",
            remedy="submit the changed job as a new run",
        )
    return parse_resolved(text, f"{run.url}/{JOB}")


def change_resources(job: JobSpec, overrides: Sequence[str]) -> JobSpec:
    """A run's job with `--set` changes, of which only those to `resources` are allowed.

    Raises:
        UsageError: when a change would make it other work.
    """
    if not overrides:
        return job
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, JOB)
        path.write_text(dump_job(job))
        changed = load_job(path, overrides).spec
    refuse_other_work(job, changed)
    return changed


def refuse_other_work(job: JobSpec, other: JobSpec) -> None:
    """Refuses to resume a run with a job that is not its own."""
    if work_hash(job) == work_hash(other):
        return
    ours, theirs = _flat(job.model_dump(mode="json")), _flat(other.model_dump(mode="json"))
    keys = sorted(key for key in ours.keys() | theirs.keys() if ours.get(key) != theirs.get(key))
    keys = [key for key in keys if not key.startswith(("resources.", "storage"))]
    raise UsageError(
        "a run is resumed with the job it began with; only `resources` may change",
        expected=", ".join(f"{key}={ours.get(key)}" for key in keys[:4]),
        received=", ".join(f"{key}={theirs.get(key)}" for key in keys[:4]),
        remedy="leave the job file out (`mmdist submit --resume RUN`), or submit the changed job as a new run",
    )


def read_run_state(run: Store) -> RunState:
    """The state of a run as its events and its driver's liveness tell it now."""
    events = read_events(run)
    while True:
        is_alive = live_attempt(run, events) is not None
        state = run_state(events, driver_alive=is_alive)
        if is_alive or state.is_over:
            return state
        # A driver that is dead now may have written its last event after these were read.
        again = read_events(run)
        if len(again) == len(events):
            return state
        events = again


def versions() -> dict[str, str]:
    """Versions of Python and the libraries that results depend on, without importing them."""
    found = {"python": python_version()}
    for name in LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def _flat(value: Any, above: str = "") -> dict[str, Any]:
    if not isinstance(value, dict):
        return {above: value}
    leaves: dict[str, Any] = {}
    for key, part in value.items():
        leaves |= _flat(part, f"{above}.{key}".strip("."))
    return leaves
