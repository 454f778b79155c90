"""Metrics of a training: written as Parquet files that are never changed, and as curves for TensorBoard."""

import os
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import tensorflow as tf

from mmdist.storage import Store

__all__ = ["METRICS_SCHEMA", "MetricWriter"]

_FIELDS: list["pa.Field[Any]"] = [
    pa.field("step", pa.int64()),
    pa.field("epoch", pa.int64()),
    pa.field("name", pa.string()),
    pa.field("value", pa.float64()),
    pa.field("time", pa.float64()),
]
METRICS_SCHEMA = pa.schema(_FIELDS)
FLUSH_EVERY_S = 30.0
_SCALARS = tf.compat.v1.SummaryMetadata(plugin_data={"plugin_name": "scalars"}, data_class="DATA_CLASS_SCALAR")


class MetricWriter:
    """Writes `metrics/ATTEMPT.RESTART-SEQ.parquet` and, where wanted, `tensorboard/ATTEMPT.RESTART/`.

    Args:
        run: The run.
        attempt: Number of the attempt.
        restart: Number of the worker's restart within it.
        tensorboard: Whether TensorBoard's files are written too.
    """

    def __init__(self, run: Store, attempt: int, restart: int, *, tensorboard: bool) -> None:
        self._run = run
        self._prefix = f"metrics/{attempt:04d}.{restart:02d}"
        self._rows: list[dict[str, Any]] = []
        self._next = 0
        self._flushed_s = time.monotonic()
        self._board = _TensorBoard(run, f"tensorboard/{attempt:04d}.{restart:02d}") if tensorboard else None

    def add(self, values: Mapping[str, float], *, step: int, epoch: int) -> None:
        """Takes values after so many steps, in an epoch from 0. Now and then it writes what it has."""
        now = time.time()
        self._rows += [
            {"step": step, "epoch": epoch, "name": name, "value": value, "time": now} for name, value in values.items()
        ]
        if self._board is not None:
            self._board.add(values, step)
        if time.monotonic() - self._flushed_s > FLUSH_EVERY_S:
            self.flush()

    def flush(self) -> None:
        """Writes what is held back."""
        self._flushed_s = time.monotonic()
        if self._rows:
            sink = pa.BufferOutputStream()
            pq.write_table(pa.Table.from_pylist(self._rows, METRICS_SCHEMA), sink, write_page_checksum=True)
            self._run.write_bytes(f"{self._prefix}-{self._next:06d}.parquet", memoryview(sink.getvalue()))
            self._next += 1
            self._rows = []
        if self._board is not None:
            self._board.flush()


class _TensorBoard:
    """TensorFlow's writer of curves, for which TensorBoard, a viewer, need not be installed.

    It appends, so that on an object store its files are made here and copied there.
    """

    def __init__(self, run: Store, folder: str) -> None:
        self._run = run
        self._folder = folder
        self._copies = None if run.is_local else tempfile.TemporaryDirectory()
        self._path = run.full_path(folder) if self._copies is None else self._copies.name
        # Under a strategy the writer would be made once per replica.
        with tf.init_scope():
            self._writer = tf.summary.create_file_writer(self._path)

    def add(self, values: Mapping[str, float], step: int) -> None:
        with self._writer.as_default(step=step):
            for name, value in values.items():
                # As `tf.summary.scalar` does, which imports TensorBoard for it.
                tf.summary.write(name, tf.constant(value, tf.float32), metadata=_SCALARS)

    def flush(self) -> None:
        self._writer.flush()
        if self._copies is not None:
            for name in sorted(os.listdir(self._path)):
                self._run.write_bytes(f"{self._folder}/{name}", Path(self._path, name).read_bytes())
