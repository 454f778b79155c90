"""Runs groups of workers one after another, each on the machines that are there, until training is done.

A group ends because training is done, because a worker or its machine is lost, or, at a checkpoint, to make room for
more workers where a machine is back. The next one goes on from the newest checkpoint: workers keep nothing else.
"""

import threading
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from mmdist.errors import MmdistError, WorkerLostError
from mmdist.runtime.cluster import Placement, place_again, place_workers
from mmdist.runtime.failures import error_from_record, has_died, new_workers_may_help, worker_failures
from mmdist.runtime.machines import Machine
from mmdist.spec.job import TrainJob
from mmdist.storage import Event, EventWriter, Store, read_events, read_live, stop_requested

__all__ = ["Group", "Groups"]

WAIT_FOR_MACHINES_S = 60.0
"""For as many machines as the job needs at least, once some are lost."""
LOOK_EVERY_S = 2.0
GROW_LOOK_EVERY_S = 5.0


@dataclass(frozen=True)
class Group:
    """A group of workers to start."""

    number: int
    """From 0 within an attempt; what its workers write is named after it."""
    placement: Placement
    regroup_request: str | None
    """File in the run directory that asks it to end at its next checkpoint; None where it has all its workers."""


class Groups:
    """Starts groups until one ends training.

    Args:
        job: The job.
        run: The run.
        events: Gets `placed` for each group, and `group-lost` for one that was lost.
        machines: Looks which machines of the cluster answer now.
        start: Runs a group to its end: facts of the finished training, or None where it ended to be regrouped.
    """

    def __init__(
        self,
        job: TrainJob,
        run: Store,
        events: EventWriter,
        *,
        machines: Callable[[], Sequence[Machine]],
        start: Callable[[Group], dict[str, Any] | None],
    ) -> None:
        self._resources = job.resources
        self._lanes = getattr(job.data.order, "lanes", None) or 1
        self._batch = job.train.global_batch_size
        self._run = run
        self._events = events
        self._machines = machines
        self._start = start
        self._failures = 0

    def run(self) -> dict[str, Any]:
        """Trains to the end; facts of the training.

        Raises:
            ResourceError: when the cluster never had room for the job.
            WorkerLostError: when more workers were lost than the job bears, or too few machines are left.
            MmdistError: what else ended training.
        """
        first = placement = self._first_placement()
        number = 0
        while True:
            wants_more = placement.workers < self._resources.workers
            request = f"regroup/{self._events.attempt:04d}.{number}.json" if wants_more else None
            self._events.write("placed", group=number, workers=placement.workers, per_worker=placement.resources)
            begun = {(event.attempt, event.writer, event.sequence) for event in read_events(self._run)}
            try:
                with _Growth(self._run, request, lambda: self._room(first), placement.workers):
                    facts = self._start(Group(number, placement, request))
                if facts is not None:
                    return facts
            except MmdistError as error:
                self._count_loss(error, number, placement, read_events(self._run, skip=begun))
            number += 1
            placement = self._wait_for_room(first)

    def _allowed(self, placement: Placement) -> list[int]:
        """Worker counts that the job may go on with, the largest first."""
        least = self._resources.min_workers or self._resources.workers
        wanted = self._resources.replicas_per_worker
        replicas = max(placement.gpus_per_worker, 1) if wanted == "auto" else wanted
        counts = range(self._resources.workers, least - 1, -1)
        return [count for count in counts if self._lanes % count == 0 and self._batch % (count * replicas) == 0]

    def _first_placement(self) -> Placement:
        machines = [machine.resources for machine in self._machines()]
        try:
            return place_workers(self._resources, machines)
        except MmdistError:
            for workers in range(self._resources.workers - 1, (self._resources.min_workers or 1 << 31) - 1, -1):
                smaller = self._resources.model_copy(update={"workers": workers})
                try:
                    placement = place_workers(smaller, machines)
                except MmdistError:
                    continue
                if workers in self._allowed(placement):
                    return placement
            raise

    def _room(self, first: Placement) -> Placement | None:
        return place_again(first, self._allowed(first), [machine.resources for machine in self._machines()])

    def _wait_for_room(self, first: Placement) -> Placement:
        begun_s = time.monotonic()
        while True:
            placement = self._room(first)
            if placement is not None:
                return placement
            if time.monotonic() - begun_s > WAIT_FOR_MACHINES_S or stop_requested(self._run):
                raise WorkerLostError(
                    "too few machines are left to go on",
                    expected=f"room for {self._allowed(first)[-1]} workers, each with {first.cpus_per_worker:g} CPUs "
                    f"and {first.gpus_per_worker} GPUs",
                    received="; ".join(machine.words for machine in self._machines()) or "no machine",
                    remedy="lower `resources.min_workers`, or bring machines back; `mmdist submit --resume RUN` goes "
                    "on from the checkpoint",
                )
            time.sleep(LOOK_EVERY_S)

    def _count_loss(self, error: MmdistError, number: int, placement: Placement, told: Sequence[Event]) -> None:
        """Counts a group that was lost, and tells of it; raises what is no loss, or one too many."""
        fatal = next((event.facts for event in told if event.kind == "failed" and event.facts.get("fatal")), None)
        if fatal is not None:
            raise error_from_record({name: value for name, value in fatal.items() if name != "fatal"})
        started = [event.facts for event in told if event.kind == "worker-started"]
        if not new_workers_may_help(error) or (number == 0 and not started):
            raise error
        self._failures += 1
        lost = self._lost_workers(error, started, told)
        saved = [event.facts for event in read_events(self._run) if event.kind == "checkpoint-saved"]
        checkpoint_step = max((int(facts["step"]) for facts in saved), default=0)
        step = int((read_live(self._run, "worker-0") or {}).get("step") or checkpoint_step)
        self._events.write(
            "group-lost",
            group=number,
            workers=placement.workers,
            lost=lost,
            failure=self._failures,
            max_failures=self._resources.max_failures,
            step=step,
            checkpoint_step=checkpoint_step,
            lost_steps=max(step - checkpoint_step, 0),
            reason=(error.received or error.message).splitlines()[0],
        )
        if self._failures > self._resources.max_failures:
            if isinstance(error, WorkerLostError) or type(error) is not MmdistError:
                raise error
            raise WorkerLostError(
                "a worker was lost and the retries are spent",
                received="; ".join(worker["words"] for worker in lost)
                + f": {(error.received or error.message).splitlines()[0]}",
                remedy="`mmdist logs RUN` shows its last words; `mmdist submit --resume RUN` goes on from the "
                "checkpoint",
            ) from error

    def _lost_workers(
        self, error: MmdistError, started: Sequence[dict[str, Any]], told: Sequence[Event]
    ) -> list[dict[str, Any]]:
        """Who was lost: those on machines that are gone, those that Ray says died; else those without last words."""
        there = {machine.node_id for machine in self._machines()}
        failures = worker_failures(error)
        died = {rank for rank, failure in failures.items() if has_died(failure)}
        failed = {event.writer for event in told if event.kind == "failed"}
        found = []
        for facts in started:
            rank, is_gone = int(facts["rank"]), facts.get("node_id") not in there
            is_silent = not died and f"worker-{rank}.{facts['restart']}" not in failed
            if is_gone or rank in died or is_silent:
                words = f"worker {rank} on {facts.get('host')} (process {facts.get('pid')})"
                words += ", whose machine is gone" if is_gone else ""
                found.append({"rank": rank, "host": facts.get("host"), "machine_gone": is_gone, "words": words})
        return found


class _Growth:
    """Looks, while a group is short of workers, whether there is room for more; then asks it to end. A context."""

    def __init__(self, run: Store, request: str | None, room: Callable[[], Placement | None], workers: int) -> None:
        self._run = run
        self._request = request
        self._room = room
        self._workers = workers
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._work, name="mmdist-growth", daemon=True)

    def __enter__(self) -> None:
        if self._request is not None:
            self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._over.set()
        if self._request is not None:
            self._thread.join()

    def _work(self) -> None:
        while not self._over.wait(GROW_LOOK_EVERY_S):
            try:
                placement = self._room()
                if placement is not None and placement.workers > self._workers:
                    self._run.write_if_absent(str(self._request), b"{}")
                    return
            except Exception:
                # Storage or the cluster does not answer now; growing can wait.
                traceback.print_exc()
