import json
import random
import time

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mmdist.data.tokenizer import NgramsTokenizer, Tokenizer, learn_from_texts, read_tokenizer
from mmdist.errors import DataRefusedError
from mmdist.spec.text import NgramsTokenizerSpec, TextSpec


def learn(
    texts: list[str],
    *,
    tokens: int = 12,
    vocabulary: int = 100,
    lengths: tuple[int, int] = (3, 4),
    min_count: int = 2,
    lowercase: bool = True,
) -> Tokenizer:
    kind = NgramsTokenizerSpec(lengths=lengths, min_count=min_count, lowercase=lowercase)
    return learn_from_texts(texts, TextSpec(tokens=tokens, vocabulary=vocabulary, tokenizer=kind))


def named(tokenizer: Tokenizer, text: str) -> list[str]:
    return [tokenizer.vocabulary[number] for number in tokenizer.encode([text])[0] if number]


def test_words_and_ngrams_by_count_then_words_first_then_the_alphabet() -> None:
    tokenizer = learn(["cat", "cat", "car"])
    assert tokenizer.vocabulary == ["[PAD]", "[UNK]", "<ca", "<cat>", "<cat", "at>", "cat", "cat>", "<car>"]
    assert tokenizer.size == 9
    assert learn(["cat", "cat", "car"], vocabulary=5).vocabulary == tokenizer.vocabulary[:5]


def test_a_word_is_followed_by_its_ngrams_and_an_unknown_word_by_what_it_shares() -> None:
    tokenizer = learn(["cats cats"], lengths=(3, 3))
    assert named(tokenizer, "Cats") == ["<cats>", "<ca", "cat", "ats", "ts>"]
    assert named(tokenizer, "catalogue") == ["<ca", "cat"]
    assert named(tokenizer, "dog cat") == ["[UNK]", "<ca", "cat"]
    assert named(tokenizer, "") == named(tokenizer, " \t") == []


def test_the_word_and_the_ngram_of_one_spelling_are_two_tokens() -> None:
    tokenizer = learn(["ab ab"], lengths=(2, 2))
    assert tokenizer.vocabulary == ["[PAD]", "[UNK]", "<ab>", "<a", "ab", "b>"]
    assert named(learn(["ab ab"], lengths=(4, 4)), "ab") == ["<ab>"]


def test_a_long_text_is_cut_and_texts_keep_their_rows() -> None:
    tokenizer = learn(["red red green green"], tokens=5, lengths=(3, 3))
    together = tokenizer.encode(["red green", "", "grün red", "green"])
    apart = [tokenizer.encode([text])[0].tolist() for text in ("red green", "", "grün red", "green")]
    assert together.dtype == np.int32
    assert together.tolist() == apart
    assert np.count_nonzero(together, axis=1).tolist() == [5, 0, 5, 5]
    assert tokenizer.count(["red", "", "green red"]).tolist() == [4, 0, 5]


def test_the_order_of_the_texts_does_not_matter() -> None:
    texts = [f"word{number % 90}ing" for number in range(270)]
    shuffled = list(texts)
    random.Random(1).shuffle(shuffled)
    first = learn(texts, vocabulary=60)
    assert learn(shuffled, vocabulary=60).to_bytes() == first.to_bytes()
    again = read_tokenizer(first.to_bytes())
    assert (again.to_bytes(), again.sha256, again.tokens, again.size) == (first.to_bytes(), first.sha256, 12, 60)
    assert again.encode(texts).tolist() == first.encode(texts).tolist()


def test_case_and_unicode() -> None:
    kept = learn(["Word Word"], lowercase=False)
    assert "<Word>" in kept.vocabulary
    assert "<Wo" in kept.vocabulary
    tokenizer = learn(["café café fine fine"])
    for text, same_as in (("cafe\u0301", "café"), ("ﬁne", "fine"), ("FINE", "fine")):
        assert tokenizer.encode([text]).tolist() == tokenizer.encode([same_as]).tolist()
        assert "[UNK]" not in named(tokenizer, text)


def test_an_endless_text_or_word_is_cut_in_time() -> None:
    tokenizer = learn(["abc abc"], tokens=4, lengths=(3, 5))
    start = time.process_time()
    texts = ["b " * 5_000_000, "abc" * 3_000_000, "ü" * 5_000_000, "\U0001d4b3" * 2_000_000]
    ids = tokenizer.encode(texts)
    learn(texts)
    assert time.process_time() - start < 2.0
    assert ids[0].tolist() == [1, 1, 1, 1]
    assert named(tokenizer, texts[1])[:2] == ["<ab", "abc"]


def _damaged(**changes: object) -> bytes:
    return json.dumps(json.loads(learn(["cat cat"]).to_bytes()) | changes).encode()


@pytest.mark.parametrize(
    "data",
    [
        b'{"type": "ngrams"}',
        _damaged(words={"cat": 1}),
        _damaged(words={"cat": 3}),
        _damaged(words=["cat"]),
        _damaged(lengths=[3]),
        _damaged(tokens="many"),
    ],
)
def test_damaged_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(DataRefusedError, match="the tokenizer of the model cannot be read"):
        read_tokenizer(data)


PIECES = st.sampled_from(
    ["red", "Green", "<", ">", " ", "\n", "ü", "שלום", "e\u0301", "😀", "\x1c", "[PAD]", "_9", "-", "東京"]
)
TEXTS = st.lists(st.lists(PIECES, max_size=8).map("".join) | st.text(max_size=12), max_size=8)
KNOWN = learn(["red green Green", "red <> grün 😀 [PAD]", "שלום שלום 東京 東京"], tokens=9, lengths=(1, 3))


@given(texts=TEXTS)
@example(texts=[])
@example(texts=["", "red", "", "ü", "x" * 50])
def test_every_text_is_its_words_in_order_with_nothing_between(texts: list[str]) -> None:
    ids = KNOWN.encode(texts)
    assert ids.shape == (len(texts), 9)
    for row, text in zip(ids, texts, strict=True):
        assert row.tolist() == _slowly(text)
        assert np.all(np.diff((row != 0).astype(int)) <= 0), "padding is on the right"


def _slowly(text: str) -> list[int]:
    assert isinstance(KNOWN, NgramsTokenizer)
    numbers: list[int] = []
    inner = KNOWN._cutter._inner
    for word, _ in inner.pre_tokenizer.pre_tokenize_str(inner.normalizer.normalize_str(text)):
        spelt = f"<{word}>"
        parts = [spelt[start : start + size] for size in (1, 2, 3) for start in range(len(spelt) - size + 1)]
        tokens = [KNOWN._words.get(word), *(KNOWN._ngrams.get(part) for part in parts if part != spelt)]
        numbers += [number for number in tokens if number is not None] or [1]
    return [*numbers, *[0] * 9][:9]
