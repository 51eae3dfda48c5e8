"""Files of a project on pages that need no script: upload, folders, snapshots."""

import re

import pytest

from dure.services.access import Role
from dure.services.desks import Services
from tests.portal.filled_programme import QUOTA_BYTES, filled_services
from tests.portal.visiting import visiting

PAGE = "/projects/p-2026-1-0003/data"


@pytest.fixture
def services() -> Services:
    return filled_services()


def test_a_file_is_uploaded_listed_and_removed_without_a_script(services: Services) -> None:
    with visiting(services, Role.MEMBER) as visit:
        sent = visit.post(
            f"{PAGE}/upload", {"path": "sets"}, files={"file": ("C:\\x\\가 나.bin", b"\0\1\2")}
        )
        shown = visit.get(sent.headers["location"]).text
        link = re.search(r'href="(/api/v1[^"]+%EA%B0%80[^"]+)"', shown)
        removed = visit.post(f"{PAGE}/remove", {"path": "sets", "name": "가 나.bin"})
        after = visit.get(removed.headers["location"]).text

    assert sent.status_code == removed.status_code == 303
    assert "파일을 올렸습니다" in shown and link is not None
    assert link[1] == "/api/v1/projects/p-2026-1-0003/files/sets/%EA%B0%80%20%EB%82%98.bin"
    assert "가 나.bin" not in after and "시험.csv" in after


def test_what_is_beyond_the_quota_comes_back_with_both_numbers(services: Services) -> None:
    with visiting(services, Role.MEMBER) as visit:
        answer = visit.post(f"{PAGE}/upload", files={"file": ("big", b"x" * (QUOTA_BYTES + 1))})

    assert answer.status_code == 422
    assert "과제 한도 1 MiB 가운데 1,023 KiB만 남았습니다" in answer.text


def test_what_jobs_wrote_beyond_the_quota_is_told_on_the_projects_page(services: Services) -> None:
    folder = services.storage._files.folder("p-2026-1-0003")  # type: ignore[attr-defined]
    (folder / "of-a-job").write_bytes(b"x" * (QUOTA_BYTES + 4096))
    for role in (Role.MEMBER, Role.OPERATOR):
        with visiting(services, role) as visit:
            html = visit.get("/projects/p-2026-1-0003").text
        assert "한도를 4.1 KiB 넘었습니다" in html
        assert (PAGE in html) == (role is Role.MEMBER)


def test_a_snapshot_is_taken_and_restored_only_by_who_agrees(services: Services) -> None:
    with visiting(services, Role.MEMBER) as visit:
        taken = visit.post(f"{PAGE}/snapshot", {"name": "one"})
        visit.post(f"{PAGE}/remove", {"path": "", "name": "sets", "all": "1"})
        asked = visit.post(f"{PAGE}/restore", {"name": "one"})
        between = visit.get(PAGE).text
        done = visit.post(f"{PAGE}/restore", {"name": "one", "sure": "1"})
        shown = visit.get(done.headers["location"]).text

    assert (taken.status_code, asked.status_code, done.status_code) == (303, 422, 303)
    assert "동의란에 표시해" in asked.text
    assert "sets/" not in between and "sets/" in shown


@pytest.mark.parametrize(
    ("what", "form"),
    [
        ("upload", {"path": ""}),
        ("folder", {"name": ""}),
        ("folder", {"name": "../x"}),
        ("remove", {"name": "nothing"}),
        ("remove", {"name": "sets"}),
        ("remove", {"name": "sets/시험.csv"}),
        ("snapshot", {"name": "../x"}),
        ("restore", {"name": "nothing", "sure": "1"}),
    ],
)
def test_a_wrong_wish_comes_back_with_a_sentence(
    services: Services, what: str, form: dict[str, str]
) -> None:
    with visiting(services, Role.MEMBER) as visit:
        answer = visit.post(f"{PAGE}/{what}", form)

    assert answer.status_code == 422
    assert 'role="alert"' in answer.text
    assert services.storage._files.names("p-2026-1-0003", ("sets",)) == ["시험.csv"]


@pytest.mark.parametrize("path", ["?path=nothing", "?path=..", "?path=notes.txt", "?path=a%00"])
def test_a_folder_that_is_none_is_missing(services: Services, path: str) -> None:
    with visiting(services, Role.MEMBER) as visit:
        assert visit.get(PAGE + path).status_code == 404


def test_a_foreign_projects_files_are_missing(services: Services) -> None:
    foreign = PAGE.replace("0003", "0001")
    with visiting(services, Role.MEMBER) as visit:
        assert visit.get(foreign).status_code == 404
        for what in ("upload", "folder", "remove", "snapshot", "restore"):
            assert visit.post(f"{foreign}/{what}", {"name": "a", "sure": "1"}).status_code == 404


def test_an_upload_of_another_session_is_refused(services: Services) -> None:
    with visiting(services, Role.MEMBER) as visit:
        answer = visit.client.post(
            f"{PAGE}/upload", data={"csrf": "x"}, files={"file": ("a", b"x")}
        )

    assert answer.status_code == 403
    assert services.storage._files.names("p-2026-1-0003", ()) == ["notes.txt", "sets"]


def test_what_nobody_may_send_is_not_read(services: Services) -> None:
    def endless():  # type: ignore[no-untyped-def]
        raise AssertionError("it was read")
        yield b""

    with visiting(services) as visit:
        answer = visit.client.post(
            f"{PAGE}/upload",
            content=endless(),
            headers={"content-type": "multipart/form-data; boundary=x"},
            follow_redirects=False,
        )

    assert answer.status_code == 401
