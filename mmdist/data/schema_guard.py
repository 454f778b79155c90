"""Opens Parquet files that strangers may have made: nothing in a file's schema gets to run code.

pyarrow builds registered extension types while it opens a file, and Ray registers one whose values are pickles. So
the footer is looked through as bytes first, and pyarrow is given only a footer without extension types.
"""

import base64
import binascii
import struct
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import xxhash

from mmdist.errors import DataRefusedError, Place, words_of
from mmdist.storage import Store

__all__ = ["check_schema", "footer_sum", "open_parquet", "open_summed", "plain_type"]

_MAGIC = b"PAR1"
_ENCRYPTED_MAGIC = b"PARE"
_TAIL_BYTES = 8
_FIRST_READ_BYTES = 64 * 1024
_ARROW_SCHEMA_KEY = b"ARROW:schema"
_EXTENSION_KEY = b"ARROW:extension:"
_REPAIR = "write the file again, or take it out of the folder"


def open_parquet(store: Store, path: str, *, expected_sum: int | None = None) -> pq.ParquetFile:
    """Opens a shard for reading, with page checksums verified.

    Args:
        store: Where it lies.
        path: Its path there.
        expected_sum: The sum that its footer must have.

    Raises:
        DataRefusedError: naming the shard, when it is missing, empty, truncated, no Parquet, encrypted, when its
            footer lies about its size or has another sum, or when a column, at any depth, is of an extension type.
    """
    reader, found = open_summed(store, path)
    if expected_sum is not None and found != expected_sum:
        reader.close(force=True)
        raise DataRefusedError(
            "the shard was replaced or altered after the dataset was opened",
            expected=f"a footer with sum {expected_sum:016x}",
            received=f"sum {found:016x}",
            place=Place(file=f"{store.url}/{path}"),
            remedy="bring the former shard back, or start the job again",
        )
    return reader


def footer_sum(store: Store, path: str) -> int:
    """The XXH3-64 of a shard's footer, as it lies on storage. Raises as `open_parquet`.

    Pages carry checksums and footers do not: this is a footer's.
    """
    reader, found = open_summed(store, path)
    reader.close(force=True)
    return found


def open_summed(store: Store, path: str) -> tuple[pq.ParquetFile, int]:
    """As `open_parquet`, with the sum of the footer."""
    place = Place(file=f"{store.url}/{path}")
    try:
        file = store.open_file(path)
    except FileNotFoundError as error:
        raise DataRefusedError("the shard is missing", place=place, remedy=_REPAIR) from error
    try:
        footer = _read_footer(file, place)
        _refuse_extensions(footer, place)
        metadata = pq.read_metadata(pa.BufferReader(_MAGIC + footer + struct.pack("<I", len(footer)) + _MAGIC))
        reader = pq.ParquetFile(file, metadata=metadata, page_checksum_verification=True, pre_buffer=not store.is_local)
        check_schema(reader.schema_arrow, place)
    except (OSError, ValueError, pa.ArrowException) as error:
        file.close()
        raise DataRefusedError(
            "the shard's footer cannot be read",
            expected="a whole Parquet file",
            received=words_of(error),
            place=place,
            remedy=_REPAIR,
        ) from error
    except DataRefusedError:
        file.close()
        raise
    _check_row_counts(reader.metadata, place)
    return reader, xxhash.xxh3_64_intdigest(footer)


def check_schema(schema: pa.Schema, place: Place) -> None:
    """Refuses a schema with an extension type at any depth, or with two columns of one name.

    Raises:
        DataRefusedError: naming the column.
    """
    names = set()
    for column in schema:
        if column.name in names:
            raise DataRefusedError(
                f"the schema has two columns named `{column.name}`", place=place, remedy="rename one of the columns"
            )
        names.add(column.name)
        found = _find_extension(column)
        if found is not None:
            raise _extension_refused(place, f"column `{column.name}` of type {found}")


def plain_type(kind: pa.DataType) -> pa.DataType:
    """The type of a column's values: of a dictionary-encoded column, that of the dictionary."""
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _shown(data: bytes) -> str:
    text = data.decode("ascii", errors="replace")
    return text if text.isprintable() and text.isascii() else data.hex(" ")


def _read_footer(file: pa.NativeFile, place: Place) -> bytes:
    size = file.size()
    if size == 0:
        raise DataRefusedError("the shard is empty", received="0 bytes", place=place, remedy=_REPAIR)
    tail = _read_at(file, max(0, size - _FIRST_READ_BYTES), min(size, _FIRST_READ_BYTES))
    if tail[-4:] == _ENCRYPTED_MAGIC:
        raise DataRefusedError("the shard is encrypted", place=place, remedy="write it without encryption")
    if size < len(_MAGIC) + _TAIL_BYTES or tail[-4:] != _MAGIC:
        raise DataRefusedError(
            "the file is no Parquet file, or was cut off",
            expected=f"{_MAGIC.decode()} as the last 4 bytes",
            received=f"{_shown(tail[-4:])} ({size} bytes in all)",
            place=place,
            remedy=_REPAIR,
        )
    footer_bytes = int(struct.unpack("<I", tail[-8:-4])[0])
    room = size - len(_MAGIC) - _TAIL_BYTES
    if not 0 < footer_bytes <= room:
        raise DataRefusedError(
            "the shard's footer has a length that cannot be",
            expected=f"1 to {room} bytes",
            received=f"{footer_bytes} bytes",
            place=place,
            remedy=_REPAIR,
        )
    if footer_bytes + _TAIL_BYTES > len(tail):
        return _read_at(file, size - _TAIL_BYTES - footer_bytes, footer_bytes)
    return tail[-_TAIL_BYTES - footer_bytes : -_TAIL_BYTES]


def _read_at(file: pa.NativeFile, start: int, count: int) -> bytes:
    file.seek(start)
    return bytes(file.read(count))


def _refuse_extensions(footer: bytes, place: Place) -> None:
    """Looks for extension types in the Arrow schema that a footer carries, without letting pyarrow parse it.

    The schema is the value after its key: base64 of a flatbuffer, in which strings lie verbatim. What looks like the
    key but is not followed by such a value is refused too, so that an unusual encoding hides nothing.
    """
    at = footer.find(_ARROW_SCHEMA_KEY)
    while at >= 0:
        schema = _schema_after(footer, at + len(_ARROW_SCHEMA_KEY))
        if schema is None:
            raise _extension_refused(place, "an Arrow schema in the footer that cannot be looked through")
        if _EXTENSION_KEY in schema:
            start = schema.find(_EXTENSION_KEY)
            raise _extension_refused(place, f"extension metadata in the footer (at byte {start} of the Arrow schema)")
        at = footer.find(_ARROW_SCHEMA_KEY, at + 1)


def _schema_after(footer: bytes, at: int) -> bytes | None:
    # Thrift's compact protocol: one byte for "next field, binary", the length as a varint, the bytes.
    if footer[at : at + 1] != b"\x18":
        return None
    length = shift = 0
    at += 1
    while at < len(footer) and shift < 35:
        byte = footer[at]
        length |= (byte & 0x7F) << shift
        shift += 7
        at += 1
        if byte < 0x80:
            break
    value = footer[at : at + length]
    if len(value) != length:
        return None
    try:
        return base64.b64decode(value, validate=True)
    except binascii.Error:
        return None


def _find_extension(field: "pa.Field[Any]") -> pa.DataType | None:
    kind: pa.DataType = field.type
    if isinstance(kind, pa.BaseExtensionType):
        return kind
    if any(key.startswith(_EXTENSION_KEY) for key in field.metadata or {}):
        return kind
    if pa.types.is_dictionary(kind):
        return _find_extension(pa.field("values", kind.value_type))
    for number in range(kind.num_fields):
        found = _find_extension(kind.field(number))
        if found is not None:
            return found
    return None


def _extension_refused(place: Place, received: str) -> DataRefusedError:
    return DataRefusedError(
        "the shard's schema has an extension type, which may run code when it is read",
        expected="plain Arrow types",
        received=received,
        place=place,
        remedy="write the column as binary, string or a number",
    )


def _check_row_counts(metadata: pq.FileMetaData, place: Place) -> None:
    counts = [metadata.row_group(number).num_rows for number in range(metadata.num_row_groups)]
    if sum(counts) != metadata.num_rows or min(counts, default=0) < 0:
        raise DataRefusedError(
            "the shard's footer disagrees with itself about its rows",
            expected=f"{metadata.num_rows} rows over {len(counts)} row groups",
            received=f"{sum(counts)} rows",
            place=place,
            remedy=_REPAIR,
        )
