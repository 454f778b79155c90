"""Stores on a real S3 server behind a proxy that fails: every operation, each fault, and what is not tried again."""

import os
import threading
from dataclasses import replace

import pytest
from faulty_proxy import FaultyProxy, Request
from s3_server import ACCESS_KEY, BUCKET, POOR_KEY, POOR_SECRET

from mmdist.errors import StorageError
from mmdist.storage import (
    EventWriter,
    Store,
    claim_attempt,
    commit_folder,
    is_committed,
    open_store,
    read_committed,
    read_events,
    retry_counts,
)

FAULTS = ("503", "reset", "truncated", "short", "stall")
DATA = os.urandom(100_000)


@pytest.fixture
def store(proxy: FaultyProxy, request: pytest.FixtureRequest) -> Store:
    return open_store(f"s3://{BUCKET}/{request.node.name}")


def first(count: int, fault: str, method: str = "") -> "object":
    """Breaks the first answers, of one method where one is named."""
    left = [count]

    def choose(request: Request) -> str | None:
        if left[0] and request.method == (method or request.method):
            left[0] -= 1
            return fault
        return None

    return choose


def test_files_are_written_read_listed_and_deleted_without_folder_markers(store: Store, proxy: FaultyProxy) -> None:
    store.make_folder("a")
    store.write_bytes("a/b.bin", DATA)
    store.write_bytes("a/empty", b"")
    assert [request.method for request in proxy.requests] == ["PUT", "PUT"]
    assert store.read_bytes("a/b.bin") == DATA
    assert store.read_bytes("a/empty") == b""
    with store.open_file("a/b.bin") as file:
        assert file.size() == len(DATA)
        file.seek(99_990)
        assert file.read(100) == DATA[99_990:]
    assert [(entry.path, entry.size_bytes) for entry in store.list("a")] == [("a/b.bin", len(DATA)), ("a/empty", 0)]
    assert [entry.path for entry in store.child("a").list()] == ["b.bin", "empty"]
    assert store.exists("a")
    for name in ("a/b.bin", "a/empty", "a/empty"):
        store.delete_file(name)
    store.delete_empty_folder("a")
    assert not store.exists("a")
    assert store.list("a") == []
    with pytest.raises(FileNotFoundError):
        store.read_bytes("a/b.bin")
    with pytest.raises(FileNotFoundError):
        store.open_file("a/b.bin")


def test_large_files_go_and_come_in_parts(store: Store, proxy: FaultyProxy) -> None:
    data = os.urandom(1 << 20) * 20
    store.write_bytes("large", data)
    with store.open_output("streamed") as stream:
        for start in range(0, len(data), 1 << 20):
            stream.write(data[start : start + (1 << 20)])
    proxy.set(first(2, "truncated", "GET"))
    assert store.read_bytes("large") == data
    assert proxy.broken == 2
    assert sum(request.method == "GET" for request in proxy.requests) == 5
    assert store.read_bytes("streamed") == data


def test_a_list_has_all_pages(store: Store) -> None:
    names = [f"{number:04d}" for number in range(1003)]
    threads = [
        threading.Thread(target=lambda part: [store.write_bytes(f"many/{n}", b"") for n in part], args=(names[k::8],))
        for k in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [entry.path for entry in store.list("many")] == [f"many/{name}" for name in names]


@pytest.mark.parametrize("fault", FAULTS)
def test_every_operation_outlives_faults_in_a_row(store: Store, proxy: FaultyProxy, fault: str) -> None:
    store.write_bytes("folder/file", DATA)
    without_body = fault in ("truncated", "short")
    count = 1 if fault == "stall" else 2
    before = sum(retry_counts().values())
    proxy.set(first(count, fault, "GET" if without_body else ""))
    assert store.read_bytes("folder/file") == DATA
    assert proxy.broken == count
    proxy.set(first(count, fault, "GET" if without_body else ""))
    assert [entry.path for entry in store.list("folder")] == ["folder/file"]
    assert proxy.broken == count
    if not without_body:
        proxy.set(first(count, fault))
        store.write_bytes("folder/file", DATA[::-1])
        assert proxy.broken == count
        assert store.read_bytes("folder/file") == DATA[::-1]
        proxy.set(first(1, fault))
        assert store.exists("folder/file")
        store.delete_file("folder/file")
        assert not store.exists("folder/file")
    assert sum(retry_counts().values()) - before >= 2


@pytest.mark.parametrize("fault", FAULTS)
def test_with_retries_turned_off_the_same_faults_fail(
    proxy: FaultyProxy, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    open_store(f"s3://{BUCKET}/off").write_bytes("file", DATA)
    monkeypatch.setenv("MMDIST_STORAGE_ATTEMPTS", "1")
    proxy.set(first(2, fault, "GET"))  # An HTTP library itself asks again on a connection that it had kept open.
    with pytest.raises(StorageError, match="the storage's read failed"):
        open_store(f"s3://{BUCKET}/off").read_bytes("file")


def test_a_storage_that_never_answers_is_given_up_in_bounded_time(
    proxy: FaultyProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MMDIST_STORAGE_ATTEMPTS", "3")
    proxy.set(lambda request: "503")
    with pytest.raises(StorageError, match=r"the storage's look-up failed 3 times in .*s\n") as caught:
        open_store(f"s3://{BUCKET}/gone").exists("file")
    assert "HTTP status 503" in str(caught.value)
    assert len(proxy.requests) == 3
    monkeypatch.setenv("MMDIST_STORAGE_ATTEMPTS", "100")
    monkeypatch.setenv("MMDIST_STORAGE_TOTAL_S", "0.5")
    with pytest.raises(StorageError, match="the storage's look-up failed"):
        open_store(f"s3://{BUCKET}/gone").exists("file")


@pytest.mark.parametrize(
    ("change", "message", "what"),
    [
        ({"AWS_ACCESS_KEY_ID": POOR_KEY, "AWS_SECRET_ACCESS_KEY": POOR_SECRET}, "denies access", "read"),
        ({"AWS_ACCESS_KEY_ID": POOR_KEY, "AWS_SECRET_ACCESS_KEY": POOR_SECRET}, "denies access", "write"),
        ({"AWS_ACCESS_KEY_ID": POOR_KEY, "AWS_SECRET_ACCESS_KEY": POOR_SECRET}, "denies access", "claim"),
        ({"AWS_SECRET_ACCESS_KEY": "wrong"}, "secret key does not fit", "list"),
        ({"AWS_SECRET_ACCESS_KEY": "wrong"}, "secret key does not fit", "claim"),
        ({"AWS_ACCESS_KEY_ID": "unknown"}, "access key is unknown", "write"),
        ({}, "no such bucket", "write-elsewhere"),
        ({}, "no such bucket", "claim-elsewhere"),
    ],
)
def test_what_will_not_change_is_named_and_not_tried_again(
    proxy: FaultyProxy, monkeypatch: pytest.MonkeyPatch, change: dict[str, str], message: str, what: str
) -> None:
    open_store(f"s3://{BUCKET}/permanent").write_bytes("file", b"data")
    for name, value in change.items():
        monkeypatch.setenv(name, value)
    bucket = "no-such-bucket" if "elsewhere" in what else BUCKET
    store = open_store(f"s3://{bucket}/permanent")
    operation = {
        "read": lambda: store.read_bytes("file"),
        "write": lambda: store.write_bytes("other", b""),
        "claim": lambda: store.write_if_absent("other", b""),
        "list": lambda: store.list(),
    }[what.partition("-")[0]]
    proxy.set(None)
    before = retry_counts()
    with pytest.raises(StorageError, match=message):
        operation()
    assert retry_counts() == before
    assert len(proxy.requests) == 1


def test_of_many_writers_of_an_absent_file_one_wins(store: Store) -> None:
    results: list[bool] = []
    start = threading.Barrier(8)

    def write(number: int) -> None:
        start.wait()
        results.append(store.write_if_absent("claim", f"writer {number}".encode()))

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == [False] * 7 + [True]
    assert not store.write_if_absent("claim", b"late")


def test_a_writer_whose_answer_was_lost_knows_that_it_won(store: Store, proxy: FaultyProxy) -> None:
    proxy.set(first(1, "lost", "PUT"))
    assert store.write_if_absent("mine", b"data")
    store.write_bytes("theirs", b"other")
    proxy.set(first(1, "reset", "PUT"))
    assert not store.write_if_absent("theirs", b"data")
    assert store.read_bytes("theirs") == b"other"


def test_where_keys_come_from_elsewhere_a_store_looks_writes_and_looks_again(store: Store) -> None:
    store = Store(store.root, store.url, replace(store._remote, conditional_put=None))
    assert store.write_if_absent("claim", b"one")
    assert not store.write_if_absent("claim", b"two")
    assert store.read_bytes("claim") == b"one"


def test_commits_and_events_outlive_faults(store: Store, proxy: FaultyProxy) -> None:
    proxy.set(lambda request: "503" if request.number % 3 == 0 else "reset" if request.number % 7 == 0 else None)
    commit_folder(store, "checkpoint", {"weights": DATA, "state.json": b"{}"})
    assert is_committed(store, "checkpoint")
    assert read_committed(store, "checkpoint") == {"weights": DATA, "state.json": b"{}"}
    writer = claim_attempt(store, {"host": "a"})
    assert (writer.attempt, claim_attempt(store, {"host": "b"}).attempt) == (1, 2)
    writer.write("finished", state="succeeded")
    EventWriter(store, 2, "worker-0.0").write("devices", count=1)
    found = [(event.attempt, event.kind) for event in read_events(store)]
    assert found == [(1, "attempt-started"), (1, "finished"), (2, "attempt-started"), (2, "devices")]
    assert proxy.broken > 10


def test_a_file_that_is_replaced_while_it_is_read_is_refused(store: Store, proxy: FaultyProxy) -> None:
    store.write_bytes("file", DATA)
    with store.open_file("file") as file:
        file.read(10)
        store.write_bytes("file", DATA[::-1])
        proxy.set(first(1, "503", "GET"))
        with pytest.raises(StorageError, match="replaced while it was read"):
            file.read(10)


def test_a_small_file_may_be_replaced_between_the_attempts_to_read_it(
    store: Store, proxy: FaultyProxy, s3_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.write_bytes("note", b"a long note")
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{s3_port}")
    direct = open_store(store.url)

    def replace_once(request: Request) -> str | None:
        if proxy.broken or request.method != "GET":
            return None
        direct.write_bytes("note", b"short")
        return "503"

    proxy.set(replace_once)
    assert store.read_bytes("note") == b"short"
    assert proxy.broken == 1


def test_secrets_and_queries_have_no_place_in_a_url() -> None:
    with pytest.raises(StorageError, match="has no secrets") as caught:
        open_store(f"s3://{ACCESS_KEY}:hidden@{BUCKET}/runs")
    assert "hidden" not in str(caught.value)
    with pytest.raises(StorageError, match="has no query"):
        open_store(f"s3://{BUCKET}/runs?region=eu-west-1")
    with pytest.raises(StorageError, match="names no bucket"):
        open_store("s3://")
