"""Full-text search: posts that contain all words of a query, or words that begin with them. Case is ignored.

Triggers of the database maintain the index (migrations/versions/0004_search.py). https://sqlite.org/fts5.html,
https://www.postgresql.org/docs/current/textsearch.html
"""

import string

from sqlalchemy import ColumnElement, column, func, literal_column, table

from app.database import db

MAX_WORDS = 10  # of a query; further words are ignored

# Not a model: SQLite's is a virtual table, which has other columns than PostgreSQL's.
post_search = table("post_search", column("rowid"), column("words"))
_PUNCTUATION_TO_SPACES = str.maketrans(string.punctuation, " " * len(string.punctuation))


def matches(query: str) -> ColumnElement[bool] | None:
    """Return the condition that a row of `post_search` contains all words of `query`, or None if it has no words."""
    candidates = query.translate(_PUNCTUATION_TO_SPACES).split()
    words = [word for word in candidates if any(character.isalnum() for character in word)][:MAX_WORDS]
    if not words:
        return None
    if db.engine.dialect.name == "sqlite":
        return literal_column("post_search").op("MATCH")(" ".join(f'"{word}"*' for word in words))
    terms = " & ".join(f"'{word}':*" for word in words)
    return post_search.c.words.op("@@")(func.to_tsquery(literal_column("'simple'"), terms))
