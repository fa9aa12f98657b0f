// Lines to copy, with a button that does.

import { useEffect, useState } from "react";
import { Icon, toast } from "@/design";
import { t } from "@/words";

export function Code({ label, text, language }: { label: string; text: string; language: string }) {
  const [copied, setCopied] = useState(false);
  useEffect(() => {
    if (!copied) return;
    const timer = setTimeout(() => setCopied(false), 2000);
    return () => clearTimeout(timer);
  }, [copied]);

  async function copy(): Promise<void> {
    try {
      await navigator.clipboard.writeText(text);
      setCopied(true);
    } catch {
      toast(t("export.copy_failed"));
    }
  }

  return (
    <figure className="export-code">
      <figcaption className="row apart small muted">
        <span>{label}</span>
        <button type="button" className="button quiet small-button" aria-label={`${t("export.copy")}: ${label}`} onClick={() => void copy()}>
          <Icon name={copied ? "check" : "copy"} size={16} />
          <span>{t(copied ? "export.copied" : "export.copy")}</span>
        </button>
        <span className="unseen" role="status">
          {copied ? t("export.copied") : ""}
        </span>
      </figcaption>
      <pre tabIndex={0} aria-label={label} data-language={language}>
        <code>{text}</code>
      </pre>
    </figure>
  );
}
