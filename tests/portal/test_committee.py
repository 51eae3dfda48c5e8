"""The committee's page: proposed, moved and signed by forms alone."""

import re

from dure.services.access import Role
from tests.portal.filled_programme import filled_services
from tests.portal.visiting import hidden_fields, visiting

CALL = "/committee/2026-2"


def test_a_share_out_is_proposed_moved_and_signed_by_forms() -> None:
    with visiting(filled_services(), Role.OPERATOR) as visit:
        before = visit.get(CALL)
        proposed = visit.post(f"{CALL}/propose")
        moved = visit.post(f"{CALL}/move", {"pin": "2026-2-0001"})
        shown = visit.get(CALL)
        wrong = visit.post(f"{CALL}/move", {"line": "much"})
        hidden = hidden_fields(shown.text)
        digest = re.findall(r'name="digest" value="([0-9a-f]{64})"', shown.text)[0]
        form = {"number": "2", "digest": digest, "names": "Kim\nLee"}
        unsigned = visit.post(f"{CALL}/sign", {**form, "names": ""})
        signed = visit.post(f"{CALL}/sign", form)
        after = visit.get(CALL)

    assert (before.status_code, proposed.status_code, moved.status_code) == (200, 303, 303)
    assert "2026-2-0002, 2026-2-0003" in shown.text
    assert (wrong.status_code, unsigned.status_code, signed.status_code) == (422, 422, 303)
    assert "Kim, Lee" in after.text and 'name="digest"' not in after.text
    assert hidden


def test_the_audit_reads_and_has_no_buttons() -> None:
    services = filled_services()
    with visiting(services, Role.OPERATOR) as visit:
        visit.post(f"{CALL}/propose")
    with visiting(services, Role.AUDITOR) as visit:
        page = visit.get(CALL)
        refused = visit.post(f"{CALL}/propose")

    assert page.status_code == 200 and f"{CALL}/sign" not in page.text
    assert refused.status_code == 403
