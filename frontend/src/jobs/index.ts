export * from "./job-card";
export * from "./job-part";
export * from "./names";
export * from "./presets";
export * from "./run-select";
export * from "./wish";
