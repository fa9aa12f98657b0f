export * from "./job-card";
export * from "./job-part";
export * from "./presets";
export * from "./wish";
