"""The main job from nothing to a report, and what can be done with its run afterwards."""

import json

import pyarrow.parquet as pq
from commands import JOBS, SHRUNK, Demo, check_ledger, events, mmdist

ROWS = 1154


def test_one_command_goes_from_nothing_to_a_report(demo: Demo) -> None:
    assert demo.run_id.startswith("openmoji-"), "stdout carries the run's id and nothing else"
    assert f"report: {demo.run}/report/report.html" in demo.done.stderr
    assert (demo.run / "report" / "report.html").stat().st_size > 10_000
    assert (demo.run / "model" / "COMMITTED").exists()
    for epoch in (0, 1):
        check_ledger(demo.run, epoch, ROWS)
    [devices] = events(demo.run, "devices")
    assert devices["replicas"] == 2


def test_libraries_are_quiet_and_their_words_kept(demo: Demo) -> None:
    noisy = [
        line for line in demo.done.stderr.splitlines() if any(word in line for word in ("ray", "oneDNN", "WARNING"))
    ]
    assert noisy == []
    log = (demo.run / "logs" / "0001-worker-0.0-000000.log").read_text()
    assert "MirroredStrategy" in log


def test_a_run_is_found_and_told_of_without_a_cluster(demo: Demo) -> None:
    status = json.loads(mmdist("status", "openmoji@latest", "--json", cwd=demo.folder).stdout)
    assert (status["run"], status["state"], status["metric"]) == (demo.run_id, "succeeded", "accuracy")
    assert 0.0 < status["value"] <= 1.0
    assert demo.run_id in mmdist("runs", cwd=demo.folder).stdout
    text = mmdist("status", demo.run_id[:-2], cwd=demo.folder).stdout
    assert "epoch 2/2" in text
    assert "succeeded" in text
    logs = mmdist("logs", "openmoji@latest", "-f", cwd=demo.folder).stdout
    assert "0001-worker-0.0 | " in logs
    lines = mmdist("logs", demo.run_id, "--events", cwd=demo.folder).stdout.splitlines()
    kinds = [json.loads(line)["event"] for line in lines]
    assert kinds[:2] == ["submitted", "attempt-started"]
    assert kinds[-1] == "finished"


def test_a_report_is_rendered_again(demo: Demo) -> None:
    report = demo.run / "report" / "report.html"
    report.unlink()
    done = mmdist("report", demo.run_id, cwd=demo.folder)
    assert (done.returncode, done.stdout.strip()) == (0, str(report))
    assert report.exists()


def test_the_same_run_id_again_adopts_the_run(demo: Demo) -> None:
    again = mmdist("submit", JOBS / "train.yaml", *SHRUNK, "--run-id", demo.run_id, cwd=demo.folder)
    assert (again.returncode, again.stdout.strip()) == (0, demo.run_id)
    assert len(events(demo.run, "attempt-started")) == 1


def test_the_same_run_id_for_another_job_is_refused(demo: Demo) -> None:
    other = mmdist("submit", JOBS / "train.yaml", "--run-id", demo.run_id, cwd=demo.folder)
    assert other.returncode == 2
    assert "is there already, with another job" in other.stderr


def test_a_finished_run_is_not_resumed_or_stopped(demo: Demo) -> None:
    resumed = mmdist("submit", "--resume", demo.run_id, cwd=demo.folder)
    assert (resumed.returncode, resumed.stdout) == (2, "")
    assert "has finished; there is nothing to resume" in resumed.stderr
    stopped = mmdist("stop", demo.run_id, cwd=demo.folder)
    assert stopped.returncode == 2
    assert "is not running" in stopped.stderr


def test_its_model_is_evaluated_by_a_job(demo: Demo) -> None:
    done = mmdist(
        "submit", JOBS / "evaluate.yaml", "--set", "evaluation.bootstrap_samples=100", "--json", cwd=demo.folder
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    trained = events(demo.run, "epoch-finished")
    assert told["metrics"]["accuracy"] in [epoch["metrics"]["val/accuracy"] for epoch in trained]
    assert told["report"].endswith("report/report.html")


def test_its_model_predicts_a_dataset(demo: Demo) -> None:
    done = mmdist("submit", JOBS / "predict.yaml", "--json", cwd=demo.folder)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert f"output: {told['output']}" in done.stderr
    predictions = pq.read_table(told["output"], columns=["id", "predicted", "error"])
    tested = pq.read_table(demo.folder / "datasets" / "openmoji" / "test", columns=["id"])
    assert sorted(predictions["id"].to_pylist()) == sorted(tested["id"].to_pylist())
    assert predictions["error"].null_count == len(predictions)
