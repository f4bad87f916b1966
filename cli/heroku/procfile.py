"""Read the Procfile: process types and their commands."""

import re

_LINE = re.compile(r"([A-Za-z0-9_-]+):\s*(\S.*)")


def read(text: str) -> dict[str, str]:
    """Process type → command. All other lines are ignored, as by the platform."""
    matches = (_LINE.fullmatch(line.strip()) for line in text.splitlines())
    return {match[1]: match[2] for match in matches if match}
