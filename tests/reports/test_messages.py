"""The catalogues: Korean and English are equals, and every code has its sentence."""

import pytest

from dure.core.awards import Reason
from dure.core.programme import Refusal
from dure.core.recall import Verdict
from dure.reports.formats import LANGS
from dure.reports.messages import MessageError, catalogue, has, placeholders, text


def test_both_languages_have_the_same_keys_and_gaps() -> None:
    ko = {key: placeholders(sentence) for key, sentence in catalogue("ko").items()}
    en = {key: placeholders(sentence) for key, sentence in catalogue("en").items()}

    assert ko == en


def test_every_code_of_the_programme_has_its_sentence() -> None:
    keys = [f"problem.{one.value}" for one in Refusal]
    keys += [f"award_reason.{one.value}" for one in Reason]
    keys += [f"check_status.{one.value}" for one in Verdict]

    assert [key for key in keys if not has(key)] == []


def test_formats_and_particles_are_ones_that_exist() -> None:

    for lang in LANGS:
        for key, sentence in catalogue(lang).items():
            values = dict.fromkeys(placeholders(sentence), 1)

            assert "{" not in text(lang, key, **values), key


def test_a_particle_follows_the_last_sound_of_what_fills_the_gap() -> None:
    numbers = {"asked_gpus": 64, "gpus": 8, "evidence_gpus": 5, "score_milli": 81_250}

    assert text("ko", "award_reason.SelectedByEvidence", **numbers) == (
        "비교 점수 81.250점. 64장을 신청했으나, 제시한 작업에 필요한 것은 5장으로 계산되어 "
        "8장으로 선정되었습니다."
    )
    assert text("en", "award_reason.SelectedByEvidence", **numbers) == (
        "Comparable score 81.250 points. Asked for 64 GPUs; the stated work needs 5 GPUs, "
        "so 8 GPUs were selected."
    )


def test_an_unknown_key_and_a_gap_are_mistakes() -> None:
    with pytest.raises(MessageError, match=r"no sentence 'problem\.NoSuch' in ko"):
        text("ko", "problem.NoSuch")
    with pytest.raises(MessageError, match="needs a value for 'closes_at_s'"):
        text("en", "problem.CallIsClosed")
