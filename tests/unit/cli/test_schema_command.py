import json

import pytest

from mmdist.cli.main import run
from mmdist.spec.reference import job_reference
from mmdist.spec.schema import job_schema


def test_schema(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["schema"]) == 0
    assert json.loads(capsys.readouterr().out) == job_schema()


def test_markdown(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["schema", "--markdown"]) == 0
    assert capsys.readouterr().out == job_reference()
