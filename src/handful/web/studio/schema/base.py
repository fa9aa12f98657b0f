"""What all shapes of the wire have in common, and the words that several of them use."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from handful.words import load, retold

LONG = 10_000  # characters of a name; what is too long for a class or project is said by who keeps it, in words
Modality = Literal["image", "audio"]
Severity = Literal["error", "warning", "note"]
State = Literal["queued", "running", "pausing", "paused", "stopping", "stopped", "interrupted", "failed", "done"]
Method = Literal["quick", "ready", "adapted", "new", "joined"]
Kind = Literal["train", "compare", "check", "export", "explain", "curve"]
LANGUAGE: ContextVar[str] = ContextVar("language", default="en")  # of the answer that is being made
# A sentence in that language, where it is one.
Told = Annotated[str, BeforeValidator(lambda text: retold(text, load(LANGUAGE.get(), "studio")))]


class Shape(BaseModel):
    """Unknown keys are errors on the way in; on the way out attributes of records will do."""

    model_config = ConfigDict(extra="forbid", from_attributes=True)


class Score(Shape):
    metric: str
    value: float
    low: float
    high: float
    n: int
    method: str = ""
    interval: str = ""
    chance: float | None = Field(
        None, description="share right when always naming the most frequent class; None: not known"
    )
