import errno
import os

import pytest

from mmdist.storage import local, open_store


@pytest.fixture
def synced(monkeypatch):
    """Paths that were synced, as a process that knows of no folder yet."""
    found = []
    real = local.sync
    monkeypatch.setattr(local, "_durable", set())
    monkeypatch.setattr(local, "sync", lambda path: (found.append(path), real(path)))
    return found


def test_a_folder_that_a_killed_process_made_is_synced_once(tmp_path, synced):
    folder = tmp_path / "a" / "b"
    folder.mkdir(parents=True)
    local.write_durably(str(folder / "one"), [b"1"], os.O_TRUNC)
    assert {str(tmp_path), str(tmp_path / "a"), str(folder)} <= set(synced)
    synced.clear()
    local.write_durably(str(folder / "two"), [b"2"], os.O_TRUNC)
    assert synced == [str(folder)]


def test_a_folder_that_was_made_again_is_synced_again(tmp_path, synced):
    folder = tmp_path / "a"
    local.make_folder_durably(str(folder))
    local.remove_folder_durably(str(folder))
    (tmp_path / "takes the inode").mkdir()
    folder.mkdir()
    synced.clear()
    local.make_folder_durably(str(folder))
    assert synced == [str(tmp_path)]


@pytest.mark.parametrize("number", [errno.EACCES, errno.EINVAL, errno.EROFS])
def test_folders_above_that_refuse_to_be_synced_are_let_be_and_new_ones_are_not(tmp_path, monkeypatch, number):
    monkeypatch.setattr(local, "_durable", set())

    def refuse(path):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(local, "sync", refuse)
    local.make_folder_durably(str(tmp_path))
    with pytest.raises(OSError, match=os.strerror(number)):
        local.make_folder_durably(str(tmp_path / "new"))


def test_an_exclusive_write_that_fails_leaves_nothing_that_counts(tmp_path, monkeypatch):
    store = open_store(str(tmp_path))

    def full(descriptor, data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(Exception, match="No space left"):
        store.write_if_absent("lease", b"mine")
    monkeypatch.undo()
    assert not store.exists("lease")
    assert store.write_if_absent("lease", b"mine")


def test_deletions_are_synced(tmp_path, synced):
    store = open_store(str(tmp_path))
    store.write_bytes("a/b", b"")
    synced.clear()
    store.delete_file("a/b")
    store.delete_file("a/b")
    assert synced == [str(tmp_path / "a")]
    store.delete_empty_folder("a")
    assert synced == [str(tmp_path / "a"), str(tmp_path)]


def test_a_large_file_is_synced_while_it_is_written(tmp_path, monkeypatch):
    """Else a slow disk is waited for all at once, and cannot be told from one that has stopped."""
    monkeypatch.setattr(local, "_MOST_UNSYNCED_BYTES", 10)
    done = []
    real = os.fsync
    monkeypatch.setattr(os, "fsync", lambda descriptor: (done.append("sync"), real(descriptor)))

    def pieces():
        for number in range(5):
            done.append(number)
            yield b"1234"

    local.write_durably(str(tmp_path / "file"), pieces(), os.O_TRUNC)
    assert done[done.index(0) :][:7] == [0, 1, 2, "sync", 3, 4, "sync"]
    assert (tmp_path / "file").read_bytes() == b"1234" * 5
