"""Access: tokens for programs, one-time links and sessions for people."""
