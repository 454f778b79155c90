"""Watches a pool of processes that work each for itself on pieces of an import or a prediction."""

import time

from mmdist.runtime.attendance import STARTED
from mmdist.runtime.hanging import Hang, Watched
from mmdist.runtime.processes import is_alive, machine
from mmdist.runtime.watchdog import Watch

__all__ = ["PoolWatch"]


class PoolWatch(Watch):
    """Ends the process whose piece hangs: Ray gives the piece to another, and the rest of the pool goes on."""

    def look(self) -> None:
        """Looks at the processes once; ends those that hang."""
        begun_s = time.monotonic()
        for event in self.new_events(STARTED):
            self._workers[event.writer] = Watched(event.facts, self._timeout_s)
            self._ended_s, self._hung = None, []
        self.read_notes(begun_s=begun_s)
        hanging = {name: worker for name, worker in self._workers.items() if _hangs(worker)}
        for name in hanging:
            del self._workers[name]
        hangs = [Hang(worker, _how(worker)) for worker in hanging.values() if not _is_gone(worker)]
        if hangs:
            self.end(hangs)
        elif self._ended_s is not None and not all(worker.is_done for worker in self._workers.values()):
            # One that has been there may have taken the piece: the time for another runs once all are at rest.
            self._ended_s = time.monotonic()
        else:
            self.give_up_where_none_came()


def _hangs(worker: Watched) -> bool:
    return not worker.is_done and (worker.is_silent or worker.is_stuck)


def _how(worker: Watched) -> str:
    return "silent" if worker.is_silent else "stuck"


def _is_gone(worker: Watched) -> bool:
    """Whether it ended by itself in the middle of a piece, which Ray sees to: it leaves a note that says it works."""
    facts = worker.facts
    return facts.get("machine") == machine() and not is_alive(facts["pid"], facts["process_started"])
