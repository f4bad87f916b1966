"""The Link header of paginated lists (RFC 8288)."""

from flask import request, url_for

from app.pagination import Page


def with_links(page: Page) -> tuple[Page, int, dict]:
    """Return a response tuple with `page` and a Link header with the URLs of the first and the next page."""
    links = [f'<{_page_url(None)}>; rel="first"']
    if page.older:
        links.append(f'<{_page_url(page.older)}>; rel="next"')
    return page, 200, {"Link": ", ".join(links)}


def _page_url(before: int | None) -> str:
    query = request.args.to_dict() | {"before": before}
    return url_for(request.endpoint, **request.view_args, **query)
