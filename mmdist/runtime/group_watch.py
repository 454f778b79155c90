"""Watches a group of workers, and ends those that hang, so that Ray starts a new group."""

import time
from collections.abc import Sequence
from typing import Any

from mmdist.runtime.hanging import Watched, find_hang
from mmdist.runtime.watchdog import Watch
from mmdist.storage import read_live

__all__ = ["GroupWatch"]


class GroupWatch(Watch):
    """Watches workers that wait for one another: where one hangs, all end, and a new group goes on."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._workers: dict[int, Watched] = {}

    def watched(self) -> Sequence[Watched]:
        """The group's."""
        return list(self._workers.values())

    def look(self) -> None:
        """Looks at the workers once; ends those that hang."""
        begun_s = time.monotonic()
        self._find_workers()
        notes = {rank: read_live(self._run, f"worker-{rank}") for rank in self._workers}
        took_s = time.monotonic() - begun_s
        for rank, worker in self._workers.items():
            worker.see(notes[rank], took_s=took_s)
        if self._ended_s is None:
            hangs = find_hang(self.watched())
            if hangs:
                self.end(hangs)
        else:
            self.give_up_where_none_came()

    def _find_workers(self) -> None:
        for event in self.new_events("worker-started"):
            if self._ended_s is not None:
                # A new group: what is known of the old one says nothing of it.
                self._ended_s, self._workers = None, {}
            self._workers[int(event.facts["rank"])] = Watched(event.facts, self._timeout_s)
            size = int(event.facts.get("world_size", 1))
            self._workers = {rank: worker for rank, worker in self._workers.items() if rank < size}
