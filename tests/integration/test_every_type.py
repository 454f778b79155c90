"""Every `type:` of every family trains on two replicas, resumes bit for bit, evaluates and predicts.

How to add a type: one line in `ROWS`, from its place in the job file to what it takes to be small there. All rows are
run by

    pytest tests/integration/test_every_type.py -m ''

and without `-m` the one that takes a type of each family. A type that has no row fails `test_every_type_has_a_row`.
A type that the tiny dataset has no columns for names a function in `DATA` that writes the splits of one that has.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from tiny_runs import events, job_dict, write_data, write_run

from mmdist.spec.describe import discriminator, spec_classes, type_names
from mmdist.spec.job import TrainJob
from mmdist.spec.model import ModelSpec
from mmdist.storage import open_store
from mmdist.training.checkpoint import committed_checkpoints, read_checkpoint

ROWS: dict[str, dict[str, Any]] = {
    "model.image: cnn": {"filters": [4, 8], "units": 8, "normalization": "batch"},
    "model.image: application": {"net": "mobilenetv2_035", "resize": [32, 32]},
    "model.image: resnet": {"widths": [4, 8], "depths": [1, 1], "stochastic_depth": 0.2},
    "model.image: convnext": {"widths": [4, 8], "depths": [1, 1], "stem_px": 2, "stochastic_depth": 0.2},
    "model.image: vit": {"patch_px": 4, "depth": 2, "width": 8, "heads": 2, "dropout": 0.1, "stochastic_depth": 0.2},
    "model.text: bilstm": {"embedding": 6, "lstm_units": 4, "units": 6},
    "model.text: bag": {"embedding": 6},
    "model.text: transformer": {"depth": 1, "width": 8, "heads": 2, "dropout": 0.1, "units": 6},
    "model.text: bert": {"depth": 1, "width": 8, "heads": 2},
    "model.audio: cnn": {"filters": [3, 4], "units": 5},
    "model.audio: transformer": {"patch": [4, 4], "width": 4, "heads": 2, "depth": 1, "units": 5},
    "model.tabular: mlp": {"width": 3, "layers": [5]},
    "model.tabular: ft_transformer": {"width": 4, "heads": 2, "depth": 1},
    "model.fusion: concat": {},
    "model.fusion: gated": {"units": 8},
    "model.fusion: bilinear": {"rank": 8},
    "model.fusion: cross_attention": {"width": 8, "heads": 2, "blocks": 1},
    "model.fusion: late": {"weights": "learned"},
    "task: classification": {"label_smoothing": 0.1, "class_weights": "balanced", "focal_gamma": 1.0},
    "task: multilabel": {"threshold": 0.3, "label_smoothing": 0.1, "positive_weights": "balanced"},
    "task: ordinal": {"labels": ["circle", "square", "star"]},
    "task: regression": {"loss": "huber"},
    "task: captioning": {"decoder": {"type": "transformer", "width": 8, "heads": 2, "blocks": 1}, "tokens": 6},
    "task: retrieval": {"width": 8, "temperature": 0.2},
}
"""By section and type, the other keys of the section."""


def numbered(folder: Path) -> dict[str, str]:
    """The tiny splits, with a number in place of each label."""
    splits = write_data(folder, index=False)
    for path in folder.rglob("*.parquet"):
        table = pq.read_table(path)
        numbers = [7.5 + 40 * len(label) for label in table["label"].to_pylist()]
        place = table.column_names.index("label")
        pq.write_table(table.set_column(place, "label", pa.array(numbers)), path, row_group_size=7)
    return splits


def captioned(folder: Path) -> dict[str, str]:
    """The tiny splits, with a text in every row."""
    splits = write_data(folder, index=False)
    for path in folder.rglob("*.parquet"):
        table = pq.read_table(path)
        place = table.column_names.index("text")
        pq.write_table(table.set_column(place, "text", pc.fill_null(table["text"], "nothing")), path, row_group_size=7)
    return splits


def sounding(folder: Path) -> dict[str, str]:
    """The tiny splits, with recordings."""
    return write_data(folder, audio=True)


DATA: dict[str, Callable[[Path], dict[str, str]]] = {
    "a type of each family": sounding,
    "model.audio: cnn": sounding,
    "model.audio: transformer": sounding,
    "task: regression": numbered,
    "task: captioning": captioned,
    "captions by an LSTM": captioned,
}
"""By row or job, what writes its splits into a folder, where it is not `write_data`."""

CAPTIONED = {"id": "id", "image": "image", "label": "text", "tabular": {"numbers": ["weight"], "categories": ["kind"]}}
HEARD = {"data__columns__audio": "audio", "data__audio": {"sample_rate": 8000, "seconds": 0.1, "mels": 8}}
PLAIN = [{"type": "flip"}, {"type": "shift"}]
KEYS: dict[str, dict[str, Any]] = {
    "model.audio: cnn": HEARD,
    "model.audio: transformer": HEARD,
    "task: captioning": {"data__columns": CAPTIONED, "data__image__augment": PLAIN},
    "task: retrieval": {
        "data__columns": {"id": "id", "image": "image", "text": "text"},
        "data__image__augment": PLAIN,
    },
    "captions by an LSTM": {"task__decoder": {"type": "lstm", "embedding": 4, "units": 6}},
}
"""By row or job, what else it takes in the job."""

SAMPLE = (
    "model.image: resnet",
    "model.text: bilstm",
    "model.audio: transformer",
    "model.tabular: ft_transformer",
    "model.fusion: cross_attention",
    "task: classification",
)
"""Rows that one job has together: what is run of them by default."""

JOBS = {
    "a type of each family": SAMPLE,
    **{name: (name,) for name in ROWS},
    "captions by an LSTM": ("task: captioning",),
}


def job_of(name: str, data: dict[str, str]) -> dict[str, Any]:
    """The tiny job with the sections of a job's rows in it."""
    changes: dict[str, Any] = {}
    for row in JOBS[name]:
        path, kind = row.split(": ")
        changes[path.replace(".", "__")] = {"type": kind, **ROWS[row]}
        changes |= KEYS.get(row, {})
    changes |= KEYS.get(name, {})
    return job_dict(data, train__epochs=2, **changes)


@pytest.fixture(scope="module")
def folders(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs of every job that was asked for: `alone/JOB` to its end, and `stopped/JOB` that was resumed."""
    root = tmp_path_factory.mktemp("types")
    asked = {item.name for item in request.session.items}
    names = [name for name in JOBS if any(f"[{name}]" in item for item in asked)]
    made: dict[Callable[[Path], dict[str, str]], dict[str, str]] = {}
    for name in names:
        write = DATA.get(name, write_data)
        if write not in made:
            made[write] = write(root / "data" / str(len(made)))
        job = job_of(name, made[write])
        for kind in ("alone", "stopped"):
            write_run(run_of(root, kind, name), job)
    alone = [f"end:{run_of(root, 'alone', name)}" for name in names]
    work(*alone, *(f"stop:{run_of(root, 'stopped', name)}" for name in names))
    work(*(f"end:{run_of(root, 'stopped', name)}" for name in names))
    return root


def run_of(root: Path, kind: str, name: str) -> Path:
    return root / kind / name.replace(": ", "-").replace(" ", "-")


def work(*tasks: str) -> None:
    """A process that does what `type_runs.py` says, one after the other."""
    here = Path(__file__)
    found = (here.parents[2], here.parents[1] / "unit" / "training")
    done = subprocess.run(
        [sys.executable, str(here.with_name("type_runs.py")), *tasks],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(str(folder) for folder in found)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-5000:]


def everything(run: Path) -> dict[str, bytes]:
    """What a run has found out that must not depend on whether it was stopped."""
    files = sorted(path for path in (run / "predictions").rglob("*.parquet"))
    named = {path.name: path.read_bytes() for path in files}
    return {**named, "weights": (run / "model" / "weights.safetensors").read_bytes()}


@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if len(rows) > 1 else pytest.mark.campaign) for name, rows in JOBS.items()]
)
def test_it_trains_resumes_bit_for_bit_evaluates_and_predicts(folders: Path, name: str) -> None:
    alone, stopped = (run_of(folders, kind, name) for kind in ("alone", "stopped"))
    for run in (alone, stopped):
        failed = run / "failed"
        assert not failed.exists(), failed.read_text()
    assert {event["replicas"] for run in (alone, stopped) for event in events(run, "devices")} == {2}
    [resumed] = events(stopped, "resumed")
    assert resumed["epoch"] == 2
    assert resumed["next_batch"] > 0
    expected, received = (
        read_checkpoint(open_store(str(run)), committed_checkpoints(open_store(str(run)))[-1])
        for run in (alone, stopped)
    )
    assert len(expected.arrays) == len(received.arrays)
    for one, other in zip(expected.arrays, received.arrays, strict=True):
        np.testing.assert_array_equal(one, other)
    for key in ("step", "cursor", "totals", "ledger", "history", "identity"):
        assert expected.state[key] == received.state[key], key
    assert everything(alone) == everything(stopped)
    metrics = [json.loads((run / "report" / "evaluation.json").read_text())["metrics"] for run in (alone, stopped)]
    assert metrics[0] == metrics[1]
    assert (stopped / "report" / "report.html").stat().st_size > 1000


def test_every_type_has_a_row() -> None:
    sections = {f"model.{name}": field for name, field in ModelSpec.model_fields.items()}
    sections["task"] = TrainJob.model_fields["task"]
    types = {
        f"{path}: {kind}"
        for path, field in sections.items()
        for kind in type_names([one for one in spec_classes(field.annotation) if discriminator(one)])
    }
    assert types == set(ROWS), "add a row to ROWS in this file"
