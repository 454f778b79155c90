"""Kills trainings with SIGKILL at random instants, resumes them, and compares their ends with one left alone.

    python tests/faults/campaign.py [--kills 200] [--seed 0] [--ray 6] [--jobs 2] [--control seeds|slots|cursor]

Most kills go to a tiny job whose attempts are forked from a process that has imported TensorFlow already: at any
moment of an attempt, or aimed at one operation (docs/how-to/prove-a-resume.md). `--ray` of them go to `mmdist submit`
with an embedded Ray: to its driver, its worker or its raylet. A control breaks resuming, and must be found out.
"""

import argparse
import json
import multiprocessing
import os
import random
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parents[1]
sys.path[:0] = [str(REPOSITORY), str(HERE), str(HERE.parent / "unit" / "training")]
# Read once, by the process that all attempts are forked from.
for _name, _value in {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1", "MPLBACKEND": "Agg"}.items():
    os.environ.setdefault(_name, _value)

from campaign_child import CONTROLS, PLACES, place_of, watched_attempt  # noqa: E402
from campaign_compare import (  # noqa: E402
    Fed,
    differences,
    lost_checkpoints,
    rows_missed_or_repeated,
    trained_on,
    unkept_checkpoint,
)
from campaign_job import EPOCHS, Shot, draw_shot, write_job  # noqa: E402
from campaign_ray import RayCampaign  # noqa: E402
from tiny_runs import write_run  # noqa: E402

PRELOAD = ("worker", "loop", "session", "finish", "prepare", "devices", "watchdog", "heartbeat", "exchange")
MOST_KILLS = 7
"""Of one run."""
ATTEMPT_LIMIT_S = 240


@dataclass
class Tally:
    """What the campaign has found so far. Shared by threads."""

    kills: int
    """To be made."""
    landed: Counter[str] = field(default_factory=Counter)
    reserved: int = 0
    runs: int = 0
    identical: int = 0
    rows_wrong: int = 0
    faults: list[str] = field(default_factory=list)
    survived: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def is_open(self) -> bool:
        """Whether there are kills to be made."""
        return self.reserved < self.kills

    @property
    def is_clean(self) -> bool:
        """Whether every kill was made and every run survived what it met."""
        return self.survived == self.kills and not self.faults and not self.rows_wrong

    def reserve(self) -> bool:
        """Takes one of the kills that are still to be made."""
        with self.lock:
            free = self.reserved < self.kills
            self.reserved += free
            return free

    def spare(self) -> None:
        """Gives one back that did not land: the attempt was over before."""
        with self.lock:
            self.reserved -= 1

    def end(self, name: str, places: Sequence[str], rows_wrong: int, faults: Sequence[str]) -> None:
        """Counts a run that ended."""
        with self.lock:
            self.runs += 1
            self.landed.update(places)
            self.rows_wrong += rows_wrong
            self.faults += [f"{name}: {fault}" for fault in faults]
            if not faults and not rows_wrong:
                self.identical += 1
                self.survived += len(places)
            outcome = "bit-identical" if not faults and not rows_wrong else f"DIFFERS: {'; '.join(faults)}"
            done = f"{self.landed.total():4d}/{self.kills}"
        sys.stdout.write(f"{done}  {name}: {len(places)} kills ({', '.join(places)}): {outcome}\n")
        sys.stdout.flush()

    def summary(self) -> str:
        """The table of places, and the verdict as its last line."""
        table = "".join(f"{self.landed[place]:6d}  {place}\n" for place in sorted(self.landed, key=_place_order))
        verdict = (
            f"{self.survived}/{self.kills} kills survived: {self.identical} of {self.runs} runs bit-identical, "
            f"{self.rows_wrong} rows missed or repeated\n"
        )
        if self.identical == self.runs:
            verdict = verdict.replace(f"{self.identical} of {self.runs} runs", f"{self.runs} runs")
        return f"where the kills landed:\n{table}{verdict}"


@dataclass(frozen=True)
class Alone:
    """The run that nobody killed, and what is needed to aim at others."""

    run: Path
    fed: Fed
    counts: dict[str, int]
    seconds: float


class Campaign:
    """Runs of the tiny job, each killed several times and then compared.

    Args:
        folder: Scratch.
        job: The tiny job.
        seed: Of all that chance decides: how often a run is killed, where and when.
        tally: Counts.
        control: What resuming forgets, if anything.
    """

    def __init__(self, folder: Path, job: dict[str, Any], seed: int, tally: Tally, control: str | None) -> None:
        self._folder = folder
        self._seed = seed
        self._tally = tally
        self._control = control
        self._job = job
        self._processes = multiprocessing.get_context("forkserver")
        modules = [f"mmdist.training.{name}" for name in PRELOAD]
        self._processes.set_forkserver_preload(
            ["tensorflow", "keras", "sklearn.metrics", "matplotlib.figure", *modules]
        )
        self._numbers = iter(range(1, 10**6))

    def leave_alone(self, *, warm: bool = True) -> Alone:
        """The run to compare with, timed once it is warm. Raises RuntimeError where it fails."""
        # The first attempt waits until the server has imported everything.
        for name in ("warm", "alone") if warm else ("alone",):
            run, side = self._new_run(name)
            start = time.monotonic()
            code = self._attempt(run, side, 1, Shot())
            if code != 0:
                raise RuntimeError(f"the run that nobody killed exited with {code}: {_tail(side / 'log-1')}")
        seconds = time.monotonic() - start
        counts = json.loads((side / "counts-1.json").read_text())
        return Alone(run, trained_on(run, side), counts, seconds)

    def work(self, alone: Alone) -> None:
        """Starts run after run, until all kills are made."""
        while self._tally.is_open:
            with self._tally.lock:
                number = next(self._numbers)
            self._one_run(number, alone)

    def _one_run(self, number: int, alone: Alone) -> None:
        draw = random.Random(f"{self._seed}/{number}")
        run, side = self._new_run(f"run-{number}")
        planned = draw.randint(2, MOST_KILLS)
        places: list[str] = []
        faults: list[str] = []
        is_over = False
        while not is_over:
            attempt = len(places) + 1
            shot = draw_shot(draw, alone.counts, alone.seconds, planned)
            is_target = len(places) < planned and self._tally.reserve()
            code = self._attempt(run, side, attempt, shot if is_target else Shot())
            if is_target and code == -signal.SIGKILL:
                places.append(place_of(side, attempt))
                lost = unkept_checkpoint(run)
                faults += [f"attempt {attempt}, killed while {places[-1]}: {lost}"] if lost else []
                continue
            is_over = True
            if is_target:
                self._tally.spare()
            if code != 0:
                faults.append(f"attempt {attempt} exited with {code}: {_tail(side / f'log-{attempt}')}")
        faults += differences(alone.run, run) + lost_checkpoints(run)
        rows = rows_missed_or_repeated(run, EPOCHS, alone.fed, trained_on(run, side))
        self._tally.end(f"run {number}", places, rows, faults)
        if not faults and not rows:
            shutil.rmtree(side)

    def _new_run(self, name: str) -> tuple[Path, Path]:
        side = self._folder / name
        side.mkdir()
        return write_run(side / "run", self._job), side

    def _attempt(self, run: Path, side: Path, attempt: int, shot: Shot) -> int | None:
        process = self._processes.Process(
            target=watched_attempt, args=(str(run), str(side), attempt, shot.aim, self._control), daemon=True
        )
        process.start()
        try:
            process.join(ATTEMPT_LIMIT_S if shot.after_s is None else shot.after_s)
        finally:
            if process.is_alive():
                process.kill()
            process.join()
        return process.exitcode


def campaign(
    kills: int, seed: int, *, ray: int = 0, jobs: int = 1, control: str | None = None, keep: Path | None = None
) -> Tally:
    """Makes so many kills, `ray` of them of a submitted job; prints a line for each run. Returns what was found."""
    tally = Tally(kills)
    with tempfile.TemporaryDirectory(prefix="mmdist-campaign-") as scratch:
        folder = (keep or Path(scratch)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        job = write_job(folder / "data")
        tally.reserved = ray
        if kills > ray:
            tiny = Campaign(folder, job, seed, tally, control)
            alone = tiny.leave_alone()
            sys.stdout.write(f"left alone, a run takes {alone.seconds:.1f} s and {len(alone.fed)} steps\n")
            with ThreadPoolExecutor(jobs) as pool:
                for work in [pool.submit(tiny.work, alone) for _ in range(jobs)]:
                    work.result()
        if ray:
            RayCampaign(folder, job, seed).work(ray, tally.end)
    return tally


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python tests/faults/campaign.py", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--ray", type=int, default=6, help="so many of the kills go to `mmdist submit`")
    parser.add_argument("--jobs", type=int, default=2, help="runs at a time")
    parser.add_argument("--control", choices=CONTROLS, help="what resuming shall forget")
    parser.add_argument("--keep", type=Path, help="an empty folder for the runs; those that differ stay in it")
    options = parser.parse_args(arguments)
    start = time.monotonic()
    ray = 0 if options.control else min(options.ray, options.kills)
    tally = campaign(
        options.kills, options.seed, ray=ray, jobs=options.jobs, control=options.control, keep=options.keep
    )
    sys.stdout.write(f"{time.monotonic() - start:.0f} s, seed {options.seed}\n{tally.summary()}")
    for fault in tally.faults:
        sys.stderr.write(f"{fault}\n")
    return 0 if tally.is_clean else 1


def _tail(log: Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines() if log.exists() else []
    return " | ".join(lines[-4:])


def _place_order(place: str) -> tuple[int, str]:
    return (PLACES.index(place) if place in PLACES else len(PLACES), place)


if __name__ == "__main__":
    sys.exit(main())
