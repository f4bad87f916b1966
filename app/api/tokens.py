"""API views for the current user's tokens."""

from flask import g, url_for
from sqlalchemy import select
from werkzeug.exceptions import Conflict

from app.account import security_events
from app.account.models import MAX_TOKENS, ApiToken
from app.api import schemas
from app.api.auth import ANY_SCHEME, login_required, require_password
from app.api.blueprint import bp, json_input
from app.api.pagination import with_links
from app.database import ID_MAX, db
from app.pagination import Page

TOKEN_URL = f"/tokens/<int(max={ID_MAX}):token_id>"


@bp.post("/tokens")
@json_input(schemas.TokenIn)
@bp.output(schemas.TokenOut, status_code=201)
@bp.doc(
    responses={
        403: "The request is authenticated with a token, or the password of the session was not entered recently",
        409: f"A token with this name exists, or the user has {MAX_TOKENS} tokens",
    }
)
def create_token(json_data: dict) -> tuple[ApiToken, int, dict]:
    """Create a token.

    The response contains the token, which is not stored and cannot be shown again. `Idempotency-Key` is therefore not
    supported. Token names are unique instead: a retried request is answered with 409 and creates no second token.
    """
    require_password()
    if not ApiToken.make_room(g.user):  # locks, so that two concurrent requests cannot use the same name either
        raise Conflict(f"You have {MAX_TOKENS} tokens, which is the maximum. Revoke one first.")
    same_name = select(ApiToken.id).where(ApiToken.user_id == g.user.id, ApiToken.name == json_data["name"])
    if db.session.scalar(same_name.limit(1)):
        raise Conflict("A token with this name exists. Revoke it first, or choose another name.")
    token, plain_text = ApiToken.issue(g.user, **json_data)
    security_events.record("token_created", g.user, token.name, notify=True)
    token.plain_text = plain_text  # for the response, not a column
    db.session.commit()
    return token, 201, {"Location": url_for(".read_token", token_id=token.id), "Cache-Control": "no-store"}


@bp.get("/tokens")
@login_required
@bp.input(schemas.PageIn, location="query")
@bp.output(schemas.TokensOut)
@bp.doc(security=ANY_SCHEME)
def list_tokens(query_data: dict) -> tuple[Page, int, dict]:
    """List the current user's tokens, newest first."""
    return with_links(ApiToken.page(g.user, **query_data))


@bp.get(TOKEN_URL)
@login_required
@bp.output(schemas.TokenOut)
@bp.doc(security=ANY_SCHEME)
def read_token(token_id: int) -> ApiToken:
    """Get one of the current user's tokens."""
    return ApiToken.own_or_404(g.user, token_id)


@bp.delete(TOKEN_URL)
@bp.output({}, status_code=204)
def revoke_token(token_id: int) -> str:
    """Revoke one of the current user's tokens. It takes effect immediately."""
    token = ApiToken.own_or_404(g.user, token_id)
    db.session.delete(token)
    security_events.record("token_revoked", g.user, token.name)
    db.session.commit()
    return ""
