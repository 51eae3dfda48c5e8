"""What jobs print, as one growing text."""

from tests.services.live_bench import LiveBench

BORROWER = "gpus: 2, preemptible: true, checkpoint_takes: 2s"


def test_output_is_one_growing_text_over_attempts() -> None:
    bench = LiveBench(slots=2)
    bench.allocate("owner", 2)
    bench.allocate("guest", 0)
    job = bench.submit(BORROWER, project="guest")
    bench.turn(2)
    printed = bench.machine.printed
    printed[job, 1, "out"], printed[job, 1, "err"] = "하나\n".encode(), b"oh\n"
    first = bench.desk.output(job, offset=0)
    assert first is not None
    assert (first.text, first.is_end) == ("하나\n", False)

    owner = bench.submit("gpus: 2", project="owner")
    bench.turn()
    bench.end(job, exit_code=85, kind="stopped")
    bench.turn(3)
    bench.end(owner)
    bench.turn(10)
    printed[job, 2, "out"] = b"two\n"
    more = bench.desk.output(job, offset=first.next_offset)
    assert more is not None
    assert more.text == "oh\ntwo\n"
    bench.end(job)
    bench.turn(3)

    tail = bench.desk.output(job, offset=-4)
    assert tail is not None
    assert (tail.text, tail.is_end) == ("two\n", True)
    whole = bench.desk.output(job, offset=0)
    assert whole is not None
    assert whole.text == "하나\noh\ntwo\n"


def test_no_part_of_the_output_ends_within_a_letter() -> None:
    bench = LiveBench()
    job = bench.submit()
    bench.turn()
    bench.machine.printed[job, 1, "out"] = ("x" + "가" * 40_000).encode()

    found, offset = "", 0
    while True:
        part = bench.desk.output(job, offset=offset)
        assert part is not None
        if part.next_offset == offset:
            break
        found, offset = found + part.text, part.next_offset

    assert found == "x" + "가" * 40_000
