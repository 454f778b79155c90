"""Words that are dropped or masked: which ones follows from seed, epoch and row alone."""

import numpy as np
import pytest

from mmdist.data.augmentation_draws import uniform
from mmdist.data.text_augmentation import TextAugmentation
from mmdist.data.tokenizer import learn_from_texts
from mmdist.spec.augment import WordDropoutSpec, WordMaskingSpec
from mmdist.spec.text import NgramsTokenizerSpec, TextSpec

ROWS, TOKENS, WORDS = 2000, 12, 30
DROP, MASK = WordDropoutSpec(share=0.3), WordMaskingSpec(share=0.2)


def made(*specs, seed=3, starts_word=None):
    starts_word = np.ones(WORDS, np.bool_) if starts_word is None else starts_word
    return TextAugmentation(specs, seed, starts_word)


@pytest.fixture(scope="module")
def texts() -> np.ndarray:
    rng = np.random.default_rng(0)
    texts = rng.integers(2, WORDS, (ROWS, TOKENS)).astype(np.int32)
    return np.where(np.arange(TOKENS) < rng.integers(0, TOKENS + 1, ROWS)[:, None], texts, 0).astype(np.int32)


def test_words_are_taken_out_in_their_share_and_the_gaps_are_closed(texts):
    rows = np.arange(ROWS)
    found = made(DROP)(texts, rows, 1)
    assert (found.dtype, found.shape) == (np.int32, texts.shape)
    before, after = (texts > 0).sum(axis=1), (found > 0).sum(axis=1)
    full = before == TOKENS
    assert after[full].mean() / TOKENS == pytest.approx(0.7, abs=0.04)
    assert np.array_equal(found > 0, np.arange(TOKENS) < after[:, None]), "padding stands on the right alone"
    assert ((after == 0) == (before == 0)).all(), "a text with a word keeps one"
    for text, kept in zip(texts[:200].tolist(), found[:200].tolist(), strict=True):
        rest = iter(text)
        assert all(word in rest for word in kept if word), "the words that stay keep their order"
    assert np.array_equal(made(WordDropoutSpec(share=0.0))(texts, rows, 1), texts)


def test_all_words_dropped_leave_one(texts):
    found = made(WordDropoutSpec(share=1.0))(texts, np.arange(ROWS), 0)
    assert ((found > 0).sum(axis=1) == np.minimum((texts > 0).sum(axis=1), 1)).all()


def test_masked_words_are_shown_as_unknown(texts):
    found = made(MASK)(texts, np.arange(ROWS), 0)
    changed = found != texts
    assert (found[changed] == 1).all()
    assert not (changed & (texts == 0)).any()
    assert changed.sum() / (texts > 0).sum() == pytest.approx(0.2, abs=0.02)


def test_what_is_drawn_for_a_row_depends_on_seed_epoch_and_row_alone(texts):
    rows = np.random.default_rng(1).permutation(10 * ROWS)[:ROWS]
    whole = made(DROP, MASK)(texts, rows, 4)
    order = np.random.default_rng(2).permutation(ROWS)[:50]
    assert np.array_equal(made(DROP, MASK)(texts[order], rows[order], 4), whole[order])
    for other in (made(DROP, MASK, seed=4)(texts, rows, 4), made(DROP, MASK)(texts, rows, 5)):
        assert (other != whole).any(axis=1).mean() > 0.5


def test_the_draws_of_texts_are_not_those_of_pictures():
    rows = np.arange(1000)
    drawn = uniform(3, 1, rows, 4)
    assert abs(np.corrcoef(drawn[:, 0], uniform(3, 1, rows, 4, key=7)[:, 0])[0, 1]) < 0.1
    assert made(DROP)(np.array([[2, 3, 4, 5, 6, 7, 8, 9]], np.int32), np.array([5]), 2).tolist() == PINNED


PINNED = [[2, 3, 4, 5, 6, 8, 9, 0]]
"""A change here would make a resumed run augment otherwise than it began."""


def test_a_word_goes_with_its_ngrams():
    spec = TextSpec(tokens=80, tokenizer=NgramsTokenizerSpec(min_count=1))
    tokenizer = learn_from_texts(["apple banana cherry"], spec)
    text = tokenizer.encode(["banana apple cherry banana"] * 300)
    words = {frozenset(tokenizer.encode([word])[0].tolist()) - {0}: word for word in ("apple", "banana", "cherry")}
    found = made(DROP, starts_word=tokenizer.starts_word)(text, np.arange(300), 0)
    kept = np.zeros(300)
    for row, tokens in enumerate(found.tolist()):
        left = set(tokens) - {0}
        for of_word in words:
            assert of_word <= left or not (of_word & left), "all of a word, or nothing of it"
        kept[row] = len(np.trim_zeros(tokens)) / len(np.trim_zeros(text[row]))
    assert kept.mean() == pytest.approx(0.7, abs=0.05)
    masked = made(WordMaskingSpec(share=1.0), starts_word=tokenizer.starts_word)(text, np.arange(300), 0)
    assert np.array_equal(masked, np.where(text > 0, 1, 0))
