// The browser's Back closes the dialog on top before it leaves the page, as people expect of everything that covers one.
//
// While dialogs are open the browser's history holds one entry more, of the same address: stepping back onto the page's own
// entry closes a dialog. It is put there and taken away a moment later than dialogs come and go, so that one dialog may
// follow another, or a page a dialog, without a step in between.

import { useEffect, useRef } from "react";

const MARK = "handful.dialog";

const open: { close: () => void }[] = []; // the one on top last
let leaving = false; // a step back that we took ourselves
let planned = 0;

const state = (): Record<string, unknown> => (history.state as Record<string, unknown> | null) ?? {};
const marked = (): boolean => state()[MARK] === true;

function stepBack(): void {
  leaving = true;
  history.back();
}

/** One entry more while anything is open, none otherwise. */
function settle(): void {
  clearTimeout(planned);
  planned = window.setTimeout(() => {
    if (leaving) return; // looks again when it has arrived
    if (open.length > 0 && !marked()) history.pushState({ ...state(), [MARK]: true }, "");
    else if (open.length === 0 && marked()) stepBack();
  });
}

addEventListener("popstate", () => {
  if (leaving) leaving = false;
  else if (!marked()) open.at(-1)?.close();
  settle(); // dialogs below want an entry too; one that stayed when its page was left is passed over
});
if (marked()) stepBack(); // loaded again with a dialog open

/** Calls `close` when the browser goes back, for as long as it is used. */
export function useBack(close: () => void): void {
  const tell = useRef(close);
  tell.current = close;
  useEffect(() => {
    const mine = { close: () => tell.current() };
    open.push(mine);
    settle();
    return () => {
      open.splice(open.indexOf(mine), 1);
      settle();
    };
  }, []);
}
