"""The official client: over HTTP with tokens of the API and without, and beside it over stdio."""

import asyncio
import base64
import json
import subprocess
from collections.abc import Iterator
from contextlib import asynccontextmanager
from io import BytesIO

import httpx
import pytest
from PIL import Image
from tests.instance import PROGRAM
from tests.pages.conftest import RUN

mcp = pytest.importorskip("mcp")
httpx2 = pytest.importorskip("httpx2")
from mcp.client.stdio import StdioServerParameters  # noqa: E402
from mcp.client.streamable_http import streamable_http_client  # noqa: E402

ASKED_FOR = {
    "allocate", "publish", "wait", "status", "logs", "db_diff", "verify", "screenshot", "release",
}  # fmt: skip


@pytest.fixture(scope="module")
def address(pictured) -> Iterator[str]:
    served = subprocess.Popen(
        [str(PROGRAM), "mcp", "--http", "--port", "0"],
        env=dict(pictured.instance.environ),
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield json.loads(served.stdout.readline())["url"]
    finally:
        served.terminate()
        assert served.wait(20) in (0, -15)
        served.stdout.close()


def token(pictured, scope: str, run_id: str | None = None) -> str:
    asked = ["token", "create", "--name", f"{scope} of {run_id}", "--scope", scope]
    done = pictured.instance.ouroboros(*asked, *(["--run-id", run_id] if run_id else []))
    assert done.status == 0, done
    return done.document["token"]


@asynccontextmanager
async def agent_with(address: str, secret: str):
    headers = {"Authorization": f"Bearer {secret}"}
    async with (
        httpx2.AsyncClient(headers=headers, timeout=240) as client,
        mcp.Client(streamable_http_client(address, http_client=client)) as agent,
    ):
        yield agent


def test_nobody_is_let_in_without_a_token_that_is_known(address):
    call = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}}
    accept = {"Accept": "application/json, text/event-stream"}
    for secret in (None, "Bearer ouro_unknown_token", "Basic b3Vybw=="):
        headers = {**accept, **({"Authorization": secret} if secret else {})}
        answer = httpx.post(address, json=call, headers=headers)
        assert answer.status_code == 401, secret
        assert answer.json()["error"] in ("token_missing", "token_unknown")


def test_a_page_of_a_stranger_reaches_nothing(pictured, address):
    secret = token(pictured, "read")
    call = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}}
    for name, value in (("Host", "evil.example"), ("Origin", "http://evil.example")):
        headers = {"Authorization": f"Bearer {secret}", name: value,
                   "Accept": "application/json, text/event-stream"}  # fmt: skip
        assert httpx.post(address, json=call, headers=headers).status_code in (403, 421)


def test_an_agent_looks_by_http_and_may_do_what_its_token_may(pictured, good, address):
    asyncio.run(_job(pictured, address))


def test_an_agent_looks_by_standard_input_and_output(pictured, good):
    async def look() -> None:
        environ = dict(pictured.instance.environ)
        how = StdioServerParameters(command=str(PROGRAM), args=["mcp"], env=environ)
        async with mcp.Client(how, read_timeout_seconds=240) as agent:
            await _look(agent, pictured.slot_id)

    asyncio.run(look())


async def _look(agent, slot: str) -> None:
    looked = await agent.call_tool("screenshot", {"slot": slot})
    assert not looked.is_error, looked
    told, picture = looked.content
    assert json.loads(told.text)["console_errors"] == []
    assert picture.mime_type == "image/png"
    assert Image.open(BytesIO(base64.b64decode(picture.data))).size == (1280, 800)


async def _job(pictured, address: str) -> None:
    own, reading = token(pictured, "run", RUN), token(pictured, "read")
    slot = pictured.slot_id
    async with agent_with(address, own) as agent, agent_with(address, reading) as reader:
        tools = {tool.name: tool for tool in (await agent.list_tools()).tools}
        assert tools.keys() >= ASKED_FOR
        assert "confirm" in tools["release"].input_schema["properties"]

        status = json.loads((await agent.call_tool("status", {"slot": slot})).content[0].text)
        assert (status["run_id"], status["backend"]["health"]) == (RUN, "ok")
        await _look(agent, slot)

        asked = {"run_id": RUN, "slot": slot}
        assert "confirm=true" in (await agent.call_tool("release", asked)).content[0].text
        # Two callers at once, each with what its own token may.
        denied, foreign = await asyncio.gather(
            reader.call_tool("release", {**asked, "confirm": True}),
            agent.call_tool("allocate", {"run_id": "another"}),
        )
        assert denied.is_error
        assert "scope_missing" in denied.content[0].text
        assert foreign.is_error
        assert "foreign_run" in foreign.content[0].text
    assert pictured.get("/api/slots")["slots"][0]["run_id"] == RUN
