import errno
import os

import pytest

from mmdist.errors import StorageError
from mmdist.storage import open_store
from mmdist.storage import store as store_module


def test_a_file_is_written_read_listed_and_deleted(tmp_path):
    store = open_store(str(tmp_path))
    store.write_bytes("a/b.txt", b"one")
    store.write_bytes("a/b.txt", b"2")
    assert store.read_bytes("a/b.txt") == b"2"
    assert [(entry.path, entry.size_bytes, entry.is_folder) for entry in store.list("a")] == [("a/b.txt", 1, False)]
    store.delete_file("a/b.txt")
    store.delete_file("a/b.txt")
    assert not store.exists("a/b.txt")
    assert store.list("nowhere") == []


def test_only_one_writer_wins_an_absent_file(tmp_path):
    store = open_store(str(tmp_path))
    assert store.write_if_absent("claim", b"first")
    assert not store.write_if_absent("claim", b"second")
    assert store.read_bytes("claim") == b"first"


@pytest.mark.parametrize("path", ["../outside", "a/../../outside", "/etc/passwd"])
def test_a_path_may_not_leave_the_root(tmp_path, path):
    with pytest.raises(StorageError, match="may not leave it"):
        open_store(str(tmp_path / "root")).write_bytes(path, b"")
    assert list(tmp_path.iterdir()) == []


def test_a_missing_file_stays_file_not_found(tmp_path):
    with pytest.raises(FileNotFoundError):
        open_store(str(tmp_path)).read_bytes("missing")


def test_a_full_disk_is_named_with_its_remedy(tmp_path, monkeypatch):
    def full(descriptor, data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(store_module.os, "write", full)
    with pytest.raises(StorageError, match="No space left on device") as caught:
        open_store(str(tmp_path)).write_bytes("file", b"data")
    assert caught.value.exit_code == 4
    assert "free space on the disk" in str(caught.value)


def test_an_unknown_scheme_is_refused():
    with pytest.raises(StorageError, match="s3://BUCKET/PATH"):
        open_store("gopher://host/path")


def test_every_new_folder_and_file_is_synced(tmp_path, monkeypatch):
    synced = []
    real = os.fsync
    monkeypatch.setattr(
        store_module.os, "fsync", lambda fd: (synced.append(os.readlink(f"/proc/self/fd/{fd}")), real(fd))
    )
    open_store(str(tmp_path)).write_bytes("new/deep/file", b"data")
    for path in ("", "new", "new/deep", "new/deep/file"):
        assert str(tmp_path / path) in synced, path


def test_an_empty_folder_is_deleted_and_a_full_one_kept(tmp_path):
    store = open_store(str(tmp_path))
    store.write_bytes("full/file", b"")
    store.make_folder("empty")
    for folder in ("full", "empty", "missing"):
        store.delete_empty_folder(folder)
    assert store.exists("full/file")
    assert not store.exists("empty")


def test_a_folder_that_comes_to_be_while_it_is_listed_is_empty(tmp_path):
    class Late:
        def get_file_info(self, selector):
            raise FileNotFoundError(errno.ENOENT, "Cannot list directory", selector.base_dir)

    store = open_store(str(tmp_path))
    store.filesystem = Late()
    assert store.list("events") == []
