// Where a page breaks, the shell stands, and says so.

import { Component, type ReactNode } from "react";
import { Button, EmptyState } from "@/design";
import { t } from "@/words";

export class Boundary extends Component<{ children: ReactNode }, { error: Error | null }> {
  override state: { error: Error | null } = { error: null };

  static getDerivedStateFromError(error: Error) {
    return { error };
  }

  override render(): ReactNode {
    const { error } = this.state;
    if (!error) return this.props.children;
    return (
      <div role="alert">
        <EmptyState icon="error" title={t("shell.broken")} action={<Button onClick={() => location.reload()}>{t("shell.reload")}</Button>}>
          {error.message}
        </EmptyState>
      </div>
    );
  }
}
