"""An OpenID provider for tests: real HTTP, real RSA signatures (joserfc), strict about its clients.

It holds everybody to what RFC 6749, RFC 7636 and OpenID Connect Core ask of a provider: a code is
used once, for the client, the redirect and the proof that it was made for. A test changes what it
says by `claims`, `signer` and `published`.
"""

import base64
import hashlib
import json
import secrets
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import RSAKey

CLIENT_ID, CLIENT_SECRET = "ouroboros", "a secret with spaces & signs"
ADA = {
    "sub": "248289761001",
    "email": "ada@example.com",
    "email_verified": True,
    "groups": ["developers"],
}


class OpenIdProvider:
    """One provider on a port of its own, until `close`."""

    def __init__(self) -> None:
        self.key = RSAKey.generate_key(2048, {"kid": "first"}, private=True)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.issuer = f"http://127.0.0.1:{self._server.server_port}"
        self.reset()
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def reset(self) -> None:
        """Be honest again."""
        self.person: dict[str, Any] = dict(ADA)
        self.claims: dict[str, Any] = {}
        """What the ID token says otherwise than it should."""
        self.signer, self.algorithm = self.key, "RS256"
        self.published: dict[str, Any] = {}
        self.told_later: dict[str, Any] = {}
        """What only the userinfo endpoint tells."""
        self.codes: dict[str, dict[str, str]] = {}
        self.tokens: set[str] = set()
        self.answering = threading.Event()
        """Not set: it takes requests and does not answer them."""
        self.answering.set()
        self.asked = threading.Semaphore(0)

    def close(self) -> None:
        self.answering.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def metadata(self) -> dict[str, Any]:
        return {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "userinfo_endpoint": f"{self.issuer}/userinfo",
            "jwks_uri": f"{self.issuer}/keys",
            "id_token_signing_alg_values_supported": ["RS256", "HS256", "none"],
            **self.published,
        }

    def authorize(self, asked: dict[str, str]) -> str:
        """Where the browser is sent back to; the person agrees at once."""
        assert asked["client_id"] == CLIENT_ID
        assert asked["response_type"] == "code"
        assert asked["code_challenge_method"] == "S256"
        assert "openid" in asked["scope"].split()
        code = secrets.token_urlsafe(16)
        self.codes[code] = asked
        answer = {"code": code, "state": asked["state"], "iss": self.issuer}
        return f"{asked['redirect_uri']}?{urlencode(answer)}"

    def redeem(self, asked: dict[str, str], authorization: str) -> tuple[int, dict[str, Any]]:
        """The answer of the token endpoint."""
        known = f"{quote(CLIENT_ID)}:{quote(CLIENT_SECRET)}", f"{CLIENT_ID}:{CLIENT_SECRET}"
        if authorization not in [f"Basic {base64.b64encode(k.encode()).decode()}" for k in known]:
            return 401, {"error": "invalid_client"}
        began = self.codes.pop(asked.get("code", ""), None)
        digest = hashlib.sha256(asked.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).decode().rstrip("=")
        if (
            began is None
            or began["code_challenge"] != challenge
            or began["redirect_uri"] != asked.get("redirect_uri")
        ):
            return 400, {"error": "invalid_grant"}
        access_token = secrets.token_urlsafe(16)
        self.tokens.add(access_token)
        return 200, {
            "access_token": access_token,
            "token_type": "Bearer",
            "expires_in": 300,
            "id_token": self._id_token(began["nonce"]),
        }

    def _id_token(self, nonce: str) -> str:
        now = int(time.time())
        claims = {
            "iss": self.issuer,
            "aud": CLIENT_ID,
            "iat": now,
            "exp": now + 300,
            "nonce": nonce,
            **self.person,
            **self.claims,
        }
        header = {"alg": self.algorithm, "kid": self.signer.kid}
        said = {key: value for key, value in claims.items() if value is not None}
        return jwt.encode(header, said, self.signer, algorithms=[self.algorithm])

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                parts = urlsplit(self.path)
                provider.asked.release()
                provider.answering.wait(60)
                match parts.path:
                    case "/.well-known/openid-configuration":
                        self.answer(200, provider.metadata())
                    case "/keys":
                        self.answer(200, {"keys": [provider.key.as_dict(private=False)]})
                    case "/authorize":
                        self.send_response(302)
                        target = provider.authorize(dict(parse_qsl(parts.query)))
                        self.send_header("Location", target)
                        self.end_headers()
                    case "/userinfo":
                        token = self.headers["Authorization"].removeprefix("Bearer ")
                        known = {"sub": provider.person["sub"], **provider.told_later}
                        self.answer(200 if token in provider.tokens else 401, known)
                    case _:
                        self.answer(404, {})

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                if self.path != "/token":
                    self.answer(200, [])
                    return
                self.answer(
                    *provider.redeem(dict(parse_qsl(body)), self.headers.get("Authorization", ""))
                )

            def answer(self, status: int, document: Any) -> None:
                body = json.dumps(document).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *arguments: object) -> None:
                pass

        return Handler
