"""What exactly a start order becomes on a Slurm site: one argument list for ``sbatch``, and files.

No word of a user stands in the arguments nor in the script that Slurm runs (``attempt.sh``, always
the same): names and ids are checked, everything else lies in files that no shell of ours reads.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dure.core.errors import DriverError
from dure.core.orders import JOB_ID, StartOrder
from dure.drivers.launch import Launch, in_image, launch_of, own_variables, spans_nodes
from dure.drivers.places import Places
from dure.drivers.slurm.site import Site, SlurmNode

SCRIPT = "attempt.sh"
# What Slurm says to a job and to its own commands inside it.
RESERVED = (
    *("DURE_", "SLURM_", "SLURMD_", "SRUN_", "SBATCH_", "CUDA_VISIBLE_DEVICES"),
    *("ROCR_VISIBLE_DEVICES", "ZE_AFFINITY_MASK", "GPU_DEVICE_ORDINAL"),
)


@dataclass(frozen=True, slots=True)
class Submission:
    """An attempt ready to be handed to Slurm.

    Attributes:
        mark: our id of it in the job's comment; ``argv`` holds it.
        nodes: where it will stand.
        addresses: of these nodes, for the gate of a session; empty for every other job.
        ports: between which its gate may choose, (0, 0) for any.
    """

    mark: str
    argv: tuple[str, ...]
    nodes: tuple[str, ...]
    launch: Launch
    addresses: Mapping[str, str] = field(default_factory=dict)
    ports: tuple[int, int] = (0, 0)


def mark_of(site_id: str, places: Places) -> str:
    """Return what an attempt is known by on the site: two pools may choose the same ids."""
    return f"dure:{site_id}:{places.job}~{places.attempt}"


def key_of(site_id: str, mark: str) -> tuple[str, int] | None:
    """Return the job and attempt of a mark; None if it is none of ours."""
    job, _, attempt = mark.removeprefix(f"dure:{site_id}:").partition("~")
    is_ours = mark.startswith(f"dure:{site_id}:") and JOB_ID.fullmatch(job) is not None
    is_whole = re.fullmatch(r"[1-9]\d{0,5}", attempt) is not None
    return (job, int(attempt)) if is_ours and is_whole else None


def scratch_of(site_id: str, places: Places) -> str:
    """Return the attempt's private ``TMPDIR`` on each of its nodes."""
    return f"/tmp/dure-{site_id}-{places.job}~{places.attempt}"


def plan_submission(
    order: StartOrder, places: Places, site: Site, *, site_id: str, grace_s: int
) -> Submission:
    """Turn an order into what is submitted, or refuse it.

    Raises:
        DriverError: if the order names devices that the site has not, shares of devices, nodes
            without a common partition, or nothing that could be run.
    """
    scratch = scratch_of(site_id, places)
    mark = mark_of(site_id, places)
    own = own_variables(order, places, scratch=scratch) | {"DURE_ACTION": mark}
    home = {"HOME": str(places.work_dir), "SHELL": "/bin/bash"}
    launch = launch_of(
        order,
        places,
        gpus=site.gpus,
        env=home,
        own=own,
        reserved=RESERVED,
        inside_if_there=_container(order, places, site, scratch),
        gate=places.gate_dir,
    )
    if order.gpu_milli != 1000:
        raise DriverError(
            f"job {order.job}: {order.gpu_milli} milli of each device; this site hands out whole "
            "ones. Ask for gpu_milli 1000."
        )
    counts: dict[str, int] = {}
    for node, _ in order.devices:
        counts[node] = counts.get(node, 0) + 1
    groups = _groups(counts, site)
    argv = ["sbatch", "--hold", "--parsable"]
    for place, (nodes, gpus) in enumerate(groups):
        argv += [":"] if place else [f"--comment={mark}"]
        argv += _pinned(order.job, nodes, gpus, site)
    argv += [str(places.root / SCRIPT), "run", str(places.root), order.job, str(order.attempt)]
    argv += [mark, scratch, str(grace_s), str(launch.notice_signal)]
    argv += [str(int(launch.notice_first_only)), str(len(counts)), str(len(groups))]
    gated = counts if order.recipe.interactive else ()
    addresses = {name: site.nodes[name].address or name for name in gated}
    return Submission(mark, tuple(argv), tuple(counts), launch, addresses, site.ports)


def _container(order: StartOrder, places: Places, site: Site, scratch: str) -> tuple[str, ...]:
    """Return the words that run a step in the order's image on a node that has Apptainer.

    There are none for a session, whose own program stands outside of any image, and for a gang on
    several nodes: what its script starts on the others would stand outside.
    """
    if not order.recipe.image or order.recipe.interactive or spans_nodes(order):
        return ()
    node = site.nodes[order.devices[0][0]]
    return in_image(order, places, "apptainer", scratch=scratch, nvidia=not node.is_slots)


def cleaning_argv(
    places: Places, node: SlurmNode, site: Site, *, mark: str, scratch: str, grace_s: int
) -> list[str]:
    """Return how to have a node cleaned up after an attempt that did not do so itself."""
    own = ["--job-name=dure-clean", f"--nodelist={node.name}", "--nodes=1", "--ntasks=1"]
    own += ["--mem=1", "--time=10", f"--partition={node.provider}", "--no-requeue"]
    command = [str(places.root / SCRIPT), "clean", str(places.root), places.job]
    command += [str(places.attempt), mark, scratch, str(grace_s)]
    return ["sbatch", "--parsable", *own, *_QUIET, *command]


# Relative to nothing on the node, and printing nothing: the attempt's own files take all.
_QUIET = ("--output=/dev/null", "--input=/dev/null", "--chdir=/")


def _groups(counts: Mapping[str, int], site: Site) -> list[tuple[list[SlurmNode], int]]:
    """Return nodes that give equally many devices of one type; Slurm asks for each group apart."""
    groups: dict[tuple[str, int], list[SlurmNode]] = {}
    for name, gpus in counts.items():
        node = site.nodes[name]
        groups.setdefault((node.accelerator, gpus), []).append(node)
    # The first one runs the script: where most of the gang is.
    ordered = sorted(groups.items(), key=lambda one: (-len(one[1]) * one[0][1], one[0]))
    return [(nodes, gpus) for (_, gpus), nodes in ordered]


def _pinned(job: str, nodes: Sequence[SlurmNode], gpus: int, site: Site) -> list[str]:
    common = [one for one in nodes[0].partitions if all(one in node.partitions for node in nodes)]
    if not common:
        raise DriverError(f"job {job}: its nodes have no partition in common.")
    # A node's CPUs and memory go with its devices, rounded down, so that all of them fit.
    cpus = max(1, min(node.cpus * gpus // node.gpus for node in nodes))
    memory_mib = max(1, min(node.memory_mib * gpus // node.gpus for node in nodes))
    names = ",".join(node.name for node in nodes)
    pinned = [f"--job-name={job}", f"--partition={common[0]}", f"--time={site.max_time[common[0]]}"]
    pinned += [f"--nodes={len(nodes)}", f"--nodelist={names}", "--ntasks-per-node=1"]
    pinned += [f"--cpus-per-task={cpus}", f"--mem={memory_mib}", "--no-requeue", *_QUIET]
    if not nodes[0].is_slots:
        kind = f":{nodes[0].gres}" if nodes[0].gres else ""
        pinned.append(f"--gres=gpu{kind}:{gpus}")
    return pinned


def script_path() -> Path:
    """Return the script as it lies in this package; the driver puts it into the shared folder."""
    return Path(__file__).with_name(SCRIPT)
