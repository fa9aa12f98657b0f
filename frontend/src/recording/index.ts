export * from "./devices";
export * from "./microphone";
export * from "./wav";
