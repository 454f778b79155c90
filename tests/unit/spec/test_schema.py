from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from mmdist.spec.schema import job_schema

JOBS = sorted((Path(__file__).parents[3] / "jobs").glob("*.yaml"))


def test_schema_is_valid_and_described() -> None:
    schema = job_schema()
    Draft202012Validator.check_schema(schema)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    train = schema["$defs"]["TrainSpec"]["properties"]
    assert train["epochs"]["description"] == "Passes over the training split."
    assert train["epochs"]["title"] == "Epochs"
    assert "import" in schema["$defs"]["TrainJob"]["properties"]


@pytest.mark.parametrize("path", JOBS, ids=lambda path: path.name)
def test_jobs_of_the_repository_satisfy_it(path: Path) -> None:
    Draft202012Validator(job_schema()).validate(yaml.safe_load(path.read_text()))


def test_it_refuses_what_the_loader_refuses() -> None:
    good: dict[str, Any] = {"kind": "train", "name": "x", "data": {"train": "a", "validation": "b"}}
    validator = Draft202012Validator(job_schema())
    assert validator.is_valid(good)
    for bad in ({"epochs": 3}, {"train": {"epoch": 3}}, {"model": {"image": {"type": "vitt"}}}, {"seed": -1}):
        assert not validator.is_valid({**good, **bad})
