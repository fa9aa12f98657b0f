// A part of the page: a heading, one sentence on how to read it, the content.

import type { ReactNode } from "react";
import { Card } from "@/design";

export function Section({ title, lead, children }: { title: ReactNode; lead?: ReactNode; children: ReactNode }) {
  return (
    <Card className="understand-part">
      <header className="understand-part-head">
        <div>
          <h2>{title}</h2>
          {lead && <p className="muted small">{lead}</p>}
        </div>
      </header>
      {children}
    </Card>
  );
}
