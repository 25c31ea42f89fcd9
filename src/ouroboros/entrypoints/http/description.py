"""The description of the API (OpenAPI 3.1): what the code says, with how it fails and examples.

Apart from the routes, because all of them fail in one way, and an example is read beside others.
"""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

_TEXT = {"type": "string"}
_PROBLEM = {
    "type": "object",
    "description": "RFC 9457, with our code (`error`), the next command (`hint`) and facts.",
    "required": ["type", "title", "status", "detail", "instance", "ok", "error", "message", "hint",
                 "exit_code"],
    "properties": {
        "type": {**_TEXT, "description": "urn:ouroboros:error: and the code"},
        "title": _TEXT,
        "status": {"type": "integer"},
        "detail": _TEXT,
        "instance": _TEXT,
        "ok": {"const": False},
        "error": {**_TEXT, "description": "a stable code"},
        "message": _TEXT,
        "hint": {**_TEXT, "description": "what to do next; may be empty"},
        "exit_code": {"type": "integer", "description": "of a command that fails so"},
    },
    "examples": [{
        "type": "urn:ouroboros:error:no_lease", "title": "Conflict", "status": 409,
        "detail": "run demo-1 holds no slot", "instance": "/api/publishes", "ok": False,
        "error": "no_lease", "message": "run demo-1 holds no slot",
        "hint": "scripts/preview-slot-allocate.sh --run-id demo-1 --strategy seed "
                "--seed-version v1",
        "exit_code": 1,
    }],
}  # fmt: skip
_RUN = {"run_id": "demo-1"}
_WEBHOOK = {
    "type": "object",
    "description": "The git host's own payload, with its own header fields; docs/git-hosts.md.",
}
_EXAMPLES: dict[str, dict[str, Any]] = {
    "LockRequest": {"reason": "the disk is being changed"},
    "AcquireRequest": {**_RUN, "strategy": "seed", "seed_version": "v1", "wait_s": 30},
    "RunRequest": _RUN,
    "PublishRequest": {**_RUN, "repo": "https://git.example.com/toolshed.git", "ref": "main"},
    "MigrateRequest": {"dry_run": True},
    "ResetRequest": {**_RUN, "strategy": "seed", "seed_version": "v1"},
    "RollbackRequest": {"to": "p12", "database": False},
    "SnapshotRequest": {"name": "before-checkout"},
    "SourceRequest": {"strategy": "seed", "seed_version": "v1"},
    "SampleSize": {"samples": 5},
    "ScreenshotRequest": {"path": "/tools/12"},
    "ProvisionRequest": {"dry_run": True},
    "WebhookPayload": {
        "action": "opened",
        "pull_request": {
            "number": 7,
            "html_url": "https://github.com/example-org/toolshed/pull/7",
            "updated_at": "2026-11-20T10:00:00Z",
            "head": {
                "sha": "f" * 40,
                "ref": "ladders",
                "repo": {"full_name": "example-org/toolshed"},
            },
        },
        "repository": {"full_name": "example-org/toolshed"},
    },
    "ApproveRequest": {"commit_sha": "f" * 40},
    "TokenRequest": {"name": "worker of run demo-1", "scope": "run", **_RUN},
}
"""A body for each request, by the name of its schema."""

_PATTERNS = {
    "run_id": "^[A-Za-z0-9][A-Za-z0-9-]{0,63}$",
    "seed_version": "^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$",
    "snapshot_version": "^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$",
    "ref": "^[A-Za-z0-9_][A-Za-z0-9_+-]{0,99}$",
}
"""What these members must look like; `domain/identifiers.py` decides (a `ref` may hold more)."""

_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "A repeated request with the same key gets the first answer (for a day).",
    "schema": {"type": "string", "minLength": 1, "maxLength": 200, "pattern": "^[ -~]+$"},
}


def describe(app: FastAPI) -> dict[str, Any]:
    """The whole document; made once."""
    if app.openapi_schema is None:
        found = get_openapi(
            title=app.title, version=app.version, summary=app.summary, routes=app.routes
        )
        _complete(found)
        _name_slots(found, [slot.id for slot in app.state.installation.settings.pool])
        app.openapi_schema = found
    return app.openapi_schema


def _complete(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    schemas["Problem"] = _PROBLEM
    schemas["WebhookPayload"] = _WEBHOOK
    for schema in schemas.values():
        for name, pattern in _PATTERNS.items():
            if name in schema.get("properties", {}):
                _narrow(schema["properties"][name], pattern)
    for name, example in _EXAMPLES.items():
        if name in schemas:
            schemas[name]["examples"] = [example]
    document["components"]["securitySchemes"] = {
        "token": {"type": "http", "scheme": "bearer", "description": "ouroboros token create"}
    }
    # Programs of the same user on the same machine need no token.
    document["security"] = [{"token": []}, {}]
    for methods in document["paths"].values():
        for method, route in methods.items():
            _complete_route(method, route)


def _narrow(wanted: dict[str, Any], pattern: str) -> None:
    """Say what a text must look like, also where it may be left out."""
    for each in wanted.get("anyOf", [wanted]):
        if each.get("type") == "string":
            each["pattern"] = pattern


def _name_slots(document: dict[str, Any], ids: list[str]) -> None:
    """Say which slots there are."""
    for methods in document["paths"].values():
        for route in methods.values():
            for parameter in route.get("parameters", []):
                if parameter["name"] == "slot" and parameter["in"] == "path":
                    parameter["schema"]["enum"] = ids


def _complete_route(method: str, route: dict[str, Any]) -> None:
    route["responses"].pop("422", None)
    route["responses"]["default"] = {
        "description": "It failed, and nothing was changed unless the code says otherwise.",
        "content": {"application/problem+json": {"schema": _reference("Problem")}},
    }
    if method == "post":
        route.setdefault("parameters", []).append(_KEY)


def _reference(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}
