"""SCRAM verifiers are the ones of the standard."""

from base64 import b64decode

from ouroboros.domain.scram import OWN_ITERATIONS, make_verifier


def test_the_example_of_rfc_7677():
    verifier = make_verifier("pencil", 4096, b64decode("W22ZaJ0SNY7soEsUEjb6gQ=="))
    assert verifier == (
        "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY="
        ":wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
    )


def test_two_verifiers_of_one_password_differ():
    first, second = (make_verifier("same", OWN_ITERATIONS) for _ in range(2))
    assert first != second and first.startswith(f"SCRAM-SHA-256${OWN_ITERATIONS}:")
