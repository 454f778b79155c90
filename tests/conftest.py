"""What every test stands on: a quiet environment of its own, and hypothesis set for CI."""

import os
from pathlib import Path

# What a user's shell may say about clusters: a test that needs it says so itself.
for name in ("RAY_ADDRESS", "RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
    os.environ.pop(name, None)

# Before anything imports TensorFlow or Ray: both read these once.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1" if "MMDIST_TEST_GPU" not in os.environ else "0")
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("RAY_DEDUP_LOGS", "0")
os.environ.setdefault("RAY_ENABLE_AUTO_CONNECT", "0")
os.environ.setdefault("MPLBACKEND", "Agg")

import pytest  # noqa: E402
from hypothesis import settings  # noqa: E402

# These start Ray or other programs that each want the whole machine: one at a time, whatever else runs beside them.
WHOLE_MACHINE = ("tests/e2e/", "tests/integration/")

settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
settings.register_profile("developer", deadline=None)
settings.load_profile("ci" if os.environ.get("CI") else "developer")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """With `pytest -n`, what shares fixtures shares a process: a file, or all that starts Ray."""
    for item in items:
        file = item.nodeid.split("::")[0]
        group = "whole machine" if file.startswith(WHOLE_MACHINE) else file
        item.add_marker(pytest.mark.xdist_group(group))


@pytest.fixture(scope="session")
def repository() -> Path:
    """The clone that the tests run in: jobs/, docs/, cluster.yaml and the like."""
    return Path(__file__).resolve().parents[1]
