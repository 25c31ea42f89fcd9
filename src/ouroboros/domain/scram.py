"""SCRAM verifiers: what PostgreSQL keeps instead of a password (RFC 5802 section 3, RFC 7677).

They are made on our side, so that no password reaches the server's log, and so that the number of
iterations can be chosen: it slows down who guesses a weak password, and every login with it.
"""

import hashlib
import hmac
import secrets
from base64 import b64encode

STANDARD_ITERATIONS = 4096
"""What RFC 7677 asks for and PostgreSQL uses by itself."""
OWN_ITERATIONS = 64
"""For our own cluster: passwords of 192 random bits on a unix socket (ADR 0014)."""


def make_verifier(password: str, iterations: int, salt: bytes | None = None) -> str:
    """The verifier of a password in ASCII, as it stands in `pg_authid.rolpassword`."""
    salt = secrets.token_bytes(16) if salt is None else salt
    salted = hashlib.pbkdf2_hmac("sha256", password.encode("ascii"), salt, iterations)
    stored_key = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server_key = hmac.digest(salted, b"Server Key", "sha256")
    words = [b64encode(each).decode("ascii") for each in (salt, stored_key, server_key)]
    return f"SCRAM-SHA-256${iterations}:{words[0]}${words[1]}:{words[2]}"
