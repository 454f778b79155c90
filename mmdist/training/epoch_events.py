"""Writes the event of a finished epoch: its numbers, where its time went, retries of storage, and what to change."""

import logging
from collections import Counter
from typing import Any

from mmdist.storage import EventWriter, retry_counts
from mmdist.training.input_advice import InputFacts, input_advice
from mmdist.training.pace import Pace

__all__ = ["EpochEvents"]

_log = logging.getLogger(__name__)


class EpochEvents:
    """Writes `epoch-finished` for each epoch, and `input-bound` when input becomes the bottleneck.

    Args:
        events: The chief worker's.
        facts: About this worker's input.
    """

    def __init__(self, events: EventWriter, facts: InputFacts) -> None:
        self._events = events
        self._facts = facts
        # The first epoch's event has those from before it too: of opening datasets, say.
        self._retries: Counter[str] = Counter()
        self._told = ""

    def write(self, pace: Pace, *, epoch: int, metrics: dict[str, float], **facts: Any) -> None:
        """Writes an epoch's events.

        Args:
            pace: Of the epoch's training, ended.
            epoch: From 1.
            metrics: The epoch's, but for its pace.
            facts: More of the event's facts.
        """
        values = pace.values()
        more: dict[str, Any] = {"seconds_by_phase": pace.phases_s()}
        retries = Counter(retry_counts())
        if new := retries - self._retries:
            more["storage_retries"] = dict(new)
        self._retries = retries
        advice = input_advice(values, self._facts)
        if advice is not None:
            more["input_advice"] = advice.sentence
        self._events.write("epoch-finished", epoch=epoch, metrics={**metrics, **values}, **more, **facts)
        # Each epoch's event has the sentence; it is told once per cause.
        if advice is not None and advice.phase != self._told:
            self._told = advice.phase
            self._events.write("input-bound", epoch=epoch, advice=advice.sentence)
            _log.warning("epoch %d: %s", epoch, advice.sentence)
