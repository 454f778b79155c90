"""Queries of a retrieval with what was found for them: how they are kept, and shown on the page."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from mmdist.evaluation.paths import NEIGHBOURS
from mmdist.storage import Store

__all__ = ["FOUND", "Neighbour", "Query", "data_url", "shown_queries", "write_neighbours"]

FOUND = 5
"""Neighbours of a query that are kept."""
_FOUND_COLUMNS: dict[str, pa.DataType] = {
    "row": pa.int64(),
    "id": pa.string(),
    "text": pa.string(),
    "image": pa.binary(),
    "cosine": pa.float32(),
    "is_right": pa.bool_(),
}
_COLUMNS: dict[str, pa.DataType] = {
    "asked": pa.string(),
    "row": pa.int64(),
    "id": pa.string(),
    "text": pa.string(),
    "image": pa.binary(),
    "rank": pa.int64(),
    "candidates": pa.int64(),
    "found": pa.list_(pa.struct(list(_FOUND_COLUMNS.items()))),
}
_SCHEMA = pa.schema(_COLUMNS)


@dataclass(frozen=True)
class Neighbour:
    """A row whose picture or text was found."""

    row: int
    id: str | None
    text: str | None
    cosine: float
    is_right: bool


@dataclass(frozen=True)
class Query:
    """A row whose picture asks for texts, or whose text asks for pictures."""

    asked: str
    """`image` or `text`."""
    row: int
    id: str | None
    text: str | None
    rank: int
    """Place of the first right one, from 1."""
    candidates: int
    found: Sequence[Neighbour]
    """The nearest first."""

    @property
    def pictured(self) -> set[int]:
        """Rows whose pictures are shown: the query's own, and those that were found."""
        return {self.row, *(one.row for one in self.found if self.asked == "text")}


def write_neighbours(run: Store, queries: Sequence[Query], pictures: Mapping[int, bytes]) -> None:
    """Writes report/neighbours.parquet, with the pictures that there are, by row."""
    records = []
    for query in queries:
        found = [
            {**vars(one), "image": pictures.get(one.row) if query.asked == "text" else None} for one in query.found
        ]
        records.append({**vars(query), "image": pictures.get(query.row), "found": found})
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(records, schema=_SCHEMA), sink, write_page_checksum=True)
    run.write_bytes(NEIGHBOURS, memoryview(sink.getvalue()))


def shown_queries(records: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Rows of neighbours.parquet by what is asked with, their pictures as addresses that hold them."""
    return [
        {
            "asked": asked,
            "queries": [
                {
                    **record,
                    "image": data_url(record["image"]),
                    "found": [{**one, "image": data_url(one["image"])} for one in record["found"]],
                }
                for record in records
                if record["asked"] == asked
            ],
        }
        for asked in ("text", "image")
        if any(record["asked"] == asked for record in records)
    ]


def data_url(png: bytes | None) -> str | None:
    """A picture as an address that holds it."""
    return None if png is None else f"data:image/png;base64,{base64.b64encode(png).decode('ascii')}"
