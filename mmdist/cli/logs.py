"""`mmdist logs`: what a run's processes printed, or its events."""

import json
import sys
import threading
import time
from collections.abc import Iterator

import click

from mmdist.runtime.find import find_run
from mmdist.runtime.follow import Follower
from mmdist.runtime.logs import log_texts, tail_logs
from mmdist.runtime.rundir import read_run_state
from mmdist.storage import Event, Store, read_events

__all__ = ["command"]

LOOK_EVERY_S = 0.5


@click.command("logs")
@click.argument("run", default="latest")
@click.option("-f", "--follow", is_flag=True, help="Go on until the run is over.")
@click.option("--events", "only_events", is_flag=True, help="Print the run's events, one JSON object per line.")
@click.option("--storage", default="runs", show_default=True, metavar="URL", help="Folder or URL with the runs.")
def command(run: str, follow: bool, only_events: bool, storage: str) -> None:
    """Print what RUN's driver and workers wrote, each line with its attempt and writer."""
    store = find_run(run, storage)
    if only_events:
        for event in _followed_events(store) if follow else read_events(store):
            click.echo(_event_json(event))
        return
    for writer, text in _followed_texts(store) if follow else log_texts(store, {}):
        for line in text.splitlines():
            click.echo(f"{writer} | {line}")
        sys.stdout.flush()


def _followed_texts(run: Store) -> Iterator[tuple[str, str]]:
    is_over = threading.Event()

    def watch() -> None:
        while read_run_state(run).state == "running":
            time.sleep(LOOK_EVERY_S)
        is_over.set()

    threading.Thread(target=watch, daemon=True).start()
    return tail_logs(run, is_over)


def _followed_events(run: Store) -> Iterator[Event]:
    follower = Follower(run)
    while True:
        look = follower.look()
        yield from look.new_events
        if look.state.state != "running":
            return
        time.sleep(LOOK_EVERY_S)


def _event_json(event: Event) -> str:
    record = {"time": event.time_s, "attempt": event.attempt, "writer": event.writer, "event": event.kind}
    return json.dumps({**record, "facts": event.facts}, default=str)
