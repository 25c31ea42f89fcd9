"""The web surface: one small process per slot that serves its release and proxies its `/api`.

It is apart from the rest of Ouroboros because it must start in milliseconds with a plain Python
and nothing installed: standard library only, uvloop where it can be imported.
"""
