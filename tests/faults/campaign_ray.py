"""Kills of `mmdist submit` with an embedded Ray: of its driver, its worker or its raylet, at any moment.

Processes are found below the command that was started here, and by what the run's own worker says of itself.
"""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
from campaign_compare import differences, lost_checkpoints, rows_missed_or_repeated
from campaign_job import EPOCHS, job_text

MMDIST = [sys.executable, "-c", "from mmdist.cli.main import main; main()"]
TARGETS = ("driver", "worker", "raylet")
KILLS_OF_A_RUN = 3
ATTEMPT_LIMIT_S = 300.0
MOST_ATTEMPTS = 12
ENDING_S = 90.0
"""How long Ray's agents may look for a head that is gone."""

End = Callable[[str, list[str], int, list[str]], None]


class RayCampaign:
    """Submitted runs of the tiny job, each killed several times, resumed until it is done, and compared.

    Args:
        folder: Scratch, with the tiny job's data in `data`.
        job: The tiny job.
        seed: Of targets and moments.
    """

    def __init__(self, folder: Path, job: dict[str, Any], seed: int) -> None:
        self._folder = folder / "submitted"
        self._folder.mkdir()
        self._seed = seed
        self._started: dict[int, psutil.Process] = {}
        (self._folder / "job.yaml").write_bytes(job_text({**job, "storage": str(self._folder / "runs")}))

    def work(self, kills: int, end: End) -> None:
        """Makes so many kills; tells of each run by `end`: its name, where they landed, rows wrong, faults."""
        try:
            code, seconds = self._attempt("alone", None, 0.0)
            if code != 0:
                raise RuntimeError(f"the submitted run that nobody killed exited with {code}: {self._said('alone')}")
            done = number = 0
            while done < kills:
                number += 1
                places = self._one_run(number, min(KILLS_OF_A_RUN, kills - done), seconds, end)
                done += len(places)
        finally:
            self._clean_up()

    def _one_run(self, number: int, planned: int, seconds: float, end: End) -> list[str]:
        draw = random.Random(f"{self._seed}/submitted/{number}")
        name = f"submitted-{number}"
        run = self._folder / "runs" / name
        places: list[str] = []
        faults: list[str] = []
        for attempt in range(1, MOST_ATTEMPTS):
            # Each target in turn, from one that chance draws.
            target = TARGETS[(number + len(places)) % len(TARGETS)] if len(places) < planned else None
            code, _ = self._attempt(name, target, draw.uniform(0.0, seconds), places)
            if code == 0:
                break
            if target is None:
                faults.append(f"attempt {attempt} exited with {code}: {self._said(name)}")
                break
        else:
            faults.append(f"not over after {MOST_ATTEMPTS - 1} attempts: {self._said(name)}")
        faults += differences(self._folder / "runs" / "alone", run) + lost_checkpoints(run)
        end(name.replace("-", " run "), places, rows_missed_or_repeated(run, EPOCHS, [], None), faults)
        return places

    def _attempt(
        self, name: str, target: str | None, after_s: float, places: list[str] | None = None
    ) -> tuple[int, float]:
        """Submits or resumes, and kills the target once it has lived so long. Its exit code, and the seconds."""
        words = ["--resume", name] if (self._folder / "runs" / name).exists() else ["job.yaml", "--run-id", name]
        storage = ["--storage", str(self._folder / "runs")]
        start = time.monotonic()
        with (self._folder / f"{name}.log").open("ab") as log:
            command = subprocess.Popen(
                [*MMDIST, "submit", *words, *storage], cwd=self._folder, env=_environment(), stdout=log, stderr=log
            )
        driver = psutil.Process(command.pid)
        self._started[command.pid] = driver
        while command.poll() is None and time.monotonic() - start < ATTEMPT_LIMIT_S:
            self._note(driver)
            if target is not None and time.monotonic() - start >= after_s:
                victim = self._find(driver, target, name)
                if victim is not None and _kill(victim) and places is not None:
                    places.append(f"{target} of a submitted run")
                    target = None
            time.sleep(0.05)
        if command.poll() is None:
            command.kill()
        return command.wait(), time.monotonic() - start

    def _find(self, driver: psutil.Process, target: str, name: str) -> psutil.Process | None:
        if target == "driver":
            return driver
        below = [process for process in self._started.values() if process.pid != driver.pid and process.is_running()]
        if target == "raylet":
            return next(
                (process for process in below if _name(process) == "raylet" and _is_below(process, driver)), None
            )
        note = self._folder / "runs" / name / "live" / "worker-0.json"
        try:
            pid = json.loads(note.read_text()).get("pid")
        except (OSError, ValueError):
            return None
        return next((process for process in below if process.pid == pid and _is_below(process, driver)), None)

    def _note(self, driver: psutil.Process) -> None:
        """Remembers what was started below the command, to end it in the end whatever becomes of its parents."""
        try:
            found = driver.children(recursive=True)
        except psutil.Error:
            return
        for process in found:
            self._started[process.pid] = process

    def _said(self, name: str) -> str:
        log = self._folder / f"{name}.log"
        return " | ".join(log.read_text(errors="replace").strip().splitlines()[-3:])

    def _clean_up(self) -> None:
        _, alive = psutil.wait_procs(list(self._started.values()), timeout=ENDING_S)
        for process in alive:
            _kill(process)
        psutil.wait_procs(alive, timeout=10)


def _environment() -> dict[str, str]:
    repository = Path(__file__).resolve().parents[2]
    taken = {"RAY_ADDRESS", "RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "PYTHONDONTWRITEBYTECODE"}
    kept = {name: value for name, value in os.environ.items() if name not in taken}
    return {**kept, "PYTHONPATH": str(repository)}


def _kill(process: psutil.Process) -> bool:
    try:
        process.send_signal(signal.SIGKILL)
    except psutil.NoSuchProcess:
        return False
    return True


def _name(process: psutil.Process) -> str:
    try:
        return str(process.name())
    except psutil.Error:
        return ""


def _is_below(process: psutil.Process, driver: psutil.Process) -> bool:
    try:
        return driver in process.parents()
    except psutil.Error:
        return False
