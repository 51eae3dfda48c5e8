"""The first accounts: invented people, one a role, to try a fresh platform at once."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass

from dure.services.access import Role
from dure.services.people import People

# Twelve letters and digits in threes: 60 bits, easy to copy from a terminal.
PASSWORD_BYTES, GROUP_LETTERS, PASSWORD_LETTERS = 10, 4, 12


@dataclass(frozen=True, slots=True)
class _Invented:
    user: str
    name: str
    roles: tuple[Role, ...]
    is_of_project: bool = False
    is_of_provider: bool = False


# Names are invented; each says so in every list ("시범").
INVENTED = (
    _Invented("seo.yun", "서윤아", (Role.APPLICANT,), is_of_project=True),
    _Invented("kang.min", "강민호", (Role.MEMBER,), is_of_project=True),
    _Invented("im.jiwon", "임지원", (Role.REVIEWER,)),
    _Invented("ha.eun", "하은정", (Role.OPERATOR,)),
    _Invented("bae.jun", "배준서", (Role.PROVIDER,), is_of_provider=True),
    _Invented("noh.dain", "노다인", (Role.AUDITOR,)),
    _Invented("admin", "관리자", (Role.ADMIN,)),
)


def first_accounts(
    people: People, *, projects: Sequence[str] = (), provider: str = ""
) -> list[tuple[str, str, str]]:
    """Make sure that there is an invented person for each role, and return how to sign in.

    Passwords are made on the spot and kept nowhere in clear, so those who exist already get a new
    one: what is printed always works. Their API tokens stay valid. A real person who has one of
    these names is left alone.

    Args:
        projects: what the applicant and the member belong to.
        provider: for whom the provider's operator works.

    Returns:
        (role, user, password) for each role but the public one.
    """
    shown = []
    for one in INVENTED:
        known = people.account(one.user)
        if known is not None and not known.is_demo:
            continue
        password = _password(people)
        if known is None:
            people.add(
                one.user,
                password,
                roles=one.roles,
                by="rule:first-accounts",
                display_name=f"{one.name} (시범)",
                projects=projects if one.is_of_project else (),
                provider=provider if one.is_of_provider else "",
                is_demo=True,
            )
        else:
            people.change_password(one.user, password, by="rule:first-accounts")
        shown.append((one.roles[0].value, one.user, password))
    return shown


def renew_password(people: People, who: str) -> tuple[str, str] | None:
    """Give an account a new password, made on the spot.

    Args:
        who: a user's name, or a role: then its invented person.

    Returns:
        (user, password), or None if there is no such account.
    """
    user = next((one.user for one in INVENTED if who in [role.value for role in one.roles]), who)
    if people.account(user) is None:
        return None
    password = _password(people)
    people.change_password(user, password, by="rule:passwd")
    return user, password


def _password(people: People) -> str:
    letters = base64.b32encode(people.random_bytes(PASSWORD_BYTES)).decode().lower()
    letters = letters[:PASSWORD_LETTERS]
    groups = range(0, PASSWORD_LETTERS, GROUP_LETTERS)
    return "-".join(letters[start : start + GROUP_LETTERS] for start in groups)
