"""One demo run for all end-to-end tests: the repository's own job, shrunk, from import to report."""

import pytest
from commands import JOBS, SHRUNK, Demo, mmdist


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    folder = tmp_path_factory.mktemp("demo")
    done = mmdist("submit", JOBS / "train.yaml", *SHRUNK, cwd=folder)
    assert done.returncode == 0, done.stderr
    return Demo(folder, done.stdout.strip(), done)
