"""Submits a run to a Ray cluster's Jobs API, and asks after it. The cluster runs `mmdist.runtime.driver`."""

import shlex
from collections.abc import Sequence
from typing import Any

from mmdist.errors import MmdistError, ResourceError
from mmdist.runtime.embedded import quiet_environment

__all__ = ["ClusterJob"]

LOG_CHARACTERS = 2000


class ClusterJob:
    """One attempt at a run, as a job of a cluster.

    Args:
        address: The dashboard's URL (`http://HOST:8265`), or `HOST:PORT` of the cluster.
        submission_id: Name of the Ray job. A second submission under it adopts the first.

    Raises:
        ResourceError: when no cluster answers there, or it refuses the token.
    """

    def __init__(self, address: str, submission_id: str) -> None:
        quiet_environment()
        from ray.job_submission import JobSubmissionClient

        self.address = address
        self.submission_id = submission_id
        try:
            self._client: Any = JobSubmissionClient(address)
        except Exception as error:
            raise ResourceError(
                f"no Ray cluster answers at {address}",
                expected="the address of a running cluster's dashboard, such as http://127.0.0.1:8265",
                received=f"{type(error).__name__}: {error}"[:LOG_CHARACTERS],
                remedy="check the address, that the port is forwarded, and with token authentication that "
                "RAY_AUTH_MODE=token and the token are set here too",
            ) from error

    def submit(self, run_url: str, job_sha256: str, overrides: Sequence[str], *, after: int) -> bool:
        """Starts the driver on the cluster. False where a job of this name was there before (it is adopted).

        Raises:
            ResourceError: when the cluster refuses.
        """
        if self._info() is not None:
            return False
        words = ["python", "-m", "mmdist.runtime.driver", run_url, "--job-sha256", job_sha256, "--after", str(after)]
        words += [word for override in overrides for word in ("--set", override)]
        try:
            self._client.submit_job(entrypoint=shlex.join(words), submission_id=self.submission_id)
        except Exception as error:
            # Two submissions at once: the loser is told of a server error, and finds the winner's job.
            if self._info() is not None:
                return False
            raise ResourceError(
                f"the cluster at {self.address} refused the job",
                received=f"{type(error).__name__}: {error}"[:LOG_CHARACTERS],
                remedy="look at the cluster's dashboard",
            ) from error
        return True

    def stop(self) -> None:
        """Ends the job at once."""
        self._client.stop_job(self.submission_id)

    def end(self) -> MmdistError | None:
        """What to say when the job is over without having said so in the run directory; None while it runs."""
        info = self._info()
        if info is not None and not info.status.is_terminal():
            return None
        status = "gone" if info is None else str(info.status)
        return ResourceError(
            "the job's driver ended on the cluster without a word in the run directory",
            expected="mmdist, installed in the cluster's Python, and storage that every machine sees",
            received=f"Ray job {self.submission_id}: {status}\n{self._last_words(info)}",
            remedy="install the same version of mmdist on the cluster; with a local folder as `storage`, choose one "
            "that is shared, or a URL such as s3://BUCKET/runs",
        )

    def _last_words(self, info: Any) -> str:
        try:
            text = str(self._client.get_job_logs(self.submission_id))
        except Exception:
            text = ""
        return (text or str(getattr(info, "message", "")))[-LOG_CHARACTERS:].strip()

    def _info(self) -> Any:
        try:
            return self._client.get_job_info(self.submission_id)
        except RuntimeError as error:
            if "404" in str(error) or "does not exist" in str(error):
                return None
            raise ResourceError(
                f"the cluster at {self.address} does not answer", received=str(error)[:LOG_CHARACTERS]
            ) from error
        except OSError as error:
            raise ResourceError(
                f"the cluster at {self.address} does not answer", received=str(error)[:LOG_CHARACTERS]
            ) from error
