"""Reads rows of CSV, JSON Lines and Parquet tables from front to back, in bounded memory.

A row is a dict of its wanted columns. Values are strings (integers and truth values as Python writes them), floats or,
from binary columns of Parquet and where a string is no UTF-8, bytes. Rows count from 1, a CSV header not counted.
"""

import io
import json
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import csv

from mmdist.data.schema_guard import open_parquet
from mmdist.errors import DataRefusedError, JobFileError, Place, words_of
from mmdist.importing.files import stamp_of
from mmdist.spec.suggest import one_of
from mmdist.storage import Store

__all__ = ["KINDS", "Value", "column_names", "read_rows"]

Value = str | bytes | float | None

KINDS = (".csv", ".jsonl", ".parquet")
BATCH_ROWS = 256
# A CSV row must fit into a block; a picture or recording in Base64 may be several MiB long.
CSV_BLOCK_BYTES = 16 << 20


def column_names(store: Store, file: str) -> list[str] | None:
    """The columns of a table; None for JSON Lines, which tells them only row by row.

    Raises:
        JobFileError: when the file's name ends in none of `.csv`, `.jsonl` and `.parquet`, or there is no such file.
        DataRefusedError: when the file is no such table, or has two columns of one name.
    """
    kind = PurePosixPath(file).suffix.lower()
    place = Place(file=f"{store.url}/{file}")
    if kind not in KINDS:
        raise JobFileError(
            "a table of this kind is not read",
            expected=f"a name that ends in {one_of(KINDS)}",
            received=file,
            place=Place(key="import.source.path"),
        )
    if stamp_of(store, file)[1] < 0:
        raise JobFileError(
            "the table to import does not exist", received=str(place), place=Place(key="import.source.path")
        )
    if kind == ".jsonl":
        return None
    if kind == ".parquet":
        with open_parquet(store, file) as table:
            return list(table.schema_arrow.names)
    with store.open_file(file) as stream:
        try:
            names = list(_open_csv(stream, place, None).schema.names)
        except UnicodeDecodeError as error:
            raise _broken(error, place) from error
    doubled = sorted({name for name in names if names.count(name) > 1})
    if doubled:
        raise DataRefusedError(
            f"the table has two columns named `{doubled[0]}`", place=place, remedy="rename one of the columns"
        )
    return names


def read_rows(
    store: Store, file: str, columns: Sequence[str], *, start: int = 1, stop: int | None = None
) -> Iterator[tuple[int, dict[str, Value]]]:
    """Rows `start` to `stop - 1` with their numbers, from 1. A column that a row lacks is None.

    Raises:
        DataRefusedError: where the table is broken; it names the row.
    """
    place = Place(file=f"{store.url}/{file}")
    match PurePosixPath(file).suffix.lower():
        case ".parquet":
            rows = _parquet_rows(store, file, columns, start)
        case ".csv":
            rows = _csv_rows(store, file, columns, place)
        case _:
            rows = _json_rows(store, file, columns, place)
    for number, row in rows:
        if stop is not None and number >= stop:
            return
        if number >= start:
            yield number, row


def _parquet_rows(
    store: Store, file: str, columns: Sequence[str], start: int
) -> Iterator[tuple[int, dict[str, Value]]]:
    with open_parquet(store, file) as table:
        _check_types(table, columns, Place(file=f"{store.url}/{file}"))
        number = 1
        for group in range(table.num_row_groups):
            rows = table.metadata.row_group(group).num_rows
            if number + rows <= start:
                number += rows
                continue
            try:
                for batch in table.iter_batches(BATCH_ROWS, row_groups=[group], columns=list(columns)):
                    for row in _rows(batch):
                        yield number, row
                        number += 1
            except (OSError, ValueError, OverflowError, pa.ArrowException) as error:
                raise DataRefusedError(
                    "the table cannot be read",
                    received=words_of(error),
                    place=Place(file=f"{store.url}/{file}", row=number),
                ) from error


def _check_types(table: pq.ParquetFile, columns: Sequence[str], place: Place) -> None:
    for name in columns:
        kind = table.schema_arrow.field(name).type
        if pa.types.is_nested(kind):
            raise DataRefusedError(
                f"column `{name}` holds nested values",
                expected="strings, numbers or binary",
                received=str(kind),
                place=place,
                remedy="write the value that is meant into a column of its own",
            )


def _open_csv(stream: Any, place: Place, columns: Sequence[str] | None) -> Any:
    names = list(columns) if columns is not None else None
    try:
        return csv.open_csv(
            stream,
            # One thread, so that errors tell the row.
            read_options=csv.ReadOptions(use_threads=False, block_size=CSV_BLOCK_BYTES),
            parse_options=csv.ParseOptions(newlines_in_values=True),
            convert_options=csv.ConvertOptions(
                include_columns=names,
                column_types={name: pa.string() for name in names or ()},
                null_values=[""],
                strings_can_be_null=True,
                # A value that is no UTF-8 is its row's fault, not the table's.
                check_utf8=False,
            ),
        )
    except (OSError, pa.ArrowException) as error:
        raise _broken(error, place) from error


def _csv_rows(store: Store, file: str, columns: Sequence[str], place: Place) -> Iterator[tuple[int, dict[str, Value]]]:
    number = 1
    with store.open_file(file) as stream:
        reader = _open_csv(stream, place, columns)
        while True:
            try:
                batch = reader.read_next_batch()
            except StopIteration:
                return
            except (OSError, pa.ArrowException) as error:
                raise _broken(error, place) from error
            for first in range(0, batch.num_rows, BATCH_ROWS):
                for row in _rows(batch.slice(first, BATCH_ROWS)):
                    yield number, row
                    number += 1


def _json_rows(store: Store, file: str, columns: Sequence[str], place: Place) -> Iterator[tuple[int, dict[str, Value]]]:
    stream: Any = store.open_file(file)
    with io.BufferedReader(stream) as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                # Bytes that are no UTF-8 become lone surrogates, which no UTF-8 holds: they mark their value alone.
                row = json.loads(line.decode("utf-8-sig", errors="surrogateescape"))
            except ValueError as error:
                raise DataRefusedError(
                    "a line is not JSON", received=_json_words(error), place=Place(file=place.file, row=number)
                ) from error
            if not isinstance(row, dict):
                raise DataRefusedError(
                    "a line is no JSON object",
                    expected='an object such as {"image": "cat.png", "label": "cat"}',
                    received=line[:80].decode(errors="replace").strip(),
                    place=Place(file=place.file, row=number),
                )
            for name in columns:
                if isinstance(row.get(name), dict | list):
                    raise DataRefusedError(
                        f"column `{name}` holds nested values",
                        expected="a string, a number, true, false or null",
                        received=json.dumps(row[name])[:80],
                        place=Place(file=place.file, row=number, key=name),
                    )
            yield number, {name: _scalar(row.get(name)) for name in columns}


def _rows(batch: pa.RecordBatch) -> Iterator[dict[str, Value]]:
    columns = [_values(column) for column in batch.columns]
    for values in zip(*columns, strict=True):
        yield dict(zip(batch.schema.names, values, strict=True))


def _values(column: "pa.Array[Any]") -> list[Value]:
    try:
        return [_scalar(value) for value in column.to_pylist()]
    except UnicodeDecodeError:
        strings = column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column
        is_large = pa.types.is_large_string(strings.type)
        return [_decoded(value) for value in strings.cast(pa.large_binary() if is_large else pa.binary()).to_pylist()]


def _decoded(value: bytes | None) -> Value:
    try:
        return None if value is None else value.decode()
    except UnicodeDecodeError:
        return value


def _json_words(error: ValueError) -> str:
    # The parser counts lines from the one that it was given: the row is named beside this.
    return f"{error.msg}, at character {error.pos + 1}" if isinstance(error, json.JSONDecodeError) else words_of(error)


def _scalar(value: Any) -> Value:
    return value if value is None or isinstance(value, str | bytes | float) else str(value)


def _broken(error: Exception, place: Place) -> DataRefusedError:
    return DataRefusedError(
        "the table cannot be read",
        expected="CSV in UTF-8 with a header, as many values in every row as the header has names",
        received=str(error),
        place=place,
        remedy="mend the row that is named",
    )
