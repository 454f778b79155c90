"""Writes a job as YAML that loads back to the same job, and hashes it."""

import hashlib
from typing import Any

import yaml

from mmdist.spec.job import JobSpec
from mmdist.spec.yaml_source import read_scalar

__all__ = ["dump_job", "job_hash"]


class _Dumper(yaml.SafeDumper):
    """Quotes every text that the loader would read as something else."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    # Only double quotes escape: unescaped, the rarer line breaks of Unicode would be read as a plain one.
    is_safe = text.isprintable() and isinstance(read_scalar(text), str)
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=None if is_safe else '"')


_Dumper.add_representer(str, _represent_text)


def dump_job(job: JobSpec) -> str:
    """The whole job, defaults filled in, as YAML."""
    written = job.model_dump(mode="json", by_alias=True)
    first = {key: written.pop(key) for key in ("kind", "name")}
    values = {**first, **written}
    return yaml.dump(values, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120, default_flow_style=None)


def job_hash(job: JobSpec) -> str:
    """SHA-256 (hex) of the job as `dump_job` writes it: equal jobs, equal hashes."""
    return hashlib.sha256(dump_job(job).encode()).hexdigest()
