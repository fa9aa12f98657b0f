// The other measurements, each in a sentence: unknown things, sets, random split, shortcuts, groups; and the model's facts.

import type { ReactNode } from "react";
import type { Shapes } from "@/api";
import { Experts, Table } from "@/design";
import { bytes, duration, number, percent, t, when } from "@/words";
import type { Result } from "./result";
import { Section } from "./section";

const GROUPS = 12;
const whole = (share: number) => percent(share, 0);

export function Figures({ result, named }: { result: Result; named: Record<string, string> }) {
  const { unknown, sets, leak, shortcuts = [], per_group: groups = {}, score } = result;
  const alarm = unknown?.false_alarm;
  const miss = unknown?.miss;
  const classes = result.classes?.length ?? 0;
  const mute = classes > 0 && unknown?.below !== undefined && Math.round(100 * (unknown.below - 1 / classes)) <= 0; // the largest share is at least 1 / classes
  const ranked = Object.entries(groups).filter(([name]) => name).sort(([, a], [, b]) => a.accuracy - b.accuracy);
  const weakest = ranked[0];
  const parts = [
    unknown?.below !== undefined && alarm && (
      <Part key="unknown" title={t("understand.unknown")}>
        <p>
          {miss
            ? t("understand.unknown_said", { below: whole(unknown.below), alarm: whole(alarm.value), miss: whole(miss.value) })
            : t("understand.unknown_alarm", { below: whole(unknown.below), alarm: whole(alarm.value) })}
        </p>
        {mute && <p>{t("understand.unknown_mute", { n: classes, least: whole(1 / classes) })}</p>}
        {unknown.classes && Object.keys(unknown.classes).length > 0 && (
          <Fold caption={t("understand.unknown")} columns={[t("understand.class"), t("understand.unknown_miss"), t("understand.samples")]} rows={Object.entries(unknown.classes).map(([name, row]) => [name, whole(row.miss), number(row.n)])} />
        )}
      </Part>
    ),
    shortcuts.length > 0 && (
      <Part key="shortcuts" title={t("understand.shortcuts")}>
        <p>
          {shortcuts.some((row) => row.above_chance)
            ? t("understand.shortcuts_some", { count: shortcuts.filter((row) => row.above_chance).length })
            : t("understand.shortcuts_none")}
        </p>
        <Fold
          caption={t("understand.shortcuts")}
          columns={[t("understand.shortcut"), t("understand.shortcut_right"), t("understand.shortcut_chance"), ""]}
          rows={shortcuts.map((row) => [named[row.name] ?? row.name, whole(row.score.value), whole(row.chance), t(row.above_chance ? "understand.shortcut_above" : "understand.shortcut_as_chance")])}
        />
      </Part>
    ),
    weakest && (
      <Part key="groups" title={t("understand.groups")}>
        <p>{t("understand.groups_said", { name: weakest[0], accuracy: whole(weakest[1].accuracy) })}</p>
        <Fold caption={t("understand.groups")} columns={[t("understand.group"), t("understand.right_share"), t("understand.samples")]} rows={ranked.slice(0, GROUPS).map(([name, row]) => [name, whole(row.accuracy), number(row.n)])} />
      </Part>
    ),
  ].filter(Boolean);
  const experts = [
    sets?.covered && (
      <Part key="sets" title={t("understand.sets")}>
        <p>{t("understand.sets_said", { covered: whole(sets.covered.value), asked: whole(sets.asked), size: number(sets.mean_size, 2), empty: whole(sets.empty) })}</p>
      </Part>
    ),
    leak?.naive && score && (
      <Part key="leak" title={t("understand.leak")}>
        <p>{t(Math.abs(leak.naive.value - score.value) < 0.0005 ? "understand.leak_same" : "understand.leak_said", { naive: percent(leak.naive.value), honest: percent(score.value) })}</p>
      </Part>
    ),
  ].filter(Boolean);
  if (parts.length + experts.length === 0) return null;
  return (
    <Section title={t("understand.figures")}>
      {parts.length > 0 && <div className="understand-figures">{parts}</div>}
      {experts.length > 0 && (
        <Experts>
          <div className="understand-figures">{experts}</div>
        </Experts>
      )}
    </Section>
  );
}

function Part({ title, children }: { title: string; children: ReactNode }) {
  return (
    <div className="stack tight">
      <h3>{title}</h3>
      {children}
    </div>
  );
}

function Fold({ caption, columns, rows }: { caption: string; columns: readonly string[]; rows: readonly (readonly string[])[] }) {
  return (
    <details>
      <summary className="small">{t("charts.table")}</summary>
      <Table caption={caption}>
        <thead>
          <tr>
            {columns.map((column, i) => (
              <th key={i} scope="col" className={i === 0 || column === "" ? undefined : "right"}>
                {column || <span className="unseen">{caption}</span>}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((row, i) => (
            <tr key={i}>
              {row.map((cell, j) =>
                j === 0 ? (
                  <th key={j} scope="row">
                    <bdi>{cell}</bdi>
                  </th>
                ) : (
                  <td key={j} className={columns[j] === "" ? undefined : "right"}>
                    {cell}
                  </td>
                ),
              )}
            </tr>
          ))}
        </tbody>
      </Table>
    </details>
  );
}

export function Facts({ card, result, named }: { card: Shapes["RunCard"]; result: Result; named: Record<string, string> }) {
  return (
    <Section title={t("understand.facts")}>
      <FactList
        facts={[
          ["method", t(`train.method_${card.method}`)],
          ["samples", number(card.samples)],
          ["bytes", card.bytes ? bytes(card.bytes) : null],
          ["seconds", card.seconds ? duration(card.seconds) : null],
          ["made", when(card.created)],
        ]}
      />
      <Experts>
        <FactList
          facts={[
            ["model", card.model],
            ["strategy", card.strategy],
            ["head", card.head],
            ["tested", named[result.score?.method ?? ""] ?? result.score?.method],
            ["parameters", card.parameters ? number(card.parameters) : null],
            ["macs", card.macs ? number(card.macs) : null],
            ["latency", card.latency_ms ? t("understand.milliseconds", { n: number(card.latency_ms, 1) }) : null],
            ["memory", card.peak_rss_bytes ? bytes(card.peak_rss_bytes) : null],
            ["why", named[result.why ?? ""] ?? result.why],
          ]}
        />
      </Experts>
    </Section>
  );
}

function FactList({ facts }: { facts: readonly (readonly [string, string | null | undefined])[] }) {
  return (
    <dl className="understand-facts number">
      {facts.map(([name, value]) =>
        value ? (
          <div key={name}>
            <dt className="small muted">{t(`understand.fact_${name}`)}</dt>
            <dd>{value}</dd>
          </div>
        ) : null,
      )}
    </dl>
  );
}
