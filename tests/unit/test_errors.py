import errno
import pickle

import pytest

from mmdist.errors import DataRefusedError, JobFileError, Place, words_of


def test_an_error_says_where_expected_received_and_remedy():
    error = JobFileError(
        "unknown key `epoch`",
        expected="one of epochs, optimizer",
        received="epoch",
        place=Place(file="train.yaml", line=3, column=5, key="train.epoch"),
        remedy="write `epochs`",
    )
    assert str(error) == (
        "train.yaml:3:5, key train.epoch: unknown key `epoch`\n"
        "  expected: one of epochs, optimizer\n"
        "  received: epoch\n"
        "  to do: write `epochs`"
    )
    assert error.exit_code == 2


def test_an_error_crosses_process_borders_whole():
    error = DataRefusedError("bad", expected="a", received="b", place=Place(row=3), remedy="c")
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is DataRefusedError
    assert str(again) == str(error)
    assert again.exit_code == 3


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "No space left on device"),
        (OSError("a page\n  is damaged"), "a page is damaged"),
        (KeyError("rows"), "KeyError 'rows'"),
        (ValueError(), "ValueError"),
    ],
)
def test_a_librarys_error_is_told_by_its_words(error, words):
    assert words_of(error) == words
