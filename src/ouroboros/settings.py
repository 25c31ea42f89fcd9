"""Configuration: the environment, read once into a frozen value.

It is apart from the composition root because the command line needs it and must stay light.
All problems are reported together, each with its key; an unknown `OUROBOROS_…` key is a problem,
since a misspelled limit is a limit that is not there.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import ip_network
from pathlib import Path

from ouroboros.domain.egress import ANY, NONE, problem_with
from ouroboros.domain.environment_keys import Accepted, KeyReader
from ouroboros.domain.errors import BadInput
from ouroboros.domain.identifiers import DEFAULT_BRANCH_PREFIX
from ouroboros.domain.lease import DEFAULT_TTL_S
from ouroboros.domain.reset import PoolOrder
from ouroboros.domain.slot import (
    DEFAULT_API_PORT_BASE,
    DEFAULT_SLOT_IDS,
    DEFAULT_WEB_PORT_BASE,
    MOST_STANDBYS,
    SlotPool,
    make_pool,
)
from ouroboros.domain.team import TEAM_KEYS, Team, read_team

_CHECKOUT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that can be set. Times are in seconds (`_s`), sizes in bytes (`_bytes`)."""

    home: Path
    """The checkout or installed release: holds `infra/`, `scripts/` and `examples/`."""
    state_dir: Path
    pool: SlotPool
    api_port: int
    caddy_port: int
    control_dsn: str | None
    """Set: an external PostgreSQL, administered through this URL. Unset: our own."""
    pg_bin: Path | None
    url: str | None
    """A remote control plane for the command line; unset: the local one."""
    token: str | None
    """What the command line shows to a remote control plane."""
    seeds_dir: Path
    snapshots_dir: Path
    branch_prefix: str
    lease_ttl_s: int
    claim_ttl_s: int
    """How long a slot granted to a waiting run is kept for it before the next run gets it."""
    build_time_limit_s: int
    build_output_limit_bytes: int
    ready_time_limit_s: int
    evict_idle_after_s: int
    """While runs wait, end a lease that was idle for so long; 0: never."""
    keep_releases: int
    keep_loaded_s: int
    """How long the release before the live one stays loaded for a rollback; 0: not at all."""
    keep_artifacts_days: int
    artifacts_limit_bytes: int
    """How long and how much is kept of what publishes left to read: logs, reports, pictures."""
    cache_limit_bytes: int
    """How much a slot's npm and uv may keep for its next builds."""
    pool_depth: int
    """How many standbys are kept ready per slot."""
    pool_order: PoolOrder = PoolOrder.FREE_FIRST
    """Whose standby is made first."""
    systemd: bool = False
    """Whether systemd runs the processes (a host), or our supervisor (local mode)."""
    build_egress: str = "any"
    """What builds may reach on a host: `any` but the host itself, `none`, or addresses."""
    backend_egress: str = "none"
    """What backends may be given on a host if they ask: `none`, `any`, or networks."""
    tls: str = "off"
    """Certificates of the router on a host: `off`, `internal` or `auto`."""
    chromium: Path | None = None
    """The Chromium that visits pages; None looks for the system's."""
    pictures: bool = False
    """Whether a picture is taken of each preview that has become ready."""
    git_hosts: Path | None = None
    """Where the repositories stand whose pull requests get previews; unset: in the state
    directory."""
    team: Team | None = None
    """The identity provider by which people sign in to the dashboard."""
    protected: bool = False
    """Whether the router of a host asks visitors of previews for a password."""
    routes_dashboard: bool = True
    """Whether the router of a host leads `ouroboros.<domain>` to dashboard and API."""

    @property
    def local(self) -> bool:
        """Whether this installation starts its own PostgreSQL and supervises its processes."""
        return self.control_dsn is None

    @property
    def gate_port(self) -> int:
        """Where the router asks whether a visitor may enter; 0: nowhere."""
        return self.api_port if self.protected else 0

    @property
    def steward_dir(self) -> Path:
        """What the steward of a host writes; root's alone."""
        return self.state_dir / "steward"

    @property
    def git_hosts_file(self) -> Path:
        """The file of those repositories; there need not be one."""
        return self.git_hosts or self.state_dir / "git-hosts.toml"

    @property
    def run_dir(self) -> Path:
        """Sockets, locks and process records; empty after `ouroboros down`."""
        return self.state_dir / "run"

    @property
    def log_dir(self) -> Path:
        """One log file per process of ours."""
        return self.state_dir / "logs"

    def dashboard_url(self, *, secure: bool = False) -> str:
        """Where people find the dashboard: by a host name that no preview has.

        Cookies are kept by host and not by port, so on `localhost` it has a name of its own, too.
        """
        domain = self.pool.slots[0].domain
        if domain == "localhost":
            return f"http://ouroboros.localhost:{self.api_port}"
        return f"{'https' if secure or not self.local else 'http'}://ouroboros.{domain}"

    @property
    def secrets_dir(self) -> Path:
        """Generated passwords, mode 0700."""
        return self.state_dir / "secrets"

    @property
    def protection_dir(self) -> Path:
        """What visitors of protected previews must know; in every backup."""
        return self.secrets_dir / "protection"


def read_settings(environ: Mapping[str, str]) -> Settings:
    """Read the configuration from an environment.

    Raises `invalid_configuration` naming every bad or unknown key at once.
    """
    reader = _Reader(environ, "OUROBOROS_", _CHECKOUT)
    settings = _read(reader)
    reader.finish()
    return settings


def accepted_settings() -> dict[str, Accepted]:
    """Every key with what it accepts, as it is read; for the reference."""
    reader = _Reader({}, "OUROBOROS_", _CHECKOUT)
    _read(reader)
    return reader.accepted


def _read(reader: "_Reader") -> Settings:
    home = reader.path("OUROBOROS_HOME", _CHECKOUT)
    pool = reader.pool()
    return Settings(
        home=home,
        state_dir=reader.path("OUROBOROS_STATE_DIR", home / ".ouroboros"),
        pool=pool,
        api_port=reader.number("OUROBOROS_API_PORT", 8000, 1024, 65535),
        caddy_port=reader.number("OUROBOROS_CADDY_PORT", 8088, 1024, 65535),
        control_dsn=reader.text("OUROBOROS_CONTROL_DSN"),
        pg_bin=reader.optional_path("OUROBOROS_PG_BIN"),
        url=reader.origin("OUROBOROS_URL"),
        token=reader.text("OUROBOROS_TOKEN"),
        seeds_dir=reader.path("OUROBOROS_SEEDS_DIR", home / "infra/db/preview/seeds"),
        snapshots_dir=reader.path("OUROBOROS_SNAPSHOTS_DIR", home / "infra/db/preview/snapshots"),
        branch_prefix=reader.text_or("OUROBOROS_BRANCH_PREFIX", DEFAULT_BRANCH_PREFIX),
        lease_ttl_s=reader.number("OUROBOROS_LEASE_TTL_S", DEFAULT_TTL_S, 1, 30 * 86400),
        claim_ttl_s=reader.number("OUROBOROS_CLAIM_TTL_S", 300, 1, 86400),
        build_time_limit_s=reader.number("OUROBOROS_BUILD_TIME_LIMIT_S", 900, 1, 86400),
        build_output_limit_bytes=reader.number(
            "OUROBOROS_BUILD_OUTPUT_LIMIT_BYTES", 64 << 20, 1024, 1 << 40
        ),
        ready_time_limit_s=reader.number("OUROBOROS_READY_TIME_LIMIT_S", 60, 1, 3600),
        evict_idle_after_s=reader.number("OUROBOROS_EVICT_IDLE_AFTER_S", 0, 0, 30 * 86400),
        keep_releases=reader.number("OUROBOROS_KEEP_RELEASES", 3, 1, 1000),
        keep_loaded_s=reader.number("OUROBOROS_KEEP_LOADED_S", 900, 0, 30 * 86400),
        keep_artifacts_days=reader.number("OUROBOROS_KEEP_ARTIFACTS_DAYS", 30, 1, 36500),
        artifacts_limit_bytes=reader.number(
            "OUROBOROS_ARTIFACTS_LIMIT_BYTES", 2 << 30, 1 << 20, 1 << 50
        ),
        cache_limit_bytes=reader.number("OUROBOROS_CACHE_LIMIT_BYTES", 4 << 30, 1 << 20, 1 << 50),
        pool_depth=reader.number("OUROBOROS_POOL_DEPTH", 1, 0, MOST_STANDBYS),
        pool_order=PoolOrder(reader.choice("OUROBOROS_POOL_ORDER", tuple(PoolOrder))),
        systemd=reader.choice("OUROBOROS_PROCESSES", ("supervisor", "systemd")) == "systemd",
        build_egress=reader.egress("OUROBOROS_BUILD_EGRESS"),
        backend_egress=reader.backend_egress("OUROBOROS_BACKEND_EGRESS"),
        tls=reader.choice("OUROBOROS_TLS", _tls_choices(pool)),
        chromium=reader.optional_path("OUROBOROS_CHROMIUM"),
        pictures=reader.choice("OUROBOROS_PICTURES", ("on", "off")) == "on",
        git_hosts=reader.optional_path("OUROBOROS_GIT_HOSTS"),
        team=reader.team(),
        protected=reader.choice("OUROBOROS_PROTECTION", ("off", "password")) == "password",
        routes_dashboard=reader.choice("OUROBOROS_DASHBOARD", ("routed", "local")) == "routed",
    )


def _tls_choices(pool: SlotPool) -> tuple[str, ...]:
    """What can be chosen, the default first: a real domain gets certificates by itself."""
    local = pool.slots[0].domain == "localhost"
    return ("off", "internal", "auto") if local else ("auto", "internal", "off")


class _Reader(KeyReader):
    """What only an installation's settings have."""

    def egress(self, key: str) -> str:
        """`any`, `none`, or addresses and networks with commas."""
        text = self.text_or(key, "any")
        if text not in ("any", "none"):
            try:
                for item in text.split(","):
                    ip_network(item)
            except ValueError as error:
                self.problems[key] = f"not any, none or a list of networks: {error}"
        return text

    def backend_egress(self, key: str) -> str:
        """`none`, `any`, or networks with commas that hold neither this host nor what is near."""
        text = self.text(key) or NONE
        if text not in (ANY, NONE):
            found = [why for item in text.split(",") if (why := problem_with(item)) is not None]
            if found:
                self.problems[key] = "; ".join(found)
        return text

    def team(self) -> Team | None:
        """A team's provider: all that it needs, or nothing of it."""
        given = {name: self.text(f"OUROBOROS_OIDC_{name}") for name in TEAM_KEYS}
        secret_file = self.optional_path("OUROBOROS_OIDC_SECRET_FILE")
        groups_claim = self.text_or("OUROBOROS_OIDC_GROUPS_CLAIM", "groups")
        team, problems = read_team(given, secret_file, groups_claim)
        self.problems |= {f"OUROBOROS_OIDC_{name}": text for name, text in problems.items()}
        return team

    def pool(self) -> SlotPool:
        numbers = {
            "web_port_base": self.number(
                "OUROBOROS_WEB_PORT_BASE", DEFAULT_WEB_PORT_BASE, 1023, 65534
            ),
            "api_port_base": self.number(
                "OUROBOROS_API_PORT_BASE", DEFAULT_API_PORT_BASE, 1023, 65534
            ),
        }
        ids = self.text_or("SLOT_IDS_CSV", DEFAULT_SLOT_IDS)
        domain = self.text_or("OUROBOROS_DOMAIN", "localhost")
        return self._collect(lambda: make_pool(ids, domain, **numbers)) or make_pool()

    def _collect(self, make: Callable[[], SlotPool]) -> SlotPool | None:
        try:
            return make()
        except BadInput as error:
            self.problems[str(error.details["key"])] = error.message.partition(": ")[2]
            return None
