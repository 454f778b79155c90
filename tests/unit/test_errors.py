import pickle

from mmdist.errors import DataRefusedError, JobFileError, Place


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
