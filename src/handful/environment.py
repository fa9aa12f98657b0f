"""Variables of the environment that change what handful does, each with what it means. A test holds the list against the code."""

from __future__ import annotations

import os
from dataclasses import dataclass
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Variable:
    """`secret`: its value is never shown."""

    name: str
    meaning: str
    secret: bool = False


VARIABLES = (
    Variable("HANDFUL_HOME", "holds cache, runs and projects in one folder, as --home"),
    Variable("HANDFUL_OFFLINE", "1: no connection is opened"),
    Variable("HANDFUL_WEIGHTS_MIRROR", "address of a folder with the published weight files"),
    Variable("HANDFUL_NO_BROWSER", "1: no browser is opened"),
    Variable("HANDFUL_TOKEN", "what clients of serve and programs of the studio send", secret=True),
    Variable("HANDFUL_DATABASE_URL", "the studio's index in another database"),
    Variable("HANDFUL_EVENTS", "file for messages and progress, for the program that started this one"),
    Variable("HF_HUB_OFFLINE", "1: as HANDFUL_OFFLINE"),
    Variable("HF_ENDPOINT", "mirror of Hugging Face"),
    Variable("HF_HOME", "Hugging Face's folder: weights are looked for there"),
    Variable("HF_HUB_CACHE", "the same for its cache alone"),
    Variable("TORCH_HOME", "torch's folder: weights are looked for there"),
    Variable("XDG_CACHE_HOME", "folder of all programs' caches"),
    Variable("XDG_DATA_HOME", "folder of all programs' data"),
    Variable("XDG_CONFIG_HOME", "folder of all programs' settings"),
    Variable("XDG_STATE_HOME", "folder of what programs note for themselves"),
    Variable("OMP_NUM_THREADS", "processor threads, where --threads does not say"),
    Variable("CUDA_VISIBLE_DEVICES", "GPUs that torch and ONNX Runtime may see"),
    Variable("YOLO_CONFIG_DIR", "where ultralytics keeps its settings; the cache by default"),
    Variable("HTTPS_PROXY", "how weights are fetched"),
    Variable("SSL_CERT_FILE", "certificates that are trusted when weights are fetched"),
)


def given() -> list[tuple[Variable, str]]:
    """Those that are set, with values as they may be shown: without tokens, and addresses without passwords."""
    return [(v, _shown(v, value)) for v in VARIABLES if (value := os.environ.get(v.name))]


def _shown(variable: Variable, value: str) -> str:
    if variable.secret:
        return "(set)"
    parts = urlsplit(value) if "://" in value else None
    if parts is None or "@" not in parts.netloc:
        return value
    return parts._replace(netloc="***@" + parts.netloc.rpartition("@")[2]).geturl()


def switched_on(*names: str) -> str:
    """The first of these variables that says yes, or ""."""
    return next((name for name in names if os.environ.get(name, "").lower() in ("1", "true", "yes", "on")), "")
