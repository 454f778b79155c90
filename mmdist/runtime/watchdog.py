"""What watches have in common: a thread that looks at workers from the driver, and how one that hangs is ended.

It sees what the workers write to the run directory, and needs nothing of theirs: a process that is stopped, or whose
machine is cut off, cannot help.
"""

import threading
import time
import traceback
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from mmdist.errors import MmdistError, WorkerLostError
from mmdist.runtime.hanging import Hang, Watched
from mmdist.runtime.processes import end_process, machine
from mmdist.storage import Event, EventWriter, Store, read_events, read_live

__all__ = ["Watch", "end_on_machine"]

LOOK_EVERY_S = 1.0
REMOTE_LOOK_EVERY_S = 3.0
RENEWAL_S = 45.0
"""Until there are new workers after one was ended. With the limit for a step, less than two minutes."""
TOLD_WITHIN_S = 10.0


class Watch(ABC):
    """Watches the workers of one phase in a thread. A context manager; `explain` tells what ended the phase.

    Args:
        run: The run.
        events: Gets `worker-hung` for each worker that is ended.
        hang_timeout_s: Seconds that a step may take.
        end: Ends the process of a worker that hangs.
        give_up: Called with an error where ending it brought no new one.
        renewal_s: How long a new one may take to begin.
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
        self._workers: dict[str, Watched] = {}
        """By the name of its live note."""
        self._hung: list[str] = []
        self._ended_s: float | None = None
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._work, name="mmdist-watchdog", daemon=True)

    def __enter__(self) -> "Watch":
        # A phase before this one had workers of its own.
        self._seen = {(event.attempt, event.writer, event.sequence) for event in read_events(self._run)}
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        self._end_left_over()

    @abstractmethod
    def look(self) -> None:
        """Looks at the workers once; ends those that hang."""

    def rest(self) -> None:
        """There is no more work for the workers: what follows is the driver's own."""
        self._over.set()

    def explain(self, error: MmdistError) -> MmdistError:
        """The error with the workers that hung, where losing them is what it is about."""
        if self._hung and isinstance(error, WorkerLostError):
            return _lost("a worker hung, and the retries are spent", self._hung)
        return error

    def new_events(self, kind: str) -> Iterator[Event]:
        """This attempt's events of a kind that were not there at the last look."""
        for event in read_events(self._run, skip=self._seen):
            self._seen.add((event.attempt, event.writer, event.sequence))
            if event.kind == kind and event.attempt == self._events.attempt:
                yield event

    def read_notes(self, *, begun_s: float) -> None:
        """Looks at the live notes of all workers; `begun_s` is when this look at storage began, on the clock."""
        notes = {name: read_live(self._run, name) for name in self._workers}
        took_s = time.monotonic() - begun_s
        for name, worker in self._workers.items():
            worker.see(notes[name], took_s=took_s)

    def end(self, hangs: Sequence[Hang]) -> None:
        """Ends workers, and writes down why."""
        self._ended_s = time.monotonic()
        self._hung = [hang.words for hang in hangs]
        for hang, words in zip(hangs, self._hung, strict=True):
            facts, note = hang.worker.facts, hang.worker.note
            self._end(hang)
            self._events.write(
                "worker-hung",
                rank=facts.get("rank"),
                host=facts.get("host"),
                pid=facts["pid"],
                how=hang.how,
                phase=note.get("phase", "start"),
                step=note.get("step"),
                message=words,
            )

    def give_up_where_none_came(self) -> None:
        """Gives the attempt up once the time for new workers is over."""
        if self._ended_s is not None and time.monotonic() - self._ended_s > self._renewal_s:
            self._over.set()
            self._end_left_over()
            self._give_up(_lost("a worker hung, and no new one came in its place", self._hung))

    def _end_left_over(self) -> None:
        """A process that is stopped does not notice that its phase has ended."""
        if not self._hung:
            return
        here = machine()
        for worker in self._workers.values():
            if worker.facts.get("machine") == here and not worker.is_done:
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
        expected="a step, a batch or a row within resources.hang_timeout_s",
        received="; ".join(hung),
        remedy="`mmdist logs RUN` shows its stacks; `mmdist submit --resume RUN` goes on with what is left",
    )
