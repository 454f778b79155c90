"""Attempts and workers whose last words storage does not take: the exit code and the error still come back."""

from contextlib import contextmanager, nullcontext
from pathlib import Path

import pytest

from mmdist.errors import StorageError
from mmdist.runtime import worker
from mmdist.runtime.driver import Attempt
from mmdist.storage import EventWriter, Store, open_store

FULL = StorageError("storage failed an operation", received="No space left on device")


@pytest.fixture
def full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    def refuse(self: Store, path: str, data: bytes) -> None:
        raise FULL

    monkeypatch.setattr(Store, "write_bytes", refuse)
    return open_store(str(tmp_path))


@contextmanager
def ray_session():
    yield "scratch"


def test_an_attempt_whose_end_cannot_be_written_still_tells_how_it_ended(full: Store) -> None:
    attempt = Attempt(full, None, EventWriter(full, 1, "driver"))
    attempt.start(ray_session).join(timeout=30)
    assert attempt.is_over.is_set()
    assert (attempt.exit_code, attempt.failure) == (4, FULL)


def test_an_attempt_that_succeeded_but_cannot_say_so_has_no_exit_code_yet(full: Store) -> None:
    attempt = Attempt(full, None, EventWriter(full, 1, "driver"))
    with pytest.raises(StorageError, match="No space left"):
        attempt.finish("succeeded", 0)
    assert attempt.exit_code is None


def test_a_worker_hands_its_error_back_where_no_event_can_be_written(
    full: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "captured_output", lambda *arguments: nullcontext())

    def work() -> None:
        raise FULL

    outcome = worker._framed(full, EventWriter(full, 1, "worker-0.0"), work, others=False)
    failure = worker.failure_of(outcome)
    assert (failure.exit_code, failure.received) == (4, "No space left on device")
