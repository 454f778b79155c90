"""Imports one part of a source: the work of one task, which gives the same files however often it runs."""

import pickle
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from mmdist.data.batches import BadRow
from mmdist.data.quarantine import QUARANTINE_SCHEMA
from mmdist.errors import MmdistError
from mmdist.importing.folder import QUARANTINE, part_name
from mmdist.importing.judging import judge
from mmdist.importing.shards import GroupSize, ShardResult, ShardWriter, schema_of
from mmdist.importing.sources import Problem, Source, SourceFacts, SourceRow, open_source
from mmdist.importing.splits import group_of, split_columns, split_of
from mmdist.spec.importing import ImportSpec
from mmdist.storage import Attend, Store, open_store, unattended

__all__ = ["Part", "PartResult", "PartTask", "write_quarantine"]

MAX_EXAMPLES = 3


@dataclass(frozen=True)
class Part:
    """Work for one task.

    `number` is unique within the import and names the quarantine file, `shard` names the shards; `what` goes to the
    source's `read`; `split` is None where the split is decided row by row.
    """

    number: int
    shard: int
    what: Any
    split: str | None = None


@dataclass(frozen=True)
class PartResult:
    """What a task did. Errors travel here, so that a refusal is no crash of a task."""

    number: int
    rows: int = 0
    bad_rows: int = 0
    examples: list[str] = field(default_factory=list)
    """The first bad rows and their reasons."""
    shards: list[ShardResult] = field(default_factory=list)
    error: MmdistError | None = None


class PartTask:
    """What every part of one import has in common. It is sent to the workers."""

    def __init__(
        self,
        spec: ImportSpec,
        *,
        seed: int,
        size: GroupSize,
        facts: SourceFacts,
        grouped: bool,
        attend: Attend = unattended,
    ) -> None:
        self.spec, self.seed, self.size, self.facts, self.grouped = spec, seed, size, facts, grouped
        self.attend = attend

    def __call__(self, item: dict[str, bytes]) -> dict[str, bytes]:
        """Runs one pickled `Part`, and gives its pickled `PartResult`."""
        part: Part = pickle.loads(item["part"])
        try:
            with self.attend() as moved:
                result = self.run(part, moved)
        except MmdistError as error:
            result = PartResult(part.number, error=error)
        return {"result": pickle.dumps(result)}

    def run(self, part: Part, moved: Callable[[], None] = lambda: None) -> PartResult:
        """Writes the part's shards, one per split, and its quarantine file; `moved` is called at each row.

        Raises:
            MmdistError: when the source or the storage fails as a whole.
        """
        store = open_store(self.spec.output)
        source = open_source(self.spec.source, split_columns=split_columns(self.spec.splits))
        writers: dict[str, ShardWriter] = {}
        bad: list[BadRow] = []
        rows = 0
        try:
            for number, (row, verdict) in enumerate(self._judged(source, part)):
                rows += 1
                moved()
                if isinstance(verdict, Problem):
                    name = _clean(row.key.id)
                    bad.append(BadRow(part_name(part.number), number, name, verdict.column, verdict.reason))
                    if self.spec.on_bad_row == "fail":
                        break
                    continue
                if verdict not in writers:
                    writers[verdict] = self._writer(store, verdict, part.shard)
                writers[verdict].add(self._columns(row))
            shards = [writer.close() for writer in writers.values()]
        except BaseException:
            for writer in writers.values():
                writer.abandon()
            raise
        write_quarantine(store, part.number, bad)
        examples = [f"{row.id}: {row.column + ': ' if row.column else ''}{row.reason}" for row in bad[:MAX_EXAMPLES]]
        return PartResult(part.number, rows, len(bad), examples, shards)

    def _judged(self, source: Source, part: Part) -> Iterator[tuple[SourceRow, str | Problem]]:
        for row in source.read(part.what):
            problem = judge(
                row, parts=self.facts.parts, max_pixels=self.spec.max_pixels, max_samples=self.spec.max_samples
            )
            problem = problem or _unwritable(row)
            yield row, problem or part.split or split_of(self.spec.splits, row.key, seed=self.seed)

    def _writer(self, store: Store, split: str, number: int) -> ShardWriter:
        schema = schema_of(self.facts.parts, grouped=self.grouped, values=self.facts.values)
        return ShardWriter(store, split, part_name(number), schema=schema, size=self.size)

    def _columns(self, row: SourceRow) -> dict[str, Any]:
        parts = {part: getattr(row, part) for part in self.facts.parts}
        columns: dict[str, Any] = {name: row.key.values.get(name) for name in self.facts.values}
        columns |= {"id": row.key.id, **parts}
        if self.grouped:
            columns["group"] = group_of(self.spec.splits, row.key)
        return columns


def write_quarantine(store: Store, number: int, rows: list[BadRow]) -> None:
    """Writes a part's bad rows beside the splits; nothing where there are none."""
    if rows:
        columns = {name: [getattr(row, name) for row in rows] for name in QUARANTINE_SCHEMA.names}
        sink = pa.BufferOutputStream()
        pq.write_table(pa.table(columns, schema=QUARANTINE_SCHEMA), sink, write_page_checksum=True)
        store.write_bytes(f"{QUARANTINE}/{part_name(number)}", memoryview(sink.getvalue()))


def _unwritable(row: SourceRow) -> Problem | None:
    """A string that is no Unicode: a file name in another encoding, half of a surrogate pair."""
    strings = {"text": row.text, "label": row.label, **row.key.values, "group": row.key.group, "id": row.key.id}
    for column, value in strings.items():
        if value is not None and _clean(value) != value:
            return Problem(column, "the value cannot be written as UTF-8")
    return None


def _clean(value: str) -> str:
    return value.encode(errors="replace").decode()
