"""Starts the processes of a proof one after the other, and kills the one that is to be killed."""

import json
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from mmdist.errors import MmdistError, WorkerLostError
from mmdist.runtime.failures import error_from_record
from mmdist.runtime.rundir import create_run
from mmdist.runtime.verifying.records import Recording, read_recording
from mmdist.runtime.verifying.sample import CHECKPOINT_EVERY
from mmdist.spec.job import TrainJob
from mmdist.spec.resources import ResourcesSpec
from mmdist.storage import Store, open_store
from mmdist.training.checkpoint import newest_step

__all__ = ["Processes", "Started", "raise_failure"]

LIMIT_S = 1800.0
LOOK_EVERY_S = 0.05
SAVE_LIMIT_S = 60.0


@dataclass(frozen=True)
class Started:
    """A process that has ended."""

    recording: Recording
    path: Path
    run: Store
    signal: int | None
    """What ended it; None where it ended by itself."""


@dataclass(frozen=True)
class Processes:
    """Runs workers over one job in a folder."""

    folder: Path
    job: TrainJob

    def work(
        self,
        name: str,
        mode: str,
        resources: ResourcesSpec,
        *,
        run_name: str | None = None,
        attempt: int = 1,
        kill_after: int | None = None,
    ) -> Started:
        """Runs one process to its end, or to its SIGKILL.

        Args:
            name: Of its files.
            mode: `parity` or `train`.
            resources: In place of the job's.
            run_name: Run directory, by default the name.
            attempt: The attempt at that run, from 1.
            kill_after: Steps after which it is killed, once a checkpoint of before is committed.

        Raises:
            WorkerLostError: where it ended without having said why.
        """
        run = create_run(self.job, run_name or name, resolved=self.job).run
        recording, log = self.folder / f"{name}.jsonl", self.folder / f"{name}.log"
        config = {
            "mode": mode,
            "run_url": run.url,
            "attempt": attempt,
            "recording": str(recording),
            "resources": resources.model_dump(mode="json"),
            "pause_after": kill_after,
        }
        (self.folder / f"{name}.json").write_text(json.dumps(config, indent=1), encoding="utf-8")
        words = [sys.executable, "-m", "mmdist.runtime.verifying.worker", str(self.folder / f"{name}.json")]
        with log.open("wb") as output:
            process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
            try:
                if kill_after is not None:
                    _kill_after(process, recording, run, kill_after)
                code = process.wait(LIMIT_S)
            except subprocess.TimeoutExpired as error:
                raise WorkerLostError(
                    f"a worker of the proof did not end in {LIMIT_S:.0f} s", received=_tail(log)
                ) from error
            finally:
                if process.poll() is None:
                    process.kill()
                    process.wait()
        found = read_recording(recording)
        if code > 0 and found.failure is None:
            raise MmdistError(f"a worker of the proof ended with code {code}", received=_tail(log))
        if code < 0 and kill_after is None:
            raise WorkerLostError(
                f"a worker of the proof was ended by signal {-code}",
                received=_tail(log),
                remedy="was memory short? Lower `train.global_batch_size`, or verify on a larger machine",
            )
        return Started(found, recording, open_store(run.url), -code if code < 0 else None)


def raise_failure(started: Started) -> None:
    """Raises what ended a process, if an error did."""
    if started.recording.failure is not None:
        raise error_from_record(dict(started.recording.failure))


def _kill_after(process: "subprocess.Popen[bytes]", recording: Path, run: Store, steps: int) -> None:
    deadline = time.monotonic() + LIMIT_S
    while process.poll() is None and time.monotonic() < deadline:
        if len(read_recording(recording).steps) >= steps:
            break
        time.sleep(LOOK_EVERY_S)
    # The checkpoint of before may still be on its way to the disk, and the one before that be of an epoch's end.
    deadline = time.monotonic() + SAVE_LIMIT_S
    due = (steps - 1) // CHECKPOINT_EVERY * CHECKPOINT_EVERY
    while process.poll() is None and newest_step(run) < due and time.monotonic() < deadline:
        time.sleep(LOOK_EVERY_S)
    if process.poll() is None:
        process.send_signal(signal.SIGKILL)


def _tail(log: Path) -> str:
    return log.read_text(encoding="utf-8", errors="replace")[-2000:] or "nothing was printed"
