"""The kinds of requests that are measured. bench/workload has the app that answers them."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Workload:
    """One kind of GET request."""

    name: str
    path: str
    meaning: str
    cookie: str = ""


JSON = Workload("json", "/bench/json", "a Flask view that returns JSON")
TIMELINE = Workload(
    "timeline",
    "/",
    "the sample app's home page from SQLite (1,000 posts), for a client with a cookie; it computes for some ms",
    cookie="any=cookie",
)
STATIC = Workload("static", "/static/css/site.css", "a style sheet")
CACHED = Workload("cached", "/", "the home page for an anonymous client, which Nginx caches for one second")
WAIT = Workload("wait", "/bench/wait", "a view that sleeps for 50 ms")

WORKLOADS = (JSON, TIMELINE, STATIC, CACHED)  # of the closed loop: CPU and capacity
OVERLOADED = (TIMELINE, WAIT)  # of the open loop beyond the capacity: a view that computes, and one that waits
