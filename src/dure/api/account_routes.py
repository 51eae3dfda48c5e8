"""One's own account as a program sees it: who am I, and ending a token."""

from typing import Any

import msgspec
from litestar import Request, get, post
from litestar.params import FromPath

from dure.api.caller import actor_of, services_of
from dure.api.problems import documented, missing

AnyRequest = Request[Any, Any, Any]


class TokenOut(msgspec.Struct, frozen=True):
    """A token that still opens doors; its text is not kept."""

    token_id: str
    label: str
    issued_at_s: int
    expires_at_s: int


class MeOut(msgspec.Struct, frozen=True):
    """The account for which the caller speaks."""

    user: str
    name: str
    roles: list[str]
    projects: list[str]
    provider: str
    tokens: list[TokenOut]


class TokenEnded(msgspec.Struct, frozen=True):
    token_id: str


@get("/me", opt={"action": "self.read"}, responses=documented(400, 401), sync_to_thread=False)
def me(request: AnyRequest) -> MeOut:
    """Say for whom the caller's token speaks, and which tokens this account has."""
    people, actor = services_of(request).people, actor_of(request)
    account = people.account(actor.user)
    if account is None:
        raise missing("account")
    return MeOut(
        account.user,
        account.display_name,
        sorted(role.value for role in account.roles),
        sorted(account.projects),
        account.provider,
        [
            TokenOut(one.token, one.label, one.issued_at_s, one.expires_at_s)
            for one in people.tokens_of(actor.user)
        ],
    )


@post(
    "/me/tokens/{token:str}/revoke",
    opt={"action": "self.change"},
    status_code=200,
    responses=documented(400, 401, 404),
    sync_to_thread=True,
)
def revoke_token(request: AnyRequest, token: FromPath[str]) -> TokenEnded:
    """End one of one's own tokens, by its ``token_id``."""
    people, actor = services_of(request).people, actor_of(request)
    if token not in {one.token for one in people.tokens_of(actor.user)}:
        raise missing("token")
    people.revoke_token(token, by=actor.user)
    return TokenEnded(token)


ROUTES = (me, revoke_token)
