"""Hostile data: nothing in it runs code, fetches anything, leads out of its folder, or keeps a job waiting."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from bitflips import import_dataset
from damaged_rows import AUDIO, CASES, GOOD, table, write_shard
from paths import evaluate, import_table, predict, train
from pictures import encoded, jpeg, pixels, with_jpeg_size, with_png_size

from mmdist.data.dataset import open_dataset
from mmdist.data.decode import BadImage, decode_image
from mmdist.data.inspection import inspect_dataset
from mmdist.data.recording import BadAudio, read_audio
from mmdist.errors import DataRefusedError, MmdistError
from mmdist.evaluation.history import read_history
from mmdist.evaluation.paths import MISTAKES, NEIGHBOURS
from mmdist.evaluation.report import _read_rows
from mmdist.importing.sources import open_source
from mmdist.spec.importing import TableSourceSpec
from mmdist.storage import open_store

pytestmark = pytest.mark.timeout(120)
ROWS = [{"id": f"row {number}", **GOOD} for number in range(4)]

CANARY = """
import json, sys
from pathlib import Path
sys.path[:0] = json.loads(sys.argv[2])
import pyarrow as pa
import pyarrow.parquet as pq
import ray.data
from ray.data._internal.object_extensions.arrow import ArrowPythonObjectArray
from test_safety import DOORS

folder = Path(sys.argv[1])
canary = folder / "canary"

class Canary:
    def __reduce__(self):
        return Path.touch, (canary,)

for name, (path, door) in DOORS.items():
    shard = folder / name / path
    shard.parent.mkdir(parents=True)
    pq.write_table(pa.table({"id": ArrowPythonObjectArray.from_objects([Canary()])}), shard)
    try:
        door(folder / name)
        print(name, "opened")
    except Exception as error:
        print(name, "refused", str(error).split(chr(10))[0])
    print(name, "ran" if canary.exists() else "kept quiet")
pq.read_table(shard).to_pylist()
assert canary.exists(), "the canary is dead: a plain read did not run it"
"""

MAGIC = "part-00000.parquet"
DOORS: dict[str, tuple[str, Callable[[Path], object]]] = {
    "train": (MAGIC, lambda folder: train(folder, folder / "run")),
    "evaluate": (MAGIC, lambda folder: evaluate(folder, folder / "run")),
    "predict": (MAGIC, lambda folder: predict(folder, folder / "run")),
    "import": ("t.parquet", lambda folder: import_table(folder / "t.parquet", folder / "out")),
    "inspect": (MAGIC, lambda folder: inspect_dataset(str(folder))),
    "index": ("_index.parquet", lambda folder: open_dataset(str(write_shard(folder / MAGIC).parent))),
    "mistakes": (MISTAKES, lambda folder: _read_rows(open_store(str(folder)), MISTAKES, "mistakes")),
    "neighbours": (NEIGHBOURS, lambda folder: _read_rows(open_store(str(folder)), NEIGHBOURS, "neighbours")),
    "metrics": ("metrics/0001-000000.parquet", lambda folder: _refuse_unreadable(folder)),
}


def _refuse_unreadable(run: Path) -> None:
    _, unreadable = read_history(open_store(str(run)))
    if unreadable:
        raise MmdistError(f"{unreadable[0]} is left out")


def test_a_pickled_object_runs_on_no_path_that_opens_parquet(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CANARY, str(tmp_path), json.dumps(sys.path)],
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for name in DOORS:
        assert f"{name} kept quiet" in done.stdout, done.stdout
        assert re.search(rf"^{name} refused", done.stdout, re.MULTILINE), done.stdout


def test_every_place_that_opens_parquet_is_behind_a_door_of_these(repository: Path) -> None:
    """A new place must go through open_parquet, and be tried here."""
    opening = re.compile(r"\b(ParquetFile|ParquetDataset|read_table|read_schema|read_metadata)\(|dataset\.dataset\(")
    found = {
        path.relative_to(repository).as_posix()
        for path in (repository / "mmdist").rglob("*.py")
        if opening.search(path.read_text())
    }
    assert found == {"mmdist/data/schema_guard.py"}


@pytest.mark.parametrize("name", [name for name in CASES if "bomb" in name])
def test_a_bomb_is_refused_by_its_header_before_memory_is_taken(name: str) -> None:
    import resource

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(BadImage, match="pixels by its header, over the cap"):
        decode_image(CASES[name].changes["image"], pixels(), max_pixels=50_000_000)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 10_000


@pytest.mark.parametrize("name", [name for name in CASES if "that claims" in name])
def test_a_recording_that_lies_about_its_length_is_refused_before_memory_is_taken(name: str) -> None:
    import resource

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(BadAudio, match=str(CASES[name].reason)):
        read_audio(CASES[name].changes["audio"], max_samples=AUDIO.max_samples)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 10_000


@pytest.mark.parametrize("path", ["train", "evaluate", "predict", "import"])
def test_the_cap_holds_on_every_path(tmp_path: Path, path: str) -> None:
    """A picture that all could decode, and that is larger than the cap of 1,000,000 pixels that the paths set."""
    large = {"id": "large", **GOOD, "image": encoded(pixels(1001, 1000), "JPEG")}
    shard = write_shard(tmp_path / "shards" / MAGIC, [*ROWS, large])
    drive = {"train": train, "evaluate": evaluate, "predict": predict}.get(path)
    seen = import_table(shard, tmp_path / "out") if drive is None else drive(shard.parent, tmp_path / "run")
    assert seen.bad == {4: ("image", "1000 x 1001 pixels by its header, over the cap of 1000000")}


def test_pictures_that_lie_about_their_size_take_no_more_than_they_say(tmp_path: Path) -> None:
    for data in (with_jpeg_size(jpeg(), 900, 900), with_png_size(encoded(pixels(), "PNG"), 900, 900)):
        with pytest.raises(BadImage):
            decode_image(data, pixels(), max_pixels=1_000_000)


@pytest.mark.parametrize("written", ["http://127.0.0.1:1/a.png", "s3://bucket/a.png", "file:///etc/passwd"])
def test_a_table_that_names_urls_is_refused_and_nothing_is_fetched(
    tmp_path: Path, written: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import socket

    def refuse(*_: object) -> None:
        raise AssertionError("something was fetched")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    (tmp_path / "t.csv").write_text(f"file,label\n{written},x\n")
    source = open_source(TableSourceSpec(path=str(tmp_path / "t.csv"), image="file", label="label"))
    with pytest.raises(DataRefusedError, match="nothing is fetched from the network") as refused:
        source.plan(4)
    assert refused.value.exit_code == 3


def test_a_table_whose_paths_lead_out_by_a_linked_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "a.png").write_bytes(encoded(pixels(), "PNG"))
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "pictures").symlink_to(tmp_path / "outside")
    (tmp_path / "data" / "t.csv").write_text("file,label\npictures/a.png,x\n")
    source = open_source(TableSourceSpec(path=str(tmp_path / "data" / "t.csv"), image="file", label="label"))
    with pytest.raises(DataRefusedError, match="a link leads out of its folder"):
        source.plan(4)


def test_a_pipe_in_the_place_of_a_picture_or_table_keeps_nobody_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.png")
    (tmp_path / "t.csv").write_text("file,label\na.png,x\n")
    source = open_source(TableSourceSpec(path=str(tmp_path / "t.csv"), image="file", label="label"))
    (row,) = source.read(source.plan(4).keys)
    assert row.problem.reason == "there is no file a.png"
    os.mkfifo(tmp_path / "u.csv")
    with pytest.raises(MmdistError, match="the table to import does not exist"):
        open_source(TableSourceSpec(path=str(tmp_path / "u.csv"), image="file", label="label")).plan(4)


def test_links_to_shards_are_followed_as_hubs_caches_need_it(tmp_path: Path) -> None:
    blob = write_shard(tmp_path / "blobs" / "3f2a", ROWS)
    (tmp_path / "shards").mkdir()
    (tmp_path / "shards" / MAGIC).symlink_to(blob)
    assert len(train(tmp_path / "shards", tmp_path / "run").pixels) == 4
    blob.unlink()
    with pytest.raises(DataRefusedError, match=f"{MAGIC}: the shard is a link to nothing"):
        open_dataset(str(tmp_path / "shards"))


def test_a_broken_link_or_a_pipe_beside_whole_shards_is_refused(tmp_path: Path) -> None:
    folder = write_shard(tmp_path / MAGIC, ROWS).parent
    (folder / "b.parquet").symlink_to("b.parquet")
    with pytest.raises(DataRefusedError, match=r"b\.parquet: the shard is a link to nothing"):
        open_dataset(str(folder))
    (folder / "b.parquet").unlink()
    os.mkfifo(folder / "b.parquet")
    with pytest.raises(DataRefusedError, match=r"b\.parquet: the shard is no regular file"):
        open_dataset(str(folder))


def test_an_index_that_names_files_elsewhere_is_refused(tmp_path: Path) -> None:
    split = import_dataset(tmp_path)
    index = pq.read_table(split / "_index.parquet")
    names = pa.array([f"../../{name}" for name in index["shard"].to_pylist()])
    pq.write_table(index.set_column(0, "shard", names), split / "_index.parquet")
    with pytest.raises(DataRefusedError, match="no shard of this folder"):
        open_dataset(str(split))


def test_an_import_never_finished_or_half_copied_is_refused(tmp_path: Path) -> None:
    split = import_dataset(tmp_path)
    for name, message in (("_index.parquet", "unfinished import"), (MAGIC, f"missing: {MAGIC}")):
        shutil.copytree(split, tmp_path / "copy")
        (tmp_path / "copy" / name).unlink()
        with pytest.raises(DataRefusedError, match=message):
            open_dataset(str(tmp_path / "copy"))
        shutil.rmtree(tmp_path / "copy")


def test_texts_that_are_markup_stay_text(tmp_path: Path) -> None:
    rows = [{**row, "text": "<script>alert(1)</script>", "id": f"<b>{row['id']}"} for row in ROWS]
    pq.write_table(table(rows), tmp_path / MAGIC)
    facts = inspect_dataset(str(tmp_path))
    from mmdist.data.contact_sheet import render_contact_sheet

    page = render_contact_sheet(facts)
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert" in page
