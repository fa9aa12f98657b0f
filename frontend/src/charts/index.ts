export * from "./calibration-plot";
export * from "./figure";
export * from "./interval-bar";
export * from "./learning-plot";
export * from "./pareto-plot";
