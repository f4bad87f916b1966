"""An HTTP client with a base URL, timeouts, and assertion messages that name the request."""

import time
from html.parser import HTMLParser
from urllib.parse import urljoin, urlsplit

import requests

CONNECT_TIMEOUT = 5  # seconds
READ_TIMEOUT = 40  # seconds; longer than a stuck request can take (REQUEST_TIMEOUT + 5)
VISIBLE_WITHIN = 10  # seconds until anonymous clients see a change; anonymous pages are cached for 1 s
LOOPBACK = {"127.0.0.1", "localhost", "::1"}
POSTS = "/api/v1/posts"
REDIRECT = {302, 303}


class Site:
    """A client of the site. It keeps cookies and connections, and does not follow redirects."""

    def __init__(self, url: str):
        self.url = url
        self.local = urlsplit(url).hostname in LOOPBACK
        self._session = requests.Session()
        self._created: list[str] = []

    def close(self) -> None:
        self._session.close()

    def request(self, method: str, path: str, status: int | set[int] = 200, **options) -> requests.Response:
        """Send a request and return the response. Raises AssertionError if it fails or its status is not `status`."""
        exactly = options.pop("exactly", False)
        url = urljoin(self.url + "/", path)
        if "Host" in (options.get("headers") or {}):  # otherwise, requests would not send cookies to another host
            options["cookies"] = {cookie.name: cookie.value for cookie in self._session.cookies}
        prepared = self._session.prepare_request(requests.Request(method, url, **options))
        if exactly:  # otherwise, requests would normalize the path
            prepared.url = self.url + path
        response = self._send(prepared, f"{method} {path}")
        location = response.headers.get("Location", "")
        if response.status_code == 201 and self.has_same_origin(location):
            self._created.append(location)
        expected = status if isinstance(status, set) else {status}
        assert response.status_code in expected, (
            f"{method} {path} returned {response.status_code}, expected {' or '.join(map(str, sorted(expected)))}"
        )
        return response

    def _send(self, prepared: requests.PreparedRequest, label: str) -> requests.Response:
        bypass = {"no_proxy": urlsplit(self.url).hostname} if self.local else {}
        settings = self._session.merge_environment_settings(prepared.url, bypass, None, None, None)
        try:
            return self._session.send(
                prepared, timeout=(CONNECT_TIMEOUT, READ_TIMEOUT), allow_redirects=False, **settings
            )
        except requests.RequestException as error:
            raise AssertionError(f"{label} failed: {cause(error)}") from None

    def get(self, path: str, status: int | set[int] = 200, **options) -> requests.Response:
        return self.request("GET", path, status, **options)

    def page(self, path: str = "/", status: int = 200, **options) -> "Page":
        """Return a parsed page."""
        return Page(self.get(path, status, **options).text)

    def page_with(self, text: str, path: str = "/") -> str:
        """Return the HTML of a page once it contains `text`. Raises AssertionError after VISIBLE_WITHIN seconds."""
        deadline = time.monotonic() + VISIBLE_WITHIN
        while text not in (html := self.get(path).text):
            assert time.monotonic() < deadline, f"the text is not on the page {path} after {VISIBLE_WITHIN} s"
            time.sleep(0.2)
        return html

    def publish(self, text: str, status: int | set[int], **headers) -> requests.Response:
        """Publish `text` with the form on the home page."""
        return self.fill_in("/", {"body": text}, status, **headers)

    def fill_in(self, path: str, form: dict, status: int | set[int] = REDIRECT, **headers) -> requests.Response:
        """Submit a form like a browser: load its page, and send the CSRF token with the fields."""
        token = self.page(path, headers=headers).fields.get("csrf_token")
        return self.submit({"csrf_token": token, **form}, status, path, **headers)

    def submit(self, form: dict, status: int | set[int], path: str = "/", **headers) -> requests.Response:
        """Submit the fields of a form with the Referer of its page, which HTTPS sites require."""
        headers["Referer"] = self._base(headers.get("Host")) + path
        return self.request("POST", path, status, data=form, headers=headers)

    def use_token(self, token: str) -> None:
        """Authenticate all further requests with an API token."""
        self._session.headers["Authorization"] = f"Bearer {token}"

    def send_json(self, data: bytes, status: int, kind: str = "application/json") -> requests.Response:
        """Send `data` to the API to create a post."""
        return self.request("POST", POSTS, status, data=data, headers={"Content-Type": kind})

    def find_posts(self, marker: str) -> list[dict]:
        """Return the posts among the newest 100 whose text contains `marker`."""
        posts = self.get(POSTS, params={"limit": 100}).json()["posts"]
        return [post for post in posts if marker in post["body"]]

    def delete_posts(self, marker: str) -> None:
        """Delete this user's posts that contain `marker`, and everything that this client created with the API."""
        for post in self.find_posts(marker):
            self.request("DELETE", f"{POSTS}/{post['id']}", {204, 403, 404})
        self.delete_created()

    def delete_created(self) -> None:
        """Delete everything that this client created with the API."""
        while self._created:
            self.request("DELETE", self._created.pop(), {204, 404})

    def _base(self, host: str | None) -> str:
        return f"{urlsplit(self.url).scheme}://{host}" if host else self.url

    def has_same_origin(self, location: str, host: str | None = None) -> bool:
        """Return whether a Location, absolute or relative, has the origin of this site (or of `host`)."""
        base = self._base(host)
        return bool(location) and origin(urljoin(base + "/", location)) == origin(base)


class Page(HTMLParser):
    """The title, form fields and static files of an HTML page."""

    def __init__(self, html: str):
        super().__init__()
        self.title, self.fields = "", {}
        self.style_sheets, self.static_files = [], []
        self._in_title = False
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        url = attributes.get("href") or attributes.get("src") or ""
        self._in_title = tag == "title"
        if url.startswith("/static/"):
            self.static_files.append(url)
            if attributes.get("rel") == "stylesheet":
                self.style_sheets.append(url)
        if tag in ("input", "textarea"):
            self.fields[attributes.get("name")] = attributes.get("value", "")

    def handle_endtag(self, tag):
        self._in_title = False

    def handle_data(self, data):
        if self._in_title:
            self.title += data


def origin(url: str) -> tuple:
    """Return the scheme, host and port of a URL."""
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)


def cause(error: BaseException) -> str:
    """Return the message of the root cause, such as `Connection refused`, not of the exceptions around it."""
    while error.__context__:
        error = error.__context__
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
