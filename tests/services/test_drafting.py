"""Drafts survive whatever is wrong with them; what is handed in can be changed and begun again."""

import io
import zipfile
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dure.core.calls.model import Field, Words
from dure.core.events.applying import AttachmentAdded, DraftSaved
from dure.core.events.programme import ApplicationSubmitted
from dure.core.programme import Problem, Refusal
from dure.drivers.attachments import FolderFiles
from dure.services.access import Forbidden
from dure.services.attachments import KINDS, SIZE_BYTES_MAX, kind_of, name_of
from dure.services.drafting import ATTACHMENTS_MAX, DRAFTS_MAX
from tests.services.programme_desk import CALL, CLOSES_S, OPERATOR, REVIEWERS, Desk, applicant, form

NAME = Words("이름", "name")
LEAD = applicant("lead")
PLAN = msgspec.structs.replace(CALL, form=(Field("plan", "file", NAME, required=True),))


def desk_of(call: object = CALL) -> Desk:
    desk = Desk(call)  # type: ignore[arg-type]
    desk.publish()
    return desk


def saved(answer: object) -> DraftSaved:
    assert isinstance(answer, DraftSaved), answer
    return answer


def attachment(content: bytes, name: str = "plan.pdf") -> AttachmentAdded:
    return AttachmentAdded("", name_of(content), name, "pdf", len(content), at_s=0, by="")


def test_a_draft_takes_anything_and_is_handed_in_when_it_is_right() -> None:
    desk = desk_of()
    wrong = {"title_ko": "과제", "gpus": "many", "colour": "blue"}

    first = saved(desk.programme.save_draft(LEAD, "t", wrong))
    refused = desk.programme.submit_draft(LEAD, first.draft)
    kept = desk.programme.papers.drafts[first.draft]
    second = saved(desk.programme.save_draft(LEAD, "t", form("lead", 8), draft=first.draft))
    taken = desk.programme.submit_draft(LEAD, first.draft)

    assert isinstance(refused, tuple) and len(refused) > 3
    assert (kept.saved.version, second.version) == (2, 2)
    assert isinstance(taken, ApplicationSubmitted)
    assert (taken.draft, taken.version) == (first.draft, 1)
    assert desk.programme.submit_draft(LEAD, first.draft) is Refusal.DRAFT_IS_OVER


def test_a_draft_that_comes_too_late_is_still_there() -> None:
    desk = desk_of()
    draft = saved(desk.programme.save_draft(LEAD, "t", form("lead", 8))).draft

    desk.clock.at_s = CLOSES_S
    refused = desk.programme.submit_draft(LEAD, draft)

    assert [one.refusal for one in refused] == [Refusal.CALL_IS_CLOSED]  # type: ignore[union-attr]
    assert desk.programme.papers.drafts[draft].is_open
    assert desk.programme.papers.drafts[draft].saved.fields == form("lead", 8)


def test_a_draft_is_its_writers_alone() -> None:
    desk = desk_of()
    draft = saved(desk.programme.save_draft(LEAD, "t", {})).draft

    other = applicant("other")
    answers = [
        desk.programme.save_draft(other, "t", {}, draft=draft),
        desk.programme.submit_draft(other, draft),
        desk.programme.discard_draft(other, draft),
        desk.programme.check_draft(other, draft),
    ]

    assert answers == [Refusal.DRAFT_IS_UNKNOWN] * 4
    with pytest.raises(Forbidden):
        desk.programme.submit_draft(OPERATOR, draft)


def test_drafts_have_limits() -> None:
    desk = desk_of()
    for _ in range(DRAFTS_MAX):
        saved(desk.programme.save_draft(LEAD, "t", {}))

    one_more = desk.programme.save_draft(LEAD, "t", {})
    large = desk.programme.save_draft(applicant("other"), "t", {"workload": "x" * 300_000})
    desk.programme.discard_draft(LEAD, "d-00001")
    again = desk.programme.save_draft(LEAD, "t", {})

    assert (one_more, large) == (Refusal.DRAFTS_ARE_TOO_MANY, Refusal.DRAFT_IS_TOO_LARGE)
    assert isinstance(again, DraftSaved)
    assert desk.programme.submit_draft(LEAD, "d-00001") is Refusal.DRAFT_IS_OVER


def test_an_application_is_changed_until_the_deadline_and_keeps_its_number() -> None:
    desk = desk_of()
    name = desk.apply("lead", 8)

    draft = saved(desk.programme.draft_from(LEAD, name))
    fields = {**draft.fields, "gpus": 16}
    desk.programme.save_draft(LEAD, "t", fields, draft=draft.draft)
    changed = desk.programme.submit_draft(LEAD, draft.draft)
    late = saved(desk.programme.draft_from(LEAD, name))
    desk.clock.at_s = CLOSES_S
    refused = desk.programme.submit_draft(LEAD, late.draft)

    assert isinstance(changed, ApplicationSubmitted), changed
    assert (changed.application, changed.version, changed.gpus) == (name, 2, 16)
    assert changed.project == f"p-{name}"
    assert desk.programme.tables.counts("t")["submitted"] == 1
    assert [one.refusal for one in refused] == [Refusal.CALL_IS_CLOSED]  # type: ignore[union-attr]


def test_what_is_under_review_or_withdrawn_is_not_changed() -> None:
    desk = desk_of(msgspec.structs.replace(CALL, rolling=True))
    reviewed, withdrawn = desk.apply("lead", 8), desk.apply("lead2", 8)
    drafts = [
        saved(desk.programme.draft_from(applicant(lead), name)).draft
        for lead, name in (("lead", reviewed), ("lead2", withdrawn))
    ]

    desk.programme.assign_reviewers(OPERATOR, "t", REVIEWERS)
    desk.programme.withdraw(applicant("lead2"), withdrawn)
    first = desk.programme.submit_draft(LEAD, drafts[0])
    second = desk.programme.submit_draft(applicant("lead2"), drafts[1])

    assert first == (Problem("", Refusal.APPLICATION_IS_IN_REVIEW, {"application": reviewed}),)
    assert second == (Problem("", Refusal.APPLICATION_IS_WITHDRAWN, {"application": withdrawn}),)


def test_an_earlier_application_begins_the_next_where_the_questions_are_the_same() -> None:
    desk = desk_of(PLAN)
    programme = desk.programme
    nobodys = saved(programme.save_draft(LEAD, "t", form("lead", 8))).draft
    name = name_of(b"%PDF-1")
    programme.attach(LEAD, nobodys, attachment(b"%PDF-1"))
    programme.save_draft(LEAD, "t", {**form("lead", 8), "plan": name}, draft=nobodys)
    first = programme.submit_draft(LEAD, nobodys)
    assert isinstance(first, ApplicationSubmitted), first
    other = msgspec.structs.replace(CALL, call="u")
    programme.draft_call(OPERATOR, other)
    programme.publish_call(OPERATOR, "u")

    draft = saved(programme.draft_from(LEAD, first.application, call="u"))
    taken = programme.submit_draft(LEAD, draft.draft)

    assert "plan" not in draft.fields and draft.fields["title_ko"] == "lead의 과제 8"
    assert isinstance(taken, ApplicationSubmitted), taken
    assert (taken.application, taken.previous) == ("u-0001", first.application)
    assert [one.attachment for one in programme.papers.attached_to("u-0001")] == [name]


def test_a_file_that_is_not_attached_is_no_answer() -> None:
    desk = desk_of(PLAN)
    name = name_of(b"%PDF-1")
    fields = {**form("lead", 8), "plan": name}

    alone = desk.programme.apply(LEAD, "t", fields)
    draft = saved(desk.programme.save_draft(LEAD, "t", fields)).draft
    missing = desk.programme.submit_draft(LEAD, draft)
    desk.programme.attach(LEAD, draft, attachment(b"%PDF-1"))

    assert alone == missing == (Problem("plan", Refusal.FILE_IS_UNKNOWN),)
    assert isinstance(desk.programme.submit_draft(LEAD, draft), ApplicationSubmitted)


def test_attachments_have_limits() -> None:
    desk = desk_of()
    draft = saved(desk.programme.save_draft(LEAD, "t", {})).draft
    for place in range(ATTACHMENTS_MAX):
        desk.programme.attach(LEAD, draft, attachment(b"%PDF-" + bytes([place])))

    again = desk.programme.attach(LEAD, draft, attachment(b"%PDF-\x00"))
    one_more = desk.programme.attach(LEAD, draft, attachment(b"%PDF-more"))

    assert isinstance(again, AttachmentAdded)
    assert one_more is Refusal.ATTACHMENTS_ARE_TOO_MANY


def package(*parts: str, mimetype: bytes = b"") -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        if mimetype:
            archive.writestr("mimetype", mimetype)
        for part in parts:
            archive.writestr(part, "x")
    return content.getvalue()


COMPOUND = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(512)
TYPES = "[Content_Types].xml"


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"%PDF-1.7\n...", "pdf"),
        (b"\x89PNG\r\n\x1a\n...", "png"),
        (b"\xff\xd8\xff\xe0...", "jpg"),
        (COMPOUND + b"HWP Document File V5.00", "hwp"),
        (package("Contents/section0.xml", mimetype=b"application/hwp+zip"), "hwpx"),
        (package(TYPES, "word/document.xml"), "docx"),
        (package(TYPES, "xl/workbook.xml"), "xlsx"),
        ("말뭉치,12\n".encode(), "txt"),
        ("말뭉치,12\n".encode("cp949"), "txt"),
        # What runs, what holds macros, what a browser would open as a page.
        (b"MZ\x90\x00", Refusal.FILE_KIND_IS_NOT_TAKEN),
        (b"\x7fELF\x02\x01", Refusal.FILE_KIND_IS_NOT_TAKEN),
        (b"#!/bin/sh\nrm -rf /\n", Refusal.FILE_KIND_IS_NOT_TAKEN),
        (b"<html><script>alert(1)</script>", Refusal.FILE_KIND_IS_NOT_TAKEN),
        (b"  <svg onload=x>", Refusal.FILE_KIND_IS_NOT_TAKEN),
        (COMPOUND + b"Microsoft Excel", Refusal.FILE_KIND_IS_NOT_TAKEN),
        (package(TYPES, "word/document.xml", "word/vbaProject.bin"),
         Refusal.FILE_KIND_IS_NOT_TAKEN),
        (package("any.exe"), Refusal.FILE_KIND_IS_NOT_TAKEN),
        (b"PK\x03\x04broken", Refusal.FILE_KIND_IS_NOT_TAKEN),
        (b"%PDF-" + bytes(SIZE_BYTES_MAX), Refusal.FILE_IS_TOO_LARGE),
    ],
    ids=range(19),
)  # fmt: skip
def test_a_file_is_what_it_contains(content: bytes, kind: str | Refusal) -> None:
    # The name is a lie on purpose.
    assert kind_of(content, "report.pdf") == kind


@pytest.mark.parametrize(
    "name", ["", "../plan.pdf", "a/b.pdf", "a\\b", "a\x00.pdf", "..", "x" * 121]
)
def test_a_name_that_leads_elsewhere_is_refused(name: str) -> None:
    assert kind_of(b"%PDF-1.7", name) is Refusal.FILE_NAME_IS_WRONG


@given(
    content=st.binary(max_size=400), name=st.sampled_from(["a.csv", "a.txt", "a.exe", "계획.hwp"])
)
def test_whatever_comes_in_is_one_of_the_kinds_or_refused(content: bytes, name: str) -> None:
    kind = kind_of(content, name)

    assert kind in KINDS or isinstance(kind, Refusal)


def test_content_is_kept_under_its_own_name(tmp_path: Path) -> None:
    files = FolderFiles(tmp_path / "attachments")
    content = b"%PDF-1.7 plan"
    name = name_of(content)

    files.put(name, content)
    files.put(name, content)

    assert files.get(name) == content
    assert files.get("0" * 64) is None
    kept = [one for one in (tmp_path / "attachments").rglob("*") if one.is_file()]
    assert [one.name for one in kept] == [name]
    assert kept[0].stat().st_mode & 0o777 == 0o600
