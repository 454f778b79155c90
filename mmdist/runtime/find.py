"""Finds runs by id, unique prefix, `latest`, `NAME@latest` or location."""

import json
from pathlib import Path

from mmdist.errors import UsageError
from mmdist.runtime.rundir import JOB_HASH, read_run_state, run_id_of
from mmdist.runtime.state import SUBMIT
from mmdist.storage import Store, is_committed, is_remote, open_store

__all__ = ["find_model", "find_run", "list_runs"]

MODEL = "model"


def list_runs(storage: str) -> list[Store]:
    """The runs in a storage location, oldest first."""
    root = open_store(storage)
    runs = [root.child(entry.path) for entry in root.list() if entry.is_folder]
    return sorted((run for run in runs if run.exists(JOB_HASH)), key=_submitted)


def find_run(name: str, storage: str) -> Store:
    """The run that a name on the command line means.

    Args:
        name: An id, the beginning of just one id, `latest`, `JOB@latest`, or a run directory's location.
        storage: Where ids are looked up.

    Raises:
        UsageError: when there is no such run, or several.
    """
    if is_remote(name) or "/" in name or Path(name, JOB_HASH).is_file():
        run = open_store(name)
        if not run.exists(JOB_HASH):
            raise UsageError("there is no run directory there", expected=f"a folder with {JOB_HASH}", received=name)
        return run
    job, at, last = name.rpartition("@")
    if last == "latest":
        runs = [run for run in list_runs(storage) if not at or _facts(run).get("name") == job]
        if not runs:
            raise UsageError(
                f"no run of the job {job} in {storage}" if at else f"no run in {storage}",
                received=name,
                remedy="`mmdist runs` lists what is there; --storage looks elsewhere",
            )
        return runs[-1]
    root = open_store(storage)
    if name and root.exists(f"{name}/{JOB_HASH}"):
        return root.child(name)
    runs = list_runs(storage)
    matches = [run for run in runs if run_id_of(run).startswith(name)]
    if len(matches) == 1:
        return matches[0]
    shown = ", ".join(run_id_of(run) for run in (matches or runs)[-5:])
    raise UsageError(
        f"{len(matches)} runs begin with {name}" if matches else f"there is no run {name} in {storage}",
        received=name,
        remedy=f"one of: {shown}" if shown else "submit a job first, or look elsewhere with --storage",
    )


def find_model(name: str, storage: str) -> Store:
    """The run whose model an evaluate or predict job uses; `JOB@latest` is the newest one that finished.

    Raises:
        UsageError: when there is no such run, or it has no model yet.
    """
    job, at, last = name.rpartition("@")
    if last == "latest":
        runs = [run for run in list_runs(storage) if not at or _facts(run).get("name") == job]
        for run in reversed(runs):
            if is_committed(run, MODEL) and read_run_state(run).state == "succeeded":
                return run
        raise UsageError(
            f"no finished train run of the job {job or '(any)'} in {storage}",
            received=f"model: {name}; {len(runs)} runs of that name",
            remedy="train one first (`mmdist submit jobs/train.yaml`), or name a run by its id",
        )
    run = find_run(name, storage)
    if not is_committed(run, MODEL):
        raise UsageError(
            f"the run {run_id_of(run)} has no finished model",
            expected=f"{run.url}/{MODEL}/COMMITTED",
            received=f"a run that is {read_run_state(run).state}",
            remedy=f"let it finish: `mmdist submit --resume {run_id_of(run)}`",
        )
    return run


def _facts(run: Store) -> dict[str, object]:
    try:
        record = json.loads(run.read_bytes(f"events/0000-{SUBMIT}-000000.json"))
    except (FileNotFoundError, ValueError):
        return {}
    return {"time": record.get("time"), **record.get("facts", {})}


def _submitted(run: Store) -> tuple[float, str]:
    time_s = _facts(run).get("time")
    return (float(time_s) if isinstance(time_s, int | float) else 0.0, run.url)
