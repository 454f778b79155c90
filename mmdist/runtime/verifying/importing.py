"""Runs a train job's import in a process of its own: `python -m mmdist.runtime.verifying.importing JOB FAILURE`."""

import json
import sys
from pathlib import Path

from mmdist.runtime.driver import leave
from mmdist.runtime.embedded import embedded_ray
from mmdist.runtime.failures import error_record, unwrap
from mmdist.spec.job import TrainJob
from mmdist.spec.load import parse_resolved

__all__ = ["main"]


def main(arguments: list[str]) -> int:
    """Imports; an error is left in the file FAILURE."""
    job = parse_resolved(Path(arguments[0]).read_bytes(), arguments[0])
    if not isinstance(job, TrainJob) or job.import_ is None:
        return 2
    try:
        with embedded_ray():
            from mmdist.importing import run_import

            run_import(job.import_, name=job.name, on_progress=lambda progress: None)
    except BaseException as error:
        failure = unwrap(error)
        Path(arguments[1]).write_text(json.dumps(error_record(failure)), encoding="utf-8")
        return failure.exit_code
    return 0


if __name__ == "__main__":
    leave(main(sys.argv[1:]))
