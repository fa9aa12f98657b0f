const areas = import.meta.glob<Record<string, string>>("./en/*.json", { eager: true, import: "default" });
export const book = Object.assign({}, ...Object.values(areas)) as Record<string, string>;
