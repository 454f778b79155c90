"""A tokenizer that comes from a file: read once, kept by the run, and not learned anew."""

import numpy as np
import pytest
import tokenizers
from tiny_runs import job_dict, write_data

from mmdist.data.tokenizer import FileTokenizer
from mmdist.errors import DataRefusedError
from mmdist.spec.job import TrainJob
from mmdist.storage import open_store
from mmdist.training.prepare import prepare


def prepared(job, run):
    return prepare(job, run, threads=1, is_chief=True, on_progress=lambda what, rows, total: None)


def test_a_run_keeps_the_published_tokenizer(tmp_path):
    words = ["[PAD]", "[UNK]", "circle", "square", "blue"]
    inner = tokenizers.Tokenizer(
        tokenizers.models.WordPiece({word: number for number, word in enumerate(words)}, unk_token="[UNK]")
    )
    inner.pre_tokenizer = tokenizers.pre_tokenizers.BertPreTokenizer()
    path = tmp_path / "tokenizer.json"
    inner.save(str(path))
    spec = {"tokens": 4, "tokenizer": {"type": "file", "path": str(path)}}
    job = TrainJob.model_validate(job_dict(write_data(tmp_path / "data"), data__text=spec))
    run = open_store(str(tmp_path / "run"))
    first = prepared(job, run)
    assert isinstance(first.tokenizer, FileTokenizer)
    assert (first.facts.text_tokens, first.facts.vocabulary) == (4, 5)
    path.unlink()
    again = prepared(job, run)
    assert again.vocabulary_sha256 == first.vocabulary_sha256
    np.testing.assert_array_equal(again.tokenizer.encode(["blue square red"]), [[4, 3, 1, 0]])
    with pytest.raises(DataRefusedError, match="the tokenizer's file is not there"):
        prepared(job, open_store(str(tmp_path / "other")))
