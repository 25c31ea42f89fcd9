"""The host on the command line: provision, health-check, render."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ouroboros.domain.errors import Failed, Refused
from ouroboros.domain.slot import make_pool
from ouroboros.entrypoints.cli.connect import client, settings
from ouroboros.entrypoints.cli.lease import DryRun
from ouroboros.entrypoints.cli.output import Document, answer, progress, table
from ouroboros.plans.infrastructure import render_infrastructure

if TYPE_CHECKING:
    from ouroboros.services.host.check import HostCheck


def provision(
    dry_run: DryRun = False,
    check: Annotated[bool, typer.Option("--check", help="exit 1 when the host differs")] = False,
    uninstall: Annotated[bool, typer.Option("--uninstall", help="take it away again")] = False,
    with_data: Annotated[bool, typer.Option("--with-data", help="also the databases")] = False,
) -> None:
    """Install or update what the slots need, and start their services.

    As root under systemd it installs the host (docs/operator.md); else it lays out the files of
    the local instance.
    """
    if not is_host():
        if check or uninstall or with_data:
            raise Refused("host_not_ready", "only for root, where systemd runs", "docs/operator.md")
        answer("provision", client().post("/api/host/provision", {"dry_run": dry_run}), _told_local)
        return
    if uninstall:
        from ouroboros.services.host.remove import remove_from_host

        answer("provision", remove_from_host(with_data=with_data), _told_removal)
        return
    from ouroboros.services.host.provision import Provision, require_no_drift

    changing = not (dry_run or check)
    # This very version, wherever it lies; the settings of a host name the one that runs.
    home = Path(__file__).resolve().parents[4]
    report = Provision(home, os.environ, changing, progress).run()
    if check:
        require_no_drift(report)
    answer("provision", report, _told_provision)


def is_host() -> bool:
    """Whether this is root on a host that systemd runs, and no local instance is up here."""
    if os.geteuid() != 0 or not Path("/run/systemd/system").is_dir():
        return False
    local = os.environ.get("OUROBOROS_STATE_DIR") or (settings().run_dir / "lock").exists()
    return settings().systemd or not local


def health_check() -> None:
    """Check each slot, directly and through the router; exit 3 when one is not well."""
    if is_host():
        answer("health-check", host_check().run(), _told_host_health)
        return
    answer("health-check", client().get("/api/host/health-check"), _told_health)


def host_check() -> "HostCheck":
    """The health check of this host, as root."""
    from ouroboros.services.host.check import HostCheck
    from ouroboros.services.host.provision import read_host_settings

    _, dsn, _ = read_host_settings({})
    return HostCheck(settings(), dsn, lambda: client().get("/api/slots")["slots"])


def protection(
    slot: Annotated[str, typer.Option(help="preview-<n>")],
    renew: Annotated[bool, typer.Option("--renew", help="make another; the old one ends")] = False,
) -> None:
    """The password that visitors of a slot's preview are asked for (docs/protection.md)."""
    from ouroboros.adapters.preview_passwords import preview_password, renew_password

    configured = settings()
    chosen = configured.pool.parse(slot)
    if not configured.protected:
        raise Refused(
            "not_protected",
            "previews of this installation are open to everybody",
            "OUROBOROS_PROTECTION=password scripts/preview-slots-provision.sh",
        )
    password = (renew_password if renew else preview_password)(configured, chosen)
    document = {"slot_id": chosen.id, "url": chosen.preview_url, "password": password}
    answer("protection", document, lambda d: f"{d['url']}  {d['password']}")


def render(
    check: Annotated[bool, typer.Option("--check", help="only say what differs")] = False,
) -> None:
    """Write the files that follow from the code: those below infra/, the reference, the manual."""
    from ouroboros.entrypoints.reference import render_reference

    home = settings().home
    files = render_infrastructure(make_pool(domain="example.com"), 8088) | render_reference(home)
    differing = [path for path, text in files.items() if not _is_current(home / path, text)]
    if check and differing:
        raise Failed(
            "rendered_files_differ", ", ".join(differing), "ouroboros render", {"files": differing}
        )
    for path in differing:
        (home / path).parent.mkdir(parents=True, exist_ok=True)
        (home / path).write_text(files[path], encoding="utf-8")
    answer("render", {"written": differing}, lambda d: f"{len(d['written'])} files written")


def _is_current(path: Path, text: str) -> bool:
    return path.exists() and path.read_text(encoding="utf-8") == text


def _told_provision(document: Document) -> str:
    shown = []
    for each in document["changes"]:
        shown.append(f"{each['what']:<10} {each['path']}: {each['change']}")
        shown += [f"    {line}" for line in each.get("diff", "").splitlines()]
    verb = "would change" if document["dry_run"] else "changed"
    return "\n".join([*shown, f"{document['version']}: {len(document['changes'])} {verb}"])


def _told_removal(document: Document) -> str:
    kept = "".join(f"\nkept {path}" for path in document["kept"])
    return f"{len(document['removed'])} files and directories removed{kept}"


def _told_local(document: Document) -> str:
    if document["dry_run"]:
        return "\n".join(f"would {step}" for step in document["steps"])
    return f"{len(document['changes'])} files written"


def _told_health(document: Document) -> str:
    columns = ("slot", "state", "surface", "routed", "backend", "url")
    rows = [
        (s["slot_id"], s["state"], *(s["items"][c] for c in columns[2:5]), s["url"])
        for s in document["slots"]
    ]
    return table(rows, columns)


def _told_host_health(document: Document) -> str:
    slots = document["slots"]
    rows = [(item, *(slot["items"][item] for slot in slots)) for item in slots[0]["items"]]
    host = [(item, found) for item, found in document["host"].items()]
    head = ("item", *(slot["slot_id"] for slot in slots))
    return f"{table(host, ('host', 'found'))}\n\n{table(rows, head)}"


COMMANDS = {
    "provision": provision,
    "health-check": health_check,
    "protection": protection,
    "render": render,
}
