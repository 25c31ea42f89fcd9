"""A failed publish of a backend that binds its port ends it when it has answered what it had."""

import threading
import time

from tests.publish.applications import PREVIEW_TOML, SERVER
from tests.publish.crash_world import crash_world, until

from ouroboros.adapters.http_probe import Answer, ask

SLOW = """
        if self.path == "/api/slow":
            import pathlib, time
            pathlib.Path("asked").touch()
            time.sleep(1.5)
        self.send_response(404 if self.path == "/api/broken" else 200)
"""


def test_an_answer_in_progress_is_not_lost_when_the_old_backend_comes_back():
    with crash_world() as world:
        world.allocate()
        files = {"preview.toml": PREVIEW_TOML, "marker": "1"}
        world.repository.commit("work", files)
        first = world.at.publishes.queue(world.run_id, str(world.repository.path), "work")
        world.run_to_the_end(first)
        server = SERVER.replace("        self.send_response(200)\n", SLOW.lstrip("\n"))
        failing = PREVIEW_TOML.replace("/api/anything", "/api/broken")
        world.repository.commit("work", {"preview.toml": failing, "server.py": server})
        second = world.at.publishes.queue(world.run_id, str(world.repository.path), "work")
        told = world.workers.order(publish=second, arm={"publish.smoke.before": "stop"})
        answers: list[Answer] = []

        def visit() -> None:
            headers = {"Host": world.slot.host_name}
            answers.append(ask(world.slot.web_port, "/api/slow", headers=headers, time_limit_s=20))

        visitor = threading.Thread(target=visit)
        visitor.start()
        asked = world.at.layout.release(world.slot, second) / "src" / "asked"
        until(asked.exists, "the new backend was not asked")
        began = time.monotonic()
        assert world.workers.order(**{"continue": int(told.split()[1])}) == "ended 0"
        visitor.join(20)
        assert world.at.publishes.get(second)["failed_step"] == "smoke"
        assert world.at.backends.health(world.slot)["publish_id"] == first
        assert answers[0].status == 200, f"{answers} after {time.monotonic() - began:.1f} s"
        world.end_lease()
