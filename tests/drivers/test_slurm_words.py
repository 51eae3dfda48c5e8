"""No word of anybody changes a command: neither of a user, nor of Slurm's own answers."""

import os
import random
import string
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dure.core.errors import DriverError
from dure.core.orders import Recipe, StartOrder
from dure.drivers.places import Places
from dure.drivers.slurm.commands import Answer, SlurmCommands
from dure.drivers.slurm.driver import SlurmDriver
from dure.drivers.slurm.launch import RESERVED, key_of, mark_of, plan_submission
from dure.drivers.slurm.queue import read_nodes, read_queue
from dure.drivers.slurm.site import ask_site, hosts_of, keep, kept, read_site
from tests.contracts.test_hostile_jobs import NASTY
from tests.drivers.polling import until
from tests.drivers.slurm_model import NODE_LINES, PARTITION
from tests.slurm_cluster import SlurmCluster

WORDS = 5_000
SITE = read_site(NODE_LINES, PARTITION)
PLACES = Places(Path("/pool/here"), "job-1", 1)
HARMLESS = Recipe(script="true", env={"VARIABLE": "value"}, name="name", submit_dir="/home")
SLURMS = (
    "\n#SBATCH --nodes=4\n", "#SBATCH --wrap=id", ":", "--wrap", "--uid=0", "--nodelist=n3", "%j",
    "\n#SBATCH hetjob\n", "SLURM_CONF=/x", "SBATCH_EXPORT=NONE", "SLURM_JOB_ID=1", "n[0-3]",
    "dure:x:job-1~1", "|", "--comment=x", "\0--hold=no",
)  # fmt: skip
LINE = "7|PENDING|JobHeldUser|0|N/A|dure:x:job-1~1|"
texts = st.text(max_size=200) | st.lists(
    st.sampled_from((*NASTY, *SLURMS, LINE, "\n", "|", "-1", "9" * 30)), max_size=20
).map("".join)


def order(recipe: Recipe, *, job: str = "job-1", devices: int = 2) -> StartOrder:
    places = tuple(("n0", device) for device in range(devices))
    return StartOrder("here:job-1~1", job, 1, places, 1000, recipe, "loan")


def words(seed: int) -> list[str]:
    """Return hostile strings: nasty pieces, Slurm's own, and letters between them."""
    chance = random.Random(seed)
    letters = string.printable + "가\u202e\x7f"
    return [
        "".join(
            chance.choice(NASTY + SLURMS) if chance.random() < 0.7 else chance.choice(letters)
            for _ in range(chance.randrange(1, 7))
        )
        for _ in range(WORDS)
    ]


def field_with(field: str, word: str) -> Recipe:
    match field:
        case "command":
            return replace(HARMLESS, script="", command=("prog", word, word))
        case "program":
            return replace(HARMLESS, script="", command=(word,))
        case "variable":
            return replace(HARMLESS, env={word: "value"})
        case "value":
            return replace(HARMLESS, env={"VARIABLE": word})
        case _:
            return replace(HARMLESS, **{field: word})


FIELDS = ("script", "setup", "command", "program", "variable", "value", "name", "submit_dir")
FIELDS += ("image",)


@pytest.mark.parametrize("field", FIELDS)
def test_five_thousand_hostile_words_in_a_field_change_no_argument(field: str) -> None:
    plain = plan_submission(order(HARMLESS), PLACES, SITE, site_id="s", grace_s=5)
    accepted = 0
    for word in words(len(field)):
        try:
            found = plan_submission(
                order(field_with(field, word)), PLACES, SITE, site_id="s", grace_s=5
            )
        except DriverError as refusal:
            assert len(str(refusal)) < 1_000
            continue
        accepted += 1
        # All that Slurm ever gets to read; the script is the same file for everybody.
        assert found.argv == plain.argv
        assert found.mark == plain.mark
        assert not any("\0" in text for step in found.launch.steps for text in step)
        assert not any("\0" in text for text in found.launch.inside_if_there)
        assert not any("\0" in text for pair in found.launch.env.items() for text in pair)
        theirs = {"VARIABLE", word if field == "variable" else ""}
        theirs |= {"DURE_JOB_NAME"} if field == "name" else set()
        theirs |= {"DURE_SUBMIT_DIR"} if field == "submit_dir" else set()
        changed = {
            name
            for name in {*found.launch.env, *plain.launch.env}
            if found.launch.env.get(name) != plain.launch.env.get(name)
        }
        assert changed <= theirs
        assert not any(name.startswith(RESERVED) for name in changed - theirs)
    assert accepted > WORDS // 4


@pytest.mark.parametrize(
    "job", ["../x", "-w", "a b", "a\n#SBATCH", "a;id", "a:b", "", "가", "a" * 65]
)
def test_an_id_that_is_none_reaches_no_command(job: str) -> None:
    with pytest.raises(Exception, match="job id"):
        Places(Path("/pool"), job, 1)


def test_only_our_own_marks_are_ours() -> None:
    mark = mark_of("s", PLACES)

    assert key_of("s", mark) == ("job-1", 1)
    assert key_of("t", mark) is None
    for spoilt in (mark + "0" * 9, mark[:-1], mark + "/..", "dure:s:../x~1", "", "dure:s:~1"):
        assert key_of("s", spoilt) is None


@given(text=texts, at=st.integers(0, 400))
def test_a_queue_with_spoilt_lines_still_says_the_others(text: str, at: int) -> None:
    good = "\n".join([LINE, "8|RUNNING|None|0|N/A|other|"])

    queue, _ = read_queue(f"{text}\n{good}\n{text[:at]}", 1)

    assert {7, 8} <= set(queue.jobs)
    assert 7 in queue.by_mark["dure:x:job-1~1"]
    assert all(isinstance(one, int) and one >= 0 for one in queue.jobs)


@given(text=texts)
def test_nodes_with_spoilt_lines_still_say_the_others(text: str) -> None:
    nodes, _ = read_nodes(f"n1|idle|none\n{text}\nn2|down*|a | b\n")

    # A later line may name a node again, as sinfo does for each of its partitions.
    assert {"n1", "n2"} <= set(nodes)
    assert (nodes["n2"].state, nodes["n2"].answers, nodes["n2"].reason) == ("down", False, "a | b")


@given(text=texts)
def test_a_site_with_spoilt_records_still_has_the_others(text: str) -> None:
    garbage = text.replace("NodeName=n", "").replace("PartitionName=alpha", "")

    site = read_site(f"{garbage}\n{NODE_LINES}", f"{PARTITION}{garbage}", garbage)

    assert {"n0", "n1", "n2", "n3"} <= set(site.nodes)
    assert kept(keep(site)).nodes == site.nodes


def test_a_site_is_read_as_slurm_writes_it() -> None:
    nodes = (
        "NodeName=a1 NodeAddr=10.0.0.7 Arch=x86_64 CPUTot=64 RealMemory=1000 "
        "Gres=gpu:b200:8(S:0-1),shard:4 OS=Linux 6.1 #1 SMP State=IDLE "
        "Partitions=wide,narrow BootTime=x\n"
        "NodeName=c1 NodeAddr=$(id) CPUTot=16 RealMemory=500 Gres=(null) Partitions=wide\n"
        "NodeName=x1 CPUTot=16 RealMemory=500 Gres=gpu:h100:4 Partitions=closed\n"
        "NodeName=y1 CPUTot=many RealMemory=500 Gres=gpu:h100:4 Partitions=wide\n"
    )
    partitions = (
        "PartitionName=wide PriorityTier=1 TotalNodes=9 MaxTime=UNLIMITED State=UP\n"
        "PartitionName=narrow PriorityTier=1 TotalNodes=2 MaxTime=2-00:00:00 State=UP\n"
        "PartitionName=closed PriorityTier=9 TotalNodes=1 MaxTime=1:00:00 State=DOWN\n"
    )
    topology = "SwitchName=leaf1 Level=0 LinkSpeed=1 Nodes=a[1-2],c1\n"

    site = read_site(nodes, partitions, topology)

    gpus, slots = site.nodes["a1"], site.nodes["c1"]
    assert (gpus.accelerator, gpus.gpus, gpus.provider, gpus.leaf) == ("B200", 8, "narrow", "leaf1")
    assert (slots.accelerator, slots.gpus, slots.provider, slots.leaf) == (
        *("slot", 16, "wide", "leaf1"),
    )
    assert sorted(site.nodes) == ["a1", "c1"]
    assert (gpus.address, slots.address) == ("10.0.0.7", "")
    assert len(site.aside) == 2
    assert list(hosts_of("a[1-2],b[09-10,12],c")) == ["a1", "a2", "b09", "b10", "b12", "c"]


@pytest.mark.parametrize(
    ("config", "ports"),
    [
        ("SrunEpilog = (null)\nSrunPortRange           = 60001-63000\n", (60_001, 63_000)),
        ("SrunPortRange           = 0-0\n", (0, 0)),
        ("SrunPortRange = 22-99999\n", (0, 0)),
        ("", (0, 0)),
    ],
)
def test_a_site_says_which_ports_it_opens_between_its_machines(
    config: str, ports: tuple[int, int]
) -> None:
    answers = [Answer(0, NODE_LINES), Answer(0, PARTITION), Answer(1), Answer(0, config)]

    site = ask_site(lambda _: answers)

    assert site.ports == kept(keep(site)).ports == ports


def test_a_gang_of_unequal_parts_is_one_job_of_several_kinds() -> None:
    devices = (*(("n0", device) for device in range(8)), ("n1", 3))
    gang = replace(order(HARMLESS), devices=devices)

    argv = plan_submission(gang, PLACES, SITE, site_id="s", grace_s=5).argv

    first, second = argv[: argv.index(":")], argv[argv.index(":") :]
    assert {"--nodelist=n0", "--gres=gpu:b200:8", "--mem=256000"} <= set(first)
    assert {"--nodelist=n1", "--gres=gpu:b200:1", "--mem=32000"} <= set(second)
    with pytest.raises(DriverError, match="whole"):
        plan_submission(replace(gang, gpu_milli=500), PLACES, SITE, site_id="s", grace_s=5)
    with pytest.raises(DriverError, match="is not a device"):
        wrong = replace(gang, devices=(("n9", 0),))
        plan_submission(wrong, PLACES, SITE, site_id="s", grace_s=5)


@pytest.mark.slurm
def test_hostile_words_reach_a_real_job_as_data_and_change_nothing_of_it(
    slurm_cluster: SlurmCluster, tmp_path: Path
) -> None:
    driver = SlurmDriver(tmp_path, SlurmCommands(slurm_cluster.environment), queue_s=0.2)
    chance = random.Random(7)
    given_words = [word for word in words(3) if "\0" not in word and "\ud800" not in word]
    tries = {
        f"hostile-{number}": chance.sample(given_words, 3)
        for number in range(len(given_words))[:12]
    }
    node = slurm_cluster.names[0]
    for job, (name, value, argument) in tries.items():
        script = 'import os,sys;sys.stdout.write("|".join((*sys.argv[1:],os.environ["VARIABLE"])))'
        command = (sys.executable, "-c", script, argument)
        recipe = Recipe(command=command, name=name, env={"VARIABLE": value})
        driver.start(replace(order(recipe, job=job), devices=((node, 0),)))

    def ended() -> bool:
        return len(driver.observe()) == len(tries)

    until(ended)
    for job, (_, value, argument) in tries.items():
        assert driver.output(job, 1)[0] == os.fsencode(f"{argument}|{value}")
    listed = slurm_cluster.ask("squeue", "-a", "-h", "-t", "all", "-o", "%j|%D|%N|%C|%r")
    ours = [line for line in listed.splitlines() if line.startswith("hostile-")]
    assert {line.partition("|")[2] for line in ours} == {f"1|{node}|4|None"}
    assert len(ours) == len(tries)


def test_an_image_is_for_what_stands_on_one_node_and_has_no_program_of_ours_outside() -> None:
    def words_for(recipe: Recipe, *nodes: str) -> tuple[str, ...]:
        places = tuple((node, 0) for node in nodes)
        asked = replace(order(recipe), devices=places)
        return plan_submission(asked, PLACES, SITE, site_id="s", grace_s=5).launch.inside_if_there

    recipe = replace(HARMLESS, image="ghcr.io/a/b:1", project="p-1")

    assert words_for(recipe, "n0") == (
        "apptainer",
        "exec",
        "--nv",
        "--bind=/pool/here/jobs/job-1",
        "--bind=/tmp/dure-s-job-1~1",
        "--bind=/pool/here/projects/p-1",
        "--pwd=/pool/here/jobs/job-1/work",
        "docker://ghcr.io/a/b:1",
    )
    assert words_for(recipe, "n0", "n1") == ()
    assert words_for(replace(recipe, image=""), "n0") == ()
    assert words_for(replace(recipe, script="", interactive="shell"), "n0") == ()


def test_who_gets_no_image_is_told_why() -> None:
    def remark(recipe: Recipe, *nodes: str) -> str:
        asked = replace(order(recipe), devices=tuple((node, 0) for node in nodes))
        return plan_submission(asked, PLACES, SITE, site_id="s", grace_s=5).launch.remark

    recipe = replace(HARMLESS, image="ghcr.io/a/b:1")

    assert remark(HARMLESS, "n0") == ""
    assert "no apptainer" in remark(recipe, "n0")
    assert "several nodes" in remark(recipe, "n0", "n1")
    assert "no session" in remark(replace(recipe, script="", interactive="shell"), "n0")
