"""`handful` and `python -m handful`: run the command line and turn what goes wrong into two lines and an exit code."""

from __future__ import annotations

import os
import signal
import sys
from typing import Any, NoReturn


class _Terminated(BaseException):
    """SIGTERM: unwinds like Ctrl-C, so that what was begun is cleaned up."""


def _terminate(number: int, frame: Any) -> NoReturn:
    raise _Terminated


def main() -> NoReturn:
    """Entry point. Exit codes: 0 good, 1 could not be done, 2 wrong usage, 75 busy, 130 and 143 stopped."""
    signal.signal(signal.SIGTERM, _terminate)
    # Understood wherever it stands, so that it can be added to the end of a command that failed; after -- it is a file.
    options = sys.argv[: sys.argv.index("--")] if "--" in sys.argv else sys.argv
    debug = "--debug" in options
    if debug:
        sys.argv.remove("--debug")
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # names that no encoding can show must not stop a run
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")
    from handful.errors import HandfulError

    try:
        from handful.cli import app

        app(prog_name="handful")
        code = 0
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else 1
    except HandfulError as error:
        if debug:
            raise
        from handful.files import shown

        print(f"handful: {shown(error.message)}", file=sys.stderr)
        if error.hint:
            print(f"   try: {shown(error.hint)}", file=sys.stderr)
        code = error.exit_code
    except KeyboardInterrupt:
        print("\nhandful: stopped; what was computed is kept, run the same command again to go on", file=sys.stderr)
        code = 130
    except _Terminated:
        print("handful: stopped; what was computed is kept, run the same command again to go on", file=sys.stderr)
        code = 143
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    except Exception as error:
        if debug:
            raise
        print(f"handful: something went wrong that should not ({type(error).__name__}: {error})", file=sys.stderr)
        print("   try: the same command with --debug, and report what it prints", file=sys.stderr)
        code = 1
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(code)


if __name__ == "__main__":
    main()
