"""What a Slurm site has: its nodes, partitions and leaves, as Slurm's own records say."""

import logging
import re
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import msgspec

from dure.core.errors import DriverError
from dure.core.pool import GPUS_PER_NODE_MAX
from dure.drivers import files
from dure.drivers.slurm.commands import Answer, Commands

log = logging.getLogger("dure.slurm")

# Names go into arguments of Slurm, so they are this plain.
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
TIME = re.compile(r"UNLIMITED|(?:\d{1,4}-)?\d{1,2}:\d{2}:\d{2}")
# Of a node without devices that Slurm counts: a place to run, as on one machine.
SLOT = "slot"
_GRES = re.compile(r"gpu(?::([A-Za-z0-9._-]{1,64}))?:(\d{1,4})(?:\(.*)?")
_BRACKETS = re.compile(r"([A-Za-z0-9._-]*)\[([0-9,-]+)\]([A-Za-z0-9._-]*)")
_QUESTIONS = (
    ("scontrol", "show", "node", "--oneliner"),
    ("scontrol", "show", "partition", "--oneliner"),
    ("scontrol", "show", "topology"),
    ("scontrol", "show", "config"),
)
_SRUN_PORTS = re.compile(r"^SrunPortRange\s*=\s*(\d{1,5})-(\d{1,5})\s*$", re.M)
# A host's name, or its number in either form.
_ADDRESS = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,252}")
HOSTS_MAX = 65_536


@dataclass(frozen=True, slots=True)
class SlurmNode:
    """A node as Slurm has it.

    Attributes:
        gres: the type of its devices in Slurm's words, "" if they have none.
        gpus: devices; CPUs where there are no devices (``is_slots``).
        partitions: where it can be used, the best first.
        address: where Slurm itself reaches it; "" if it says nothing of that.
    """

    name: str
    gres: str
    gpus: int
    cpus: int
    memory_mib: int
    partitions: tuple[str, ...]
    is_slots: bool = False
    leaf: str = ""
    pod: str = ""
    address: str = ""

    @property
    def accelerator(self) -> str:
        return SLOT if self.is_slots else (self.gres or "gpu").upper()

    @property
    def provider(self) -> str:
        """Return the partition in whose name the node is in the pool."""
        return self.partitions[0]


@dataclass(frozen=True, slots=True)
class Site:
    """All of it.

    Attributes:
        max_time: by partition, the longest that a job may run there, as Slurm writes it.
        aside: records that could not be read, with what is wrong.
        ports: the lowest and the highest that the site keeps open between its machines for
            ``srun``; (0, 0) if it names none, and so closes none.
    """

    nodes: Mapping[str, SlurmNode]
    max_time: Mapping[str, str]
    aside: Sequence[str] = field(default=())
    ports: tuple[int, int] = (0, 0)

    @property
    def gpus(self) -> dict[str, int]:
        return {name: node.gpus for name, node in self.nodes.items()}


def ask_site(run: Commands) -> Site:
    """Ask Slurm for its site.

    Raises:
        DriverError: if it does not answer, or has no node that could be used.
    """
    answers = run(_QUESTIONS)
    for question, answer in zip(_QUESTIONS[:2], answers, strict=False):
        if answer.code != 0:
            raise DriverError(f"{' '.join(question)} fails: {said(answer)}")
    # A site without topology says so with an error.
    topology = answers[2].out if answers[2].code == 0 else ""
    ports = _ports(answers[3].out) if answers[3].code == 0 else (0, 0)
    site = replace(read_site(answers[0].out, answers[1].out, topology), ports=ports)
    if not site.nodes:
        raise DriverError(f"Slurm has no node that could be used; set aside: {site.aside[:5]}")
    return site


def own_id(path: Path) -> str:
    """Return what tells our jobs and drains from those of every other pool on the site.

    Raises:
        DriverError: if it is damaged: under another one, running jobs would be taken for strangers.
    """
    files.create_exclusively(str(path), secrets.token_hex(6) + "\n")
    found = (files.text_at(str(path)) or "").strip()
    if not re.fullmatch(r"[0-9a-f]{12}", found):
        raise DriverError(f"{path} is damaged ({found[:40]!r}); bring it back from the backup.")
    return found


def site_beside(path: Path, run: Commands) -> Site:
    """Ask for the site and keep it at ``path``; go on from there while Slurm does not answer.

    Raises:
        DriverError: if it does not answer and nothing was kept.
    """
    try:
        site = ask_site(run)
    except DriverError as wrong:
        text = files.text_at(str(path))
        if text is None:
            raise
        log.warning("%s; going on with the site as it was", wrong)
        try:
            return kept(text)
        except msgspec.MsgspecError as broken:
            raise DriverError(f"{path} is damaged ({broken}), and {wrong}") from broken
    for one in site.aside:
        log.warning("set aside: %s", one)
    files.write_durably(str(path), keep(site))
    return site


def read_site(nodes: str, partitions: str, topology: str = "") -> Site:
    """Read Slurm's records; one that cannot be read is set aside, the others count."""
    aside: list[str] = []
    ranked: list[tuple[int, int, str]] = []
    max_time: dict[str, str] = {}
    for line in partitions.splitlines():
        words = _words(line)
        name, limit = words.get("PartitionName", ""), words.get("MaxTime", "")
        if not NAME.fullmatch(name) or not TIME.fullmatch(limit):
            aside += [f"partition {line[:80]!r}"] if line.strip() else []
        elif words.get("State") == "UP":
            tier, count = _count(words, "PriorityTier"), _count(words, "TotalNodes")
            ranked.append((-tier, count, name))
            max_time[name] = limit
    # Where jobs are preempted least; of equals the narrowest.
    best = [name for _, _, name in sorted(ranked)]
    leaves, pods = _switches(topology)
    found: dict[str, SlurmNode] = {}
    for line in nodes.splitlines():
        words = _words(line)
        node = _node(words, best)
        if node is None:
            aside += [f"node {line[:80]!r}"] if line.strip() else []
            continue
        leaf, pod = leaves.get(node.name, node.provider), pods.get(node.name, node.provider)
        address = words.get("NodeAddr", "")
        address = address if _ADDRESS.fullmatch(address) else ""
        found[node.name] = replace(node, leaf=leaf, pod=pod, address=address)
    return Site(found, max_time, tuple(aside))


def keep(site: Site) -> str:
    """Return a site as text, so that a start need not wait for a controller that is down."""
    return msgspec.json.encode(site).decode()


def kept(text: str) -> Site:
    """Read what ``keep`` wrote.

    Raises:
        msgspec.MsgspecError: if it is damaged.
    """
    return msgspec.json.decode(text, type=Site)


def said(answer: Answer) -> str:
    """Return the words of a command that failed, in one short line."""
    return " ".join((answer.err or answer.out).split())[:300] or f"exit code {answer.code}"


def hosts_of(text: str) -> Iterator[str]:
    """Yield the names of a list such as ``a1,b[01-03,7]``; what is no list of names is left out."""
    count = 0
    for part in re.findall(r"[^,\[]*(?:\[[^\]]*\])?[^,]*", text):
        bracketed = _BRACKETS.fullmatch(part)
        if bracketed is None:
            if NAME.fullmatch(part):
                yield part
            continue
        head, ranges, tail = bracketed.groups()
        for piece in ranges.split(","):
            low, _, high = piece.partition("-")
            if not low.isdecimal() or not (high or low).isdecimal():
                continue
            for number in range(int(low), int(high or low) + 1):
                if (count := count + 1) > HOSTS_MAX:
                    return
                yield f"{head}{number:0{len(low)}d}{tail}"


def _words(line: str) -> dict[str, str]:
    """Return ``Key=value`` pairs; values with blanks keep their first word, the first key wins."""
    pairs: dict[str, str] = {}
    for word in line.split():
        key, is_pair, value = word.partition("=")
        if is_pair:
            pairs.setdefault(key, value)
    return pairs


def _count(words: Mapping[str, str], key: str) -> int:
    text = words.get(key, "")
    return int(text) if re.fullmatch(r"\d{1,12}", text) else 0


def _ports(config: str) -> tuple[int, int]:
    """Return the range of ports that Slurm's configuration keeps for ``srun``."""
    found = _SRUN_PORTS.search(config)
    low, high = (int(found[1]), int(found[2])) if found else (0, 0)
    return (low, high) if 1_024 <= low <= high <= 65_535 else (0, 0)


def _node(words: Mapping[str, str], best: Sequence[str]) -> SlurmNode | None:
    """Read a node; None if it cannot be used or its record is spoilt."""
    name, its = words.get("NodeName", ""), words.get("Partitions", "").split(",")
    partitions = tuple(one for one in best if one in its)
    cpus, memory_mib = _count(words, "CPUTot"), _count(words, "RealMemory")
    if not NAME.fullmatch(name) or not partitions or cpus < 1:
        return None
    gres = words.get("Gres", "(null)")
    devices = [_GRES.fullmatch(one) for one in re.split(r",(?![^(]*\))", gres)]
    kinds = [(one[1] or "", int(one[2])) for one in devices if one is not None and int(one[2])]
    if kinds:
        kind, gpus = kinds[0]
        return SlurmNode(name, kind, min(gpus, GPUS_PER_NODE_MAX), cpus, memory_mib, partitions)
    if "gpu" in gres:
        return None
    slots = min(cpus, GPUS_PER_NODE_MAX)
    return SlurmNode(name, "", slots, cpus, memory_mib, partitions, is_slots=True)


def _switches(topology: str) -> tuple[dict[str, str], dict[str, str]]:
    """Return by node its switch of level 0 and of level 1."""
    levels: tuple[dict[str, str], dict[str, str]] = ({}, {})
    for line in topology.splitlines():
        words = _words(line)
        name, level = words.get("SwitchName", ""), words.get("Level", "")
        if NAME.fullmatch(name) and level in ("0", "1"):
            for host in hosts_of(words.get("Nodes", "")):
                levels[int(level)][host] = name
    return levels
