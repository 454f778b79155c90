"""Whole imports on Ray: the demo's dataset, no-ops, refusals, interruptions, and equal bytes from equal inputs."""

import hashlib
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import ray
from PIL import Image
from ray import cloudpickle

from mmdist.data.dataset import open_dataset
from mmdist.errors import DataRefusedError, StopRequestedError
from mmdist.importing import ImportProgress, importer, is_imported, run_import
from mmdist.importing.plan import plan_import
from mmdist.importing.shards import GroupSize
from mmdist.importing.sources import open_source
from mmdist.importing.task import PartTask
from mmdist.spec.importing import (
    ColumnSplitsSpec,
    FolderSourceSpec,
    ImportSpec,
    OpenMojiSourceSpec,
    ShareSplitsSpec,
    TableSourceSpec,
)

ROWS = 60
CPUS = 2


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    ray.init(num_cpus=CPUS, include_dashboard=False, address="local", log_to_driver=False)
    yield
    ray.shutdown()


def picture(number: int) -> bytes:
    sink = io.BytesIO()
    Image.new("RGB", (12, 10), (number * 37 % 256, number * 91 % 256, number % 256)).save(sink, "PNG")
    return sink.getvalue()


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    for number in range(ROWS):
        path = tmp_path / "pictures" / ("cat" if number % 2 else "dog") / f"{number:02d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture(number))
    return tmp_path / "pictures"


def spec_of(pictures: Path, output: Path, **keys: Any) -> ImportSpec:
    keys = {"rows_per_shard": 10, "rows_per_group": 4, **keys}
    return ImportSpec(source=FolderSourceSpec(path=str(pictures)), output=str(output), **keys)


def shards(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*.parquet"))
    }


@pytest.mark.usefixtures("cluster")
def test_the_demo_dataset(tmp_path: Path) -> None:
    spec = ImportSpec(source=OpenMojiSourceSpec(), output=str(tmp_path / "openmoji"))
    result = run_import(spec, name="demo")
    card = json.loads((tmp_path / "openmoji/dataset.json").read_text())
    assert card == result.card
    assert sum(split["rows"] for split in card["splits"].values()) == 1629
    assert (card["licence"], card["quarantined"], len(card["labels"])) == ("CC BY-SA 4.0", 0, 8)
    splits_by_group: dict[str, set[str]] = {}
    for split in ("train", "validation", "test"):
        dataset = open_dataset(str(tmp_path / "openmoji" / split))
        assert dataset.rows == card["splits"][split]["rows"]
        assert dataset.fingerprint == card["splits"][split]["fingerprint"]
        assert dataset.index.has_sums
        for number in range(len(dataset.index)):
            for group in dataset.read_row_group(number, ["group"])["group"].to_pylist():
                splits_by_group.setdefault(group, set()).add(split)
    assert {len(found) for found in splits_by_group.values()} == {1}
    labels = open_dataset(str(tmp_path / "openmoji/train")).read_row_group(0, ["label"])["label"].to_pylist()
    assert len(set(labels)) > 3, "rows must not lie sorted by label"


@pytest.mark.usefixtures("cluster")
def test_equal_inputs_give_equal_bytes_and_the_second_time_nothing_is_done(pictures: Path, tmp_path: Path) -> None:
    first = run_import(spec_of(pictures, tmp_path / "one", seed=3), name="a")
    second = run_import(spec_of(pictures, tmp_path / "two", seed=3), name="b")
    assert shards(tmp_path / "one") == shards(tmp_path / "two")
    assert first.card["splits"] == second.card["splits"]
    assert first.card["import_id"] == second.card["import_id"]
    assert first.card["splits"]["train"]["shards"] > 2

    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "one").rglob("*")}
    again = run_import(spec_of(pictures, tmp_path / "one", seed=3), name="a")
    assert again.skipped
    assert again.card == first.card
    assert before == {path: path.stat().st_mtime_ns for path in (tmp_path / "one").rglob("*")}

    # One part after the other, the last one first: what scheduling could do at worst.
    spec = spec_of(pictures, tmp_path / "four")
    source = open_source(spec.source)
    task = PartTask(spec, seed=3, size=GroupSize(4, None), facts=source.facts(), grouped=False)
    for part in reversed(plan_import(source.plan(spec.rows_per_shard), spec, seed=3).parts):
        task.run(part)
    made = shards(tmp_path / "one")
    assert shards(tmp_path / "four") == {name: made[name] for name in made if "_index" not in name}

    other = run_import(spec_of(pictures, tmp_path / "three", seed=4), name="a")
    assert shards(tmp_path / "three") != shards(tmp_path / "one")
    assert other.card["import_id"] != first.card["import_id"]
    with pytest.raises(DataRefusedError, match=r"imported from something else[\s\S]*choose another `import.output`"):
        run_import(spec_of(pictures, tmp_path / "one", seed=4), name="a")
    (pictures / "cat" / "01.png").write_bytes(picture(99))
    with pytest.raises(DataRefusedError, match="imported from something else"):
        is_imported(spec_of(pictures, tmp_path / "one", seed=3))


@pytest.mark.usefixtures("cluster")
def test_an_interrupted_import_looks_unfinished_and_is_done_over(pictures: Path, tmp_path: Path) -> None:
    def stop(progress: ImportProgress) -> None:
        if progress.parts == 2:
            raise StopRequestedError("stop")

    output = tmp_path / "out"
    with pytest.raises(StopRequestedError):
        run_import(spec_of(pictures, output), name="a", on_progress=stop)
    while ray.available_resources().get("CPU", 0.0) < CPUS:  # what it had begun is still written
        time.sleep(0.05)
    assert list(output.rglob("part-*.parquet"))
    assert is_imported(spec_of(pictures, output)) is None
    with pytest.raises(DataRefusedError, match="run the import again"):
        open_dataset(str(output / "train"))
    # Other settings than those of the interrupted one: nothing of it may stay.
    (output / "train" / "part-00077.parquet").write_bytes(b"stale")
    run_import(spec_of(pictures, output, rows_per_shard=20, seed=1), name="a")
    run_import(spec_of(pictures, tmp_path / "fresh", rows_per_shard=20, seed=1), name="a")
    assert shards(output) == shards(tmp_path / "fresh")


@pytest.mark.usefixtures("cluster")
def test_files_of_others_are_never_touched(pictures: Path, tmp_path: Path) -> None:
    theirs = tmp_path / "out" / "train" / "part-00000.parquet"
    theirs.parent.mkdir(parents=True)
    theirs.write_bytes(b"theirs")
    with pytest.raises(DataRefusedError, match=r"files that no import wrote[\s\S]*train/part-00000.parquet"):
        run_import(spec_of(pictures, tmp_path / "out"), name="a")
    assert theirs.read_bytes() == b"theirs"
    assert [path.name for path in (tmp_path / "out").rglob("*") if path.is_file()] == ["part-00000.parquet"]


@pytest.mark.usefixtures("cluster")
def test_bad_rows_are_borne_up_to_the_budget(pictures: Path, tmp_path: Path) -> None:
    for number in (0, 2):
        (pictures / "dog" / f"{number:02d}.png").write_bytes(b"broken")
    with pytest.raises(DataRefusedError, match=r"at most 1 of 60 rows[\s\S]*quarantine folder names them") as caught:
        run_import(spec_of(pictures, tmp_path / "out", max_bad_rows=1), name="a")
    assert "/quarantine" in str(caught.value)
    assert list((tmp_path / "out" / "quarantine").glob("part-*.parquet"))
    with pytest.raises(DataRefusedError, match="on_bad_row is `fail`"):
        run_import(spec_of(pictures, tmp_path / "out", on_bad_row="fail"), name="a")
    card = run_import(spec_of(pictures, tmp_path / "out", max_bad_rows=2), name="a").card
    assert card["quarantined"] == 2
    assert sum(split["rows"] for split in card["splits"].values()) == ROWS - 2


@pytest.mark.usefixtures("cluster")
def test_a_table_split_by_column_and_by_group(pictures: Path, tmp_path: Path) -> None:
    lines = ["id,file,label,part,author"]
    lines += [
        f"r{n},{'cat' if n % 2 else 'dog'}/{n:02d}.png,{n % 2},{'fit' if n % 5 else 'hold'},a{n % 9}"
        for n in range(ROWS)
    ]
    (pictures / "table.csv").write_text("\n".join([*lines, lines[1], "r99,cat/01.png,1,other,a1"]) + "\n")
    source = TableSourceSpec(path=str(pictures / "table.csv"), id="id", image="file", label="label")
    by_column = ColumnSplitsSpec(column="part", train=("fit",), validation=("hold",), test=())
    spec = ImportSpec(source=source, output=str(tmp_path / "c"), splits=by_column, max_bad_rows=2)
    card = run_import(spec, name="a").card
    assert {name: split["rows"] for name, split in card["splits"].items()} == {"train": 48, "validation": 12}
    assert card["quarantined"] == 2
    assert not (tmp_path / "c" / "test").exists()

    by_group = ShareSplitsSpec(train=0.5, validation=0.0, test=0.5, group="author")
    spec = ImportSpec(source=source, output=str(tmp_path / "g"), splits=by_group, max_bad_rows=2)
    run_import(spec, name="a")
    authors = []
    for split in ("train", "test"):
        dataset = open_dataset(str(tmp_path / "g" / split))
        groups = range(len(dataset.index))
        authors.append({name for n in groups for name in dataset.read_row_group(n, ["group"])["group"].to_pylist()})
    assert authors[0]
    assert authors[1]
    assert not authors[0] & authors[1]


@pytest.mark.usefixtures("cluster")
def test_a_table_that_holds_its_pictures_is_imported_in_ranges(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = {"data": [picture(n) for n in range(ROWS)], "class": [n % 3 for n in range(ROWS)]}
    pq.write_table(pa.table(table), tmp_path / "t.parquet", row_group_size=7)
    source = TableSourceSpec(path=str(tmp_path / "t.parquet"), image_bytes="data", label="class")
    spec = ImportSpec(source=source, output=str(tmp_path / "out"), rows_per_shard=25)
    card = run_import(spec, name="a").card
    assert sum(split["rows"] for split in card["splits"].values()) == ROWS
    assert card["labels"] == ["0", "1", "2"]
    ids = set()
    for split in card["splits"]:
        dataset = open_dataset(str(tmp_path / "out" / split))
        for number in range(len(dataset.index)):
            rows = dataset.read_row_group(number, ["id", "image"])
            ids |= set(rows["id"].to_pylist())
            for row in rows.to_pylist():
                assert row["image"] == picture(int(row["id"]) - 1)
    assert len(ids) == ROWS


class DyingTask(PartTask):
    """A task whose worker is killed once, after it has written its files but before it has answered."""

    def __call__(self, item: dict[str, bytes]) -> dict[str, bytes]:
        answer = super().__call__(item)
        died = Path(self.spec.output).parent / "died"
        if not died.exists():
            died.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return answer


@pytest.mark.usefixtures("cluster")
def test_a_killed_task_is_done_again_and_leaves_no_trace(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    monkeypatch.setattr(importer, "PartTask", DyingTask)
    result = run_import(spec_of(pictures, tmp_path / "out"), name="a")
    cloudpickle.unregister_pickle_by_value(sys.modules[__name__])
    assert (tmp_path / "died").exists()
    monkeypatch.undo()
    fresh = run_import(spec_of(pictures, tmp_path / "fresh"), name="a")
    assert shards(tmp_path / "out") == shards(tmp_path / "fresh")
    assert result.card["splits"] == fresh.card["splits"]


KILLED = """
import os, signal, sys
import ray
from mmdist.importing import run_import
from mmdist.spec.importing import FolderSourceSpec, ImportSpec

ray.init(num_cpus=1, include_dashboard=False, address="local", log_to_driver=False)
spec = ImportSpec(
    source=FolderSourceSpec(path=sys.argv[1]), output=sys.argv[2], rows_per_shard=10, rows_per_group=4
)
run_import(spec, name="a", on_progress=lambda _: os.kill(os.getpid(), signal.SIGKILL))
"""


@pytest.mark.usefixtures("cluster")
def test_a_killed_driver_leaves_nothing_that_looks_finished(pictures: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    command = [sys.executable, "-c", KILLED, str(pictures), str(output)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, env=environment, capture_output=True, timeout=120, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()[-2000:]
    assert list(output.rglob("part-*.parquet"))
    assert not list(output.rglob("_index.parquet"))
    assert is_imported(spec_of(pictures, output)) is None
    with pytest.raises(DataRefusedError, match="run the import again"):
        open_dataset(str(output / "train"))
    run_import(spec_of(pictures, output), name="a")
    run_import(spec_of(pictures, tmp_path / "fresh"), name="a")
    assert shards(output) == shards(tmp_path / "fresh")
