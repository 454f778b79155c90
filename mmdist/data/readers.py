"""Shards that are kept open between reads: a bounded pool, from which each thread borrows."""

import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import pyarrow.parquet as pq

from mmdist.data.schema_guard import open_parquet
from mmdist.storage import Store

__all__ = ["ReaderPool"]

_MAX_IDLE = 64
_MAX_IDLE_FOOTER_BYTES = 32 * 1024 * 1024


class ReaderPool:
    """Opens shards of a store on demand. A reader is used by one thread at a time.

    Idle readers are kept up to a number and up to the bytes of their footers, the least recently used closed first.

    Args:
        store: Where the shards lie.
        footer_sums: By shard, the sum that its footer had when the dataset was opened: one that was replaced since
            is refused.
    """

    def __init__(self, store: Store, footer_sums: Mapping[str, int]) -> None:
        self.store = store
        self._footer_sums = footer_sums
        self._idle: OrderedDict[int, tuple[str, pq.ParquetFile]] = OrderedDict()
        self._idle_bytes = 0
        self._lock = threading.Lock()

    @contextmanager
    def borrow(self, shard: str) -> Iterator[pq.ParquetFile]:
        """A reader of a shard, until the block ends. After an error it is closed rather than kept.

        Raises:
            DataRefusedError: as `open_parquet`.
        """
        reader = self._take(shard) or open_parquet(self.store, shard, expected_sum=self._footer_sums[shard])
        try:
            yield reader
        except BaseException:
            reader.close(force=True)
            raise
        self._keep(shard, reader)

    def close(self) -> None:
        """Closes the idle readers."""
        with self._lock:
            readers = [reader for _, reader in self._idle.values()]
            self._idle.clear()
            self._idle_bytes = 0
        for reader in readers:
            reader.close(force=True)

    def _take(self, shard: str) -> pq.ParquetFile | None:
        with self._lock:
            for key in reversed(self._idle):
                name, reader = self._idle[key]
                if name == shard:
                    del self._idle[key]
                    self._idle_bytes -= reader.metadata.serialized_size
                    return reader
        return None

    def _keep(self, shard: str, reader: pq.ParquetFile) -> None:
        closed = []
        with self._lock:
            self._idle[id(reader)] = (shard, reader)
            self._idle_bytes += reader.metadata.serialized_size
            while len(self._idle) > _MAX_IDLE or (self._idle_bytes > _MAX_IDLE_FOOTER_BYTES and len(self._idle) > 1):
                _, (_, oldest) = self._idle.popitem(last=False)
                self._idle_bytes -= oldest.metadata.serialized_size
                closed.append(oldest)
        for oldest in closed:
            oldest.close(force=True)
