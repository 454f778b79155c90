"""Small pictures and tables that sources are tried on."""

from collections.abc import Callable
from pathlib import Path

import pytest
from importing_helpers import picture


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A folder of 12 pictures under two labels; every third has a text."""
    root = tmp_path / "pictures"
    for number in range(12):
        folder = root / ("cat" if number % 2 else "dog")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number:02d}.png").write_bytes(picture(number))
        if number % 3 == 0:
            (folder / f"{number:02d}.txt").write_text(f" number {number} é\n", encoding="utf-8")
    return root


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, str | bytes], Path]:
    """Writes a file below the test's folder."""

    def write_file(name: str, content: str | bytes) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write_file
