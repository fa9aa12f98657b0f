"""Sentences, numbers and names as HTML elements, and the one way from a template to a page.

Everything printed is escaped by Jinja2, and control characters, bidirectional overrides and zero-width characters of names are
made visible first. A page has no script at all: its policy forbids every one, and numbers open their samples by `:target`.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup, escape

from handful import __version__
from handful.files import shown
from handful.reporting import figures, words
from handful.reporting.words import Name, Number, Sentence, Words

TEMPLATES = Path(__file__).parent / "templates"


class Html:
    """What a page prints.

    Args:
        opens: the id of the element that shows the samples behind a number, None where there is none.
    """

    def __init__(self, texts: Words, opens: Callable[[Number], str | None] = lambda number: None) -> None:
        self.texts = texts
        self._opens = opens

    def t(self, key: str, **values: Any) -> Markup:
        pattern = _keep_together(escape(self.texts.pattern(key, values)))
        return pattern.format(**{name: self.value(value) for name, value in values.items()})

    def plain(self, key: str, **values: Any) -> Markup:
        """For attributes and for text inside SVG, which hold no elements."""
        return escape(self.texts.text(key, **values))

    def value(self, value: Any) -> Markup:
        if isinstance(value, Markup):
            return value
        if isinstance(value, Sentence):
            return self.t(value.key, **value.values)
        if isinstance(value, Number):
            return self._linked(value)
        plain = _keep_together(escape(self.texts.plain(value)))
        return Markup("<bdi>{}</bdi>").format(plain) if isinstance(value, Name) else plain

    def number(self, value: Any, kind: str, *path: str | int) -> Markup:
        """A number as people read it; `value` exactly as it is, and where run.json holds it, are in the element."""
        return self._linked(Number(value, kind, path))

    def bare(self, value: Any, kind: str, *path: str | int) -> Markup:
        """`number` where a link cannot stand: inside another one."""
        return self._number(Number(value, kind, path))

    def _linked(self, number: Number) -> Markup:
        target = self._opens(number) if number.value is not None else None
        text = self._number(number)
        return Markup('<a class="opens" href="#{}">{}</a>').format(target, text) if target else text

    def _number(self, number: Number) -> Markup:
        text = escape(self.texts.number(number)).replace(" ", words.NO_BREAK)
        if number.value is None:
            return text
        if not number.path:
            return Markup('<span class="number">{}</span>').format(text)
        path = json.dumps(number.path, ensure_ascii=True)
        return Markup('<data value="{}" data-path="{}">{}</data>').format(json.dumps(number.value), path, text)


def _keep_together(text: Markup) -> Markup:
    return text.replace(" %", words.NO_BREAK + "%")


def page(template: str, html: Html, style: str = "", **content: Any) -> str:
    """The whole page as text. `style`: rules of this page alone; no part of them may come from the user's data."""
    style = (TEMPLATES / "report.css").read_text(encoding="utf-8") + style
    return (
        _environment()
        .get_template(template)
        .render(
            html=html,
            t=html.t,
            plain=html.plain,
            number=html.number,
            bare=html.bare,
            at=lambda value, kind, *path: Number(value, kind, path),
            percent=lambda value: Number(value, "percent"),
            written=lambda value, kind="percent": html.texts.number(Number(value, kind)),
            figure=Number,
            name=lambda text: html.value(Name(str(text))),
            as_name=lambda text: Name(str(text)),
            say=html.value,
            spoken=lambda value: escape(html.texts.plain(value)),
            pos=lambda share: f"{100 * min(max(share, 0.0), 1.0):.2f}",
            # A label nearer to an edge than `margin` is written from the edge.
            anchor=lambda share, margin: "start" if share < margin else "end" if share > 1 - margin else "middle",
            inside=lambda share, margin: 0 if share < margin else 100 if share > 1 - margin else f"{100 * share:.2f}",
            has_text=html.texts.__contains__,
            lang=html.texts.lang,
            style=Markup(style),  # our own file and class names made of indices
            style_hash=base64.b64encode(hashlib.sha256(style.encode("utf-8")).digest()).decode("ascii"),
            version=__version__,
            shade=figures.shade,
            **content,
        )
    )


@lru_cache
def _environment() -> jinja2.Environment:
    @jinja2.pass_context
    def printed(context: jinja2.runtime.Context, value: Any) -> Any:
        if isinstance(value, Number | Name | Sentence):
            return context["html"].value(value)
        # Data URIs pass through here too: only what needs it is gone through character by character.
        return shown(value) if type(value) is str and not value.isprintable() else value

    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=printed,
        trim_blocks=True,
        lstrip_blocks=True,
    )
