"""The host of the slots.

local       in local mode: the slots' files below the state directory, and whether each slot works
provision   on a host: installing, updating, checking for drift
remove      on a host: taking an installation away again
"""

from ouroboros.services.host.local import Host

__all__ = ["Host"]
