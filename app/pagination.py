"""Keyset pagination of lists.

Pages are selected by id instead of by offset: page 1000 is as fast as page 1, and new rows do not shift later pages.
https://use-the-index-luke.com/no-offset
"""

from dataclasses import dataclass

from flask import request
from sqlalchemy import ColumnElement, select

from app.database import ID_MAX, db
from app.validation import FORBIDDEN_CHARACTERS

PER_PAGE = 50


@dataclass(frozen=True)
class Page:
    """One page of a list, newest first. `older` is the cursor (`before`) of the next page, None on the last page."""

    items: list
    older: int | None


def paginate(
    model: type, before: int | None, *conditions: ColumnElement, limit: int = PER_PAGE, key: ColumnElement | None = None
) -> Page:
    """Return a page of the `model` rows that match all `conditions` and have an id below `before`, if it is given.

    key: a column of a joined table that equals the id. The database then reads that table in the order of the page.
    """
    key = model.id if key is None else key
    query = select(model).where(*conditions).order_by(key.desc())
    if before is not None:
        query = query.where(key < before)
    rows = list(db.session.scalars(query.limit(limit + 1)))  # one more row than needed: is there a next page?
    items = rows[:limit]
    older = items[-1].id if len(rows) > limit else None
    return Page(items, older)


def page_cursor() -> int | None:
    """Return the query parameter `before`, or None (the newest page) if it is missing or invalid."""
    before = request.args.get("before", type=int)
    if before is None or not 0 < before <= ID_MAX:
        return None
    return before


def search_query() -> str:
    """Return the query parameter `q`, or an empty string if it contains characters that no stored text contains."""
    text = request.args.get("q", "").strip()
    return "" if FORBIDDEN_CHARACTERS.search(text) else text
