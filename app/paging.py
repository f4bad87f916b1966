"""Lists, and which part of one is asked for.

By keyset: page 1000 costs what page 1 does, and nothing shifts when something is added meanwhile.
"""

from dataclasses import dataclass

from flask import request
from sqlalchemy import ColumnElement, select

from app.database import ID_MAX, db
from app.text import NOT_PLAIN

PER_PAGE = 50


@dataclass(frozen=True)
class Page:
    """A part of a list, newest first. `older` is the `before` of the next part, None if there is none."""

    items: list
    older: int | None


def part_of(model: type, before: int | None, *conditions: ColumnElement, limit: int = PER_PAGE) -> Page:
    """Return the rows of `model` for which all `conditions` hold, as far as they are older than the id `before`."""
    query = select(model).where(*conditions).order_by(model.id.desc()).limit(limit + 1)
    rows = list(db.session.scalars(query if before is None else query.where(model.id < before)))
    return Page(rows[:limit], rows[limit - 1].id if len(rows) > limit else None)


def requested_before() -> int | None:
    """Return the `?before=` of this request; None, for the newest, if it makes no sense."""
    before = request.args.get("before", type=int)
    return before if before and 0 < before <= ID_MAX else None


def requested_text() -> str:
    """Return the `?q=` of this request; nothing if it has what cannot be stored, and so cannot be found."""
    text = request.args.get("q", "").strip()
    return "" if NOT_PLAIN.search(text) else text
