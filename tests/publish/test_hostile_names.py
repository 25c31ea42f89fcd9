"""Five hundred hostile names: of branches, runs, versions, repositories and files.

Each is refused with a clear error or handled as what it is. As a second net, git itself is handed
every one of them unchecked: none reaches a shell, another path, or an option of git.
"""

import itertools
import os
import subprocess
from pathlib import Path

import pytest

from ouroboros.adapters.control.documents import jsonb
from ouroboros.adapters.publish_log import PublishLog
from ouroboros.adapters.release_files import copy_built_files, write_release
from ouroboros.domain.errors import BadInput, Failed, PreviewError
from ouroboros.domain.identifiers import parse_ref, parse_run_id, parse_version
from ouroboros.domain.slot import make_pool
from ouroboros.entrypoints.surface.release import index_release
from ouroboros.plans import git

CANARY = "canary-of-the-hostile-names"

_ATTACKS = [
    "-", "--", "-h", "-c", "-x", "--help", f"--upload-pack=touch {CANARY}", "--exec=id",
    f"--output={CANARY}", "-u", f"-utouch {CANARY}", "--all", "--prune", "-C..", "--git-dir=/",
    "--template=/tmp", "-oProxyCommand=id", f"ext::sh -c touch% {CANARY}", "fd::17",
    "..", "../..", "../../etc/passwd", "/", "/etc/passwd", "//", "./", ".", "a/../../b", "a/./b",
    "..\\..", "C:\\", "~", "~root", "~/x", "%2e%2e%2f", "..%00", "....//", ".git/config",
    ".git/hooks/post-checkout", "a/.git", ".gitmodules", "hooks", "a.lock", "x/a.lock/y",
    "@", "@{", "@{0}", "HEAD@{1}", "@{-1}", "@{upstream}", "a@{b}", "a^{commit}", "a^", "a~3",
    "a:b", ":/fix", ":(exclude)*", "a..b", "a...b", "^a", "+a", "*", "a*", "?", "[a]", "a\\",
    " ", "a b", " a", "a ", "\t", "a\tb", "\n", "a\nb", "\r", "a\r\nb", "a\n-x", "\v", "\f",
    "\0", "a\0b", "\0/etc/passwd", "\x1b[31m", "\x1b]0;x\x07", "\x7f", "\x80", "\x9b2J", "\u2028",
    f"$(touch {CANARY})", f"`touch {CANARY}`", f"; touch {CANARY}", f"| touch {CANARY}",
    f"& touch {CANARY}", f"&& touch {CANARY}", f"|| touch {CANARY}", f"\ntouch {CANARY}\n",
    f"'; touch {CANARY} '", f'"; touch {CANARY} "', "${IFS}", "$HOME", "$0", "!!", "!x", "#x",
    "<x", ">x", f">{CANARY}", "{a,b}", "a=b", "PATH=x", "%s%n", "%d", "\\x00", "'", '"', "''",
    "\u202egnp.exe", "\u202a", "\u2066x\u2069", "\u200b", "\u200fa", "\ufeff", "\u00ad", "a\u0301",
    "é", "е", "ß", "ı", "ﬁ", "０", "１", "日本", "🙂", "\U000e0041", "\ud800", "\udcff", "\uffff",
    "", "x" * 300, "-" * 300, "../" * 100, "a/" * 150, "é" * 300, "a" * 4096, "\U0001f642" * 64,
    "con", "nul", "CON.txt", "aux.", "a.", "a..", ".a", "a/.b", "a//b", "/a", "a/", "refs/heads/x/",
    "null", "None", "true", "0", "-1", "1e9", "NaN", "p1", "../p1", "preview-1", "preview-01",
    "' OR 1=1 --", "'; DROP TABLE slots; --", "x' UNION SELECT 1", "{database.url}", "{{7*7}}",
    "<script>alert(1)</script>", "<img src=x>", "javascript:x", "http://x/", "file:///etc/passwd",
]  # fmt: skip
_FRAMES = ["{}", "a{}", "{}a", "codex/run-{}", "{}/x", "a/{}", "feature-{}-1"]
NAMES = list(dict.fromkeys(frame.format(attack) for frame in _FRAMES for attack in _ATTACKS))
HARMLESS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._/+-"


def identity(command_env: dict[str, str]) -> dict[str, str]:
    names = ("GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL")
    return command_env | dict.fromkeys(names, "test@example.com")


@pytest.fixture
def place(tmp_path):
    """A directory that is searched for the canary afterwards, wherever a command may have run."""
    (tmp_path / "home").mkdir()
    yield tmp_path
    found = [path for path in tmp_path.rglob("*") if path.name == CANARY]
    assert not found, "a name was run as a command"
    assert not Path(CANARY).exists()


def run(command, check: bool = True) -> str:
    done = subprocess.run(
        command.argv, cwd=command.cwd, env=command.env, input=command.stdin, check=check,
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    return done.stdout.decode() if done.returncode == 0 else ""


@pytest.fixture
def env(place):
    config = place / "config"
    config.write_text(git.configuration(str(place / "origin")))
    base = {"PATH": os.environ["PATH"], "HOME": str(place / "home"), "LANG": "C.UTF-8"}
    return identity(git.environment(base, config))


@pytest.fixture
def origin(place, env):
    """A repository with one commit, and its id."""
    repository = place / "origin"
    repository.mkdir()
    tree = ["git", "-c", "init.defaultBranch=main"]
    subprocess.run([*tree, "init", "-q"], cwd=repository, env=env, check=True)
    subprocess.run(
        ["git", "commit", "-q", "--allow-empty", "-m", "x"], cwd=repository, env=env, check=True
    )
    return repository


@pytest.fixture
def mirror(place, env):
    run(git.initialise(place / "mirror", env))
    return place / "mirror"


def test_there_are_five_hundred():
    assert len(NAMES) >= 500


@pytest.mark.parametrize(
    ("parse", "code"),
    [
        (parse_ref, "invalid_ref"),
        (parse_run_id, "invalid_run_id"),
        (parse_version, "invalid_version"),
        (make_pool().parse, "invalid_slot"),
        (git.parse_repository, "invalid_repository"),
    ],
)
def test_each_is_refused_with_a_clear_error_or_kept_as_it_is(parse, code):
    for name in NAMES:
        try:
            kept = parse(name)
        except BadInput as refused:
            assert refused.code == code, name
            assert refused.hint, name
            assert len(refused.message) < 500, name
            assert refused.message.isprintable(), name
            jsonb(refused.document())
        else:
            if parse is not git.parse_repository and isinstance(kept, str):
                assert kept == name
                assert set(name) <= set(HARMLESS)
                assert not name.startswith(("-", "/", "."))
                assert ".." not in name or parse is parse_version


@pytest.mark.parametrize(
    "url",
    ["https://me:token@example.com/a.git", "https://ghp_token@example.com/a", "ssh://a:b@c/d"],
)
def test_a_repository_with_a_secret_in_its_url_is_refused_without_showing_it(url):
    with pytest.raises(BadInput) as refused:
        git.parse_repository(url)
    assert refused.value.code == "invalid_repository"
    assert "token" not in refused.value.message.replace("password or token", "")
    assert git.parse_repository("ssh://git@example.com/a.git")


def test_git_takes_none_for_an_option_or_a_command_even_unchecked(place, origin, mirror, env):
    before = sorted(path for path in place.rglob("*") if mirror not in path.parents)
    for name in [*_ATTACKS, *NAMES[len(_ATTACKS) :: 5]]:
        command = git.fetch(mirror, str(origin), name, env)
        try:
            run(command, check=False)
        except (ValueError, OSError):
            continue  # a NUL, a lone surrogate: no process can be started with it
    for name in NAMES[:: len(NAMES) // 60]:
        for command in (
            git.fetch_tag(mirror, str(origin), name, env),
            git.fetch(mirror, name, "main", env),
            git.add_worktree(mirror, place / "tree", name, env),
        ):
            try:
                run(command, check=False)
            except (ValueError, OSError):
                continue
    after = sorted(path for path in place.rglob("*") if mirror not in path.parents)
    assert after == before
    config = (mirror / "config").read_text()
    assert "remote" not in config
    assert not list((mirror / "hooks").glob("*")) if (mirror / "hooks").exists() else True


def test_what_is_accepted_as_a_branch_can_be_published(origin, mirror, env):
    accepted = []
    for name in NAMES:
        try:
            accepted.append(parse_ref(name))
        except BadInput:
            continue
    assert len(accepted) > 20
    head = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=origin, env=env, check=True, stdout=subprocess.PIPE
    ).stdout.decode().strip()  # fmt: skip
    for name in accepted:
        ref = f"refs/heads/{name}"
        subprocess.run(["git", "update-ref", ref, head], cwd=origin, env=env, check=True)
        run(git.fetch(mirror, str(origin), name, env))
        assert run(git.resolve(mirror, env)).strip() == head, name
        assert (mirror / git.WANTED).read_text().strip() == head, name
        # One name may be a directory of the next (a, a/b).
        subprocess.run(["git", "update-ref", "-d", ref], cwd=origin, env=env, check=True)


def file_names() -> list[bytes]:
    found = [os.fsencode(name) for name in NAMES if "\ud800" not in name]
    found += [b"\xff\xfe", b"a\xffb\n", b"\xc3\x28"]
    fine = [n for n in found if n not in (b"", b".", b"..") and not {0, 47} & set(n)]
    return [name for name in fine if len(name) < 256]


def test_files_of_any_name_are_laid_out_copied_and_served_as_they_are(place, origin, mirror, env):
    names = file_names()
    assert len(names) > 200
    (origin / "dist").mkdir()
    made = set()
    for name in names:
        path = os.fsencode(origin / "dist") + b"/" + name
        if name.lower().startswith(b".git"):
            continue  # git itself refuses to add these
        Path(os.fsdecode(path)).write_bytes(name)
        made.add(name)
    for argv in (["add", "-A"], ["commit", "-q", "-m", "names"]):
        subprocess.run(["git", *argv], cwd=origin, env=env, check=True)
    run(git.fetch(mirror, str(origin), "main", env))
    release = place / "release"
    release.mkdir()
    commit = run(git.resolve(mirror, env)).strip()
    run(git.add_worktree(mirror, release / "src", commit, env))
    laid_out = git.read_objects(["dist"], run(git.objects_at(mirror, commit, ["dist"], env)))
    assert laid_out["dist"] is not None
    count, _ = copy_built_files(release / "src", "dist", release / "web")
    copied = {os.fsencode(path.name): path for path in (release / "web").iterdir()}
    assert set(copied) == made
    assert count == len(made)
    assert all(path.read_bytes() == name for name, path in copied.items())
    write_release(release, {"has_frontend": True, "badge": False})
    served = index_release(str(release), "release").entries
    hidden = {name for name in made if name.startswith(b".")}
    assert set(served) == {b"/" + name for name in made - hidden}


def test_a_link_of_any_name_is_refused_in_words_that_can_be_stored_and_shown(place):
    with_log = PublishLog(place / "log", [])
    for number, name in enumerate(itertools.islice(file_names(), 0, None, 5)):
        built = place / f"built-{number}"
        built.mkdir()
        (built / os.fsdecode(name)).symlink_to("/etc/passwd")
        with pytest.raises(PreviewError) as refused:
            copy_built_files(place, built.name, place / "web")
        assert isinstance(refused.value, Failed)
        assert refused.value.code == "unsafe_build_output"
        jsonb(refused.value.document())
        with_log.line(refused.value.message)
    with_log.close()
    assert not list((place / "web").rglob("passwd"))
    shown = (place / "log" / "preview.publish.log").read_bytes().decode()
    assert all(char.isprintable() or char == "\n" for char in shown)
    assert shown.count("\n") == number + 1, "a name made a line of its own"
