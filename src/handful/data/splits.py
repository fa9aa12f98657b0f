"""Who is tested when: folds in which groups stay whole and classes stay balanced. Pure functions on arrays."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from handful.words import said


@dataclass(frozen=True)
class Plan:
    """How the headline is measured.

    `folds` int [repeats, samples]: in which fold a sample is tested, -1 where it is never tested (it always trains).
    `method` is the sentence of run.json, e.g. "5x5-fold, grouped, out-of-fold".
    """

    folds: np.ndarray
    method: str

    @property
    def tested(self) -> np.ndarray:
        return np.asarray(self.folds[0] >= 0)

    @property
    def crossed(self) -> bool:
        """Whether samples are tested in turn; a validation part is a single fold."""
        return len(np.unique(self.folds[0][self.tested])) > 1

    def masks(self) -> list[tuple[int, int, np.ndarray]]:
        """(repeat, fold, bool [samples] that train) of every fold."""
        return [(r, int(f), row != f) for r, row in enumerate(self.folds) for f in np.unique(row[row >= 0])]

    def gather(self, logits: np.ndarray) -> np.ndarray:
        """Out-of-fold logits [repeats, samples, classes] from one row a mask, [masks, samples, classes]."""
        found = np.full((len(self.folds), *logits.shape[1:]), np.nan, np.float32)
        for (repeat, fold, _), row in zip(self.masks(), logits, strict=True):
            held = self.folds[repeat] == fold
            found[repeat, held] = row[held]
        return found


def join(count: int, *keys: Sequence[str]) -> np.ndarray:
    """Groups int [count]: samples that share any non-empty key of any list belong together, also through others."""
    parent = list(range(count))

    def find(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    for column in keys:
        first: dict[str, int] = {}
        for i, key in enumerate(column):
            if key:
                parent[find(i)] = find(first.setdefault(key, i))
    return np.unique([find(i) for i in range(count)], return_inverse=True)[1]


def join_pairs(groups: np.ndarray, pairs: Iterable[tuple[int, int]]) -> np.ndarray:
    """`groups` with the groups of each pair of samples merged."""
    keys = [[f"g{group}" for group in groups]]
    for number, (a, b) in enumerate(pairs):
        column = [""] * len(groups)
        column[a] = column[b] = f"p{number}"
        keys.append(column)
    return join(len(groups), *keys)


def stratified_group_folds(labels: np.ndarray, groups: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Fold of each sample, int [samples]: whole groups, dealt out so that every fold has its share of every class.

    Groups go from the largest to the smallest (equal ones in random order) to the fold that stays most even, the
    greedy rule of scikit-learn's StratifiedGroupKFold.
    """
    classes = int(labels.max()) + 1
    names, inverse = np.unique(groups, return_inverse=True)
    table = np.zeros((len(names), classes))
    np.add.at(table, (inverse, labels), 1)
    share = table / np.maximum(table.sum(axis=0), 1)
    order = rng.permutation(len(names))
    order = order[np.argsort(-table[order].std(axis=1) if classes > 1 else -table[order].sum(axis=1), kind="stable")]
    filled = np.zeros((count, classes))
    sizes = np.zeros(count)
    fold_of = np.empty(len(names), dtype=int)
    for group in order:
        trial = filled[None] + np.eye(count)[:, :, None] * share[group][None, None]  # [candidate, fold, class]
        uneven = trial.std(axis=1).mean(axis=1)
        best = np.flatnonzero(uneven <= uneven.min() + 1e-12)
        fold = best[np.argmin(sizes[best])]
        filled[fold] += share[group]
        sizes[fold] += table[group].sum()
        fold_of[group] = fold
    return fold_of[inverse]


def inner_folds(labels: np.ndarray, groups: np.ndarray, mask: np.ndarray, seed: int, count: int = 4) -> np.ndarray:
    """Folds int [samples] inside one training mask; -1 outside it and for classes that lie in one group."""
    folds = np.full(len(labels), -1)
    inside = np.flatnonzero(mask)
    alone = [c for c in np.unique(labels[inside]) if len(np.unique(groups[inside][labels[inside] == c])) < 2]
    usable = inside[~np.isin(labels[inside], alone)]
    names = np.unique(groups[usable])
    if len(names) < 2:
        return folds
    if len(names) <= count:
        folds[usable] = np.searchsorted(names, groups[usable])
    else:
        folds[usable] = stratified_group_folds(labels[usable], groups[usable], count, np.random.default_rng([seed, 7]))
    return folds


def plan(
    labels: np.ndarray,
    groups: np.ndarray,
    grouped: bool,
    fold_names: Sequence[str],
    *,
    seed: int,
    folds: int,
    repeats: int,
) -> Plan:
    """Choose folds for cross-validation.

    Given folds are used as they are. Fewer groups than `folds`: one group is left out at a time. A class that lies in a
    single group cannot be tested: its samples always train.

    Args:
        labels: int [samples].
        groups: int [samples]; samples of one group are never on both sides.
        grouped: whether groups were given by the user (else they only hold duplicates).
        fold_names: "" or the given fold of each sample.
        folds, repeats: of the ordinary case.
    """
    alone = [c for c in range(int(labels.max()) + 1) if len(np.unique(groups[labels == c])) < 2]
    testable = ~np.isin(labels, alone)
    kind = "_grouped" if grouped else ""
    given = len(set(fold_names)) > 1 and all(fold_names)
    if given:
        whole = join(len(labels), [f"f{name}" for name in fold_names], [f"g{group}" for group in groups])
        if len(np.unique(whole)) > 1:
            return Plan(np.where(testable, whole, -1)[None], said(f"folds.given{kind}", n=len(np.unique(whole))))
    names = np.unique(groups[testable])
    if len(names) < folds:
        rows = np.searchsorted(names, groups)
        row = np.where(testable, np.minimum(rows, len(names) - 1), -1)
        return Plan(
            row[None],
            said(f"folds.leave_one{kind}", n=len(names)),
        )
    made = []
    for repeat in range(repeats):
        row = np.full(len(labels), -1)
        row[testable] = stratified_group_folds(
            labels[testable], groups[testable], folds, np.random.default_rng([seed, repeat])
        )
        made.append(row)
    return Plan(np.stack(made), said(f"folds.repeated{kind}", repeats=repeats, folds=folds))
