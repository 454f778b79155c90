"""An embedded Ray for one job: on loopback only, behind a token, gone with the process that started it."""

import contextlib
import logging
import os
import re
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import psutil

from mmdist.errors import ResourceError
from mmdist.runtime.processes import is_alive

__all__ = ["connected_ray", "embedded_ray", "quiet_environment"]

OBJECT_STORE_BYTES = 512 * 2**20
LONGEST_ROOT = 10
"""Ray's sockets lie up to 65 characters below its folder, whose own name has up to 32; a socket's path may have 107."""
PREFIX = "mmdist-"

QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    # A thread of Ray Data's that outlives its Ray would start another, and Ray ends the process that loses that one.
    "RAY_ENABLE_AUTO_CONNECT": "0",
    "RAY_TRAIN_V2_ENABLED": "1",
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.25",
    "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0",
    "RAY_TRAIN_METRICS_ENABLED": "0",
    "RAY_TRAIN_ENABLE_PRINT_PATCH": "0",
    "RAY_DATA_DISABLE_PROGRESS_BARS": "1",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "TF_CPP_MIN_LOG_LEVEL": "1",
}


def quiet_environment() -> None:
    """Sets what keeps Ray and TensorFlow quiet and prompt, where the user has not set it otherwise."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)


def embedded_ray() -> AbstractContextManager[str]:
    """Runs Ray inside; the context gives its folder. The environment is set when this returns.

    It must be called before anything imports Ray, which reads the environment then, and be entered by a thread
    that lives as long as Ray shall: the kernel ends Ray's processes with it.

    Raises:
        ResourceError: on entering, when Ray does not start.
    """
    quiet_environment()
    # Without it Ray turns 127.0.0.1 into the machine's address and listens on all interfaces.
    os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
    os.environ["RAY_AUTH_MODE"] = "token"
    os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)
    return _embedded_ray()


@contextmanager
def _embedded_ray() -> Iterator[str]:
    _sweep()
    folder = _new_folder()
    import ray

    try:
        ray.init(
            address="local",
            include_dashboard=False,
            object_store_memory=OBJECT_STORE_BYTES,
            _node_ip_address="127.0.0.1",
            _temp_dir=folder,
            logging_level=logging.WARNING,
        )
    except Exception as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise ResourceError(
            "the embedded Ray did not start",
            received=f"{type(error).__name__}: {error}"[:2000],
            remedy="check free memory and the space in the folder for temporary files; or submit to a running "
            "cluster with --address",
        ) from error
    try:
        yield folder
    finally:
        ray.shutdown()
        shutil.rmtree(folder, ignore_errors=True)


def connected_ray(address: str) -> AbstractContextManager[str]:
    """Attaches to a running cluster at an explicit address; the context gives a folder for temporary files."""
    quiet_environment()
    return _connected_ray(address)


@contextmanager
def _connected_ray(address: str) -> Iterator[str]:
    import ray

    ray.init(address=address, logging_level=logging.WARNING)
    folder = tempfile.mkdtemp(prefix="mmdist-")
    try:
        yield folder
    finally:
        ray.shutdown()
        shutil.rmtree(folder, ignore_errors=True)


def _new_folder() -> str:
    process = psutil.Process()
    root = tempfile.gettempdir()
    if len(root) > LONGEST_ROOT:
        root = "/tmp"
    return tempfile.mkdtemp(prefix=f"{PREFIX}{process.pid}-{int(process.create_time()):x}-", dir=root)


def _sweep() -> None:
    """Deletes the folders of embedded Rays whose process was killed before it could."""
    for folder in (*Path(tempfile.gettempdir()).glob(f"{PREFIX}*"), *Path("/tmp").glob(f"{PREFIX}*")):
        name = re.fullmatch(rf"{PREFIX}(\d+)-([0-9a-f]+)-\w+", folder.name)
        if name is None or is_alive(int(name[1]), int(name[2], 16)):
            continue
        with contextlib.suppress(OSError):
            if folder.stat().st_uid == os.getuid():
                shutil.rmtree(folder, ignore_errors=True)
