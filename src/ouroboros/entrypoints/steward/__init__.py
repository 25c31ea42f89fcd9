"""The steward: the one process of a host with root, which starts and ends what belongs to slots.

It speaks the supervisor's language on the supervisor's socket, so the worker and the API cannot
tell local mode from a host. What runs a backend here is a systemd unit.

backend    one slot's backend: its units, its held listener, its candidate
commands   commands of branches, each in a transient unit as the slot's user
__main__   both sockets, which systemd holds
"""
