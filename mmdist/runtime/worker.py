"""What runs inside Ray's worker processes: a frame around training and evaluating that keeps their words and errors."""

import traceback
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from mmdist.errors import MmdistError, StopRequestedError, WorkerLostError
from mmdist.runtime.failures import error_from_record, error_record, unwrap
from mmdist.runtime.logs import captured_output
from mmdist.runtime.processes import this_worker
from mmdist.storage import EventWriter, Store, open_store, read_events

__all__ = ["evaluate_entry", "failure_of", "is_regrouped", "train_entry"]


def train_entry(config: dict[str, Any]) -> dict[str, Any]:
    """Trains, as one worker of a Ray Train group.

    Args:
        config: `run_url`, `attempt`, `group` (its number within the attempt, after which all that its workers write
            is named), and what `train_worker` takes beyond them.

    Returns:
        `{"result": ...}`, or `{"failure": record}` for an error that no new worker would cure: returned, not
        raised, so that Ray Train does not try again.
    """
    from ray import train

    context = train.get_context()
    rank, world_size = context.get_world_rank(), context.get_world_size()
    run = open_store(config["run_url"])
    attempt = int(config["attempt"])
    restart = int(config["group"])
    writer = f"worker-{rank}.{restart}"
    events = EventWriter(run, attempt, writer)
    events.write("worker-started", rank=rank, world_size=world_size, restart=restart, **this_worker())

    def work() -> Any:
        from mmdist.training.worker import train_worker

        return train_worker({**config, "restart": restart, "rank": rank, "world_size": world_size, "events": events})

    return _framed(run, events, work, others=world_size > 1)


def evaluate_entry(config: dict[str, Any]) -> dict[str, Any]:
    """Evaluates a model, in a worker process of its own. Returns as `train_entry` does."""
    run = open_store(config["run_url"])
    attempt = int(config["attempt"])
    # Ray does a task whose process is lost again: each has a name of its own, as those of a training have.
    restart = sum(event.kind == "worker-started" for event in read_events(run) if event.attempt == attempt)
    events = EventWriter(run, attempt, f"worker-0.{restart}")
    events.write("worker-started", rank=0, world_size=1, restart=restart, **this_worker())

    def work() -> Any:
        from mmdist.runtime.evaluating import evaluate

        return evaluate(run, open_store(config["model_run_url"]), events)

    return _framed(run, events, work, others=False)


def _framed(run: Store, events: EventWriter, work: Callable[[], Any], *, others: bool) -> dict[str, Any]:
    with captured_output(run, events.attempt, events.writer):
        try:
            return {"result": work()}
        except Exception as error:
            traceback.print_exc()
            failure = unwrap(error)
            if _may_be_cured(error, others=others):
                failure = WorkerLostError("the other workers cannot be reached any more", received=failure.received)
            fatal = isinstance(failure, StopRequestedError) or not _may_be_cured(error, others=others)
            record = {**error_record(failure), "fatal": fatal}
            if not isinstance(failure, StopRequestedError):
                # A full disk takes no event either; the record still goes back to the driver.
                with suppress(MmdistError):
                    events.write("failed", **record)
            # With others waiting in a collective, only an error ends them all; the driver finds the record.
            if others and not isinstance(failure, StopRequestedError):
                raise
            if not fatal:
                raise
            return {"failure": record}


def _may_be_cured(error: BaseException, *, others: bool) -> bool:
    """Whether new workers may do better: only where another worker's loss can be behind it."""
    if isinstance(error, MmdistError):
        return False
    return others and type(error).__module__.startswith("tensorflow")


def is_regrouped(outcome: Any) -> bool:
    """Whether an entry returned, at a checkpoint, because a larger group shall go on."""
    result = outcome.get("result") if isinstance(outcome, dict) else None
    return isinstance(result, dict) and bool(result.get("regroup"))


def failure_of(outcome: Any) -> MmdistError | None:
    """The error in what an entry returned; None where it went well."""
    record = outcome.get("failure") if isinstance(outcome, dict) else None
    if record is None:
        return None
    return error_from_record({name: value for name, value in record.items() if name != "fatal"})
