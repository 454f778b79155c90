"""Submits a job: checks it, makes or adopts its run directory, starts it here or on a cluster, and follows it."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from mmdist.errors import MmdistError, StopRequestedError, UsageError
from mmdist.runtime.driver import ENDING_S, Attempt, begin_attempt, stop_on_signals
from mmdist.runtime.embedded import embedded_ray
from mmdist.runtime.failures import error_record
from mmdist.runtime.find import find_model, find_run
from mmdist.runtime.follow import Follower
from mmdist.runtime.lease import RunTakenError
from mmdist.runtime.logs import captured_output
from mmdist.runtime.preflight import preflight
from mmdist.runtime.render import LogFormat, View, open_view
from mmdist.runtime.rundir import (
    JOB_HASH,
    change_resources,
    create_run,
    new_run_id,
    read_job,
    read_run_state,
    refuse_other_work,
    run_id_of,
)
from mmdist.runtime.state import RunState
from mmdist.spec.job import EvaluateJob, JobSpec, PredictJob
from mmdist.spec.load import load_job
from mmdist.storage import DRIVER, Store

if TYPE_CHECKING:
    from mmdist.runtime.address import ClusterJob

__all__ = ["Submission", "SubmitRequest", "start_detached", "submit"]

LOOK_EVERY_S = 0.25
REMOTE_LOOK_EVERY_S = 2.0
DETACH_LIMIT_S = 30.0


@dataclass(frozen=True)
class SubmitRequest:
    """What a user asked `mmdist submit` for."""

    job_path: str | Path | None = None
    overrides: tuple[str, ...] = ()
    address: str | None = None
    storage: str | None = None
    detach: bool = False
    run_id: str | None = None
    resume: str | None = None
    log_format: LogFormat = "auto"


@dataclass(frozen=True)
class Submission:
    """A run that was submitted, and how it stands when `submit` returns."""

    run: Store
    state: RunState
    exit_code: int


def submit(request: SubmitRequest, *, announce: Callable[[str], None], stream: TextIO) -> Submission:
    """Runs a job to its end, or starts it when asked to detach.

    Args:
        request: What was asked.
        announce: Called with the run's id as soon as it is certain.
        stream: Where progress is shown.

    Raises:
        MmdistError: what keeps the job from being started. How it ended is in what is returned.
    """
    run, overrides = _resume(request) if request.resume is not None else _open(request)
    announce(run_id_of(run))
    state = read_run_state(run)
    resumed_after = state.attempt if request.resume is not None else -1
    while True:
        if state.is_over and state.attempt > resumed_after:
            return _ended(run, state)
        if state.state == "running":
            return _ended(run, state) if request.detach else _watch(run, request.log_format, stream)
        try:
            return _start(run, state, overrides, request, stream)
        except RunTakenError:
            # Another submission was quicker: its attempt is this one's too.
            state = read_run_state(run)


def _start(run: Store, state: RunState, overrides: Sequence[str], request: SubmitRequest, stream: TextIO) -> Submission:
    address = request.address or os.environ.get("RAY_ADDRESS")
    if address:
        return _on_cluster(run, overrides, address, request, stream)
    if request.detach:
        start_detached(run, overrides)
        return Submission(run, read_run_state(run), 0)
    return _here(run, state.attempt, overrides, request.log_format, stream)


def _open(request: SubmitRequest) -> tuple[Store, tuple[str, ...]]:
    if request.job_path is None:
        raise UsageError(
            "there is nothing to submit", expected="JOB, or --resume RUN", received="neither", remedy="name a job file"
        )
    storage = (f"storage={request.storage}",) if request.storage is not None else ()
    loaded = load_job(request.job_path, (*request.overrides, *storage))
    preflight(loaded)
    job = loaded.spec
    created = create_run(job, request.run_id or new_run_id(job.name), resolved=_with_model(job))
    return created.run, ()


def _with_model(job: JobSpec) -> JobSpec:
    """The job with its model pinned to one run, so that a resume takes the same one."""
    if isinstance(job, EvaluateJob | PredictJob):
        return job.model_copy(update={"model": find_model(job.model, job.storage).url})
    return job


def _resume(request: SubmitRequest) -> tuple[Store, tuple[str, ...]]:
    if request.run_id is not None:
        raise UsageError("--run-id names a new run and --resume an old one", remedy="give one of the two")
    loaded = None if request.job_path is None else load_job(request.job_path, request.overrides)
    storage = request.storage or (loaded.spec.storage if loaded else "runs")
    run = find_run(str(request.resume), storage)
    job = read_job(run)
    overrides = request.overrides
    if loaded is not None:
        other = loaded.spec
        if isinstance(other, EvaluateJob | PredictJob) and isinstance(job, EvaluateJob | PredictJob):
            # The run pinned its model when it began; the file may still say `NAME@latest`.
            other = other.model_copy(update={"model": job.model})
        refuse_other_work(job, other)
        overrides = tuple(
            f"resources.{name}={json.dumps(value)}" for name, value in other.resources.model_dump(mode="json").items()
        )
    change_resources(job, overrides)
    if read_run_state(run).state == "succeeded":
        raise UsageError(
            f"the run {run_id_of(run)} has finished; there is nothing to resume",
            remedy=f"see it with `mmdist status {run_id_of(run)}`, or submit the job as a new run",
        )
    return run, overrides


def _here(run: Store, after: int, overrides: Sequence[str], log_format: LogFormat, stream: TextIO) -> Submission:
    """Drives the run in this process, with an embedded Ray."""
    attempt = begin_attempt(run, overrides, after=after)
    follower = Follower(run, first_attempt=attempt.events.attempt)
    stream.flush()
    with (
        captured_output(run, attempt.events.attempt, DRIVER) as (_, terminal),
        os.fdopen(os.dup(terminal), "w", buffering=1, encoding="utf-8", errors="replace") as shown,
        open_view(log_format, shown) as view,
        stop_on_signals(run, lambda: _end_at_once(attempt, view, shown)),
    ):
        thread = attempt.start(embedded_ray)
        while not attempt.is_over.wait(LOOK_EVERY_S):
            view.show(follower.look())
        view.show(follower.look())
        view.close()
        thread.join(ENDING_S)
    state = read_run_state(run)
    if attempt.failure is not None and not state.is_over:
        # Storage did not take the last event: this process alone knows how the attempt ended.
        state = replace(state, state="failed", exit_code=attempt.exit_code, error=error_record(attempt.failure))
    return _ended(run, state, attempt.exit_code)


def _end_at_once(attempt: Attempt, view: View, shown: TextIO) -> None:
    """The second Ctrl-C: Ray's processes end with this one."""
    view.close()
    failure = StopRequestedError("stopped at once, by a second interrupt")
    with suppress(MmdistError):
        attempt.finish("stopped", failure.exit_code, failure=error_record(failure))
    shown.write(f"stopped at once\nresume with: mmdist submit --resume {attempt.run.url}\n")
    shown.flush()
    os._exit(failure.exit_code)


def start_detached(run: Store, overrides: Sequence[str]) -> None:
    """Starts a driver with an embedded Ray in a session of its own, and waits until it holds the run.

    Raises:
        MmdistError: when it ends before it does.
    """
    words = [sys.executable, "-m", "mmdist.runtime.driver", run.url, "--embedded"]
    words += [word for override in overrides for word in ("--set", override)]
    before = read_run_state(run).attempt
    words += ["--after", str(before)]
    driver = subprocess.Popen(
        words,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    deadline = time.monotonic() + DETACH_LIMIT_S
    while read_run_state(run).attempt == before:
        if driver.poll() is not None or time.monotonic() > deadline:
            words_left = driver.stderr.read() if driver.stderr is not None and driver.poll() is not None else ""
            raise MmdistError("the detached driver did not take the run", received=words_left[-2000:] or "nothing")
        time.sleep(0.1)


def _on_cluster(
    run: Store, overrides: Sequence[str], address: str, request: SubmitRequest, stream: TextIO
) -> Submission:
    from mmdist.runtime.address import ClusterJob

    state = read_run_state(run)
    run_id = run_id_of(run)
    job = ClusterJob(address, run_id if state.attempt == 0 else f"{run_id}-{state.attempt + 1}")
    job.submit(run.url, run.read_bytes(JOB_HASH).decode().strip(), overrides, after=state.attempt)
    if request.detach:
        return Submission(run, state, 0)
    return _watch(run, request.log_format, stream, after_attempt=state.attempt, job=job)


def _watch(
    run: Store,
    log_format: LogFormat,
    stream: TextIO,
    *,
    after_attempt: int | None = None,
    job: "ClusterJob | None" = None,
) -> Submission:
    """Follows a run that another process drives, until its attempt is over.

    Args:
        run: The run.
        log_format: How progress is shown.
        stream: Where it is shown.
        after_attempt: Newest attempt before this submission; the driver to come claims a later one.
        job: The driver as a Ray job, whose end counts too.
    """
    newest = read_run_state(run).attempt if after_attempt is None else after_attempt + 1
    follower = Follower(run, first_attempt=newest)
    every_s = LOOK_EVERY_S if run.is_local else REMOTE_LOOK_EVERY_S
    asked_s = time.monotonic()
    view = open_view(log_format, stream)

    def at_once() -> None:
        view.close()
        if job is not None:
            job.stop()
        stream.write(f"left; if it still runs, `mmdist stop {run.url}` asks it to stop\n")
        stream.flush()
        os._exit(StopRequestedError.exit_code)

    with view, stop_on_signals(run, at_once):
        while True:
            look = follower.look()
            view.show(look)
            claimed = look.state.attempt >= newest
            if claimed and look.state.state != "running":
                return _ended(run, look.state)
            if job is not None and time.monotonic() - asked_s > REMOTE_LOOK_EVERY_S:
                asked_s = time.monotonic()
                failure = job.end()
                if failure is not None and not (state := follower.look().state).is_over:
                    if not claimed:
                        raise failure
                    return Submission(run, state, 6)
            time.sleep(every_s)


def _ended(run: Store, state: RunState, exit_code: int | None = None) -> Submission:
    if exit_code is None:
        exit_code = state.exit_code if state.exit_code is not None else {"interrupted": 6}.get(state.state, 0)
    return Submission(run, state, exit_code)
