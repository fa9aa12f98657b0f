// The keys of the review: shown, changed, or switched off. They live only while the review is open.

import { useEffect, useState } from "react";
import { Switch } from "@/design";
import { t } from "@/words";

export const acts = ["yes", "no", "undo", "skip"] as const;
export type Act = (typeof acts)[number];
export type Keys = Record<Act, string> & { on: boolean };

const usual: Keys = { yes: "ArrowUp", no: "ArrowDown", undo: "ArrowLeft", skip: "ArrowRight", on: true };
const KEPT = "handful.review-keys";

function kept(): Keys {
  try {
    return { ...usual, ...(JSON.parse(localStorage.getItem(KEPT) ?? "{}") as Partial<Keys>) };
  } catch {
    return usual;
  }
}

export function useKeys(): [Keys, (keys: Keys) => void] {
  const [keys, setKeys] = useState(kept);
  return [
    keys,
    (next) => {
      localStorage.setItem(KEPT, JSON.stringify(next));
      setKeys(next);
    },
  ];
}

const arrows: Record<string, string> = { ArrowUp: "↑", ArrowDown: "↓", ArrowLeft: "←", ArrowRight: "→", " ": "␣" };
export const keyName = (key: string): string => arrows[key] ?? key.toUpperCase();

export function KeySettings({ keys, onKeys, onAsking }: { keys: Keys; onKeys: (keys: Keys) => void; onAsking: (asking: boolean) => void }) {
  const [asking, setAsking] = useState<Act | null>(null);

  useEffect(() => {
    onAsking(asking !== null);
    if (!asking) return;
    function press(event: KeyboardEvent): void {
      if (["Tab", "Shift", "Control", "Alt", "Meta"].includes(event.key)) return;
      event.preventDefault();
      event.stopPropagation();
      // Digits choose classes; a key that another act has changes places with it.
      if (event.key !== "Escape" && !/^\d$/.test(event.key) && asking) {
        const other = acts.find((act) => keys[act] === event.key);
        onKeys({ ...keys, ...(other && { [other]: keys[asking] }), [asking]: event.key });
      }
      setAsking(null);
    }
    addEventListener("keydown", press, true);
    return () => removeEventListener("keydown", press, true);
  }, [asking, keys, onKeys, onAsking]);

  return (
    <details className="review-keys">
      <summary>{t("check.keys")}</summary>
      <div className="stack tight">
        <Switch label={t("check.keys_on")} checked={keys.on} onChange={(on) => onKeys({ ...keys, on })} />
        <ul className="review-key-list">
          {acts.map((act) => (
            <li key={act}>
              <span>{t(`check.act_${act}`)}</span>
              <button type="button" className="button plain small-button" disabled={!keys.on} onClick={() => setAsking(act)}>
                {asking === act ? t("check.press") : <kbd>{keyName(keys[act])}</kbd>}
                <span className="unseen">{t("check.change_key", { act: t(`check.act_${act}`) })}</span>
              </button>
            </li>
          ))}
          <li>
            <span>{t("check.act_digit")}</span>
            <span>
              <kbd>1</kbd>–<kbd>9</kbd>
            </span>
          </li>
        </ul>
        <button type="button" className="button quiet small-button" onClick={() => onKeys(usual)}>
          {t("check.keys_usual")}
        </button>
      </div>
    </details>
  );
}
