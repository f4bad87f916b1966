"""Which Host headers are valid: `host[:port]` (RFC 9110, 7.2), with the host of RFC 3986, 3.2.2.

Names consist of letters, digits, dots, hyphens and underscores. RFC 3986 allows more characters, which no DNS name has
and Apache refuses. The port is empty or from 1 to 65535.

Nginx and Apache use this pattern too (nginx/snippets/refuse.conf, deploy/targets/apache/front.conf), so that requests
with another Host get 400 on every target before they reach the app. They match it without regard to case.
"""

import re

_GROUP = "[0-9a-f]{1,4}"
_OCTET = "(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
_IPV4 = rf"{_OCTET}(?:\.{_OCTET}){{3}}"
_EIGHT_GROUPS = f"(?:{_GROUP}:){{6}}(?:{_GROUP}:{_GROUP}|{_IPV4})"
# "::" stands for at least one group: not for none between eight groups, or between six and an IPv4 address.
_NOT_EIGHT_GROUPS = r"(?!(?:::)?(?:[0-9a-f]+::?){7}[0-9a-f])(?!(?:::)?(?:[0-9a-f]+::?){6}[0-9]+\.)"
_COMPRESSED = f"{_NOT_EIGHT_GROUPS}(?:{_GROUP}(?::{_GROUP})*)?::(?:(?:{_GROUP}:)*(?:{_GROUP}|{_IPV4}))?"
_PORT = "0*(?:[1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])"
PATTERN = rf"(?:[a-z0-9._-]+|\[(?:{_EIGHT_GROUPS}|{_COMPRESSED})\])(?::(?:{_PORT})?)?"

is_valid = re.compile(PATTERN, re.IGNORECASE | re.ASCII).fullmatch
