import recording from "../../src/words/en/recording.json";
import shell from "../../src/words/en/shell.json";
import trying from "../../src/words/en/try.json";
import page from "./en.json";

export const book = { ...shell, ...recording, ...trying, ...page };
