"""A site as the tests see it: requests with a base URL, a timeout, and failures that say what was asked."""

import time
from html.parser import HTMLParser
from urllib.parse import urljoin, urlsplit

import requests

CONNECT, READ = 5, 40  # seconds; longer than a stuck request may take, REQUEST_TIMEOUT + 5
SEEN_WITHIN = 10  # seconds until strangers see a change; caches keep their pages for one, and refresh them when asked
LOOPBACK = {"127.0.0.1", "localhost", "::1"}
POSTS = "/api/v1/posts"
REDIRECT = {302, 303}


class Site:
    """One visitor of the site: keeps cookies and connections, follows no redirect."""

    def __init__(self, url: str):
        self.url = url
        self.local = urlsplit(url).hostname in LOOPBACK
        self._session = requests.Session()
        self._created: list[str] = []

    def close(self) -> None:
        self._session.close()

    def request(self, method: str, path: str, status: int | set[int] = 200, **options) -> requests.Response:
        """Return the answer to `method path`. AssertionError if there is none, or of another `status`."""
        exactly = options.pop("exactly", False)
        url = urljoin(self.url + "/", path)
        if "Host" in (options.get("headers") or {}):  # requests would keep the cookies of one host from another
            options["cookies"] = {cookie.name: cookie.value for cookie in self._session.cookies}
        prepared = self._session.prepare_request(requests.Request(method, url, **options))
        if exactly:  # requests would resolve dots and decode what needs no encoding
            prepared.url = self.url + path
        response = self._send(prepared, f"{method} {path}")
        location = response.headers.get("Location", "")
        if response.status_code == 201 and self.is_here(location):
            self._created.append(location)
        wanted = status if isinstance(status, set) else {status}
        assert response.status_code in wanted, (
            f"{method} {path} answered {response.status_code}, not {' or '.join(map(str, sorted(wanted)))}"
        )
        return response

    def _send(self, prepared: requests.PreparedRequest, label: str) -> requests.Response:
        bypass = {"no_proxy": urlsplit(self.url).hostname} if self.local else {}
        settings = self._session.merge_environment_settings(prepared.url, bypass, None, None, None)
        try:
            return self._session.send(prepared, timeout=(CONNECT, READ), allow_redirects=False, **settings)
        except requests.RequestException as error:
            raise AssertionError(f"{label} got no whole answer: {cause(error)}") from None

    def get(self, path: str, status: int | set[int] = 200, **options) -> requests.Response:
        return self.request("GET", path, status, **options)

    def page(self, path: str = "/", status: int = 200, **options) -> "Page":
        """Return a page, parsed."""
        return Page(self.get(path, status, **options).text)

    def page_with(self, text: str, path: str = "/") -> str:
        """Return the HTML of a page once this text is on it. AssertionError if it doesn't get there."""
        deadline = time.monotonic() + SEEN_WITHIN
        while text not in (html := self.get(path).text):
            assert time.monotonic() < deadline, f"the text is not on the page {path} after {SEEN_WITHIN} s"
            time.sleep(0.2)
        return html

    def publish(self, text: str, status: int | set[int], **headers) -> requests.Response:
        """Publish `text` by the form of the first page."""
        return self.fill_in("/", {"body": text}, status, **headers)

    def fill_in(self, path: str, form: dict, status: int | set[int] = REDIRECT, **headers) -> requests.Response:
        """Fill a form in as a browser does: read the page it is on, and send its token with the fields."""
        token = self.page(path, headers=headers).fields.get("csrf_token")
        return self.submit({"csrf_token": token, **form}, status, path, **headers)

    def submit(self, form: dict, status: int | set[int], path: str = "/", **headers) -> requests.Response:
        """Send a form's fields, and the address of the page it is on, without which TLS sites refuse it."""
        headers["Referer"] = self._base(headers.get("Host")) + path
        return self.request("POST", path, status, data=form, headers=headers)

    def show(self, token: str) -> None:
        """Show a token of the API with every request from now on."""
        self._session.headers["Authorization"] = f"Bearer {token}"

    def send_json(self, data: bytes, status: int, kind: str = "application/json") -> requests.Response:
        """Send `data` to the API as a new post."""
        return self.request("POST", POSTS, status, data=data, headers={"Content-Type": kind})

    def find_posts(self, marker: str) -> list[dict]:
        """Return those of the newest posts whose text contains `marker`, as the API lists them."""
        posts = self.get(POSTS, params={"limit": 100}).json()["posts"]
        return [post for post in posts if marker in post["body"]]

    def delete_posts(self, marker: str) -> None:
        """Delete all posts of this visitor that contain `marker`, and all that it made by the API."""
        for post in self.find_posts(marker):
            self.request("DELETE", f"{POSTS}/{post['id']}", {204, 403, 404})
        self.delete_created()

    def delete_created(self) -> None:
        """Delete all that this visitor made by the API."""
        while self._created:
            self.request("DELETE", self._created.pop(), {204, 404})

    def _base(self, host: str | None) -> str:
        return f"{urlsplit(self.url).scheme}://{host}" if host else self.url

    def is_here(self, location: str, host: str | None = None) -> bool:
        """Whether a Location, absolute or not, has this site's scheme, host and port (or those of `host`)."""
        base = self._base(host)
        return bool(location) and origin(urljoin(base + "/", location)) == origin(base)


class Page(HTMLParser):
    """What the tests want to know of an HTML page."""

    def __init__(self, html: str):
        super().__init__()
        self.title, self.fields = "", {}
        self.style_sheets, self.static_files = [], []
        self._in_title = False
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        address = found.get("href") or found.get("src") or ""
        self._in_title = tag == "title"
        if address.startswith("/static/"):
            self.static_files.append(address)
            self.style_sheets += [address] if found.get("rel") == "stylesheet" else []
        if tag in ("input", "textarea"):
            self.fields[found.get("name")] = found.get("value", "")

    def handle_endtag(self, tag):
        self._in_title = False

    def handle_data(self, data):
        self.title += data if self._in_title else ""


def origin(url: str) -> tuple:
    """Return scheme, host and port of a URL."""
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)


def cause(error: BaseException) -> str:
    """Return what lies at the bottom of an error: `Connection refused`, not the five exceptions around it."""
    while error.__context__:
        error = error.__context__
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
