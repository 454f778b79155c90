from collections.abc import Callable
from pathlib import Path

import pytest

from mmdist.errors import JobFileError
from mmdist.spec.load import LoadedJob, load_job


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., LoadedJob]:
    """Loads a text as job.yaml of the current directory, a fresh folder."""
    monkeypatch.chdir(tmp_path)

    def load_text(text: str | bytes, *overrides: str) -> LoadedJob:
        Path("job.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())
        return load_job("job.yaml", overrides)

    return load_text


@pytest.fixture
def refusal(load: Callable[..., LoadedJob]) -> Callable[..., str]:
    """The whole text of the error that a job file gets."""

    def text_of(text: str | bytes, *overrides: str) -> str:
        with pytest.raises(JobFileError) as caught:
            load(text, *overrides)
        return str(caught.value)

    return text_of
