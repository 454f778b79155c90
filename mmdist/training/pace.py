"""How fast steps go and what they wait for: reading, preparing, decoding, and the hand-over to the devices. No I/O."""

import time
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from mmdist.data.batches import Batch
from mmdist.data.stream import BatchStream

__all__ = ["InputTime", "Pace", "split_wait", "timed"]


class InputTime(NamedTuple):
    """Seconds of the training thread that a step's input took."""

    read_s: float
    """Waiting for a batch, while row groups were being read."""
    prepare_s: float
    """Waiting for a batch, while rows were tokenised, looked up and hashed."""
    decode_s: float
    """Waiting for a batch, while its pictures were being decoded and put together."""
    handover_s: float = 0.0
    """Not waiting, but drawing the augmentation and copying the batch to the devices."""

    @property
    def wait_s(self) -> float:
        """Waiting for the batch, whatever it was for."""
        return self.read_s + self.prepare_s + self.decode_s


class Pace:
    """Rows, steps and seconds by phase since it was made."""

    def __init__(self) -> None:
        self._begun_s = time.perf_counter()
        self._ended_s: float | None = None
        self._rows = self._steps = 0
        self._input = InputTime(0.0, 0.0, 0.0, 0.0)

    def add(self, *, rows: int, spent: InputTime) -> None:
        """Takes a step."""
        self._rows += rows
        self._steps += 1
        self._input = InputTime(*(sum(pair) for pair in zip(self._input, spent, strict=True)))

    def end(self) -> None:
        """Time that passes from now on does not count."""
        self._ended_s = time.perf_counter()

    @property
    def seconds(self) -> float:
        """From the start to the end, or to now."""
        return (self._ended_s or time.perf_counter()) - self._begun_s

    def phases_s(self) -> dict[str, float]:
        """Seconds by phase, which add up to all: three kinds of wait, `handover`, and the rest, `step`."""
        total_s = self.seconds
        return {
            "read_wait": self._input.read_s,
            "prepare_wait": self._input.prepare_s,
            "decode_wait": self._input.decode_s,
            "handover": self._input.handover_s,
            "step": max(total_s - self._input.wait_s - self._input.handover_s, 0.0),
        }

    def values(self) -> dict[str, float]:
        """`rows_per_s`, `step_s` (all seconds over steps), `input_wait_share`, and each phase's share of the time as
        `PHASE_share`; empty before the first step.
        """
        if not self._steps:
            return {}
        total_s = self.seconds
        shares = {f"{phase}_share": phase_s / total_s for phase, phase_s in self.phases_s().items()}
        return {
            "rows_per_s": self._rows / total_s,
            "step_s": total_s / self._steps,
            "input_wait_share": self._input.wait_s / total_s,
            **shares,
        }


def timed(stream: BatchStream) -> Iterator[tuple[Batch, InputTime]]:
    """The batches, each with what it was waited for."""
    batches = iter(stream)
    came_s = time.perf_counter()
    before: Mapping[str, float] = {}
    while True:
        asked_s = time.perf_counter()
        batch = next(batches, None)
        if batch is None:
            return
        now_s = time.perf_counter()
        timings = stream.timings()
        spent = {name: value - before.get(name, 0.0) for name, value in timings.items()}
        waited = split_wait(now_s - asked_s, since_last_s=now_s - came_s, spent=spent)
        came_s, before = now_s, timings
        yield batch, waited


def split_wait(wait_s: float, *, since_last_s: float, spent: Mapping[str, float]) -> InputTime:
    """Says what a wait for a batch was for, by what the stream's own thread did since the batch before it.

    Where reading is too slow, that thread waits for row groups nearly all the time; where decoding is, it seldom does.
    So the share of the time that it waited for them is the reading's share of the wait (and, by the readers' own time,
    the preparing's), and the rest is the decoding's.

    Args:
        wait_s: How long the training thread waited.
        since_last_s: Seconds since it got the batch before.
        spent: What `BatchStream.timings` grew by in these seconds.
    """
    reading = min(spent["read_wait_s"] / since_last_s, 1.0) if since_last_s > 0 else 0.0
    readers_s = spent["read_s"] + spent["prepare_s"]
    preparing = reading * (spent["prepare_s"] / readers_s if readers_s > 0 else 0.0)
    return InputTime(wait_s * (reading - preparing), wait_s * preparing, wait_s * (1.0 - reading))
