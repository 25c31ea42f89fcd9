"""systemd as the host form uses it.

systemctl   starts and ends units, and reads their state
files       what the steward writes for PID 1, and giving files away
commands    commands of branches, asked of the steward
"""
