"""Tells others every second what this worker does, and looks whether it is asked to stop."""

import logging
import threading
import time
from typing import Any

from mmdist.errors import MmdistError
from mmdist.storage import Store, write_live

__all__ = ["Heartbeat"]

STOP_REQUEST = "stop/request.json"
BEAT_EVERY_S = 1.0

_log = logging.getLogger(__name__)


class Heartbeat:
    """A thread with a live note and an eye on the stop request. A context manager.

    Args:
        run: The run.
        worker: Name of the live note.
    """

    def __init__(self, run: Store, worker: str) -> None:
        self._run = run
        self._worker = worker
        self._note: dict[str, Any] = {"phase": "start"}
        self._over = threading.Event()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, name="mmdist-worker-heartbeat", daemon=True)

    def __enter__(self) -> "Heartbeat":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    @property
    def stop_requested(self) -> bool:
        """Whether somebody asked the run to stop."""
        return self._stop.is_set()

    def begin(self, phase: str, **facts: Any) -> None:
        """Starts a phase: the note holds nothing else any more."""
        self._note = {"phase": phase, "progress_time": time.time(), **facts}

    def note(self, **facts: Any) -> None:
        """Adds to the note. `progress_time` is when this was last called: a worker that hangs does not move it."""
        self._note = {**self._note, "progress_time": time.time(), **facts}

    def _work(self) -> None:
        while True:
            try:
                write_live(self._run, self._worker, self._note)
                if not self._stop.is_set() and self._run.exists(STOP_REQUEST):
                    self._stop.set()
            except MmdistError as error:
                # A note decides nothing; the next one may go through.
                _log.warning("the live note could not be written: %s", error)
            if self._over.wait(BEAT_EVERY_S):
                return
