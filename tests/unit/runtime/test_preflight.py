import io
import os
import shutil
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tokenizers
from PIL import Image
from pydantic import TypeAdapter

from mmdist.errors import DataRefusedError, JobFileError, MmdistError, StorageError, UsageError
from mmdist.models import ArtifactInfo
from mmdist.runtime.preflight import Preflight, preflight
from mmdist.spec.load import load_job
from mmdist.spec.model import ModelSpec
from mmdist.spec.task import TaskSpec
from mmdist.storage import open_store

TRAIN = """\
kind: train
name: demo
data:
  train: d/train
  validation: d/validation
  columns:
    id: id
    image: image
    text: text
    label: label
train: {global_batch_size: 8}
resources: {replicas_per_worker: 2}
"""


def picture() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8), "red").save(buffer, "PNG")
    return buffer.getvalue()


def write_shard(folder: Path, rows: int = 20, **columns: Any) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    table = {
        "id": [f"r{row}" for row in range(rows)],
        "image": [picture()] * rows,
        "text": ["words"] * rows,
        "label": [("cat", "dog")[row % 2] for row in range(rows)],
        **columns,
    }
    pq.write_table(
        pa.table({name: values for name, values in table.items() if values is not None}),
        folder / "part-0.parquet",
        write_page_checksum=True,
    )


@pytest.fixture
def check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Preflight]:
    """Runs every check on a job text, in a fresh folder with the dataset `d`."""
    monkeypatch.chdir(tmp_path)
    write_shard(tmp_path / "d/train")
    write_shard(tmp_path / "d/validation", rows=6)

    def check_text(text: str = TRAIN, *overrides: str) -> Preflight:
        Path("job.yaml").write_text(text)
        return preflight(load_job("job.yaml", overrides))

    return check_text


def refused(check: Callable[..., Preflight], kind: type[MmdistError], *arguments: str) -> str:
    with pytest.raises(kind) as caught:
        check(*arguments)
    return str(caught.value)


def test_facts(check: Callable[..., Preflight], tmp_path: Path) -> None:
    assert check().to_json() == {
        "kind": "train",
        "name": "demo",
        "modalities": ["image", "text"],
        "rows": {"train": 20, "validation": 6},
        "labels": ["cat", "dog"],
        "epochs": 10,
        "global_batch_size": 8,
        "batches_per_epoch": 3,
        "workers": 1,
        "replicas": 2,
        "lanes": 8,
        "model_run": None,
        "writes": [str(tmp_path / "runs")],
        "notes": [],
    }
    assert not (tmp_path / "runs").exists()


def test_missing_folder(check: Callable[..., Preflight], tmp_path: Path) -> None:
    assert refused(check, DataRefusedError, TRAIN.replace("d/train", "d/trian")) == (
        "job.yaml:4:10: the folder of `data.train` is not there\n"
        "  expected: a folder of Parquet shards\n"
        f"  received: {tmp_path}/d/trian\n"
        f"  to do: did you mean {tmp_path}/d/train?"
    )
    far = refused(check, DataRefusedError, TRAIN.replace("d/train", "zzz/yyy/xxx"))
    assert "to do: check the path, or import the dataset first" in far


def test_empty_folder(check: Callable[..., Preflight], tmp_path: Path) -> None:
    (tmp_path / "d/validation/part-0.parquet").unlink()
    message = refused(check, DataRefusedError)
    assert message.startswith("job.yaml:5:15: the folder has no Parquet shards\n")
    assert str(tmp_path / "d/validation") in message


def test_column_that_does_not_exist(check: Callable[..., Preflight]) -> None:
    message = refused(check, JobFileError, TRAIN.replace("label: label", "label: labell"))
    assert message.startswith("job.yaml:10:12: the dataset has no column `labell`\n")
    assert "did you mean `label`?" in message


def test_column_of_the_wrong_type(check: Callable[..., Preflight], tmp_path: Path) -> None:
    write_shard(tmp_path / "d/train", label=[0.5] * 20)
    message = refused(check, DataRefusedError)
    assert message.startswith("job.yaml:10:12: column `label` cannot be read as label\n")
    assert "received: double" in message


def test_override_is_the_place(check: Callable[..., Preflight]) -> None:
    assert refused(check, JobFileError, TRAIN, "data.columns.text=txt").startswith(
        "--set data.columns.text=txt: the dataset has no column `txt`"
    )


def test_labels(check: Callable[..., Preflight], tmp_path: Path) -> None:
    assert "no label of the first 20 rows of `data.train` is one of the job's" in refused(
        check, DataRefusedError, TRAIN + "task: {labels: [a, b]}\n"
    )
    partly = check(TRAIN + "task: {labels: [cat, bird]}\n")
    assert partly.notes[0].startswith("10 of the first 20 labels of data.train: unknown label 'dog'")
    write_shard(tmp_path / "d/train", label=["cat"] * 20)
    message = refused(check, DataRefusedError)
    assert message.startswith("job.yaml:10:12: column `label` holds too few labels to tell apart\n")


def test_pictures(check: Callable[..., Preflight], tmp_path: Path) -> None:
    write_shard(tmp_path / "d/train", image=[picture(), b"no picture", None, b""] * 5)
    assert check().notes[0].startswith("10 of the first 15 pictures of data.train cannot be read: ")
    write_shard(tmp_path / "d/train", image=[b"no picture"] * 20)
    message = refused(check, DataRefusedError)
    assert message.startswith("job.yaml:8:12: none of the first 20 pictures of `data.train` can be read\n")


def test_damaged_shard(check: Callable[..., Preflight], tmp_path: Path) -> None:
    (tmp_path / "d/train/part-0.parquet").write_bytes(b"PAR1 nothing")
    message = refused(check, DataRefusedError)
    assert message.startswith("job.yaml:4:10: ")
    assert "part-0.parquet" in message


def test_short_epoch(check: Callable[..., Preflight]) -> None:
    assert check(TRAIN, "train.global_batch_size=64").notes == [
        "the 20 training rows fill no batch of 64: every step is short"
    ]


IMPORT = "import:\n  source: {type: folder, path: pictures}\n  output: d\n"


def test_data_that_is_imported_first(check: Callable[..., Preflight], tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    facts = check(TRAIN + IMPORT)
    assert facts.rows == {}
    assert facts.batches_per_epoch is None
    assert facts.notes == [f"the data is checked after importing: {tmp_path}/d is not there yet"]
    assert facts.writes == [f"{tmp_path}/runs", f"{tmp_path}/d"]


def test_source_that_is_not_there(check: Callable[..., Preflight], tmp_path: Path) -> None:
    (tmp_path / "picture").mkdir()
    assert refused(check, DataRefusedError, TRAIN + IMPORT) == (
        "job.yaml:14:32: the source's folder is not there\n"
        f"  received: {tmp_path}/pictures\n"
        f"  to do: did you mean {tmp_path}/picture?"
    )
    table = "kind: import\nname: x\nimport:\n  source: {type: table, path: t.csv}\n  output: o\n"
    assert "the source's table is not there" in refused(check, DataRefusedError, table)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("{type: table, path: t.csv, text: nam}", "job.yaml:4:44: the table has no column `nam`; did you mean `name`?"),
        (
            "{type: table, path: t.csv}",
            "job.yaml:4:11: the table has neither pictures nor texts nor recordings to import",
        ),
        ("{type: table, path: t.txt, text: a}", "job.yaml:4:31: a table of this kind is not read"),
        (
            "{type: table, path: t.csv, text: name}\n  splits: {type: share, group: x}",
            "job.yaml:5:11: the table has no column `x`",
        ),
    ],
)
def test_an_import_is_checked_before_anything_starts(
    check: Callable[..., Preflight], tmp_path: Path, source: str, message: str
) -> None:
    (tmp_path / "t.csv").write_text("name,label\na,b\n")
    (tmp_path / "t.txt").write_text("")
    job = f"kind: import\nname: x\nimport:\n  source: {source}\n  output: o\n"
    assert message in refused(check, JobFileError, job)


def test_a_path_that_is_nearly_there_is_completed(check: Callable[..., Preflight], tmp_path: Path) -> None:
    write_shard(tmp_path / "data/train")
    message = refused(check, DataRefusedError, TRAIN.replace("d/train", "dat/train"))
    assert f"did you mean {tmp_path}/data/train?" in message


PREDICT = "kind: predict\nname: p\nmodel: demo@latest\ndata:\n  input: d/train\noutput: o\n"


def test_model_that_is_not_there(check: Callable[..., Preflight]) -> None:
    assert refused(check, UsageError, PREDICT).startswith("job.yaml:3:8: no finished train run of the job demo in ")


def test_predicting_over_rows_without_labels(
    check: Callable[..., Preflight], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Run = namedtuple("Run", "url")
    monkeypatch.setattr("mmdist.runtime.preflight.find_model", lambda name, storage: Run(f"{storage}/{name}"))
    write_shard(tmp_path / "d/train", label=None)
    facts = check(PREDICT)
    assert facts.rows == {"input": 20}
    assert facts.model_run == f"{tmp_path}/runs/demo@latest"
    assert facts.writes == [f"{tmp_path}/runs", f"{tmp_path}/o"]


@pytest.mark.parametrize("task", ["classification", "retrieval"])
def test_an_evaluation_needs_labels_where_its_model_has_them(
    check: Callable[..., Preflight], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, task: str
) -> None:
    columns = {"image": "image", "text": "text"}
    task_spec = TypeAdapter(TaskSpec).validate_python({"type": task})
    info = ArtifactInfo(
        **dict.fromkeys(("image", "text", "vocabulary", "tokenizer_sha256")),
        run_id="r",
        step=1,
        epoch=1,
        columns=columns,
        labels=(),
        seed=0,
        task=task_spec,
        model=ModelSpec(),
    )
    (tmp_path / "m/model").mkdir(parents=True)
    (tmp_path / "m/model/model.json").write_text(info.model_dump_json())
    monkeypatch.setattr("mmdist.runtime.preflight.find_model", lambda name, storage: open_store(f"{tmp_path}/m"))
    write_shard(tmp_path / "d/train", label=None)
    job = PREDICT.replace("predict", "evaluate").replace("output: o\n", "  columns: {text: text}\n")
    if task == "retrieval":
        assert check(job).rows == {"input": 20}
        return
    assert "names no label, and the model is judged by labels" in refused(check, JobFileError, job)


def test_storage_below_a_file(check: Callable[..., Preflight], tmp_path: Path) -> None:
    (tmp_path / "f").write_text("x")
    message = refused(check, StorageError, TRAIN + "storage: f/runs\n")
    assert message.startswith("job.yaml:13:10: `storage` lies below a file\n")


def test_storage_without_the_right_to_write(check: Callable[..., Preflight], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert "`storage` cannot be written\n" in refused(check, StorageError, TRAIN)


def test_full_disk(check: Callable[..., Preflight], monkeypatch: pytest.MonkeyPatch) -> None:
    Usage = namedtuple("Usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(1 << 40, 1 << 40, 5 << 20))
    message = refused(check, StorageError, TRAIN)
    assert message.startswith("job.yaml:1:1: the disk of `storage` is full\n  expected: 256 MiB free at least\n")
    assert "received: 5 MiB free in " in message


def test_pretrained_weights_are_looked_at_before_the_start(check: Callable[..., Preflight], tmp_path: Path) -> None:
    (tmp_path / "net.h5").write_bytes(b"abc")
    job = TRAIN + "model:\n  image: {type: application, weights: net.h5}\n"
    check(job)
    with pytest.raises(DataRefusedError, match=r"job\.yaml:14:39: the file of weights is not there"):
        check(job.replace("net.h5", "other.h5"))
    with pytest.raises(DataRefusedError, match="is not the one that the job asks for"):
        check(job.replace("net.h5", f"net.h5, sha256: {'a' * 64}"))


def test_a_published_encoder_and_its_tokenizer_are_looked_at_before_the_start(
    check: Callable[..., Preflight], tmp_path: Path
) -> None:
    (tmp_path / "m").mkdir()
    (tmp_path / "m/model.safetensors").write_bytes(b"abc")
    tokenizer = tokenizers.Tokenizer(tokenizers.models.WordPiece({"[PAD]": 0, "[UNK]": 1}, unk_token="[UNK]"))
    tokenizer.save(str(tmp_path / "m/tokenizer.json"))
    job = TRAIN.replace(
        "    label: label\n", "    label: label\n  text: {tokenizer: {type: file, path: m/tokenizer.json}}\n"
    )
    job += "model:\n  text: {type: bert, weights: m/model.safetensors}\n"
    check(job)
    (tmp_path / "m/config.json").write_text('{"num_attention_heads": 16}')
    with pytest.raises(DataRefusedError, match=r"job\.yaml:15:31: the sizes of `model.text` are not those"):
        check(job)
    (tmp_path / "m/config.json").write_text('{"max_position_embeddings": 64}')
    with pytest.raises(DataRefusedError, match=r"job\.yaml:.*texts are longer than those"):
        check(job)
    (tmp_path / "m/config.json").unlink()
    for path, message in (("m/other.json", "the tokenizer's file is not there"), ("job.yaml", "cannot be read")):
        with pytest.raises(DataRefusedError, match=rf"job\.yaml:11:40: .*{message}"):
            check(job.replace("m/tokenizer.json", path))
    with pytest.raises(DataRefusedError, match="`no_such_package`, which is not installed"):
        check(job.replace("m/model", "package:no_such_package/model"))
