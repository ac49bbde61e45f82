"""`reconciler watch`: the daemon, in the foreground."""

from __future__ import annotations

import argparse

from reconciler.cli.arguments import add_plan_options, add_sources, duration_s
from reconciler.cli.instance import configure_logs, make_engine, make_options, sources_of

EXAMPLES = """\
  reconciler watch                          # the default source
  reconciler watch ./conf --interval 10s    # look for drift more often
  reconciler watch --log-format json 2>> watch.log

signals: SIGTERM and SIGINT end it, the containers run on; SIGHUP looks at everything now"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the sources, what a plan may do, and when to look."""
    add_sources(parser)
    add_plan_options(parser)
    for option, default, text in (
        ("--interval", "30s", "look for drift so often"),
        ("--settle", "100ms", "take files once they were left alone for so long"),
        ("--max-settle", "2s", "but wait no longer than this for that"),
        ("--poll", "2s", "look at files so often where inotify's limits are reached"),
    ):
        parser.add_argument(
            option,
            metavar="DURATION",
            type=duration_s,
            default=duration_s(default),
            help=f"{text} (default: {default})",
        )


def run(args: argparse.Namespace) -> int:
    """Watch until SIGTERM or SIGINT."""
    from reconciler.daemon.watch import Settings, Watch
    from reconciler.linux.notify import take_notifier

    notifier = take_notifier()
    configure_logs(args)
    watch = Watch(
        make_engine(args),
        sources_of(args),
        options=make_options(args),
        settings=Settings(
            interval_s=args.interval,
            settle_s=args.settle,
            max_settle_s=args.max_settle,
            poll_s=args.poll,
        ),
        notifier=notifier,
    )
    watch.run()
    return 0
