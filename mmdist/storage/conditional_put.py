"""Writes an S3 object only where there is none: `PUT` with `If-None-Match: *`, which pyarrow does not offer.

Ref: https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html, and Signature Version 4.
"""

import configparser
import hashlib
import hmac
import os
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mmdist.errors import StorageError
from mmdist.storage.retry import RetryPolicy

__all__ = ["ConditionalPut", "Credentials", "UnsupportedError", "find_credentials", "sign"]

_WRITER = "x-amz-meta-mmdist-writer"


class UnsupportedError(StorageError):
    """The storage does not honour the condition."""


@dataclass(frozen=True)
class Credentials:
    """An access key, its secret, and the token of a session."""

    access_key: str
    secret_key: str
    session_token: str | None = None


def find_credentials(environment: Mapping[str, str] = os.environ) -> Credentials | None:
    """From the AWS variables, or the profile of the shared credentials file. None where those have none."""
    if environment.get("AWS_ACCESS_KEY_ID") and environment.get("AWS_SECRET_ACCESS_KEY"):
        return Credentials(
            environment["AWS_ACCESS_KEY_ID"],
            environment["AWS_SECRET_ACCESS_KEY"],
            environment.get("AWS_SESSION_TOKEN") or None,
        )
    path = Path(environment.get("AWS_SHARED_CREDENTIALS_FILE") or "~/.aws/credentials").expanduser()
    profiles = configparser.RawConfigParser()
    try:
        profiles.read(path)
        profile = profiles[environment.get("AWS_PROFILE") or "default"]
        return Credentials(
            profile["aws_access_key_id"], profile["aws_secret_access_key"], profile.get("aws_session_token")
        )
    except (KeyError, configparser.Error, UnicodeDecodeError):
        return None


class ConditionalPut:
    """Conditional writes at one S3 endpoint.

    Args:
        endpoint: Its URL, such as `https://s3.eu-west-1.amazonaws.com`; buckets are named in the path.
        region: Of the bucket.
        credentials: To sign with.
        policy: How a request is tried again, and when it has stalled.
    """

    def __init__(self, endpoint: str, region: str, credentials: Credentials, policy: RetryPolicy) -> None:
        self._endpoint = endpoint.rstrip("/")
        self._region = region
        self._credentials = credentials
        self._policy = policy
        self._is_honoured = False

    def put(self, path: str, data: bytes, where: str) -> bool:
        """Writes an object unless there is one. True where this call wrote it, also where its answer was lost.

        Args:
            path: BUCKET/KEY.
            data: The content.
            where: Names the object in errors.

        Raises:
            UnsupportedError: when the storage does not know the condition, or overwrites nevertheless.
            StorageError: when storage refuses or fails.
        """
        writer = uuid.uuid4().hex
        if not self._put(path, data, writer, where):
            return False
        # A storage that ignores the condition would take the second write too. Asked once, it is believed.
        if not self._is_honoured:
            status, _ = self._policy.run("write", where, lambda: self._request("PUT", path, data, writer))
            if status != 412:
                raise UnsupportedError(f"a second write was answered {status}")
            self._is_honoured = True
        return True

    def _put(self, path: str, data: bytes, writer: str, where: str) -> bool:
        sent = 0

        def attempt() -> bool:
            nonlocal sent
            sent += 1
            status, _ = self._request("PUT", path, data, writer)
            if status != 412:
                return True
            # After a lost answer, the object that is there may be this call's own.
            return sent > 1 and self._request("HEAD", path, b"", None)[1] == writer

        return self._policy.run("write", where, attempt)

    def _request(self, method: str, path: str, data: bytes, writer: str | None) -> tuple[int, str | None]:
        """Status (2xx or 412), and who wrote the object that is there. Other answers are raised as pyarrow would."""
        headers = {"if-none-match": "*", _WRITER: writer} if writer is not None else {}
        url = f"{self._endpoint}/{urllib.parse.quote(path, safe='/-_.~')}"
        signed = sign(method, url, headers, data, self._region, self._credentials, time.time())
        request = urllib.request.Request(url, data if method == "PUT" else None, signed, method=method)
        try:
            with urllib.request.urlopen(request, timeout=self._policy.request_timeout_s) as answer:
                return int(answer.status), answer.headers.get(_WRITER)
        except urllib.error.HTTPError as error:
            text = error.read(2000).decode(errors="replace")
            if error.code == 412:
                return 412, None
            if error.code in (400, 501) and "NotImplemented" in text:
                raise UnsupportedError(text) from error
            raise OSError(f"HTTP status {error.code} during {method}: {text or error.reason}") from error


def sign(
    method: str,
    url: str,
    headers: Mapping[str, str],
    data: bytes,
    region: str,
    credentials: Credentials,
    now_s: float,
) -> dict[str, str]:
    """The headers of a request to S3, with their AWS Signature Version 4. The URL has no query."""
    parts = urllib.parse.urlsplit(url)
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now_s))
    content = hashlib.sha256(data).hexdigest()
    signed = {**headers, "host": parts.netloc, "x-amz-content-sha256": content, "x-amz-date": stamp}
    if credentials.session_token is not None:
        signed["x-amz-security-token"] = credentials.session_token
    names = ";".join(sorted(signed))
    lines = [method, parts.path, "", *(f"{name}:{signed[name]}" for name in sorted(signed)), "", names, content]
    scope = f"{stamp[:8]}/{region}/s3/aws4_request"
    text = "\n".join(["AWS4-HMAC-SHA256", stamp, scope, hashlib.sha256("\n".join(lines).encode()).hexdigest()])
    key = f"AWS4{credentials.secret_key}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.digest(key, text.encode(), "sha256").hex()
    signed["authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={credentials.access_key}/{scope}, SignedHeaders={names}, Signature={signature}"
    )
    return signed
