"""Files of projects through the API: parts, sums, ranges, the quota, and whose they are."""

import hashlib
from pathlib import Path

import pytest
from httpx import Response

from dure.core.errors import DriverError
from dure.core.events.storage import FileUploaded, SnapshotTaken
from dure.services.access import Role
from dure.services.desks import Services
from tests.api.calling import Caller, calling
from tests.portal.filled_programme import QUOTA_BYTES, filled_services

P = "/projects/p-2026-1-0003"
FOREIGN = "/projects/p-2026-1-0001"


@pytest.fixture
def services() -> Services:
    return filled_services()


def put(
    caller: Caller, path: str, content: bytes, *, sha256: str = "", span: str = "", shelf: str = P
) -> Response:
    sha256 = sha256 or hashlib.sha256(content).hexdigest()
    headers = dict(caller.headers)
    if span:
        headers["content-range"] = f"bytes {span}"
    address = f"/api/v1{shelf}/files/{path}"
    return caller.client.put(address, params={"sha256": sha256}, content=content, headers=headers)


def codes(answer: Response) -> list[str]:
    return [one["code"] for one in answer.json()["errors"]]


def test_a_file_goes_up_in_parts_and_comes_down_in_parts(services: Services) -> None:
    content = bytes(range(256)) * 20
    sha256 = hashlib.sha256(content).hexdigest()
    with calling(services, Role.MEMBER) as caller:
        first = put(caller, "a/가.bin", content[:2000], sha256=sha256, span="0-1999/5120")
        asked = put(caller, "a/가.bin", b"", sha256=sha256, span="*/5120")
        astray = put(caller, "a/가.bin", content[3000:], sha256=sha256, span="3000-5119/5120")
        last = put(caller, "a/가.bin", content[2000:], sha256=sha256, span="2000-5119/5120")
        whole = caller.get(f"{P}/files/a/가.bin")
        tag = whole.headers["etag"]
        middle = caller.get(f"{P}/files/a/가.bin", **{"range": "bytes=100-199", "if-range": tag})
        tail = caller.get(f"{P}/files/a/가.bin", range="bytes=-20")
        summed = caller.get(f"{P}/checksum?path=a/가.bin").json()

    assert [one.status_code for one in (first, asked, astray, last)] == [202, 202, 409, 201]
    assert asked.json()["offset"] == 2000
    assert codes(astray) == ["PartOutOfPlace"]
    assert whole.status_code == 200 and whole.content == content
    assert middle.status_code == 206 and middle.content == content[100:200]
    assert middle.headers["content-range"] == "bytes 100-199/5120"
    assert tail.content == content[-20:]
    assert (summed["sha256"], summed["bytes"]) == (sha256, 5120)
    assert f'"{summed["etag"]}"' == tag


def test_a_part_sent_twice_is_passed_over(services: Services) -> None:
    content = b"0123456789"
    sha256 = hashlib.sha256(content).hexdigest()
    with calling(services, Role.MEMBER) as caller:
        for span in ("0-4/10", "0-4/10", "2-6/10"):
            begin, _, end = span.partition("/")[0].partition("-")
            part = content[int(begin) : int(end) + 1]
            assert put(caller, "a", part, sha256=sha256, span=span).status_code == 202
        assert put(caller, "a", content, sha256=sha256).status_code == 201
        assert caller.get(f"{P}/files/a").content == content


@pytest.mark.parametrize(
    ("asked", "status", "content"),
    [
        ("bytes=0-", 206, b"0123456789"),
        ("bytes=3-5", 206, b"345"),
        ("bytes=8-999", 206, b"89"),
        ("bytes=-3", 206, b"789"),
        ("bytes=-999", 206, b"0123456789"),
        ("bytes=10-", 416, b""),
        ("bytes=5-4", 416, b""),
        ("bytes=-0", 416, b""),
        ("bytes=0-1,4-5", 200, b"0123456789"),
        ("lines=1-2", 200, b"0123456789"),
        ("bytes=-", 200, b"0123456789"),
    ],
)
def test_a_range_is_what_rfc_9110_says(
    services: Services, asked: str, status: int, content: bytes
) -> None:
    with calling(services, Role.MEMBER) as caller:
        put(caller, "a", b"0123456789")
        answer = caller.get(f"{P}/files/a", range=asked)

    assert (answer.status_code, answer.content) == (status, content)
    if status == 416:
        assert answer.headers["content-range"] == "bytes */10"


def test_a_range_of_another_state_gives_the_whole_and_an_unchanged_file_nothing(
    services: Services,
) -> None:
    with calling(services, Role.MEMBER) as caller:
        put(caller, "a", b"0123456789")
        tag = caller.get(f"{P}/files/a").headers["etag"]
        put(caller, "a", b"9876543210")
        stale = caller.get(f"{P}/files/a", **{"range": "bytes=5-", "if-range": tag})
        fresh = caller.get(f"{P}/files/a", **{"if-none-match": stale.headers["etag"]})

    assert (stale.status_code, stale.content) == (200, b"9876543210")
    assert (fresh.status_code, fresh.content) == (304, b"")


def test_a_download_is_saved_and_never_shown(services: Services) -> None:
    with calling(services, Role.MEMBER) as caller:
        put(caller, 'x";\r\n.html'.replace("\r\n", ""), b"<script>alert(1)</script>")
        headers = caller.get(f"{P}/files/x%22%3B.html").headers

    assert headers["content-type"] == "application/octet-stream"
    assert headers["content-disposition"] == "attachment; filename*=UTF-8''x%22%3B.html"
    assert headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in headers["content-security-policy"]


def test_what_is_beyond_the_quota_is_refused_with_both_numbers(services: Services) -> None:
    with calling(services, Role.MEMBER) as caller:
        answer = put(caller, "big", b"", sha256="0" * 64, span=f"*/{QUOTA_BYTES}")
        numbers = answer.json()["errors"][0]["numbers"]
        fits = put(caller, "fits", b"", sha256="0" * 64, span=f"*/{numbers['free_bytes']}")

    assert (answer.status_code, codes(answer)) == (422, ["QuotaIsSpent"])
    assert numbers == {
        "asked_bytes": QUOTA_BYTES, "free_bytes": QUOTA_BYTES - 108, "quota_bytes": QUOTA_BYTES,
    }  # fmt: skip
    assert fits.status_code == 202


def test_two_uploads_at_once_cannot_take_the_same_room(services: Services) -> None:
    half = QUOTA_BYTES * 6 // 10
    with calling(services, Role.MEMBER) as caller:
        first = put(caller, "a", b"", sha256="0" * 64, span=f"*/{half}")
        second = put(caller, "b", b"", sha256="1" * 64, span=f"*/{half}")
        again = put(caller, "a", b"", sha256="0" * 64, span=f"*/{half}")

    assert [one.status_code for one in (first, second, again)] == [202, 422, 202]


def test_what_jobs_write_beyond_the_quota_is_told_and_stops_uploads(services: Services) -> None:
    folder = services.storage._files.folder("p-2026-1-0003")  # type: ignore[attr-defined]
    (folder / "of-a-job").write_bytes(b"x" * (QUOTA_BYTES + 92))
    with calling(services, Role.OPERATOR) as caller:
        told = caller.get(f"{P}/storage").json()
    with calling(services, Role.MEMBER) as caller:
        refused = put(caller, "a", b"x")
        kept = caller.post(f"{P}/snapshots", {"snapshot": "one"})

    assert (told["over_bytes"], told["free_bytes"]) == (200, 0)
    assert codes(refused) == codes(kept) == ["QuotaIsSpent"]


def test_a_wrong_sum_is_refused_and_replaces_nothing(services: Services) -> None:
    with calling(services, Role.MEMBER) as caller:
        answer = put(caller, "notes.txt", b"evil", sha256="0" * 64)
        content = caller.get(f"{P}/files/notes.txt").content

    assert (answer.status_code, codes(answer)) == (422, ["ChecksumDiffers"])
    assert content == b"0123456789" * 10


@pytest.mark.parametrize(
    ("headers", "query", "status"),
    [
        ({"content-range": "bytes 0-3/2"}, {"sha256": "0" * 64}, 400),
        ({"content-range": "bytes 3-2/9"}, {"sha256": "0" * 64}, 400),
        ({"content-range": "bytes 0-3/*"}, {"sha256": "0" * 64}, 400),
        ({"content-range": "bytes 0-3/99999999999999999999"}, {"sha256": "0" * 64}, 400),
        ({"content-range": "bytes 0-3/9999999999999999"}, {"sha256": "0" * 64}, 400),
        ({}, {}, 422),
        ({}, {"sha256": "../../../x"}, 422),
    ],
)
def test_an_upload_that_makes_no_sense_is_a_problem(
    services: Services, headers: dict[str, str], query: dict[str, str], status: int
) -> None:
    with calling(services, Role.MEMBER) as caller:
        answer = caller.client.put(
            f"/api/v1{P}/files/a",
            params=query,
            content=b"0123",
            headers={**caller.headers, **headers},
        )

    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    "path",
    [
        "%2e%2e/x",
        "a/%2e%2e/%2e%2e/%2e%2e/x",
        "a%00b",
        "%2e",
        "a%0ab",
        "%e2%80%aegpj.exe",
        "x" * 300,
    ],
)
def test_a_path_that_leads_out_or_hides_is_refused(services: Services, path: str) -> None:
    with calling(services, Role.MEMBER) as caller:
        answer = put(caller, path, b"x")
        folder = caller.client.put(f"/api/v1{P}/folders/{path}", headers=caller.headers)

    assert answer.status_code in (404, 422) and folder.status_code in (404, 422)
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_foreign_project_is_answered_like_none_whatever_is_asked(services: Services) -> None:
    asked = [
        ("GET", "/storage"), ("GET", "/files"), ("GET", "/files/notes.txt"),
        ("GET", "/checksum?path=notes.txt"), ("PUT", "/files/a?sha256=" + "0" * 64),
        ("PUT", "/folders/a"), ("DELETE", "/files/notes.txt"), ("GET", "/snapshots"),
        ("POST", "/snapshots"), ("POST", "/snapshots/one/restore"), ("DELETE", "/snapshots/one"),
    ]  # fmt: skip
    with calling(services, Role.MEMBER) as caller:
        for method, path in asked:
            answers = [
                caller.client.request(
                    method,
                    f"/api/v1{project}{path}",
                    headers={**caller.headers, "idempotency-key": "k"},
                    **({"json": {}} if method == "POST" else {}),
                )
                for project in (FOREIGN, "/projects/nothing")
            ]
            assert [one.status_code for one in answers] == [404, 404], (method, path)
            assert len({one.json()["title"] for one in answers}) == 1


def test_the_office_sees_how_much_and_not_what(services: Services) -> None:
    for role in (Role.OPERATOR, Role.AUDITOR, Role.ADMIN):
        with calling(services, role) as caller:
            assert caller.get(f"{P}/storage").status_code == 200
            assert caller.get(f"{P}/files").status_code == 403
            assert caller.get(f"{P}/files/notes.txt").status_code == 403


def test_a_page_downloads_with_its_cookie_and_changes_nothing(services: Services) -> None:
    from litestar.testing import TestClient

    from dure.api.application import make_app
    from dure.services.browser_words import SESSION_COOKIE
    from dure.services.people import SignedIn
    from tests.portal.filled_programme import PASSWORD

    signed_in = services.people.sign_in("kang.min", PASSWORD, address="test")
    assert isinstance(signed_in, SignedIn)
    with TestClient(make_app(services), cookies={SESSION_COOKIE: signed_in.token}) as client:
        assert client.get(f"/api/v1{P}/files/notes.txt").status_code == 200
        assert client.delete(f"/api/v1{P}/files/notes.txt").status_code == 401


def test_a_long_folder_is_listed_in_parts(services: Services) -> None:
    folder: Path = services.storage._files.folder("p-2026-1-0003")  # type: ignore[attr-defined]
    (folder / "many").mkdir()
    for number in range(250):
        (folder / "many" / f"{number:04d}").touch()
    with calling(services, Role.MEMBER) as caller:
        seen, address = [], f"/api/v1{P}/files?path=many&limit=100"
        while address:
            answer = caller.client.get(address, headers=caller.headers)
            seen += [row["name"] for row in answer.json()]
            address = str(answer.links.get("next", {}).get("url", ""))

    assert seen == [f"{number:04d}" for number in range(250)]


def test_a_snapshot_is_taken_once_for_a_key_restored_and_removed(services: Services) -> None:
    with calling(services, Role.MEMBER) as caller:
        taken = [caller.post(f"{P}/snapshots", {"snapshot": "one"}, key="k") for _ in range(2)]
        put(caller, "notes.txt", b"spoilt")
        back = caller.post(f"{P}/snapshots/one/restore", {})
        content = caller.get(f"{P}/files/notes.txt").content
        listed = caller.get(f"{P}/snapshots").json()
        used = caller.get(f"{P}/storage").json()
        gone = caller.client.delete(f"/api/v1{P}/snapshots/one", headers=caller.headers)

    assert [one.status_code for one in taken] == [201, 201]
    assert (back.status_code, content) == (200, b"0123456789" * 10)
    assert [row["snapshot"] for row in listed] == ["one"]
    assert used["snapshots_bytes"] == 108
    assert gone.status_code == 204


def test_what_people_did_is_in_the_ledger(services: Services) -> None:
    with calling(services, Role.MEMBER) as caller:
        put(caller, "a", b"abc")
        caller.client.put(f"/api/v1{P}/folders/b/c", headers=caller.headers)
        caller.client.delete(f"/api/v1{P}/files/b?all=1", headers=caller.headers)
        caller.post(f"{P}/snapshots", {"snapshot": "one"})
        caller.post(f"{P}/snapshots/one/restore", {})
    book = services.storage._book
    events = [event for record in book.ledger.read() for event in book._decode(record.payload)]

    assert [type(one).__name__ for one in events] == [
        "FileUploaded", "FolderMade", "FileRemoved", "SnapshotTaken", "SnapshotRestored",
    ]  # fmt: skip
    assert {one.by for one in events} == {"kang.min"}
    uploaded, taken = events[0], events[3]
    assert isinstance(uploaded, FileUploaded) and isinstance(taken, SnapshotTaken)
    assert (uploaded.path, uploaded.bytes) == ("a", 3)
    assert uploaded.sha256.startswith("ba7816bf")
    assert (taken.files, taken.bytes) == (3, 111)


def test_a_full_disk_is_a_problem_and_not_our_mistake(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> int:
        raise DriverError("the disk is full")

    monkeypatch.setattr(services.storage._files, "write", full)
    with calling(services, Role.MEMBER) as caller:
        answer = put(caller, "a", b"x")

    assert (answer.status_code, answer.json()["code"]) == (507, "disk")
