// Names of classes as people type them: which of two are one but for case, spaces and Unicode form, and which are too long.

import { tooLong } from "@/design";

const LONGEST = 200; // characters, as the server takes them

const clean = (name: string) => name.trim().normalize("NFC");
const bare = (name: string) => name.normalize("NFKC").toLowerCase().replace(/[\s\p{Cf}]/gu, "");

/** The class that `name` means, or may mean: the same one, or one that differs only in case, spaces or Unicode form. */
export function meant(name: string, classes: readonly { name: string }[]): { name: string; same: boolean } | undefined {
  const wanted = clean(name);
  if (!wanted) return undefined;
  if (classes.some((one) => one.name === wanted)) return { name: wanted, same: true };
  const twin = classes.find((one) => bare(one.name) === bare(wanted));
  return twin && { name: twin.name, same: false };
}

/** Why a name cannot be; null: it can. */
export const fault = (name: string) => tooLong(name, LONGEST);
