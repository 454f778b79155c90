from pathlib import Path

import pyarrow.parquet as pq
import pytest

from mmdist.data.batches import BadRow
from mmdist.data.quarantine import QUARANTINE_SCHEMA, BadRowBudget, QuarantineWriter, drop_torn, rows_borne
from mmdist.errors import BadRowsError
from mmdist.storage import open_store


def bad(number: int) -> BadRow:
    return BadRow("part-00000.parquet", number, f"id-{number}", "image", f"reason {number}")


def writer(folder: Path) -> QuarantineWriter:
    return QuarantineWriter(open_store(str(folder)), 2, "worker-0")


def test_writes_rows_once_under_names_that_say_who_wrote_them(tmp_path: Path) -> None:
    quarantine = writer(tmp_path)
    assert quarantine.add([bad(1), bad(2), bad(1)]) == 2
    quarantine.flush()
    assert quarantine.add([bad(2), bad(3)]) == 1
    quarantine.flush()
    quarantine.flush()
    assert quarantine.paths == ["quarantine/0002-worker-0-0000.parquet", "quarantine/0002-worker-0-0001.parquet"]
    first = pq.read_table(tmp_path / quarantine.paths[0])
    assert first.schema.equals(QUARANTINE_SCHEMA)
    assert first.to_pylist()[1] == {
        "shard": "part-00000.parquet",
        "row": 2,
        "id": "id-2",
        "column": "image",
        "reason": "reason 2",
    }
    assert pq.read_table(tmp_path / quarantine.paths[1]).column("row").to_pylist() == [3]


def test_thousands_are_written_before_a_flush(tmp_path: Path) -> None:
    quarantine = writer(tmp_path)
    quarantine.add([bad(number) for number in range(2500)])
    assert len(quarantine.paths) == 2
    assert quarantine.rows == 2500


@pytest.mark.parametrize(
    ("most", "total", "limit"),
    [
        (0.001, 1000, 1),
        (0.001, 1001, 2),
        (0.001, 3, 1),
        (0.07, 100, 7),
        (0.29, 100, 29),
        (0.0, 50, 0),
        (0.5, 0, 0),
        (3, 10, 3),
        (0, 10, 0),
    ],
)
def test_a_float_is_a_share_and_an_int_a_count(tmp_path: Path, most: int | float, total: int, limit: int) -> None:
    assert BadRowBudget(most, total, "quarantine", quarantine=writer(tmp_path)).limit == limit
    assert rows_borne(most, total, "fail") == 0


def test_the_row_over_the_budget_ends_the_job_and_is_on_disk(tmp_path: Path) -> None:
    budget = BadRowBudget(0.5, 4, "quarantine", quarantine=writer(tmp_path))
    budget.add([bad(1)])
    budget.add([bad(1), bad(2)])  # the next epoch meets the same row again
    with pytest.raises(BadRowsError) as caught:
        budget.add([bad(3)])
    text = str(caught.value)
    path = tmp_path / "quarantine/0002-worker-0-0000.parquet"
    assert caught.value.exit_code == 3
    assert str(path) in text
    assert "at most 2 bad rows (max_bad_rows: 0.5 of 4 rows)" in text
    assert "3 bad rows of 4 so far; the first: part-00000.parquet#1 image: reason 1" in text
    assert text.endswith("then mend the data or raise data.max_bad_rows, and submit the job as a new run")
    assert pq.read_table(path).num_rows == 3


def test_fail_bears_none(tmp_path: Path) -> None:
    budget = BadRowBudget(10, 100, "fail", quarantine=writer(tmp_path))
    budget.add([])
    with pytest.raises(BadRowsError, match="on_bad_row is `fail`") as caught:
        budget.add([bad(1)])
    assert "or set data.on_bad_row: quarantine, and submit the job as a new run" in str(caught.value)


@pytest.mark.parametrize("torn", [0, 4, -8])
def test_a_file_that_an_earlier_worker_was_killed_over_is_dropped_and_no_other(tmp_path: Path, torn: int) -> None:
    store = open_store(str(tmp_path))
    names = {}
    for attempt, writer_of in ((1, "worker-0.0-train"), (2, "worker-1.0-train"), (2, "worker-0.1-train")):
        quarantine = QuarantineWriter(store, attempt, writer_of)
        for number in range(2):
            quarantine.add([bad(number)])
            quarantine.flush()
        names[attempt, writer_of] = quarantine.paths
        cut = tmp_path / quarantine.paths[1]
        cut.write_bytes(cut.read_bytes()[:torn])
    own = tmp_path / "quarantine" / "notes.parquet"
    own.write_bytes(b"")
    drop_torn(store, attempt=2, restart=1)
    kept = {f"quarantine/{path.name}" for path in (tmp_path / "quarantine").iterdir()}
    earlier = {paths[1] for (attempt, of), paths in names.items() if (attempt, of) != (2, "worker-0.1-train")}
    assert kept == {path for paths in names.values() for path in paths} - earlier | {"quarantine/notes.parquet"}
