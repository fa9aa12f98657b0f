"""Plain pages, such as the one that says what can be asked, without script, font or picture from anywhere."""

from __future__ import annotations

import base64
import hashlib
from html import escape
from typing import Any

_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color-scheme:light dark}"
    "table{border-collapse:collapse;width:100%}td,th{text-align:left;padding:.3rem .8rem .3rem 0;vertical-align:top;"
    "border-bottom:1px solid #8884}code,pre{font:14px/1.5 ui-monospace,monospace}pre{overflow:auto;padding:.7rem;"
    "background:#8882;border-radius:6px}"
)
POLICY = (
    "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'; style-src "
    f"'sha256-{base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()}'"
)


def page(api: dict[str, Any], models: list[dict[str, Any]], address: str, token: bool) -> str:
    """HTML. `api` is the OpenAPI document, `models` what each model is, `address` where the server was reached."""
    bearer = ' -H "Authorization: Bearer $TOKEN"' if token else ""
    sound = models[0]["modality"] == "audio"
    which = f"?model={models[0]['name']}" if len(models) > 1 else ""
    example = f"curl{bearer} --data-binary @{'recording.wav' if sound else 'photo.jpg'} {address}/predict{which}"
    form = f"curl{bearer} -F file=@one -F file=@two {address}/predict{which}"
    return plain(
        "handful serves",
        f"{''.join(map(_model, models))}<h2>Ask it</h2><pre>{escape(example)}\n{escape(form)}</pre>"
        f'<h2>All there is</h2>{routes(api)}<p>For programs: <a href="/openapi.json">openapi.json</a></p>',
    )


def plain(title: str, body: str, lang: str = "en") -> str:
    """A whole page, to be answered with POLICY. `title` is text, `body` HTML."""
    return (
        f'<!doctype html><html lang="{lang}"><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width"><title>{escape(title)}</title>'
        f"<style>{_STYLE}</style><h1>{escape(title)}</h1>{body}</html>"
    )


def routes(api: dict[str, Any]) -> str:
    """The routes of an OpenAPI document as a table."""
    rows = "".join(
        f"<tr><td><code>{escape(method.upper())}</code></td><td><code>{escape(path)}</code></td>"
        f"<td>{escape(operation.get('summary', ''))}</td></tr>"
        for path, operations in api["paths"].items()
        for method, operation in operations.items()
    )
    return f"<table>{rows}</table>"


def _model(model: dict[str, Any]) -> str:
    score = model.get("score") or {}
    good = (
        f"{score['metric']} {score['value']:.3f} ({score['low']:.3f} to {score['high']:.3f}, n={score['n']}, {score['method']})"
        if {"metric", "value", "low", "high", "n", "method"} <= set(score)
        else "not measured"
    )
    rows = {
        "version": model["version"], "reads": "sounds" if model["modality"] == "audio" else "pictures",
        "classes": ", ".join(model["classes"]), "found to be": good,
    }  # fmt: skip
    cells = "".join(f"<tr><th>{escape(k)}</th><td>{escape(v)}</td></tr>" for k, v in rows.items())
    return f"<h2>{escape(model['name'])}</h2><table>{cells}</table>"
