"""Turns a URL into a filesystem and what else a store needs to use it well: retries, conditional writes."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

import pyarrow as pa
from pyarrow import fs

from mmdist.errors import Place, StorageError
from mmdist.storage.conditional_put import ConditionalPut, find_credentials
from mmdist.storage.ranges import Identity
from mmdist.storage.retry import RetryPolicy, storage_error

__all__ = ["Backend", "open_backend"]

_SDK_ATTEMPTS = 5
_OBJECT_STORES = (fs.S3FileSystem, fs.GcsFileSystem)
_ENVIRONMENT = ("AWS_", "MMDIST_STORAGE_", "GOOGLE_", "STORAGE_EMULATOR_HOST")


@dataclass(frozen=True, eq=False)
class Backend:
    """A filesystem and how it is used."""

    filesystem: fs.FileSystem
    """For operations that the policy repeats: it tries once."""
    writer: fs.FileSystem
    """For files that are written piece by piece, which only it can send again."""
    policy: RetryPolicy
    conditional_put: ConditionalPut | None = None

    @property
    def is_object_store(self) -> bool:
        """Whether folders are no more than the beginnings of names."""
        return isinstance(self.filesystem, _OBJECT_STORES)

    def open_native(self, full: str) -> tuple[pa.NativeFile, Identity]:
        """A file and what it is."""
        native = self.filesystem.open_input_file(full)
        facts: Mapping[Any, bytes] = native.metadata() or {}
        tag = facts.get("ETag")
        if tag is None:
            tag = str(self.filesystem.get_file_info(full).mtime_ns or "").encode()
        return native, Identity(native.size(), tag.decode(errors="replace"))


def open_backend(url: str) -> tuple[Backend, str]:
    """The backend of a remote URL, and the path of the URL's folder in it. One backend serves a whole process.

    Raises:
        StorageError: where the URL is of no known kind, or its filesystem cannot be opened.
    """
    parts = urlsplit(url)
    if "?" in url or "#" in url:
        raise StorageError(
            "a storage URL has no query",
            expected="a folder's URL alone",
            received=url,
            remedy="set AWS_ENDPOINT_URL and the like in the environment (docs/how-to/storage.md)",
        )
    host = parts.netloc.rpartition("@")[2]
    if parts.password is not None or (parts.scheme == "s3" and host != parts.netloc):
        raise StorageError(
            "a storage URL has no secrets: it is shown, logged and kept with the run",
            received=f"{parts.scheme}://***@{host}{parts.path}",
            remedy="set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or what the storage uses, in the environment",
        )
    if not host and parts.scheme in ("s3", "gs", "gcs"):
        raise StorageError(f"{url} names no bucket", expected=f"{parts.scheme}://BUCKET/PATH", received=url)
    environment = tuple(sorted((k, v) for k, v in os.environ.items() if k.startswith(_ENVIRONMENT)))
    try:
        backend = _open(parts.scheme, parts.netloc, environment)
    except StorageError as error:
        raise type(error)(
            error.message, expected=error.expected, received=error.received, place=Place(url), remedy=error.remedy
        ) from error
    root = f"{host}{parts.path}" if backend.is_object_store else _foreign_root(backend.filesystem, url)
    return backend, root


@lru_cache(maxsize=32)
def _open(scheme: str, netloc: str, environment: tuple[tuple[str, str], ...]) -> Backend:
    policy = RetryPolicy.from_environment()
    if scheme == "s3":
        return _open_s3(netloc, dict(environment), policy)
    if scheme in ("gs", "gcs"):
        filesystem, _ = fs.FileSystem.from_uri(f"gs://{netloc}/?retry_limit_seconds={policy.request_timeout_s}")
        return Backend(filesystem, filesystem, policy)
    url = f"{scheme}://{netloc}/"
    try:
        filesystem, _ = fs.FileSystem.from_uri(url)
    except (ValueError, OSError, pa.ArrowException) as error:
        if "nrecognized filesystem type" not in str(error):
            raise storage_error(error, url, what=f"cannot open {url}") from error
        filesystem = fs.PyFileSystem(fs.FSSpecHandler(_open_fsspec(url)))  # type: ignore[abstract]
    return Backend(filesystem, filesystem, policy)


def _open_s3(bucket: str, environment: Mapping[str, str], policy: RetryPolicy) -> Backend:
    endpoint = environment.get("AWS_ENDPOINT_URL_S3") or environment.get("AWS_ENDPOINT_URL")
    region = environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION")
    if not region and endpoint:
        region = "us-east-1"
    if not region:
        region = policy.run("look-up", f"s3://{bucket}", lambda: fs.resolve_s3_region(bucket))
    parts = urlsplit(endpoint or f"https://s3.{region}.amazonaws.com")
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise StorageError("AWS_ENDPOINT_URL is no URL", expected="https://HOST:PORT", received=endpoint)

    options: dict[str, Any] = {
        "region": region,
        "scheme": parts.scheme,
        "endpoint_override": f"{parts.netloc}{parts.path}".rstrip("/") if endpoint else None,
        "request_timeout": policy.request_timeout_s,
        "connect_timeout": policy.request_timeout_s,
        # A small file is one request rather than three.
        "allow_delayed_open": True,
    }

    def connect(attempts: int) -> fs.S3FileSystem:
        return fs.S3FileSystem(**options, retry_strategy=fs.AwsStandardS3RetryStrategy(max_attempts=attempts))

    credentials = find_credentials(environment)
    put = ConditionalPut(parts.geturl(), region, credentials, policy) if credentials is not None else None
    return Backend(connect(1), connect(min(_SDK_ATTEMPTS, policy.attempts)), policy, put)


def _open_fsspec(url: str) -> object:
    scheme = urlsplit(url).scheme
    try:
        import fsspec
        from fsspec.registry import known_implementations
    except ImportError:
        fsspec, known_implementations = None, {}
    known: Callable[[str], bool] = known_implementations.__contains__
    if fsspec is None or not known(scheme):
        raise StorageError(
            f"no filesystem is known for {scheme}://",
            expected="a local folder, s3://BUCKET/PATH, gs://BUCKET/PATH or a URL that pyarrow.fs or fsspec reads",
            received=url,
            remedy="check the URL's beginning, or install the fsspec filesystem that it belongs to",
        )
    try:
        return fsspec.core.url_to_fs(url)[0]
    except ImportError as error:
        raise StorageError(
            f"the filesystem for {scheme}:// is not installed",
            received=str(error),
            remedy=str(known_implementations[scheme].get("err") or "install it on every machine of the cluster"),
        ) from error
    except Exception as error:
        raise storage_error(error, url, what=f"cannot open {url}") from error


def _foreign_root(filesystem: fs.FileSystem, url: str) -> str:
    if isinstance(filesystem, fs.PyFileSystem):
        return str(filesystem.handler.fs._strip_protocol(url))  # type: ignore[attr-defined]
    return str(fs.FileSystem.from_uri(url)[1])
