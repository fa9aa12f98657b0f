"""What training would do, what keeps it from starting, and how runs compare, in words.

Says only what it is told; knows no data, no models and no files.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from handful.reporting.words import Name, Number, Sentence, Words
from handful.words import Said, both

NAMED = 3  # classes in a sentence
FEW = 5  # samples of a class with which a test says something


def sentence(texts: Words, method: str, seconds: float | None) -> str:
    """e.g. "with a ready-made network, about 12 s". `method`: quick, ready, adapted or new."""
    time = Sentence("plan.time_unknown")
    if seconds is not None:
        time = Sentence("plan.about", {"time": _rounded(seconds)})
    return texts.text("plan.sentence", method=Sentence(f"plan.{method}"), time=time)


def why(texts: Words, asked: bool, weights: bool) -> str:
    """Why this model: the user named it (or how it is trained), its weights are there, or there are none."""
    return texts.text("plan.why_asked" if asked else "plan.why_weights" if weights else "plan.why_plain")


def race_why(texts: Words, finished: int, tied: int) -> str:
    """Why a race recommends what it recommends. `tied`: how many cannot be told from the best, that one included."""
    if finished < 2:
        return texts.text("compared.race_one" if finished else "compared.race_none")
    return texts.text("compared.race_clear") if tied == 1 else texts.text("compared.race_tied", n=tied)


def race(texts: Words, name: str, seconds: float | None) -> str:
    """A race, with its budget."""
    if seconds is None:
        return texts.text("plan.race", name=Name(name))
    return texts.text("plan.race_budget", name=Name(name), time=_rounded(seconds))


def _rounded(seconds: float) -> Sentence:
    """No more digits than an estimate has."""
    if seconds < 60:
        return Sentence("plan.seconds", {"n": max(1, round(seconds))})
    if seconds < 3600:
        return Sentence("plan.minutes", {"n": round(seconds / 60)})
    return Sentence("plan.hours", {"digits": Number(round(seconds / 3600, 1), "count")})


def problems(
    counts: Mapping[str, int], sources: Mapping[str, int], kept: Sequence[str] = ()
) -> list[tuple[Said, Said]]:
    """What keeps training from starting, each with what to do.

    Args:
        counts: samples of each class.
        sources: of each class how many things its samples come from: a take counts once, a sample without one by itself.
        kept: classes whose samples are all kept for validation or test.
    """
    there = {name: n for name, n in counts.items() if n}
    if kept and len(there) < 2:
        return [both("plan.all_kept", n=len(kept), names=list(kept))]
    if not there:
        return [both("plan.nothing")]
    if len(there) == 1:
        return [both("plan.one_class", name=next(iter(there)))]
    if max(there.values()) < 2:
        return [both("plan.single_samples")]
    if max(sources[name] for name in there) < 2:
        return [both("plan.single_takes")]
    return []


def notes(
    texts: Words,
    counts: Mapping[str, int],
    sources: Mapping[str, int],
    kept: Sequence[str] = (),
    torn: Sequence[str] = (),
) -> list[str]:
    """What to know before, though training can start.

    Args:
        kept: classes whose samples are all kept for validation or test.
        torn: takes that are used partly for training, partly for testing.
    """
    empty = [name for name, n in counts.items() if not n and name not in kept]
    alone = [name for name, n in counts.items() if n == 1]
    one_take = [name for name, n in counts.items() if n > 1 and sources[name] < 2]
    rows = (
        ("plan.empty", empty),
        ("plan.untrained", kept),
        ("plan.torn", torn),
        ("plan.one_sample", alone),
        ("plan.one_take", one_take),
    )
    said = [texts.text(key, n=len(names), names=_named(names)) for key, names in rows if names]
    return said + [texts.text("plan.few")] * any(1 < n < FEW for n in counts.values())


def _named(names: Sequence[str]) -> Name:
    return Name(", ".join(names[:NAMED]) + (", …" if len(names) > NAMED else ""))


def fetched(texts: Words, size: int | None) -> str:
    """Weights come from the network first."""
    if not size:
        return texts.text("plan.fetch")
    return texts.text("plan.fetch_size", size=Number(size, "bytes"))


def compared(texts: Words, best: str | None, tied: int, behind: int, apart: int) -> str:
    """How ties were decided.

    Args:
        best: name of the best run; None: there is none.
        tied, behind: how many others cannot be told from it, and are worse by more than chance explains.
        apart: how many were not tested on any sample that it was tested on.
    """
    if best is None:
        return texts.text("compared.none")
    if not tied + behind + apart:
        return texts.text("compared.one")
    said = []
    if tied:
        said.append(texts.text("compared.tied", n=tied, name=Name(best)))
    elif behind:
        said.append(texts.text("compared.clear", name=Name(best)))
    if apart:
        said.append(texts.text("compared.apart", n=apart))
    return " ".join(said)
