"""Watches a group of workers from the driver, and ends those that hang, so that Ray starts a new group.

It sees what the workers write to the run directory, and needs nothing of theirs: a process that is stopped, or whose
machine is cut off, cannot help. Where ending them brings no new group, it gives the attempt up.
"""

import threading
import time
import traceback
from collections.abc import Callable, Sequence
from typing import Any

from mmdist.errors import MmdistError, WorkerLostError
from mmdist.runtime.hanging import Hang, Watched, find_hang
from mmdist.runtime.processes import end_process, machine
from mmdist.storage import EventWriter, Store, read_events, read_live

__all__ = ["GroupWatch", "end_on_machine"]

LOOK_EVERY_S = 1.0
REMOTE_LOOK_EVERY_S = 3.0
RENEWAL_S = 45.0
"""Until a new group has begun after one was ended. With the limit for a step, less than two minutes."""
TOLD_WITHIN_S = 10.0


class GroupWatch:
    """Watches the workers of one phase in a thread. A context manager; `explain` tells what ended the phase.

    Args:
        run: The run.
        events: Gets `worker-hung` for each worker that is ended.
        hang_timeout_s: Seconds that a step may take.
        end: Ends the process of a worker that hangs.
        give_up: Called with an error where no new group came.
        renewal_s: How long a new group may take to begin.
    """

    def __init__(
        self,
        run: Store,
        events: EventWriter,
        *,
        hang_timeout_s: float,
        end: Callable[[Hang], None],
        give_up: Callable[[MmdistError], None],
        renewal_s: float = RENEWAL_S,
    ) -> None:
        self._run = run
        self._events = events
        self._timeout_s = hang_timeout_s
        self._end = end
        self._give_up = give_up
        self._renewal_s = renewal_s
        self._seen: set[tuple[int, str, int]] = set()
        self._workers: dict[int, Watched] = {}
        self._hung: list[str] = []
        self._ended_s: float | None = None
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._work, name="mmdist-watchdog", daemon=True)

    def __enter__(self) -> "GroupWatch":
        # A phase before this one had workers of its own.
        self._seen = {(event.attempt, event.writer, event.sequence) for event in read_events(self._run)}
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        self._end_left_over()

    def explain(self, error: MmdistError) -> MmdistError:
        """The error with the workers that hung, where losing them is what it is about."""
        if self._hung and isinstance(error, WorkerLostError):
            return _lost("a worker hung, and the retries are spent", self._hung)
        return error

    def look(self) -> None:
        """Looks at the workers once; ends those that hang."""
        begun_s = time.monotonic()
        self._find_workers()
        notes = {rank: read_live(self._run, f"worker-{rank}") for rank in self._workers}
        took_s = time.monotonic() - begun_s
        for rank, worker in self._workers.items():
            worker.see(notes[rank], took_s=took_s)
        if self._ended_s is None:
            hangs = find_hang(list(self._workers.values()))
            if hangs:
                self._end_all(hangs)
        elif time.monotonic() - self._ended_s > self._renewal_s:
            self._over.set()
            self._end_left_over()
            self._give_up(_lost("a worker hung, and no new group of workers came", self._hung))

    def _find_workers(self) -> None:
        for event in read_events(self._run, skip=self._seen):
            self._seen.add((event.attempt, event.writer, event.sequence))
            if event.kind != "worker-started" or event.attempt != self._events.attempt:
                continue
            if self._ended_s is not None:
                # A new group: what is known of the old one says nothing of it.
                self._ended_s, self._workers = None, {}
            self._workers[int(event.facts["rank"])] = Watched(event.facts, self._timeout_s)
            size = int(event.facts.get("world_size", 1))
            self._workers = {rank: worker for rank, worker in self._workers.items() if rank < size}

    def _end_all(self, hangs: Sequence[Hang]) -> None:
        self._ended_s = time.monotonic()
        self._hung = [hang.words for hang in hangs]
        for hang, words in zip(hangs, self._hung, strict=True):
            facts, note = hang.worker.facts, hang.worker.note
            self._end(hang)
            self._events.write(
                "worker-hung",
                rank=facts["rank"],
                host=facts.get("host"),
                pid=facts["pid"],
                how=hang.how,
                phase=note.get("phase", "start"),
                step=note.get("step"),
                message=words,
            )

    def _end_left_over(self) -> None:
        """A process that is stopped does not notice that its group has ended."""
        if not self._hung:
            return
        here = machine()
        for worker in self._workers.values():
            if worker.facts.get("machine") == here:
                end_process(worker.facts)

    def _work(self) -> None:
        every_s = LOOK_EVERY_S if self._run.is_local else REMOTE_LOOK_EVERY_S
        while not self._over.wait(every_s):
            begun_s = time.monotonic()
            try:
                self.look()
            except Exception:
                # Storage that does not answer us does not answer the workers: their time does not run meanwhile.
                traceback.print_exc()
                for worker in self._workers.values():
                    worker.see(None, took_s=time.monotonic() - begun_s + every_s)


def end_on_machine(hang: Hang) -> None:
    """Ends a worker's process, on this machine or, through Ray, on its own. One that is cut off is left to Ray."""
    facts, owes_stacks = dict(hang.worker.facts), hang.how == "silent"
    if facts.get("machine") == machine():
        end_process(facts, owes_stacks=owes_stacks)
        return
    import ray as typed_ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    ray: Any = typed_ray
    node = NodeAffinitySchedulingStrategy(facts["node_id"], soft=False)
    task = ray.remote(num_cpus=0, max_retries=0, scheduling_strategy=node)(end_process)
    ray.wait([task.remote(facts, owes_stacks=owes_stacks)], timeout=TOLD_WITHIN_S)


def _lost(message: str, hung: Sequence[str]) -> WorkerLostError:
    return WorkerLostError(
        message,
        expected="a step within resources.hang_timeout_s",
        received="; ".join(hung),
        remedy="`mmdist logs RUN` shows its stacks; `mmdist submit --resume RUN` goes on from the last checkpoint",
    )
