"""Runs `mmdist` as a user does, in processes of their own, and looks at what they leave behind."""

import json
import os
import pty
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from mmdist.storage import open_store, read_events

REPOSITORY = Path(__file__).resolve().parents[2]
JOBS = REPOSITORY / "jobs"
SHRUNK = (
    *("--set", "import.source.size=32"),
    *("--set", "data.image.size=[32, 32]"),
    *("--set", "model.image.depths=[1, 1]"),
    *("--set", "model.image.widths=[8, 16]"),
    *("--set", "train.epochs=2"),
    *("--set", "evaluation.bootstrap_samples=100"),
)
MMDIST = [sys.executable, "-c", "from mmdist.cli.main import main; main()"]
LIMIT_S = 400


def environment() -> dict[str, str]:
    """The tests' own, with the tested source first and bytecode kept: without it TensorFlow takes 9 s to import."""
    env = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    env.pop("PYTHONDONTWRITEBYTECODE", None)
    return env


def mmdist(*words: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Runs a command to its end."""
    return subprocess.run(
        [*MMDIST, *map(str, words)], cwd=cwd, env=environment(), capture_output=True, text=True, timeout=LIMIT_S
    )


class Terminal:
    """A command on a terminal of its own, as from a user's shell: Ctrl-C reaches its whole process group."""

    def __init__(self, words: Sequence[object], cwd: Path) -> None:
        self._text = bytearray()
        self.pid, self._terminal = pty.fork()
        if self.pid == 0:
            os.chdir(cwd)
            os.execvpe(MMDIST[0], [*MMDIST, *map(str, words)], environment())
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        while True:
            try:
                data = os.read(self._terminal, 4096)
            except OSError:
                return
            self._text += data

    def interrupt(self) -> None:
        """Presses Ctrl-C."""
        os.write(self._terminal, b"\x03")

    def descendants(self) -> list[psutil.Process]:
        """Every process below the command."""
        return psutil.Process(self.pid).children(recursive=True)

    def kill(self) -> None:
        """As the kernel does when memory runs out."""
        os.kill(self.pid, signal.SIGKILL)

    def wait(self) -> tuple[int, str]:
        """Exit code (negative for a signal) and all that the terminal showed."""
        exit_code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        self._reader.join(timeout=5)
        os.close(self._terminal)
        return exit_code, self._text.decode(errors="replace")


def wait_until(condition: Callable[[], object], what: str, limit_s: float = LIMIT_S) -> None:
    """Waits until something holds, or fails with what it was."""
    deadline = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline, f"waited {limit_s} s for {what}"
        time.sleep(0.05)


def events(run: Path, kind: str) -> list[dict]:
    """The facts of a run's events of a kind."""
    return [
        {"attempt": event.attempt, **event.facts} for event in read_events(open_store(str(run))) if event.kind == kind
    ]


def check_ledger(run: Path, epoch: int, rows: int) -> None:
    """Every row of an epoch was fed once: the count and the content of each column that the job reads."""
    ledger = json.loads((run / "ledger" / f"epoch-{epoch}.json").read_text())
    assert ledger["fed_rows"] == ledger["expected_rows"] == rows
    assert set(ledger["fed_sums"]) == {"id", "image", "text", "label"}
    assert ledger["fed_sums"].items() <= ledger["expected_sums"].items()


def note(run: Path) -> dict:
    """The chief worker's live note; empty where there is none."""
    try:
        return json.loads((run / "live" / "worker-0.json").read_text())
    except (FileNotFoundError, ValueError):
        return {}


@dataclass(frozen=True)
class Demo:
    """A folder that jobs run in, and the run of `jobs/train.yaml` that was made there."""

    folder: Path
    run_id: str
    done: subprocess.CompletedProcess[str]

    @property
    def run(self) -> Path:
        """The run directory."""
        return self.folder / "runs" / self.run_id
