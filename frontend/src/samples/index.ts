export * from "./list";
export * from "./sample-dialog";
export * from "./sound-view";
export * from "./thumb";
