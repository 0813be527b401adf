# SPDX-License-Identifier: GPL-2.0-only
"""The share of the host's time that a machine got.

Limits count it, and not the time on the wall: of a machine that the host had no CPU for
nothing can be expected.
"""
import threading
import time
from pathlib import Path

# However little a machine gets, after so many times a limit on the wall it ends.
LAST_RESORT = 10


class Share:
    """What process PID got, since now."""

    def __init__(self, pid, proc=Path("/proc"), clock=time.monotonic):
        self.threads, self.clock = proc / str(pid) / "task", clock
        self.lock = threading.Lock()
        self.started = self.looked = clock()
        self.waits, self.lost = {}, 0.0

    def look(self):
        """Find out how long it has waited for a CPU.

        Of the time between two looks that is lost which the one of its threads that waited
        longest has waited.  Who sleeps waits for no CPU: a machine that hangs loses nothing."""
        now, waits = self.clock(), {}
        try:
            paths = list(self.threads.glob("*/schedstat"))
        except OSError:                         # the machine has ended
            paths = []
        for path in paths:
            try:
                waits[path.parent.name] = int(path.read_text().split()[1]) / 1e9
            except (OSError, IndexError):       # the thread has ended
                pass
        waited = max((waits[t] - self.waits.get(t, 0.0) for t in waits), default=0.0)
        self.lost += min(waited, now - self.looked)
        self.looked, self.waits = now, waits

    def got(self):
        """Seconds; those on the wall if the host does not say (CONFIG_SCHED_INFO)."""
        with self.lock:
            self.look()
            return self.looked - self.started - self.lost

    def is_over(self, limit):
        return self.got() > limit or self.clock() - self.started > LAST_RESORT * limit
