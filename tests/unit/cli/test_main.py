import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

import mmdist
from mmdist.cli import main as cli_main
from mmdist.cli.main import COMMANDS, cli, run
from mmdist.errors import DataRefusedError, MmdistError, StopRequestedError

JOB = "kind: train\nname: demo\ndata: {train: d/train, validation: d/validation}\n"
HEAVY = ("tensorflow", "keras", "ray", "pyarrow", "numpy", "matplotlib")


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> list[BaseException]:
    """A command `schema` that raises what is put into the list."""
    errors: list[BaseException] = []

    @click.command()
    def command() -> None:
        raise errors[0]

    monkeypatch.setattr("mmdist.cli.schema.command", command)
    return errors


def python(code: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(Path(mmdist.__file__).parents[1])}
    return subprocess.run(
        [sys.executable, "-c", code], cwd=cwd, env=environment, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--help"], 0),
        (["--version"], 0),
        (["chek"], 2),
        (["check", "job.yaml", "--set", "train.epoch=3"], 2),
        (["check", "job.yaml", "--set", "seed=x"], 2),
        (["check", "gone.yaml"], 2),
        (["schema"], 0),
    ],
)
def test_answers_that_need_no_heavy_library_load_none(tmp_path: Path, arguments: list[str], code: int) -> None:
    (tmp_path / "job.yaml").write_text(JOB)
    script = (
        "import sys; from mmdist.cli.main import run\n"
        f"code = run({arguments!r})\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules], code, file=sys.stderr)"
    )
    result = python(script, tmp_path)
    assert result.stderr.splitlines()[-1] == f"[] {code}"


def test_help_loads_no_command_and_no_model(tmp_path: Path) -> None:
    script = (
        "import sys; from mmdist.cli.main import run; run(['--help'])\n"
        "print([name for name in sys.modules if name.startswith(('pydantic', 'mmdist.spec', 'mmdist.runtime'))])"
    )
    assert python(script, tmp_path).stdout.splitlines()[-1] == "[]"


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--help"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    for name, text in COMMANDS.items():
        assert re.search(rf"^  {name} +{re.escape(text)}$", out, re.MULTILINE)


def test_python_m(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(mmdist.__file__).parents[1])}
    result = subprocess.run(
        [sys.executable, "-m", "mmdist", "--version"], env=environment, capture_output=True, text=True, check=True
    )
    assert result.stdout == f"mmdist {mmdist.__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["chek"], "error: no command `chek`. Did you mean `check`?\n"),
        (["predict"], "error: no command `predict`. A job of that kind is run by `mmdist submit JOB.yaml`"),
        (["xyzzy"], "error: no command `xyzzy`. There are: submit, check, verify"),
        (["--log-format", "xml"], "error: Invalid value for '--log-format'"),
        (["check"], "error: Missing argument 'JOB.yaml'.\nUsage: mmdist check [OPTIONS] JOB.yaml\n"),
        (["--nothing"], "error: No such option"),
    ],
)
def test_usage_errors(capsys: pytest.CaptureFixture[str], arguments: list[str], message: str) -> None:
    assert run(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(message)


def test_usage_error_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--log-format", "json", "chek"]) == 2
    assert json.loads(capsys.readouterr().err)["message"] == "no command `chek`. Did you mean `check`?"
    assert run(["check", "--log-format", "json"]) == 2
    assert json.loads(capsys.readouterr().err)["message"] == "Missing argument 'JOB.yaml'."


@pytest.mark.parametrize("error", [DataRefusedError("no rows", remedy="look"), StopRequestedError("no rows")])
def test_errors_end_with_their_exit_code(
    capsys: pytest.CaptureFixture[str], failing: list[BaseException], error: MmdistError
) -> None:
    failing.append(error)
    assert run(["schema"]) == error.exit_code
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: no rows\n")
    assert "Traceback" not in err


@pytest.mark.parametrize("error", [KeyboardInterrupt(), click.Abort()])
def test_interrupt(capsys: pytest.CaptureFixture[str], failing: list[BaseException], error: BaseException) -> None:
    failing.append(error)
    assert run(["schema"]) == 130
    assert capsys.readouterr().err.strip() == "stopped"


@pytest.mark.parametrize("error", [ZeroDivisionError("by zero"), MmdistError("by zero"), OSError(5, "by zero")])
def test_bug(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    failing: list[BaseException],
    error: Exception,
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    failing.append(error)
    assert run(["schema"]) == 1
    err = capsys.readouterr().err
    assert err.startswith(f"error: this is a bug in mmdist: {type(error).__name__}: ")
    assert "Traceback" not in err
    (kept,) = tmp_path.glob("mmdist-bug-*.txt")
    assert str(kept) in err
    assert "Traceback" in kept.read_text()
    assert "by zero" in kept.read_text()
    for words in (["--debug", "schema"], ["schema", "--debug"]):
        assert run(words) == 1
        assert "Traceback" in capsys.readouterr().err


def test_bug_where_nothing_can_be_written(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, failing: list[BaseException]
) -> None:
    monkeypatch.setattr("tempfile.tempdir", "/gone/for/good")
    failing.append(ZeroDivisionError("x"))
    assert run(["--log-format", "json", "schema"]) == 1
    assert json.loads(capsys.readouterr().err)["traceback"].startswith("no file (")


def test_reader_that_leaves_early_is_no_error(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(mmdist.__file__).parents[1])}
    command = f"{sys.executable} -m mmdist schema; echo $? >&2"
    writer = subprocess.Popen(
        ["sh", "-c", command], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert writer.stdout is not None
    assert writer.stderr is not None
    writer.stdout.close()
    assert writer.stderr.read() == "0\n"
    writer.wait(timeout=60)


@pytest.mark.parametrize("no_color", ["", "1"])
def test_colours_on_a_terminal_only(tmp_path: Path, no_color: str) -> None:
    environment = {
        **os.environ,
        "PYTHONPATH": str(Path(mmdist.__file__).parents[1]),
        "NO_COLOR": no_color,
        "TERM": "xterm",
    }
    leader, follower = pty.openpty()
    subprocess.run(
        [sys.executable, "-m", "mmdist", "check", "gone.yaml"],
        cwd=tmp_path,
        env=environment,
        stderr=follower,
        check=False,
    )
    os.close(follower)
    shown = os.read(leader, 4096).decode()
    os.close(leader)
    assert ("\x1b[" in shown) == (not no_color)
    assert "there is no such job file" in shown


def test_completion_of_command_names() -> None:
    environment = {"_MMDIST_COMPLETE": "bash_complete", "COMP_WORDS": "mmdist s", "COMP_CWORD": "1"}
    result = CliRunner().invoke(cli, prog_name="mmdist", env=environment)
    assert result.stdout.split() == [f"plain,{name}" for name in ("submit", "status", "stop", "schema")]


def test_every_command_has_a_line_of_help() -> None:
    assert set(cli_main.COMMANDS) == {
        "submit", "check", "verify", "lr", "runs", "status", "logs", "stop", "report", "data", "schema",
    }  # fmt: skip


@pytest.mark.parametrize("group", [[], ["data"]])
def test_no_line_of_help_is_cut_off(capsys: pytest.CaptureFixture[str], group: list[str]) -> None:
    assert run([*group, "--help"]) == 0
    commands = capsys.readouterr().out.partition("Commands:")[2]
    assert commands.strip()
    assert "..." not in commands
