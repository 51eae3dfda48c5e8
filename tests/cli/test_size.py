"""``dure size``: stated work in, GPUs with their formula out."""

from pathlib import Path

from tests.architecture.source_tree import ROOT
from tests.cli.serving import Shell


def test_the_example_is_sized_for_every_accelerator(shell: Shell) -> None:
    done = shell(
        "size", str(ROOT / "examples" / "sizing" / "70b-lora.yaml"), "--months", "1", "-o", "csv"
    )

    rows = [line.split(",")[:4] for line in done.out.splitlines()]
    # 4 x 70e9 x 20e9 x 2 trials over 989e12 x 0.35 x 0.85 x 30 days = 14.7 H200s;
    # 7.7 and 34.9 with the assumptions at their ends.
    assert ["H200", "15", "8", "35"] in rows
    assert [row[0] for row in rows] == ["accelerator", "A100", "L40S", "H100", "H200", "B200"]


def test_what_cannot_be_read_is_one_line(shell: Shell, tmp_path: Path) -> None:
    bad = tmp_path / "bad.yaml"
    for text, code in (("colour: red\n", 2), ("tokens_m: many\n", 2), ("work_kind: other\n", 1)):
        bad.write_text(text)

        done = shell("size", str(bad))

        assert (done.code, done.err.count("\n")) == (code, 1)
    assert shell("size", str(bad), "--accelerator", "QPU").code == 2
    assert shell("size", str(bad), "--months", "0").code == 2
