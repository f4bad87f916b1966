"""Why the platform refuses: what is wrong, why it matters, what to type."""

from dataclasses import dataclass

MARK = " !     "  # the platform's own, in front of every line of an error


@dataclass(eq=False)  # compared by identity and not frozen, as other exceptions are
class Refusal(Exception):
    """`what` is the platform's own reason where it has one."""

    what: str
    why: str
    todo: str

    def __str__(self) -> str:
        parts = f"Error: {self.what}\n{self.why}\nType: {self.todo}"
        return "\n".join(MARK + line for line in parts.splitlines())
