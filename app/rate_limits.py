"""Rate limits, shared by all worker processes and servers.

The limits use fixed windows: a burst of up to twice the limit is possible at a window boundary.
"""

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

from app import device_cookies
from app.database import SAFE_METHODS
from app.rate_limit_storage import DatabaseStorage

DEVICE = "device "  # prefix of the account keys of browsers with a device cookie
REDIS_TIMEOUT = 1  # seconds; after that the hit is counted in the database


@dataclass(frozen=True)
class Limit:
    """A number of hits per window for each value that `key` returns. A window starts with its first hit.

    A request for which `key` returns None is not limited. `name` is public: clients see it in RateLimit-Policy.
    """

    name: str
    item: RateLimitItem
    key: Callable[[], str | None]


def client_address() -> str:
    """Return the client's IP address. IPv6 clients are counted by their /64 network, which one client can use up."""
    try:
        address = ipaddress.ip_address(request.remote_addr or "::")
    except ValueError:  # a proxy can send any text
        return request.remote_addr[:64]
    if address.version == 6:
        return str(ipaddress.ip_network((address, 64), strict=False))
    return str(address)


def user_or_address() -> str:
    """Return the key of the authenticated user, or the address of an anonymous client."""
    return f"user {current_user.id}" if current_user.is_authenticated else client_address()


def submitted_account() -> str:
    """Return the key of the account in the submitted form. Accounts that do not exist are counted the same way."""
    json = request.get_json(silent=True)  # Flask-Security accepts forms and JSON
    form = json if isinstance(json, dict) else request.form
    return account_key(str(form.get("email") or ""))


def account_key(email: str) -> str:
    """Return the key of an account. Browsers with a device cookie are counted separately from other clients."""
    email = (uia_email_mapper(email) or email).strip().lower()
    if device := device_cookies.device_id(email):
        return DEVICE + device
    return device_cookies.account_digest(email)


def unknown_browser_address(account: str) -> str | None:
    """Return the client's address, or None for a browser with a device cookie for the account with this key.

    Clients that share the address, for example behind a proxy, could otherwise keep the owner from logging in.
    """
    return None if account.startswith(DEVICE) else client_address()


def submitted_address() -> str | None:
    """Return unknown_browser_address() for the submitted form, which is only parsed if it matters."""
    return unknown_browser_address(submitted_account()) if device_cookies.is_sent() else client_address()


def mail_limits(name: str) -> tuple[Limit, Limit]:
    """Return the limits of a form that sends mail: one per client address and one per account."""
    return (
        Limit(name, parse("20/hour"), client_address),
        Limit(name, parse("5/hour"), submitted_account),
    )


# Both limits have the same name and number, and the address is counted first: a response does not say which of them was
# exceeded, and a client that has exceeded its own limit learns nothing about the account's.
LOGIN_LIMITS = (
    Limit("login", parse("10/minute"), submitted_address),
    Limit("login", parse("10/minute"), submitted_account),
)
PASSWORD_LIMIT = Limit("change", parse("10/minute"), user_or_address)
WRITE_LIMIT = Limit("writes", parse("120/minute"), user_or_address)

# The limits of Flask-Security's forms, by endpoint.
FORM_LIMITS = {
    "security.login": LOGIN_LIMITS,
    "security.register": (Limit("register", parse("60/hour"), client_address),),
    "security.forgot_password": mail_limits("forgot"),
    "security.send_confirmation": mail_limits("confirm"),
    "security.reset_password": (Limit("reset", parse("20/hour"), client_address),),
    "security.confirm_email": (Limit("confirmation", parse("10/minute"), client_address),),
    "security.change_password": (PASSWORD_LIMIT,),
    "security.verify": (PASSWORD_LIMIT,),
}
# Blueprints whose forms count towards WRITE_LIMIT. api/blueprint.py counts writes itself, after authentication.
PAGE_BLUEPRINTS = ("account", "admin", "blog")


def init_app(app: Flask) -> None:
    """Count hits in Redis if REDIS_URL is set, else in the database. RATE_LIMITS=off disables all limits."""
    limiters = [FixedWindowRateLimiter(DatabaseStorage())]
    if url := app.config["REDIS_URL"]:
        storage = storage_from_string(
            url, wrap_exceptions=True, socket_timeout=REDIS_TIMEOUT, socket_connect_timeout=REDIS_TIMEOUT
        )
        limiters.insert(0, FixedWindowRateLimiter(storage))
    app.extensions["limits"] = limiters  # in order of preference
    device_cookies.init_app(app)
    app.before_request(_limit_forms)
    app.after_request(_apply_refunds)
    app.after_request(_add_headers)
    user_authenticated.connect(_refund_login, app)


def hit(limit: Limit, key: str | None = None) -> None:
    """Count a hit. Raises TooManyRequests, with the time to wait, if the limit is exceeded."""
    if not current_app.config["RATE_LIMITS"]:
        return
    key = key or limit.key()
    if key is None:
        return
    g.setdefault("rate_limit_hits", []).append((limit, key))
    allowed, window = _count(limit, key)
    seconds_left = max(1, math.ceil(window.reset_time - time.time()))
    g.rate_limit = limit, seconds_left, window.remaining
    if not allowed:
        raise TooManyRequests(retry_after=seconds_left)


def hit_login(name: str) -> None:
    """Count a login as `name`, an email address or a username, towards LOGIN_LIMITS."""
    by_address, by_account = LOGIN_LIMITS
    account = account_key(name)
    if address := unknown_browser_address(account):
        hit(by_address, address)
    hit(by_account, account)


def refund() -> None:
    """Subtract the hits of this request again, when its response is sent: the password turned out to be correct."""
    g.rate_limit_refunds = g.pop("rate_limit_hits", [])


def _count(limit: Limit, key: str, cost: int = 1):
    for limiter in current_app.extensions["limits"]:
        try:
            allowed = limiter.hit(limit.item, limit.name, key, cost=cost)
            return allowed, limiter.get_window_stats(limit.item, limit.name, key)
        except StorageError as error:
            current_app.logger.warning("Redis is not available; rate limits are counted in the database: %s", error)


def _limit_forms() -> None:
    if request.method in SAFE_METHODS:
        return
    default = (WRITE_LIMIT,) if request.blueprint in PAGE_BLUEPRINTS else ()
    for limit in FORM_LIMITS.get(request.endpoint, default):
        hit(limit)


def _refund_login(app: Flask, **details) -> None:
    if request.endpoint == "security.login":
        refund()


def _apply_refunds(response: Response) -> Response:
    for limit, key in g.pop("rate_limit_refunds", []):
        _count(limit, key, cost=-1)
    return response


def _add_headers(response: Response) -> Response:
    """Add the number of remaining hits (draft-ietf-httpapi-ratelimit-headers)."""
    if "rate_limit" in g:
        limit, seconds_left, remaining = g.rate_limit
        response.headers["RateLimit-Policy"] = f'"{limit.name}";q={limit.item.amount};w={limit.item.get_expiry()}'
        response.headers["RateLimit"] = f'"{limit.name}";r={remaining};t={seconds_left}'
    return response
