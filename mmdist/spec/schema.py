"""The JSON Schema of the job file, for editors."""

from typing import Any

from pydantic import TypeAdapter

from mmdist.spec.job import JobSpec

__all__ = ["job_schema"]


def job_schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of a job file, keys as in YAML, descriptions from the models' docstrings."""
    schema = TypeAdapter[Any](JobSpec).json_schema(by_alias=True)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "mmdist job file",
        "description": "A job for mmdist: import, train, evaluate or predict, chosen by `kind`.",
        **schema,
    }
