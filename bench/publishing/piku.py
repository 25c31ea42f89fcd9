"""The example application behind piku (https://github.com/piku/piku), for the side by side."""

import contextlib
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from publishing.deployments import Deployed, environment_of_a_slot, git
from tests.instance import Instance

# What piku runs before it starts the application anew; it passes no environment on.
PIKU_BUILD = r"""
set -eu
. "$PIKU_SETTINGS"
if ! cmp -s frontend/package-lock.json ../lock; then
  npm --prefix frontend ci; cp frontend/package-lock.json ../lock; fi
npm --prefix frontend run build
uv sync --project backend --frozen --no-dev
cd backend; .venv/bin/alembic upgrade head
"""

PIKU_RUN = r"""
set -eu
. "$PIKU_SETTINGS"
COMMIT_SHA=$(git rev-parse HEAD); export COMMIT_SHA; cd backend
exec .venv/bin/python -m uvicorn app.main:app --port "$PORT"
"""


class Piku:
    """The same application behind `piku.py`, as its manual sets it up but for sshd and nginx.

    A push comes from the same machine and not over SSH; visitors come to the application's own
    port. uWSGI is compiled from PyPI. Builds are done in piku's `preflight`, with the same tools
    and warm caches as by hand.
    """

    def __init__(
        self, instance: Instance, repository: Path, directory: Path, program: Path
    ) -> None:
        directory.mkdir()
        home, bin_directory = directory / "home", directory / "venv" / "bin"
        home.mkdir()
        self.port, self.host = instance.api_port + 8, "localhost"
        self._repository, self._remote = repository, home / "repos" / "toolshed"
        self._log = directory / "log"
        settings = directory / "settings"
        environ = {
            **instance.environ,
            **environment_of_a_slot(instance, "piku", directory),
            "PORT": str(self.port),
        }
        exports = (f"export {name}={shlex.quote(environ[name])}\n" for name in environ)
        settings.write_text("".join(exports))
        self._files = {
            "Procfile": "preflight: sh piku-build.sh\nweb: sh piku-run.sh\nrelease: true\n",
            "ENV": f"PORT={self.port}\n",
            "piku-build.sh": PIKU_BUILD.replace("$PIKU_SETTINGS", str(settings)),
            "piku-run.sh": PIKU_RUN.replace("$PIKU_SETTINGS", str(settings)),
        }
        uv = [str(Path(sys.executable).with_name("uv"))]
        self._run([*uv, "venv", "-q", "--python", sys.executable, str(bin_directory.parent)])
        python = str(bin_directory / "python")
        self._run(
            [*uv, "pip", "install", "-q", "--python", python, "uwsgi==2.0.31", "click==8.3.1"]
        )
        self._environ = {
            "PATH": f"{bin_directory}:{os.environ['PATH']}",
            "HOME": str(home),
            "USER": "root",
            "PIKU_ROOT": str(home),
        }
        piku = shutil.copy(program, home / "piku.py")
        self._run([python, piku, "setup"])
        git(home, "init", "-q", "--bare", str(self._remote))
        hook = self._remote / "hooks" / "post-receive"
        hook.write_text(f"#!/bin/sh\nset -e\nexec {python} {piku} git-hook toolshed\n")
        hook.chmod(0o755)
        with self._log.open("ab") as output:
            self._emperor = subprocess.Popen(
                [str(bin_directory / "uwsgi"), "--ini", str(home / "uwsgi" / "uwsgi.ini")],
                env=self._environ,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def deploy(self, commit: str) -> Deployed:
        """Push a commit and wait until the application says that it is this commit."""
        pushed = self._with_procfile(commit)
        began = time.perf_counter()
        self._run(["git", "push", "-q", "-f", str(self._remote), f"{pushed}:refs/heads/master"])
        push_s = time.perf_counter() - began
        while self._served() != pushed:
            if time.perf_counter() - began > 60:
                sys.exit(self._log.read_text()[-3000:])
            time.sleep(0.02)
        return time.perf_counter() - began, {"push": push_s}

    def end(self) -> None:
        """End uWSGI, and with it what it has started."""
        self._emperor.send_signal(signal.SIGINT)
        self._emperor.wait(20)

    def _with_procfile(self, commit: str) -> str:
        """The commit with the files that piku needs, as a commit on no branch."""
        tree = self._repository.with_name("with-procfile")
        git(self._repository, "worktree", "add", "-q", "--detach", "-f", str(tree), commit)
        try:
            for name, text in self._files.items():
                (tree / name).write_text(text)
            git(tree, "add", *self._files)
            git(tree, "commit", "-qm", "Tell piku how to run it")
            return git(tree, "rev-parse", "HEAD")
        finally:
            git(self._repository, "worktree", "remove", "--force", str(tree))

    def _served(self) -> str:
        asked = ["curl", "-s", f"http://127.0.0.1:{self.port}/health"]
        found = subprocess.run(asked, stdout=subprocess.PIPE, text=True, check=False).stdout
        with contextlib.suppress(ValueError):
            return json.loads(found).get("commit_sha", "")
        return ""

    def _run(self, argv: list[str]) -> None:
        environ = getattr(self, "_environ", None)
        with self._log.open("ab") as output:
            done = subprocess.run(
                argv, cwd=self._repository, env=environ, stdout=output, stderr=output, check=False
            )
        if done.returncode != 0:
            sys.exit(self._log.read_text()[-3000:])
