"""`mmdist verify` from the job file to its result: check, import, shrink, run, compare."""

import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from mmdist.errors import ResourceError, UsageError
from mmdist.runtime.failures import error_from_record
from mmdist.runtime.preflight import preflight
from mmdist.runtime.verifying.processes import Processes, raise_failure
from mmdist.runtime.verifying.proof import Proof
from mmdist.runtime.verifying.recount import Recount, judge_ledger
from mmdist.runtime.verifying.replicas import judge_replicas
from mmdist.runtime.verifying.resume import Trial, judge_resume
from mmdist.runtime.verifying.sample import CHECKPOINT_EVERY, EPOCHS, shrink
from mmdist.spec.dump import dump_job
from mmdist.spec.job import TrainJob
from mmdist.spec.load import LoadedJob
from mmdist.spec.resources import ResourcesSpec
from mmdist.storage import open_store
from mmdist.storage.commit import COMMITTED

__all__ = ["import_first", "kill_steps", "replicas_of", "verify"]

MOST_CPU_REPLICAS = 8


def verify(loaded: LoadedJob, *, keep: str | None, announce: Callable[[str], None]) -> Proof:
    """Proves what can be proven of a train job on this machine.

    The job's storage is left alone; only its import, where there is one and it was not done, writes its dataset.

    Args:
        loaded: The job.
        keep: A new or empty folder for what is written; else a temporary one.
        announce: Called with what is done next.

    Raises:
        UsageError: where the job is of another kind, or the folder is not empty.
        MmdistError: what keeps the job from being trained at all; a proof that fails is in what is returned.
    """
    job = loaded.spec
    if not isinstance(job, TrainJob):
        raise UsageError(
            "there is nothing to verify", expected="a job of kind train", received=f"kind {job.kind} in {loaded.path}"
        )
    preflight(loaded)
    with _folder(keep) as folder:
        seconds: dict[str, float] = {}
        begun_s = time.monotonic()

        def lap(name: str) -> None:
            seconds[name] = round(time.monotonic() - begun_s - sum(seconds.values()), 2)

        if job.import_ is not None and not open_store(job.import_.output).exists(COMMITTED):
            announce(f"importing into {job.import_.output}, as `mmdist submit` would")
            import_first(job, folder)
            lap("import")
        gpus = _gpus(job.resources)
        replicas = replicas_of(job.resources, gpus)
        announce("taking rows")
        sample = shrink(job, folder, replicas=replicas)
        recount = Recount(sample.job)
        lap("sample")
        processes = Processes(folder, sample.job)
        many, own = _resources(job.resources, replicas, gpus)
        announce(f"1 replica against {replicas}")
        parity = processes.work("parity", "parity", many)
        raise_failure(parity)
        lap("replicas")
        announce("training, left alone")
        alone = processes.work("alone", "train", own)
        raise_failure(alone)
        lap("alone")
        step = random.SystemRandom().choice(kill_steps(recount.batches))
        announce(f"training again, with SIGKILL after step {step}")
        killed = processes.work("killed", "train", own, kill_after=step)
        raise_failure(killed)
        lap("killed")
        announce("resuming")
        resumed = processes.work("resumed", "train", own, run_name="killed", attempt=2)
        lap("resumed")
        announce("comparing")
        trial = Trial(
            alone=alone.recording,
            killed=killed.recording,
            resumed=resumed.recording,
            alone_run=alone.run,
            resumed_run=resumed.run,
            signal=killed.signal,
            dropout=sample.job.model.regularization.dropout,
        )
        resume = judge_resume(trial, recount)
        at = resumed.recording.opening.step if resumed.recording.opening is not None else 0
        merged = (*killed.recording.steps[:at], *resumed.recording.steps)
        runs = {
            "uninterrupted": (alone.run, alone.recording.steps),
            "killed and resumed": (resumed.run, merged),
        }
        checks = (
            judge_replicas(parity.path, steps=recount.batches, rows=recount.dataset.rows),
            resume,
            judge_ledger(recount, runs, groups_checked=sample.groups_checked),
        )
        lap("compare")
        opening = alone.recording.opening
        kind = opening.device_kind if opening is not None else "cpu"
        recordings = (alone.recording, killed.recording, resumed.recording)
        return Proof(
            job=job.name,
            device=f"{opening.replicas if opening is not None else 0} {kind.upper()} replica(s)",
            checks=checks,
            not_proven=_not_proven(job, kind, gpus),
            changes=sample.changes,
            rows=sample.rows,
            of_rows=sample.of_rows,
            steps=sum(len(recording.steps) for recording in recordings) + 2 * recount.batches,
            seconds=time.monotonic() - begun_s,
            seconds_by_part=seconds,
            kept=str(folder) if keep is not None else None,
        )


def kill_steps(batches: int) -> list[int]:
    """Steps after which a kill finds the newest checkpoint inside an epoch, and loses work."""
    steps: list[int] = []
    for saved in range(CHECKPOINT_EVERY, EPOCHS * batches, CHECKPOINT_EVERY):
        if saved % batches:
            epoch_end = (saved // batches + 1) * batches
            steps += range(saved + 1, min(saved + CHECKPOINT_EVERY, epoch_end) + 1)
    return steps


def replicas_of(resources: ResourcesSpec, gpus: int) -> int:
    """Replicas that are compared with one: those that the job has in all, as far as this machine goes; at least 2."""
    local = resources.replicas_per_worker
    if local == "auto":
        local = resources.gpus_per_worker if resources.gpus_per_worker != "auto" else gpus
    total = resources.workers * max(local, 1)
    return max(2, min(total, gpus if gpus > 1 else MOST_CPU_REPLICAS))


def _resources(spec: ResourcesSpec, replicas: int, gpus: int) -> tuple[ResourcesSpec, ResourcesSpec]:
    """For the comparison of replicas, and for the trainings."""
    cpu = ResourcesSpec(gpus_per_worker=0, replicas_per_worker=replicas, cpus_per_worker=spec.cpus_per_worker)
    if not gpus:
        return cpu, cpu
    own = min(replicas, gpus)
    on_gpus = cpu.model_copy(update={"gpus_per_worker": own, "replicas_per_worker": own})
    return (on_gpus if gpus > 1 else cpu), on_gpus


def _gpus(spec: ResourcesSpec) -> int:
    """GPUs that this process may use, without asking TensorFlow, which would take them."""
    if spec.gpus_per_worker == 0:
        return 0
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    there = len(list(Path("/proc/driver/nvidia/gpus").glob("*")))
    if named is None:
        return there
    return min(there, len([name for name in named.split(",") if name.strip() not in ("", "-1")]))


def _not_proven(job: TrainJob, kind: str, gpus: int) -> tuple[str, ...]:
    left = []
    if kind == "cpu":
        left.append("anything on GPUs")
    elif gpus < 2:
        left.append("several GPUs: there is one, so replicas were compared on the CPU")
    left.append(
        f"several machines: the replicas of {job.resources.workers} workers ran in one process"
        if job.resources.workers > 1
        else "several machines"
    )
    left.append("a resume on another number of replicas or threads, which keeps the order of rows and not the bits")
    left.append("rows that were not sampled: `mmdist check` and every epoch's ledger look at those")
    left.append("that the model learns anything useful")
    return tuple(left)


def import_first(job: TrainJob, folder: Path) -> None:
    """Runs a job's import in a process of its own: Ray is started and ended there, and what it prints goes to a file.

    Raises:
        MmdistError: what ended it.
    """
    config, failure, log = folder / "import.yaml", folder / "import-failure.json", folder / "import.log"
    config.write_text(dump_job(job), encoding="utf-8")
    words = [sys.executable, "-m", "mmdist.runtime.verifying.importing", str(config), str(failure)]
    with log.open("wb") as output:
        done = subprocess.run(words, stdin=subprocess.DEVNULL, stdout=output, stderr=output, check=False)
    if failure.exists():
        raise error_from_record(json.loads(failure.read_text(encoding="utf-8")))
    if done.returncode:
        words_left = log.read_text(encoding="utf-8", errors="replace")[-2000:]
        raise ResourceError("the import ended without a word", received=words_left or f"exit code {done.returncode}")


@contextmanager
def _folder(keep: str | None) -> Iterator[Path]:
    if keep is None:
        with tempfile.TemporaryDirectory(prefix="mmdist-verify-") as name:
            yield Path(name)
        return
    folder = Path(keep).expanduser().absolute()
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError("the folder to keep things in is not empty", received=str(folder), remedy="name a new one")
    folder.mkdir(parents=True, exist_ok=True)
    yield folder
