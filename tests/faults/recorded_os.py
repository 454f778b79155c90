"""Stands in for `os` in `mmdist.storage.local`: records each operation, ends the process at one, or lets one fail."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from crash_model import Step

from mmdist.storage import local


class KilledError(BaseException):
    """The process is gone: no handler for errors may see this."""


class RecordedOs:
    """The operations below one folder, in order.

    Args:
        root: The folder. What lies outside passes through.
        kill_at: The operation, counted from 0, in whose middle the process is killed.
        fail_at: The operation that fails, with `error`.
    """

    def __init__(self, root: str, *, kill_at: int = -1, fail_at: int = -1, error: int = errno.EIO) -> None:
        self.root = root.rstrip("/") + "/"
        self.steps: list[Step] = []
        self.operations = 0
        self.kill_at, self.fail_at, self.error = kill_at, fail_at, error
        self.is_dead = False
        self._paths: dict[int, str] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def open(self, path: str, flags: int, mode: int = 0o777) -> int:
        inside = self._inside(path)
        if inside is not None and flags & os.O_CREAT:
            self._begin()
        existed = os.path.exists(path)
        descriptor = os.open(path, flags, mode)
        if inside is not None:
            self._paths[descriptor] = inside
            if not existed:
                self._done("create", inside)
            elif flags & os.O_TRUNC:
                self._done("truncate", inside)
        return descriptor

    def write(self, descriptor: int, data: memoryview) -> int:
        if descriptor not in self._paths:
            return os.write(descriptor, data)
        try:
            self._begin()
        except KilledError:
            # Killed in the middle: half of it is written.
            half = data[: len(data) // 2]
            self._done("write", self._paths[descriptor], bytes(half[: os.write(descriptor, half)]))
            raise
        count = os.write(descriptor, data)
        self._done("write", self._paths[descriptor], bytes(data[:count]))
        return count

    def fsync(self, descriptor: int) -> None:
        if descriptor in self._paths:
            self._begin()
            self._done("sync", self._paths[descriptor])

    def close(self, descriptor: int) -> None:
        self._paths.pop(descriptor, None)
        os.close(descriptor)

    def mkdir(self, path: str) -> None:
        self._change("mkdir", os.mkdir, path)

    def unlink(self, path: str) -> None:
        self._change("unlink", os.unlink, path)

    def rmdir(self, path: str) -> None:
        self._change("rmdir", os.rmdir, path)

    def _change(self, kind: str, function: Any, path: str) -> None:
        inside = self._inside(path)
        if inside is not None:
            self._begin()
        function(path)
        if inside is not None:
            self._done(kind, inside)

    def _inside(self, path: str) -> str | None:
        """The path from the root; the root itself is ``."""
        return f"{path}/".removeprefix(self.root).rstrip("/") if f"{path}/".startswith(self.root) else None

    def _begin(self) -> None:
        number, self.operations = self.operations, self.operations + 1
        if self.is_dead or number == self.kill_at:
            self.is_dead = True
            raise KilledError
        if number == self.fail_at:
            raise OSError(self.error, os.strerror(self.error))

    def _done(self, kind: str, path: str, data: bytes = b"") -> None:
        self.steps.append(Step(kind, path, data))

    @contextmanager
    def installed(self) -> Iterator["RecordedOs"]:
        """For the length of a block, which is a process of its own: it knows of no folder yet."""
        known = set(local._durable)
        local._durable.clear()
        local.os = self  # type: ignore[attr-defined, assignment]
        try:
            yield self
        finally:
            local.os = os  # type: ignore[attr-defined]
            local._durable.clear()
            local._durable.update(known)
