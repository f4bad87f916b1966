"""API views for the current user's tokens."""

from flask import g, url_for
from sqlalchemy import select
from werkzeug.exceptions import Conflict

from app.account.models import ApiToken, User
from app.api import schemas
from app.api.auth import ANY_SCHEME, login_required
from app.api.blueprint import bp, json_input
from app.database import ID_MAX, db

TOKEN_URL = f"/tokens/<int(max={ID_MAX}):token_id>"


@bp.post("/tokens")
@json_input(schemas.TokenIn)
@bp.output(schemas.TokenOut, status_code=201)
@bp.doc(responses={409: "A token with this name exists"})
def create_token(json_data: dict) -> tuple[ApiToken, int, dict]:
    """Create a token.

    The response contains the token, which is not stored and cannot be shown again. `Idempotency-Key` is therefore not
    supported. Token names are unique instead: a retried request is answered with 409 and creates no second token.
    """
    # The lock on the user's row makes concurrent requests wait, so that two of them cannot use the same name.
    db.session.execute(select(User.id).where(User.id == g.user.id).with_for_update())
    if any(token.name == json_data["name"] for token in ApiToken.for_user(g.user)):
        raise Conflict("A token with this name exists. Revoke it first, or choose another name.")
    token, plain_text = ApiToken.issue(g.user, json_data["name"])
    token.plain_text = plain_text  # for the response, not a column
    db.session.commit()
    return token, 201, {"Location": url_for(".read_token", token_id=token.id), "Cache-Control": "no-store"}


@bp.get("/tokens")
@login_required
@bp.output(schemas.TokensOut)
@bp.doc(security=ANY_SCHEME)
def list_tokens() -> dict:
    """List the current user's tokens, newest first."""
    return {"tokens": ApiToken.for_user(g.user)}


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
    db.session.commit()
    return ""
