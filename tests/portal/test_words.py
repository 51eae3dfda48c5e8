"""The words of the screens: every key that a page asks for is there, and none is left over."""

import re
from importlib import resources
from itertools import product

import pytest

from dure.core.columns import JOB_STATES, LEVELS
from dure.portal.words import problem_words
from dure.reports.messages import catalogue, has
from dure.services.access import Role
from dure.services.desks import CancelAnswer
from dure.services.people import SignInRefusal
from dure.services.programme_views import FieldProblem
from dure.services.stories import END_CAUSES
from dure.services.views import DEVICE_STATES
from dure.services.words import REFUSALS

TEMPLATES = {
    file.name: file.read_text(encoding="utf-8")
    for file in (resources.files("dure.portal") / "templates").iterdir()
}
CODE = "\n".join(
    file.read_text(encoding="utf-8")
    for file in resources.files("dure.portal").iterdir()
    if file.name.endswith(".py")
)
ALL = "\n".join(TEMPLATES.values()) + CODE
WHOLE_KEY = re.compile(r"""\bt\(["']([a-z_.]+[a-z_0-9])["'][,)]""")
# Families whose keys are built from a code; the second part says which codes there are.
FAMILIES = {
    "kind": DEVICE_STATES,
    "kind_help": DEVICE_STATES,
    "jobstate": JOB_STATES,
    "end_cause": END_CAUSES,
    "stop_by": ["reclaimed", "yielded", "preempted", "ordered"],
    "role": [role.value for role in Role],
    "whyshort": [refusal for refusal in REFUSALS if refusal],
    "use": ["public", "own", "mixed"],
    "theme": ["auto", "light", "dark"],
    "level": LEVELS[:-1],
    "asked_value": ["yes", "no", "locality_required", "locality_preferred"],
}
# Codes of others, shown by `code(...)`: their own rooms test that they are whole.
OF_OTHERS = (
    "why", "help", "asked", "asked_value", "level", "member_role", "reclaim_outcome", "call_status",
    "stage", "stage_state", "stage_need",
)  # fmt: skip


def asked_for() -> set[str]:
    """Return every key that stands in a template or page as a whole."""
    return set(WHOLE_KEY.findall(ALL)) | set(re.findall(r'text\(\s*lang, "([a-z_.]+)"', CODE))


def beginnings() -> set[str]:
    """Return the beginnings of keys that a page completes (``t("kind." ~ kind)``)."""
    return set(re.findall(r't\("([a-z_]+\.[a-z_]*)" ~', ALL)) | {
        "lending.",
        "submit.",
        "me.problem_",
        "login.problem_",
    }


@pytest.mark.parametrize("name", sorted(TEMPLATES))
def test_every_sentence_of_a_template_is_in_the_catalogues(name: str) -> None:
    keys = WHOLE_KEY.findall(TEMPLATES[name])

    assert [key for key in keys if not has(key)] == []


@pytest.mark.parametrize(
    "key", [f"{family}.{code}" for family, codes in FAMILIES.items() for code in codes]
)
def test_every_code_that_a_page_shows_has_its_words(key: str) -> None:
    assert has(key)


def test_answers_and_refusals_of_forms_have_their_words() -> None:
    codes = ("forbidden", "missing", "stale_form", "input", "conflict", "too_large", "broken")
    keys = [f"error.{code}.{part}" for code, part in product(codes, ("title", "text"))]
    keys += [f"login.problem_{one.value}" for one in SignInRefusal] + ["login.problem_ended"]
    keys += [f"job.answer_{one.value}" for one in CancelAnswer if one.value != "not_found"]
    keys += [
        f"me.problem_{code}"
        for code in ("wrong_password", "not_the_same", "password_length", "token")
    ]

    assert [key for key in keys if not has(key)] == []


def test_no_sentence_of_the_portal_is_left_over() -> None:
    own = set()
    for file in (resources.files("dure.reports") / "messages").iterdir():
        if file.name == "portal.ko.yaml":
            own = set(re.findall(r"^([a-z_]+):", file.read_text(encoding="utf-8"), re.M))
    used, begun = asked_for(), tuple(beginnings())
    families = (*FAMILIES, *OF_OTHERS, "error", "nav")
    left = [
        key
        for key in catalogue("ko")
        if key.split(".")[0] in own - set(families)
        and key not in used
        and not key.startswith(begun)
    ]

    assert left == []


def test_a_problem_speaks_of_answers_in_words() -> None:
    numbers = {"rule": 1, "found": "startup", "offered": "sme, midsize, 협동조합"}
    problem = FieldProblem("category", "RuleAdmitsOthers", numbers)

    assert problem_words("ko", problem) == (
        "공모의 신청 자격 1번: 중소기업, 중견기업, 협동조합만 신청할 수 있습니다. "
        "적은 값은 창업기업입니다."
    )
