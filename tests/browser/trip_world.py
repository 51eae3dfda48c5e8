"""A call from its opening to the allocations, for the trips of its people in a browser."""

from dataclasses import replace

from dure.core.calendar import moment_s
from dure.core.calls.model import Call
from dure.core.conflicts import Reviewer
from dure.core.events.programme import ApplicationSubmitted
from dure.core.programme import Refusal
from dure.ledger.codec import decode_events, encode_events
from dure.ledger.memory import MemoryLedger
from dure.services.access import Actor, Role
from dure.services.book import Book
from dure.services.desks import Services
from dure.services.programme import Programme
from dure.services.requests.call_yaml import read_call
from tests.portal.filled_desks import desks_over
from tests.portal.filled_programme import filled_services
from tests.services.programme_desk import OPERATOR, SetClock, applicant, reviewer_actor

# The accounts of the filled people who travel here.
LEAD, REVIEWER = "seo.yun", "im.jiwon"
PROVIDER = Actor("bae.jun", frozenset({Role.PROVIDER}), provider="naver-cloud")
OTHERS = ("r1", "r2", "r3")
CALL = """
schema: dure-call-1
call: trip
name: {ko: 여름 공모, en: Summer call}
opens: 2026-06-01 09:00
closes: 2026-06-30 18:00
starts: 2026-08-03
capacity: {H200: 64}
caps: {H200: 48}
months_max: 12
rule: optimum
rubric: {impact: 60, ecosystem: 40}
score_min: 60
answer_days: 7
tracks: {academia: open, industry: open, research: open}
form:
  - field: serves
    kind: choices
    required: true
    name: {ko: 활용 분야, en: Fields of use}
    options:
      - {value: health, name: {ko: 의료·보건, en: Health}}
      - {value: public, name: {ko: 공공, en: Public services}}
      - {value: climate, name: {ko: 기후, en: Climate}}
  - {field: plan, kind: file, required: true, name: {ko: 수행계획서, en: Project plan}}
stages:
  - stage: documents
    kind: documents
    role: operator
    passes: checklist
    due_days: 5
    checklist:
      registration: {ko: 사업자등록증 또는 고유번호증, en: Certificate of registration}
      consent: {ko: 개인정보 수집·이용 동의, en: Consent to the use of personal data}
  - {stage: technical, kind: technical, role: provider, passes: decision, providers: [naver-cloud]}
  - {stage: written, kind: written, role: reviewer, passes: complete, reviewers: 2, weight: 100}
  - {stage: panel, kind: panel, role: committee, passes: majority, reviewers: 3}
"""
ITEMS = {"registration": True, "consent": True}
MARKS = {"impact": 80, "ecosystem": 80}
PDF = b"%PDF-1.4\n1 0 obj <</Type /Catalog>> endobj\ntrailer <</Root 1 0 R>>\n%%EOF\n"


class TripWorld:
    """A real programme; whoever does not travel acts through the use cases."""

    def __init__(self) -> None:
        self.clock = SetClock()
        self.clock.at_s = moment_s("2026-06-08 09:00")
        book = Book(MemoryLedger(), encode=encode_events, decode=decode_events)
        self.programme = Programme(book, self.clock)
        call = read_call(CALL, "the trip's call")
        assert isinstance(call, Call), call
        self.programme.draft_call(OPERATOR, call)
        self.programme.publish_call(OPERATOR, "trip")
        for name in (REVIEWER, *OTHERS):
            self.programme.register_reviewer(OPERATOR, Reviewer(name, f"{name} 연구소"))

    def services(self) -> Services:
        services = replace(filled_services(), **desks_over(self.programme))
        services.people.led_by = self.programme.led_by
        return services

    def move_to(self, moment: str) -> None:
        self.clock.at_s = moment_s(moment)
        self.programme.pass_time()

    def hand_in(self, lead: str, title: str, gpus: int, team: str) -> str:
        """Hand an application in; its plan is attached to its draft."""
        fields = {
            "title_ko": title, "organisation": team, "group": "academia", "accelerator": "H200",
            "gpus": gpus, "months": 6, "work_kind": "finetuning", "parameters_m": 70_000,
            "tokens_m": 6_000_000, "serves": ["health", "public"],
            "workload": "공개 말뭉치로 사전학습한 모델을 상담 기록으로 미세조정합니다.",
        }  # fmt: skip
        papers, actor = desks_over(self.programme)["papers"], applicant(lead)
        draft = papers.save("trip", fields, draft="", by=actor).draft
        papers.attach(draft, PDF, name="수행계획서.pdf", field="plan", by=actor)
        answer = self.programme.submit_draft(actor, draft)
        assert isinstance(answer, ApplicationSubmitted), answer
        return answer.application

    def check_documents(self, *names: str) -> None:
        for name in names:
            self.programme.tick(OPERATOR, name, "documents", ITEMS)

    def inspect(self, *names: str) -> None:
        for name in names:
            self.programme.conclude(PROVIDER, name, "technical", outcome="passed")

    def mark(self, name: str, points: int, *, but: str = "") -> None:
        """Have everybody but one who was asked give an application the same marks."""
        for reviewer in self.programme.tables.applications[name].asked_in("written"):
            if reviewer != but:
                self.programme.review(reviewer_actor(reviewer), name, dict.fromkeys(MARKS, points))

    def vote(self, name: str, *, but: str = "") -> None:
        for voter in self.programme.tables.applications[name].asked_in("panel"):
            if voter != but:
                self.programme.vote(reviewer_actor(voter), name, "panel", recognises=True)

    def ask_for(self, stage: str) -> None:
        answer = self.programme.assign_reviewers(OPERATOR, "trip", stage=stage)
        assert not isinstance(answer, Refusal), answer

    def judged(self) -> list[str]:
        """Take four applications to the committee; two and a half fit."""
        wishes = ((LEAD, "기상 예측 확산모델", 40), ("lead1", "수어 생성 모델", 24),
                  ("lead2", "신소재 탐색", 16), ("lead3", "법률 문서 이해", 16))  # fmt: skip
        names = [self.hand_in(lead, title, gpus, f"{lead} 대학교") for lead, title, gpus in wishes]
        self.move_to("2026-07-01 09:00")
        self.check_documents(*names)
        self.inspect(*names)
        self.ask_for("written")
        for name, points in zip(names, (90, 84, 80, 76), strict=True):
            self.mark(name, points)
        self.ask_for("panel")
        for name in names:
            self.vote(name)
        return names

    def sign(self) -> None:
        """Have the committee adopt the share-out of the call's rule."""
        proposed = self.programme.propose(OPERATOR, "trip")
        assert not isinstance(proposed, Refusal), proposed
        signed = self.programme.sign_minutes(
            OPERATOR, "trip", number=proposed.number, digest=proposed.digest, names=["김위원장"]
        )
        assert not isinstance(signed, Refusal), signed
