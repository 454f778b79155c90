"""A disk that fills up in the middle of a job: a named error, and a run that goes on once there is space."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from commands import MMDIST, environment, mmdist, wait_until

from mmdist.data.dataset import open_dataset

JOB = """\
kind: import
name: full
storage: disk/runs
import:
  source: {type: openmoji, size: 32}
  output: disk/data
"""


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small disk of its own; making one takes the right to mount."""
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=300m", "tmpfs", str(disk)]
    if shutil.which("mount") is None or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("no right to mount a small disk here")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


def test_a_full_disk_ends_the_job_by_name_and_what_was_written_stays(disk: Path) -> None:
    folder = disk.parent
    (folder / "job.yaml").write_text(JOB)
    words = [*MMDIST, "submit", "job.yaml", "--run-id", "full"]
    process = subprocess.Popen(
        words, cwd=folder, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    wait_until(lambda: (disk / "data" / "train" / "_mmdist.json").exists(), "the import to begin")
    with (disk / "fill").open("wb") as file:
        left = os.statvfs(disk)
        os.posix_fallocate(file.fileno(), 0, left.f_bavail * left.f_frsize)
    _, err = process.communicate(timeout=300)
    assert process.returncode == 4, err
    assert "No space left on device" in err
    assert "to do: free space" in err
    assert "Traceback" not in err
    assert mmdist("submit", "--resume", "full", "--storage", "disk/runs", cwd=folder).returncode == 4

    (disk / "fill").unlink()
    done = mmdist("submit", "--resume", "full", "--storage", "disk/runs", cwd=folder)
    assert done.returncode == 0, done.stderr
    splits = ("train", "validation", "test")
    assert sum(open_dataset(str(disk / "data" / split)).rows for split in splits) == 1629
