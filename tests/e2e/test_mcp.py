"""A coding agent's whole job, by the official MCP client over standard input and output."""

import asyncio
import json

import pytest
from tests.instance import PROGRAM

mcp = pytest.importorskip("mcp")
from mcp.client.stdio import StdioServerParameters  # noqa: E402

RUN = "by-agent"


def test_an_agent_allocates_publishes_looks_and_releases(published):
    asyncio.run(_job(published))


async def _job(published) -> None:
    how = StdioServerParameters(
        command=str(PROGRAM), args=["mcp"], env=dict(published.instance.environ)
    )
    async with mcp.Client(how, read_timeout_seconds=240) as agent:
        names = {tool.name for tool in (await agent.list_tools()).tools}
        assert {"allocate", "publish", "wait", "logs", "db_diff", "verify", "release"} <= names
        assert {"status", "screenshot"} <= names

        lease = await _call(agent, "allocate", run_id=RUN)
        slot = lease["slot_id"]
        assert (await _call(agent, "verify", slot=slot))["matches"] is True
        asked = {"run_id": RUN, "repo": str(published.repository)}
        done = await _call(agent, "publish", **asked, ref="codex/run-demo-reservations")
        while not done["final"]:
            done = await _call(agent, "wait", publish_id=done["publish_id"])
        assert done["preview_ready"], done
        assert done["url"] == lease["url"]
        status = await _call(agent, "status", slot=slot)
        assert (status["run_id"], status["backend"]["health"]) == (RUN, "ok")
        assert status["last_publish"]["publish_id"] == done["publish_id"]
        log = await _call(agent, "logs", publish_id=done["publish_id"], lines=400)
        assert "Switch visitors over" in log["text"]
        changed = await _call(agent, "db_diff", slot=slot)
        assert "table public.reservations" in changed["schema"]["added"]

        asked = await _call(agent, "release", run_id=RUN, slot=slot)
        assert asked["done"] is False
        held = await _call(agent, "slots")
        assert RUN in [each.get("run_id") for each in held["slots"]]
        ended = await _call(agent, "release", run_id=RUN, slot=slot, confirm=True)
        assert ended["lease_state"] == "released"

        refused = await agent.call_tool("publish", {"run_id": RUN, "repo": "/x", "ref": "main"})
        assert refused.is_error
        assert "no_lease" in refused.content[0].text


async def _call(agent, tool: str, **arguments) -> dict:
    result = await agent.call_tool(tool, arguments)
    assert not result.is_error, result
    text = result.content[0].text
    assert len(text) < 20_000
    return json.loads(text)
