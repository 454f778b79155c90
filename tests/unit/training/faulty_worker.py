"""A training in a process of its own, with one fault: `none`, `stop:STEP`, `kill:STEP`, `nan:STEP`, `forget-seeds`,
`slow-decode`, `poison:BATCH`, `poison:BATCH:keep` (its step is not undone)."""

import dataclasses
import os
import signal
import sys
import time
from pathlib import Path

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import numpy as np

from mmdist.errors import MmdistError
from mmdist.training.worker import train_worker


def wait_for_checkpoint(run: str, *, since: int) -> None:
    """Until a checkpoint of that step or a later one is committed: saving goes on beside training, at its own pace."""
    from mmdist.storage import open_store
    from mmdist.training.checkpoint import committed_checkpoints

    end = time.monotonic() + 60
    while not any(int(Path(folder).name.split("-")[0]) >= since for folder in committed_checkpoints(open_store(run))):
        assert time.monotonic() < end, f"no checkpoint of step {since} or later"
        time.sleep(0.05)


def break_steps(run: str, fault: str, step: int) -> None:
    from mmdist.training.heartbeat import Heartbeat
    from mmdist.training.step import Steps

    done = 0
    train = Steps.train

    def broken(self, batch, *, epoch, stop=False, **said):
        nonlocal done
        if done == step and fault == "kill":
            wait_for_checkpoint(run, since=step - 3)
            os.kill(os.getpid(), signal.SIGKILL)
        if done == step and fault == "nan":
            weight = self._model.trainable_variables[0]
            weight.assign(weight * float("nan"))
        done += 1
        if fault == "stop":
            Heartbeat.stop_requested = property(lambda self: done >= step)
        return train(self, batch, epoch=epoch, stop=stop or (fault == "stop" and done >= step), **said)

    Steps.train = broken


def poison(number: int) -> None:
    """The rows of one batch of six per epoch weigh infinitely, whenever they are trained on."""
    from mmdist.training.step import Steps

    train = Steps.train

    def broken(self, batch, *, epoch, **said):
        if epoch * 6 + batch.index == number:
            batch = dataclasses.replace(batch, mask=batch.mask * np.float32("inf"))
        return train(self, batch, epoch=epoch, **said)

    Steps.train = broken


def forget_seeds() -> None:
    """Restores everything but the seed generators: what Keras's own formats do."""
    from mmdist.training import session

    assign = session.assign_arrays

    def broken(variables, arrays, *, file):
        kept = [number for number, variable in enumerate(variables) if "seed_generator" not in variable.path]
        assert len(kept) < len(variables)
        assign([variables[number] for number in kept], [arrays[number] for number in kept], file=file)

    session.assign_arrays = broken


def slow_decode() -> None:
    """Each task of decoding takes a fifth of a second, and the first one finds storage that fails once."""
    from mmdist.data import collate
    from mmdist.storage.retry import RetryPolicy

    decode = collate.decode_images
    failures = [OSError("connection reset")]

    def read():
        if failures:
            raise failures.pop()

    def slow(*args, **options):
        RetryPolicy(first_wait_s=0.0).run("read", "s3://bucket/part", read)
        time.sleep(0.2)
        return decode(*args, **options)

    collate.decode_images = slow


def leave_report_out() -> None:
    from mmdist.training import finish

    finish._evaluate = lambda parts: {"headline": {}}
    finish.render_report = lambda run: None


def main() -> int:
    run, attempt, fault, rank = sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4])
    name, _, step = fault.partition(":")
    if name == "forget-seeds":
        forget_seeds()
    elif name == "slow-decode":
        slow_decode()
    elif name == "poison":
        step, _, more = step.partition(":")
        poison(int(step))
        if more == "keep":
            from mmdist.training.undo import Undo

            Undo.give_back = lambda self, kept, diverged: None
    elif name != "none":
        break_steps(run, name, int(step))
    if os.environ.get("TEST_REPORT") == "0":
        leave_report_out()
    workers = int(os.environ.get("TEST_WORKERS", "1"))
    try:
        train_worker({"run_url": run, "attempt": attempt, "rank": rank, "world_size": workers})
    except MmdistError as error:
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
