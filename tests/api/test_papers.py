"""Drafts, files and requests through the API: whose they are, and how a file comes back."""

import pytest

from dure.services.access import Role
from dure.services.attachments import SIZE_BYTES_MAX
from dure.services.desks import Services
from tests.api.calling import Caller, calling
from tests.portal.filled_programme import filled_services

PDF = b"%PDF-1.7\n% a plan\n"
ANSWERS = {
    "title_ko": "기상 예측", "organisation": "라온대학교", "group": "academia",
    "accelerator": "B200", "gpus": 64, "months": 6, "serves": ["public", "health"],
    "data_sets": [{"name": "관측", "size_tb": 12}],
}  # fmt: skip


@pytest.fixture
def services() -> Services:
    return filled_services()


def upload(caller: Caller, path: str, content: bytes) -> int:
    headers = {**caller.headers, "content-type": "application/octet-stream"}
    return caller.client.post(f"/api/v1{path}", content=content, headers=headers).status_code


def handed_in(caller: Caller) -> tuple[str, str]:
    """Hand an application with a file in; return its number and the file's."""
    draft = caller.post("/calls/2026-2/drafts", {"answers": ANSWERS}).json()["draft"]
    path = f"/drafts/{draft}/attachments?name=계획 1.pdf&field=plan"
    assert upload(caller, path, PDF) == 200
    taken = caller.post(f"/drafts/{draft}/submission", {})
    assert taken.status_code == 201, taken.text
    application = taken.json()["application"]
    (file,) = caller.get(f"/applications/{application}/attachments").json()
    return application, file["attachment"]


def test_a_file_comes_back_as_it_was_and_no_browser_opens_it(services: Services) -> None:
    with calling(services, Role.OPERATOR) as office, calling(services, Role.APPLICANT) as caller:
        application, file = handed_in(caller)
        answer = office.get(f"/applications/{application}/attachments/{file}")

    assert answer.content == PDF
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in answer.headers["content-security-policy"]
    assert answer.headers["content-disposition"] == (
        "attachment; filename*=UTF-8''%EA%B3%84%ED%9A%8D%201.pdf"
    )


def test_files_and_drafts_are_shown_to_whom_they_belong(services: Services) -> None:
    with calling(services, Role.APPLICANT) as caller:
        application, file = handed_in(caller)
        draft = caller.post("/calls/2026-2/drafts", {"answers": {}}).json()["draft"]
        paths = [f"/applications/{application}/attachments/{file}", f"/drafts/{draft}"]
        own = [caller.get(path).status_code for path in paths]
    with calling(services, Role.REVIEWER) as caller:
        unasked = caller.get(paths[0]).status_code
    with calling(services, Role.MEMBER) as caller:
        foreign = [caller.get(path).status_code for path in paths]

    assert own == [200, 200]
    assert unasked == 404
    assert foreign == [403, 403]


def test_what_is_no_document_or_too_large_is_refused(services: Services) -> None:
    with calling(services, Role.APPLICANT) as caller:
        draft = caller.post("/calls/2026-2/drafts", {"answers": {}}).json()["draft"]
        path = f"/drafts/{draft}/attachments?name=plan.pdf"
        codes = [
            upload(caller, path, b"MZ\x90\x00"),
            upload(caller, path, b"%PDF-" + bytes(SIZE_BYTES_MAX)),
            upload(caller, path, b"%PDF-" + bytes(2 * SIZE_BYTES_MAX)),
            upload(caller, f"/drafts/{draft}/attachments?name=..%2Fx", PDF),
            upload(caller, "/drafts/d-9/attachments?name=x.pdf", PDF),
        ]
        kept = caller.get(f"/drafts/{draft}").json()["attachments"]

    assert codes == [422, 422, 413, 422, 422]
    assert kept == []


def test_the_same_key_hands_a_draft_in_once(services: Services) -> None:
    with calling(services, Role.APPLICANT) as caller:
        draft = caller.post("/calls/2026-2/drafts", {"answers": ANSWERS}).json()["draft"]
        upload(caller, f"/drafts/{draft}/attachments?name=plan.pdf&field=plan", PDF)
        first = caller.post(f"/drafts/{draft}/submission", {}, key="one")
        again = caller.post(f"/drafts/{draft}/submission", {}, key="one")
        other = caller.post(f"/drafts/{draft}/submission", {}, key="two")

    assert first.json() == again.json()
    assert other.json()["errors"][0]["code"] == "DraftIsOver"


def test_a_call_goes_out_and_comes_in_as_its_file(services: Services) -> None:
    with calling(services, Role.OPERATOR) as caller:
        text = caller.get("/calls/2026-2/file").text
        kept = caller.post("/call-drafts", {"text": text.replace("call: 2026-2", "call: next")})
        hidden = caller.get("/calls/next/file").status_code
        broken = caller.post("/call-drafts", {"text": "call: [\n"})
        wrong = text.replace("large_score_min: 70", "large_score_min: 170")
        unkept = caller.post("/call-drafts", {"text": wrong})
    with calling(services) as caller:
        drafted = caller.get("/calls/next/file").status_code
        published = caller.get("/calls/2026-2/file").text

    assert (kept.status_code, kept.json()["version"], kept.json()["status"]) == (201, 1, "draft")
    assert (hidden, drafted) == (200, 404)
    assert published == text
    assert broken.status_code == 422 and "line 2" in broken.json()["detail"]
    (problem,) = unkept.json()["errors"]
    assert (problem["code"], problem["numbers"]["found"]) == ("ValueIsWrong", "170")
    assert problem["field"].endswith("large_score_min")
