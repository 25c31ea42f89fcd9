"""What provisioning looks at and changes on a host; each looks first and changes only what differs.

files     directories, files and links with their owners
program   installed versions of Ouroboros
cluster   the host's PostgreSQL: the administrator's role, the control database, pg_hba.conf
units     which units are enabled, run, and are up to date
"""
