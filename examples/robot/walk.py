"""A robot that learns to move, in MuJoCo, on CPUs: saves as it goes and on notice, loses nothing.

Augmented random search (Mania, Guy, Recht 2018, "Simple random search provides a competitive
approach to reinforcement learning", version V2-t): a linear policy, nudged along the directions
that paid most. Every rollout has its own seed, so a training that was stopped and went on prints
the same rewards as one that never stopped.

    pip install "gymnasium[mujoco]" && python3 walk.py --robot Hopper-v5 --rounds 150
"""

import argparse
import os
import signal
import time
from dataclasses import dataclass, fields
from pathlib import Path

import gymnasium
import numpy as np

EXIT_SAVED = 85  # "saved; start me again later" (docs/jobs.md)


@dataclass
class Learner:
    """All that a checkpoint holds: what was learnt, and how the robot's senses are scaled."""

    rounds: np.ndarray  # rounds done
    policy: np.ndarray  # (actions, senses)
    seen: np.ndarray  # how many senses the mean and spread below are of
    mean: np.ndarray  # (senses,)
    spread: np.ndarray  # (senses,): sum of squared distances from the mean

    @classmethod
    def new(cls, actions: int, senses: int) -> "Learner":
        zero = np.zeros(senses)
        return cls(np.int64(0), np.zeros((actions, senses)), np.int64(0), zero, zero.copy())

    @classmethod
    def load(cls, path: Path) -> "Learner":
        with np.load(path) as kept:
            return cls(**{field.name: kept[field.name] for field in fields(cls)})

    def save(self, path: Path) -> None:
        """Write the checkpoint in one step: a stop while saving leaves the last one whole."""
        beside = path.with_suffix(".new")
        with beside.open("wb") as file:
            np.savez(file, **{field.name: getattr(self, field.name) for field in fields(self)})
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)

    def learn_scale(self, senses: np.ndarray) -> None:
        """Take in what one rollout saw (Chan's parallel mean and variance)."""
        count, mean = len(senses), senses.mean(axis=0)
        apart = mean - self.mean
        total = self.seen + count
        self.spread += ((senses - mean) ** 2).sum(axis=0)
        self.spread += apart**2 * (self.seen * count / total)
        self.mean += apart * (count / total)
        self.seen = np.int64(total)

    def scale(self) -> np.ndarray:
        return 1 / np.maximum(np.sqrt(self.spread / max(int(self.seen), 1)), 1e-2)


def rollout(
    world: gymnasium.Env, policy: np.ndarray, learner: Learner, seed: int
) -> tuple[float, np.ndarray]:
    """Let the robot move until it falls; return its reward and what it sensed."""
    scale, mean = learner.scale(), learner.mean
    sense, _ = world.reset(seed=seed)
    reward, sensed, over = 0.0, [], False
    while not over:
        sensed.append(sense)
        sense, gain, fell, late, _ = world.step(policy @ ((sense - mean) * scale))
        reward += float(gain)
        over = fell or late
    return reward, np.array(sensed)


def one_round(world: gymnasium.Env, learner: Learner, chosen: argparse.Namespace) -> float:
    """Try directions on both sides, move along those that paid most; return the mean reward."""
    done = int(learner.rounds)
    chance = np.random.default_rng([chosen.seed, done])
    tries, sensed = [], []
    for number in range(chosen.directions):
        direction = chance.standard_normal(learner.policy.shape)
        seed = done * chosen.directions + number
        rewards = []
        for side in (1, -1):
            policy = learner.policy + side * chosen.noise * direction
            reward, senses = rollout(world, policy, learner, seed)
            rewards.append(reward)
            sensed.append(senses)
        tries.append((max(rewards), rewards, direction))
    tries.sort(key=lambda one: -one[0])
    best = tries[: chosen.best]
    spread = np.std([reward for _, rewards, _ in best for reward in rewards]) + 1e-6
    step = sum((rewards[0] - rewards[1]) * direction for _, rewards, direction in best)
    learner.policy = learner.policy + chosen.step / (len(best) * spread) * step
    for senses in sensed:
        learner.learn_scale(senses)
    learner.rounds = np.int64(done + 1)
    return float(np.mean([reward for _, rewards, _ in tries for reward in rewards]))


def main() -> int:
    """Train; return the exit code."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--robot", default="Hopper-v5", help="a MuJoCo world of gymnasium")
    options.add_argument("--rounds", type=int, default=150)
    options.add_argument("--directions", type=int, default=16, help="tried in a round")
    options.add_argument("--best", type=int, default=8, help="of them are followed")
    options.add_argument("--step", type=float, default=0.02)
    options.add_argument("--noise", type=float, default=0.03)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--save-every-s", type=float, default=10)
    chosen = options.parse_args()
    told: list[int] = []  # the pool asked us to leave; the round that runs is finished first
    signal.signal(signal.SIGUSR1, lambda number, _frame: told.append(number))

    world = gymnasium.make(chosen.robot)
    path = Path(os.environ.get("DURE_CHECKPOINT_DIR", ".")) / "walk.npz"
    shape = (*world.action_space.shape, *world.observation_space.shape)
    learner = Learner.load(path) if path.exists() else Learner.new(*shape)
    print(f"attempt {os.environ.get('DURE_ATTEMPT', '1')} goes on from round {learner.rounds}")
    saved_s = time.monotonic()
    while learner.rounds < chosen.rounds:
        reward = one_round(world, learner, chosen)
        print(f"round {learner.rounds} of {chosen.rounds}, reward {reward:.2f}", flush=True)
        if told or time.monotonic() - saved_s >= chosen.save_every_s:
            learner.save(path)
            saved_s = time.monotonic()
        if told:
            print(f"saved on notice after round {learner.rounds}", flush=True)
            return EXIT_SAVED
    learner.save(path)
    reward, _ = rollout(world, learner.policy, learner, chosen.seed)
    print(f"done: {chosen.robot} earns {reward:.0f} in one go", flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
