"""Batches in order, ready before they are asked for: read, prepared and decoded by threads, handed over in turn.

At any time a stream holds what its feed holds, and a bounded number of batches that are decoded or being decoded. An
error in any thread is raised where the batches are taken; leaving the `with` block ends every thread.
"""

import os
import threading
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType

import numpy as np
import numpy.typing as npt

from mmdist.data.batches import Batch
from mmdist.data.collate import Collator, PendingBatch
from mmdist.data.dataset import Dataset
from mmdist.data.feed import CachedFeed, Feed, GroupReader, LanesFeed
from mmdist.data.image_buffers import ImageBuffers
from mmdist.data.order import EpochPlan, LanesPlan
from mmdist.data.order_global import GlobalPlan
from mmdist.data.places import Places
from mmdist.data.rows import RowBlock

__all__ = ["BatchStream", "StoragePlan", "default_threads", "scan"]

_ROWS_PER_BLOCK = 2048
_TASKS_PER_THREAD = 2
"""Decoding tasks that wait or run, for each thread: more than one, so that no thread waits for the slowest."""
_LOCAL_READERS = 2
_REMOTE_READERS = 8


class StoragePlan:
    """Every row of some row groups that follow each other, once, in the order in which it is stored."""

    lane_places = 1

    def __init__(self, group_rows: npt.NDArray[np.int64], batch_size: int, *, first_group: int = 0) -> None:
        self.lanes = batch_size
        self._first_group = first_group
        self._ends = np.cumsum(group_rows)
        self._starts = self._ends - group_rows
        self.rows = int(self._ends[-1]) if len(self._ends) else 0
        self.batches = -(-self.rows // batch_size)

    def batch_places(self, batch: int, lanes: range) -> Places:
        """The places of some lanes in one batch; -1 and -1 where it is padding."""
        first = batch * self.lanes
        rows = np.arange(first + lanes.start, min(first + lanes.stop, self.rows))
        places = Places.padding(len(lanes))
        group = np.searchsorted(self._ends, rows, side="right")
        places.group[: len(rows)] = self._first_group + group
        places.row[: len(rows)] = rows - self._starts[group]
        return places


class BatchStream:
    """The batches of an epoch from one on, for the lanes of one worker.

    Use it in a `with` block and iterate once:

        with BatchStream(dataset, plan, collator, lanes=range(0, 16), start_batch=7) as stream:
            for batch in stream: ...

    Args:
        dataset: Where rows are read.
        plan: Which rows each batch has.
        collator: How rows become a batch; its `threads` decode.
        lanes: The worker's lanes; a batch has `len(lanes) * plan.lane_places` places.
        start_batch: First batch, by its number in the epoch. Nothing before it is read.
        prefetch: Batches that are held ready, besides those that keep the decoding threads busy.

    Raises:
        DataRefusedError: while iterating, where a shard is damaged. A bad row raises nothing: see `Batch.bad`.
    """

    def __init__(
        self,
        dataset: Dataset,
        plan: EpochPlan | StoragePlan,
        collator: Collator,
        *,
        lanes: range | None = None,
        start_batch: int = 0,
        prefetch: int = 2,
    ) -> None:
        self._plan = plan
        self._collator = collator
        self._lanes = range(plan.lanes) if lanes is None else lanes
        self._start_batch = start_batch
        readers = _LOCAL_READERS if dataset.store.is_local else _REMOTE_READERS
        self._read_pool = ThreadPoolExecutor(readers, thread_name_prefix="mmdist-read")
        self._decode_pool = ThreadPoolExecutor(collator.threads, thread_name_prefix="mmdist-decode")
        in_place = isinstance(plan, GlobalPlan)
        self._reader = GroupReader(dataset, collator, self._read_pool, in_place=in_place)
        self._size = len(self._lanes) * plan.lane_places
        started = max(2, -(-collator.threads * _TASKS_PER_THREAD // collator.tasks(self._size))) + prefetch
        self._buffers = ImageBuffers(started)
        self._handover = _Handover(started)
        self._decode_s = 0.0
        self._input_wait_s = 0.0
        self._locate = dataset.index.locate
        self._thread = threading.Thread(target=self._run, name="mmdist-stream", daemon=True)
        self._thread.start()

    def __enter__(self) -> "BatchStream":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __iter__(self) -> Iterator[Batch]:
        return self

    def __next__(self) -> Batch:
        start = time.perf_counter()
        pending = self._handover.take()
        if pending is None:
            raise StopIteration
        batch = pending.finish()
        self._decode_s += pending.decode_s
        self._input_wait_s += time.perf_counter() - start
        return batch

    def close(self) -> None:
        """Ends all threads and lets go of what they hold. May be called twice."""
        self._handover.close()
        self._thread.join()
        # What is still queued is cancelled; what is being read is waited for.
        self._read_pool.shutdown(cancel_futures=True)
        self._decode_pool.shutdown(cancel_futures=True)

    def timings(self) -> dict[str, float]:
        """Seconds by phase so far.

        `read_s`, `prepare_s` and `decode_s` are summed over threads. `read_wait_s`: batches waited for row groups.
        `handover_wait_s`: enough batches were ready. `input_wait_s`: the consumer waited for a batch.
        """
        return {
            "read_s": self._reader.read_s,
            "prepare_s": self._reader.prepare_s,
            "decode_s": self._decode_s,
            "read_wait_s": self._reader.wait_s,
            "handover_wait_s": self._handover.room_wait_s,
            "input_wait_s": self._input_wait_s,
        }

    def _run(self) -> None:
        try:
            feed, size = self._feed(), self._size
            first, count = self._start_batch, 1
            while first < self._plan.batches:
                count = min(count, self._plan.batches - first)
                block = feed.take(first, count)
                for number in range(count):
                    if not self._handover.has_room():
                        return
                    self._handover.put(self._start(first + number, block[number * size : (number + 1) * size]))
                # The first batch is not to wait for the reading of many.
                first, count = first + count, min(2 * count, max(1, _ROWS_PER_BLOCK // size))
            self._handover.end(None)
        except BaseException as error:  # whatever it is, the consumer is to know
            self._handover.end(error)

    def _start(self, index: int, rows: RowBlock) -> PendingBatch:
        return self._collator.start(index, rows, self._decode_pool, locate=self._locate, buffers=self._buffers)

    def _feed(self) -> Feed:
        if isinstance(self._plan, LanesPlan):
            return LanesFeed(self._plan, self._lanes, self._start_batch, self._reader)
        plan, lanes = self._plan, self._lanes
        return CachedFeed(lambda batch: plan.batch_places(batch, lanes), plan.batches, self._reader)


def scan(
    dataset: Dataset, collator: Collator, batch_size: int, *, start_batch: int = 0, groups: range | None = None
) -> BatchStream:
    """All rows, or those of a range of row groups, as they are stored; the last batch is padded to `batch_size`."""
    taken = range(len(dataset.index)) if groups is None else groups
    plan = StoragePlan(dataset.index.rows[taken.start : taken.stop], batch_size, first_group=taken.start)
    return BatchStream(dataset, plan, collator, start_batch=start_batch)


def default_threads() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class _Handover:
    """A bounded queue between two threads that either may end."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._batches: deque[PendingBatch] = deque()
        self._changed = threading.Condition()
        self._ended = False
        self._closed = False
        self._error: BaseException | None = None
        self.room_wait_s = 0.0

    def has_room(self) -> bool:
        """Waits until one more may be put. False once the consumer has closed."""
        start = time.perf_counter()
        with self._changed:
            while not self._closed and len(self._batches) >= self._limit:
                self._changed.wait()
            self.room_wait_s += time.perf_counter() - start
            return not self._closed

    def put(self, batch: PendingBatch) -> None:
        """Adds one, unless the consumer has closed. There is one producer, and it asked for room."""
        with self._changed:
            if not self._closed:
                self._batches.append(batch)
                self._changed.notify()

    def take(self) -> PendingBatch | None:
        """Waits for a batch. None at the end; raises what the producer met, after the batches before it."""
        with self._changed:
            while not (self._batches or self._ended or self._closed):
                self._changed.wait()
            if self._batches:
                self._changed.notify()
                return self._batches.popleft()
            if self._error is not None:
                raise self._error
            return None

    def end(self, error: BaseException | None) -> None:
        """The producer has no more."""
        with self._changed:
            self._ended = True
            self._error = error
            self._changed.notify()

    def close(self) -> None:
        """The consumer wants no more."""
        with self._changed:
            self._closed = True
            self._batches.clear()
            self._changed.notify_all()
