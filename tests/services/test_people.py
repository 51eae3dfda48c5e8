"""Accounts, sessions, tokens: what opens a door, for how long, and what ends it."""

import hashlib
from collections.abc import Callable

import pytest
from argon2 import PasswordHasher

from dure.core.errors import InputError
from dure.ledger.codec import decode_events, encode_events
from dure.ledger.memory import MemoryLedger
from dure.services.access import PUBLIC_ACTOR, Role
from dure.services.book import Book
from dure.services.first_accounts import first_accounts
from dure.services.people import (
    FREE_FAILURES,
    HOLD_S_FIRST,
    HOLD_S_MAX,
    SESSION_S,
    TOKENS_MAX,
    People,
    SignedIn,
    SignInRefusal,
)

PASSWORD = "correct-horse-battery"
CHEAP = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


class Clock:
    at_s = 1_000_000

    def now_s(self) -> int:
        return self.at_s


class Setting:
    """People over one ledger; ``again`` is the same after a restart."""

    def __init__(self) -> None:
        self.ledger, self.clock, self.count = MemoryLedger(), Clock(), 0
        self.people = self.again()
        self.people.add("kang.min", PASSWORD, roles=[Role.MEMBER], by="test", projects=["p-1"])

    def again(self) -> People:
        book = Book(self.ledger, encode=encode_events, decode=decode_events)
        people = People(book, self.clock, self.random, hasher=CHEAP)
        book.catch_up()
        return people

    def random(self, length: int) -> bytes:
        self.count += 1
        return hashlib.sha256(str(self.count).encode()).digest()[:length]

    def sign_in(self, password: str = PASSWORD, address: str = "here") -> SignedIn | SignInRefusal:
        return self.people.sign_in("kang.min", password, address=address)

    def session(self) -> SignedIn:
        answer = self.sign_in()
        assert isinstance(answer, SignedIn)
        return answer


@pytest.fixture
def setting() -> Setting:
    return Setting()


def test_a_session_opens_with_the_password_and_ends_with_its_time(setting: Setting) -> None:
    signed_in = setting.session()

    assert setting.people.actor_of_session(signed_in.token).projects == {"p-1"}
    setting.clock.at_s += SESSION_S
    assert setting.people.actor_of_session(signed_in.token) == PUBLIC_ACTOR


def test_a_restart_keeps_sessions_and_tokens(setting: Setting) -> None:
    signed_in = setting.session()
    text, _ = setting.people.issue_token("kang.min", label="ci", days=1, by="kang.min")

    restarted = setting.again()

    assert restarted.actor_of_session(signed_in.token).user == "kang.min"
    assert restarted.actor_of_token(text).user == "kang.min"


@pytest.mark.parametrize(
    "end",
    [
        lambda people, token: people.sign_out(token),
        lambda people, _: people.change_password("kang.min", PASSWORD, by="kang.min"),
        lambda people, _: people.change_roles("kang.min", [Role.MEMBER], by="admin", projects=[]),
        lambda people, _: people.disable("kang.min", by="admin", reason="left"),
    ],
)
def test_signing_out_a_new_password_other_roles_and_disabling_end_a_session(
    setting: Setting, end: Callable[[People, str], None]
) -> None:
    signed_in = setting.session()

    end(setting.people, signed_in.token)

    assert setting.people.actor_of_session(signed_in.token) == PUBLIC_ACTOR


def test_neither_a_password_nor_a_token_is_in_the_ledger(setting: Setting) -> None:
    signed_in = setting.session()
    text, _ = setting.people.issue_token("kang.min", label="ci", days=1, by="kang.min")
    written = b"".join(record.payload for record in setting.ledger.read())

    assert b"argon2id" in written
    for secret in (PASSWORD, signed_in.token, text):
        assert secret.encode() not in written


def test_an_unknown_name_is_answered_like_a_wrong_password(setting: Setting) -> None:
    assert setting.sign_in("wrong-password") is SignInRefusal.WRONG
    assert setting.people.sign_in("nobody", "x", address="here") is SignInRefusal.WRONG


def test_a_disabled_account_does_not_sign_in(setting: Setting) -> None:
    text, _ = setting.people.issue_token("kang.min", label="ci", days=1, by="kang.min")
    setting.people.disable("kang.min", by="admin", reason="left")

    assert setting.sign_in() is SignInRefusal.WRONG
    assert setting.people.actor_of_token(text) == PUBLIC_ACTOR


def test_a_password_set_by_another_process_counts_at_once_and_ends_the_waiting(
    setting: Setting,
) -> None:
    elsewhere = setting.again()
    for _ in range(FREE_FAILURES):
        setting.sign_in("forgotten-password")

    elsewhere.change_password("kang.min", "a-new-password", by="admin")

    assert setting.sign_in() is SignInRefusal.WRONG
    assert isinstance(setting.sign_in("a-new-password"), SignedIn)


def test_wrong_passwords_are_held_longer_each_time_and_only_from_their_address(
    setting: Setting,
) -> None:
    for _ in range(FREE_FAILURES - 1):
        assert setting.sign_in("wrong-password") is SignInRefusal.WRONG
    assert setting.sign_in("wrong-password") is SignInRefusal.HELD
    assert setting.sign_in() is SignInRefusal.HELD
    assert isinstance(setting.sign_in(address="elsewhere"), SignedIn)

    setting.clock.at_s += HOLD_S_FIRST
    assert setting.sign_in("wrong-password") is SignInRefusal.HELD
    setting.clock.at_s += HOLD_S_FIRST
    assert setting.sign_in() is SignInRefusal.HELD
    setting.clock.at_s += HOLD_S_MAX
    assert isinstance(setting.sign_in(), SignedIn)


def test_guessing_writes_one_line_a_hold_not_one_a_guess(setting: Setting) -> None:
    before, _ = setting.ledger.head()

    for _ in range(20):
        setting.sign_in("wrong-password")

    assert setting.ledger.head()[0] - before == 1


def test_a_token_speaks_for_its_user_until_revoked_or_expired(setting: Setting) -> None:
    people = setting.people
    text, token = people.issue_token("kang.min", label="ci", days=1, by="kang.min")
    other, _ = people.issue_token("kang.min", label="two", days=2, by="kang.min")

    assert people.actor_of_token(text).roles >= {Role.MEMBER, Role.PUBLIC}
    people.revoke_token(token.token, by="kang.min")
    people.revoke_token(token.token, by="kang.min")
    assert people.actor_of_token(text) == PUBLIC_ACTOR
    setting.clock.at_s += 2 * 86_400
    assert people.actor_of_token(other) == PUBLIC_ACTOR


def test_a_user_has_a_limited_number_of_tokens(setting: Setting) -> None:
    for _ in range(TOKENS_MAX):
        setting.people.issue_token("kang.min", label="ci", days=1, by="kang.min")

    with pytest.raises(InputError, match="Revoke one first"):
        setting.people.issue_token("kang.min", label="ci", days=1, by="kang.min")
    setting.people.issue_token("kang.min", label="ci", days=1, by="kang.min", makes_room=True)
    assert len(setting.people.tokens_of("kang.min")) == TOKENS_MAX


@pytest.mark.parametrize("name", ["", "a", "Kang", "kang min", "1kang", "k" * 41, "강민호"])
def test_names_that_could_mislead_are_refused(setting: Setting, name: str) -> None:
    with pytest.raises(InputError, match="user"):
        setting.people.add(name, PASSWORD, roles=[], by="test")


def test_a_name_is_given_once_and_a_password_has_a_length(setting: Setting) -> None:
    with pytest.raises(InputError, match="not yet taken"):
        setting.people.add("kang.min", PASSWORD, roles=[], by="test")
    with pytest.raises(InputError, match="password"):
        setting.people.add("other", "short", roles=[], by="test")


def test_first_accounts_stand_for_each_role_and_what_is_printed_always_works() -> None:
    empty = Setting()
    empty.ledger = MemoryLedger()
    people = empty.again()
    once = first_accounts(people, projects=["p-1"], provider="naver-cloud")
    again = first_accounts(people)

    for shown in (once, again):
        assert {role for role, _, _ in shown} == {role.value for role in Role} - {"public"}
    for _, user, password in again:
        assert isinstance(people.sign_in(user, password, address="here"), SignedIn)
    provider = people.account("bae.jun")
    assert provider is not None and provider.provider == "naver-cloud" and provider.is_demo


def test_first_accounts_leave_a_real_person_of_the_same_name_alone(setting: Setting) -> None:
    shown = first_accounts(setting.people)

    assert "kang.min" not in {user for _, user, _ in shown}
    assert isinstance(setting.sign_in(), SignedIn)
