"""The same job on a Ray head that runs already, behind a token, through its Jobs API."""

import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from commands import JOBS, SHRUNK, Demo, environment, events, mmdist, wait_until

CHANGES = (*SHRUNK, "--set", "name=far", "--set", "train.epochs=1")


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [server.getsockname()[1] for server in sockets]
    for server in sockets:
        server.close()
    return ports


@pytest.fixture(scope="module")
def head() -> Iterator[str]:
    """A head of the tests' own on free ports; ended by its own process ids."""
    folder = tempfile.mkdtemp(prefix="head-", dir="/tmp")
    gcs, dashboard, agent, metrics, runtime = free_ports(5)
    token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    words = ["-m", "ray.scripts.scripts", "start", "--head", "--block", f"--port={gcs}", "--node-ip-address=127.0.0.1"]
    words += ["--include-dashboard=true", "--dashboard-host=127.0.0.1", f"--dashboard-port={dashboard}"]
    words += [f"--dashboard-agent-listen-port={agent}", f"--metrics-export-port={metrics}", f"--temp-dir={folder}"]
    words += [f"--runtime-env-agent-port={runtime}", "--num-cpus=2", "--object-store-memory=200000000"]
    words += ["--disable-usage-stats"]
    env = {**environment(), **token, "PATH": path}
    with Path(folder, "head.log").open("w") as log:
        process = subprocess.Popen([sys.executable, *words], env=env, stdout=log, stderr=log, start_new_session=True)
    url = f"http://127.0.0.1:{dashboard}"
    try:
        with pytest.MonkeyPatch.context() as patch:
            for name, value in token.items():
                patch.setenv(name, value)
            wait_until(lambda: _answers(dashboard) or process.poll() is not None, "the head", 60)
            assert process.poll() is None, Path(folder, "head.log").read_text()
            yield url
    finally:
        below = psutil.Process(process.pid).children(recursive=True)
        process.kill()
        for child in below:
            if child.is_running():
                child.kill()
        psutil.wait_procs(below, timeout=10)
        process.wait()
        shutil.rmtree(folder, ignore_errors=True)


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def test_the_main_job_runs_on_a_cluster(demo: Demo, head: str) -> None:
    run = demo.folder / "runs" / "far"
    words = ["submit", JOBS / "train.yaml", *CHANGES, "--run-id", "far", "--address", head]
    done = mmdist(*words, cwd=demo.folder)
    assert (done.returncode, done.stdout) == (0, "far\n"), done.stderr
    assert f"report: {run}/report/report.html" in done.stderr
    [started] = events(run, "attempt-started")
    assert started["pid"] not in (None, os.getpid())
    again = mmdist(*words, cwd=demo.folder)
    assert again.returncode == 0
    assert len(events(run, "attempt-started")) == 1


def test_what_the_cluster_cannot_hold_is_refused_at_once(demo: Demo, head: str) -> None:
    words = ["--set", "resources.cpus_per_worker=64", "--run-id", "large", "--address", head]
    done = mmdist("submit", JOBS / "train.yaml", *CHANGES, *words, cwd=demo.folder)
    assert done.returncode == 4, done.stderr
    assert "the cluster cannot hold this job" in done.stderr
    assert "1 machines: 2 CPUs, 0 GPUs" in done.stderr


def test_a_cluster_that_does_not_answer_is_named(demo: Demo) -> None:
    [port] = free_ports(1)
    words = ["--run-id", "nowhere", "--address", f"http://127.0.0.1:{port}"]
    done = mmdist("submit", JOBS / "train.yaml", *CHANGES, *words, cwd=demo.folder)
    assert done.returncode == 4
    assert f"no Ray cluster answers at http://127.0.0.1:{port}" in done.stderr
    assert "Traceback" not in done.stderr
