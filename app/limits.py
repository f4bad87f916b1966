"""How often something may be tried, whichever worker or server is asked."""

import ipaddress
import math
import time
from collections.abc import Callable
from dataclasses import dataclass

from flask import Flask, Response, current_app, g, request
from flask_login import current_user
from flask_security import uia_email_mapper, user_authenticated
from limits import RateLimitItem, parse
from limits.errors import StorageError
from limits.storage import storage_from_string
from limits.strategies import FixedWindowRateLimiter
from werkzeug.exceptions import TooManyRequests

from app import devices
from app.counting import DatabaseStorage
from app.database import SAFE_METHODS

REDIS_PATIENCE = 1  # seconds to wait for Redis; then the database counts instead


@dataclass(frozen=True)
class Limit:
    """So many tries in so much time, for each value of `key`. Such a window begins with its first try."""

    name: str
    item: RateLimitItem
    key: Callable[[], str]


def address() -> str:
    """Return where the request came from. A client of IPv6 commands a whole /64 network, which counts as one."""
    try:
        client = ipaddress.ip_address(request.remote_addr or "::")
    except ValueError:  # a proxy may write what it likes
        return request.remote_addr[:64]
    return str(client if client.version == 4 else ipaddress.ip_network((client, 64), strict=False))


def person() -> str:
    """Return who is logged in; a stranger's address."""
    return f"user {current_user.id}" if current_user.is_authenticated else address()


def named() -> str:
    """Return the account that a form names, whether there is such a one or not: both are counted alike."""
    sent = request.get_json(silent=True)  # Flask-Security takes either
    form = sent if isinstance(sent, dict) else request.form
    return account(str(form.get("email") or ""))


def account(email: str) -> str:
    """Return the key of an account: strangers use up their common tries, not those of the owner's own browsers."""
    email = (uia_email_mapper(email) or email).strip().lower()
    return devices.known(email) or devices.digest(email)


def mailing(name: str) -> tuple[Limit, Limit]:
    """Return the limits of a form that sends a mail: so many to one account, and so many in all for one address."""
    return Limit(name, parse("5/hour"), named), Limit(f"{name}-address", parse("20/hour"), address)


LOG_IN = (Limit("account", parse("10/minute"), named), Limit("address", parse("10/minute"), address))
# Endpoint → what its forms are limited to.
FORMS = {
    "security.login": LOG_IN,
    "security.register": (Limit("register", parse("60/hour"), address),),
    "security.forgot_password": mailing("forgot"),
    "security.send_confirmation": mailing("confirm"),
    "security.reset_password": (Limit("reset", parse("20/hour"), address),),
    "security.change_password": (Limit("change", parse("10/minute"), person),),
}
WRITES = Limit("writes", parse("120/minute"), person)
PAGES = ("account", "admin", "blog")  # blueprints; the API counts for itself, when it knows who asks


def init_app(app: Flask) -> None:
    """Count what `app` is asked, unless RATE_LIMITS is off: in Redis if there is one, else in the database."""
    app.extensions["limits"] = limiters = [FixedWindowRateLimiter(DatabaseStorage())]
    if url := app.config["REDIS_URL"]:
        patience = {"socket_timeout": REDIS_PATIENCE, "socket_connect_timeout": REDIS_PATIENCE}
        limiters.insert(0, FixedWindowRateLimiter(storage_from_string(url, wrap_exceptions=True, **patience)))
    devices.init_app(app)
    app.before_request(_count_forms)
    app.after_request(_give_back)
    app.after_request(_tell)
    user_authenticated.connect(_authenticated, app)


def spend(limit: Limit, key: str | None = None) -> None:
    """Count a try. Raises TooManyRequests, which says when to come back, if it was one too many."""
    if not current_app.config["RATE_LIMITS"]:
        return
    key = key or limit.key()
    g.setdefault("spent", []).append((limit, key))
    allowed, stats = _count(limit, key)
    g.rate_limit = limit, max(1, math.ceil(stats.reset_time - time.time())), stats.remaining
    if not allowed:
        raise TooManyRequests(retry_after=g.rate_limit[1])


def forgive() -> None:
    """Give back, with the response, the tries that this request has spent so far: it turned out to be no guess."""
    g.forgiven = g.pop("spent", [])


def _count(limit: Limit, key: str, cost: int = 1):
    for limiter in current_app.extensions["limits"]:
        try:
            allowed = limiter.hit(limit.item, limit.name, key, cost=cost)
            return allowed, limiter.get_window_stats(limit.item, limit.name, key)
        except StorageError as error:
            current_app.logger.warning("Redis does not count, the database does: %s", error)


def _count_forms() -> None:
    if request.method in SAFE_METHODS:
        return
    for limit in FORMS.get(request.endpoint, [WRITES] if request.blueprint in PAGES else []):
        spend(limit)


def _authenticated(app: Flask, **ignored) -> None:
    if request.endpoint == "security.login":
        forgive()


def _give_back(response: Response) -> Response:
    for limit, key in g.pop("forgiven", []):
        _count(limit, key, cost=-1)
    return response


def _tell(response: Response) -> Response:
    """Say how many tries are left, as draft-ietf-httpapi-ratelimit-headers has it."""
    if "rate_limit" in g:
        limit, seconds, remaining = g.rate_limit
        response.headers["RateLimit-Policy"] = f'"{limit.name}";q={limit.item.amount};w={limit.item.get_expiry()}'
        response.headers["RateLimit"] = f'"{limit.name}";r={remaining};t={seconds}'
    return response
