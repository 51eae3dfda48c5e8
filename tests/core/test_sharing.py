"""The rules of sharing, as docs/sharing.md tells them, played on the smallest pools."""

import re
from pathlib import Path

import pytest

from tests.core.bench import Bench, flat_pool

PAGE = Path(__file__).parents[2] / "docs" / "sharing.md"
STORIES = re.findall(
    r"^## (.+?)$(?:(?!^## ).)*?^```story\n(.*?)^```", PAGE.read_text(), re.M | re.S
)


class Story:
    """Plays lines of a story; a moment is run once all that is asked for it stands."""

    def __init__(self, lines: list[str]) -> None:
        head = [line.split() for line in lines if not line[0].isdigit()]
        (sizes,) = (line[1:] for line in head if line[0] == "pool")
        self.bench = Bench(flat_pool(*map(int, sizes)))
        for index, line in enumerate(line for line in head if line[0] == "entitled"):
            self.bench.entitle(line[1], int(line[2]), index=index)
        self.jobs: dict[str, int] = {}
        self.now_s, self.is_open = 0, True

    def reach(self, now_s: int) -> None:
        """Close the moment that is open, and let time pass up to another one."""
        if self.is_open:
            self.bench.at(self.now_s)
        while (wakes_at_s := self.bench.state.next_alarm_s) is not None and wakes_at_s < now_s:
            self.bench.at(wakes_at_s)
        self.is_open = self.is_open and now_s == self.now_s
        self.now_s = now_s

    def play(self, line: str) -> None:
        at_s, who, verb, *rest = line.split()
        if int(at_s) > self.now_s:
            self.reach(int(at_s))
            self.is_open = True
        if verb == "asks":
            asked = {key: int(value) for key, value in (pair.split("=") for pair in rest[2:])}
            job = self.bench.submit(who, submit=self.now_s, gpus=int(rest[1]), **asked)
            self.jobs[rest[0]] = job
        elif verb == "ends":
            self.bench.end(self.jobs[who])
        else:
            if self.is_open:
                self.bench.at(self.now_s)
                self.is_open = False
            job = self.jobs[who]
            seen = [self.bench.is_(job)]
            if len(rest) > 1:
                seen.append(self.bench.kind(job))
            assert seen == rest, line


@pytest.mark.parametrize(("title", "text"), STORIES, ids=[title for title, _ in STORIES])
def test_a_story_of_the_page_goes_as_it_says(title: str, text: str) -> None:
    story = Story(text.splitlines())

    for line in text.splitlines():
        if line[0].isdigit():
            story.play(line)

    assert story.jobs


def told(text: str) -> None:
    """Play a story that no page tells."""
    lines = [line.strip() for line in text.strip().splitlines()]
    story = Story(lines)
    for line in lines:
        if line[0].isdigit():
            story.play(line)


CALLED_BACK_TWICE = """
    pool 8 8
    entitled A 8
    entitled B 8
    0 B asks steady 8 {says} work=86400
    1 B asks b 8 ckpt_every=600 work=86400
    400 A asks a 8
    700 a ends
    800 A asks again 8
    1400 again ends
    1500 A asks last 8
    1500 b is RUNNING {kind}
"""


@pytest.mark.parametrize(
    ("says", "kind"),
    [("ckpt_takes=5", "own"), ("estimate=9", "loan"), ("ckpt_every=600 preemptible=0", "loan")],
)
def test_only_own_work_that_may_stop_and_can_save_gives_way(says: str, kind: str) -> None:
    told(CALLED_BACK_TWICE.format(says=says, kind=kind))


def test_who_was_called_back_once_does_not_change_places() -> None:
    once = CALLED_BACK_TWICE.replace("800 A asks again 8", "").replace("1400 again ends", "")
    told("\n".join(filter(str.strip, once.splitlines())).format(says="ckpt_takes=5", kind="loan"))


def test_of_equal_owners_the_one_with_the_shorter_gang_borrows_first() -> None:
    told(
        """
        pool 8
        entitled A 8
        0 A asks x 8
        10 B asks long 8 estimate=86400
        20 C asks short 8 estimate=600
        100 x ends
        111 short is RUNNING loan
        111 long is PENDING
        """
    )


def test_who_was_called_back_twice_is_called_back_only_if_nobody_else_will_do() -> None:
    # Sending b away would cost nothing; steady loses all it did.
    told(
        """
        pool 8 8
        entitled A 16
        0 A asks there 8
        0 X asks b 8 ckpt_takes=5 work=86400
        100 A asks first 8
        105 b is PENDING
        200 first ends
        211 b is RUNNING loan
        300 A asks again 8
        305 b is PENDING
        400 again ends
        430 b is RUNNING loan
        500 there ends
        600 X asks steady 8 work=86400
        600 steady is RUNNING loan
        2000 A asks last 8
        2000 steady is PENDING
        2030 b is RUNNING loan
        2030 last is RUNNING own
        """
    )


@pytest.mark.parametrize(("passed_s", "first"), [(1000, "long"), (0, "short"), (5000, "short")])
def test_nobody_is_passed_for_longer_than_the_policy_says(passed_s: int, first: str) -> None:
    bench = Bench(flat_pool(8), passed_s=passed_s)
    bench.entitle("A", 8)
    there = bench.submit("A", submit=0, gpus=8)
    bench.at(0)
    jobs = {"long": bench.submit("A", submit=10, gpus=8, estimate=86_400)}
    bench.at(10)
    jobs["short"] = bench.submit("A", submit=1500, gpus=8, estimate=600)
    bench.at(1500)
    bench.end(there)
    bench.at(2000)

    assert [name for name, job in jobs.items() if bench.is_(job) == "RUNNING"] == [first]


@pytest.mark.parametrize(("relocate", "state"), [(True, "RUNNING"), (False, "PENDING")])
def test_small_own_work_moves_only_where_the_policy_lets_it(relocate: bool, state: str) -> None:
    bench = Bench(flat_pool(8, 8), relocate=relocate)
    bench.entitle("A", 16)
    bench.submit("A", gpus=7, preemptible=0)
    passing = bench.submit("A", gpus=1)
    bench.submit("A", gpus=1, ckpt_takes=60)
    bench.at(0)
    bench.end(passing)
    large = bench.submit("A", gpus=8)
    for now_s in (100, 160, 170, 190):
        bench.at(now_s)

    assert bench.is_(large) == state
