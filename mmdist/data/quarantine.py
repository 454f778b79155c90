"""Rows that were set aside: written into the run with their reasons, and counted against the job's budget."""

import math
import re
from collections.abc import Sequence
from typing import Literal

import pyarrow as pa
import pyarrow.parquet as pq

from mmdist.data.batches import BadRow
from mmdist.data.schema_guard import open_parquet
from mmdist.errors import BadRowsError, DataRefusedError
from mmdist.storage import Store

__all__ = ["QUARANTINE_SCHEMA", "BadRowBudget", "QuarantineWriter", "drop_torn", "rows_borne"]

_COLUMNS: dict[str, pa.DataType] = {
    "shard": pa.string(),
    "row": pa.int64(),
    "id": pa.string(),
    "column": pa.string(),
    "reason": pa.string(),
}
QUARANTINE_SCHEMA = pa.schema(_COLUMNS)
_FOLDER = "quarantine"
_OF_WORKER = re.compile(r"quarantine/(\d{4,})-worker-\d+\.(\d+)-.+\.parquet")
_ROWS_PER_FILE = 1000
_FIRST_REASONS = 3


class QuarantineWriter:
    """Writes bad rows to `quarantine/ATTEMPT-WRITER-SEQ.parquet`, each row once however often it is met."""

    def __init__(self, run: Store, attempt: int, writer: str) -> None:
        self._run = run
        self._prefix = f"{_FOLDER}/{attempt:04d}-{writer}"
        self._buffer: list[BadRow] = []
        self._seen: set[tuple[str, int]] = set()
        self._next = 0
        self.paths: list[str] = []
        """Files written so far, from the run's folder."""

    @property
    def rows(self) -> int:
        """Distinct rows set aside so far."""
        return len(self._seen)

    @property
    def place(self) -> str:
        """Where the user finds the rows: the first file, or the folder before there is one."""
        return f"{self._run.url}/{self.paths[0] if self.paths else _FOLDER}"

    def add(self, rows: Sequence[BadRow]) -> int:
        """Takes rows; returns how many of them were new. They are on storage after `flush`, or in thousands."""
        new = 0
        for row in rows:
            if (row.shard, row.row) not in self._seen:
                self._seen.add((row.shard, row.row))
                self._buffer.append(row)
                new += 1
        while len(self._buffer) >= _ROWS_PER_FILE:
            self._write(self._buffer[:_ROWS_PER_FILE])
            self._buffer = self._buffer[_ROWS_PER_FILE:]
        return new

    def flush(self) -> None:
        """Writes what is held back. Called before a checkpoint, and at the end."""
        if self._buffer:
            self._write(self._buffer)
            self._buffer = []

    def _write(self, rows: Sequence[BadRow]) -> None:
        table = pa.table(
            {name: [getattr(row, name) for row in rows] for name in QUARANTINE_SCHEMA.names}, schema=QUARANTINE_SCHEMA
        )
        sink = pa.BufferOutputStream()
        pq.write_table(table, sink, write_page_checksum=True)
        path = f"{self._prefix}-{self._next:04d}.parquet"
        self._run.write_bytes(path, memoryview(sink.getvalue()))
        self.paths.append(path)
        self._next += 1


def drop_torn(run: Store, *, attempt: int, restart: int) -> None:
    """Deletes the files that a worker of an earlier group was killed over, for no reader of the folder can pass them.

    Nothing is lost: rows are written before the checkpoint that counts them, so who goes on meets them again.

    Args:
        run: The run.
        attempt: The attempt that is about to go on.
        restart: The number of its group of workers.
    """
    for entry in run.list(_FOLDER):
        match = _OF_WORKER.fullmatch(entry.path)
        if match and (int(match[1]), int(match[2])) < (attempt, restart) and not _is_whole(run, entry.path):
            run.delete_file(entry.path)


def _is_whole(run: Store, path: str) -> bool:
    try:
        with open_parquet(run, path):  # the footer comes last
            return True
    except DataRefusedError:
        return False


def rows_borne(max_bad_rows: int | float, total_rows: int, on_bad_row: Literal["quarantine", "fail"]) -> int:
    """How many bad rows a job bears: a count (int) as it stands, a share (float) of the rows rounded up.

    Up, so that a share above 0 bears a bad row of however small a dataset.
    """
    if on_bad_row == "fail":
        return 0
    if isinstance(max_bad_rows, int):
        return max_bad_rows
    # The small number undoes float error: 0.07 of 100 rows, which is 7.000000000000001, is 7.
    return math.ceil(max_bad_rows * total_rows - 1e-9)


class BadRowBudget:
    """Lets a job bear some bad rows and no more; distinct rows count, so further epochs cost nothing.

    Args:
        max_bad_rows: A count (int), or a share (float) of `total_rows`, rounded up.
        total_rows: Rows of the dataset that is read.
        on_bad_row: `fail` bears none.
        quarantine: Takes every row before it is counted, so that the user can look it up.
    """

    def __init__(
        self,
        max_bad_rows: int | float,
        total_rows: int,
        on_bad_row: Literal["quarantine", "fail"],
        *,
        quarantine: QuarantineWriter,
    ) -> None:
        share = isinstance(max_bad_rows, float)
        self.limit = rows_borne(max_bad_rows, total_rows, on_bad_row)
        self._stated = f"{max_bad_rows:g} of {total_rows} rows" if share else f"{max_bad_rows} rows"
        self._fail = on_bad_row == "fail"
        self._total_rows = total_rows
        self._quarantine = quarantine
        self._first: list[BadRow] = []

    def add(self, rows: Sequence[BadRow]) -> None:
        """Sets rows aside and counts them.

        Raises:
            BadRowsError: once more rows are bad than the job bears; they are written before it is raised.
        """
        if not rows:
            return
        self._quarantine.add(rows)
        self._first.extend(rows[: _FIRST_REASONS - len(self._first)])
        self.bear(self._quarantine.rows)

    def bear(self, rows: int) -> None:
        """Compares a count with the limit: this worker's own distinct rows, or those of an epoch over all workers.

        Raises:
            BadRowsError: once more rows are bad than the job bears.
        """
        if rows <= self.limit:
            return
        self._quarantine.flush()
        reasons = "; ".join(f"{f'{row.shard}#{row.row} {row.column}'.rstrip()}: {row.reason}" for row in self._first)
        raise BadRowsError(
            "a row cannot be used, and on_bad_row is `fail`" if self._fail else "too many rows cannot be used",
            expected="no bad row" if self._fail else f"at most {self.limit} bad rows (max_bad_rows: {self._stated})",
            received=f"{rows} bad rows of {self._total_rows} so far" + (f"; the first: {reasons}" if reasons else ""),
            remedy=f"look at {self._quarantine.place}, then mend the data or "
            + ("set data.on_bad_row: quarantine" if self._fail else "raise data.max_bad_rows")
            + ", and submit the job as a new run",
        )

    def flush(self) -> None:
        """Writes what its quarantine holds back."""
        self._quarantine.flush()
