"""`handful` and `python -m handful`: run the command line and turn what goes wrong into two lines and an exit code."""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from handful.errors import HandfulError


class _Stopped(BaseException):
    """Ctrl-C or SIGTERM: unwinds everything, so that what was begun is cleaned up.

    Not KeyboardInterrupt, which typer turns into an exit without a word.
    """


_signals: list[int] = []  # that came: a library may turn the exception into one of its own


def _stop(number: int, frame: Any) -> NoReturn:
    _signals.append(number)
    raise _Stopped


def main() -> NoReturn:
    """Entry point. Exit codes: 0 good, 1 could not be done, 2 wrong usage, 75 busy, 130 and 143 stopped."""
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as in a shell's background job
            signal.signal(number, _stop)
    # Understood wherever it stands, so that it can be added to the end of a command that failed; after -- it is a file.
    options = sys.argv[: sys.argv.index("--")] if "--" in sys.argv else sys.argv
    debug = "--debug" in options
    if debug:
        sys.argv.remove("--debug")
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # names that no encoding can show must not stop a run
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")
    code = _guarded(debug)
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(code)


def _guarded(debug: bool) -> int:
    """Run the command line; returns the exit code."""
    try:
        from handful.cli import app

        app(prog_name="handful")
        return 0
    except SystemExit as stop:
        if "unexpected extra argument" in str(getattr(stop.__context__, "message", "")):
            print("   try: put quotes around names with spaces", file=sys.stderr)
        return stop.code if isinstance(stop.code, int) else 1
    except _Stopped:
        return _stopped()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        if _signals:
            return _stopped()
        if debug:
            raise
        from handful.errors import HandfulError

        if isinstance(error, HandfulError):
            return _told(error)
        from handful.words import both

        what = f"{type(error).__name__}: {error}"
        _tell(*both("error.fault", what=what), "memory" if isinstance(error, MemoryError) else _cause(error))
        return 1


def _told(error: HandfulError) -> int:
    """The two lines of an error that a user can mend; the second is the corrected command where there is one."""
    from handful.errors import RunError

    hint = error.hint
    if isinstance(error, RunError) and error.instead and error.given in sys.argv[1:]:
        hint = _command([error.instead if word == error.given else word for word in sys.argv[1:]])
    _tell(error.message, hint, _cause(error))
    return error.exit_code


def _tell(message: str, hint: str, cause: str) -> None:
    from handful._console import Events
    from handful.cli import here
    from handful.words import said, shown

    events, lines = Events(), [(f"handful: {shown(message)}", said("say.error", what=message))]
    if hint:
        lines.append((f"   try: {here(shown(hint))}", said("say.try", what=hint)))
    for text, sentence in lines:
        events.say(text, sentence)
        print(text, file=sys.stderr)
    events.error(message, hint, cause)


def _cause(error: BaseException | None) -> str:
    """ "disk" where that was full, whatever was made of it since."""
    import errno

    while error is not None:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            return "disk"
        error = error.__cause__ or error.__context__
    return ""


def _stopped() -> int:
    """Say that it stopped and how to go on; returns the exit code.

    A signal may have torn an import, and numpy cannot be imported twice: only what is there already is asked.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    import shlex

    from handful._console import Events, program
    from handful.words import said

    words = sys.argv[1:]
    at = words.index("--") if "--" in words else len(words)
    run = getattr(getattr(sys.modules.get("handful.runs"), "Run", None), "begun", None)
    if run and "train" in words[:at] and (run / "run.json").is_file():
        words = ["report", str(run)]  # all that is missing
    elif run and "train" in words[:at]:
        given = any(word == "--run" or word.startswith("--run=") for word in words[:at])
        more = [] if given else ["--run", str(run)]
        words[at:at] = more + ([] if "--resume" in words[:at] else ["--resume"])
    again = f"{program()} {shlex.join(words)}"
    print("\n" if sys.stderr.isatty() else "", end="", file=sys.stderr)
    for line in (said("say.stopped"), said("say.go_on", command=again)):
        Events().say(line)
        print(line, file=sys.stderr)
    return 128 + _signals[-1]


def _command(words: list[str]) -> str:
    import shlex

    return shlex.join(["handful", *words])


if __name__ == "__main__":
    main()
