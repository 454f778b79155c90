import struct
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from small_datasets import rows_table, write_shard

from mmdist.data.schema_guard import check_schema, open_parquet, plain_type
from mmdist.errors import DataRefusedError, Place
from mmdist.storage import open_store


class LoudType(pa.ExtensionType):
    """Notes when pyarrow builds it, which is when it could run code."""

    built: list[str] = []

    def __init__(self) -> None:
        super().__init__(pa.string(), "mmdist.tests.loud")

    def __arrow_ext_serialize__(self) -> bytes:
        return b"payload"

    @classmethod
    def __arrow_ext_deserialize__(cls, storage_type: pa.DataType, serialized: bytes) -> "LoudType":
        cls.built.append(serialized.decode())
        return cls()


@pytest.fixture
def loud() -> type[LoudType]:
    LoudType.built = []
    pa.register_extension_type(LoudType())
    yield LoudType
    pa.unregister_extension_type("mmdist.tests.loud")


def open_shard(path: Path) -> pq.ParquetFile:
    return open_parquet(open_store(str(path.parent)), path.name)


@pytest.mark.parametrize("nesting", ["plain", "list", "struct", "map", "dictionary of struct"])
def test_extension_types_are_refused_before_pyarrow_builds_them(
    tmp_path: Path, loud: type[LoudType], nesting: str
) -> None:
    values: pa.Array = pa.ExtensionArray.from_storage(loud(), pa.array(["a", "b"]))
    if nesting == "list":
        values = pa.ListArray.from_arrays(pa.array([0, 1, 2], pa.int32()), values)
    elif nesting == "struct":
        values = pa.StructArray.from_arrays([pa.StructArray.from_arrays([values], ["inner"])], ["outer"])
    elif nesting == "map":
        values = pa.MapArray.from_arrays(pa.array([0, 1, 2], pa.int32()), pa.array(["k", "l"]), values)
    elif nesting == "dictionary of struct":
        values = pa.StructArray.from_arrays([values, pa.array(["x", "y"]).dictionary_encode()], ["e", "d"])
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"id": ["1", "2"], "column": values}), path)
    loud.built = []
    with pytest.raises(DataRefusedError, match=r"a.parquet: the shard's schema has an extension type"):
        open_shard(path)
    assert loud.built == []


def test_extension_types_that_nobody_registered_are_refused(tmp_path: Path) -> None:
    field = pa.field("column", pa.string(), metadata={"ARROW:extension:name": "x", "ARROW:extension:metadata": ""})
    path = tmp_path / "a.parquet"
    pq.write_table(pa.Table.from_arrays([pa.array(["a"])], schema=pa.schema([field])), path)
    with pytest.raises(DataRefusedError, match="extension metadata in the footer"):
        open_shard(path)
    with pytest.raises(DataRefusedError, match="column `column` of type string"):
        check_schema(pa.schema([field]), Place(file="a"))
    nested = pa.schema([pa.field("column", pa.list_(pa.struct([field])))])
    with pytest.raises(DataRefusedError, match="extension type"):
        check_schema(nested, Place(file="a"))


CANARY = """
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import ray.data
from ray.data._internal.object_extensions.arrow import ArrowPythonObjectArray

from mmdist.data.schema_guard import open_parquet
from mmdist.errors import DataRefusedError
from mmdist.storage import open_store

folder = Path(sys.argv[1])
canary = folder / "canary"

class Canary:
    def __reduce__(self):
        return Path.touch, (canary,)

pq.write_table(pa.table({"column": ArrowPythonObjectArray.from_objects([Canary()])}), folder / "a.parquet")
assert not canary.exists()
try:
    open_parquet(open_store(str(folder)), "a.parquet").read().to_pylist()
except DataRefusedError as error:
    print(error)
assert not canary.exists(), "mmdist ran the canary"
pq.read_table(folder / "a.parquet").to_pylist()
assert canary.exists(), "the canary is dead: a plain read did not run it"
"""


def test_a_pickled_object_column_runs_nothing(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CANARY, str(tmp_path)], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "the shard's schema has an extension type, which may run code" in done.stdout


def footer_changed(data: bytes, old: bytes, new: bytes) -> bytes:
    """The file with another footer of any length."""
    (length,) = struct.unpack("<I", data[-8:-4])
    footer = data[-8 - length : -8].replace(old, new, 1)
    return data[: -8 - length] + footer + struct.pack("<I", len(footer)) + b"PAR1"


@pytest.mark.parametrize("new", [b"ARROW:schema\x08\x04", b"ARROW:schema\x18\xff\xff\x7f", b"ARROW:schema\x18\x04!!!!"])
def test_an_arrow_schema_that_cannot_be_looked_through_is_refused(tmp_path: Path, new: bytes) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(rows_table(0, 5), path)
    path.write_bytes(footer_changed(path.read_bytes(), b"ARROW:schema\x18", new))
    with pytest.raises(DataRefusedError, match="an Arrow schema in the footer that cannot be looked through"):
        open_shard(path)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda data: b"", r"the shard is empty(.|\n)*received: 0 bytes"),
        (lambda data: data[: len(data) // 2], r"no Parquet file, or was cut off(.|\n)*expected: PAR1"),
        (lambda data: data[:5], "no Parquet file, or was cut off"),
        (lambda data: b"PAR1", "no Parquet file, or was cut off"),
        (lambda data: data[:-4] + b"JUNK", r"no Parquet file, or was cut off(.|\n)*received: JUNK"),
        (lambda data: data[:-4] + b"PARE", "the shard is encrypted"),
        (lambda data: data[:-8] + struct.pack("<I", 2**31) + b"PAR1", r"footer has a length(.|\n)*2147483648 bytes"),
        (lambda data: data[:-8] + struct.pack("<I", 0) + b"PAR1", r"footer has a length(.|\n)*received: 0 bytes"),
        (lambda data: data[:-8] + struct.pack("<I", 10) + b"PAR1", "the shard's footer cannot be read"),
    ],
)
def test_files_that_are_no_whole_parquet_are_refused(tmp_path: Path, damage, message: str) -> None:
    path = tmp_path / "a.parquet"
    write_shard(path, rows_table(0, 30))
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(DataRefusedError, match=rf"a.parquet: (.|\n)*{message}(.|\n)*to do: write"):
        open_shard(path)


def test_a_missing_shard_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataRefusedError, match=r"a.parquet: the shard is missing"):
        open_shard(tmp_path / "a.parquet")


def test_a_footer_larger_than_the_first_read_is_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    write_shard(path, rows_table(0, 600), group_rows=1)
    assert struct.unpack("<I", path.read_bytes()[-8:-4])[0] > 64 * 1024
    assert open_shard(path).metadata.num_row_groups == 600


def test_two_columns_of_one_name_are_refused() -> None:
    schema = pa.schema([("a", pa.string()), ("a", pa.int64())])
    with pytest.raises(DataRefusedError, match="two columns named `a`"):
        check_schema(schema, Place(file="x"))


def test_a_dictionary_is_read_as_its_values() -> None:
    assert plain_type(pa.dictionary(pa.int8(), pa.string())) == pa.string()
    assert plain_type(pa.int32()) == pa.int32()
