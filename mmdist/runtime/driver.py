"""Drives one attempt at a run, from its claim to its `finished` event, in this process or as a Ray job."""

import argparse
import importlib
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Any, NoReturn

from mmdist.errors import MmdistError, ResourceError, StopRequestedError
from mmdist.runtime.embedded import connected_ray, embedded_ray
from mmdist.runtime.failures import error_record, unwrap
from mmdist.runtime.lease import claim_run
from mmdist.runtime.logs import captured_output
from mmdist.runtime.rundir import change_resources, read_job, versions
from mmdist.spec.job import JobSpec
from mmdist.storage import DRIVER, EventWriter, Store, open_store, request_stop, withdraw_stop, write_live

__all__ = ["ENDING_S", "Attempt", "begin_attempt", "leave", "main", "stop_on_signals"]

HEARTBEAT_EVERY_S = 5.0
PROGRESS_EVERY_S = 1.0
ENDING_S = 5.0
"""What is left to do once an attempt is over; nothing, unless it was given up."""


class Attempt:
    """One driver's hold on a run. `drive` runs in a thread of its own; signals stay with the main thread."""

    def __init__(self, run: Store, job: JobSpec, events: EventWriter) -> None:
        self.run = run
        self.job = job
        self.events = events
        self.exit_code: int | None = None
        self.failure: MmdistError | None = None
        """What ended the attempt, where it did not succeed."""
        self.is_over = threading.Event()
        self._note: dict[str, Any] = {"attempt": events.attempt, "phase": "start-ray"}
        self._noted_s = 0.0
        self._finishing = threading.Lock()

    def start(self, ray_session: Callable[[], AbstractContextManager[str]]) -> threading.Thread:
        """Starts driving; `is_over` is set at the end, with `exit_code`."""
        # A daemon, so that a second Ctrl-C can end the process without waiting for it.
        thread = threading.Thread(target=self._drive, args=(ray_session,), name="mmdist-driver", daemon=True)
        thread.start()
        return thread

    def finish(self, state: str, exit_code: int, **facts: Any) -> None:
        """Writes the last event of this attempt, once. Raises StorageError where storage does not take it."""
        with self._finishing:
            if self.exit_code is None:
                self.events.write("finished", state=state, exit_code=exit_code, **facts)
                self.exit_code = exit_code

    def give_up(self, error: MmdistError) -> None:
        """Ends the attempt while the thread that drives it still waits for something that will not come."""
        self._fail(error)
        self.is_over.set()

    def _drive(self, ray_session: Callable[[], AbstractContextManager[str]]) -> None:
        heart = threading.Thread(target=self._beat, name="mmdist-heartbeat", daemon=True)
        heart.start()
        try:
            self.events.write("phase", name="start-ray")
            # Ray reads the environment when it is imported: the session sets it first.
            session = ray_session()
            # Ray's processes start up meanwhile: what the phases import takes as long as they do.
            early = threading.Thread(target=importlib.import_module, args=("mmdist.runtime.phases",), daemon=True)
            early.start()
            with session as scratch:
                try:
                    early.join()
                    from mmdist.runtime.phases import PhaseContext, run_phases

                    facts = run_phases(
                        self.job, PhaseContext(self.run, self.events, scratch, self._progress, self.give_up)
                    )
                    self.finish("succeeded", 0, **facts)
                except BaseException as error:
                    self._fail(error)
        except BaseException as error:
            self._fail(error)
        finally:
            self.is_over.set()

    def _fail(self, error: BaseException) -> None:
        traceback.print_exception(error)
        if self.is_over.is_set():
            return
        self.failure = failure = unwrap(error)
        state = "stopped" if isinstance(failure, StopRequestedError) else "failed"
        try:
            self.finish(state, failure.exit_code, failure=error_record(failure))
        except MmdistError:
            # Storage is gone too; the exit code still tells, and the run will show as interrupted.
            traceback.print_exc()
            self.exit_code = failure.exit_code

    def _progress(self, **facts: Any) -> None:
        if facts.get("phase") not in (None, self._note.get("phase")):
            self._note = {"attempt": self.events.attempt}
            self._noted_s = 0.0
        self._note = {**self._note, **facts}
        if time.monotonic() - self._noted_s >= PROGRESS_EVERY_S:
            self._write_note()

    def _beat(self) -> None:
        while not self.is_over.wait(HEARTBEAT_EVERY_S):
            self._write_note()

    def _write_note(self) -> None:
        self._noted_s = time.monotonic()
        try:
            write_live(self.run, DRIVER, self._note)
        except MmdistError:
            # A note that cannot be written now is written at the next beat; it decides nothing.
            traceback.print_exc()


def begin_attempt(
    run: Store, overrides: Sequence[str] = (), *, expected_hash: str | None = None, after: int | None = None
) -> Attempt:
    """Claims the run for this process.

    Args:
        run: The run directory.
        overrides: `--set` changes to `resources`.
        expected_hash: SHA-256 of the run's job.yaml, where the submitter knows it.
        after: The newest attempt that the submitter has seen.

    Raises:
        RunTakenError: when another driver holds the run, or held it after that attempt.
        ResourceError: when the run directory is not what was submitted.
    """
    job = change_resources(read_job(run), overrides)
    if expected_hash is not None and run.read_bytes("job.sha256").decode().strip() != expected_hash:
        raise ResourceError("the run directory seen from here holds another job", received=run.url)
    facts = {"versions": versions(), "seed": job.seed, "resources": job.resources.model_dump(mode="json")}
    events = claim_run(run, facts, after=after)
    withdraw_stop(run)
    return Attempt(run, job, events)


@contextmanager
def stop_on_signals(run: Store, on_second: Callable[[], None]) -> Iterator[None]:
    """Turns the first SIGINT or SIGTERM into a stop request, and calls `on_second` on the next."""
    seen = 0

    def handle(number: int, frame: Any) -> None:
        nonlocal seen
        seen += 1
        if seen > 1:
            on_second()
        request_stop(run, signal.Signals(number).name)

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def leave(exit_code: int) -> NoReturn:
    """Ends a process that ran Ray without the interpreter's own ending, in which Ray's threads may abort it."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(exit_code)


def main(arguments: Sequence[str] | None = None) -> int:
    """The driver as a process of its own: a Ray job, or a detached run with an embedded Ray."""
    parser = argparse.ArgumentParser(prog="python -m mmdist.runtime.driver")
    parser.add_argument("run_url")
    parser.add_argument("--job-sha256")
    parser.add_argument("--after", type=int)
    parser.add_argument("--embedded", action="store_true")
    parser.add_argument("--set", action="append", default=[], dest="overrides")
    options = parser.parse_args(arguments)
    run = open_store(options.run_url)
    try:
        attempt = begin_attempt(run, options.overrides, expected_hash=options.job_sha256, after=options.after)
    except MmdistError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code

    def at_once() -> None:
        with suppress(MmdistError):
            attempt.finish("stopped", StopRequestedError.exit_code)
        os._exit(StopRequestedError.exit_code)

    def session() -> AbstractContextManager[str]:
        return embedded_ray() if options.embedded else connected_ray(os.environ["RAY_ADDRESS"])

    with captured_output(run, attempt.events.attempt, DRIVER), stop_on_signals(run, at_once):
        thread = attempt.start(session)
        while not attempt.is_over.wait(0.5):
            pass
        thread.join(ENDING_S)
    return attempt.exit_code if attempt.exit_code is not None else 1


if __name__ == "__main__":
    leave(main())
