"""What an agent knows of itself and of the engine, over its restarts."""

import secrets
from pathlib import Path

import msgspec

from dure.core.errors import DriverError
from dure.core.site_words import SiteNode
from dure.drivers import files


class _Kept(msgspec.Struct):
    """The file's content; ``key_id`` is of the key under which the generation was heard."""

    agent: str
    run: int = 0
    generation: int = 0
    key_id: str = ""
    nodes: list[SiteNode] = []


class AgentMemory:
    """An agent's name, how often it was started, and the newest engine's generation.

    Args:
        path: its file; made at the first start.
        key_id: of the site's key now; with a new key the engines begin to count anew.

    Raises:
        DriverError: if the file is damaged: under another name, ends could be told twice.
    """

    def __init__(self, path: Path, *, key_id: str) -> None:
        self._path = path
        text = files.text_at(str(path), bytes_max=1 << 26)
        try:
            kept = msgspec.json.decode(text, type=_Kept) if text else _Kept(secrets.token_hex(8))
        except msgspec.MsgspecError as wrong:
            raise DriverError(
                f"{path} is damaged ({wrong}); bring it back from a backup, or remove it and have "
                "the site enrolled anew."
            ) from wrong
        if kept.key_id != key_id:
            kept.key_id, kept.generation = key_id, 0
        kept.run += 1
        self._kept = kept
        self._write()

    @property
    def agent(self) -> str:
        return self._kept.agent

    @property
    def run(self) -> int:
        return self._kept.run

    @property
    def generation(self) -> int:
        return self._kept.generation

    @property
    def nodes(self) -> list[SiteNode]:
        """Return what the site had at the first start; none before."""
        return self._kept.nodes

    def learn_generation(self, generation: int) -> None:
        """Refuse what is older from now on; durable on return."""
        if generation > self._kept.generation:
            self._kept.generation = generation
            self._write()

    def learn_nodes(self, nodes: list[SiteNode]) -> None:
        """Keep what the site has; durable on return."""
        self._kept.nodes = nodes
        self._write()

    def _write(self) -> None:
        files.write_durably(str(self._path), msgspec.json.encode(self._kept).decode())
