"""A cluster's Jobs API that loses replies: a Ray job is made once under a name, whoever was answered."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from mmdist.errors import ResourceError
from mmdist.runtime.address import ClusterJob

JOB = {"type": "SUBMISSION", "status": "RUNNING", "entrypoint": "python", "job_id": None}


class Jobs(ThreadingHTTPServer):
    """As much of Ray's Jobs API as a submission needs. Losing: the work is done, and the connection ends."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.jobs = {}
        self.lose = set()
        self.refuse = False
        self.lock = threading.Lock()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        name = self.path.rpartition("/")[2]
        if self.path == "/api/version":
            version = {"version": "4", "ray_version": "2.60.0", "ray_commit": "", "session_name": "s"}
            self.answer(200, version)
        elif name in self.server.jobs:
            self.answer(200, {**JOB, "submission_id": name, "entrypoint": self.server.jobs[name]})
        else:
            self.answer(404, None)

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        name = body["submission_id"]
        with self.server.lock:
            if self.server.refuse or name in self.server.jobs:
                return self.answer(500, f"{name} already exists")
            self.server.jobs[name] = body["entrypoint"]
        if name in self.server.lose:
            return self.connection.close()
        return self.answer(200, {"job_id": name, "submission_id": name})

    def answer(self, status, record):
        data = json.dumps(record).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *words):
        pass


@pytest.fixture
def jobs():
    with Jobs() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def submit(jobs, name="run"):
    return ClusterJob(jobs.url, name).submit("file:///runs/run", "abc", ["resources.workers=2"], after=3)


def test_a_submission_starts_the_driver_once_and_a_second_one_adopts_it(jobs):
    assert submit(jobs)
    assert not submit(jobs)
    words = "python -m mmdist.runtime.driver file:///runs/run --job-sha256 abc --after 3 --set resources.workers=2"
    assert jobs.jobs == {"run": words}


def test_a_submission_whose_reply_was_lost_finds_its_job(jobs):
    jobs.lose.add("run")
    assert not submit(jobs)
    assert list(jobs.jobs) == ["run"]


def test_of_many_submissions_at_once_one_makes_the_job(jobs):
    made = []
    threads = [threading.Thread(target=lambda: made.append(submit(jobs))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(made) == [False] * 7 + [True]
    assert list(jobs.jobs) == ["run"]


def test_a_job_that_is_refused_and_not_there_is_an_error(jobs):
    jobs.refuse = True
    with pytest.raises(ResourceError, match="refused the job") as caught:
        submit(jobs)
    assert "already exists" in caught.value.received
