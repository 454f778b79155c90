"""One S3 server for all tests that ask for it, and a proxy in front of it that is whole unless told otherwise."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from faulty_proxy import FaultyProxy
from pyarrow import fs
from s3_server import ACCESS_KEY, BUCKET, SECRET_KEY, s3_server

sys.path.append(str(Path(__file__).resolve().parents[1] / "unit" / "training"))  # its tiny dataset


@pytest.fixture(scope="session")
def s3_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with s3_server(tmp_path_factory.mktemp("s3")) as port:
        admin = fs.S3FileSystem(
            access_key=ACCESS_KEY,
            secret_key=SECRET_KEY,
            endpoint_override=f"127.0.0.1:{port}",
            scheme="http",
            region="us-east-1",
            allow_bucket_creation=True,
        )
        admin.create_dir(BUCKET)
        yield port


@pytest.fixture(scope="session")
def session_proxy(s3_port: int) -> Iterator[FaultyProxy]:
    proxy = FaultyProxy(s3_port)
    yield proxy
    proxy.close()


@pytest.fixture
def proxy(session_proxy: FaultyProxy, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyProxy]:
    """With the environment set so that s3:// goes through it, patience for one second, and no fault yet."""
    for name, value in {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{session_proxy.port}",
        "AWS_ACCESS_KEY_ID": ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
        "AWS_EC2_METADATA_DISABLED": "true",
        "MMDIST_STORAGE_REQUEST_TIMEOUT_S": "1",
    }.items():
        monkeypatch.setenv(name, value)
    session_proxy.set(None)
    yield session_proxy
    session_proxy.set(None)
