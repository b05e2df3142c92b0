"""``python -m latigo``, and the program ``latigo``.

What is imported before the signals are handled is imported within the first milliseconds of every service, in which it
may be asked to stop already. So there is next to nothing here.
"""

import gc
import os
import signal
import sys

_SERVICES = ("serve", "demo")
_INTERRUPTED = 130  #: as shells report a Ctrl-C


def run() -> None:
    """Run the ``latigo`` program."""
    # Until the event loop runs: what is imported stays, and the collector would walk all of it again and again.
    gc.disable()
    if sys.argv[1:2] and sys.argv[1] in _SERVICES:
        # Until the service handles signals itself: nothing has begun that would have to be finished.
        for early in (signal.SIGTERM, signal.SIGINT):
            signal.signal(early, lambda *_: os._exit(0))
    try:
        from latigo.cli.main import run as run_commands  # noqa: PLC0415 - takes a second

        run_commands()
    except KeyboardInterrupt:  # while it imports
        sys.exit(_INTERRUPTED)


if __name__ == "__main__":
    run()
