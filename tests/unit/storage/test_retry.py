import errno

import pyarrow as pa
import pytest

from mmdist.errors import StorageError, UsageError
from mmdist.storage import retry as retry_module
from mmdist.storage.retry import RetryPolicy, is_permanent, retry_counts

PASSING = [
    OSError("AWS Error UNKNOWN (HTTP status 503) during GetObject operation: No response body."),
    OSError("AWS Error SLOW_DOWN during PutObject operation: Reduce your request rate"),
    OSError("AWS Error NETWORK_CONNECTION during GetObject operation: curlCode: 56, Failure when receiving data"),
    OSError("AWS Error UNKNOWN (HTTP status 429) during GetObject operation"),
    OSError("HTTP status 409 during PUT: ConditionalRequestConflict"),
    ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"),
    TimeoutError("timed out"),
    pa.ArrowException("google::cloud::Status(UNAVAILABLE)"),
]
PERMANENT = [
    OSError("AWS Error ACCESS_DENIED during HeadObject operation: No response body."),
    OSError("AWS Error NO_SUCH_BUCKET during PutObject operation"),
    OSError("AWS Error SIGNATURE_DOES_NOT_MATCH during ListObjectsV2 operation"),
    OSError("HTTP status 403 during PUT: <Code>InvalidAccessKeyId</Code>"),
    OSError("AWS Error UNKNOWN (HTTP status 400) during GetObject operation"),
    PermissionError(errno.EACCES, "Permission denied"),
    NotImplementedError("no writing"),
    pa.ArrowInvalid("not a path"),
]


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What was waited, in a world where waiting takes no time but the clock moves."""
    waited: list[float] = []
    monkeypatch.setattr(retry_module.time, "sleep", waited.append)
    monkeypatch.setattr(retry_module.time, "monotonic", lambda: sum(waited))
    return waited


def failing(*errors: Exception) -> "object":
    left = list(errors)

    def operation() -> str:
        if left:
            raise left.pop(0)
        return "done"

    return operation


@pytest.mark.parametrize("error", PASSING, ids=str)
def test_what_passes_is_tried_again_and_counted(waits: list[float], error: Exception) -> None:
    before = retry_counts().get("probe", 0)
    assert RetryPolicy().run("probe", "s3://b/f", failing(error, error)) == "done"
    assert len(waits) == 2
    assert retry_counts()["probe"] == before + 2


@pytest.mark.parametrize("error", PERMANENT, ids=str)
def test_what_stays_is_not_tried_again(waits: list[float], error: Exception) -> None:
    assert is_permanent(error)
    with pytest.raises(StorageError, match="s3://b/f"):
        RetryPolicy().run("probe", "s3://b/f", failing(error))
    assert waits == []


def test_a_missing_file_and_our_own_errors_stay_what_they_are(waits: list[float]) -> None:
    for error in (FileNotFoundError("f"), StorageError("replaced")):
        with pytest.raises(type(error)) as caught:
            RetryPolicy().run("probe", "s3://b/f", failing(error))
        assert caught.value is error
    assert waits == []


def test_waits_double_to_a_limit_with_jitter(waits: list[float]) -> None:
    RetryPolicy(attempts=9, max_wait_s=3.0).run("probe", "s3://b/f", failing(*[OSError("503")] * 8))
    limits = [0.2, 0.4, 0.8, 1.6, 3.0, 3.0, 3.0, 3.0]
    assert all(limit / 2 <= wait <= limit for wait, limit in zip(waits, limits, strict=True)), waits
    assert len({round(wait / limit, 6) for wait, limit in zip(waits, limits, strict=True)}) > 4


def test_attempts_and_time_are_bounded(waits: list[float]) -> None:
    with pytest.raises(StorageError, match=r"the storage's read failed 3 times in \d"):
        RetryPolicy(attempts=3).run("read", "s3://b/f", failing(*[OSError("503")] * 9))
    waits.clear()
    with pytest.raises(StorageError, match="the storage's read failed"):
        RetryPolicy(attempts=1000, total_s=30.0).run("read", "s3://b/f", failing(*[OSError("503")] * 999))
    assert 20.0 < sum(waits) <= 30.0


def test_the_environment_changes_the_policy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MMDIST_STORAGE_ATTEMPTS", "3")
    monkeypatch.setenv("MMDIST_STORAGE_TOTAL_S", "7.5")
    monkeypatch.setenv("MMDIST_STORAGE_REQUEST_TIMEOUT_S", "2")
    policy = RetryPolicy.from_environment()
    assert (policy.attempts, policy.total_s, policy.request_timeout_s) == (3, 7.5, 2.0)
    for text in ("0", "many", "inf", "nan"):
        monkeypatch.setenv("MMDIST_STORAGE_ATTEMPTS", text)
        with pytest.raises(UsageError, match=f"MMDIST_STORAGE_ATTEMPTS(.|\n)*{text}"):
            RetryPolicy.from_environment()
