"""Recall and ranks against brute force, the judge of a retrieval, and what its page shows."""

import io
import json

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image
from scipy import sparse
from synthetic_run import write_run

from mmdist.data.batches import Batch, LedgerDelta
from mmdist.errors import DataRefusedError, TrainingFailedError
from mmdist.evaluation.judges import make_judge
from mmdist.evaluation.judges.base import JudgedRows
from mmdist.evaluation.paths import EVALUATION, NEIGHBOURS, REPORT_HTML
from mmdist.evaluation.report import render_report
from mmdist.evaluation.retrieval_scores import chance_recall, median_rank_of, nearest, rank_queries
from mmdist.spec.evaluation import EvaluationSpec
from mmdist.spec.task import RetrievalSpec

WIDTH = 3
SPEC = EvaluationSpec(bootstrap_samples=200, mistakes=8)
TEXTS = ("a cat", "a dog", "A  Cat", "a hat", None, "a boat", "a bird", "a tree")
PIXELS = (0, 1, 2, 3, 4, None, 0, 7)
"""Rows 0 and 2 have one text, 0 and 6 one picture; row 4 has no text and row 5 no picture."""


def vectors_of(seed):
    vectors = np.random.default_rng(seed).normal(size=(len(TEXTS), WIDTH)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


ANSWERS = {
    "image_embedding": vectors_of(1),
    "text_embedding": vectors_of(2),
    "image_present": np.array([pixel is not None for pixel in PIXELS], np.float32),
    "text_present": np.array([text is not None for text in TEXTS], np.float32),
}


def rows_of(start, stop):
    count = stop - start
    images = [np.full((4, 4, 3), pixel or 0, np.uint8) for pixel in PIXELS[start:stop]]
    batch = Batch(
        index=0,
        image=np.stack(images),
        image_present=ANSWERS["image_present"][start:stop] > 0,
        text=np.zeros((count, 2), np.int32),
        text_present=ANSWERS["text_present"][start:stop] > 0,
        label=None,
        mask=np.ones(count, np.float32),
        row=np.arange(start, stop),
        ids=[f"row-{number}" for number in range(start, stop)],
        bad=[],
        ledger=LedgerDelta(count, {}),
    )
    return JudgedRows(batch, np.arange(count), list(TEXTS[start:stop]))


def judge_of(spec=SPEC, width=WIDTH):
    judge = make_judge(RetrievalSpec(width=width), (), spec)
    for start, stop in ((0, 3), (3, 8)):  # as batches come
        table = judge.take(rows_of(start, stop), {name: values[start:stop] for name, values in ANSWERS.items()})
        assert table.num_rows == 0
    return judge


def key(value):
    return None if value is None else " ".join(str(value).lower().split())


def brute_force(asked, found, asked_keys, found_keys):
    """The rank of each row that has both, counted out one candidate at a time."""
    pairs = {(one, other) for one, other in zip(asked_keys, found_keys, strict=True) if one and other}
    ranks = {}
    for row, query in enumerate(asked):
        if not asked_keys[row] or not found_keys[row]:
            continue
        candidates = {}
        for other, name in enumerate(found_keys):
            if name is not None and name not in candidates:
                candidates[name] = float(query @ found[other])
        own = max(value for name, value in candidates.items() if (asked_keys[row], name) in pairs)
        wrong = [value for name, value in candidates.items() if (asked_keys[row], name) not in pairs]
        ranks[row] = 1 + sum(value >= own for value in wrong)
    return ranks


def test_ranks_and_recalls_are_those_of_brute_force():
    judge = judge_of()
    images, texts = [key(pixel) for pixel in PIXELS], [key(text) for text in TEXTS]
    vectors = ANSWERS["image_embedding"], ANSWERS["text_embedding"]
    expected = {
        "text_rank": brute_force(*vectors, images, texts),
        "image_rank": brute_force(*reversed(vectors), texts, images),
    }
    rest = judge.rest()
    found = judge.metrics(0)
    assert found["rows"] == 6
    for name, way in (("text_rank", "image_to_text"), ("image_rank", "text_to_image")):
        ranks = {row: rank for row, rank in enumerate(rest.column(name).to_pylist()) if rank is not None}
        assert ranks == expected[name]
        assert len(set(ranks.values())) > 1
        for most in (1, 5, 10):
            share = np.mean([rank <= most for rank in ranks.values()])
            assert found["headline"][f"{way}_recall_at_{most}"]["value"] == pytest.approx(share)
        half = sorted(ranks.values())[(len(ranks) - 1) // 2]
        assert found["headline"][f"{way}_median_rank"]["value"] == half
    recalls = [facts["value"] for name, facts in found["headline"].items() if "_recall_at_" in name]
    assert found["headline"]["mean_recall"]["value"] == pytest.approx(np.mean(recalls))
    assert all(facts["low"] <= facts["value"] <= facts["high"] for facts in found["headline"].values())
    assert [way["candidates"] for way in found["ways"]] == [6, 6], "texts and pictures that differ"


def test_chance_is_what_a_shuffled_order_gives():
    right, candidates = np.array([1, 2, 6]), 6
    rng = np.random.default_rng(0)
    drawn = np.array([rng.permutation(candidates)[:2] for _ in range(20_000)])
    expected = [(drawn < count).any(axis=1).mean() for count in right]
    np.testing.assert_allclose(chance_recall(right, candidates, 2), expected, atol=0.01)
    np.testing.assert_allclose(chance_recall(right, candidates, 10), 1.0)
    baseline = judge_of().metrics(0)["baseline"]
    # Row 0's picture stands beside two texts, and so does row 6's; the four others beside one.
    assert baseline["headline"]["image_to_text_recall_at_1"] == pytest.approx((2 * 2 / 6 + 4 * 1 / 6) / 6)
    assert baseline["value"] == baseline["headline"]["mean_recall"]


def test_a_tie_is_lost_and_many_chunks_are_as_one(monkeypatch):
    same = np.ones((4, 2), np.float32)
    ranked = rank_queries(same, same, sparse.identity(4, format="csr"))
    assert ranked.rank.tolist() == [4, 4, 4, 4]
    rng = np.random.default_rng(0)
    queries, candidates = rng.normal(size=(9, 4)).astype(np.float32), rng.normal(size=(5, 4)).astype(np.float32)
    right = sparse.csr_matrix(np.eye(9, 5) + np.eye(9, 5, -5))
    whole = rank_queries(queries, candidates, right)
    monkeypatch.setattr("mmdist.evaluation.retrieval_scores._CELLS_PER_CHUNK", 10)
    parts = rank_queries(queries, candidates, right)
    np.testing.assert_array_equal(whole.rank, parts.rank)
    np.testing.assert_array_equal(whole.nearest, parts.nearest)
    assert [nearest(query, candidates, 1)[0][0] for query in queries] == whole.nearest.tolist()


def test_the_median_of_ranks_that_are_counted():
    counts = np.array([[1.0, 1, 0], [0, 1, 3], [2, 0, 1]])
    assert median_rank_of(counts, np.array([1, 4, 9])).tolist() == [1, 9, 1]


def test_without_a_pair_or_with_broken_vectors_there_is_no_report():
    judge = make_judge(RetrievalSpec(width=WIDTH), (), SPEC)
    rows = rows_of(4, 6)
    judge.take(rows, {name: values[4:6] for name, values in ANSWERS.items()})
    with pytest.raises(DataRefusedError, match="no row has both a picture and a text"):
        judge.rest()
    broken = {**ANSWERS, "text_embedding": np.full((8, WIDTH), np.nan, np.float32)}
    with pytest.raises(TrainingFailedError, match="6 not finite"):
        judge.take(rows, {name: values[4:6] for name, values in broken.items()})


class Pictures:
    """Pictures of all rows but those that have none."""

    def of(self, rows):
        self.asked = set(rows)
        return {row: png(PIXELS[row]) for row in rows if PIXELS[row] is not None}


def png(shade):
    out = io.BytesIO()
    Image.new("RGB", (4, 4), (shade, shade, shade)).save(out, "PNG")
    return out.getvalue()


def test_the_page_shows_what_is_found(tmp_path):
    judge = judge_of()
    judge._text[1] = "<b>a dog</b>"
    run = write_run(tmp_path)
    record = json.loads(run.read_bytes(EVALUATION))
    run.write_bytes(EVALUATION, json.dumps({**record, "labels": [], "metrics": judge.metrics(0)}).encode())
    judge.write_examples(run, Pictures())
    records = pq.read_table(f"{run.url}/{NEIGHBOURS}").to_pylist()
    assert [record["asked"] for record in records] == ["image"] * 4 + ["text"] * 4
    for record in records:
        right = [place for place, one in enumerate(record["found"], 1) if one["is_right"]]
        assert (right[0] if right else 6) == min(record["rank"], 6)
        cosines = [one["cosine"] for one in record["found"]]
        assert cosines == sorted(cosines, reverse=True)
    render_report(run)
    html = run.read_bytes(REPORT_HTML).decode()
    assert "Test mean recall " in html
    assert "an order by chance would give " in html
    assert html.count('<article class="query">') == 8
    assert html.count('<img src="data:image/png') == 4 + 4 * 5, "each picture that asks, and each that is found"
    assert 'class="hit"' in html
    assert "<b>a dog</b>" not in html
    assert "Most confident mistakes" not in html
