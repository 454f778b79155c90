"""The processes that `mmdist verify` starts, one after the other: `python -m mmdist.runtime.verifying.worker FILE`.

FILE is JSON: `mode` (`parity` or `train`), `run_url`, `attempt`, `recording`, `resources`, `pause_after`.
"""

import json
import logging
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

from mmdist.errors import MmdistError
from mmdist.runtime.failures import error_record, unwrap
from mmdist.runtime.verifying.records import append_line
from mmdist.spec.job import TrainJob
from mmdist.spec.load import parse_resolved
from mmdist.spec.resources import ResourcesSpec
from mmdist.storage import EventWriter, open_store

__all__ = ["main"]

LOOK_EVERY_S = 0.5


def main(arguments: list[str]) -> int:
    """Does one part; its exit code is that of the error that ended it."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    threading.Thread(target=_end_with_parent, args=(os.getppid(),), daemon=True).start()
    config = json.loads(Path(arguments[0]).read_text(encoding="utf-8"))
    recording = Path(config["recording"])
    try:
        _work(config, recording)
    except Exception as error:
        # Whatever it is: in the resumed process even a bug counts against the resume.
        logging.exception("ended by an error")
        failure = unwrap(error)
        append_line(recording, "failure", error_record(failure))
        return failure.exit_code
    return 0


def _work(config: dict[str, Any], recording: Path) -> None:
    run = open_store(config["run_url"])
    job = parse_resolved(run.read_bytes("job.yaml"), f"{run.url}/job.yaml")
    if not isinstance(job, TrainJob):
        raise MmdistError("a training was started for a job of another kind", received=job.kind)
    resources = ResourcesSpec.model_validate(config["resources"])
    job = job.model_copy(update={"resources": resources})
    events = EventWriter(run, int(config["attempt"]), "worker-0.0")
    # Late, for these import TensorFlow.
    from mmdist.training.devices import set_up_devices
    from mmdist.training.heartbeat import Heartbeat
    from mmdist.training.prepare import prepare

    devices = set_up_devices(resources, workers=1, deterministic=True, seed=job.seed)
    data = prepare(job, run, threads=devices.threads, is_chief=True, on_progress=lambda what, rows, total: None)
    with Heartbeat(run, "worker-0") as heartbeat:
        if config["mode"] == "parity":
            from mmdist.runtime.verifying.parity import compare_replicas

            compare_replicas(job, run, events, data, devices, heartbeat, recording)
            return
        from mmdist.runtime.verifying.watching import train_watched

        train_watched(job, run, events, data, devices, heartbeat, recording, pause_after=config["pause_after"])


def _end_with_parent(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(LOOK_EVERY_S)
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
