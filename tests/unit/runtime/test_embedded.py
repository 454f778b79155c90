"""What is set before Ray is imported."""

import subprocess
import sys

import pytest

LEFT_OVER = """
import sys
from mmdist.runtime import embedded
if sys.argv[1] == "unguarded":
    del embedded.QUIET["RAY_ENABLE_AUTO_CONNECT"]
embedded.quiet_environment()
import ray
ray.init = lambda: print("started a Ray")
try:
    ray.put(1)
except Exception as error:
    print(type(error).__name__)
"""


@pytest.mark.parametrize(
    ("how", "said"), [("guarded", "RaySystemError\n"), ("unguarded", "started a Ray\nRaySystemError\n")]
)
def test_a_call_that_outlives_its_ray_starts_no_other(how, said, monkeypatch):
    """As a thread of Ray Data's may make. With its control."""
    monkeypatch.delenv("RAY_ENABLE_AUTO_CONNECT")
    done = subprocess.run([sys.executable, "-c", LEFT_OVER, how], capture_output=True, text=True, timeout=120)
    assert done.stdout == said, done.stderr
