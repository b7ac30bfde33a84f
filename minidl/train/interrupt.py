"""Ctrl-C that waits for the end of a step."""

import signal
import threading


class Interrupt:
    """Context manager in which the first Ctrl-C only sets `requested`, and the second raises KeyboardInterrupt.

    Outside the main thread, which alone gets signals, it does nothing.
    """

    def __init__(self):
        self.requested = False

    def __enter__(self):
        self.mine = threading.current_thread() is threading.main_thread()
        if self.mine:
            self.previous = signal.signal(signal.SIGINT, self.receive)
        return self

    def __exit__(self, *error):
        if self.mine:
            signal.signal(signal.SIGINT, self.previous)

    def receive(self, number, frame):
        """The signal's handler."""
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True
