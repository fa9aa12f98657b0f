// What a target is called and what it is for. The server knows both in English; for those we know, each language has its own words.

import type { Shapes } from "@/api";
import { has, t } from "@/words";

export const titleOf = (format: Shapes["Format"]): string => (has(`export.title_${format.name}`) ? t(`export.title_${format.name}`) : format.title);

export const aboutOf = (format: Shapes["Format"]): string => (has(`export.about_${format.name}`) ? t(`export.about_${format.name}`) : format.about);
