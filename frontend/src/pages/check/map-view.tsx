// The map: samples that look alike to the model lie close together. Draw around some to choose them; the list beside it
// does the same for the keyboard.

import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { useCallback, useEffect, useMemo, useRef, useState, type PointerEvent } from "react";
import { api, keys, take, useChange, type Shapes } from "@/api";
import { Button, ButtonLink, EmptyState, Loading, Notice, Select, useDark, VirtualGrid } from "@/design";
import { SampleDialog, Thumb, useSamples } from "@/samples";
import { pathOf } from "@/shell/steps";
import { number, percent, t } from "@/words";
import { drawMap, drawMark, fit, inside, nearest, type Point, type View } from "./map";

function Mark({ index }: { index: number }) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const dark = useDark();
  useEffect(() => {
    if (canvas.current) drawMark(canvas.current, index);
  }, [index, dark]);
  return <canvas ref={canvas} className="map-mark" width={16} height={16} aria-hidden="true" />;
}

function Legend({ classes, points, hidden, onHidden }: { classes: readonly string[]; points: readonly Point[]; hidden: ReadonlySet<string>; onHidden: (hidden: Set<string>) => void }) {
  const counts = new Map<string, number>();
  for (const { label } of points) counts.set(label, (counts.get(label) ?? 0) + 1);
  return (
    <ul className="map-legend" aria-label={t("check.map_classes")}>
      {classes.map((name, index) => (
        <li key={name}>
          <button
            type="button"
            aria-pressed={!hidden.has(name)}
            onClick={() => {
              const next = new Set(hidden);
              if (!next.delete(name)) next.add(name);
              onHidden(next);
            }}
          >
            <Mark index={index} />
            <span className="clip">{name}</span>
            <span className="muted number">{number(counts.get(name) ?? 0)}</span>
          </button>
        </li>
      ))}
    </ul>
  );
}

interface PlotProps {
  p: string;
  points: readonly Point[];
  classes: readonly string[];
  hidden: ReadonlySet<string>;
  selected: ReadonlySet<string>;
  summary: string;
  onSelect: (selected: Set<string>) => void;
  onOpen: (id: string) => void;
}

function Plot({ p, points, classes, hidden, selected, summary, onSelect, onOpen }: PlotProps) {
  const frame = useRef<HTMLDivElement>(null);
  const canvas = useRef<HTMLCanvasElement>(null);
  const [size, setSize] = useState<[number, number]>([0, 0]);
  const [lasso, setLasso] = useState<[number, number][]>([]);
  const [under, setUnder] = useState<Point | null>(null);
  const dark = useDark();
  const shown = useMemo(() => points.filter(({ label }) => !hidden.has(label)), [points, hidden]);
  const view: View = useMemo(() => fit(points, ...size), [points, size]);

  useEffect(() => {
    const element = frame.current;
    if (!element) return;
    const observer = new ResizeObserver(() => setSize([element.clientWidth, element.clientHeight]));
    observer.observe(element);
    return () => observer.disconnect();
  }, []);
  useEffect(() => {
    if (canvas.current && size[0] > 0) drawMap(canvas.current, points, view, { classes, hidden, selected, lasso });
  }, [points, view, classes, hidden, selected, lasso, size, dark]);

  const place = (event: PointerEvent): [number, number] => {
    const { left, top } = event.currentTarget.getBoundingClientRect();
    return [event.clientX - left, event.clientY - top];
  };
  const move = (event: PointerEvent): void => {
    const at = place(event);
    if (lasso.length > 0) setLasso([...lasso, at]);
    else setUnder(nearest(shown, view, ...at));
  };
  const up = (event: PointerEvent): void => {
    const drawn = lasso;
    setLasso([]);
    if (drawn.length > 4) {
      const chosen = shown.filter((point) => inside(view.at(point), drawn)).map(({ id }) => id);
      onSelect(new Set(event.shiftKey ? [...selected, ...chosen] : chosen));
    } else {
      const point = nearest(shown, view, ...place(event));
      if (point) onOpen(point.id);
      else onSelect(new Set());
    }
  };

  const [x, y] = under ? view.at(under) : [0, 0];
  return (
    <div ref={frame} className="map-plot">
      <canvas
        ref={canvas}
        role="img"
        aria-label={summary}
        onPointerDown={(event) => {
          event.currentTarget.setPointerCapture(event.pointerId);
          setUnder(null);
          setLasso([place(event)]);
        }}
        onPointerMove={move}
        onPointerUp={up}
        onPointerLeave={() => setUnder(null)}
      />
      {under && (
        <div className="map-tip small" style={{ left: Math.min(Math.max(x, 70), size[0] - 70), top: y, translate: y > 170 ? "-50% calc(-100% - 12px)" : "-50% 12px" }}>
          <Thumb p={p} s={under.id} size={96} />
          <span>{under.predicted && under.predicted !== under.label ? t("check.map_other", { label: under.label, predicted: under.predicted }) : under.label}</span>
        </div>
      )}
    </div>
  );
}

export function MapView({ project, readOnly }: { project: Shapes["Project"]; readOnly: boolean }) {
  const p = project.id;
  const map = useQuery({
    queryKey: keys.project(p, "map"),
    queryFn: () => take(api.GET("/api/projects/{p}/map", { params: { path: { p } } })),
    placeholderData: keepPreviousData,
  });
  const [hidden, setHidden] = useState<ReadonlySet<string>>(new Set());
  const [selected, setSelected] = useState<ReadonlySet<string>>(new Set());
  const [ringed, setRinged] = useState<ReadonlySet<string> | null>(null);
  const [open, setOpen] = useState<string | null>(null);
  const change = useChange(p);
  const classes = useMemo(() => project.classes.map(({ name }) => name), [project.classes]);
  const points = useMemo(() => map.data?.points ?? [], [map.data]);
  const shown = useMemo(() => points.filter(({ label }) => !hidden.has(label)), [points, hidden]);
  // What the model takes for something else comes first; after a lasso, only what lies in it.
  const listed = useMemo(() => {
    const other = ({ label, predicted }: Point) => Boolean(predicted && predicted !== label);
    return (ringed ? shown.filter(({ id }) => ringed.has(id)) : shown).toSorted((a, b) => Number(other(b)) - Number(other(a)));
  }, [shown, ringed]);
  const chosen = useMemo(() => [...selected].filter((id) => shown.some((point) => point.id === id)), [selected, shown]);
  const opened = useSamples(p, { ids: open ? [open] : [] }, open !== null);
  const idOf = useCallback((index: number) => listed[index]?.id, [listed]);
  const nameOf = useCallback(
    (index: number) => {
      const point = listed[index];
      if (!point) return "";
      return point.predicted && point.predicted !== point.label ? t("check.map_other", { label: point.label, predicted: point.predicted }) : point.label;
    },
    [listed],
  );

  if (map.isPending) return <Loading label={t("shell.loading")} />;
  if (map.error) return <Notice tone="error" title={map.error.message} />;
  if (!map.data.run || points.length === 0) {
    return (
      <EmptyState
        icon="grid"
        title={t("check.map_empty")}
        action={
          <ButtonLink look="primary" icon="train" href={pathOf(p, "train")}>
            {t("shell.step_train")}
          </ButtonLink>
        }
      >
        {t("check.map_empty_about")}
      </EmptyState>
    );
  }

  const ring = (ids: Set<string>): void => {
    setSelected(ids);
    setRinged(ids.size > 0 ? ids : null);
  };
  const body = { params: { path: { p } } };
  const explained = (map.data.explained ?? []).reduce((sum, share) => sum + share, 0);
  const summary = t("check.map_summary", { count: points.length, classes: classes.length, share: percent(explained, 0) });
  return (
    <div className="map">
      <p className="muted small">
        {summary} {t("check.map_how")}
      </p>
      <Legend classes={classes} points={points} hidden={hidden} onHidden={setHidden} />
      <div className="map-parts">
        <Plot p={p} points={points} classes={classes} hidden={hidden} selected={selected} summary={summary} onSelect={ring} onOpen={setOpen} />
        <section className="map-list" aria-label={t("check.map_list")}>
          <div className="map-tools">
            <span className="number" role="status">
              {chosen.length > 0 ? t("collect.selected", { count: chosen.length }) : t("check.map_list")}
            </span>
            {chosen.length > 0 && !readOnly && (
              <Select
                label={t("collect.move_to")}
                hideLabel
                value=""
                onChange={(event) => {
                  const label = event.target.value;
                  void change(api.POST("/api/projects/{p}/samples/move", { ...body, body: { ids: chosen, label } }), t("samples.moved", { count: chosen.length, label })).then((ok) => ok && ring(new Set()));
                }}
              >
                <option value="" disabled>
                  {t("collect.move_to")}
                </option>
                {classes.map((name) => (
                  <option key={name}>{name}</option>
                ))}
              </Select>
            )}
            {chosen.length > 0 && (
              <Button small look="quiet" onClick={() => ring(new Set())}>
                {t("collect.select_none")}
              </Button>
            )}
          </div>
          <VirtualGrid
            key={ringed ? [...ringed].join() : ""}
            label={t("check.map_list")}
            count={listed.length}
            tile={76}
            gap={6}
            idOf={idOf}
            nameOf={nameOf}
            selected={selected}
            onSelect={setSelected}
            onOpen={(index) => setOpen(listed[index]?.id ?? null)}
            render={(index) => {
              const point = listed[index];
              return (
                point && (
                  <>
                    <Thumb p={p} s={point.id} size={76} />
                    <span className="map-tile-mark">
                      <Mark index={classes.indexOf(point.label)} />
                    </span>
                  </>
                )
              );
            }}
          />
        </section>
      </div>
      {open !== null && opened.samples[0]?.id === open && <SampleDialog project={project} samples={opened.samples} index={0} onIndex={() => undefined} onClose={() => setOpen(null)} readOnly={readOnly} />}
    </div>
  );
}
