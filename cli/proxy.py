"""The environment variables that name a network proxy."""

NAMES = ("http_proxy", "https_proxy", "no_proxy")  # apt reads only these, other tools also read the capitals
SPELLINGS = (*NAMES, *map(str.upper, NAMES))


def inherited(environ):
    """The proxy variables of an environment, as they are spelled there."""
    return {name: environ[name] for name in SPELLINGS if name in environ}


def both_spellings(environ):
    """The proxy variables of an environment, each in both spellings."""
    values = {name: environ.get(name) or environ.get(name.upper()) for name in NAMES}
    return {spelling: value for name, value in values.items() if value for spelling in (name, name.upper())}
