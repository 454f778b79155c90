"""Without any one of the guards in mutations.py, the test that it names fails."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from mutations import MUTATIONS


@pytest.mark.timeout(280)
def test_without_a_guard_its_named_test_fails(repository: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("mutations.py"))],
        cwd=repository,
        env={**os.environ, "PYTHONPATH": str(repository)},
        capture_output=True,
        text=True,
        timeout=270,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    whole, *removed = (json.loads(line) for line in done.stdout.splitlines())
    assert whole["exit_code"] == 0, "the named tests pass as the code is"
    assert [entry["guard"] for entry in removed] == [mutation.guard for mutation in MUTATIONS]
    assert [entry for entry in removed if entry["exit_code"] != 1] == []
