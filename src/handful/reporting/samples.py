"""All samples of a run as tiles, each embedded once, and the views by which numbers open them.

A view is an anchor: while it is the target of the page, rules of the page's style show the tiles that are part of it. So a
sample can be opened from a cell of the matrix, a class, a group or a point of the map without a script and without a copy.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from pathlib import PurePath

from handful.reporting.evidence import Media, Prediction
from handful.reporting.words import Name, Number, Sentence

TILES = 2000
VIEWED_GROUPS = 300
FEW_CLASSES = 12
# run.json's figures of a class -> the view that shows what was counted
CLASS_VIEWS = {
    "recall": "is", "n": "is", "precision": "said", "f1": "is", "tp": "cell", "fn": "missed", "fp": "false", "tn": "neither",
}  # fmt: skip


@dataclass(frozen=True)
class Tile:
    """One sample in a gallery; `marks` are the classes by which rules find it."""

    prediction: Prediction
    image: str | None
    audio: str | None
    id: str = ""
    marks: str = ""

    @property
    def file(self) -> str:
        return self.prediction.file

    @property
    def short(self) -> str:
        return PurePath(self.file).name or self.file


def tile(prediction: Prediction, media: Media) -> Tile:
    return Tile(prediction, media.uri(prediction.preview, "image"), media.uri(prediction.sound, "audio"))


@dataclass(frozen=True)
class View:
    """A heading that only shows while it is the target. `shows`: selector of the tiles that are part of it."""

    id: str
    title: Sentence
    back: str
    count: int
    missing: int
    shows: str


class Gallery:
    """Tiles in the order in which they get their share of the space: mistakes first, the surest first; then the least sure."""

    def __init__(
        self, predictions: list[Prediction], classes: list[str], media: Media, bins: dict[str, set[int]] | None = None
    ) -> None:
        self._index = {name: i for i, name in enumerate(classes)}
        ranked = sorted(predictions, key=lambda p: (p.right, p.confidence if p.right else -p.confidence, p.file))
        self._groups = {name: i for i, name in enumerate(sorted({p.group for p in ranked if p.group}))}
        self._bins = bins or {}
        self._all = ranked
        marks = [self._mark(p) for p in ranked]
        self._marked: dict[str, set[int]] = defaultdict(set)
        for i, held in enumerate(marks):
            for mark in held:
                self._marked[mark].add(i)
        shown = list(zip(ranked, marks, strict=True))[:TILES]
        made = [tile(p, media) for p, _ in shown]
        self.tiles = [
            Tile(t.prediction, t.image, t.audio, f"s-{i}", " ".join(held))
            for i, (t, (_, held)) in enumerate(zip(made, shown, strict=True))
        ]
        self.left_out = len(ranked) - len(self.tiles)
        self.sounds = any(t.audio for t in self.tiles)
        self.ids = {t.file: t.id for t in self.tiles}
        self.views = {view.id: view for view in self._make_views(classes) if view.count} if ranked else {}

    def _mark(self, p: Prediction) -> list[str]:
        marks = ["right" if p.right else "wrong", *(f"bin-{k}" for k in sorted(self._bins.get(p.file, ())))]
        for role, name in (("is", p.label), ("said", p.predicted)):
            if name in self._index:
                marks.append(f"{role}-{self._index[name]}")
        if 1 < len(self._groups) <= VIEWED_GROUPS and p.group:
            marks.append(f"group-{self._groups[p.group]}")
        return marks

    def _make_views(self, classes: list[str]) -> list[View]:
        views = [
            self._view("all", Sentence("samples.all"), "main"),
            self._view("right", Sentence("samples.right"), "main", without=("wrong",)),
            self._view("wrong", Sentence("samples.wrong"), "main", without=("right",)),
        ]
        for i, name in enumerate(classes):
            named = {"name": Name(name)}
            row, column, back = f"is-{i}", f"said-{i}", "classes"
            views += [
                self._view(row, Sentence("samples.is", named), back, (row,)),
                self._view(column, Sentence("samples.said", named), back, (column,)),
                self._view(f"missed-{i}", Sentence("samples.missed", named), back, (row,), (column,)),
                self._view(f"false-{i}", Sentence("samples.false", named), back, (column,), (row,)),
            ]
            if len(classes) <= FEW_CLASSES:  # such rules concern every tile, and many of them make a page slow
                views.append(self._view(f"neither-{i}", Sentence("samples.neither", named), back, (), (row, column)))
        for i, j in sorted({(self._index.get(p.label, -1), self._index.get(p.predicted, -1)) for p in self._all}):
            if i >= 0 and j >= 0:
                pair = {"truth": Name(classes[i]), "predicted": Name(classes[j])}
                title = Sentence("confusion.gallery", pair) if i != j else Sentence("confusion.gallery_right", pair)
                views.append(self._view(f"cell-{i}-{j}", title, "confusion", (f"is-{i}", f"said-{j}")))
        if 1 < len(self._groups) <= VIEWED_GROUPS:
            for name, k in self._groups.items():
                views.append(
                    self._view(f"group-{k}", Sentence("samples.group", {"name": Name(name)}), "groups", (f"group-{k}",))
                )
        for k in sorted(set().union(*self._bins.values())):
            views.append(self._view(f"bin-{k}", Sentence("samples.bin", {"n": k + 1}), "reliability", (f"bin-{k}",)))
        return views

    def _view(
        self,
        name: str,
        title: Sentence,
        back: str,
        having: tuple[str, ...] = (),
        without: tuple[str, ...] = (),
    ) -> View:
        """The view of tiles that have all marks of `having` and none of `without`."""
        found = set(range(len(self._all)))
        for mark in having:
            found &= self._marked[mark]
        for mark in without:
            found -= self._marked[mark]
        # Browsers look rules up by their last class: one that few tiles have keeps thousands of rules quick.
        shows = "".join([f".{mark}" for mark in having] or [".tile"]) + "".join(f":not(.{mark})" for mark in without)
        return View(name, title, back, len(found), sum(i >= TILES for i in found), shows)

    @property
    def style(self) -> str:
        """A rule a view, made of indices alone."""
        return "\n".join(
            f".gallery:has(>#{view.id}:target)>.tiles>{view.shows}{{display:block}}" for view in self.views.values()
        )

    def opens(self, number: Number) -> str | None:
        """The id of the view behind `number`, None where there is none."""
        view = number.opens or self._behind(number.path)
        return view if view in self.views else None

    def _behind(self, path: tuple[str | int, ...]) -> str:
        match path:
            case (
                ("score", "value" | "n")
                | ("samples",)
                | ("macro_f1",)
                | ("balanced_accuracy",)
                | ("averages", *_)
                | ("top5", "value")
            ):
                return "all"
            case ("per_class", name, str() as figure) if name in self._index and figure in CLASS_VIEWS:
                view, i = CLASS_VIEWS[figure], self._index[str(name)]
                return f"{view}-{i}-{i}" if view == "cell" else f"{view}-{i}"
            case ("per_group", name, *_) if name in self._groups:
                return f"group-{self._groups[str(name)]}"
        return ""
