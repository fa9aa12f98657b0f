"""Errors that a user can cause, each with the next thing to type.

Knows nothing about where the error is shown: the command line prints `message` and `hint` on two lines, the web
answers with them as a problem document.
"""

from __future__ import annotations

from typing import Any

from handful.words import both, said


class HandfulError(Exception):
    """Something the user can fix: `message` says what happened, `hint` what to type or change.

    `partial`: what was done nevertheless, in the form of a whole result.
    """

    exit_code = 1
    partial: dict[str, Any] | None = None

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        """Both lines: all that Python shows of an error that nobody catches."""
        return f"{self.message}\n   try: {self.hint}" if self.hint else self.message


class UsageError(HandfulError):
    """A name, option or value that does not exist."""

    exit_code = 2


class DataError(HandfulError):
    """The user's folder, table or file cannot be used as it is."""


class FileError(DataError):
    """One media file cannot be read; the others go on. `kind` is one of the finding kinds of `handful check`."""

    def __init__(self, message: str, hint: str = "", kind: str = "corrupt") -> None:
        super().__init__(message, hint)
        self.kind = kind


class WeightsError(HandfulError):
    """Pretrained weights are missing, damaged or of another architecture."""


class ExportError(HandfulError):
    """An exported file could not be made, or does not predict what the trained model predicts."""


class RunError(HandfulError):
    """A run directory is missing, incomplete or made by a newer release.

    `given` and `instead`: a path of the user's, and the one that would have been right.
    """

    def __init__(self, message: str, hint: str = "", given: str = "", instead: str = "") -> None:
        super().__init__(message, hint)
        self.given = given
        self.instead = instead


class BusyError(HandfulError):
    """Another process holds the run."""

    exit_code = 75


class MissingExtra(HandfulError):
    """An optional library is not installed."""

    def __init__(self, what: str, extra: str, without: str = "") -> None:
        """`without`: how to go on with what is installed."""
        message, hint = both("error.no_torch" if extra == "torch" else "error.no_library", what=what, extra=extra)
        super().__init__(said("error.without", message=message, other=without) if without else message, hint)
        self.extra = extra
