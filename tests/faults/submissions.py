"""Submissions whose replies are lost: each run id ends as one run, driven once at a time, finished once.

A submission is a process that makes or adopts the run directory, claims it, works and says that it finished: the
steps of `mmdist submit`, without Ray. Beside others under the same id it is killed before or after a random write, or
is told that a write failed which took place. Whoever was not answered submits again.

    python tests/faults/submissions.py --runs 1000 --seed 0
"""

import argparse
import fcntl
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmdist.errors import StorageError
from mmdist.runtime import lease, rundir
from mmdist.runtime.driver import begin_attempt
from mmdist.runtime.lease import RunTakenError
from mmdist.runtime.rundir import create_run, read_run_state
from mmdist.spec.job import ImportJob, JobSpec
from mmdist.storage import Store, open_store, read_events

FAULTS = ("none", "kill-before", "kill-after", "lost-reply")
MOST_WRITES = 8
PATIENCE_S = 0.3
"""How long a write of another process is waited for, in place of seconds: here nothing else slows one down."""


@dataclass(frozen=True)
class Fault:
    """What happens at which write of a submission."""

    kind: str
    write: int


def make_job(storage: Path) -> JobSpec:
    return ImportJob.model_validate(
        {
            "kind": "import",
            "name": "many",
            "storage": str(storage),
            "import": {"source": {"type": "openmoji"}, "output": str(storage / "data")},
        }
    )


def break_writes(fault: Fault) -> None:
    """Counts the writes of this process, and does the fault at its turn."""
    done = 0

    def wrap(name: str) -> None:
        real: Callable[..., Any] = getattr(Store, name)

        def broken(self: Store, *arguments: Any, **options: Any) -> Any:
            nonlocal done
            done += 1
            if done == fault.write and fault.kind == "kill-before":
                os.kill(os.getpid(), signal.SIGKILL)
            result = real(self, *arguments, **options)
            if done == fault.write and fault.kind == "kill-after":
                os.kill(os.getpid(), signal.SIGKILL)
            if done == fault.write and fault.kind == "lost-reply":
                raise StorageError("the reply was lost")
            return result

        setattr(Store, name, broken)

    for name in ("write_bytes", "write_if_absent"):
        wrap(name)


def submission(job: JobSpec, run_id: str, *, adopt: bool) -> None:
    """Submits once; returns when the run has ended. Without `adopt`, the control, it claims without having looked."""
    run = create_run(job, run_id, resolved=job).run
    while True:
        state = read_run_state(run)
        if adopt and state.is_over:
            return
        if adopt and state.state == "running":
            time.sleep(0.005)
            continue
        try:
            attempt = begin_attempt(run, after=state.attempt if adopt else None)
        except RunTakenError:
            continue
        break
    lock = os.open(Path(run.full_path("lock")), os.O_CREAT | os.O_RDWR)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        Path(run.full_path("two-at-once")).touch()
    time.sleep(0.002)
    attempt.finish("succeeded", 0)


def start(job: JobSpec, run_id: str, fault: Fault, *, adopt: bool) -> int:
    """A submission in a process of its own; its id."""
    child = os.fork()
    if child:
        return child
    rundir.WRITTEN_WITHIN_S = lease.WRITTEN_WITHIN_S = PATIENCE_S
    try:
        if fault.kind != "none":
            break_writes(fault)
        submission(job, run_id, adopt=adopt)
        os._exit(0)
    except StorageError:
        os._exit(4)
    except BaseException as error:
        os.write(2, f"{type(error).__name__}: {error}\n".encode())
        os._exit(1)


def submit_one(job: JobSpec, run_id: str, rng: random.Random, *, adopt: bool = True) -> Counter[str]:
    """Submits under one id, several at once and again, until everybody was answered."""
    counts: Counter[str] = Counter()
    waiting = [
        start(job, run_id, Fault(rng.choice(FAULTS), rng.randint(1, MOST_WRITES)), adopt=adopt)
        for _ in range(rng.randint(1, 3))
    ]
    while waiting:
        counts["submissions"] += 1
        code = os.waitstatus_to_exitcode(os.waitpid(waiting.pop(0), 0)[1])
        counts["killed" if code < 0 else {0: "answered", 4: "told of an error"}.get(code, "bugs")] += 1
        if code != 0:
            waiting.append(start(job, run_id, Fault(rng.choice(FAULTS), rng.randint(1, MOST_WRITES)), adopt=adopt))
    return counts


def wrong_with(storage: Path, run_id: str) -> str | None:
    """What keeps a run from being one run that was finished once."""
    run = open_store(str(storage)).child(run_id)
    ended = [event.facts["state"] for event in read_events(run) if event.kind == "finished"]
    if ended.count("succeeded") != 1:
        return f"{run_id}: finished {ended.count('succeeded')} times"
    if run.exists("two-at-once"):
        return f"{run_id}: two drivers at once"
    state = read_run_state(run)
    return None if state.state == "succeeded" else f"{run_id}: {state.state}"


def campaign(runs: int, seed: int, *, adopt: bool = True) -> tuple[Counter[str], list[str]]:
    """Submits so many runs. What was counted, and what is wrong with those that are not one run each."""
    rng = random.Random(seed)
    counts: Counter[str] = Counter()
    wrong = []
    with tempfile.TemporaryDirectory() as folder:
        storage = Path(folder)
        job = make_job(storage)
        for number in range(runs):
            run_id = f"run-{number:04d}"
            counts += submit_one(job, run_id, rng, adopt=adopt)
            found = wrong_with(storage, run_id)
            wrong += [found] if found else []
        folders = sum(path.is_dir() for path in storage.iterdir())
        if folders != runs:
            wrong.append(f"{folders} run directories")
    return counts, wrong


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    counts, wrong = campaign(options.runs, options.seed)
    told = ", ".join(f"{count:,} {name}" for name, count in counts.items())
    sys.stdout.write(f"{options.runs - len(wrong):,}/{options.runs:,} ids are one run each ({told})\n")
    for line in wrong[:20]:
        sys.stdout.write(f"{line}\n")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
