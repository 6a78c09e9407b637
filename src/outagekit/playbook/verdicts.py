"""What can be wrong with an expression, as errors; the parser and its callers share them."""

from __future__ import annotations

from typing import ClassVar, Final

from outagekit.errors import OutagekitError

LONGEST_OUTPUT: Final = 64 * 1024
"""Characters an expression or a rendered text may give."""


class ExpressionProblem(OutagekitError):  # noqa: N818  (reported as a problem of a file)
    """A text is no expression, or it cannot be evaluated; `offset` is the character it is about."""

    exit_code: ClassVar[int] = 8

    def __init__(self, message: str, offset: int = 0, *, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.offset = offset


class NoValue(OutagekitError):  # noqa: N818  (an answer, not a fault)
    """A name the expression needs has no value; `name` is the dotted reference."""

    exit_code: ClassVar[int] = 8

    def __init__(self, name: str) -> None:
        super().__init__(f"no value: {name}")
        self.name = name
