"""Signing in from the command line, and the file that keeps tokens."""

import json
import stat
from pathlib import Path

import pytest

from dure.cli.session import checked_url
from dure.services.access import Role
from tests.cli.serving import Shell
from tests.portal.filled_programme import PASSWORD


def sign_in(shell: Shell, user: str = "kang.min") -> None:
    done = shell("login", user, "--password-stdin", stdin=f"{PASSWORD}\n")
    assert (done.code, done.err) == (0, "")


def test_a_token_is_kept_for_its_owner_only_and_ends_with_logout(shell: Shell) -> None:
    sign_in(shell)
    file = shell.home / ".config" / "dure" / "tokens.json"
    mode, folder = file.stat().st_mode, file.parent.stat().st_mode
    kept = json.loads(file.read_text())
    token = kept[shell.url]["token"]
    inside = shell("whoami", "-o", "json")
    out = shell("logout")
    after = shell("whoami")

    assert (stat.S_IMODE(mode), stat.S_IMODE(folder)) == (0o600, 0o700)
    assert PASSWORD not in file.read_text()
    assert json.loads(inside.out)["user"] == "kang.min"
    assert out.code == 0 and json.loads(file.read_text()) == {}
    assert after.code == 1 and "Run: dure login" in after.err
    shell.set({"DURE_TOKEN": token})
    assert shell("whoami").code == 1, "the service ended the token, too"


def test_a_token_is_sent_to_the_service_that_gave_it_only(shell: Shell) -> None:
    sign_in(shell)
    other = shell.url.replace("127.0.0.1", "localhost")

    assert shell("whoami").code == 0
    assert shell("whoami", "--url", other).code == 1


def test_signing_in_again_replaces_the_token(shell: Shell) -> None:
    sign_in(shell, "kang.min")
    sign_in(shell, "noh.dain")

    assert "noh.dain" in shell("whoami").out


def test_the_token_of_the_environment_comes_first(shell: Shell) -> None:
    sign_in(shell, "kang.min")
    shell.be(Role.AUDITOR)

    assert "noh.dain" in shell("whoami").out


def test_xdg_says_where_the_file_is(shell: Shell) -> None:
    shell.set({"XDG_CONFIG_HOME": str(shell.home / "elsewhere")})
    sign_in(shell)

    assert (shell.home / "elsewhere" / "dure" / "tokens.json").is_file()


def test_a_wrong_password_is_one_line(shell: Shell) -> None:
    done = shell("login", "kang.min", "--password-stdin", stdin="wrong\n")

    assert (done.code, done.out, done.err.count("\n")) == (1, "", 1)
    assert done.err.startswith("dure login: The name or the password is wrong.")


def test_a_damaged_file_says_what_to_do(shell: Shell) -> None:
    sign_in(shell)
    (shell.home / ".config" / "dure" / "tokens.json").write_text("[")
    done = shell("whoami")

    assert done.code == 1 and "Remove it and sign in again" in done.err


def test_signing_out_without_the_service_forgets_the_token_here(shell: Shell) -> None:
    file = shell.home / ".config" / "dure" / "tokens.json"
    file.parent.mkdir(parents=True)
    gone = "http://127.0.0.1:9"
    file.write_text(json.dumps({gone: {"user": "u", "token": "t", "token_id": "i",
                                       "expires_at_s": 1_780_000_000}}))  # fmt: skip
    done = shell("logout", "--url", gone)

    assert done.code == 1 and "could not be told" in done.err and done.err.count("\n") == 1
    assert json.loads(file.read_text()) == {}


def test_nobody_to_sign_out_is_no_mistake(shell: Shell) -> None:
    done = shell("logout")

    assert done.code == 0 and "Nobody is signed in" in done.err


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("http://127.0.0.1:8470/", "http://127.0.0.1:8470"),
        ("http://localhost:80", "http://localhost:80"),
        ("https://dure.example/pool/", "https://dure.example/pool"),
        ("http://[::1]:8470", "http://[::1]:8470"),
    ],
)
def test_an_address_has_one_spelling(given: str, expected: str) -> None:
    assert checked_url(given) == expected


@pytest.mark.parametrize(
    "wrong",
    ["http://dure.example", "ftp://127.0.0.1", "127.0.0.1:8470", "http://", "http://u:p@localhost",
     "http://127.0.0.1:port", "http://[::1", "http://127.0.0.1.evil.example", ""],
)  # fmt: skip
def test_a_password_never_crosses_a_network_in_clear(shell: Shell, wrong: str) -> None:
    done = shell("login", "kang.min", "--password-stdin", "--url", wrong, stdin=PASSWORD)

    assert (done.code, done.err.count("\n")) == (2, 1), done


def test_the_folder_must_be_one_that_can_be_written(shell: Shell) -> None:
    Path(shell.home / "file").write_text("")
    shell.set({"XDG_CONFIG_HOME": str(shell.home / "file")})
    done = shell("login", "kang.min", "--password-stdin", stdin=PASSWORD)

    assert (done.code, done.err.count("\n")) == (1, 1)
