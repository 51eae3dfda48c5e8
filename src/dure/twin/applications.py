"""Imagined applications and reviewers of a round: synthetic, seeded, true to published inputs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal, TypeVar

import msgspec
import numpy as np
import yaml

from dure.core.calls.model import Call
from dure.core.conflicts import Reviewer
from dure.core.errors import InputError
from dure.core.rates import RATES
from dure.core.sizing import Sizing
from dure.services.requests.call_yaml import read_call
from dure.twin.parameters import MODELS

ROUND_2026_1 = MODELS / "round-2026-1.yaml"
NODE_GPUS = 8
DAY_S = 86_400

T = TypeVar("T")


class Cell(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Applications of one group for one accelerator: how many, and the servers they ask in all."""

    group: str
    accelerator: str
    applications: int
    servers: int = 0
    sizes: tuple[int, ...] = ()


class CallModel(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is imagined about a call: its dates after the closing, and what will be asked of it.

    Attributes:
        file: the call itself, in ``models/calls``.
        number, rule: of the call, if not the file's: many rounds alike, decided otherwise.
    """

    file: str
    reviewed_from: str
    reviewed_to: str
    decided: str
    declined: str
    signed: str
    cells: tuple[Cell, ...]
    declines: int = 0
    number: str = ""
    rule: Literal["", "rank", "optimum"] = ""

    @property
    def terms(self) -> Call:
        """The call with all its rules."""
        return model_call(self.file, self.number, self.rule)


class RoundModel(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The parameters of ``models/round-2026-1.yaml``; the file explains each."""

    published: dict[str, int | dict[str, int]]
    calls: tuple[CallModel, ...]
    servers_weights: dict[int, int]
    months_weights: dict[int, int]
    arrival_beta: tuple[float, float]
    organisations: dict[str, int]
    reviewers: dict[str, int]
    worth: dict[str, float]
    severity_spread: float
    review_spread: float
    criterion_spread: float
    work_weights: dict[str, int]
    evidence_of_asked: dict[str, float]
    parameters_m: tuple[int, ...]
    tokens_m_max: int
    grade_weights: dict[str, int]
    region_weights: dict[str, int]
    category_weights: dict[str, dict[str, int]]
    names: dict[str, tuple[str, str]]
    fields: tuple[tuple[str, str], ...]
    titles: dict[str, tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Imagined:
    """An imagined application: its form, when it comes in, and what its proposal is worth."""

    at_s: int
    lead: str
    fields: Mapping[str, object]
    worth: float


@cache
def model_call(file: str, number: str = "", rule: str = "") -> Call:
    """Read a call of ``models/calls``, under another number and with another rule if given.

    Raises:
        InputError: for a file that is not there, or is no call.
    """
    path = MODELS / "calls" / file
    try:
        found = read_call(path.read_text(encoding="utf-8"), file)
    except OSError as error:
        raise InputError(str(path), found=str(error), expected="a call") from error
    if not isinstance(found, Call):
        raise InputError(file, found=str(found[0]), expected="a call without mistakes")
    return msgspec.structs.replace(found, call=number or found.call, rule=rule or found.rule)


def read_round(path: Path = ROUND_2026_1) -> RoundModel:
    """Read a round's parameters.

    Raises:
        InputError: for a file that is not there, is no YAML, or has a value it cannot have.
    """
    try:
        tree = yaml.safe_load(path.read_text(encoding="utf-8"))
        return msgspec.convert(tree, RoundModel, strict=False)
    except OSError as error:
        raise InputError(str(path), found=str(error), expected="a file of parameters") from error
    except (yaml.YAMLError, msgspec.ValidationError) as error:
        raise InputError(path.name, found=str(error), expected="a round's parameters") from error


def imagine_applications(
    model: RoundModel, call: CallModel, rng: np.random.Generator
) -> list[Imagined]:
    """Draw the applications of a call in the order in which they come in.

    Number and GPUs asked are exactly those of the call's cells; all else is drawn.
    """
    cells = [(cell, size) for cell in call.cells for size in _sizes(model, call, cell, rng)]
    opens_s, closes_s = call.terms.opens_at_s, call.terms.closes_at_s
    share = rng.beta(*model.arrival_beta, size=len(cells))
    moments = opens_s + np.sort((share * (closes_s - opens_s)).astype(np.int64))
    order = rng.permutation(len(cells))
    return [
        _imagine(model, call, *cells[int(which)], lead=place + 1, at_s=int(at_s), rng=rng)
        for place, (which, at_s) in enumerate(zip(order, moments, strict=True))
    ]


def imagine_reviewers(
    model: RoundModel, rng: np.random.Generator
) -> tuple[list[Reviewer], dict[str, float]]:
    """Draw the reviewers with their organisations, and what each adds to every mark."""
    parties: list[Reviewer] = []
    for group, count in model.reviewers.items():
        homes = rng.choice(model.organisations[group], size=count, replace=False)
        for home in homes:
            name = f"reviewer-{len(parties) + 1:02d}"
            parties.append(Reviewer(name, _organisation(model, group, int(home))))
    adds = rng.normal(0, model.severity_spread, size=len(parties))
    return parties, {one.name: float(add) for one, add in zip(parties, adds, strict=True)}


def imagine_marks(
    model: RoundModel,
    rubric: Sequence[str],
    *,
    worth: float,
    adds: float,
    rng: np.random.Generator,
) -> dict[str, int]:
    """Draw one reviewer's marks of one application, 0 .. 100 points for each criterion."""
    seen = worth + adds + rng.normal(0, model.review_spread)
    points = np.rint(seen + rng.normal(0, model.criterion_spread, size=len(rubric)))
    return {
        criterion: int(min(max(point, 0), 100))
        for criterion, point in zip(rubric, points, strict=True)
    }


def _sizes(model: RoundModel, call: CallModel, cell: Cell, rng: np.random.Generator) -> list[int]:
    """Draw the GPUs that each application of a cell asks, to the cell's sum exactly."""
    if cell.sizes:
        assert len(cell.sizes) == cell.applications, f"{call.file}: sizes of {cell.group}"
        return list(cell.sizes)
    cap = call.terms.caps[cell.accelerator] // NODE_GPUS
    assert cell.applications <= cell.servers <= cap * cell.applications
    choices = {size: weight for size, weight in model.servers_weights.items() if size <= cap}
    servers = np.array([_pick(choices, rng) for _ in range(cell.applications)])
    while (missing := cell.servers - int(servers.sum())) != 0:
        step = 1 if missing > 0 else -1
        movable = np.flatnonzero((servers + step >= 1) & (servers + step <= cap))
        servers[rng.choice(movable)] += step
    return [int(size) * NODE_GPUS for size in servers]


def _imagine(
    model: RoundModel,
    call: CallModel,
    cell: Cell,
    gpus: int,
    *,
    lead: int,
    at_s: int,
    rng: np.random.Generator,
) -> Imagined:
    national = cell.group == "national"
    kind = "pretraining" if national else _pick(model.work_weights, rng)
    months = call.terms.months_max if national else _pick(model.months_weights, rng)
    field_ko, field_en = model.fields[int(rng.integers(len(model.fields)))]
    title_ko, title_en = model.titles[kind]
    home = lead - 1 if national else int(rng.integers(model.organisations[cell.group]))
    fields: dict[str, object] = {
        "title_ko": title_ko.format(field=field_ko),
        "title_en": title_en.format(field=field_en),
        "organisation": _organisation(model, cell.group, home),
        "group": cell.group,
        "category": _pick(model.category_weights[cell.group], rng),
        "accelerator": cell.accelerator,
        "gpus": gpus,
        "months": months,
        "region": _pick(model.region_weights, rng),
        "grade": _pick(model.grade_weights, rng),
        "work_kind": kind,
    }
    if kind in ("pretraining", "finetuning"):
        fields |= _training(model, cell.accelerator, gpus, months, rng, at_least=national)
    worth = float(rng.normal(model.worth["mean"], model.worth["spread"]))
    # National projects were chosen by the state before they come here.
    worth = max(worth, 75.0) if national else worth
    return Imagined(at_s, f"pi-{call.terms.call}-{lead:04d}", fields, worth)


def _training(
    model: RoundModel,
    accelerator: str,
    gpus: int,
    months: int,
    rng: np.random.Generator,
    *,
    at_least: bool,
) -> dict[str, object]:
    """Draw a model and the tokens that need about as many GPUs as are asked."""
    rules = Sizing()
    spread = model.evidence_of_asked["spread"]
    needed = gpus * model.evidence_of_asked["median"] * float(np.exp(rng.normal(0, spread)))
    needed = max(needed, gpus) if at_least else needed
    one_gpu = RATES[accelerator].peak_tflops * rules.mfu_milli * rules.available_milli * months * 30
    product = needed * one_gpu * DAY_S / (6 * rules.trials_milli * 1000)
    # A large award trains a large model: nobody has more than so many tokens.
    fitting = [size for size in model.parameters_m if product / size <= model.tokens_m_max]
    parameters_m = int(rng.choice(np.array(fitting or [max(model.parameters_m)])))
    return {"parameters_m": parameters_m, "tokens_m": max(1, int(product / parameters_m))}


def _organisation(model: RoundModel, group: str, home: int) -> str:
    return f"{model.names[group][0]} {home + 1}"


def _pick(weights: Mapping[T, int], rng: np.random.Generator) -> T:
    names = list(weights)
    parts = np.array([weights[name] for name in names], dtype=float)
    return names[int(rng.choice(len(names), p=parts / parts.sum()))]
