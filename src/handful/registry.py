"""One decorator, one file, one name: how every variety (model, front-end, exporter, strategy, head) is found.

A registry walks one package the first time it is asked, then the entry points of the group `handful` of other installed
packages. It knows nothing about what it holds.
"""

from __future__ import annotations

import difflib
import importlib
import pkgutil
import threading
from collections.abc import Callable, Iterator
from importlib.metadata import entry_points
from typing import Any, Generic, TypeVar

from handful.errors import MissingExtra, UsageError
from handful.words import load, meant, said

T = TypeVar("T")


class Registry(Generic[T]):
    """Things of one kind by name, in the order in which they were registered.

    Args:
        kind: what one entry is called in messages ("model", "strategy").
        package: the package whose modules register entries when imported.
    """

    def __init__(self, kind: str, package: str) -> None:
        self.kind = kind
        self.package = package
        self._entries: dict[str, T] = {}
        self._prefixes: dict[str, Callable[[str], T]] = {}
        self._discovered = self._walking = False
        self._lock = threading.RLock()

    def add(self, name: str, entry: T) -> T:
        if name in self._entries:
            raise ValueError(f"{self.kind} {name!r} is registered twice")
        self._entries[name] = entry
        return entry

    def register(self, name: str) -> Callable[[T], T]:
        """Decorator form of `add`."""
        return lambda entry: self.add(name, entry)

    def add_prefix(self, prefix: str, make: Callable[[str], T]) -> None:
        """Names that begin with `prefix` are made when asked for: `make` gets the rest of the name. They are not listed."""
        self._prefixes[prefix] = make

    def _discover(self) -> None:
        if self._discovered:
            return
        with self._lock:  # a server asks from several threads: none may see half of it
            if self._discovered or self._walking:
                return
            self._walking = True
            try:
                package = importlib.import_module(self.package)
                for module in sorted(info.name for info in pkgutil.iter_modules(package.__path__)):
                    if not module.startswith("_"):
                        importlib.import_module(f"{self.package}.{module}")
                for point in entry_points(group="handful"):
                    point.load()
                self._discovered = True
            finally:
                self._walking = False

    def get(self, name: str) -> T:
        """The entry called `name`; a name that does not exist is answered with the nearest ones."""
        self._discover()
        if name in self._entries:
            return self._entries[name]
        for prefix, make in self._prefixes.items():
            if name.startswith(prefix):
                return make(name.removeprefix(prefix))
        near = difflib.get_close_matches(name, self._entries, n=3, cutoff=0.5)
        hint = meant(near) if near else said("hint.known", names=sorted(self._entries))
        kind = said(key) if (key := f"kind_of.{self.kind.replace(' ', '_')}") in load("en") else self.kind
        raise UsageError(said("error.not_registered", kind=kind, name=repr(name)), hint)

    def names(self) -> list[str]:
        self._discover()
        return list(self._entries)

    def __iter__(self) -> Iterator[T]:
        self._discover()
        return iter(self._entries.values())

    def __contains__(self, name: str) -> bool:
        self._discover()
        return name in self._entries


def optional(module: str, extra: str, what: str) -> Any:
    """Import `module`, or say which extra brings it. `what` names the feature in the message."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingExtra(what, extra) from error


class late:
    """A library that is imported when something of it is first used: lists and help need no numbers, and do not wait for them."""

    def __init__(self, module: str) -> None:
        self._module = module

    def __getattr__(self, name: str) -> Any:
        value = getattr(importlib.import_module(self._module), name)
        setattr(self, name, value)
        return value
