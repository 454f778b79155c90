"""Shows a run's progress: one live line on a terminal, timestamped lines elsewhere, JSON lines for machines."""

import json
import time
from types import TracebackType
from typing import Literal, Protocol, Self, TextIO

from mmdist.runtime.follow import Look
from mmdist.runtime.wording import event_line, live_line

__all__ = ["LogFormat", "View", "open_view"]

LogFormat = Literal["auto", "plain", "json"]
LIVE_EVERY_S = 10.0


class View(Protocol):
    """Shows looks at a run until closed."""

    def show(self, look: Look) -> None:
        """Shows what is new."""

    def close(self) -> None:
        """Leaves the terminal as it was. May be called twice."""

    def __enter__(self) -> Self: ...

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None: ...


def open_view(log_format: LogFormat, stream: TextIO) -> View:
    """The view for a format; `auto` is a live line on a terminal and plain lines elsewhere."""
    match log_format:
        case "json":
            return JsonView(stream)
        case "auto" if stream.isatty():
            return TerminalView(stream)
        case _:
            return PlainView(stream)


class _Base:
    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def close(self) -> None:
        self._stream.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        self.close()


class PlainView(_Base):
    """Timestamped lines: every event that matters, and the live note every ten seconds."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._shown_s = time.monotonic()

    def show(self, look: Look) -> None:
        """Shows what is new."""
        for event in look.new_events:
            line = event_line(event)
            if line is not None:
                self._write(event.time_s, line)
                self._shown_s = time.monotonic()
        if look.live is not None and time.monotonic() - self._shown_s >= LIVE_EVERY_S:
            self._shown_s = time.monotonic()
            self._write(time.time(), live_line(look.live))

    def _write(self, time_s: float, line: str) -> None:
        self._stream.write(f"{time.strftime('%H:%M:%S', time.localtime(time_s))}  {line}\n")
        self._stream.flush()


class JsonView(_Base):
    """One JSON object per line: `{"time", "event", ...facts}`, and `{"time", "progress": {...}}` every ten seconds."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._shown_s = 0.0

    def show(self, look: Look) -> None:
        """Shows what is new."""
        for event in look.new_events:
            self._write({"time": event.time_s, "event": event.kind, "attempt": event.attempt, "facts": event.facts})
        if look.live is not None and time.monotonic() - self._shown_s >= LIVE_EVERY_S:
            self._shown_s = time.monotonic()
            self._write({"time": time.time(), "progress": look.live})

    def _write(self, record: dict[str, object]) -> None:
        self._stream.write(json.dumps(record, default=str) + "\n")
        self._stream.flush()


class TerminalView(_Base):
    """Lines for events, and below them one live line with a spinner and a bar."""

    def __init__(self, stream: TextIO) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn
        from rich.table import Column

        super().__init__(stream)
        self._console = Console(file=stream, highlight=False)
        self._progress = Progress(
            SpinnerColumn(),
            BarColumn(bar_width=16),
            TextColumn("{task.description}", markup=False, table_column=Column(ratio=1, no_wrap=True)),
            expand=True,
            console=self._console,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._task = self._progress.add_task("starting", total=None)
        self._progress.start()

    def show(self, look: Look) -> None:
        """Shows what is new."""
        for event in look.new_events:
            line = event_line(event)
            if event.kind == "phase" and line is not None:
                self._progress.reset(self._task, total=None, description=line)
            elif line is not None and event.kind != "finished":
                stamp = time.strftime("%H:%M:%S", time.localtime(event.time_s))
                self._console.print(f"{stamp}  {line}", markup=False, soft_wrap=True)
        if look.live is not None:
            total = look.live.get("batches")
            self._progress.update(
                self._task,
                total=total,
                completed=look.live.get("batch") or 0,
                description=live_line(look.live),
            )

    def close(self) -> None:
        """Leaves the terminal as it was."""
        self._progress.stop()
        super().close()
