"""The passwords of protected previews: one file a slot, made when it is first asked for."""

import os
import secrets

from ouroboros.adapters.cluster.secrets import password_of
from ouroboros.domain.slot import Slot
from ouroboros.settings import Settings


def preview_password(settings: Settings, slot: Slot) -> str:
    """The password of a slot's preview; raises `state_dir_unwritable`."""
    path = settings.protection_dir / f"{slot.id}.password"
    fresh = not path.exists()
    password = password_of(settings.protection_dir, slot.id)
    if fresh and os.geteuid() == 0:
        # Root asks for it on a host; the API, which is somebody else, must read it.
        owner = settings.secrets_dir.stat()
        for each in (settings.protection_dir, path):
            os.chown(each, owner.st_uid, owner.st_gid)
    return password


def renew_password(settings: Settings, slot: Slot) -> str:
    """Another password; whoever signed in with the one before must do so again."""
    path = settings.protection_dir / f"{slot.id}.password"
    preview_password(settings, slot)
    facts = path.stat()
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    number = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(number, "w", encoding="ascii") as file:
        file.write(secrets.token_urlsafe(24))
        os.fchown(file.fileno(), facts.st_uid, facts.st_gid)
    draft.replace(path)
    return preview_password(settings, slot)
