"""Answering an award through the API."""

from dure.services.access import Role
from tests.api.calling import calling
from tests.scripts.offer_world import OfferWorld


def test_a_program_reads_the_agreement_and_signs_it() -> None:
    world = OfferWorld()
    with calling(world.services(), Role.APPLICANT) as caller:
        found = caller.get("/applications/t-0001/agreement").json()
        body = {"name": "Yuna Seo", "digest": found["digest"]}
        wrong = caller.post("/applications/t-0001/acceptance", {**body, "digest": "0" * 64})
        done = caller.post("/applications/t-0001/acceptance", body)
        again = caller.post("/applications/t-0001/acceptance", body)
        foreign = caller.get("/applications/t-0002/agreement")

    assert (found["status"], found["gpus"], found["can_sign"]) == ("offered", 40, True)
    assert found["agreement"]["ko"].startswith("시험 협약서\n")
    assert wrong.json()["errors"][0]["code"] == "DigestDiffers"
    assert (done.json()["status"], done.json()["signed_by"]) == ("allocated", "Yuna Seo")
    assert again.json()["errors"][0]["code"] == "AgreementIsSigned"
    assert foreign.status_code == 404


def test_a_program_gives_an_award_up() -> None:
    world = OfferWorld()
    with calling(world.services(), Role.APPLICANT) as caller:
        done = caller.post("/applications/t-0001/declining", {"cause": "other funding"})
        unknown = caller.post("/applications/t-0099/declining", {})

    assert done.status_code == 200
    assert unknown.json()["errors"][0]["code"] == "ApplicationIsUnknown"
    assert world.desk.statuses(["t-0001", "t-0003"]) == ["declined", "offered"]
