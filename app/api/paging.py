"""Where the other parts of a list are, as the header Link tells it (RFC 8288)."""

from flask import request, url_for

from app.paging import Page


def with_links(page: Page) -> tuple[Page, int, dict]:
    """Return `page` with the address of its list's first part, and of the next one if there is any."""
    links = {"first": None} | ({"next": page.older} if page.older else {})
    return page, 200, {"Link": ", ".join(f'<{_address(before)}>; rel="{name}"' for name, before in links.items())}


def _address(before: int | None) -> str:
    asked = request.args.to_dict() | {"before": before}
    return url_for(request.endpoint, **request.view_args, **asked)
