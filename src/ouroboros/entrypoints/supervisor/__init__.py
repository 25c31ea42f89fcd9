"""The supervisor of local mode: one process that starts, watches and ends all the others.

services   what is supervised: a plain list of values, made in one place
ground     what must hold before anything starts: directory, lock, leftovers, ports
children   guarded processes on the event loop
watch      one service: started, restarted with backoff, ended
backend    one slot's backend: listener, candidate, promotion, drain
backends   the backends of all slots, behind their fences
requests   the unix socket that clients talk to
house      all of it together, in order
"""
