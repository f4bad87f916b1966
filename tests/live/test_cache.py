"""The cache of pages in Nginx: it keeps what the app has marked for everybody, and gives nobody another one's page."""

import http.client
import json
import random
import time
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import quote

import pytest

LONG = "public, s-maxage=60"
SHORT = "public, max-age=0, s-maxage=1, stale-while-revalidate=30, stale-if-error=86400"
OTHERS = 8  # who ask while a page is refreshed
PAGES, RANDOM = 30, 1000


@pytest.fixture(scope="module")
def stack(make_stack):
    # One process, which counts its answers; two proxies, so that the scheme of the outer one is believed.
    stack = make_stack("probe.yml", WEB_CONCURRENCY="1", TRUSTED_PROXIES="2", RELEASE_COMMAND="true")
    stack.up()
    return stack


class Answer:
    """Status and headers, what the cache had to do with it, and what the probe said of the request that it saw."""

    def __init__(self, response: http.client.HTTPResponse):
        self.status, self.headers, body = response.status, response.headers, response.read()
        self.cache = self.headers.get("X-Cache")
        self.told = json.loads(body) if body and self.status in (200, 404, 410) else {}

    @property
    def number(self) -> int:
        """Each answer of the app has a number of its own."""
        return self.told["number"]


@pytest.fixture
def ask(stack):
    """Asks for a target; each keyword is a header, and with body and method what they say."""

    def ask(target: str, method: str = "GET", body: bytes | None = None, **headers: str) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", stack.port, timeout=20)
        try:
            given = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, target, body, {"Host": "a.example"} | given)
            return Answer(connection.getresponse())
        finally:
            connection.close()

    yield ask
    ask("/become/")


def page(name: str, *headers: str, **more: str) -> str:
    """The target of a page of this name with these headers."""
    query = [("header", header) for header in headers] + list(more.items())
    return f"/page/{name}?" + "&".join(f"{key}={quote(value)}" for key, value in query)


def marked(name: str, cache_control: str = LONG, *headers: str, **more: str) -> str:
    return page(name, f"Cache-Control: {cache_control}", *headers, **more)


def _until(get, good):
    deadline = time.monotonic() + 15
    while not good(found := get()):
        assert time.monotonic() < deadline, found.told
        time.sleep(0.1)
    return found


def kept(ask, target: str, **how: str) -> Answer:
    """The answer from the cache; Nginx may have answered a moment before the page is in it."""
    return _until(lambda: ask(target, **how), lambda answer: answer.cache == "HIT")


def test_marked_page_is_kept(ask):
    """A page that is public and has an s-maxage is made once; X-Cache tells. A HEAD stays one, and is kept apart."""
    target = marked("kept")
    first = ask(target)
    assert (first.cache, kept(ask, target).number) == ("MISS", first.number)
    ask("/seen")
    made = ask(target, method="HEAD")
    assert kept(ask, target, method="HEAD").headers["Content-Length"] == made.headers["Content-Length"]
    assert {seen["environ"]["REQUEST_METHOD"] for seen in ask("/seen").told} == {"HEAD"}


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
def test_other_page_is_not_kept(ask, headers):
    """What is not marked, or marked in two minds, or sets a cookie, is made anew for everybody."""
    answers = [ask(page("not-kept", *headers)) for _ in range(3)]
    assert {answer.cache for answer in answers} == {"MISS"}
    assert len({answer.number for answer in answers}) == 3


@pytest.mark.parametrize("status", ["302 Found", "304 Not Modified", "403 Forbidden", "500 Error", "503 Busy"])
def test_other_status_is_not_kept(ask, status):
    """Errors and answers to one client's condition are not for all, whatever their headers say."""
    assert [ask(marked("status", status=status)).cache for _ in range(2)] == ["MISS"] * 2


CREDENTIALS = [
    {"Cookie": "session=mine"},
    {"Cookie": "anything=1"},
    {"Authorization": "Bearer mine"},
    {"Proxy_Authorization": "Basic bQ=="},
]


@pytest.mark.parametrize("mine", CREDENTIALS, ids=str)
def test_credentials(ask, mine):
    """Who has a cookie or credentials is answered by the app, and the answer is kept for nobody."""
    [(header, value)] = mine.items()
    target = marked(f"credentials-{header}-{value.split()[0]}")
    own, anonymous, again = ask(target, **mine), ask(target), ask(target, **mine)
    assert value in own.told.values() and value in again.told.values() and value not in anonymous.told.values()
    assert (own.cache, anonymous.cache, again.cache) == (None, "MISS", None)
    assert kept(ask, target).number == anonymous.number


def test_key(ask):
    """Scheme, host, port, path, query and method: another one is another page, however it is written."""
    query = marked("key").partition("?")[2]
    targets = [marked("key"), marked("key/"), marked("Key"), marked("key") + "&", "/page/key"]
    # Joined by "?" these two would be the same. The mark must not be last: with a "?" behind it, it is none.
    targets += [f"/page/key?{query}&x=?", "/page/key" + quote(f"?{query}&x=")]
    kept(ask, targets[-2])
    asked = [(target, {}) for target in targets]
    asked += [(targets[0], {"Host": host}) for host in ("b.example", "a.example:81", "a.example.b")]
    asked += [(targets[0], {"X_Forwarded_Proto": "https"})]
    answers = [ask(target, **headers) for target, headers in asked]
    assert len({answer.number for answer in answers}) == len(asked)


def test_vary(ask):
    """A page that depends on the language is kept once for each."""
    target = marked("vary", LONG, "Vary: Accept-Language")
    for language in ("de", "en"):
        assert ask(target, Accept_Language=language).told["HTTP_ACCEPT_LANGUAGE"] == language
    for language in ("de", "en"):
        assert kept(ask, target, Accept_Language=language).told["HTTP_ACCEPT_LANGUAGE"] == language


def test_body_of_a_get_is_no_part_of_the_page(ask):
    """A GET with a body, by which an app could be made to show something else, fills no cache."""
    target = marked("fat")
    assert ask(target, body=b"evil=1").told["CONTENT_LENGTH"] == "6"
    assert ask(target).told["CONTENT_LENGTH"] in ("", "0")


def test_condition_and_part(ask):
    """A browser's own condition is answered from a kept page; ranges pass to the app, and fill no cache."""
    target = marked("condition", LONG, 'ETag: "one"')
    assert ask(target, Range="bytes=0-1").told["HTTP_RANGE"] == "bytes=0-1"
    assert ask(target, If_None_Match='"two"').told["HTTP_IF_NONE_MATCH"] == '"two"'
    kept(ask, target)
    assert ask(target, If_None_Match='"one"').status == 304


def expire(ask, *targets: str) -> list[Answer]:
    """Fills the cache, and returns when the pages' second is over."""
    answers = list(map(ask, targets))
    time.sleep(2.1)  # Nginx counts whole seconds
    return answers


def test_one_refreshes_and_others_are_served(ask):
    """While a page is refreshed, which takes a second, all others get the old one at once; one request is made."""
    target = marked("refresh", SHORT, seconds="1")
    [first] = expire(ask, target)
    began = time.monotonic()
    with ThreadPoolExecutor(OTHERS) as pool:
        answers = list(pool.map(ask, [target] * OTHERS))
    assert {answer.number for answer in answers} == {first.number}
    assert {answer.cache for answer in answers} <= {"STALE", "UPDATING"}
    assert time.monotonic() - began < 1  # the promise: nobody waits for the second that the app takes
    fresh = _until(lambda: ask(target), lambda answer: answer.number != first.number)
    assert fresh.number == first.number + 1


def test_refresh_by_a_condition(ask):
    """A client whose own copy is still good brings the whole new page into the cache, not its 304."""
    target = marked("refresh-by-condition", SHORT, 'ETag: "one"')
    [first] = expire(ask, target)
    assert ask(target, If_None_Match='"one"').status == 304
    fresh = _until(lambda: ask(target), lambda answer: answer.number != first.number)
    assert (fresh.status, fresh.told["HTTP_IF_NONE_MATCH"]) == (200, "")


ON_ERROR = "public, s-maxage=1, stale-if-error=86400"


def become(ask, status: str) -> None:
    """From now on the app answers everything with this status."""
    ask(f"/become/{status}%20Become")


def test_failing_app_is_not_kept(ask):
    """A refresh in the background that fails changes nothing: the page is served as it was, until one succeeds."""
    target = marked("failing", SHORT)
    [first] = expire(ask, target)
    become(ask, "500")
    assert {(answer.status, answer.number) for answer in map(ask, [target] * 3)} == {(200, first.number)}
    ask("/become/")
    _until(lambda: ask(target), lambda answer: answer.number != first.number)


def test_what_is_gone_is_gone(ask):
    """What the app itself answers holds: a page that was deleted, or closed to the public, is not served as it was."""
    statuses = ("401", "403", "404", "410", "429", "500", "503")
    targets = {status: marked(f"gone-{status}", ON_ERROR) for status in statuses}
    expire(ask, *targets.values())
    for status, target in targets.items():
        become(ask, status)
        assert ask(target).status == int(status)


def test_not_stale_without_leave(ask):
    """A page that allows neither is never served beyond its time."""
    target = marked("no-leave", "public, s-maxage=1")
    expire(ask, target)
    become(ask, "500")
    assert ask(target).status == 500


# --- at random --------------------------------------------------------------------------------------------------------

PATHS = ("a", "a/", "A", "a%3Fx", "a%2Fb", "a/b", "a//b", "a/../a", "%61", "a%20b", "a%23", "a%26", "a%C3%A9")
CONTROLS = (LONG, LONG, "public, s-maxage=1, stale-while-revalidate=60", "private", "max-age=60", "no-store")
VARY = ("", "Vary: Accept-Language", "Vary: Cookie", "Vary: Accept-Language, Cookie", "Vary: *")


def _random_page(chance: random.Random) -> str:
    """A target, marked in one way or another, that looks like others."""
    vary = chance.choice(VARY)
    lines = [f"Cache-Control: {chance.choice(CONTROLS)}", *([vary] if vary else [])]
    lines += ["Set-Cookie: session=fresh"] if chance.random() < 0.1 else []
    return page(chance.choice(PATHS), *lines) + chance.choice(("", "&", "&x=1", "&x=%3F"))


def _random_headers(chance: random.Random, number: int) -> dict[str, str]:
    """What one of many people sends; `number` is nobody else's."""
    headers = {
        "Host": chance.choice(("a.example", "a.example:8000")),
        "X_Forwarded_Proto": chance.choice(("http", "https")),
        "Accept_Language": chance.choice(("de", "en")),
    }
    headers |= {"Cookie": f"{chance.choice(('session', 'x'))}=user-{number}"} if chance.random() < 0.3 else {}
    return headers | ({"Authorization": f"Bearer user-{number}"} if chance.random() < 0.2 else {})


def test_nobody_gets_the_page_of_another(ask):
    """In any order, with and without cookies, for pages marked in any way, by hosts, schemes and paths that look alike:
    each answer is one to a request like this one. Many come from the cache, or this would prove nothing.
    """
    chance, hits = random.Random(7), 0
    pages = [_random_page(chance) for _ in range(PAGES)]
    paths = {target: ask(target, Cookie="none").told["PATH_INFO"] for target in pages}  # as the app sees them
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
        assert {name: answer.told[name] for name in expected} == expected, target
        hits += answer.cache in ("HIT", "STALE", "UPDATING")
    assert hits > RANDOM / 10


# --- without the app --------------------------------------------------------------------------------------------------


def test_release_needs_no_purge(stack, ask):
    """After a switch of the server, a page's first second is the longest for which the old one is seen."""
    target = marked("release", SHORT)
    old = ask(target).told["process"]
    stack.up(WSGI_SERVER="uwsgi")
    _until(lambda: ask(target), lambda answer: answer.told["process"] != old)


def test_page_stays_up_without_web(stack, ask):
    """With every web container stopped a kept page is served, also by a new Nginx; others get Nginx's own 503."""
    target = marked("stays", SHORT)
    [first] = expire(ask, target)
    stack.compose("stop", "--timeout", "5", "web")
    for is_new in (False, True):
        if is_new:
            stack.compose("restart", "--timeout", "1", "nginx")
            stack.compose("up", "--detach", "--no-build", "--no-deps", "--wait", "nginx")
        answer = ask(target)
        assert (answer.status, answer.cache, answer.number) == (200, "STALE", first.number)
        assert ask(target, Cookie="session=mine").status == ask(marked("stays-not", SHORT)).status == 503
