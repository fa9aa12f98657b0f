// A tab from before an update: its pages no longer fit the server, and only a reload brings the new ones.

import { useAbout } from "@/api";
import { Button, Icon } from "@/design";
import { t } from "@/words";

/** The script that this tab began with; its name changes with whatever is in the pages. */
const began = document.querySelector<HTMLScriptElement>("script[type=module][src]")?.getAttribute("src");

export function Updated() {
  const now = useAbout().data?.pages;
  const old = import.meta.env.PROD && Boolean(now && began && now !== began);
  return (
    <div role="status">
      {old && (
        <p className="updated">
          <Icon name="info" size={18} />
          <span>{t("shell.updated")}</span>
          <Button small onClick={() => location.reload()}>
            {t("shell.update_reload")}
          </Button>
        </p>
      )}
    </div>
  );
}
