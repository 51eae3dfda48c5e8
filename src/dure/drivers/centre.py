"""The agent's line to the centre: sealed words over HTTPS, one address after another."""

import hashlib
import logging
import ssl
from collections.abc import Sequence
from pathlib import Path

import httpx
import msgspec

from dure.core.errors import DriverError, DureError, InputError
from dure.core.sealing import BY_AGENT, BY_CENTRE, is_sealed, seal
from dure.core.site_words import Answer, Push, answer_of, encoded
from dure.drivers.workdirs import LocalWorkdirs, archive_of

log = logging.getLogger("dure.agent")

HEADER = "dure-seal"
CONNECT_S_MAX, ANSWER_S_MAX, FETCH_S_MAX = 3.0, 10.0, 120.0


class HttpCentre:
    """Speaks for one site.

    Args:
        urls: addresses of the centre; the one that answered last is asked first.
        key: the site's.
        root: folder of the site's own backend, where fetched work folders go.
        ca_file: whose certificates count, instead of the system's; None for the system's.

    Attributes:
        trusted: what TLS believes.

    Raises:
        InputError: if ``ca_file`` cannot be read.
    """

    def __init__(
        self,
        urls: Sequence[str],
        site: str,
        key: bytes,
        *,
        root: Path,
        ca_file: Path | None = None,
        workdir_bytes: int = 1 << 30,
    ) -> None:
        self._urls, self.site, self.key = list(urls), site, key
        self._root, self._workdirs = root, LocalWorkdirs(root, bytes_max=workdir_bytes)
        try:
            self.trusted = ssl.create_default_context(cafile=str(ca_file) if ca_file else None)
        except OSError as wrong:
            raise InputError(
                "--ca-file", found=f"{ca_file} ({wrong})", expected="certificates in PEM"
            ) from wrong
        self.trusted.minimum_version = ssl.TLSVersion.TLSv1_2
        timeout = httpx.Timeout(ANSWER_S_MAX, connect=CONNECT_S_MAX)
        # A proxy of the environment could read along where TLS ends at it.
        self._http = httpx.Client(verify=self.trusted, timeout=timeout, trust_env=False)

    def exchange(self, push: Push) -> Answer:
        """Say, and be told.

        Raises:
            DriverError: if no address answers as the centre would; told of each why.
        """
        body, wrong = encoded(push), []
        for url in list(self._urls):
            try:
                content = self._post(url, "exchange", body)
                answer = answer_of(content)
            except (DriverError, msgspec.MsgspecError) as one:
                wrong.append(f"{url}: {one}")
                continue
            self._urls.remove(url)
            self._urls.insert(0, url)
            return answer
        raise DriverError("the centre is out of reach: " + "; ".join(wrong))

    def fetch(self, workdir: str) -> None:
        """Have a work folder here that an order names.

        Raises:
            DriverError: if it cannot be had; the engine orders the start again.
        """
        user, _, sha256 = workdir.partition("/")
        if archive_of(self._root, workdir).exists():
            return
        content = self._post(self._urls[0], "workdir", workdir.encode())
        if hashlib.sha256(content).hexdigest() != sha256:
            raise DriverError(f"the work folder {workdir} came damaged.")
        try:
            (self._root / "workdirs").mkdir(mode=0o700, parents=True, exist_ok=True)
            self._workdirs.keep(user, sha256, [content])
        except DriverError:
            raise
        except DureError as wrong:
            raise DriverError(f"the work folder {workdir} cannot be kept: {wrong}") from wrong

    @property
    def url(self) -> str:
        """Return the address that answered last."""
        return self._urls[0]

    def close(self) -> None:
        self._http.close()

    def _post(self, url: str, path: str, body: bytes) -> bytes:
        headers = {
            "content-type": "application/octet-stream",
            HEADER: seal(self.key, by=BY_AGENT, site=self.site, body=body),
        }
        try:
            answer = self._http.post(
                f"{url}/api/v1/sites/{self.site}/{path}", content=body, headers=headers
            )
        except httpx.HTTPError as wrong:
            raise DriverError(f"{type(wrong).__name__} {wrong}") from wrong
        if answer.status_code != 200:
            raise DriverError(_why(answer))
        given = answer.headers.get(HEADER, "")
        if not is_sealed(self.key, given, by=BY_CENTRE, site=self.site, body=answer.content):
            raise DriverError("its answer has not the seal of this site's key; it is refused.")
        return answer.content


def _why(answer: httpx.Response) -> str:
    """Return the code of a problem, or the status."""
    try:
        return f"{answer.status_code} {answer.json()['code']}"
    except (ValueError, KeyError, TypeError):
        return f"{answer.status_code}"
