"""Random mutants that no unit test kills, and why. A key holds the file and the diff that the driver prints.

EQUIVALENT mutants behave like the original as far as any caller can see. ACCEPTED mutants behave differently, and the
reason says why no unit test needs to notice.
"""

EQUIVALENT: dict[tuple[str, str], str] = {}

ACCEPTED: dict[tuple[str, str], str] = {}
