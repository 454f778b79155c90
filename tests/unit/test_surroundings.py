"""README, constraints and CI say the same thing."""

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]


def plain_name(requirement: str) -> str:
    return re.split(r"[\[<>=!~; @]", requirement)[0].lower().replace("_", "-")


def names(requirements: list[str]) -> set[str]:
    return {plain_name(requirement) for requirement in requirements} - {PROJECT["name"]}


def pinned() -> dict[str, str]:
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.+!]+", line) for line in lines), "names and versions only"
    return {plain_name(line): line.partition("==")[2] for line in lines}


@pytest.mark.parametrize("extra", [None, *EXTRAS])
def test_every_dependency_is_pinned(extra: str | None) -> None:
    wanted = names(PROJECT["dependencies"] if extra is None else EXTRAS[extra])
    assert wanted - pinned().keys() == set()


def test_every_dependency_says_why_it_is_there() -> None:
    text = (ROOT / "docs/dependencies.md").read_text().lower()
    wanted = names(PROJECT["dependencies"]).union(*(names(extra) for extra in EXTRAS.values()))
    assert {name for name in wanted if name not in text} == set()


def test_the_readme_has_the_two_commands() -> None:
    lines = (ROOT / "README.md").read_text().splitlines()
    assert lines.count("pip install -c constraints.txt '.[demo]' && mmdist submit jobs/train.yaml") == 1
    assert [line for line in lines if "&& pytest" in line] == [
        "pip install -c constraints.txt '.[test]' && pytest -n 2"
    ]


def test_the_readmes_links_lead_somewhere() -> None:
    for page in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")):
        targets = re.findall(r"\]\(([^)#\s]+)", page.read_text())
        missing = [name for name in targets if "://" not in name and not (page.parent / name).exists()]
        assert missing == [], page.name


def test_scripts_of_ci_are_valid_bash_and_may_be_run() -> None:
    for script in (ROOT / ".ci/run", ROOT / ".ci/refresh-constraints"):
        assert script.stat().st_mode & 0o111
        assert "set -euo pipefail" in script.read_text()
        assert subprocess.run(["bash", "-n", str(script)], check=False, timeout=10).returncode == 0
