"""Says where a worker hangs: writes the stacks of all its threads to its log, and an event. It ends nothing itself.

Who ends a worker that hangs is the driver (`mmdist.runtime.watchdog`): a process that is stopped cannot act.
"""

import faulthandler
import logging
import threading

from mmdist.errors import MmdistError
from mmdist.storage import EventWriter
from mmdist.training.heartbeat import Heartbeat

__all__ = ["Watchdog"]

LOOK_EVERY_S = 0.5
STDERR = 2

_log = logging.getLogger(__name__)


class Watchdog:
    """A thread that looks at a heartbeat. A context manager.

    Args:
        heartbeat: What the worker tells of itself.
        events: Gets `hanging`, with the phase and what it was doing there.
        hang_timeout_s: Seconds after which stacks are written even if no thread of Python's can run: where native
            code keeps the interpreter's lock, and once a process that was stopped goes on.
    """

    def __init__(self, heartbeat: Heartbeat, events: EventWriter, *, hang_timeout_s: float) -> None:
        self._heartbeat = heartbeat
        self._events = events
        self._hang_timeout_s = hang_timeout_s
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._work, name="mmdist-watchdog", daemon=True)

    def __enter__(self) -> "Watchdog":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        faulthandler.cancel_dump_traceback_later()

    def _work(self) -> None:
        is_told = False
        while not self._over.wait(LOOK_EVERY_S):
            # A thread of C's, which needs nothing of Python's; wound up again at every look, it fires only if no
            # look comes.
            faulthandler.dump_traceback_later(self._hang_timeout_s, file=STDERR)
            is_stuck = self._heartbeat.idle_s > self._heartbeat.limit_s
            if is_stuck and not is_told:
                self._tell()
            is_told = is_stuck

    def _tell(self) -> None:
        idle_s = self._heartbeat.idle_s
        _log.error("no progress for %.0f s, in %s; the stacks of all threads:", idle_s, self._heartbeat.place)
        faulthandler.dump_traceback(file=STDERR, all_threads=True)
        try:
            self._events.write("hanging", idle_s=round(idle_s, 1), **self._heartbeat.place)
        except MmdistError as error:
            _log.warning("the event could not be written: %s", error)
