"""An index of projects, samples, runs and jobs, in SQLite or PostgreSQL: quick lists, nothing that could not be made again.

Knows tables and queries; what goes in and comes out are plain dicts, which it gives back as they were put. Knows nothing of
folders: whoever opens it says where everything can be read again (`source`), and a damaged index is thrown away and refilled.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import sqlalchemy as sql

from handful.files import to_json
from handful.store._database import Database
from handful.store._tables import (
    JOBS,
    MIGRATIONS,
    PROJECTS,
    RUNS,
    SAMPLES,
    VERSION,
    Row,
    chunks,
    project_row,
    run_rows,
    sample_rows,
    searched,
    text,
)  # fmt: skip

Source = Callable[[], Iterable[tuple[Row, Iterable[Row], Iterable[Row]]]]
_BUSY = ("running", "pausing", "stopping")
_Triple = tuple[Row, list[Row], list[Row]]  # a project, its samples, its runs


class Store:
    """`Store(url)`: "sqlite:///PATH", "postgresql://USER@HOST/NAME" or a plain path of an SQLite file.

    Safe for several threads and processes. `source` yields (project, samples, runs) triples of everything there is: the index
    is filled from it when it is new, was damaged, or `rebuild` is called.
    """

    def __init__(self, url: str | Path, source: Source | None = None) -> None:
        """Raises HandfulError when the index was made by a newer release, or the database cannot be used."""
        self._source = source
        self._base = Database(str(url), self._fill)
        try:
            self._base.open()
        except BaseException:
            self._base.close()
            raise

    def close(self) -> None:
        self._base.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- writing ---------------------------------------------------------------------------------------------------

    def put_project(self, project: Row, samples: Iterable[Row] | None = None) -> None:
        """Insert or replace a project {id, name, updated, ...}; with `samples` {id, name, label, group, ...} these are
        replaced as well, in one transaction, and keep their order."""
        rows = None if samples is None else sample_rows(project["id"], samples)

        def put(connection: sql.Connection) -> None:
            self._base.upsert(
                connection, PROJECTS, [project_row(project)]
            )  # also makes two writers of one project wait
            if rows is not None:
                connection.execute(sql.delete(SAMPLES).where(SAMPLES.c.project == project["id"]))
                self._base.upsert(connection, SAMPLES, rows)

        self._base.write(put)

    def change_samples(self, project: str, put: Iterable[Row] = (), delete: Iterable[str] = ()) -> None:
        """Insert or replace some samples; new ones come last, others keep their place. `delete`: ids of those that go."""
        changed, gone = sample_rows(project, put), list(delete)

        def change(connection: sql.Connection) -> None:
            for ids in chunks(gone):
                connection.execute(
                    sql.delete(SAMPLES).where(SAMPLES.c.project == project, SAMPLES.c.id.in_(ids))
                )  # fmt: skip
            last = connection.scalar(sql.select(sql.func.max(SAMPLES.c.position)).where(SAMPLES.c.project == project))
            start = 0 if last is None else last + 1
            rows = [{**row, "position": start + row["position"]} for row in changed]
            self._base.upsert(connection, SAMPLES, rows, keep=("position",))

        self._base.write(change)

    def put_runs(self, project: str, runs: Iterable[Row]) -> None:
        """Replace the run cards {id, created, score: {value, ...} or None, ...} of a project."""
        rows = run_rows(project, runs)

        def put(connection: sql.Connection) -> None:
            connection.execute(sql.delete(RUNS).where(RUNS.c.project == project))
            self._base.upsert(connection, RUNS, rows)

        self._base.write(put)

    def put_job(self, job: Row) -> None:
        """Insert or replace a job {id, project, state, ...}, in the order of its `number`, else of when it was `created`."""
        row = {
            "id": job["id"], "project": job["project"], "number": float(job.get("number") or job.get("created") or 0), "state": job["state"],
            "data": to_json(job),
        }  # fmt: skip
        self._base.write(lambda connection: self._base.upsert(connection, JOBS, [row]))

    def delete_job(self, job_id: str) -> None:
        self._base.write(lambda connection: connection.execute(sql.delete(JOBS).where(JOBS.c.id == job_id)))

    def delete_project(self, project: str) -> None:
        """With its samples, runs and jobs."""

        def delete(connection: sql.Connection) -> None:
            connection.execute(sql.delete(PROJECTS).where(PROJECTS.c.id == project))
            for table in (SAMPLES, RUNS, JOBS):
                connection.execute(sql.delete(table).where(table.c.project == project))

        self._base.write(delete)

    def rebuild(self, source: Iterable[tuple[Row, Iterable[Row], Iterable[Row]]] | None = None) -> None:
        """Replace all projects, samples and runs by (project, samples, runs) triples, in one transaction; jobs stay.

        Without an argument they come from the `source` of the store.
        """
        triples = self._triples(source)

        def refill(connection: sql.Connection) -> None:
            connection.execute(sql.update(VERSION).values(version=len(MIGRATIONS)))  # two of them wait for each other
            for table in (PROJECTS, SAMPLES, RUNS):
                connection.execute(sql.delete(table))
            for triple in triples:
                self._put(connection, *triple)

        self._base.write(refill)

    def _fill(self) -> None:
        """Fill new tables; what others have put into them meanwhile is newer, and stays."""
        triples = self._triples(None)

        def fill(connection: sql.Connection) -> None:
            connection.execute(sql.update(VERSION).values(version=len(MIGRATIONS)))
            there = set(connection.scalars(sql.select(PROJECTS.c.id)))
            for project, samples, runs in triples:
                if project["id"] not in there:
                    self._put(connection, project, samples, runs)

        self._base.write(fill)

    def _triples(self, source: Iterable[tuple[Row, Iterable[Row], Iterable[Row]]] | None) -> list[_Triple]:
        given = source if source is not None else self._source() if self._source else ()
        return [(project_row(p), sample_rows(p["id"], samples), run_rows(p["id"], runs)) for p, samples, runs in given]

    def _put(self, connection: sql.Connection, project: Row, samples: list[Row], runs: list[Row]) -> None:
        for table, rows in ((PROJECTS, [project]), (SAMPLES, samples), (RUNS, runs)):
            self._base.upsert(connection, table, rows)

    # -- reading ---------------------------------------------------------------------------------------------------

    def projects(self) -> list[Row]:
        """Each as it was put, with what is counted below it; the last changed first.

        `samples`, `takes`, `runs`: how many (a take is a group that has a name); `counts`, `takes_by_label`: {label: n};
        `covers`: up to four sample ids of different classes; `score`: of the best run, or None; `busy`: a job is running.
        """
        return self._base.read(lambda connection: self._cards(connection, None))

    def project(self, project: str) -> Row | None:
        """One of `projects`; None: there is none of that id."""
        found = self._base.read(lambda connection: self._cards(connection, project))
        return found[0] if found else None

    def samples(
        self, project: str, *, label: str | None = None, query: str = "", ids: Iterable[str] | None = None,
        sort: str = "added", offset: int = 0, limit: int = 100,
    ) -> tuple[int, list[Row]]:  # fmt: skip
        """(how many there are, those from `offset`) of one class, with `query` in name or group, of certain `ids`.

        `sort`: "added" (as put), "name", or "ids": in the order of `ids`.
        """
        wanted = [SAMPLES.c.project == project]
        if label is not None:
            wanted.append(SAMPLES.c.label == text(label))
        if query.strip():
            wanted.append(SAMPLES.c.search.contains(searched(query.strip()), autoescape=True))
        order = [SAMPLES.c.search, SAMPLES.c.id] if sort == "name" else [SAMPLES.c.position, SAMPLES.c.id]
        if ids is not None:
            return self._of_ids(list(dict.fromkeys(ids)), wanted, sort, offset, limit)

        def read(connection: sql.Connection) -> tuple[int, list[Row]]:
            total = connection.scalar(sql.select(sql.func.count()).select_from(SAMPLES).where(*wanted)) or 0
            page = (
                sql.select(SAMPLES.c.data).where(*wanted).order_by(*order).offset(max(offset, 0)).limit(max(limit, 0))
            )
            return total, [json.loads(data) for data in connection.scalars(page)]

        return self._base.read(read)

    def sample(self, project: str, sample_id: str) -> Row | None:
        found = self.samples(project, ids=[sample_id], limit=1)[1]
        return found[0] if found else None

    def runs(self, project: str) -> list[Row]:
        """Run cards, newest first."""
        page = sql.select(RUNS.c.data).where(RUNS.c.project == project).order_by(RUNS.c.created.desc(), RUNS.c.id)
        return self._base.read(lambda connection: [json.loads(data) for data in connection.scalars(page)])

    def jobs(self, project: str | None = None) -> list[Row]:
        """In the order that `put_job` names."""
        page = sql.select(JOBS.c.data).order_by(JOBS.c.number, JOBS.c.id)
        if project is not None:
            page = page.where(JOBS.c.project == project)
        return self._base.read(lambda connection: [json.loads(data) for data in connection.scalars(page)])

    def _of_ids(self, ids: list[str], wanted: list[Any], sort: str, offset: int, limit: int) -> tuple[int, list[Row]]:
        """In pieces: a database takes only so many values at once."""
        columns = (SAMPLES.c.id, SAMPLES.c.position, SAMPLES.c.search, SAMPLES.c.data)

        def read(connection: sql.Connection) -> tuple[int, list[Row]]:
            rows: list[Any] = []
            for some in chunks(ids):
                rows += connection.execute(sql.select(*columns).where(*wanted, SAMPLES.c.id.in_(some))).all()
            place = {sample: number for number, sample in enumerate(ids)}
            keys: dict[str, Callable[[Any], Any]] = {
                "name": lambda row: (row.search, row.id), "ids": lambda row: place[row.id],
            }  # fmt: skip
            rows.sort(key=keys.get(sort, lambda row: (row.position, row.id)))
            return len(rows), [json.loads(row.data) for row in rows[max(offset, 0) :][: max(limit, 0)]]

        return self._base.read(read)

    def _cards(self, connection: sql.Connection, project: str | None) -> list[Row]:
        def of(table: sql.Table, *columns: Any) -> Any:
            chosen = sql.select(*columns)
            own = table.c.id if table is PROJECTS else table.c.project
            return chosen if project is None else chosen.where(own == project)

        cards: dict[str, Row] = {}
        projects = of(PROJECTS, PROJECTS.c.id, PROJECTS.c.data)
        for key, data in connection.execute(projects.order_by(PROJECTS.c.updated.desc(), PROJECTS.c.id)):
            cards[key] = json.loads(data) | {
                "samples": 0, "takes": 0, "counts": {}, "takes_by_label": {}, "covers": [], "runs": 0, "score": None, "busy": False,
            }  # fmt: skip
        s = SAMPLES.c
        takes = sql.func.count(sql.distinct(sql.func.nullif(s.origin, "")))
        for key, count in connection.execute(of(SAMPLES, s.project, takes).group_by(s.project)):
            if key in cards:
                cards[key]["takes"] = count
        # The first sample of each class, found by the index.
        first = of(
            SAMPLES,
            s.project,
            s.label,
            sql.func.count().label("n"),
            takes.label("takes"),
            sql.func.min(s.position).label("at"),
        )
        groups = first.group_by(s.project, s.label).subquery()
        joined = groups.join(SAMPLES, sql.and_(s.project == groups.c.project, s.position == groups.c.at))
        rows = sql.select(groups.c.project, s.id, s.data, groups.c.n, groups.c.takes).select_from(joined)
        for key, sample, data, count, of_label in connection.execute(rows.order_by(groups.c.at)):
            if (card := cards.get(key)) is None:
                continue
            label = json.loads(data)["label"]
            card["counts"][label], card["takes_by_label"][label] = count, of_label
            card["samples"] += count
            card["covers"] = [*card["covers"], sample][:4]
        for key, data in connection.execute(of(RUNS, RUNS.c.project, RUNS.c.data)):
            if (card := cards.get(key)) is not None:
                card["runs"] += 1
                card["score"] = max((json.loads(data).get("score"), card["score"]), key=_value)
        for key in connection.scalars(of(JOBS, JOBS.c.project).where(JOBS.c.state.in_(_BUSY))):
            if key in cards:
                cards[key]["busy"] = True
        return list(cards.values())


def _value(score: Mapping[str, Any] | None) -> float:
    return float(score["value"]) if score else float("-inf")
