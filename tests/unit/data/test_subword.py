"""Parts of words: what is learned, whatever the order of the texts, and what is read with it."""

import random
import subprocess
import sys

import numpy as np
import pytest

from mmdist.data.tokenizer import SubwordTokenizer, Tokenizer, learn_from_texts, read_tokenizer
from mmdist.spec.text import SubwordTokenizerSpec, TextSpec

TEXTS = ["low low low low low", "lower lower", "newest newest newest newest newest newest", "widest widest widest"]


def learn(texts: list[str], *, tokens: int = 12, vocabulary: int = 100, **options: object) -> Tokenizer:
    spec = TextSpec(tokens=tokens, vocabulary=vocabulary, tokenizer=SubwordTokenizerSpec(**options))
    return learn_from_texts(texts, spec)


def test_the_most_frequent_pairs_of_the_paper_are_merged_first() -> None:
    vocabulary = learn(TEXTS, vocabulary=18).vocabulary
    assert vocabulary[:2] == ["[PAD]", "[UNK]"]
    assert vocabulary[2:13] == [*"deilnorstw", "\u2581"]
    assert set(vocabulary[13:15]) == {"es", "est"}
    assert len(vocabulary) == 18


def test_unseen_words_fall_into_parts_and_seen_ones_are_whole() -> None:
    tokenizer = learn(TEXTS)
    names = tokenizer.vocabulary
    rows = [
        [names[number] for number in row if number] for row in tokenizer.encode(["lowest", "Newest", "", " \t", "x"])
    ]
    assert rows == [["\u2581low", "est"], ["\u2581newest"], [], [], ["\u2581", "[UNK]"]]
    starts = tokenizer.starts_word
    assert starts.tolist() == [name.startswith("\u2581") for name in names]
    assert tokenizer.count(["lowest", ""]).tolist() == [2, 0]
    ids = learn(TEXTS, tokens=1).encode(["lowest"])
    assert (ids.dtype, ids.shape) == (np.int32, (1, 1))


def test_the_same_is_learned_from_any_order_and_in_any_process() -> None:
    rng = random.Random(0)
    words = ["".join(rng.choices("abcdefghij\u00e9\u00f6", k=rng.randint(1, 8))) for _ in range(400)]
    texts = [" ".join(rng.choices(words, k=5)) for _ in range(500)]
    for vocabulary in (8, 60, 500):
        expected = learn(texts, vocabulary=vocabulary)
        assert expected.size <= vocabulary
        rng.shuffle(texts)
        assert learn(texts, vocabulary=vocabulary).to_bytes() == expected.to_bytes()
    code = (
        "import sys; from mmdist.data.tokenizer import learn_from_texts; from mmdist.spec.text import *\n"
        "spec = TextSpec(tokens=12, vocabulary=500, tokenizer=SubwordTokenizerSpec())\n"
        "print(learn_from_texts(sys.argv[1:], spec).sha256)"
    )
    done = subprocess.run([sys.executable, "-c", code, *texts], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == expected.sha256


def test_characters_that_do_not_fit_are_left_out_from_the_rarest() -> None:
    tokenizer = learn(["aaaa bbb cc d e"], vocabulary=6)
    assert tokenizer.vocabulary == ["[PAD]", "[UNK]", "a", "b", "c", "\u2581"]


def test_round_trip_keeps_bytes_hash_and_numbers() -> None:
    tokenizer = learn(TEXTS, lowercase=False, min_count=1)
    again = read_tokenizer(tokenizer.to_bytes())
    assert isinstance(again, SubwordTokenizer)
    assert (again.to_bytes(), again.sha256, again.tokens) == (tokenizer.to_bytes(), tokenizer.sha256, 12)
    assert again.encode(["Lowest \u0149"]).tolist() == tokenizer.encode(["Lowest \u0149"]).tolist()


@pytest.mark.parametrize("text", ["\ufb01ne", "FINE", "\uff46\uff49\uff4e\uff45"])
def test_unicode_is_normalised_as_for_words(text: str) -> None:
    tokenizer = learn(["fine fine"])
    assert tokenizer.encode([text]).tolist() == tokenizer.encode(["fine"]).tolist()
