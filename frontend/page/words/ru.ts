import recording from "../../src/words/ru/recording.json";
import shell from "../../src/words/ru/shell.json";
import trying from "../../src/words/ru/try.json";
import page from "./ru.json";

export const book = { ...shell, ...recording, ...trying, ...page };
