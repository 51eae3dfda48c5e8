"""What a person asks of a job: one value, and the two ways of writing it down."""

from dure.services.requests.job_yaml import parse_job_yaml
from dure.services.requests.model import JobRequest, Note, checked, parse_job_json
from dure.services.requests.sbatch import parse_sbatch

__all__ = ["JobRequest", "Note", "checked", "parse_job", "parse_job_json", "parse_job_yaml"]
__all__ += ["parse_sbatch"]


def parse_job(text: str, where: str) -> JobRequest:
    """Read a job in either form: a batch script begins with ``#!``, YAML cannot say anything so.

    Raises:
        InputError: by file, line and field.
    """
    return parse_sbatch(text, where) if text.startswith("#!") else parse_job_yaml(text, where)
