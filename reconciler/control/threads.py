"""A few threads for work that mostly waits: for the monitor, or for a graceful stop.

Called by execute. The standard library's executor would load its logging as well.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence

Task = Callable[[], None]


def run_tasks(tasks: Sequence[Task], threads: int) -> None:
    """Run the tasks, in order, at most `threads` at a time; return when all are done.

    A task must not raise. When the caller is interrupted, tasks under way are finished and
    no further ones begun.
    """
    if len(tasks) == 1 or threads == 1:
        for task in tasks:
            task()
        return
    queue = deque(tasks)
    workers = [
        threading.Thread(target=_work, args=(queue,), name=f"worker-{number}")
        for number in range(min(threads, len(tasks)))
    ]
    try:
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
    except BaseException:
        queue.clear()
        for worker in workers:
            if worker.ident is not None:
                worker.join()
        raise


def _work(queue: deque[Task]) -> None:
    while True:
        try:
            task = queue.popleft()
        except IndexError:
            return
        task()
