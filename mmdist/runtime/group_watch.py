"""Watches a group of workers, and ends those that hang, so that Ray starts a new group."""

import time

from mmdist.runtime.hanging import Watched, find_hang
from mmdist.runtime.watchdog import Watch

__all__ = ["GroupWatch"]


class GroupWatch(Watch):
    """Watches workers that wait for one another: where one hangs, all end, and a new group goes on."""

    def look(self) -> None:
        """Looks at the workers once; ends those that hang."""
        begun_s = time.monotonic()
        self._find_workers()
        self.read_notes(begun_s=begun_s)
        if self._ended_s is not None:
            self.give_up_where_none_came()
            return
        hangs = find_hang(list(self._workers.values()))
        if hangs:
            self.end(hangs)

    def _find_workers(self) -> None:
        for event in self.new_events("worker-started"):
            if self._ended_s is not None:
                # A new group: what is known of the old one says nothing of it.
                self._ended_s, self._hung, self._workers = None, [], {}
            rank, size = int(event.facts["rank"]), int(event.facts.get("world_size", 1))
            self._workers[f"worker-{rank}"] = Watched(event.facts, self._timeout_s)
            known = self._workers.items()
            self._workers = {name: worker for name, worker in known if worker.facts["rank"] < size}
