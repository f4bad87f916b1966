exec(open("/tmp/w/h/.docs_deploy.py").read())
import subprocess

U = "tests/unit/deploy/"
rewrite(
    U + "test_preload.py",
    module="PRELOAD on the real servers: how often the app is loaded, and what its processes share afterwards.",
    docs={
        "served": "The URL of APP on the server, as on a platform without Nginx, with two worker processes.",
        "of_both": "The responses of the app by process, when both processes have answered.",
        "test_on": "The app is loaded once, by a process that answers no requests. The worker processes are informed of the fork, have different random numbers, and exclude the app's objects from garbage collection.",
        "test_off": "Each worker process loads the app, after deploy/start has loaded it once as a check.",
        "test_sample_can_be_preloaded": "The loaded sample app has neither threads nor connections; a connection that is open at a fork is not used by the child.",
    },
    names={
        "FORK": "FORKING_SERVERS",
        "of_both": "responses_by_process",
        "test_on": "test_preload_on",
        "test_off": "test_preload_off",
        "test_sample_can_be_preloaded": "test_sample_app_can_be_preloaded",
        "told": "responses",
        "was_told_of_the_fork": "knows_of_the_fork",
        "brought": "custom",
    },
    subs=[
        ("# Apache's processes load for themselves", "# Apache's processes load the app independently"),
        (
            '                one = json.load(response)\n            responses.setdefault(one["pid"], []).append(one)',
            '                answer = json.load(response)\n            responses.setdefault(answer["pid"], []).append(answer)',
        ),
        ("# not up yet", "# not started yet"),
        (
            "for some in responses.values() for answer in some",
            "for one_process in responses.values() for answer in one_process",
        ),
    ],
)
t = Path(U + "test_preload.py").read_text()
t = t.replace('    responses = {"pid": os.getpid()', '    told = {"pid": os.getpid()').replace(
    "json.dumps(responses)", "json.dumps(told)"
)
t = t.replace(
    '    told = {"pid": os.getpid(), "loaded_in": loaded_in, "knows_of_the_fork": os.getpid() in forks,\n            "random"',
    '    facts = {"pid": os.getpid(), "loaded_in": loaded_in, "knows_of_the_fork": os.getpid() in forks,\n             "random"',
).replace("json.dumps(told)", "json.dumps(facts)")
Path(U + "test_preload.py").write_text(t)
rewrite(
    U + "test_proxy.py",
    module="deploy/middleware/trusted_proxies.py, allowed_hosts.py and static_files.py: client, scheme, host, and files without Nginx.",
    docs={
        "behind": "The environ that the app receives with TRUSTED_PROXIES=count.",
        "test_client_is_counted_from_the_right": "The client's address is the one that the outermost trusted proxy saw; addresses that a client adds are ignored.",
        "test_address_of_a_tcp_connection_stays": "If the server knows the peer and no proxy is trusted, the peer is the client.",
        "test_scheme": "The scheme is that of the trusted proxy, never the one that the WSGI server takes from a client's header.",
        "scheme_app": "An app that answers with the scheme.",
        "test_path_prefix_and_host_come_from_nobodys_header": "SCRIPT_NAME, which Gunicorn takes from a header, and the forwarded host, port and prefix are ignored.",
        "test_server_name_and_port_are_those_of_the_address": "SERVER_NAME and SERVER_PORT are those of the address in the browser, not a socket's or a machine's.",
        "test_only_allowed_hosts_are_served": "Requests for the hosts of ALLOWED_HOSTS reach the app; all others get 400.",
        "test_readiness_is_asked_by_address": "READY_PATH is exempt, since containers and platforms send an IP address as the host.",
        "built": "The assets of a folder of static files.",
        "fetch": "The response for a static file; the app behind the middleware answers 404.",
        "test_files_are_served_only_with_port": "The app serves static files only with PORT; otherwise Nginx does.",
        "test_app_without_static_files_needs_none": "A custom app may have no folder of static files.",
        "directives": "The directives of a Cache-Control header.",
        "test_hashed_name_is_kept_for_ever": "A hashed name may be cached for a year without revalidation; a plain name is revalidated each time.",
        "test_headers_are_those_of_nginx": "Each name has the same headers with and without Nginx.",
        "test_unchanged_file_is_304": "A conditional request with the current ETag gets 304.",
        "test_precompressed_siblings_are_sent": "Clients that accept compression get the compressed sibling, with Vary for caches.",
        "test_nothing_else_is_served": "Only files of the folder are served; other paths get 404.",
    },
    names={
        "test_path_prefix_and_host_come_from_nobodys_header": "test_prefix_and_host_headers_are_ignored",
        "test_server_name_and_port_are_those_of_the_address": "test_server_name_and_port",
        "test_readiness_is_asked_by_address": "test_readiness_is_exempt_from_allowed_hosts",
        "test_app_without_static_files_needs_none": "test_app_without_static_files",
        "test_hashed_name_is_kept_for_ever": "test_hashed_name_is_cached_for_a_year",
        "believed_by_the_server": "scheme_of_the_server",
        "found": "passed_environ",
    },
    subs=[("# --- who asks, and by which scheme ---", "# --- client and scheme ---")],
)
rewrite(
    U + "test_request_timeout.py",
    module="deploy/middleware/request_timeout.py; each test runs in a process of its own, because the watchdog may end it.",
    docs={
        "run": "The lines that the code printed, and the log lines of its process.",
        "test_stuck_request_is_504": "A request that is stuck in Python gets 504 in time, and its label and stack are logged.",
        "test_except_exception_does_not_swallow_it": "An app that catches Exception is interrupted too.",
        "test_request_that_cannot_be_interrupted_ends_its_process": "A request that is stuck in C code ends its worker process, so that the server starts a new one.",
        "test_watchdog_that_is_stuck_itself_has_a_last_resort": "C code that holds the GIL, and so blocks the watchdog, is ended by the thread of faulthandler.",
        "test_stream_that_goes_on_is_not_ended": "A response may take any time while parts keep coming.",
        "test_slow_reader_is_not_the_apps_fault": "Time spent waiting for a slow client between two parts is not counted.",
        "test_stuck_stream_is_cut": "A response that is stuck between two parts ends with an exception for the server, and its stack is logged.",
        "test_stuck_close_is_ended": "Code that the app runs after its response, in close(), is interrupted too.",
        "test_close_reaches_the_app": "The body's close() is called once.",
        "test_no_thread_before_the_first_request": "Each worker process starts its own watchdog with its first request: a thread from before the fork would be lost.",
        "test_app_may_fork": "A process that the app forks while the watchdog runs gets a watchdog of its own, and can exit.",
        "test_normal_request_never_sees_a_late_exception": "Of thousands of requests that finish just at the timeout, none gets the exception after it has finished.",
    },
    names={
        "test_except_exception_does_not_swallow_it": "test_except_exception_does_not_catch_it",
        "test_watchdog_that_is_stuck_itself_has_a_last_resort": "test_stuck_watchdog_is_ended_by_faulthandler",
        "test_stream_that_goes_on_is_not_ended": "test_continuing_stream_is_not_interrupted",
        "test_slow_reader_is_not_the_apps_fault": "test_slow_client_is_not_counted",
        "test_stuck_stream_is_cut": "test_stuck_stream_is_interrupted",
        "test_stuck_close_is_ended": "test_stuck_close_is_interrupted",
        "test_close_reaches_the_app": "test_close_is_called_once",
        "test_app_may_fork": "test_app_can_fork",
        "test_normal_request_never_sees_a_late_exception": "test_finished_request_never_gets_the_exception",
    },
    subs=[
        (
            "# the watchdog loses the CPU between its look and its deed",
            "# the watchdog loses the CPU between its check and the exception",
        ),
        ("# the server's own work between two requests", "# the work of the server between two requests"),
    ],
)
