"""The folder that predictions are written to: its shards, their markers, its card, and what may be taken up again.

OUTPUT/_inputs.json             first: what is predicted from; other inputs are refused
OUTPUT/part-00000.parquet       one per range of row groups, in the dataset's order
OUTPUT/_shards/part-00000.json  after its shard: rows, bad rows, size, SHA-256; a shard without it does not count
OUTPUT/_predictions.json        the card
OUTPUT/_COMMITTED               last: the card's SHA-256

All but the shards begin with `_`, so that readers of Parquet folders take the shards alone.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from mmdist.data.batches import BadRow
from mmdist.errors import DataRefusedError, Place
from mmdist.prediction.ranges import PredictionRange
from mmdist.storage import Store

__all__ = ["CARD", "COMMITTED", "INPUTS", "PredictionFolder", "ShardRecord"]

INPUTS = "_inputs.json"
MARKERS = "_shards"
CARD = "_predictions.json"
COMMITTED = "_COMMITTED"
_READ_BACK_THREADS = 8


@dataclass(frozen=True)
class ShardRecord:
    """What the marker of a committed shard says."""

    shard: str
    rows: int
    size_bytes: int
    sha256: str
    bad: tuple[BadRow, ...]
    """The rows without a prediction."""
    ledger: dict[str, Any]
    """State of the content ledger over the shard's rows."""

    def to_json(self) -> bytes:
        """For the marker, and for the way from a worker to the driver."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> "ShardRecord":
        """The record of a parsed document. Raises KeyError or TypeError where it is no such document."""
        return cls(**{**document, "bad": tuple(BadRow(**row) for row in document["bad"])})


class PredictionFolder:
    """The output of one prediction over one dataset."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def claim(self, inputs: dict[str, Any]) -> bool:
        """Says what will be predicted from, or finds that it was said before. True where the folder is fresh.

        Raises:
            DataRefusedError: when the folder holds other files, or predictions from other inputs.
        """
        document = json.dumps({"version": 1, "inputs": inputs}, indent=1, sort_keys=True).encode()
        found = self._read_json(INPUTS)
        if found is None:
            strangers = [entry.path for entry in self.store.list() if entry.path != INPUTS]
            if strangers:
                raise DataRefusedError(
                    "the output folder holds files that are not predictions of mmdist",
                    expected="a folder that is empty or not there",
                    received=", ".join(strangers[:3]) + (" ..." if len(strangers) > 3 else ""),
                    place=Place(file=self.store.url, key="output"),
                    remedy="choose another `output`, or empty this folder",
                )
            self.store.write_bytes(INPUTS, document)
            return True
        if found.get("inputs") != json.loads(document)["inputs"]:
            raise DataRefusedError(
                "the output folder holds predictions from other inputs",
                received=_differences(found.get("inputs"), inputs),
                place=Place(file=self.store.url, key="output"),
                remedy="choose another `output`, or delete this folder",
            )
        return False

    def card(self) -> dict[str, Any] | None:
        """The card, where the prediction is complete."""
        try:
            data = self.store.read_bytes(CARD)
            marker = self.store.read_bytes(COMMITTED).decode(errors="replace")
        except FileNotFoundError:
            return None
        return dict(json.loads(data)) if marker == hashlib.sha256(data).hexdigest() else None

    def committed(self, ranges: Sequence[PredictionRange]) -> dict[int, ShardRecord]:
        """The ranges whose shard is whole, by number: each is read back and compared with its marker."""
        marked = {entry.path for entry in self.store.list(MARKERS)}
        candidates = [range_ for range_ in ranges if _marker_path(range_.shard) in marked]
        with ThreadPoolExecutor(_READ_BACK_THREADS) as pool:
            records = pool.map(self._read_back, candidates)
        return {range_.number: record for range_, record in zip(candidates, records, strict=True) if record}

    def write(
        self, range_: PredictionRange, table: pa.Table, *, bad: Sequence[BadRow], ledger: dict[str, Any]
    ) -> ShardRecord:
        """Writes a range's shard, reads it back, and commits it.

        Raises:
            StorageError: when storage fails; shards that were committed before stay.
        """
        sink = pa.BufferOutputStream()
        pq.write_table(table, sink, compression="zstd", write_page_checksum=True)
        data = memoryview(sink.getvalue())
        digest = hashlib.sha256(data).hexdigest()
        self.store.write_bytes(range_.shard, data)
        record = ShardRecord(range_.shard, table.num_rows, data.nbytes, digest, tuple(bad), ledger)
        if hashlib.sha256(self.store.read_bytes(range_.shard)).hexdigest() != digest:
            raise DataRefusedError(
                "a shard of predictions reads back other than it was written",
                place=Place(file=f"{self.store.url}/{range_.shard}"),
                remedy="check the health of the storage, then submit the job again: whole shards are kept",
            )
        self.store.write_bytes(_marker_path(range_.shard), record.to_json())
        return record

    def finish(self, card: dict[str, Any]) -> None:
        """Writes the card, and then the marker that the prediction is complete."""
        data = json.dumps(card, indent=1).encode()
        self.store.write_bytes(CARD, data)
        self.store.write_bytes(COMMITTED, hashlib.sha256(data).hexdigest().encode())

    def _read_back(self, range_: PredictionRange) -> ShardRecord | None:
        try:
            record = ShardRecord.from_json(self._read_json(_marker_path(range_.shard)) or {})
            digest = hashlib.sha256(self.store.read_bytes(range_.shard)).hexdigest()
        except (FileNotFoundError, KeyError, TypeError):
            return None
        return record if digest == record.sha256 and record.rows == range_.rows else None

    def _read_json(self, path: str) -> dict[str, Any] | None:
        try:
            document = json.loads(self.store.read_bytes(path))
        except (FileNotFoundError, ValueError):
            return None
        return document if isinstance(document, dict) else None


def _marker_path(shard: str) -> str:
    return f"{MARKERS}/{shard.removesuffix('.parquet')}.json"


def _differences(found: Any, wanted: dict[str, Any]) -> str:
    before = found if isinstance(found, dict) else {}
    names = sorted(name for name in {*before, *wanted} if before.get(name) != wanted.get(name))
    return "; ".join(f"{name}: {before.get(name)!r} there, {wanted.get(name)!r} in this job" for name in names)
