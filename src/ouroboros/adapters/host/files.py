"""Directories, files and links of a host: how they differ from what must be, and mending it."""

import contextlib
import difflib
import grp
import os
import pwd
import stat
from dataclasses import dataclass
from pathlib import Path

from ouroboros.plans.host import Directory, Item, Link, TextFile

_DIFF_LINES = 200


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that is not as it must be. `diff` shows a file's text, unless it is secret."""

    what: str
    path: str
    change: str
    diff: str = ""

    def document(self) -> dict[str, str]:
        """The difference as JSON."""
        found = {"what": self.what, "path": self.path, "change": self.change}
        return {**found, "diff": self.diff} if self.diff else found


def compare(item: Item) -> Difference | None:
    """How an item differs from what is there; None when it does not."""
    match item:
        case Link():
            return _compare_link(item)
        case Directory():
            return _compare_owned(item, "directory", None)
        case TextFile():
            return _compare_owned(item, "file", item.text)


def apply(item: Item) -> None:
    """Bring it about; may be repeated. Files and links are replaced as a whole."""
    match item:
        case Link():
            draft = item.path.with_name(f".{item.path.name}.next")
            draft.unlink(missing_ok=True)
            draft.symlink_to(item.target)
            draft.replace(item.path)
        case Directory():
            item.path.mkdir(parents=True, exist_ok=True)
            _own(item.path, item)
        case TextFile():
            item.path.parent.mkdir(parents=True, exist_ok=True)
            draft = item.path.with_name(f".{item.path.name}.next")
            draft.unlink(missing_ok=True)
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
            with os.fdopen(os.open(draft, flags, 0o600), "w", encoding="utf-8") as file:
                file.write(item.text)
            _own(draft, item)
            draft.replace(item.path)


def _compare_link(item: Link) -> Difference | None:
    if item.path.is_symlink():
        found = str(item.path.readlink())
        if found == item.target:
            return None
        return Difference("link", str(item.path), f"{found} → {item.target}")
    return Difference("link", str(item.path), f"create → {item.target}")


def _compare_owned(item: Directory | TextFile, what: str, text: str | None) -> Difference | None:
    path = str(item.path)
    try:
        facts = item.path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return Difference(what, path, "create", _diff(item, "", text))
    right_kind = stat.S_ISDIR(facts.st_mode) if text is None else stat.S_ISREG(facts.st_mode)
    if not right_kind:
        return Difference(what, path, f"is no {what}")
    if text is not None:
        present = item.path.read_bytes().decode("utf-8", "replace")
        if present != text:
            return Difference(what, path, "update", _diff(item, present, text))
    found, wanted = (_name(facts.st_uid), _group(facts.st_gid)), (item.owner, item.group)
    if found != wanted:
        return Difference(what, path, f"owner {':'.join(found)} → {':'.join(wanted)}")
    mode = stat.S_IMODE(facts.st_mode)
    return None if mode == item.mode else Difference(what, path, f"mode {mode:o} → {item.mode:o}")


def _diff(item: Directory | TextFile, present: str, text: str | None) -> str:
    if text is None or (isinstance(item, TextFile) and item.secret):
        return ""
    lines = difflib.unified_diff(
        present.splitlines(), text.splitlines(), "installed", "wanted", lineterm="", n=1
    )
    return "\n".join(list(lines)[:_DIFF_LINES])


def _own(path: Path, item: Directory | TextFile) -> None:
    uid, gid = pwd.getpwnam(item.owner).pw_uid, grp.getgrnam(item.group).gr_gid
    facts = path.lstat()
    if (facts.st_uid, facts.st_gid) != (uid, gid):
        os.chown(path, uid, gid, follow_symlinks=False)
    # After chown(2), which takes set-id bits away.
    path.chmod(item.mode)


def _name(uid: int) -> str:
    with contextlib.suppress(KeyError):
        return pwd.getpwuid(uid).pw_name
    return str(uid)


def _group(gid: int) -> str:
    with contextlib.suppress(KeyError):
        return grp.getgrgid(gid).gr_name
    return str(gid)
