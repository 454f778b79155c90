import json
from pathlib import Path

import pytest

from mmdist.cli.main import run

JOB = """\
kind: train
name: demo
import:
  source: {type: openmoji}
  output: d
data: {train: d/train, validation: d/validation}
resources: {replicas_per_worker: 2}
"""


@pytest.fixture(autouse=True)
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "job.yaml").write_text(JOB)


def test_summary(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert run(["check", "job.yaml", "--set", "train.epochs=2"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert out == (
        "job.yaml: the train job demo is in order\n"
        "  reads       image and text\n"
        "  batches     256 rows, 2 epochs\n"
        "  lanes       32\n"
        "  replicas    2 on 1 worker\n"
        f"  writes      {tmp_path}/runs, {tmp_path}/d\n"
        f"  note        the data is checked after importing: {tmp_path}/d is not there yet\n"
    )


def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["check", "job.yaml", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["ok"] is True
    assert facts["replicas"] == 2
    assert facts["lanes"] == 32


def test_errors_go_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["check", "job.yaml", "--set", "train.epoch=2", "--set", "seedd=1"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("error: --set ") == 2
    assert err.endswith("2 errors\n")


def test_missing_data_is_exit_3(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["check", "job.yaml", "--set", "import=null"]) == 3
    assert capsys.readouterr().err.startswith("error: job.yaml:6:15: the folder of `data.train` is not there\n")
