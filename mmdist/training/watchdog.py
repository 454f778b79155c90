"""Says where a worker hangs: writes the stacks of all its threads to its log, and an event. It ends nothing itself.

Who ends a worker that hangs is the driver (`mmdist.runtime.watchdog`): a process that is stopped cannot act. Where
native code keeps the interpreter's lock, no thread of Python's can write either: then the driver asks for the stacks by
`STACKS_SIGNAL`. Only who is about to be ended is asked like that, for reading the stacks of threads that run may crash.
"""

import faulthandler
import logging
import signal
import threading
import time

from mmdist.errors import MmdistError
from mmdist.storage import EventWriter
from mmdist.training.heartbeat import Heartbeat

__all__ = ["STACKS_SIGNAL", "Watchdog"]

LOOK_EVERY_S = 0.5
STDERR = 2
STACKS_SIGNAL = signal.SIGUSR2

_log = logging.getLogger(__name__)


class Watchdog:
    """A thread that looks at a heartbeat. A context manager.

    Args:
        heartbeat: What the worker tells of itself.
        events: Gets `hanging`, with the phase and what it was doing there.
    """

    def __init__(self, heartbeat: Heartbeat, events: EventWriter) -> None:
        self._heartbeat = heartbeat
        self._events = events
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._work, name="mmdist-watchdog", daemon=True)

    def __enter__(self) -> "Watchdog":
        faulthandler.register(STACKS_SIGNAL, file=STDERR, all_threads=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        faulthandler.unregister(STACKS_SIGNAL)

    def _work(self) -> None:
        is_told = False
        looked_s = time.monotonic()
        while not self._over.wait(LOOK_EVERY_S):
            # Where this thread could not look for long, the process was stopped, or its interpreter was kept locked.
            idle_s = max(self._heartbeat.idle_s, time.monotonic() - looked_s)
            looked_s = time.monotonic()
            is_stuck = idle_s > self._heartbeat.limit_s
            if is_stuck and not is_told:
                self._tell(idle_s)
            is_told = is_stuck

    def _tell(self, idle_s: float) -> None:
        _log.error("no progress for %.0f s, in %s; the stacks of all threads:", idle_s, self._heartbeat.place)
        faulthandler.dump_traceback(file=STDERR, all_threads=True)
        try:
            self._events.write("hanging", idle_s=round(idle_s, 1), **self._heartbeat.place)
        except MmdistError as error:
            _log.warning("the event could not be written: %s", error)
