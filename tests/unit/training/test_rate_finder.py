"""The rate that a curve suggests; and a sweep over a tiny job, in a process of its own."""

import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from tiny_runs import job_dict, write_data

from mmdist.cli.main import run
from mmdist.errors import TrainingFailedError
from mmdist.runtime.finding_rates import draw, page
from mmdist.training.rate_finder import Sweep, judge, rate_of

STEPS = 100
RATES = [rate_of(step, first=1e-6, last=1.0, steps=STEPS) for step in range(STEPS)]


def curve(fall_at: float, rise_at: float, noise: float = 0.0) -> list[float]:
    """Falls around one rate and rises from another on, in powers of ten."""
    rng = np.random.default_rng(0)
    powers = np.log10(RATES)
    falling = 2.0 - 1.5 / (1 + np.exp(-4 * (powers - fall_at)))
    return (falling + np.exp(3 * (powers - rise_at)) + rng.normal(scale=noise, size=STEPS)).tolist()


def test_rates_rise_by_equal_factors() -> None:
    assert (RATES[0], RATES[-1]) == (1e-6, pytest.approx(1.0))
    factors = np.array(RATES[1:]) / np.array(RATES[:-1])
    assert np.allclose(factors, factors[0])


@pytest.mark.parametrize("noise", [0.0, 0.05])
@pytest.mark.parametrize("fall_at", [-4.0, -3.0, -2.5])
def test_the_rate_at_which_the_loss_falls_fastest_is_suggested(fall_at: float, noise: float) -> None:
    found = judge(RATES, curve(fall_at, -0.5, noise), diverged=False)
    # A running mean lags: half a power of ten to the right, at 100 steps over six powers.
    assert fall_at - 0.3 < math.log10(found.suggested) < fall_at + 0.8
    assert found.suggested <= 0.1 * found.lowest < 0.05


def test_no_more_than_a_tenth_of_the_rate_with_the_lowest_loss_is_suggested() -> None:
    found = judge(RATES, curve(-1.5, -0.9), diverged=False)
    assert 0.05 * found.lowest < found.suggested <= 0.1 * found.lowest


def test_a_hard_first_batch_suggests_nothing() -> None:
    losses = curve(-3.0, -0.5)
    assert judge(RATES, [losses[0] + 1.0, *losses[1:]], diverged=False).suggested > RATES[5]


@pytest.mark.parametrize("losses", [[], [2.0] * 4, [2.0] * STEPS, np.linspace(2, 5, STEPS).tolist()])
def test_a_loss_that_never_falls_suggests_nothing(losses: list[float]) -> None:
    with pytest.raises(TrainingFailedError, match="the loss did not fall at any learning rate"):
        judge(RATES[: len(losses)], losses, diverged=False)


def test_the_page_and_the_picture(tmp_path: Path) -> None:
    found: Sweep = judge(RATES, curve(-3, -0.5), diverged=True)
    text = page(found).splitlines()
    assert len(text) == 1 + 24 + 3
    assert text[-2] == f"suggested: --set train.optimizer.learning_rate={found.suggested:.1e}"
    assert text[-1].endswith("; at 1.0e+00 it diverged")
    assert max(line.count("#") for line in text) == 40
    draw(found, str(tmp_path / "rates.svg"))
    assert "suggested" in (tmp_path / "rates.svg").read_text()


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--from", "1", "--to", "0.1"], 2, "--from must be below --to; received 1 and 0.1"),
        (["--steps", "3"], 2, "3 is not in the range"),
        (["--set", "train.epoch=1"], 2, "unknown key `epoch`"),
        ([], 3, "the folder of `data.train` is not there"),
    ],
)
def test_what_cannot_be_swept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], code: int, message: str
) -> None:
    job = job_dict({name: str(tmp_path / name) for name in ("train", "validation", "test")})
    (tmp_path / "job.yaml").write_text(yaml.safe_dump(job))
    assert run(["lr", str(tmp_path / "job.yaml"), "--set", f"storage={tmp_path}/runs", *words]) == code
    assert message in capsys.readouterr().err


def test_a_job_of_another_kind_has_no_rate(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "job.yaml").write_text("kind: predict\nname: p\nmodel: m@latest\ndata: {input: x}\n")
    assert run(["lr", str(tmp_path / "job.yaml")]) == 2
    assert "there is no learning rate to find" in capsys.readouterr().err


def test_a_sweep_over_a_tiny_job_leaves_its_runs_alone(tmp_path: Path) -> None:
    changes = {
        "train__optimizer": {"type": "adam", "schedule": {"type": "cosine"}},
        "data__columns": {"image": "image", "label": "label"},
        "resources__replicas_per_worker": 1,
        "storage": str(tmp_path / "runs"),
    }
    (tmp_path / "job.yaml").write_text(yaml.safe_dump(job_dict(write_data(tmp_path / "data"), **changes)))
    words = [sys.executable, "-m", "mmdist", "lr", str(tmp_path / "job.yaml"), "--json", "--steps", "30"]
    words += ["--from", "1e-4", "--to", "10", "--svg", str(tmp_path / "rates.svg"), "--set", "train.averages={}"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert 1e-4 < found["suggested"] <= found["lowest"] < 10
    assert len(found["rates"]) == len(found["losses"]) == len(found["smoothed"]) <= 30
    assert found["rates"][:2] == pytest.approx([1e-4, 1e-4 * 1e5 ** (1 / 29)])
    assert not (tmp_path / "runs").exists()
    assert (tmp_path / "rates.svg").exists()
