"""Sentences to numbers and back."""

import pickle

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mmdist.data.captions import CaptionEncoder, cut_words, join_words
from mmdist.data.dataset import open_dataset
from mmdist.data.targets import learn_target, make_target
from mmdist.spec.task import CaptioningSpec

ENCODER = CaptionEncoder(("a", "cat", ","), tokens=4, lowercase=True)


def test_a_sentence_ends_unless_it_is_cut() -> None:
    texts = ["A cat", "a, a", "a cat a cat a", "a dog", " ", None]
    numbers, reasons = ENCODER.encode(pa.chunked_array([texts]))
    expected = [[2, 3, 5, 0], [2, 4, 2, 5], [2, 3, 2, 3], [2, 1, 5, 0], [0] * 4, [0] * 4]
    np.testing.assert_array_equal(numbers, expected)
    assert numbers.dtype == np.int32
    assert set(reasons) == {4, 5}
    assert [ENCODER.words_of(row) for row in numbers[:4]] == [
        ["a", "cat"],
        ["a", ",", "a"],
        ["a", "cat", "a", "cat"],
        ["a", "[UNK]"],
    ]
    assert pickle.loads(pickle.dumps(ENCODER)) == ENCODER, "collators cross to other processes"


@pytest.mark.parametrize("text", ["woman: dark skin tone", "man\u2019s (left) shoe-lace, red!", "t-shirt 50% off"])
def test_words_are_joined_as_they_were_written(text: str) -> None:
    [words] = cut_words([text.upper()], lowercase=True)
    assert join_words(words) == text


def test_the_vocabulary_is_learned_from_the_training_split(tmp_path) -> None:
    texts = ["a cat", "A dog", "a cat sat", None, ""]
    pq.write_table(pa.table({"caption": texts}), tmp_path / "part-00000.parquet", row_group_size=2)
    task = CaptioningSpec(vocabulary=4, tokens=5)
    facts = learn_target(task, open_dataset(str(tmp_path)), "caption")
    assert facts.labels == ("a", "cat"), "the two most frequent words, after padding and unknown"
    target = make_target(task, facts.labels)
    assert target.encode(pa.chunked_array([["cat mouse"]]))[0].tolist() == [[3, 1, 4, 0, 0]]
