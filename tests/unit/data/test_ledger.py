import json
import random
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from small_datasets import index_of, rows_table, write_folder, write_imported, write_shard

from mmdist.data.batches import LedgerDelta
from mmdist.data.content import row_hashes, weighted_sums
from mmdist.data.dataset import Dataset, open_dataset
from mmdist.data.index import RowGroupIndex
from mmdist.data.ledger import EpochLedger, check_fingerprint
from mmdist.errors import DataRefusedError, MmdistError
from mmdist.spec.data import ColumnsSpec

COLUMNS = ColumnsSpec(id="id", image="image", text="text", label="label")


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    return open_dataset(str(write_imported(tmp_path / "train")))


def read_all(dataset: Dataset, columns: ColumnsSpec = COLUMNS) -> list[tuple[int, pa.Table]]:
    names = dataset.columns_to_read(columns)
    return [(group, dataset.read_row_group(group, names)) for group in range(len(dataset.index))]


def delta(dataset: Dataset, group: int, table: pa.Table, columns: ColumnsSpec = COLUMNS) -> LedgerDelta:
    positions = np.arange(table.num_rows)
    hashes = row_hashes(table, dataset.hashed_columns(columns), positions=positions)
    return LedgerDelta(table.num_rows, weighted_sums(hashes, np.full(table.num_rows, group)))


def ledger_of(dataset: Dataset, parts: list[tuple[int, pa.Table]], columns: ColumnsSpec = COLUMNS) -> EpochLedger:
    ledger = EpochLedger(2)
    for group, table in parts:
        ledger.add(delta(dataset, group, table, columns))
    return ledger


def altered(table: pa.Table, name: str, values: list[object]) -> pa.Table:
    position = table.column_names.index(name)
    return table.set_column(position, name, pa.array(values, table.schema.field(name).type))


def test_an_epoch_fed_in_any_order_by_any_workers_is_right(dataset: Dataset) -> None:
    parts = [(group, table.slice(row, 1)) for group, table in read_all(dataset) for row in range(table.num_rows)]
    random.Random(0).shuffle(parts)
    workers = [ledger_of(dataset, parts[number::3]) for number in range(3)]
    chief = EpochLedger(2)
    for worker in workers:
        chief.add(worker.total)
    chief.check(dataset.index)
    assert chief.rows == dataset.rows


def test_quarantined_rows_count(dataset: Dataset) -> None:
    ledger = EpochLedger(0)
    for number, (group, table) in enumerate(read_all(dataset)):
        added = delta(dataset, group, table)
        ledger.add(added if number else LedgerDelta(0, {}, added.fed_rows, added.fed_sums))
    ledger.check(dataset.index)
    assert (ledger.fed_rows, ledger.quarantined_rows) == (65, 10)


def test_a_job_that_reads_fewer_columns_is_checked_on_those(dataset: Dataset) -> None:
    columns = ColumnsSpec(text="text")
    ledger = ledger_of(dataset, read_all(dataset, columns), columns)
    assert sorted(ledger.sums) == ["id", "text"]
    ledger.check(dataset.index)


def test_a_dropped_row_is_seen(dataset: Dataset) -> None:
    parts = read_all(dataset)
    parts[3] = (3, parts[3][1].slice(1))
    with pytest.raises(
        DataRefusedError, match=r"epoch 2 did not feed every row once: 1 row\(s\) missing(.|\n)*75 rows"
    ):
        ledger_of(dataset, parts).check(dataset.index)


def test_a_doubled_row_is_seen(dataset: Dataset) -> None:
    parts = read_all(dataset)
    parts.append((3, parts[3][1].slice(0, 1)))
    with pytest.raises(DataRefusedError, match=r"1 row\(s\) too many(.|\n)*76 fed \+ 0 quarantined"):
        ledger_of(dataset, parts).check(dataset.index)


def test_a_row_doubled_in_place_of_another_is_seen(dataset: Dataset) -> None:
    parts = read_all(dataset)
    parts[0] = (0, parts[0][1].take([0, 0, *range(2, 10)]))
    with pytest.raises(DataRefusedError, match="a row was fed twice in place of another"):
        ledger_of(dataset, parts).check(dataset.index)


@pytest.mark.parametrize("name", ["image", "text"])
def test_one_flipped_byte_is_seen(dataset: Dataset, name: str) -> None:
    parts = read_all(dataset)
    values = parts[4][1][name].to_pylist()
    data = bytearray(values[2] if name == "image" else values[2].encode())
    data[3] ^= 1
    values[2] = bytes(data) if name == "image" else data.decode()
    parts[4] = (4, altered(parts[4][1], name, values))
    with pytest.raises(
        DataRefusedError, match=rf"every id is there once, but the content of column {name} was altered"
    ):
        ledger_of(dataset, parts).check(dataset.index)


def test_texts_swapped_between_two_rows_are_seen(dataset: Dataset) -> None:
    parts = read_all(dataset)
    values = parts[1][1]["text"].to_pylist()
    values[0], values[1] = values[1], values[0]
    parts[1] = (1, altered(parts[1][1], "text", values))
    with pytest.raises(DataRefusedError, match=r"column text was altered or swapped between rows"):
        ledger_of(dataset, parts).check(dataset.index)


def test_shards_swapped_under_an_old_index_are_seen(dataset: Dataset) -> None:
    folder = Path(dataset.store.root)
    first, second = folder / "part-00000.parquet", folder / "part-00001.parquet"
    kept = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(kept)
    swapped = open_dataset(str(folder))
    assert swapped.fingerprint == dataset.fingerprint
    with pytest.raises(DataRefusedError, match="row groups or shards were swapped"):
        ledger_of(swapped, read_all(swapped)).check(swapped.index)


def test_shards_swapped_between_runs_change_the_fingerprint(tmp_path: Path) -> None:
    folder = write_imported(tmp_path / "train")
    before = open_dataset(str(folder))
    (folder / "part-00000.parquet").unlink()
    write_shard(folder / "part-00000.parquet", rows_table(500, 25))
    index = index_of(folder)
    with pytest.raises(DataRefusedError, match=r"not the one that this run began with(.|\n)*start a new run"):
        check_fingerprint("train", expected=before.fingerprint, received=index.fingerprint(before.schema))
    check_fingerprint("train", expected="ab", received="ab")


def test_shards_without_an_index_are_held_to_the_first_epoch(tmp_path: Path) -> None:
    dataset = open_dataset(str(write_folder(tmp_path / "plain")))
    first = ledger_of(dataset, read_all(dataset))
    first.check(dataset.index)
    again = ledger_of(dataset, read_all(dataset))
    again.check(dataset.index, recorded=first.sums)
    parts = read_all(dataset)
    parts[0], parts[1] = (0, parts[1][1]), (1, parts[0][1])
    with pytest.raises(DataRefusedError, match="are not those of the first epoch"):
        ledger_of(dataset, parts).check(dataset.index, recorded=first.sums)
    assert first.to_json(dataset.index)["expected_sums"] is None


def test_state_survives_json(dataset: Dataset) -> None:
    half = ledger_of(dataset, read_all(dataset)[:4])
    resumed = EpochLedger.from_state(json.loads(json.dumps(half.state())))
    for group, table in read_all(dataset)[4:]:
        resumed.add(delta(dataset, group, table))
    resumed.check(dataset.index)
    facts = resumed.to_json(dataset.index)
    assert facts["expected_rows"] == facts["fed_rows"] == 75
    assert facts["expected_sums"] == facts["fed_sums"]


def test_state_of_another_version_is_refused() -> None:
    with pytest.raises(DataRefusedError, match=r"another version(.|\n)*received: version 9"):
        EpochLedger.from_state({"version": 9})


def test_an_index_without_row_groups_expects_nothing() -> None:
    EpochLedger(0).check(RowGroupIndex.of([]))


def test_rows_that_were_not_hashed_are_no_proof(dataset: Dataset) -> None:
    ledger = EpochLedger(0)
    ledger.add(LedgerDelta(75, {}))
    with pytest.raises(MmdistError, match=r"counted but not hashed(.|\n)*a sum of column id"):
        ledger.check(dataset.index)
