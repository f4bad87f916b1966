"""Nginx's page cache: it stores only pages that the app marks as public, and no client gets another client's page."""

import http.client
import json
import random
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from urllib.parse import quote

import pytest

LONG = "public, s-maxage=60"
SHORT = "public, max-age=0, s-maxage=1, stale-while-revalidate=30, stale-if-error=86400"
OTHERS = 8  # requests during a refresh
PAGES, RANDOM = 30, 1000


@pytest.fixture(scope="module")
def stack(make_stack):
    # One process, so that it numbers all responses; two proxies, so that X-Forwarded-Proto is trusted.
    stack = make_stack("probe.yml", WEB_CONCURRENCY="1", TRUSTED_PROXIES="2", RELEASE_COMMAND="true")
    stack.up()
    return stack


class Answer:
    """A response: status, headers, the cache status, and the probe's report of the request that it received."""

    def __init__(self, response: http.client.HTTPResponse):
        self.status, self.headers, body = response.status, response.headers, response.read()
        self.cache = self.headers.get("X-Cache")
        self.report = json.loads(body) if body and self.status in (200, 404, 410) else {}

    @property
    def number(self) -> int:
        """The number of this response of the app, unique for each request that reached it."""
        return self.report["number"]


@pytest.fixture
def ask(stack):
    """Return a function that requests a target; each further keyword is a header."""

    def ask(target: str, method: str = "GET", body: bytes | None = None, **headers: str) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", stack.port, timeout=20)
        try:
            fields = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, target, body, {"Host": "a.example"} | fields)
            return Answer(connection.getresponse())
        finally:
            connection.close()

    yield ask
    ask("/become/")


def page(name: str, *headers: str, **more: str) -> str:
    """Return the target of a page with this name whose response has these headers."""
    query = [("header", header) for header in headers] + list(more.items())
    return f"/page/{name}?" + "&".join(f"{key}={quote(value)}" for key, value in query)


def marked(name: str, cache_control: str = LONG, *headers: str, **more: str) -> str:
    """Return the target of a page that is marked as cacheable."""
    return page(name, f"Cache-Control: {cache_control}", *headers, **more)


def _until(get, is_expected):
    deadline = time.monotonic() + 15
    while not is_expected(answer := get()):
        assert time.monotonic() < deadline, answer.report
        time.sleep(0.1)
    return answer


def cached(ask, target: str, **options: str) -> Answer:
    """Request a page until it comes from the cache. Nginx stores a page shortly after it has sent it."""
    return _until(lambda: ask(target, **options), lambda answer: answer.cache == "HIT")


def test_marked_page_is_cached(ask):
    """A public page with s-maxage is generated once, and X-Cache shows it. HEAD responses are cached separately."""
    target = marked("cached")
    first = ask(target)
    assert (first.cache, cached(ask, target).number) == ("MISS", first.number)
    ask("/seen")
    made = ask(target, method="HEAD")
    assert cached(ask, target, method="HEAD").headers["Content-Length"] == made.headers["Content-Length"]
    assert {seen["environ"]["REQUEST_METHOD"] for seen in ask("/seen").report} == {"HEAD"}


NOT_MARKED = [
    [],
    ["Cache-Control: public"],
    ["Cache-Control: max-age=60"],
    ["Cache-Control: s-maxage=60"],
    ["Cache-Control: public, max-age=60"],
    ["Cache-Control: public, s-maxage=0"],
    ["Cache-Control: public, s-maxage=60, private"],
    ["Cache-Control: public, s-maxage=60", "Cache-Control: private"],
    ["Cache-Control: public, s-maxage=60", "Cache-Control: no-store"],
    ["Cache-Control: No-Store, public, s-maxage=60"],
    ["Cache-Control: public, s-maxage=60, no-cache"],
    ['Cache-Control: public, s-maxage=60, private="Set-Cookie"'],
    ["Cache-Control: public, s-maxage=60", "Set-Cookie: session=mine"],
    ["Cache-Control: public, s-maxage=60", "Vary: *"],
    ["Cache-Control: republic, s-maxage=60"],
    ["Expires: Thu, 01 Jan 2099 00:00:00 GMT"],
    ["X-Accel-Expires: 60"],
    ["X-Accel-Expires: 60", "Cache-Control: private"],
    ["X-Accel-Expires: 60", "Cache-Control: public, s-maxage=0"],
]


@pytest.mark.parametrize("headers", NOT_MARKED, ids=" + ".join)
def test_unmarked_page_is_not_cached(ask, headers):
    """Pages without a mark, with contradictory marks or with a cookie are generated for every request."""
    answers = [ask(page("not-cached", *headers)) for _ in range(3)]
    assert {answer.cache for answer in answers} == {"MISS"}
    assert len({answer.number for answer in answers}) == 3


@pytest.mark.parametrize("status", ["302 Found", "304 Not Modified", "403 Forbidden", "500 Error", "503 Busy"])
def test_other_status_is_not_cached(ask, status):
    """Redirects, errors and responses to a conditional request are never cached, whatever their headers say."""
    assert [ask(marked("status", status=status)).cache for _ in range(2)] == ["MISS"] * 2


CREDENTIALS = [
    {"Cookie": "session=mine"},
    {"Cookie": "anything=1"},
    {"Authorization": "Bearer mine"},
    {"Proxy_Authorization": "Basic bQ=="},
]


@pytest.mark.parametrize("mine", CREDENTIALS, ids=str)
def test_requests_with_credentials_bypass_the_cache(ask, mine):
    """Requests with cookies or credentials always reach the app, and the response is not cached. Those for a proxy do
    not reach it.
    """
    [(header, value)] = mine.items()
    target = marked(f"credentials-{header}-{value.split()[0]}")
    own, anonymous, again = ask(target, **mine), ask(target), ask(target, **mine)
    assert {value in answer.report.values() for answer in (own, again)} == {header != "Proxy_Authorization"}
    assert value not in anonymous.report.values()
    assert (own.cache, anonymous.cache, again.cache) == (None, "MISS", None)
    assert cached(ask, target).number == anonymous.number


def test_cache_key(ask):
    """Requests with different schemes, hosts, ports, paths, queries or methods never share a cached page."""
    query = marked("key").partition("?")[2]
    targets = [marked("key"), marked("key/"), marked("Key"), marked("key") + "&", "/page/key"]
    # Joined with "?", these two would be equal. The header must not be last: a "?" after it would spoil its value.
    targets += [f"/page/key?{query}&x=?", "/page/key" + quote(f"?{query}&x=")]
    cached(ask, targets[-2])
    asked = [(target, {}) for target in targets]
    asked += [(targets[0], {"Host": host}) for host in ("b.example", "a.example:81", "a.example.b")]
    asked += [(targets[0], {"X_Forwarded_Proto": "https"})]
    answers = [ask(target, **headers) for target, headers in asked]
    assert len({answer.number for answer in answers}) == len(asked)


def test_vary(ask):
    """A page with Vary: Accept-Language is cached once for each language."""
    target = marked("vary", LONG, "Vary: Accept-Language")
    for language in ("de", "en"):
        assert ask(target, Accept_Language=language).report["HTTP_ACCEPT_LANGUAGE"] == language
    for language in ("de", "en"):
        assert cached(ask, target, Accept_Language=language).report["HTTP_ACCEPT_LANGUAGE"] == language


def test_get_with_a_body_is_not_cached(ask):
    """A GET request with a body, which may change the app's response, does not fill the cache (web cache poisoning)."""
    target = marked("fat")
    assert ask(target, body=b"evil=1").report["CONTENT_LENGTH"] == "6"
    assert ask(target).report["CONTENT_LENGTH"] in ("", "0")


def test_conditional_and_range_requests(ask):
    """Conditional requests are answered from the cache; range requests reach the app and do not fill the cache."""
    target = marked("condition", LONG, 'ETag: "one"')
    assert ask(target, Range="bytes=0-1").report["HTTP_RANGE"] == "bytes=0-1"
    assert ask(target, If_None_Match='"two"').report["HTTP_IF_NONE_MATCH"] == '"two"'
    cached(ask, target)
    assert ask(target, If_None_Match='"one"').status == 304


def expire(ask, *targets: str) -> list[Answer]:
    """Fill the cache and wait until the pages, whose s-maxage is 1 s, are stale."""
    answers = list(map(ask, targets))
    time.sleep(2.1)  # Nginx measures the TTL in whole seconds
    return answers


def timed(connection: http.client.HTTPConnection, target: str) -> tuple[Answer, float]:
    """Request a target on this connection, and return the answer and how many seconds it took."""
    began = time.monotonic()
    connection.request("GET", target, headers={"Host": "a.example"})
    answer = Answer(connection.getresponse())
    return answer, time.monotonic() - began


def test_one_request_refreshes_while_others_get_the_stale_page(ask):
    """During a refresh, which takes 1 s, all clients get the stale page at once, and the app gets a single request."""
    target = marked("refresh", SHORT, seconds="1")
    [first] = expire(ask, target)
    began = time.monotonic()
    with ThreadPoolExecutor(OTHERS) as pool:
        answers = list(pool.map(ask, [target] * OTHERS))
    assert {answer.number for answer in answers} == {first.number}
    assert {answer.cache for answer in answers} <= {"STALE", "UPDATING"}
    assert time.monotonic() - began < 1  # no client waits for the app's 1 s
    fresh = _until(lambda: ask(target), lambda answer: answer.number != first.number)
    assert fresh.number == first.number + 1


def test_stale_page_does_not_wait_for_its_refresh(stack, ask):
    """A client with a keep-alive connection gets a stale page in less than 100 ms while the app refreshes it for 1 s.

    The next request on the connection waits for the refresh, but for no longer. The fastest of three attempts counts.
    """
    targets = [marked(f"refresh-{number}", SHORT, seconds="1") for number in range(3)]
    expire(ask, *targets)
    stale_after, next_after = [], []
    with closing(http.client.HTTPConnection("127.0.0.1", stack.port, timeout=20)) as connection:
        for target in targets:
            stale, duration = timed(connection, target)
            assert (stale.cache, stale.headers["Connection"]) == ("STALE", "keep-alive")
            stale_after.append(duration)
            next_after.append(timed(connection, "/ready")[1])
    assert min(stale_after) < 0.1
    assert min(next_after) < 1.5


def test_refresh_by_a_condition(ask):
    """A refresh triggered by a conditional request stores the whole page, not the 304."""
    target = marked("refresh-by-condition", SHORT, 'ETag: "one"')
    [first] = expire(ask, target)
    assert ask(target, If_None_Match='"one"').status == 304
    fresh = _until(lambda: ask(target), lambda answer: answer.number != first.number)
    assert (fresh.status, fresh.report["HTTP_IF_NONE_MATCH"]) == (200, "")


ON_ERROR = "public, s-maxage=1, stale-if-error=86400"


def become(ask, status: str) -> None:
    """Make the app answer with this status from now on."""
    ask(f"/become/{status}%20Become")


def test_failed_refresh_keeps_the_cached_page(ask):
    """A failed background refresh changes nothing: the stale page is served until a refresh succeeds."""
    target = marked("failing", SHORT)
    [first] = expire(ask, target)
    become(ask, "500")
    assert {(answer.status, answer.number) for answer in map(ask, [target] * 3)} == {(200, first.number)}
    ask("/become/")
    _until(lambda: ask(target), lambda answer: answer.number != first.number)


def test_error_of_the_app_replaces_the_cached_page(ask):
    """The app's own errors reach the client: a page that was deleted or made private is not served from the cache."""
    statuses = ("401", "403", "404", "410", "429", "500", "503")
    targets = {status: marked(f"gone-{status}", ON_ERROR) for status in statuses}
    expire(ask, *targets.values())
    for status, target in targets.items():
        become(ask, status)
        assert ask(target).status == int(status)


def test_stale_page_needs_a_stale_directive(ask):
    """A page without stale-while-revalidate and stale-if-error is never served after its TTL."""
    target = marked("no-directive", "public, s-maxage=1")
    expire(ask, target)
    become(ask, "500")
    assert ask(target).status == 500


# --- random requests --------------------------------------------------------------------------------------------------

PATHS = ("a", "a/", "A", "a%3Fx", "a%2Fb", "a/b", "a//b", "a/../a", "%61", "a%20b", "a%23", "a%26", "a%C3%A9")
CONTROLS = (LONG, LONG, "public, s-maxage=1, stale-while-revalidate=60", "private", "max-age=60", "no-store")
VARY = ("", "Vary: Accept-Language", "Vary: Cookie", "Vary: Accept-Language, Cookie", "Vary: *")


def _random_page(chance: random.Random) -> str:
    """Return a target with random caching headers and a path that resembles the others."""
    vary = chance.choice(VARY)
    lines = [f"Cache-Control: {chance.choice(CONTROLS)}", *([vary] if vary else [])]
    lines += ["Set-Cookie: session=fresh"] if chance.random() < 0.1 else []
    return page(chance.choice(PATHS), *lines) + chance.choice(("", "&", "&x=1", "&x=%3F"))


def _random_headers(chance: random.Random, number: int) -> dict[str, str]:
    """Return the headers of a random user; `number` is unique for each user."""
    headers = {
        "Host": chance.choice(("a.example", "a.example:8000")),
        "X_Forwarded_Proto": chance.choice(("http", "https")),
        "Accept_Language": chance.choice(("de", "en")),
    }
    headers |= {"Cookie": f"{chance.choice(('session', 'x'))}=user-{number}"} if chance.random() < 0.3 else {}
    return headers | ({"Authorization": f"Bearer user-{number}"} if chance.random() < 0.2 else {})


def test_no_client_gets_another_clients_page(ask):
    """Each response belongs to its request, for 1,000 random requests with similar hosts, schemes and paths, with and
    without cookies. More than a tenth of the responses come from the cache, or the test would prove nothing.
    """
    chance, hits = random.Random(7), 0
    pages = [_random_page(chance) for _ in range(PAGES)]
    paths = {target: ask(target, Cookie="none").report["PATH_INFO"] for target in pages}  # as the app receives them
    for number in range(RANDOM):
        target, headers = chance.choice(pages), _random_headers(chance, number)
        answer = ask(target, **headers)
        expected = {
            "REQUEST_METHOD": "GET",
            "PATH_INFO": paths[target],
            "QUERY_STRING": target.partition("?")[2],
            "HTTP_HOST": headers["Host"],
            "wsgi.url_scheme": headers["X_Forwarded_Proto"],
            "HTTP_COOKIE": headers.get("Cookie", ""),
            "HTTP_AUTHORIZATION": headers.get("Authorization", ""),
        }
        if "Language" in answer.headers.get("Vary", ""):
            expected["HTTP_ACCEPT_LANGUAGE"] = headers["Accept_Language"]
        assert {name: answer.report[name] for name in expected} == expected, target
        hits += answer.cache in ("HIT", "STALE", "UPDATING")
    assert hits > RANDOM / 10


# --- without the app's container --------------------------------------------------------------------------------------


def test_release_needs_no_purge(stack, ask):
    """After a switch of the server, cached pages are replaced as soon as their s-maxage has passed."""
    target = marked("release", SHORT)
    old = ask(target).report["process"]
    stack.up(WSGI_SERVER="uwsgi")
    _until(lambda: ask(target), lambda answer: answer.report["process"] != old)


def test_cached_page_is_served_without_web(stack, ask):
    """Without any web container, cached pages are still served, also after a restart of Nginx; others get 503."""
    target = marked("stays", SHORT)
    [first] = expire(ask, target)
    stack.compose("stop", "--timeout", "5", "web")
    for is_restarted in (False, True):
        if is_restarted:
            stack.compose("restart", "--timeout", "1", "nginx")
            stack.compose("up", "--detach", "--no-build", "--no-deps", "--wait", "nginx")
        answer = ask(target)
        assert (answer.status, answer.cache, answer.number) == (200, "STALE", first.number)
        assert ask(target, Cookie="session=mine").status == ask(marked("stays-not", SHORT)).status == 503
    stack.compose("start", "web")
    stack.up()
