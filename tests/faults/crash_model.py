"""A disk that forgets: what `mmdist.storage.local` did to a folder, and what a power cut may leave of it.

The pessimist's reading of POSIX: a write is on the disk once its file was synced, an entry of a folder once that
folder was. Anything else may be lost, kept or torn, each thing independently of the others.
"""

import itertools
import math
import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

CUTS = 8
"""A write may be torn at so many places."""


@dataclass(eq=False)
class File:
    """Content on disk, and the contents that it went through since."""

    durable: bytes = b""
    later: list[bytes] = field(default_factory=list)

    @property
    def now(self) -> bytes:
        return self.later[-1] if self.later else self.durable

    def sync(self) -> None:
        self.durable, self.later = self.now, []

    def choices(self) -> list[bytes]:
        """What a power cut may leave: the old content first, the new one last, torn ones between."""
        torn: list[bytes] = []
        old = self.durable
        for new in self.later:
            if len(new) > len(old):
                for part in range(1, CUTS):
                    cut = len(old) + (len(new) - len(old)) * part // CUTS
                    lost = b"\0" * (len(new) - cut)
                    torn += [new[:cut], new[:cut] + lost, old + b"\0" * (cut - len(old)) + new[cut:]]
                torn.append(old + b"\0" * (len(new) - len(old)))
            old = new
        others = dict.fromkeys([self.durable, *torn, *self.later])
        return [*(content for content in others if content != self.now), self.now]


@dataclass(eq=False)
class Folder:
    """Entries on disk, and what each changed one went through since; None where there is nothing."""

    durable: dict[str, "File | Folder | None"] = field(default_factory=dict)
    later: dict[str, list["File | Folder | None"]] = field(default_factory=dict)

    def now(self, name: str) -> "File | Folder | None":
        return self.later[name][-1] if name in self.later else self.durable.get(name)

    def set(self, name: str, value: "File | Folder | None") -> None:
        self.later.setdefault(name, []).append(value)

    def sync(self) -> None:
        self.durable |= {name: values[-1] for name, values in self.later.items()}
        self.later = {}

    def choices(self, name: str) -> list["File | Folder | None"]:
        return list(dict.fromkeys([self.durable.get(name), *self.later.get(name, [])]))

    def names(self) -> list[str]:
        return sorted({*self.durable, *self.later})


@dataclass(frozen=True)
class Step:
    """An operation, or a promise: `told` names checkpoints that must be there from now on."""

    kind: str
    path: str = ""
    data: bytes = b""
    required: frozenset[str] = frozenset()


Tree = dict[str, bytes | None]
"""Content by path; None for a folder."""
Key = tuple[Any, str]
"""A file, or a folder and the name of an entry in it."""


class Disk:
    """Takes steps in order, and says at any moment what a power cut may leave."""

    def __init__(self, *, content_is_synced: bool = True) -> None:
        self.root = Folder()
        self._content_is_synced = content_is_synced
        """False: a disk that lies. It says that the content of files is written, and it is not."""

    def apply(self, step: Step) -> None:
        folder, name = self._parent(step.path)
        found: Any = folder.now(name) if step.path else self.root
        match step.kind:
            case "create":
                folder.set(name, File())
            case "mkdir":
                folder.set(name, Folder())
            case "unlink" | "rmdir":
                folder.set(name, None)
            case "truncate":
                found.later.append(b"")
            case "write":
                found.later.append(found.now + step.data)
            case "sync" if isinstance(found, Folder) or (found is not None and self._content_is_synced):
                found.sync()

    def crashes(self, limit: int, draw: random.Random) -> Iterator[Tree]:
        """Trees that a power cut may leave: all of them, or about `limit` where there are more."""
        choices = self._open_choices(self.root)
        keys, counts = list(choices), [len(values) for values in choices.values()]
        picks: Iterable[tuple[int, ...]] = itertools.product(*(range(count) for count in counts))
        if math.prod(counts) > limit:
            picks = _sample(counts, limit, draw)
        for pick in picks:
            yield self._tree({key: choices[key][index] for key, index in zip(keys, pick, strict=True)})

    def _parent(self, path: str) -> tuple[Folder, str]:
        folder: Any = self.root
        *above, name = path.split("/")
        for part in above:
            folder = folder.now(part)
        return folder, name

    def _open_choices(self, folder: Folder) -> dict[Key, list[Any]]:
        found: dict[Key, list[Any]] = {}
        for name in folder.names():
            values = folder.choices(name)
            if len(values) > 1:
                found[folder, name] = values
            for value in values:
                if isinstance(value, Folder):
                    found |= self._open_choices(value)
                elif value is not None and value.later:
                    found[value, ""] = value.choices()
        return found

    def _tree(self, chosen: dict[Key, Any]) -> Tree:
        tree: Tree = {}

        def visit(folder: Folder, above: str) -> None:
            for name in folder.names():
                value = chosen[folder, name] if (folder, name) in chosen else folder.durable.get(name)
                if isinstance(value, Folder):
                    tree[f"{above}{name}"] = None
                    visit(value, f"{above}{name}/")
                elif value is not None:
                    tree[f"{above}{name}"] = chosen.get((value, ""), value.durable)

        visit(self.root, "")
        return tree


def _sample(counts: list[int], limit: int, draw: random.Random) -> Iterable[tuple[int, ...]]:
    """Nothing kept, all kept, one thing otherwise than all others, and draws; about `limit` in all."""
    none, everything = tuple(0 for _ in counts), tuple(count - 1 for count in counts)
    single = [
        (*base[:index], value, *base[index + 1 :])
        for base in (none, everything)
        for index, count in enumerate(counts)
        for value in range(count)
    ]
    draw.shuffle(single)
    drawn = [tuple(draw.randrange(count) for count in counts) for _ in range(limit // 4)]
    return dict.fromkeys([none, everything, *single[: limit - len(drawn)], *drawn])
