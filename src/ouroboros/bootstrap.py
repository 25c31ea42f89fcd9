"""The composition root: builds stores, adapters and services from the settings, once a process.

Nothing is made at import, and nothing else in the house makes an adapter.
"""

import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ouroboros.adapters.browser import PageBrowser
from ouroboros.adapters.cluster.access import ClusterAccess, external_access
from ouroboros.adapters.cluster.binaries import find_binaries
from ouroboros.adapters.cluster.control_dump import ControlDump
from ouroboros.adapters.cluster.embedded import plan_server
from ouroboros.adapters.command_runner import ProcessRunner
from ouroboros.adapters.control.answers import AnswerStore
from ouroboros.adapters.control.audit import AuditLog
from ouroboros.adapters.control.connection import ControlPool, open_pool
from ouroboros.adapters.control.events import EventReader
from ouroboros.adapters.control.hosts import HostReader
from ouroboros.adapters.control.leases import THIS_HOST, LeaseStore
from ouroboros.adapters.control.measures import MeasureReader
from ouroboros.adapters.control.output import OutputStore
from ouroboros.adapters.control.pictures import PictureStore
from ouroboros.adapters.control.publishes import PublishStore
from ouroboros.adapters.control.pull_requests import PullRequestStore
from ouroboros.adapters.control.releases import ReleaseStore
from ouroboros.adapters.control.runs import RunReader
from ouroboros.adapters.control.slot_locks import SlotLocks
from ouroboros.adapters.control.slots import SlotReader
from ouroboros.adapters.control.tokens import TokenStore
from ouroboros.adapters.git_host_files import read_git_hosts
from ouroboros.adapters.identity_provider import IdentityProvider
from ouroboros.adapters.leftovers import instance_id
from ouroboros.adapters.supervisor_client import SupervisorClient
from ouroboros.adapters.systemd.commands import UnitRunner
from ouroboros.adapters.web_roots import WebRoots
from ouroboros.domain.git_host import Repository
from ouroboros.plans.layout import Layout
from ouroboros.ports import BackendRuntime, CommandRunner
from ouroboros.services.access.by_provider import TeamSignIn
from ouroboros.services.access.tokens import Tokens
from ouroboros.services.backends import Backends
from ouroboros.services.backup import ControlPlaneCopy
from ouroboros.services.databases import SlotDatabases
from ouroboros.services.doctor import Doctor
from ouroboros.services.doctor.databases import examine_databases
from ouroboros.services.doctor.host import examine_host
from ouroboros.services.host import Host
from ouroboros.services.leasing.allocate import Allocator
from ouroboros.services.leasing.evict import Evictor
from ouroboros.services.leasing.keep import Keeper
from ouroboros.services.leasing.lock import Locker
from ouroboros.services.pictures.compare import PictureComparison
from ouroboros.services.pictures.take import Pictures
from ouroboros.services.publish.collect import Collector
from ouroboros.services.publish.migrate import Migrator
from ouroboros.services.publish.mirrors import Mirrors
from ouroboros.services.publish.rollback import Rollback
from ouroboros.services.pull_requests.follow import Follower
from ouroboros.services.pull_requests.receive import Receiver
from ouroboros.services.pull_requests.report import Reporter
from ouroboros.settings import Settings

_SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_TOOLS = ("uv", "node", "npm", "npx")


@dataclass(frozen=True, slots=True)
class Installation:
    """Everything that a process of the control plane works with."""

    settings: Settings
    environ: Mapping[str, str]
    layout: Layout
    control: ControlPool
    access: ClusterAccess
    runner: CommandRunner
    runtime: BackendRuntime
    leases: LeaseStore
    slots: SlotReader
    hosts: HostReader
    publishes: PublishStore
    output: OutputStore
    runs: RunReader
    events: EventReader
    measures: MeasureReader
    tokens: Tokens
    team: TeamSignIn | None
    audit: AuditLog
    answers: AnswerStore
    web_roots: WebRoots
    databases: SlotDatabases
    backends: Backends
    allocator: Allocator
    keeper: Keeper
    locker: Locker
    evictor: Evictor
    migrator: Migrator
    host: Host
    collector: Collector
    rollback: Rollback
    doctor: Doctor
    browser: PageBrowser
    pictures: Pictures
    comparison: PictureComparison
    repositories: tuple[Repository, ...]
    pull_requests: PullRequestStore
    receiver: Receiver

    def close(self) -> None:
        """Give back the connections."""
        self.control.close()


def compose(settings: Settings, environ: Mapping[str, str], name: str) -> Installation:
    """Build an installation's services; `name` is shown by PostgreSQL as the application."""
    layout = Layout(settings.state_dir)
    access = cluster_access(settings)
    repositories = read_git_hosts(settings.git_hosts_file, environ)
    control = open_pool(access.control_dsn(), name)
    runner: CommandRunner = ProcessRunner(instance_id(settings.state_dir))
    if settings.systemd:
        runner = UnitRunner(settings.run_dir / "commands.sock", runner)
    runtime = SupervisorClient(settings)
    leases = LeaseStore(
        control,
        settings.pool,
        ttl_s=settings.lease_ttl_s,
        claim_ttl_s=settings.claim_ttl_s,
        host=THIS_HOST,
    )
    slots = SlotReader(control, settings.pool)
    publishes = PublishStore(control, settings.pool)
    releases = ReleaseStore(control)
    web_roots = WebRoots(settings.state_dir)
    databases = SlotDatabases(control, access, settings, runner)
    backends = Backends(
        runtime,
        databases,
        slots,
        web_roots,
        layout,
        provide_tools(layout, environ),
        float(settings.ready_time_limit_s),
    )
    token_store = TokenStore(control)
    keeper = Keeper(leases, publishes, runtime, web_roots)
    browser = PageBrowser(runner, layout.visits, settings.chromium, settings.systemd)
    pull_requests = PullRequestStore(control)
    audit = AuditLog(control)
    return Installation(
        settings=settings,
        environ=environ,
        layout=layout,
        control=control,
        access=access,
        runner=runner,
        runtime=runtime,
        leases=leases,
        slots=slots,
        hosts=HostReader(control),
        publishes=publishes,
        output=OutputStore(control),
        runs=RunReader(control),
        events=EventReader(control),
        measures=MeasureReader(control),
        tokens=Tokens(token_store),
        team=team_sign_in(settings, token_store),
        audit=audit,
        answers=AnswerStore(control),
        web_roots=web_roots,
        databases=databases,
        backends=backends,
        allocator=Allocator(leases, slots, databases, runtime, web_roots),
        keeper=keeper,
        locker=Locker(SlotLocks(control, THIS_HOST), keeper),
        evictor=Evictor(leases, keeper, settings.evict_idle_after_s),
        migrator=Migrator(backends, slots, runner),
        host=Host(settings, slots, backends),
        collector=Collector(
            releases,
            slots,
            runtime,
            layout,
            settings,
            web_roots,
            Mirrors(layout, runner, backends.tools_path, settings.keep_artifacts_days),
        ),
        rollback=Rollback(releases, slots, layout),
        doctor=Doctor(
            {
                "databases": examine_databases(control, access, settings),
                "host": examine_host(control, settings),
            }
        ),
        browser=browser,
        pictures=Pictures(
            browser,
            PictureStore(control, settings.pool),
            web_roots,
            layout,
            settings.pool,
            settings.pictures and not settings.systemd,
        ),
        comparison=PictureComparison(publishes, layout),
        repositories=repositories,
        pull_requests=pull_requests,
        receiver=Receiver(repositories, pull_requests, audit),
    )


def compose_follower(at: Installation) -> Follower:
    """What the worker does for pull requests."""
    return Follower(
        at.repositories,
        at.pull_requests,
        at.settings.pool,
        at.allocator,
        at.keeper,
        at.publishes,
        at.leases,
        at.runs,
    )


def compose_reporters(at: Installation) -> list[Reporter]:
    """What the worker tells of them: one for each git host, so that none waits for another."""
    told = [each for each in at.repositories if each.api_token is not None]
    return [
        Reporter(
            tuple(each for each in told if each.api_url == api_url),
            at.pull_requests,
            at.settings.pool,
            at.runs,
            at.slots,
            at.publishes,
            at.databases,
            at.settings.dashboard_url(),
        )
        for api_url in dict.fromkeys(each.api_url for each in told)
    ]


def cluster_access(settings: Settings) -> ClusterAccess:
    """How to reach PostgreSQL: our own, or the one that `OUROBOROS_CONTROL_DSN` names."""
    if settings.control_dsn is not None:
        return external_access(settings.control_dsn, settings.secrets_dir)
    return plan_server(settings).access


def team_sign_in(settings: Settings, store: TokenStore) -> TeamSignIn | None:
    """How a team signs in, where a provider is configured."""
    if settings.team is None:
        return None
    return TeamSignIn(settings.team, IdentityProvider(settings.team), store)


def control_plane_copy(
    settings: Settings, dsn: str | None = None, settings_file: Path | None = None
) -> ControlPlaneCopy:
    """Backup and restore of the control plane; `dsn` on a host, where root alone reads it."""
    if dsn is None:
        dsn = cluster_access(settings).control_dsn()
    programs = find_binaries(settings.pg_bin)
    dump = ControlDump(dsn, programs, ProcessRunner())
    return ControlPlaneCopy(settings, dsn, dump, THIS_HOST, settings_file)


def provide_tools(layout: Layout, environ: Mapping[str, str]) -> str:
    """Link the tools that builds use into one directory; returns the PATH of branch code.

    Our own virtual environment is not on it, so branch code sees neither our Python nor our
    libraries. A Python for applications is the one our environment was made from.
    """
    layout.tools.mkdir(parents=True, exist_ok=True)
    own = Path(sys.executable).parent
    search = os.pathsep.join((str(own), environ.get("PATH", _SYSTEM_PATH)))
    for tool in _TOOLS:
        found = shutil.which(tool, path=search)
        if found is not None:
            _link(layout.tools / tool, Path(found))
    base_python = Path(os.path.realpath(sys.executable)).parent
    return os.pathsep.join((str(layout.tools), _SYSTEM_PATH, str(base_python)))


def _link(link: Path, target: Path) -> None:
    if link.is_symlink() and link.readlink() == target:
        return
    draft = link.with_name(f".{link.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    draft.symlink_to(target)
    draft.replace(link)
