import json

import pytest

from mmdist.cli.errors import print_error
from mmdist.errors import DataRefusedError, JobFileError, MultipleJobFileError, Place


def test_text(capsys: pytest.CaptureFixture[str]) -> None:
    error = DataRefusedError("no rows", expected="rows", received="none", place=Place("d", 1, 2), remedy="look")
    print_error(error, log_format="text")
    assert capsys.readouterr().err == "error: d:1:2: no rows\n  expected: rows\n  received: none\n  to do: look\n"


def test_several(capsys: pytest.CaptureFixture[str]) -> None:
    error = MultipleJobFileError([JobFileError("a", expected="x"), JobFileError("b")])
    print_error(error, log_format="text")
    assert capsys.readouterr().err == "error: a\n  expected: x\nerror: b\n2 errors\n"
    print_error(error, log_format="json")
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert lines == [
        {"level": "error", "message": "a", "expected": "x", "exit_code": 2},
        {"level": "error", "message": "b", "exit_code": 2},
    ]


def test_json_has_the_place(capsys: pytest.CaptureFixture[str]) -> None:
    print_error(JobFileError("a", place=Place("f", 3, 4, "k"), remedy="r"), log_format="json")
    assert json.loads(capsys.readouterr().err) == {
        "level": "error",
        "message": "a",
        "remedy": "r",
        "file": "f",
        "line": 3,
        "column": 4,
        "key": "k",
        "exit_code": 2,
    }
