"""Why something about a project was refused; the web turns each into its own status."""

from __future__ import annotations

from handful.errors import HandfulError


class ProjectError(HandfulError):
    """A change that cannot be made, or a project folder that cannot be read."""


class NotFound(ProjectError):
    """There is no such project, sample, class, take or import. (HTTP: 404)"""


class Outdated(ProjectError):
    """The change that was named is no longer the last one. (HTTP: 409)"""


class TooLarge(ProjectError):
    """A file, an import or an archive is over a limit. (HTTP: 413)"""


class NoSpace(ProjectError):
    """The disk has not enough room: `needed` and `free` in bytes. (HTTP: 507)"""

    def __init__(self, message: str, hint: str = "", needed: int = 0, free: int = 0) -> None:
        super().__init__(message, hint)
        self.needed = needed
        self.free = free
