import io
import json
import re
import subprocess
import sys
import warnings
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from synthetic_run import GROUPS, ledger_state, write_metrics_file, write_run

from mmdist.errors import StorageError, UsageError
from mmdist.evaluation.history import best_epoch, read_history
from mmdist.evaluation.paths import EVALUATION, MISTAKES, REPORT_HTML, REPORT_JSON
from mmdist.evaluation.record import redact
from mmdist.evaluation.report import render_report
from mmdist.storage import EventWriter, Store, open_store

HOSTILE = (
    "<script>alert(1)</script>",
    "\"quotes\" & 'more' <img src=x onerror=alert(2)>",
    "\u202eesrever",
    "nul\0and\x1b[31m",
    "x" * 5000,
    "😀👩‍👩‍👧",
    "{{ 7 * 7 }} {% raw %}",
    "$\\frac{1}{0}$ #010101 </style><style>",
)
# The elements that a page with no script, no form and no frame is made of.
REFUSED_ELEMENTS = {"script", "iframe", "object", "embed", "form", "link", "base", "foreignobject", "animate", "image"}
VOID = {"meta", "img", "br", "hr"}


class Page(HTMLParser):
    """Reads a page and keeps what the tests ask of it."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: Counter[str] = Counter()
        self.ids: Counter[str] = Counter()
        self.references: list[str] = []
        self.loads: list[str] = []
        self.links: list[str] = []
        self.handlers: list[str] = []
        self.policy = ""
        self.open: list[str] = []
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_startendtag(tag, attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements[tag] += 1
        values = {name: value or "" for name, value in attrs}
        self.ids.update([values["id"]] if "id" in values else [])
        self.handlers += [name for name in values if name.startswith("on")]
        self.loads += [values[name] for name in ("src", "srcset", "data", "poster", "xlink:href") if name in values]
        self.references += re.findall(r"url\(#([^)]+)\)", " ".join(values.values()))
        self.loads += re.findall(r"url\((?!#)[^)]*\)", " ".join(values.values()))
        if "href" in values:
            (self.links if tag == "a" and not values["href"].startswith("#") else self.references).append(
                values["href"].removeprefix("#")
            )
        if values.get("http-equiv", "").lower() == "content-security-policy":
            self.policy = values["content"]

    def handle_endtag(self, tag: str) -> None:
        assert self.open, tag
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def render(run: Store) -> Page:
    render_report(run)
    html = run.read_bytes(REPORT_HTML).decode()
    page = Page(html)
    assert page.open == [], "every element is closed"
    assert "<script" not in html.lower()
    assert not REFUSED_ELEMENTS & page.elements.keys()
    assert page.handlers == []
    assert all(load.startswith("data:image/png;base64,") for load in page.loads)
    assert set(page.references) <= set(page.ids), "every reference within the page has its target"
    assert max(page.ids.values()) == 1, "ids are unique across figures"
    assert "@import" not in html
    drawn = "".join(re.findall("<svg.*?</svg>", html, re.S))
    assert not re.search(r"#0[1-6]0[1-6]0[1-6]\b", drawn), "every colour is one of the page's"
    assert not re.search("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]", html)
    return page


def test_the_page_says_what_the_run_recorded(tmp_path: Path) -> None:
    run = write_run(tmp_path)
    page = render(run)
    report = json.loads(run.read_bytes(REPORT_JSON))
    assert re.fullmatch(
        r"Test accuracy 0\.\d\d \[0\.\d\d, 0\.\d\d\] on 342 rows, 8 classes; "
        r"always answering '\w+' would give 0\.\d\d\.",
        report["verdict"],
    )
    assert report["verdict"] in page.text
    assert all(group in page.text for group in GROUPS)
    for part in ("This model with the text withheld", "Most confident mistakes", "chosen: 5", "2.21.0", "CPU:0"):
        assert part in page.text
    assert "epoch 3: training 0." in page.text
    assert page.elements["img"] == 5
    assert page.elements["svg"] == 3
    assert page.links == ["https://creativecommons.org/licenses/by-sa/4.0/"] * 4
    assert "the picture is truncated" in page.text
    assert page.policy.startswith("default-src 'none'; img-src data:; style-src 'unsafe-inline'")


def test_rendering_again_changes_nothing(tmp_path: Path) -> None:
    run = write_run(tmp_path)
    pages = []
    for _ in range(2):
        render_report(run)
        pages.append((run.read_bytes(REPORT_HTML), run.read_bytes(REPORT_JSON)))
    assert pages[0] == pages[1]


def test_the_page_says_what_to_change_where_input_was_the_bottleneck(tmp_path: Path) -> None:
    run = write_run(tmp_path)
    assert "bottleneck" not in render(run).text
    worker = EventWriter(run, 1, "worker-0.1")
    worker.write("epoch-finished", epoch=1, input_advice="input is the bottleneck: add <b>CPUs</b>")
    assert "In the last epoch, input is the bottleneck: add <b>CPUs</b>." in render(run).text
    assert json.loads(run.read_bytes(REPORT_JSON))["run"]["input_advice"].startswith("input is the bottleneck")


def test_keys_of_the_json_report_stand_in_their_order(tmp_path: Path) -> None:
    run = write_run(tmp_path)
    render_report(run)
    report = json.loads(run.read_bytes(REPORT_JSON))
    assert list(report) == [
        "version", "run_id", "name", "kind", "date", "verdict", "evaluation", "metrics", "history", "datasets",
        "ledger", "run", "job",
    ]  # fmt: skip
    assert list(report["metrics"]) == [
        "task", "main", "rows", "classes", "headline", "baseline", "ablation", "per_class", "confusion", "calibration",
    ]  # fmt: skip
    assert report["version"] == 1


def test_hostile_labels_and_texts_stay_text(tmp_path: Path) -> None:
    run = write_run(tmp_path, labels=HOSTILE, texts=HOSTILE, mistakes=24, strength=1.0, licence=HOSTILE[1])
    page = render(run)
    assert "<script>alert(1)</script>" in page.text
    assert "{{ 7 * 7 }}" in page.text
    assert "nul\ufffdand" in page.text
    assert "x" * 400 not in page.text
    assert page.links == []


def test_a_hostile_licence_is_no_link(tmp_path: Path) -> None:
    assert render(write_run(tmp_path, licence="javascript:alert(1)")).links == []


@pytest.mark.parametrize(
    ("labels", "rows"), [(("cat", "dog"), 40), ([f"class {n}" for n in range(50)], 900)], ids=["2", "50"]
)
def test_few_classes_have_a_matrix(tmp_path: Path, labels: list[str], rows: int) -> None:
    run = write_run(tmp_path, labels=labels, rows=rows)
    page = render(run)
    html = run.read_bytes(REPORT_HTML).decode()
    assert len(re.findall(r'<td class="right[ "]', html)) == len(labels)
    assert ("Top-3 accuracy" in page.text.split("What the metrics mean")[0]) == (len(labels) > 3)


def test_many_classes_have_the_most_confused_pairs(tmp_path: Path) -> None:
    page = render(write_run(tmp_path, labels=[f"class {n}" for n in range(60)], rows=900))
    assert "With 60 classes a matrix cannot be read" in page.text


def test_thousands_of_classes_list_the_weakest(tmp_path: Path) -> None:
    run = write_run(tmp_path, labels=[f"class {n}" for n in range(500)], rows=1500)
    assert "The 200 classes with the lowest F1, of 500" in render(run).text
    assert len(run.read_bytes(REPORT_HTML)) < 1_000_000


def test_a_run_without_curves_shows_none(tmp_path: Path) -> None:
    page = render(write_run(tmp_path, epochs=0))
    assert page.elements["svg"] == 1
    assert "training" not in page.ids
    assert "Content ledger" not in page.text


def test_one_epoch_one_modality_and_every_answer_right(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        # A mark beyond the curve would make the layout collapse, with a warning.
        warnings.simplefilter("error")
        page = render(write_run(tmp_path, epochs=1, modalities=("text",), strength=40.0))
    assert "every row was answered right" in page.text
    assert "withheld" not in page.text
    assert page.elements["img"] == 0


def test_one_row(tmp_path: Path) -> None:
    page = render(write_run(tmp_path, rows=1, labels=("cat", "dog"), strength=-40.0))
    assert "Test accuracy 0.00 [0.00, 0.00] on 1 row, 2 classes" in page.text
    assert "would give 1.00, which is better." in page.text


def test_no_mistakes_were_asked_for(tmp_path: Path) -> None:
    assert "evaluation.mistakes" in render(write_run(tmp_path, mistakes=0)).text


def test_a_model_no_better_than_one_answer_is_called_so(tmp_path: Path) -> None:
    page = render(write_run(tmp_path, rows=30, labels=("cat", "dog"), strength=0.2))
    assert "which this evaluation cannot tell apart." in page.text


def test_before_the_evaluation_the_curves_are_shown(tmp_path: Path) -> None:
    page = render(write_run(tmp_path, evaluated=False))
    assert "Not evaluated yet." in page.text
    assert page.elements["svg"] == 2
    # The best epoch so far by the job's own metric is marked.
    assert "chosen: " in page.text


def test_a_ledger_that_differs_is_not_passed_over(tmp_path: Path) -> None:
    run = write_run(tmp_path)
    run.write_bytes("ledger/epoch-2.json", json.dumps(ledger_state(2, fed=1099)).encode())
    run.write_bytes("ledger/epoch-3.json", json.dumps(ledger_state(3, expected_sums={"id": "2"})).encode())
    run.write_bytes("ledger/epoch-4.json", json.dumps(ledger_state(4, expected_sums={})).encode())
    report = render_report(run)
    states = [epoch["content"] for epoch in report["ledger"]]
    assert states[1:6] == ["proved", "differs", "differs", "counted", "proved"]
    assert "In 2 of 8 epochs the rows are not those of the import." in render(run).text


def test_secrets_in_addresses_are_left_out(tmp_path: Path) -> None:
    run = write_run(tmp_path)
    render_report(run)
    for path in (REPORT_HTML, REPORT_JSON):
        text = run.read_bytes(path).decode()
        assert "hunter2" not in text
        assert "hunter3" not in text
        assert "bucket/runs" in text
    assert redact("s3://b/k?access_key=AK&region=eu") == "s3://b/k?access_key=...&region=eu"


def test_a_repeated_step_counts_as_the_later_attempt_recorded_it(tmp_path: Path) -> None:
    run = open_store(str(tmp_path / "run"))
    row = {"epoch": 0, "name": "val/loss", "time": 0.0}
    write_metrics_file(run, "0001.00-000000", [{**row, "step": 5, "value": 2.0}, {**row, "step": 9, "value": 1.5}])
    write_metrics_file(run, "0002.00-000000", [{**row, "step": 9, "value": 1.0}])
    write_metrics_file(run, "0002.00-000001", [{**row, "step": 10, "value": float("nan"), "name": "train/loss"}])
    run.write_bytes("metrics/0003.00-000000.parquet", b"PAR1 torn")
    history, unreadable = read_history(run)
    assert history == [{"epoch": 1, "val/loss": 1.0, "train/loss": None}]
    assert unreadable == ["metrics/0003.00-000000.parquet"]


def test_the_first_of_equal_epochs_is_the_best() -> None:
    history = [{"epoch": 1, "val/accuracy": 0.5}, {"epoch": 2, "val/accuracy": 0.7}, {"epoch": 3, "val/accuracy": 0.7}]
    assert best_epoch(history, "val/accuracy", "max") == 2
    assert best_epoch(history, "val/accuracy", "min") == 1
    assert best_epoch(history, "val/loss", "min") is None


def test_rendering_imports_neither_tensorflow_nor_ray_nor_scikit_learn() -> None:
    code = "import sys, mmdist.evaluation.report; print(sorted({'tensorflow', 'ray', 'sklearn'} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"


def test_a_run_with_nothing_to_show_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="the run has nothing to report on yet"):
        render_report(open_store(str(tmp_path / "empty")))


def test_an_evaluation_of_another_version_is_refused(tmp_path: Path) -> None:
    run = write_run(tmp_path)
    run.write_bytes(EVALUATION, json.dumps({"version": 2}).encode())
    with pytest.raises(UsageError, match="received: version 2"):
        render_report(run)


def test_lost_or_torn_mistakes_are_named(tmp_path: Path) -> None:
    run = write_run(tmp_path)
    assert pq.read_table(io.BytesIO(run.read_bytes(MISTAKES))).num_rows == 6
    run.write_bytes(MISTAKES, b"PAR1")
    with pytest.raises(StorageError, match="the recorded mistakes cannot be read"):
        render_report(run)
    run.delete_file(MISTAKES)
    with pytest.raises(StorageError, match="the recorded mistakes are missing"):
        render_report(run)
