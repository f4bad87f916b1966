"""One's own tokens."""

from flask import g, url_for
from sqlalchemy import select
from werkzeug.exceptions import Conflict

from app.account.models import ApiToken, User
from app.api import schemas
from app.api.auth import KNOWN, login_required
from app.api.blueprint import bp, takes
from app.database import ID_MAX, db

TOKEN_URL = f"/tokens/<int(max={ID_MAX}):token_id>"


@bp.post("/tokens")
@takes(schemas.TokenIn)
@bp.output(schemas.TokenOut, status_code=201)
@bp.doc(responses={409: "There is a token of this name"})
def create_token(json_data: dict) -> tuple[ApiToken, int, dict]:
    """Make a token.

    No Idempotency-Key here, for it would need the text of the token to be stored: a name can be used once, so sending
    the request again makes no second token (409).
    """
    # One at a time for each user, or two requests could both find the name free.
    db.session.execute(select(User.id).where(User.id == g.user.id).with_for_update())
    if any(token.name == json_data["name"] for token in ApiToken.of(g.user)):
        raise Conflict("There is a token of this name. Revoke it first, or choose another name.")
    token, token.plain_text = ApiToken.issue(g.user, json_data["name"])
    db.session.commit()
    return token, 201, {"Location": url_for(".read_token", token_id=token.id), "Cache-Control": "no-store"}


@bp.get("/tokens")
@login_required
@bp.output(schemas.TokensOut)
@bp.doc(security=KNOWN)
def list_tokens() -> dict:
    """List one's tokens, the newest first."""
    return {"tokens": ApiToken.of(g.user)}


@bp.get(TOKEN_URL)
@login_required
@bp.output(schemas.TokenOut)
@bp.doc(security=KNOWN)
def read_token(token_id: int) -> ApiToken:
    """Read about one of one's tokens."""
    return ApiToken.own_or_404(g.user, token_id)


@bp.delete(TOKEN_URL)
@bp.output({}, status_code=204)
def revoke_token(token_id: int) -> str:
    """Revoke one of one's tokens, at once."""
    db.session.delete(ApiToken.own_or_404(g.user, token_id))
    db.session.commit()
    return ""
