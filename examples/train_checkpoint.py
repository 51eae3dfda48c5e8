"""A small training that loses nothing: saves as it goes and on notice, goes on where it stopped.

It fits a line to points by gradient descent: the arithmetic is a toy, the manners are real. It runs
on any Python and needs neither Dure nor a GPU:

    python3 train_checkpoint.py --steps 200 --step-s 0.1 --save-every-s 5
"""

import argparse
import json
import os
import random
import signal
import time
from pathlib import Path

EXIT_SAVED = 85  # "saved; start me again later" (docs/jobs.md)


class Notice:
    """Whether the pool asked us to leave: by signal, or by the file that it writes."""

    def __init__(self) -> None:
        self.is_given = False
        signal.signal(signal.SIGUSR1, self._take)

    def _take(self, _number: int, _frame: object) -> None:
        # Only remember it: the step that runs is finished first, then saved.
        self.is_given = True


def load(path: Path) -> dict[str, float]:
    """Return the state to go on from: the checkpoint, or the beginning."""
    if path.exists():
        return json.loads(path.read_text())
    return {"step": 0, "slope": 0.0, "offset": 0.0}


def save(path: Path, state: dict[str, float]) -> None:
    """Write the checkpoint in one step, so that a stop while saving leaves the last one whole."""
    beside = path.with_suffix(".new")
    with beside.open("w") as file:
        json.dump(state, file)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)


def improve(state: dict[str, float], points: list[tuple[float, float]]) -> float:
    """Take one step of gradient descent; return the loss before it."""
    errors = [(state["slope"] * x + state["offset"] - y, x) for x, y in points]
    state["slope"] -= 0.5 * sum(error * x for error, x in errors) / len(points)
    state["offset"] -= 0.5 * sum(error for error, _ in errors) / len(points)
    state["step"] += 1
    return sum(error * error for error, _ in errors) / len(points)


def main() -> int:
    """Train; return the exit code."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--steps", type=int, default=200)
    options.add_argument("--step-s", type=float, default=0.1, help="how long a step takes")
    options.add_argument("--save-every-s", type=float, default=5)
    chosen = options.parse_args()
    notice = Notice()
    chance = random.Random(4711)
    points = [(x, 3 * x + 1 + chance.gauss(0, 0.05)) for x in (chance.random() for _ in range(256))]

    path = Path(os.environ.get("DURE_CHECKPOINT_DIR", ".")) / "train.json"
    state = load(path)
    print(
        f"attempt {os.environ.get('DURE_ATTEMPT', '1')} goes on from step {state['step']}",
        flush=True,
    )
    saved_s = time.monotonic()
    while state["step"] < chosen.steps:
        loss = improve(state, points)
        time.sleep(chosen.step_s)
        if state["step"] % 10 == 0:
            print(f"step {state['step']} of {chosen.steps}, loss {loss:.6f}", flush=True)
        if notice.is_given:
            save(path, state)
            print(f"saved on notice at step {state['step']}", flush=True)
            return EXIT_SAVED
        if time.monotonic() - saved_s >= chosen.save_every_s:
            save(path, state)
            saved_s = time.monotonic()
    save(path, state)
    print(f"done: y = {state['slope']:.2f} x + {state['offset']:.2f}", flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
