"""What the body of a request asks for: the form that all of them have in common."""

from pydantic import BaseModel, ConfigDict


class Asked(BaseModel):
    """Exactly the members it may have, each of its own type: 0 is no false, and "1" no number."""

    model_config = ConfigDict(extra="forbid", strict=True)
