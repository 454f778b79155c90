import subprocess
import sys
import threading

from mmdist.runtime.logs import log_texts, tail_logs
from mmdist.storage import open_store


def run_python(program: str, *arguments: str) -> str:
    """A process of its own: pytest has descriptors 1 and 2 of this one."""
    return subprocess.run(
        [sys.executable, "-c", program, *arguments], check=True, stdout=subprocess.PIPE, text=True, timeout=60
    ).stdout


def test_output_of_every_kind_goes_to_the_log_and_comes_back_after(tmp_path):
    program = (
        "import os, sys\n"
        "from mmdist.runtime.logs import captured_output\n"
        "from mmdist.storage import open_store\n"
        "with captured_output(open_store(sys.argv[1]), 1, 'driver') as (out, _):\n"
        "    print('from python')\n"
        "    os.system('echo from a child; echo and its errors >&2')\n"
        "    os.write(out, b'still the terminal\\n')\n"
        "print('after')\n"
    )
    assert run_python(program, str(tmp_path)) == "still the terminal\nafter\n"
    [(writer, text)] = log_texts(open_store(str(tmp_path)), {})
    assert writer == "0001-driver"
    assert sorted(text.splitlines()) == ["and its errors", "from a child", "from python"]


def test_on_an_object_store_the_log_comes_in_pieces(tmp_path):
    program = (
        "import sys, time\n"
        "from mmdist.runtime import logs\n"
        "from mmdist.storage import open_store\n"
        "logs.SHIP_EVERY_S = 0.05\n"
        "run = open_store(sys.argv[1]); run.make_folder('logs'); run.is_local = False\n"
        "with logs.captured_output(run, 2, 'worker-0.0'):\n"
        "    print('one', flush=True); time.sleep(0.3); print('two', flush=True)\n"
    )
    run_python(program, str(tmp_path))
    run = open_store(str(tmp_path))
    assert [entry.path for entry in run.list("logs")] == [
        "logs/0002-worker-0.0-000000.log",
        "logs/0002-worker-0.0-000001.log",
    ]
    assert [text for _, text in log_texts(run, {})] == ["one\n", "two\n"]


def test_a_line_that_is_being_written_waits(tmp_path):
    run = open_store(str(tmp_path))
    run.write_bytes("logs/0001-driver-000000.log", b"whole\nhal")
    offsets = {}
    assert [text for _, text in log_texts(run, offsets)] == ["whole\n"]
    run.write_bytes("logs/0001-driver-000000.log", b"whole\nhalf\n")
    assert [text for _, text in log_texts(run, offsets)] == ["half\n"]


def test_following_ends_with_the_run_and_loses_nothing(tmp_path):
    run = open_store(str(tmp_path))
    run.write_bytes("logs/0001-driver-000000.log", b"first\n")
    is_over = threading.Event()
    texts = tail_logs(run, is_over, every_s=0.01)
    assert next(texts) == ("0001-driver", "first\n")
    run.write_bytes("logs/0001-driver-000000.log", b"first\nlast\n")
    is_over.set()
    assert [text for _, text in texts] == ["last\n"]


def test_words_that_a_full_disk_does_not_take_end_nothing(tmp_path):
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "0001-driver-000000.log").symlink_to("/dev/full")
    program = (
        "import sys, traceback\n"
        "from mmdist.runtime.logs import captured_output\n"
        "from mmdist.storage import open_store\n"
        "with captured_output(open_store(sys.argv[1]), 1, 'driver') as (out, _):\n"
        "    print('lost' * 10_000, flush=True)\n"
        "    try:\n"
        "        raise ValueError('lost too')\n"
        "    except ValueError:\n"
        "        traceback.print_exc()\n"
        "    print('and this', end='')\n"
        "print('after')\n"
    )
    assert run_python(program, str(tmp_path)) == "after\n"
