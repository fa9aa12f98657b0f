// The code of the pages: fetched as soon as an address names one, and there without waiting from then on.
//
// Not React.lazy: what suspends is shown no sooner than 300 ms after its spinner, however soon it came.

import { useEffect, useState, type ComponentType } from "react";
import type { PageProps } from "./app";

type Page = ComponentType<PageProps>;

const modules = import.meta.glob<{ default: Page }>("./pages/*/index.tsx");
const here = new Map<string, Page>();

/** Fetches the code of a page, once. */
export async function fetchPage(name: string): Promise<void> {
  const load = modules[`./pages/${name}/index.tsx`];
  if (load && !here.has(name)) here.set(name, (await load()).default);
}

/** A page, undefined until its code is here. Throws what kept it from coming. */
export function usePage(name: string): Page | undefined {
  const [failed, setFailed] = useState<{ name: string; error: unknown } | null>(null);
  const [, show] = useState(0);
  useEffect(() => {
    let gone = false;
    if (!here.has(name))
      fetchPage(name).then(
        () => gone || show((n) => n + 1),
        (error: unknown) => gone || setFailed({ name, error }),
      );
    return () => {
      gone = true;
    };
  }, [name]);
  if (failed?.name === name) throw failed.error;
  return here.get(name);
}
