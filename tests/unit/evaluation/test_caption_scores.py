"""CIDEr-D against what its authors' program gives, BLEU against sacrebleu, and the judge of captions."""

import json

import numpy as np
import pytest
from sacrebleu.metrics.bleu import BLEU
from synthetic_run import write_run

from mmdist.data.batches import Batch, LedgerDelta
from mmdist.errors import TrainingFailedError
from mmdist.evaluation.caption_scores import bleu_of, bleu_parts, cider_d
from mmdist.evaluation.judges import make_judge
from mmdist.evaluation.judges.base import JudgedRows
from mmdist.evaluation.paths import EVALUATION, REPORT_HTML
from mmdist.evaluation.report import render_report
from mmdist.spec.data import ColumnsSpec
from mmdist.spec.evaluation import EvaluationSpec
from mmdist.spec.task import CaptioningSpec

SAID = ("a red cat on a mat", "a dog", "red red red hat", "", "a small boat on the blue sea", "man with a hat")
REFERENCES = (
    "a red cat sat on a mat",
    "a large brown dog",
    "a red hat",
    "a tree",
    "a small boat on the blue sea",
    "woman with a hat",
)
PUBLISHED_CIDER = (4.930241766350925, 1.3653748850394911, 2.042600178464857, 0.0, 10.0, 4.364455741708768)
"""Of each row, by `pycocoevalcap` 1.2 (CiderScorer, n = 4, sigma = 6)."""


def words(texts):
    return [text.split() for text in texts]


def test_cider_d_is_that_of_its_authors():
    np.testing.assert_allclose(cider_d(words(SAID), words(REFERENCES)), PUBLISHED_CIDER, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_bleu_from_sums_over_rows_is_that_of_the_corpus(order):
    sums = bleu_parts(words(SAID), words(REFERENCES)).sum(axis=0, keepdims=True)
    corpus = BLEU(tokenize="none", smooth_method="none", max_ngram_order=order)
    expected = corpus.corpus_score(list(SAID), [list(REFERENCES)]).score / 100
    assert bleu_of(sums, order)[0] == pytest.approx(expected)
    assert expected > 0


def test_captions_without_an_ngram_in_common_score_nothing():
    sums = bleu_parts([[], ["x"]], [["a"], ["b", "c"]]).sum(axis=0, keepdims=True)
    assert bleu_of(sums, 1)[0] == 0.0
    assert cider_d([[], ["x"]], [["a"], ["b", "c"]]).tolist() == [0.0, 0.0]


VOCABULARY = sorted({word for text in (*SAID, *REFERENCES) for word in text.split()})
TASK = CaptioningSpec(tokens=8)


def rows_of(first, references):
    count = len(references)
    batch = Batch(
        index=0,
        image=np.zeros((count, 2, 2, 3), np.uint8),
        image_present=np.ones(count, np.bool_),
        text=None,
        text_present=np.zeros(count, np.bool_),
        label=np.zeros((count, 8), np.int32),
        mask=np.ones(count, np.float32),
        row=np.arange(first, first + count),
        ids=[f"row-{number}" for number in range(count)],
        bad=[],
        ledger=LedgerDelta(count, {}),
    )
    return JudgedRows(batch, np.arange(count), list(references))


def answers(texts):
    tokens = np.zeros((len(texts), 8), np.int32)
    for row, text in zip(tokens, texts, strict=True):
        numbers = [2 + VOCABULARY.index(word) for word in text.split()] + [2 + len(VOCABULARY)]
        row[: len(numbers)] = numbers
    return {"tokens": tokens, "log_probability": np.full(len(texts), -0.5, np.float32)}


def test_the_judge_of_captions():
    judge = make_judge(TASK, VOCABULARY, EvaluationSpec(bootstrap_samples=200, mistakes=4))
    assert judge.text_column(ColumnsSpec(image="i", label="caption")) == "caption"
    tables = []
    for start in (0, 3):  # as batches come
        rows = rows_of(start, [text.capitalize() for text in REFERENCES[start : start + 3]])
        tables.append(judge.take(rows, answers(SAID[start : start + 3])))
        judge.take_withheld("tabular", rows, answers(["a"] * 3))
    found = judge.metrics(0)
    headline = found["headline"]
    assert headline["cider"]["value"] == pytest.approx(np.mean(PUBLISHED_CIDER)), "the case of letters is one"
    assert list(headline) == ["cider", "bleu_1", "bleu_2", "bleu_3", "bleu_4"]
    assert all(facts["low"] <= facts["value"] <= facts["high"] for facts in headline.values())
    assert headline["cider"]["low"] < headline["cider"]["high"]
    assert found["baseline"]["value"] < headline["cider"]["value"]
    [entry] = found["ablation"]
    assert entry["difference"]["value"] < 0
    assert tables[0].column("predicted").to_pylist() == list(SAID[:3])
    assert tables[1].column("label").to_pylist()[0] == "A tree"
    assert len(judge.mistakes._heap) == 4, "a sample of all rows, right ones among them"


def test_answers_that_are_no_numbers_are_refused():
    judge = make_judge(TASK, VOCABULARY, EvaluationSpec())
    broken = {**answers(SAID[:2]), "log_probability": np.array([0.0, np.nan], np.float32)}
    with pytest.raises(TrainingFailedError, match="1 not finite"):
        judge.take(rows_of(0, REFERENCES[:2]), broken)


def test_the_page_shows_captions_beside_pictures(tmp_path):
    judge = make_judge(TASK, VOCABULARY, EvaluationSpec(bootstrap_samples=200, mistakes=6))
    judge.take(rows_of(0, [f"<b>{text}</b>" for text in REFERENCES]), answers(SAID))
    run = write_run(tmp_path)
    record = json.loads(run.read_bytes(EVALUATION))
    run.write_bytes(EVALUATION, json.dumps({**record, "labels": [], "metrics": judge.metrics(0)}).encode())
    judge.mistakes.write(run)
    render_report(run)
    html = run.read_bytes(REPORT_HTML).decode()
    assert "Test CIDEr-D " in html
    assert "giving each row the caption of another" in html
    assert html.count('<img src="data:image/png') == 6
    assert all(f"<bdi>{text}</bdi>" in html for text in SAID)
    assert "<b>a tree</b>" not in html
    assert "&lt;b&gt;a tree&lt;/b&gt;" in html
    for part in ("Worst answers", "Calibration</h2>", "no text"):
        assert part not in html
