"""Trainings of several runs, one after the other in this process: `end:RUN` to the end, `stop:RUN` half-way.

A run at its end is also evaluated, and predicts the test split. What goes wrong in one is written to its file
`failed`, and the next one begins.
"""

import os
import sys
import traceback
from pathlib import Path
from typing import Any

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import keras
import numpy as np
from tiny_runs import BATCHES

from mmdist.data.dataset import open_dataset
from mmdist.errors import StopRequestedError
from mmdist.prediction import predictor
from mmdist.prediction.ranges import PredictionRange
from mmdist.spec.job import TrainJob
from mmdist.spec.load import parse_resolved
from mmdist.training import devices
from mmdist.training.heartbeat import Heartbeat
from mmdist.training.step import Steps
from mmdist.training.worker import train_worker

STOP_AT = BATCHES + 2
"""Steps before a run is stopped: inside its second epoch."""


class Stop:
    """Asks for a stop after some steps of the run at hand; None asks for none."""

    after: int | None = None
    done = 0


def _set_up() -> None:
    """What must happen once per process, though several runs are trained in it."""
    # Devices are set before TensorFlow starts, and a second strategy over them would take the first one's keys.
    made: list[Any] = []
    set_up = devices.set_up_devices

    def once(*args: Any, **options: Any) -> Any:
        if not made:
            made.append(set_up(*args, **options))
        return made[0]

    devices.set_up_devices = once
    predictor._set_devices = lambda setup: None
    train = Steps.train

    def counted(self: Steps, *args: Any, stop: bool = False, **options: Any) -> Any:
        Stop.done += 1
        return train(self, *args, stop=stop or _is_due(), **options)

    Steps.train = counted
    Heartbeat.stop_requested = property(lambda self: _is_due())


def _is_due() -> bool:
    return Stop.after is not None and Stop.done >= Stop.after


def _work(run: Path, *, to_its_end: bool) -> None:
    Stop.after, Stop.done = None if to_its_end else STOP_AT, 0
    attempt = 2 if (run / "events").exists() else 1
    try:
        train_worker({"run_url": str(run), "attempt": attempt, "rank": 0, "world_size": 1})
    except StopRequestedError:
        if to_its_end:
            raise
    else:
        _predict(run)
    keras.backend.clear_session()


def _predict(run: Path) -> None:
    """As a worker of a prediction does, over all row groups of the test split."""
    job = parse_resolved((run / "job.yaml").read_bytes(), "job.yaml")
    assert isinstance(job, TrainJob)
    dataset = open_dataset(str(job.data.test))
    groups = PredictionRange(0, 0, len(dataset.index.rows), 0, int(dataset.index.rows.sum()))
    setup = predictor.PredictorSetup(
        run_url=str(run),
        model_url=f"{run}/model",
        input_url=str(job.data.test),
        cache=None,
        output_url=f"{run}/predictions",
        fingerprint=dataset.fingerprint,
        columns=job.data.columns,
        batch_size=16,
        threads=2,
        gpus=0,
    )
    columns = {name: np.array([getattr(groups, name)]) for name in PredictionRange.__dataclass_fields__}
    [reply] = predictor.Predictor(setup)(columns)["reply"]
    assert predictor.read_reply(reply).rows == groups.rows


def main() -> int:
    """Works through the runs."""
    _set_up()
    for argument in sys.argv[1:]:
        what, _, folder = argument.partition(":")
        try:
            _work(Path(folder), to_its_end=what == "end")
        except Exception:
            Path(folder, "failed").write_text(traceback.format_exc())
    return 0


if __name__ == "__main__":
    sys.exit(main())
