import fsspec
import pytest

from mmdist.errors import StorageError
from mmdist.storage import commit_folder, open_store, read_committed, store


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "_SETTLE_S", 0.01)


def test_a_store_lies_on_any_filesystem_of_fsspec() -> None:
    runs = open_store("memory://runs/deep")
    runs.write_bytes("a/b", b"one")
    assert fsspec.filesystem("memory").cat("/runs/deep/a/b") == b"one"
    assert runs.read_bytes("a/b") == b"one"
    with runs.open_file("a/b") as file:
        file.seek(1)
        assert file.read() == b"ne"
    assert [(entry.path, entry.size_bytes, entry.is_folder) for entry in runs.list()] == [("a", 0, True)]
    assert [entry.path for entry in runs.child("a").list()] == ["b"]
    with runs.open_output("c/d") as stream:
        stream.write(b"two")
    commit_folder(runs, "folder", {"file": b"data"})
    assert read_committed(runs, "folder") == {"file": b"data"}
    assert runs.write_if_absent("claim", b"1")
    assert not runs.write_if_absent("claim", b"2")
    runs.delete_file("c/d")
    runs.delete_empty_folder("c")
    assert not runs.exists("c/d")
    with pytest.raises(FileNotFoundError):
        runs.read_bytes("c/d")


def test_a_filesystem_that_is_not_installed_is_named_with_its_remedy() -> None:
    with pytest.raises(StorageError, match=r"filesystem for oss:// is not installed(.|\n)*to do: .*ossfs"):
        open_store("oss://bucket/path")


def test_a_filesystem_that_nobody_knows_is_refused() -> None:
    with pytest.raises(StorageError, match=r"no filesystem is known for nothing://(.|\n)*s3://BUCKET/PATH"):
        open_store("nothing://host/path")


def test_a_bucket_of_google_is_opened_with_or_without_credentials() -> None:
    assert open_store("gs://bucket/runs").root == "bucket/runs"
    assert open_store("gs://anonymous@bucket/runs").child("r1").root == "bucket/runs/r1"
